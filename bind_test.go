package broach

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

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
	inPair(t, functions, func(c *cluster, provider, caller *Node) {
		for _, n := range []*Node{provider, caller} {
			p, err := Call[point](c.t.Context(), n.Caller("point"), 1, 2)
			require.NoError(c.t, err)
			require.Equal(c.t, point{1, 2}, p)
			v, err := Call[any](c.t.Context(), n.Caller("point"), 1, 2)
			require.NoError(c.t, err)
			require.Equal(c.t, map[string]any{"X": int64(1), "Y": int64(2)}, v)
			_, err = Call[struct{}](c.t.Context(), n.Caller("nothing"))
			require.NoError(c.t, err)
			b, err := Call[[]byte](c.t.Context(), n.Caller("bytes"))
			require.NoError(c.t, err)
			_, err = Call[[]byte](c.t.Context(), n.Caller("bytes"))
			require.NoError(c.t, err)
			require.Equal(c.t, "abc", string(b), "a result is its caller's to keep")
			_, err = Call[string](c.t.Context(), n.Caller("point"), 1, 2)
			requireError(c.t, err, InvalidArgument, Yes)
			_, err = Call[int](c.t.Context(), n.Caller("pair"))
			requireError(c.t, err, InvalidArgument, Yes)
		}
	})
}

func TestBind(t *testing.T) {
	functions := map[string]any{
		"add":    func(x, y int) int { return x + y },
		"divide": func(x, y int) (int, int, error) { return x / y, x % y, nil },
		"join":   func(sep string, parts ...string) string { return strings.Join(parts, sep) },
		"note":   func(string) error { return Errorf(1001, "no paper") },
		"hang":   hang,
	}
	inPair(t, functions, func(c *cluster, provider, caller *Node) {
		for _, n := range []*Node{provider, caller} {
			sum, err := Bind[func(ctx context.Context, x, y int) (int, error)](n, "add")(c.t.Context(), 1, 2)
			require.NoError(c.t, err)
			require.Equal(c.t, 3, sum)
			sum, err = Bind[func(x, y int8) (int, error)](n, "add")(1, 2)
			require.NoError(c.t, err)
			require.Equal(c.t, 3, sum)
			q, r, err := Bind[func(x, y int) (int, uint8, error)](n, "divide")(7, 2)
			require.NoError(c.t, err)
			require.Equal(c.t, []any{3, uint8(1)}, []any{q, r})
			join := Bind[func(sep string, parts ...string) (string, error)](n, "join")
			s, err := join("-", "a", "b")
			require.NoError(c.t, err)
			require.Equal(c.t, "a-b", s)
			s, err = join("-")
			require.NoError(c.t, err)
			require.Empty(c.t, s)
			requireError(c.t, Bind[func(string) error](n, "note")("x"), 1001, Yes)

			ctx, cancel := context.WithTimeout(c.t.Context(), 50*time.Millisecond)
			require.ErrorIs(c.t, Bind[func(context.Context) error](n, "hang")(ctx), context.DeadlineExceeded)
			cancel()
			sum, err = Bind[func(ctx context.Context, x, y int) (int, error)](n, "add")(nil, 1, 2)
			require.NoError(c.t, err, "a nil context is none")
			require.Equal(c.t, 3, sum)
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
	inPair(t, functions, func(c *cluster, provider, caller *Node) {
		for _, n := range []*Node{provider, caller} {
			ctx := c.t.Context()
			x, err := Bind[func(context.Context, int, int) (int, error)](n, "add")(ctx, -1, math.MaxInt)
			require.Equal(c.t, []any{math.MaxInt - 1, nil}, []any{x, err})
			x, err = Bind[func(int, int) (int, error)](n, "add")(1, 2)
			require.Equal(c.t, []any{3, nil}, []any{x, err})
			s, err := Bind[func(context.Context, string) (string, error)](n, "upper")(ctx, "a")
			require.Equal(c.t, []any{"A", nil}, []any{s, err})
			s, err = Bind[func(string) (string, error)](n, "upper")("b")
			require.Equal(c.t, []any{"B", nil}, []any{s, err})
			b, err := Bind[func(context.Context, []byte) ([]byte, error)](n, "half")(ctx, []byte("abcd"))
			require.Equal(c.t, []any{[]byte("ab"), nil}, []any{b, err})
			b, err = Bind[func([]byte) ([]byte, error)](n, "half")(nil)
			require.NoError(c.t, err)
			require.Empty(c.t, b)
			_, err = Bind[func(int, int) (int, error)](n, "upper")(1, 2)
			requireError(c.t, err, InvalidArgument, No)
			_, err = Bind[func(string) (string, error)](n, "nobody")("x")
			require.ErrorIs(c.t, err, ErrNotFound)
		}
	})
}

// What does not suit the provider's function is found out by the call.
func TestBindThatDoesNotSuitTheFunction(t *testing.T) {
	inPair(t, map[string]any{"add": func(x, y int) int { return x + y }}, func(c *cluster, provider, caller *Node) {
		for _, n := range []*Node{provider, caller} {
			_, err := Bind[func(x int) (int, error)](n, "add")(1)
			require.Equal(c.t, "add(int, int) int: got 1 argument", requireError(c.t, err, InvalidArgument, No).Message)
			_, err = Bind[func(x, y string) (int, error)](n, "add")("1", "2")
			requireError(c.t, err, InvalidArgument, No)
			_, err = Bind[func(x, y int) (string, error)](n, "add")(1, 2)
			requireError(c.t, err, InvalidArgument, Yes)
			err = Bind[func(x, y int) error](n, "add")(1, 2)
			requireError(c.t, err, InvalidArgument, Yes)
			_, err = Bind[func(c chan int, y int) (int, error)](n, "add")(nil, 2)
			requireError(c.t, err, InvalidArgument, No)
		}
	})
}

func TestBindPanicsOnWhatIsNoSuchFunction(t *testing.T) {
	require.PanicsWithValue(t, `broach: Bind("add"): int is not a function type whose last result is error`, func() { Bind[int](nil, "add") })
	require.Panics(t, func() { Bind[func()](nil, "add") })
	require.Panics(t, func() { Bind[func() int](nil, "add") })
	require.Panics(t, func() { Bind[func() (error, int)](nil, "add") })
}
