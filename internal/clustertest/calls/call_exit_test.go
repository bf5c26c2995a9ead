package calls

import (
	"context"
	"slices"
	"testing"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// Who waits for a goroutine that is not its own hears of its end, also where code of the user's has ended it: nobody
// waits for ever, and nothing passes for a result.
func TestACallWhoseGoroutineIsEndedIsOver(t *testing.T) {
	clustertest.InPair(t, map[string]any{"f": func(exiting) {}}, func(c *clustertest.Cluster, _, caller *broach.Node) {
		pass := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
			return next(ctx, call)
		}
		exits := func(context.Context, *broach.Invocation, broach.Handler) (any, error) {
			exit()
			return nil, nil
		}
		for _, f := range []*broach.Caller{
			caller.Caller("f"), caller.Caller("f", broach.CallInterceptors(pass)),
			caller.Caller("f", broach.CallInterceptors(exits)),
		} {
			_, err := broach.Go[struct{}](context.Background(), f, exiting{}).Wait()
			clustertest.RequireError(t, err, broach.Internal, broach.Maybe)
			replies := slices.Collect(f.All(context.Background(), exiting{}))
			require.Len(t, replies, 1)
			require.Equal(t, clustertest.AddrOf(0), replies[0].Node)
			clustertest.RequireError(t, replies[0].Err, broach.Internal, broach.Maybe)
		}
	})
}
