package calls

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// steps writes down what was passed, in order.
type steps struct {
	mu   sync.Mutex
	list []string
}

func (s *steps) add(step string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, step)
}

// take returns what was passed since it was last asked.
func (s *steps) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.list
	s.list = nil
	return list
}

// interceptor notes that a call passed it, on the way in and on the way out.
func (s *steps) interceptor(name string) broach.Interceptor {
	return func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
		s.add(name)
		v, err := next(ctx, call)
		s.add("/" + name)
		return v, err
	}
}

// pass lets every call go on.
func pass(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
	return next(ctx, call)
}

// always ends every call.
func always(v any, err error) broach.Interceptor {
	return func(context.Context, *broach.Invocation, broach.Handler) (any, error) { return v, err }
}

// after lets every call go on, and says something else then.
func after(v any, err error) broach.Interceptor {
	return func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
		_, _ = next(ctx, call)
		return v, err
	}
}

// Those of the Config are outermost, then those of the options, in the order given; given again they add up.
func TestInterceptorsRunInTheOrderGiven(t *testing.T) {
	s := new(steps)
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		require.NoError(t, provider.Register("f", func() { s.add("f") }, broach.ServeInterceptors(s.interceptor("r1")),
			broach.ServeInterceptors(s.interceptor("r2"))))
		require.NoError(t, caller.WaitFor(context.Background(), "f", 1))
		s.take()
		for _, n := range []*broach.Node{caller, provider} {
			base := n.Caller("f", broach.CallInterceptors(s.interceptor("o1")))
			for _, last := range []string{"a", "b"} { // of two made of one, neither has the other's
				_, err := base.With(broach.CallInterceptors(s.interceptor(last))).Call(context.Background())
				require.NoError(t, err)
				want := []string{
					"c1", "c2", "o1", last, "s1", "s2", "r1", "r2", "f", "/r2", "/r1", "/s2", "/s1", "/" +
						last, "/o1", "/c2", "/c1",
				}
				require.Equal(t, want, s.take())
			}
		}
	}, func(cfg *broach.Config) {
		cfg.CallInterceptors = []broach.Interceptor{s.interceptor("c1"), s.interceptor("c2")}
		cfg.ServeInterceptors = []broach.Interceptor{s.interceptor("s1"), s.interceptor("s2")}
	})
}

// Whatever asks for a result gets the one that comes out of the Interceptors, and each way to call goes through them.
func TestEveryFormOfCallIsIntercepted(t *testing.T) {
	type point struct{ X, Y int }
	s := new(steps)
	functions := map[string]any{
		"add": func(x, y int) int { return x + y }, "none": func() {},
		"two": func(s string) (string, int) { return s, len(s) },
		"join": func(sep string, words ...string) string {
			return strings.Join(words, sep)
		}, "echo": func(s string) string { return s },
		"bytes": func(b []byte) []byte { return b }, "nothing": func() *point { return nil },
		"mirror": func(p point) point { return point{p.Y, p.X} },
		"any":    func(x any) any { return x },
	}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		ctx := context.Background()
		want := func(want any) func(any, error) {
			return func(v any, err error) {
				t.Helper()
				require.NoError(t, err)
				require.Equal(t, want, v)
				require.Equal(t, []string{"c", "s", "/s", "/c"}, s.take())
			}
		}
		for _, n := range []*broach.Node{caller, provider} {
			s.take()
			want(3)(n.Caller("add").Call(ctx, 1, 2))
			want([]any{"abc", 3})(n.Caller("two").Call(ctx, "abc"))
			want(nil)(n.Caller("none").Call(ctx))
			want(nil)(n.Caller("nothing").Call(ctx))
			want(map[string]any{"X": int64(2), "Y": int64(1)})(n.Caller("mirror").Call(ctx, point{1, 2}))
			want("a-b")(n.Caller("join").Call(ctx, "-", "a", "b"))
			want("")(n.Caller("join").Call(ctx, "-"))
			want(nil)(n.Caller("any").Call(ctx, nil))
			p, err := broach.Call[point](ctx, n.Caller("mirror"), point{1, 2})
			want(point{2, 1})(p, err)
			q, err := broach.Call[*point](ctx, n.Caller("nothing"))
			want((*point)(nil))(q, err)
			e, err := broach.Call[struct{}](ctx, n.Caller("none"))
			want(struct{}{})(e, err)
			v, err := broach.Go[any](ctx, n.Caller("add"), 1, 2).Wait()
			want(3)(v, err)
			x, err := broach.Bind[func(context.Context, int, int) (int, error)](n, "add")(ctx, 1, 2)
			want(3)(x, err)
			text, err := broach.Bind[func(string) (string, error)](n, "echo")("a")
			want("a")(text, err)
			b, err := broach.Bind[func([]byte) ([]byte, error)](n, "bytes")(nil)
			want([]byte(nil))(b, err)
			text, size, err := broach.Bind[func(string) (string, int, error)](n, "two")("abc")
			want([]any{"abc", 3})([]any{text, size}, err)
			text, err = broach.Bind[func(string, ...string) (string, error)](n, "join")("-", "a", "b")
			want("a-b")(text, err)
			want(nil)(nil, broach.Bind[func() error](n, "none")())
			for r := range n.Caller("add").All(ctx, 1, 2) {
				want(3)(r.Value, r.Err)
			}
			require.NoError(t, n.Caller("none").Send(ctx))
			time.Sleep(time.Second)
			require.ElementsMatch(t, []string{"c", "/c", "s", "/s"}, s.take())
		}
	}, func(cfg *broach.Config) {
		cfg.CallInterceptors, cfg.ServeInterceptors = []broach.Interceptor{s.interceptor("c")},
			[]broach.Interceptor{s.interceptor("s")}
	})
}

func TestNilInterceptorsAreRefused(t *testing.T) {
	_, err := broach.Start(broach.Config{CallInterceptors: []broach.Interceptor{pass, nil},
		ServeInterceptors: []broach.Interceptor{nil}})
	require.ErrorContains(t, err, "CallInterceptors[1]: nil: must be a function")
	require.ErrorContains(t, err, "ServeInterceptors[0]: nil: must be a function")
	clustertest.InPair(t, map[string]any{"f": func() {}}, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		require.ErrorIs(t, provider.Register("g", func() {}, broach.ServeInterceptors(pass, nil)),
			broach.ErrInvalidArgument)
		wrong := broach.CallInterceptors(nil, always("not asked", nil))
		_, err := caller.Caller("f", wrong).Call(context.Background())
		clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
		_, err = caller.Caller("f", wrong, broach.CallInterceptors(always("not asked", nil))).Call(context.Background())
		clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
	})
}

// next is an error after its Interceptor has returned, and needs what it passes on.
func TestNextAtTheWrongTime(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		ran := 0
		var kept []func() (any, error)
		keep := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
			kept = append(kept, func() (any, error) { return next(context.Background(), call) })
			return next(ctx, call)
		}
		require.NoError(t, provider.Register("f", func() int { ran++; return ran }, broach.ServeInterceptors(keep)))
		require.NoError(t, caller.WaitFor(context.Background(), "f", 1))
		for i, n := range []*broach.Node{caller, provider} {
			v, err := broach.Call[int](context.Background(), n.Caller("f", broach.CallInterceptors(keep)))
			require.NoError(t, err)
			require.Equal(t, i+1, v)
		}
		require.Len(t, kept, 4)
		for _, next := range kept {
			_, err := next()
			clustertest.RequireError(t, err, broach.Canceled, broach.No)
		}
		require.Equal(t, 2, ran)

		without := func(_ context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
			return next(nil, call)
		}
		nothing := func(ctx context.Context, _ *broach.Invocation, next broach.Handler) (any, error) {
			return next(ctx, nil)
		}
		for i, wrong := range []broach.Interceptor{without, nothing} {
			_, err := caller.Caller("f", broach.CallInterceptors(wrong)).Call(context.Background())
			clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
			name := string(rune('a' + i))
			require.NoError(t, provider.Register(name, func() { ran++ }, broach.ServeInterceptors(wrong)))
			_, err = provider.Caller(name).Call(context.Background())
			clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
		}
		require.Equal(t, 2, ran)
	})
}

var errOwn = errors.New("no milk")

// The protocol's own services have no Interceptors, and pulls of tables are not seen.
func TestTheProtocolsOwnCallsAreNotIntercepted(t *testing.T) {
	s := new(steps)
	note := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
		s.add(call.Service)
		return next(ctx, call)
	}
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for i := range 300 {
			require.NoError(t, provider.Register(manyName(i), func() {}))
		}
		require.NoError(t, caller.WaitFor(context.Background(), manyName(299), 1))
		require.Empty(t, s.take(), "of the pull")
		_, err := caller.Caller("\x00table").Call(context.Background())
		clustertest.RequireError(t, err, broach.NotFound, broach.No)
		require.Empty(t, s.take())
		_, err = caller.Caller("").Call(context.Background())
		clustertest.RequireError(t, err, broach.NotFound, broach.No)
		require.Equal(t, []string{""}, s.take())
	}, func(cfg *broach.Config) {
		cfg.CallInterceptors, cfg.ServeInterceptors = []broach.Interceptor{note}, []broach.Interceptor{note}
	})
}

// seenCall is what an Invocation says, to be compared.
type seenCall struct {
	Service string
	From    netip.AddrPort
	Meta    map[string]string
	Args    []any
}

func seen(call *broach.Invocation) seenCall {
	return seenCall{call.Service, call.From, call.Meta(), call.Args()}
}

// invocationOf is a call that an Interceptor makes of its own.
func invocationOf(args ...any) *broach.Invocation {
	call := new(broach.Invocation)
	call.SetArgs(args...)
	return call
}
