package calls

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// lentSizes are nothing, what goes in a datagram, and what goes as a transfer.
var lentSizes = []int{0, 1, 1000, 300_000}

func filled(n int, with byte) []byte { return bytes.Repeat([]byte{with}, n) }

// withLent runs a test on a provider and a caller, which offers the same functions: a call goes to either.
func withLent(
	t *testing.T, functions map[string]any, test func(c *clustertest.Cluster, provider, caller *broach.Node),
) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider, caller := c.Pair(simnet.Link{})
		for name, fn := range functions {
			require.NoError(t, provider.Register(name, fn))
			require.NoError(t, caller.Register(name, fn))
			require.NoError(t, caller.WaitFor(context.Background(), name, 2))
		}
		c.Settle(time.Second)
		test(c, provider, caller)
	})
}

// everywhere are the callers of a function here and at another node.
func everywhere(caller *broach.Node, name string, opts ...broach.CallOption) []*broach.Caller {
	return []*broach.Caller{
		caller.Caller(name, append(opts, broach.Local(broach.LocalOnly))...),
		caller.Caller(name, append(opts, broach.Local(broach.LocalNever))...),
	}
}

// A Lent travels as []byte does: whatever the other end uses, the bytes come, of every size, nil as nil.
func TestLentIsBytesToTheOtherEnd(t *testing.T) {
	withLent(t, map[string]any{
		"bytes":     func(b []byte) []byte { return b },
		"lent":      func(b broach.Lent) broach.Lent { return b },
		"mixed":     func(_ context.Context, b broach.Lent) ([]byte, error) { return b.Bytes, nil },
		"reflected": func(_ int, b broach.Lent, _ string) (broach.Lent, error) { return b, nil },
	}, func(_ *clustertest.Cluster, _, caller *broach.Node) {
		ctx := context.Background()
		for _, name := range []string{"bytes", "lent", "mixed"} {
			for _, f := range everywhere(caller, name) {
				for _, n := range lentSizes {
					want := filled(n, byte(n+1))
					requireEcho(t, f, want, want)
					requireEcho(t, f, want, broach.Lent{Bytes: want})
				}
				got, err := broach.Call[broach.Lent](ctx, f, broach.Lent{})
				require.NoError(t, err)
				require.Nil(t, got.Bytes)
				got.Release()
				got, err = broach.Call[broach.Lent](ctx, f, "a text")
				require.NoError(t, err)
				require.Equal(t, "a text", string(got.Bytes))
			}
		}
		for _, f := range everywhere(caller, "reflected") {
			got, err := broach.Call[broach.Lent](ctx, f, 1, []byte("abc"), "x")
			require.NoError(t, err)
			require.Equal(t, "abc", string(got.Bytes))
			plain, err := f.Call(ctx, 1, []byte("abc"), "x")
			require.NoError(t, err)
			require.Equal(t, []byte("abc"), plain, "as any")
		}
		for _, s := range caller.Services() {
			require.NotContains(t, fmt.Sprint(s), "Lent")
		}
		d, err := caller.Describe(ctx, "lent")
		require.NoError(t, err)
		require.Equal(t, "lent([]uint8) []uint8", d.Signature, "as that of []byte")
		require.Equal(t, broach.Type{Kind: "bytes"}, d.Params[0].Type)
		require.Equal(t, broach.Type{Kind: "bytes"}, d.Results[0])
	})
}

func requireEcho(t *testing.T, f *broach.Caller, want []byte, sent any) {
	t.Helper()
	plain, err := broach.Call[[]byte](context.Background(), f, sent)
	require.NoError(t, err)
	got, err := broach.Call[broach.Lent](context.Background(), f, sent)
	require.NoError(t, err)
	require.Equal(t, want, got.Bytes)
	got.Release()
	require.Equal(t, want, plain, "a copy, which stays")
}

// Bound functions lend, too, those of the commonest shapes and others; of several results only one is lent.
func TestBoundFunctionsLend(t *testing.T) {
	withLent(t, map[string]any{
		"echo":  func(b broach.Lent) broach.Lent { return b },
		"twice": func(b broach.Lent) (broach.Lent, []byte) { return b, b.Bytes },
	}, func(_ *clustertest.Cluster, provider, caller *broach.Node) {
		require.NoError(t, provider.Unregister("echo"))
		require.NoError(t, caller.Unregister("twice"), "so that one runs here and the other there")
		ctx := context.Background()
		bytesIn := broach.Bind[func(context.Context, []byte) (broach.Lent, error)](caller, "echo")
		lentIn := broach.Bind[func(broach.Lent) (broach.Lent, error)](caller, "echo")
		type named func([]byte) (broach.Lent, error)
		reflected := broach.Bind[named](caller, "echo")
		two := broach.Bind[func([]byte) (broach.Lent, []byte, error)](caller, "twice")
		both := broach.Bind[func([]byte) (broach.Lent, broach.Lent, error)](caller, "twice")
		type picture broach.Lent
		pictured := broach.Bind[func([]byte) (broach.Lent, picture, error)](caller, "twice")
		for _, n := range lentSizes {
			want := filled(n, 7)
			for _, call := range []func() (broach.Lent, error){
				func() (broach.Lent, error) { return bytesIn(ctx, want) },
				func() (broach.Lent, error) { return lentIn(broach.Lent{Bytes: want}) },
				func() (broach.Lent, error) { return reflected(want) },
			} {
				got, err := call()
				require.NoError(t, err)
				require.Equal(t, want, got.Bytes)
				got.Release()
			}
			a, b, err := two(want)
			require.NoError(t, err)
			require.Equal(t, want, a.Bytes)
			a.Release()
			require.Equal(t, want, b, "a copy of its own")
			c, d, err := both(want)
			require.NoError(t, err)
			c.Release()
			require.Equal(t, want, d.Bytes, "two of a call have nothing in common")
			d.Release()
			c, d, err = both(want)
			require.NoError(t, err)
			d.Release()
			_, _, err = both(filled(n, 8))
			require.NoError(t, err)
			require.Equal(t, want, c.Bytes, "in either order")
			e, p, err := pictured(want)
			require.NoError(t, err)
			e.Release()
			require.Equal(t, want, p.Bytes, "nor if one is of a type that is named after it")
		}
	})
}

// Interceptors may keep what they see, so they and the function between them get copies.
func TestInterceptorsGetCopies(t *testing.T) {
	var kept []broach.Lent
	keep := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
		for _, a := range call.Args() {
			if l, ok := a.(broach.Lent); ok {
				kept = append(kept, l)
			}
		}
		v, err := next(ctx, call)
		kept = append(kept, v.(broach.Lent))
		return v, err
	}
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider, caller := c.Pair(simnet.Link{})
		require.NoError(t, provider.Register("echo", func(b broach.Lent) broach.Lent { return b },
			broach.ServeInterceptors(keep)))
		require.NoError(t, provider.Register("plain", func(b broach.Lent) broach.Lent { return b }))
		require.NoError(t, caller.WaitFor(context.Background(), "plain", 1))
		around := caller.Caller("plain", broach.CallInterceptors(keep))
		for _, n := range lentSizes[1:] {
			for _, f := range []*broach.Caller{caller.Caller("echo"), around} {
				kept = nil
				got, err := broach.Call[broach.Lent](context.Background(), f, broach.Lent{Bytes: filled(n, 1)})
				require.NoError(t, err)
				got.Release()
				for i := range 5 {
					_, err := caller.Caller("plain").Call(context.Background(), filled(n, byte(2+i)))
					require.NoError(t, err)
				}
				require.Len(t, kept, 2)
				require.Equal(t, filled(n, 1), kept[0].Bytes)
				require.Equal(t, filled(n, 1), kept[1].Bytes)
			}
		}
	})
}

// So do those of a function that streams.
func TestInterceptorsOfStreamsGetCopies(t *testing.T) {
	var kept []byte
	keep := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
		kept = call.Args()[0].(broach.Lent).Bytes
		return next(ctx, call)
	}
	bytesOf := func(b broach.Lent) iter.Seq2[byte, error] {
		return func(yield func(byte, error) bool) { yield(b.Bytes[0], nil) }
	}
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider, caller := c.Pair(simnet.Link{})
		require.NoError(t, provider.Register("stream", bytesOf, broach.ServeInterceptors(keep)))
		require.NoError(t, provider.Register("plain", func(b broach.Lent) broach.Lent { return b }))
		require.NoError(t, caller.WaitFor(context.Background(), "plain", 1))
		for _, n := range lentSizes[1:] {
			for b, err := range broach.Stream[byte](context.Background(), caller.Caller("stream"), filled(n, 1)) {
				require.NoError(t, err)
				require.EqualValues(t, 1, b)
			}
			for range 5 {
				_, err := caller.Caller("plain").Call(context.Background(), filled(n, 2))
				require.NoError(t, err)
			}
			require.Equal(t, filled(n, 1), kept)
		}
	})
}

// Events, one-way calls and calls of all lend as calls do, and the loser of a hedged call gives back what it got.
func TestEveryKindOfCallLends(t *testing.T) {
	var got chan []byte
	withLent(t, map[string]any{
		"take": func(b broach.Lent) { got <- bytes.Clone(b.Bytes) },
		"echo": func(b broach.Lent) broach.Lent { return b },
	}, func(_ *clustertest.Cluster, provider, caller *broach.Node) {
		ctx := context.Background()
		got = make(chan []byte, 1)
		_, err := provider.Subscribe("news", func(_ context.Context, b broach.Lent) { got <- bytes.Clone(b.Bytes) })
		require.NoError(t, err)
		require.NoError(t, caller.WaitForSubscribers(ctx, "news", 1))
		for _, n := range []*broach.Node{provider, caller} {
			echo := func(b broach.Lent) broach.Lent { return b }
			require.NoError(t, n.Register("hedged", echo, broach.Idempotent()))
		}
		require.NoError(t, caller.WaitFor(ctx, "hedged", 2))
		hedged := caller.Caller("hedged", broach.Hedge(0), broach.Local(broach.LocalEqual))
		for _, n := range lentSizes {
			want := filled(n, 5)
			for _, f := range everywhere(caller, "take") {
				require.NoError(t, f.Send(ctx, broach.Lent{Bytes: want}))
				require.Equal(t, want, append([]byte{}, <-got...))
			}
			_, err = caller.Publish(ctx, "news", broach.Lent{Bytes: want})
			require.NoError(t, err)
			require.Equal(t, want, append([]byte{}, <-got...))
			for r := range broach.All[broach.Lent](ctx, caller.Caller("echo"), want) {
				require.NoError(t, r.Err)
				require.Equal(t, want, r.Value.Bytes)
				r.Value.Release()
			}
			f := broach.Go[broach.Lent](ctx, hedged, want)
			for range 2 {
				l, err := f.Wait()
				require.NoError(t, err)
				require.Equal(t, want, l.Bytes)
			}
		}
	})
}

// Within another type nobody could say when all of it is given back.
func TestLentWithinATypeIsRefused(t *testing.T) {
	type letter struct{ Text broach.Lent }
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n := c.Start(0)
		for _, fn := range []any{
			func(letter) {}, func(*letter) {}, func([]letter) {}, func([]broach.Lent) {}, func(...broach.Lent) {},
			func(*broach.Lent) {}, func(map[string]broach.Lent) {}, func([2]broach.Lent) {},
			func() letter { return letter{} }, func() []broach.Lent { return nil },
		} {
			require.ErrorContains(t, n.Register("f", fn),
				"broach.Lent can only be a parameter or a result itself, not within", "%T", fn)
		}
		require.NoError(t, n.Register("f", func(any) any { return broach.Lent{Bytes: []byte("abc")} }))
		_, err := n.Caller("f").Call(context.Background(), letter{})
		require.ErrorContains(t, err, "argument 1: broach.Lent can only be a parameter")
		_, err = broach.Call[[]broach.Lent](context.Background(), n.Caller("f"), 1)
		require.ErrorContains(t, err, "result 1: broach.Lent can only be a parameter")
		v, err := n.Caller("f").Call(context.Background(), []any{broach.Lent{Bytes: []byte("abc")}})
		require.NoError(t, err)
		require.Equal(t, []byte("abc"), v, "within an any it is the bytes")
	})
}
