package streams

import (
	"context"
	"iter"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// A stream that runs goes on when its function is not served any more, or not even offered.
func TestAStreamGoesOnWithoutItsFunction(t *testing.T) {
	anywhere(t, func(p place) {
		for name, end := range map[string]func(name string) error{
			"paused": func(name string) error { return p.provider.SetServing(name, false) },
			"gone":   func(name string) error { return p.provider.Unregister(name) },
		} {
			p.offer(name, countTo)
			n := 0
			for v, err := range broach.Stream[int](p.T.Context(), p.caller.Caller(name), 50_000) {
				require.NoError(p.T, err)
				if n++; v == 100 {
					require.NoError(p.T, end(name))
				}
			}
			require.Equal(p.T, 50_000, n, name)
			_, err := all(broach.Stream[int](p.T.Context(), p.caller.Caller(name), 1))
			require.Error(p.T, err, "another does not begin")
		}
	})
}

// Streams go on while the keys of their cluster are changed under them.
func TestAStreamGoesOnUnderOtherKeys(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		first, second := clustertest.KeyOf(1), clustertest.KeyOf(2)
		c.WithKeys(first)
		provider := c.Start(0)
		caller := c.Start(1, 0)
		clustertest.Offer(c, provider, caller, "echo", echo)
		set := func(keys ...[]byte) {
			for _, n := range c.Nodes {
				require.NoError(t, n.SetKeys(keys))
			}
		}
		n := 0
		for v, err := range broach.Stream[int](c.T.Context(), caller.Caller("echo"), countTo(100_000)) {
			require.NoError(t, err)
			switch n++; v {
			case 1000:
				set(first, second)
			case 2000:
				set(second, first)
			case 50_000:
				set(second)
			}
		}
		require.Equal(t, 100_000, n)
	})
}

// Sixteen streams on one link, eight that either side has begun, all in both directions.
func TestSixteenStreamsBothWays(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.WithKeys(clustertest.KeyOf(1))
		a, b := c.Start(0), c.Start(1, 0)
		for _, n := range []*broach.Node{a, b} {
			require.NoError(t, n.Register("echo", echo))
		}
		var reading sync.WaitGroup
		for i := range 16 {
			from, to := a, b
			if i%2 == 0 {
				from, to = b, a
			}
			reading.Go(func() {
				echo := from.Caller("echo", broach.On(to.Addr()), broach.WaitReady())
				items, err := all(broach.Stream[int](c.T.Context(), echo, countTo(5000)))
				if err != nil || len(items) != 5000 {
					t.Errorf("%d of 5000 items: %v", len(items), err)
				}
			})
		}
		reading.Wait()
		require.Zero(t, a.Stats().Running+b.Stats().Running)
	})
}

// listed yields the values of a list.
func listed[T any](list ...T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range list {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// requireEcho holds that items come back as what they are.
func requireEcho[T any](p place, items ...T) {
	p.T.Helper()
	echo := func(in iter.Seq2[T, error]) iter.Seq2[T, error] { return in }
	p.offer("echo", echo)
	got, err := all(broach.Stream[T](p.T.Context(), p.caller.Caller("echo"), listed(items...)))
	require.NoError(p.T, err)
	require.Equal(p.T, items, got)
	require.NoError(p.T, p.provider.Unregister("echo"))
}

// Items may be empty, and nil where their type has a nil; they are told apart.
func TestItemsThatAreEmptyOrNil(t *testing.T) {
	anywhere(t, func(p place) {
		seven := 7
		requireEcho(p, nil, &seven, nil)
		requireEcho(p, nil, []byte{}, []byte{1}, nil)
		requireEcho[any](p, nil, "", int64(1), []any{}, map[string]any{})
		requireEcho(p, "", "", "a")
		requireEcho(p, nil, map[string]int{}, map[string]int{"a": 1})
		requireEcho(p, struct{}{}, struct{}{})
		p.offer("nils", func() iter.Seq2[*int, error] { return listed[*int](nil) })
		_, err := all(broach.Stream[int](p.T.Context(), p.caller.Caller("nils")))
		e := clustertest.RequireError(p.T, err, broach.InvalidArgument, broach.Yes)
		require.Equal(p.T, "item 1: nil does not fit int", e.Message)
	})
}

// An Interceptor that calls next in two goroutines at once, which it may not, runs the stream once, at either end.
func TestInterceptorsThatCallNextTwiceAtOnce(t *testing.T) {
	both := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
		var running sync.WaitGroup
		errs := make(chan error, 2)
		for range 2 {
			running.Go(func() {
				_, err := next(ctx, call)
				errs <- err
			})
		}
		running.Wait()
		if a, b := <-errs, <-errs; (a == nil) == (b == nil) {
			t.Errorf("one has run: %v, %v", a, b)
		}
		return nil, nil
	}
	anywhere(t, func(p place) {
		slow := func(n int) iter.Seq2[int, error] {
			time.Sleep(time.Second) // until next was called twice
			return countTo(n)
		}
		p.offer("list", slow)
		p.offer("served", slow, broach.ServeInterceptors(both))
		for _, c := range []*broach.Caller{
			p.caller.Caller("list", broach.CallInterceptors(both)), p.caller.Caller("served"),
		} {
			items, err := all(broach.Stream[int](p.T.Context(), c, 3))
			require.NoError(p.T, err)
			require.Equal(p.T, []int{1, 2, 3}, items)
		}
	})
}
