package broach

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A call of several providers did not run only if it ran at none of them, whoever came last: another provider, this
// process, or nobody.
func TestExecutedIsThatOfTheWholeCall(t *testing.T) {
	for name, last := range map[string]int{"another provider": 2, "this process": 0, "a Balancer": -1} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, 1, func(c *cluster) {
				c.startAll(3)
				refuse := func(context.Context, *Invocation, Handler) (any, error) {
					return nil, Errorf(Unauthenticated, "not here")
				}
				hangs := func(ctx context.Context) error { go c.kill(c.nodes[1]); return hang(ctx) }
				require.NoError(c.t, c.nodes[1].Register("f", hangs, Idempotent()))
				for _, i := range []int{0, 2} {
					require.NoError(c.t, c.nodes[i].Register("f", func() {}, Idempotent(), ServeInterceptors(refuse)))
				}
				require.NoError(c.t, c.nodes[0].WaitFor(c.t.Context(), "f", 3))
				turn := []int{1, last}
				pick := pickFunc(func(_ CallInfo, from []Provider) int {
					i := slices.IndexFunc(from, func(p Provider) bool { return p.Addr == addrOf(turn[0]) })
					turn = turn[1:]
					return i
				})
				_, err := c.nodes[0].Caller("f", Balance(pick), Local(LocalEqual), Timeout(time.Minute)).Call(c.t.Context())
				e := err.(*Error)
				require.NotEqual(c.t, Unreachable, e.Code, "it was asked elsewhere")
				require.Equal(c.t, Maybe, e.Executed)
			})
		})
	}
}

// pickFunc is a Balancer made of a function.
type pickFunc func(call CallInfo, providers []Provider) int

func (f pickFunc) Pick(call CallInfo, providers []Provider) int { return f(call, providers) }

// An Interceptor that calls again, and hands on the last error, does not hide that the function may have run before.
func TestExecutedIsThatOfAllThatAnInterceptorTried(t *testing.T) {
	again := func(ctx context.Context, call *Invocation, next Handler) (any, error) {
		_, _ = next(ctx, call)
		call.Args = []any{"no number"}
		return next(ctx, call)
	}
	for what, test := range map[string]struct {
		fn       any
		executed Executed
	}{
		"it ran":        {func(int) {}, Maybe},
		"it did not":    {func(uint8) {}, No},
		"it had no end": {func(ctx context.Context, _ int) { <-ctx.Done() }, Maybe},
	} {
		t.Run(what, func(t *testing.T) {
			inPair(t, map[string]any{"f": test.fn}, func(c *cluster, _, caller *Node) {
				inner := func(ctx context.Context, call *Invocation, next Handler) (any, error) {
					if call.Args[0] == 1000 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, time.Second)
						defer cancel()
					}
					return next(ctx, call)
				}
				_, err := caller.Caller("f", CallInterceptors(again, inner)).Call(c.t.Context(), 1000)
				requireError(c.t, err, InvalidArgument, test.executed)
			})
		})
	}
}
