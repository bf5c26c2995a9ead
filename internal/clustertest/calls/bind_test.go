package calls

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

func TestTypedCalls(t *testing.T) {
	type point struct{ X, Y int }
	functions := map[string]any{
		"point":   func(x, y int) point { return point{x, y} },
		"nothing": func() {},
		"pair":    func() (int, string) { return 1, "a" },
		"bytes":   func() []byte { return []byte("abc") },
	}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for _, n := range []*broach.Node{provider, caller} {
			p, err := broach.Call[point](c.T.Context(), n.Caller("point"), 1, 2)
			require.NoError(c.T, err)
			require.Equal(c.T, point{1, 2}, p)
			v, err := broach.Call[any](c.T.Context(), n.Caller("point"), 1, 2)
			require.NoError(c.T, err)
			require.Equal(c.T, map[string]any{"X": int64(1), "Y": int64(2)}, v)
			_, err = broach.Call[struct{}](c.T.Context(), n.Caller("nothing"))
			require.NoError(c.T, err)
			b, err := broach.Call[[]byte](c.T.Context(), n.Caller("bytes"))
			require.NoError(c.T, err)
			_, err = broach.Call[[]byte](c.T.Context(), n.Caller("bytes"))
			require.NoError(c.T, err)
			require.Equal(c.T, "abc", string(b), "a result is its caller's to keep")
			_, err = broach.Call[string](c.T.Context(), n.Caller("point"), 1, 2)
			clustertest.RequireError(c.T, err, broach.InvalidArgument, broach.Yes)
			_, err = broach.Call[int](c.T.Context(), n.Caller("pair"))
			clustertest.RequireError(c.T, err, broach.InvalidArgument, broach.Yes)
		}
	})
}

func TestBind(t *testing.T) {
	functions := map[string]any{
		"add":    func(x, y int) int { return x + y },
		"divide": func(x, y int) (int, int, error) { return x / y, x % y, nil },
		"join":   func(sep string, parts ...string) string { return strings.Join(parts, sep) },
		"note":   func(string) error { return broach.Errorf(1001, "no paper") },
		"hang":   clustertest.Hang,
	}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for _, n := range []*broach.Node{provider, caller} {
			sum, err := broach.Bind[func(ctx context.Context, x, y int) (int, error)](n, "add")(c.T.Context(), 1, 2)
			require.NoError(c.T, err)
			require.Equal(c.T, 3, sum)
			require.PanicsWithValue(c.T, `broach: Bind("add"): parameter 1: chan int cannot be sent`,
				func() { broach.Bind[func(chan int) error](n, "add") })
			sum, err = broach.Bind[func(x, y int8) (int, error)](n, "add")(1, 2)
			require.NoError(c.T, err)
			require.Equal(c.T, 3, sum)
			q, r, err := broach.Bind[func(x, y int) (int, uint8, error)](n, "divide")(7, 2)
			require.NoError(c.T, err)
			require.Equal(c.T, []any{3, uint8(1)}, []any{q, r})
			join := broach.Bind[func(sep string, parts ...string) (string, error)](n, "join")
			s, err := join("-", "a", "b")
			require.NoError(c.T, err)
			require.Equal(c.T, "a-b", s)
			s, err = join("-")
			require.NoError(c.T, err)
			require.Empty(c.T, s)
			clustertest.RequireError(c.T, broach.Bind[func(string) error](n, "note")("x"), 1001, broach.Yes)

			ctx, cancel := context.WithTimeout(c.T.Context(), 50*time.Millisecond)
			require.ErrorIs(c.T, broach.Bind[func(context.Context) error](n, "hang")(ctx), context.DeadlineExceeded)
			cancel()
			sum, err = broach.Bind[func(ctx context.Context, x, y int) (int, error)](n, "add")(nil, 1, 2)
			require.NoError(c.T, err, "a nil context is none")
			require.Equal(c.T, 3, sum)
		}
	})
}

// The shapes that are bound without reflection do as the others do.
func TestBindOfCommonShapes(t *testing.T) {
	functions := map[string]any{
		"add":   func(x, y int) int { return x + y },
		"upper": strings.ToUpper,
		"half":  func(b []byte) []byte { return b[:len(b)/2] },
	}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for _, n := range []*broach.Node{provider, caller} {
			ctx := c.T.Context()
			x, err := broach.Bind[func(context.Context, int, int) (int, error)](n, "add")(ctx, -1, math.MaxInt)
			require.Equal(c.T, []any{math.MaxInt - 1, nil}, []any{x, err})
			x, err = broach.Bind[func(int, int) (int, error)](n, "add")(1, 2)
			require.Equal(c.T, []any{3, nil}, []any{x, err})
			s, err := broach.Bind[func(context.Context, string) (string, error)](n, "upper")(ctx, "a")
			require.Equal(c.T, []any{"A", nil}, []any{s, err})
			s, err = broach.Bind[func(string) (string, error)](n, "upper")("b")
			require.Equal(c.T, []any{"B", nil}, []any{s, err})
			b, err := broach.Bind[func(context.Context, []byte) ([]byte, error)](n, "half")(ctx, []byte("abcd"))
			require.Equal(c.T, []any{[]byte("ab"), nil}, []any{b, err})
			b, err = broach.Bind[func([]byte) ([]byte, error)](n, "half")(nil)
			require.NoError(c.T, err)
			require.Empty(c.T, b)
			_, err = broach.Bind[func(int, int) (int, error)](n, "upper")(1, 2)
			clustertest.RequireError(c.T, err, broach.InvalidArgument, broach.No)
			_, err = broach.Bind[func(string) (string, error)](n, "nobody")("x")
			require.ErrorIs(c.T, err, broach.ErrNotFound)
		}
	})
}

// What does not suit the provider's function is found out by the call.
func TestBindThatDoesNotSuitTheFunction(t *testing.T) {
	clustertest.InPair(t, map[string]any{"add": func(x, y int) int { return x + y }}, func(
		c *clustertest.Cluster, provider, caller *broach.Node,
	) {
		for _, n := range []*broach.Node{provider, caller} {
			_, err := broach.Bind[func(x int) (int, error)](n, "add")(1)
			require.Equal(c.T, "add(int, int) int: got 1 argument",
				clustertest.RequireError(c.T, err, broach.InvalidArgument, broach.No).Message)
			_, err = broach.Bind[func(x, y string) (int, error)](n, "add")("1", "2")
			clustertest.RequireError(c.T, err, broach.InvalidArgument, broach.No)
			_, err = broach.Bind[func(x, y int) (string, error)](n, "add")(1, 2)
			clustertest.RequireError(c.T, err, broach.InvalidArgument, broach.Yes)
			err = broach.Bind[func(x, y int) error](n, "add")(1, 2)
			clustertest.RequireError(c.T, err, broach.InvalidArgument, broach.Yes)
		}
	})
}

func TestBindPanicsOnWhatIsNoSuchFunction(t *testing.T) {
	require.PanicsWithValue(t,
		`broach: Bind("add"): int is not a function type whose last result is error, or whose only one streams`,
		func() { broach.Bind[int](nil, "add") })
	require.Panics(t, func() { broach.Bind[func()](nil, "add") })
	require.Panics(t, func() { broach.Bind[func() int](nil, "add") })
	require.Panics(t, func() { broach.Bind[func() (error, int)](nil, "add") })
}
