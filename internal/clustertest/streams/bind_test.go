package streams

import (
	"context"
	"iter"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// row is an item that needs reflection.
type row struct {
	Key string
	N   int
}

// shop has methods that stream.
type shop struct{}

func (shop) List(prefix string, n int) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		for i := range n {
			if !yield(row{prefix, i}, nil) {
				return
			}
		}
	}
}

func (shop) Add(_ context.Context, in iter.Seq2[row, error]) (total int, _ error) {
	for r, err := range in {
		if err != nil {
			return total, err
		}
		total += r.N
	}
	return total, nil
}

// client is a program's view of it.
type client struct {
	List func(ctx context.Context, prefix string, n int) iter.Seq2[row, error]
	Add  func(ctx context.Context, in iter.Seq2[row, error]) (int, error)
}

// What RegisterAll offers, BindAll finds.
func TestBindAllOfStreams(t *testing.T) {
	anywhere(t, func(p place) {
		require.NoError(p.T, p.provider.RegisterAll("shop", shop{}))
		require.NoError(p.T, p.caller.WaitFor(p.T.Context(), "shop.Add", 1))
		var c client
		broach.BindAll(p.caller, "shop", &c)
		rows, err := all(c.List(p.T.Context(), "a", 2))
		require.NoError(p.T, err)
		require.Equal(p.T, []row{{"a", 0}, {"a", 1}}, rows)
		total, err := c.Add(p.T.Context(), shop{}.List("b", 4))
		require.NoError(p.T, err)
		require.Equal(p.T, 6, total)
	})
}

// Bind takes every form of a stream.
func TestBindOfStreams(t *testing.T) {
	anywhere(t, func(p place) {
		ctx := p.T.Context()
		p.offer("list", countTo)
		p.offer("echo", func(in iter.Seq2[int, error]) iter.Seq2[int, error] { return in })
		list := broach.Bind[func(context.Context, int) iter.Seq2[int, error]](p.caller, "list")
		for range 2 {
			items, err := all(list(ctx, 3))
			require.NoError(p.T, err)
			require.Equal(p.T, []int{1, 2, 3}, items)
		}
		for n, err := range list(ctx, 3) {
			require.NoError(p.T, err)
			require.Equal(p.T, 1, n)
			break
		}
		withError := broach.Bind[func(n int) (iter.Seq2[int8, error], error)](p.caller, "list")
		s, err := withError(3)
		require.NoError(p.T, err)
		small, err := all(s)
		require.NoError(p.T, err)
		require.Equal(p.T, []int8{1, 2, 3}, small)
		s, _ = withError(300)
		small, err = all(s)
		e := clustertest.RequireError(p.T, err, broach.InvalidArgument, broach.Yes)
		require.Equal(p.T, "item 128: 128 does not fit int8", e.Message)
		require.Len(p.T, small, 127)
		echo := broach.Bind[func(iter.Seq2[int, error]) func(func(any, error) bool)](p.caller, "echo")
		anything, err := all(echo(countTo(2)))
		require.NoError(p.T, err)
		require.Equal(p.T, []any{int64(1), int64(2)}, anything)
	})
}

// What cannot be bound, and what cannot be registered.
func TestStreamsThatCannotBe(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n := c.Start(0)
		for _, c := range []struct {
			fn   any
			text string
		}{
			{func(iter.Seq2[int, error], int) {},
				"parameter 1: iter.Seq2[int,error] streams; only the last parameter may"},
			{func() (iter.Seq2[int, error], int) { return nil, 0 },
				"result 1: iter.Seq2[int,error] streams; only a result without others may"},
			{func() iter.Seq[int] { return nil }, "result 1: iter.Seq[int] cannot be sent: it yields no errors; " +
				"a stream is an iter.Seq2 whose second type is error"},
			{func(iter.Seq2[chan int, error]) {}, "parameter 1: items of a stream: chan int cannot be sent"},
			{func() iter.Seq2[func(), error] { return nil }, "result 1: items of a stream: func() cannot be sent"},
		} {
			require.ErrorContains(t, n.Register("f", c.fn), c.text)
		}
		require.PanicsWithValue(t, `broach: Bind("f"): parameter 1: items of a stream: chan int cannot be sent`,
			func() { broach.Bind[func(iter.Seq2[chan int, error]) error](n, "f") })
		require.PanicsWithValue(t, `broach: Bind("f"): result 1: items of a stream: chan int cannot be sent`,
			func() { broach.Bind[func() iter.Seq2[chan int, error]](n, "f") })
		require.PanicsWithValue(t, `broach: Bind("f"): parameter 1: iter.Seq2[int,error] streams; only the last `+
			`parameter may`, func() { broach.Bind[func(iter.Seq2[int, error], int) error](n, "f") })
		require.Panics(t, func() { broach.Bind[func() iter.Seq[int]](n, "f") })
	})
}

// A Description says what streams, and signatures do.
func TestDescriptionsOfStreams(t *testing.T) {
	anywhere(t, func(p place) {
		p.offer("list", shop{}.List, broach.Doc("list(prefix, n) lists rows"))
		p.offer("add", shop{}.Add)
		d, err := p.caller.Describe(p.T.Context(), "list")
		require.NoError(p.T, err)
		require.Equal(p.T, "list(string, int) stream streams.row", d.Signature)
		require.True(p.T, d.StreamsOut)
		require.False(p.T, d.StreamsIn)
		require.Equal(p.T, "prefix", d.Params[0].Name)
		require.Equal(p.T, "struct", d.Results[0].Kind)
		d, err = p.caller.Describe(p.T.Context(), "add")
		require.NoError(p.T, err)
		require.Equal(p.T, "add(stream streams.row) int", d.Signature)
		require.True(p.T, d.StreamsIn)
		require.Equal(p.T, "struct", d.Params[0].Type.Kind)
		require.Len(p.T, d.Params, 1)
	})
}

// Strict compares the fields of items as those of arguments and results.
func TestStrictComparesItems(t *testing.T) {
	type fewer struct{ Key string }
	anywhere(t, func(p place) {
		p.offer("list", shop{}.List)
		p.offer("add", shop{}.Add)
		strict := func(name string) *broach.Caller { return p.caller.Caller(name, broach.Strict(), broach.NoRetry()) }
		_, err := all(broach.Stream[fewer](p.T.Context(), strict("list"), "a", 1))
		e := clustertest.RequireError(p.T, err, broach.InvalidArgument, broach.No)
		require.Contains(p.T, e.Message, "N")
		fewers := func(yield func(fewer, error) bool) { yield(fewer{}, nil) }
		_, err = broach.Call[int](p.T.Context(), strict("add"), fewers)
		clustertest.RequireError(p.T, err, broach.InvalidArgument, broach.No)
		rows, err := all(broach.Stream[row](p.T.Context(), strict("list"), "a", 1))
		require.NoError(p.T, err)
		require.Len(p.T, rows, 1)
		_, err = broach.Call[int](p.T.Context(), strict("add"), shop{}.List("a", 1))
		require.NoError(p.T, err)
	})
}

// Leave ends the ctx of streams without a deadline at once, with the cause ErrDraining, and the reader gets Draining.
func TestLeaveEndsFeedsAnywhere(t *testing.T) {
	anywhere(t, func(p place) {
		w := newWatched()
		p.offer("feed", w.feed)
		left := make(chan error, 1)
		var last error
		for _, err := range broach.Stream[int](p.T.Context(), p.caller.Caller("feed")) {
			if last = err; err == nil {
				go func() { left <- p.provider.Leave(p.T.Context()) }()
			}
		}
		clustertest.RequireError(p.T, last, broach.Draining, broach.Yes)
		require.Equal(p.T, broach.ErrDraining, w.requireEnd(p.T, time.Second))
		require.NoError(p.T, <-left)
	})
}

// It also ends a function that looks at no ctx and never waits for who reads or sends.
func TestLeaveEndsWhoLooksAtNoContext(t *testing.T) {
	tick := func(yield func(int, error) bool) {
		for n := 0; yield(n, nil); n++ {
			time.Sleep(time.Millisecond)
		}
	}
	read := func(in iter.Seq2[int, error]) error {
		for _, err := range in {
			if err != nil {
				return err
			}
			time.Sleep(time.Millisecond)
		}
		return nil
	}
	anywhere(t, func(p place) {
		p.offer("tick", func() iter.Seq2[int, error] { return tick })
		p.offer("read", read)
		p.offer("echo", func(in iter.Seq2[int, error]) iter.Seq2[int, error] { return in })
		failed := make(chan error, 3)
		go func() { failed <- read(broach.Stream[int](p.T.Context(), p.caller.Caller("tick"))) }()
		go func() { failed <- read(broach.Stream[int](p.T.Context(), p.caller.Caller("echo"), tick)) }()
		go func() {
			_, err := p.caller.Caller("read").Call(p.T.Context(), iter.Seq2[int, error](count))
			failed <- err
		}()
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(p.T.Context(), time.Second)
		defer cancel()
		require.NoError(p.T, p.provider.Leave(ctx))
		for range 3 {
			clustertest.RequireError(p.T, <-failed, broach.Draining, broach.Yes)
		}
		time.Sleep(time.Second) // what is sent to echo ends at its next yield, and nobody waits for that
	})
}

// One with a deadline is served to its end.
func TestLeaveWaitsForStreamsWithADeadline(t *testing.T) {
	anywhere(t, func(p place) {
		p.offer("slow", func() iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for n := 1; n <= 3 && yield(n, nil); n++ {
					time.Sleep(time.Second)
				}
			}
		})
		var items []int
		left := make(chan error, 1)
		for n, err := range broach.Stream[int](p.T.Context(), p.caller.Caller("slow", broach.Timeout(time.Minute))) {
			require.NoError(p.T, err)
			if items = append(items, n); n == 1 {
				go func() { left <- p.provider.Leave(p.T.Context()) }()
			}
		}
		require.Equal(p.T, []int{1, 2, 3}, items)
		require.NoError(p.T, <-left)
	})
}

// A node that is closed ends its streams.
func TestCloseEndsStreams(t *testing.T) {
	anywhere(t, func(p place) {
		w := newWatched()
		p.offer("feed", w.feed)
		var last error
		for _, err := range broach.Stream[int](p.T.Context(), p.caller.Caller("feed")) {
			if last = err; err == nil {
				_ = p.caller.Close()
			}
		}
		require.ErrorIs(p.T, last, broach.ErrClosed)
		w.requireEnd(p.T, 10*time.Second)
	})
}
