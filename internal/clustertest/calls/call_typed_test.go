package calls

import (
	"context"
	"errors"
	"testing"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

func TestAllWithTypedResults(t *testing.T) {
	type point struct{ X, Y int }
	inTrio(t, func(c *clustertest.Cluster, caller *broach.Node) {
		where := func(i int) func(int) (point, error) {
			return func(x int) (point, error) {
				if i == 1 {
					return point{}, errors.New("nowhere")
				}
				return point{x, i}, nil
			}
		}
		for i, n := range c.Nodes {
			require.NoError(t, n.Register("where", where(i)))
		}
		require.NoError(t, caller.WaitFor(context.Background(), "where", 3))
		got := 0
		for r := range broach.All[point](context.Background(), caller.Caller("where"), 7) {
			i := int(r.Node.Addr().As4()[3]) - int(clustertest.AddrOf(0).Addr().As4()[3])
			if got++; i == 1 {
				clustertest.RequireError(t, r.Err, broach.Application, broach.Yes)
				continue
			}
			require.NoError(t, r.Err)
			require.Equal(t, point{7, i}, r.Value)
		}
		require.Equal(t, 3, got)
		for r := range broach.All[string](context.Background(), caller.Caller("where"), 7) {
			require.Error(t, r.Err, "a point is no string")
		}
		for r := range broach.All[string](context.Background(), caller.Caller("nowhere")) {
			require.False(t, r.Node.IsValid())
			require.ErrorIs(t, r.Err, broach.ErrNotFound)
		}
	})
}

func TestCallsWithTwoResults(t *testing.T) {
	functions := map[string]any{
		"divide": func(x, y int) (int, int, error) {
			if y == 0 {
				return 0, 0, errors.New("by zero")
			}
			return x / y, x % y, nil
		},
		"one":   func() int { return 1 },
		"three": func() (int, int, int) { return 1, 2, 3 },
	}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		ctx, passed := context.Background(), 0
		count := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
			passed++
			return next(ctx, call)
		}
		for _, n := range []*broach.Node{provider, caller} {
			for _, opts := range [][]broach.CallOption{nil, {broach.CallInterceptors(count)}} {
				of := func(name string) *broach.Caller { return n.Caller(name, opts...) }
				q, r, err := broach.Call2[int, uint8](ctx, of("divide"), 7, 2)
				require.NoError(t, err)
				require.Equal(t, []any{3, uint8(1)}, []any{q, r})
				x, y, err := broach.Call2[any, any](ctx, of("divide"), 7, 2)
				require.NoError(t, err)
				require.Equal(t, []any{int64(3), int64(1)}, []any{toInt64(x), toInt64(y)})
				_, _, err = broach.Call2[int, int](ctx, of("divide"), 7, 0)
				clustertest.RequireError(t, err, broach.Application, broach.Yes)
				_, _, err = broach.Call2[int, string](ctx, of("divide"), 7, 2)
				require.ErrorContains(t, err, "result 2: ")
				for _, name := range []string{"one", "three"} {
					_, _, err = broach.Call2[int, int](ctx, of(name))
					clustertest.RequireError(t, err, broach.InvalidArgument, broach.Yes)
				}
			}
		}
		require.Equal(t, 2*6, passed)
	})
}

// toInt64 makes an int of any size comparable.
func toInt64(v any) int64 {
	if i, ok := v.(int); ok {
		return int64(i)
	}
	return v.(int64)
}

// Who asks for one of several results is told what gives them all.
func TestOneOfSeveralResultsIsAnErrorThatPointsToBind(t *testing.T) {
	several := map[string]any{
		"pair": func() (int, string) { return 1, "a" }, "triple": func() (int, string, bool) { return 1, "a", true },
	}
	clustertest.InPair(t, several, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		_, err := broach.Call[string](context.Background(), caller.Caller("pair"))
		clustertest.RequireError(t, err, broach.InvalidArgument, broach.Yes)
		require.ErrorContains(t, err, "the function returns 2 results, want 1: Call2 and Bind take several")
		_, _, err = broach.Call2[int, string](context.Background(), caller.Caller("triple"))
		clustertest.RequireError(t, err, broach.InvalidArgument, broach.Yes)
		require.ErrorContains(t, err, "the function returns 3 results, want 2: Bind takes them all")
	})
}
