package far

import (
	"context"
	"math"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// Calls with deadlines that mean never run, elsewhere and here, in one datagram and as a transfer, with and without
// Interceptors, hedged or not, and their functions may make calls in turn.
func TestCallsWithDeadlinesThatMeanNever(t *testing.T) {
	slow := func(ctx context.Context, _ []byte) (string, error) {
		deadline, ok := ctx.Deadline()
		if ok && time.Until(deadline) < 49*24*time.Hour { // what is longer goes as none
			return "", broach.Errorf(broach.InvalidArgument, "the deadline is %v", deadline)
		}
		select {
		case <-time.After(200 * time.Millisecond):
			return "done", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	pass := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
		return next(ctx, call)
	}
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		clustertest.Offer(c, provider, caller, "slow", slow, broach.Idempotent())
		clustertest.Offer(c, provider, caller, "ask", func(ctx context.Context, b []byte) (any, error) {
			return provider.Caller("slow", broach.Timeout(math.MaxInt64)).Call(ctx, b)
		}, broach.Idempotent())
		never := []context.Context{c.T.Context()}
		for _, year := range []int{2318, 2320, 9999} {
			ctx, cancel := context.WithDeadline(c.T.Context(), time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC))
			defer cancel()
			never = append(never, ctx)
		}
		for _, ctx := range never {
			for what, options := range map[string][]broach.CallOption{
				"plain": {broach.Timeout(math.MaxInt64)}, "through an Interceptor": {broach.Timeout(math.MaxInt64),
					broach.CallInterceptors(pass)},
				"hedged": {broach.Timeout(math.MaxInt64), broach.Hedge(math.MaxInt64)},
			} {
				for _, n := range []*broach.Node{provider, caller} {
					for _, name := range []string{"slow", "ask"} {
						for _, size := range []int{1, 100_000} {
							v, err := n.Caller(name, options...).Call(ctx, make([]byte, size))
							require.NoError(c.T, err, "%s %s of %d", what, name, size)
							require.Equal(c.T, "done", v)
						}
					}
				}
			}
		}
	})
}
