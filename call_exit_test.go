package broach

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who waits for a goroutine that is not its own hears of its end, also where code of the user's has ended it: nobody
// waits for ever, and nothing passes for a result.
func TestACallWhoseGoroutineIsEndedIsOver(t *testing.T) {
	inPair(t, map[string]any{"f": func(exiting) {}}, func(c *cluster, _, caller *Node) {
		pass := func(ctx context.Context, call *Invocation, next Handler) (any, error) { return next(ctx, call) }
		exits := func(context.Context, *Invocation, Handler) (any, error) { exit(); return nil, nil }
		for _, f := range []*Caller{caller.Caller("f"), caller.Caller("f", CallInterceptors(pass)), caller.Caller("f", CallInterceptors(exits))} {
			_, err := Go[struct{}](context.Background(), f, exiting{}).Wait()
			requireError(t, err, Internal, Maybe)
			replies := slices.Collect(f.All(context.Background(), exiting{}))
			require.Len(t, replies, 1)
			require.Equal(t, addrOf(0), replies[0].Node)
			requireError(t, replies[0].Err, Internal, Maybe)
		}
	})
}
