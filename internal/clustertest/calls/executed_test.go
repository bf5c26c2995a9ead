package calls

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// A call of several providers did not run only if it ran at none of them, whoever came last: another provider, this
// process, or nobody.
func TestExecutedIsThatOfTheWholeCall(t *testing.T) {
	for name, last := range map[string]int{"another provider": 2, "this process": 0, "a Balancer": -1} {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				c.StartAll(3)
				refuse := func(context.Context, *broach.Invocation, broach.Handler) (any, error) {
					return nil, broach.Errorf(broach.Unauthenticated, "not here")
				}
				hangs := func(ctx context.Context) error { go c.Kill(c.Nodes[1]); return clustertest.Hang(ctx) }
				require.NoError(c.T, c.Nodes[1].Register("f", hangs, broach.Idempotent()))
				for _, i := range []int{0, 2} {
					require.NoError(c.T, c.Nodes[i].Register("f", func() {}, broach.Idempotent(),
						broach.ServeInterceptors(refuse)))
				}
				require.NoError(c.T, c.Nodes[0].WaitFor(c.T.Context(), "f", 3))
				turn := []int{1, last}
				pick := clustertest.PickFunc(func(_ broach.CallInfo, from []broach.Provider) int {
					i := slices.IndexFunc(from,
						func(p broach.Provider) bool { return p.Addr == clustertest.AddrOf(turn[0]) })
					turn = turn[1:]
					return i
				})
				_, err := c.Nodes[0].Caller("f", broach.Balance(pick), broach.Local(broach.LocalEqual),
					broach.Timeout(time.Minute)).Call(c.T.Context())
				e := err.(*broach.Error)
				require.NotEqual(c.T, broach.Unreachable, e.Code, "it was asked elsewhere")
				require.Equal(c.T, broach.Maybe, e.Executed)
			})
		})
	}
}

// An Interceptor that calls again, and hands on the last error, does not hide that the function may have run before.
func TestExecutedIsThatOfAllThatAnInterceptorTried(t *testing.T) {
	again := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
		_, _ = next(ctx, call)
		call.SetArgs("no number")
		return next(ctx, call)
	}
	for what, test := range map[string]struct {
		fn       any
		executed broach.Executed
	}{
		"it ran":        {func(int) {}, broach.Maybe},
		"it did not":    {func(uint8) {}, broach.No},
		"it had no end": {func(ctx context.Context, _ int) { <-ctx.Done() }, broach.Maybe},
	} {
		t.Run(what, func(t *testing.T) {
			clustertest.InPair(t, map[string]any{"f": test.fn}, func(c *clustertest.Cluster, _, caller *broach.Node) {
				inner := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
					if call.Args()[0] == 1000 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, time.Second)
						defer cancel()
					}
					return next(ctx, call)
				}
				_, err := caller.Caller("f", broach.CallInterceptors(again, inner)).Call(c.T.Context(), 1000)
				clustertest.RequireError(c.T, err, broach.InvalidArgument, test.executed)
			})
		})
	}
}

// An execution is what is sure of all calls that an Interceptor made: one that ran is enough for Yes, one that may have
// for Maybe, and one that is under way may, too.
func TestExecutionsAddUp(t *testing.T) {
	const runs, hangs, refused = 0, 1, "no number" // what the function is called with
	f := func(ctx context.Context, arg int) error {
		if arg == hangs {
			return clustertest.Hang(ctx)
		}
		return errors.New("it ran")
	}
	for _, test := range []struct {
		with     []any
		underWay bool
		want     broach.Executed
	}{
		{nil, false, broach.No},
		{[]any{refused, refused}, false, broach.No},
		{[]any{refused, hangs}, false, broach.Maybe},
		{[]any{hangs, runs, refused}, false, broach.Yes},
		{[]any{refused}, true, broach.Maybe},
		{[]any{hangs}, true, broach.Maybe},
		{[]any{hangs, runs}, true, broach.Yes},
	} {
		clustertest.InPair(t, map[string]any{"f": f}, func(c *clustertest.Cluster, _, caller *broach.Node) {
			try := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
				for _, arg := range test.with {
					limited, cancel := context.WithTimeout(ctx, time.Second)
					_, _ = next(limited, invocationOf(arg))
					cancel()
				}
				if test.underWay {
					go func() { _, _ = next(ctx, invocationOf(hangs)) }()
					time.Sleep(time.Second)
				}
				return nil, errOwn
			}
			_, err := caller.Caller("f", broach.CallInterceptors(try)).Call(c.T.Context())
			clustertest.RequireError(c.T, err, broach.Application, test.want)
		})
	}
}
