package streams

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// sized yields items of these sizes.
func sized(sizes ...int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, n := range sizes {
			if !yield(make([]byte, n), nil) {
				return
			}
		}
	}
}

// An item has at most MaxMessage bytes, 5 of them for its length, on its way in and out, whatever the other end allows.
func TestItemsHaveALimit(t *testing.T) {
	const most = 1 << 20
	anywhere(t, func(p place) {
		p.offer("sized", func(sizes ...int) iter.Seq2[[]byte, error] { return sized(sizes...) })
		p.offer("size", func(in iter.Seq2[[]byte, error]) (size int, _ error) {
			for b, err := range in {
				if err != nil {
					return size, err
				}
				size += len(b)
			}
			return size, nil
		})
		ctx := p.T.Context()
		items, err := all(broach.Stream[[]byte](ctx, p.caller.Caller("sized"), most-5, 0, most-4))
		e := clustertest.RequireError(p.T, err, broach.TooLarge, broach.Yes)
		require.Equal(p.T, "the bytes of item 3 have more than the 1048576 bytes that are allowed", e.Message)
		require.Len(p.T, items, 2)
		size, err := broach.Call[int](ctx, p.caller.Caller("size"), sized(most-5, 7))
		require.NoError(p.T, err)
		require.Equal(p.T, most+2, size)
		_, err = broach.Call[int](ctx, p.caller.Caller("size"), sized(7, most-4))
		require.ErrorIs(p.T, err, broach.ErrTooLarge)
	}, func(cfg *broach.Config) { cfg.MaxMessage = most })
}

// A caller that allows less than its provider sends ends the stream.
func TestItemsAboveTheLimitOfTheReader(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider := c.Start(0)
		caller := c.StartWith(1, func(cfg *broach.Config) { cfg.MaxMessage = 64 << 10 }, 0)
		clustertest.Offer(c, provider, caller, "sized", func(sizes ...int) iter.Seq2[[]byte, error] {
			return sized(sizes...)
		})
		items, err := all(broach.Stream[[]byte](c.T.Context(), caller.Caller("sized"), 60<<10, 100<<10))
		e := clustertest.RequireError(t, err, broach.Internal, broach.Yes)
		require.Equal(t, "item 2: an item has more bytes than are allowed", e.Message)
		require.Len(t, items, 1)
		c.Until(time.Second, "the function has ended", func() bool { return provider.Stats().Running == 0 })
	})
}

// Many goroutines range over one sequence: each range is a call of its own.
func TestOneSequenceInManyLoops(t *testing.T) {
	anywhere(t, func(p place) {
		p.offer("list", shop{}.List)
		bound := broach.Bind[func(string, int) iter.Seq2[row, error]](p.caller, "list")
		for _, s := range []iter.Seq2[row, error]{
			broach.Stream[row](p.T.Context(), p.caller.Caller("list"), "a", 500), bound("a", 500),
		} {
			var loops sync.WaitGroup
			for range 20 {
				loops.Go(func() {
					n := 0
					for r, err := range s {
						if err != nil || r != (row{"a", n}) {
							p.T.Errorf("row %d: %v %v", n, r, err)
						}
						n++
					}
					if n != 500 {
						p.T.Errorf("%d rows", n)
					}
				})
			}
			loops.Wait()
		}
	})
}

// A function that streams makes calls that stream, which are part of the call it serves and end with it.
func TestStreamsWithinStreams(t *testing.T) {
	anywhere(t, func(p place) {
		w := newWatched()
		p.offer("inner", w.count)
		p.offer("outer", func(ctx context.Context) iter.Seq2[int, error] {
			return broach.Stream[int](ctx, p.provider.Caller("inner"))
		})
		for n, err := range broach.Stream[int](p.T.Context(), p.caller.Caller("outer")) {
			require.NoError(p.T, err)
			if n == 1000 {
				break
			}
		}
		w.requireEnd(p.T, time.Second)
	})
}

// The error of a stream within a stream keeps its code.
func TestErrorsOfStreamsWithinStreams(t *testing.T) {
	anywhere(t, func(p place) {
		p.offer("inner", func() iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				yield(1, nil)
				yield(0, broach.Errorf(1001, "sold out"))
			}
		})
		p.offer("outer", func(ctx context.Context) iter.Seq2[int, error] {
			return broach.Stream[int](ctx, p.provider.Caller("inner"))
		})
		items, err := all(broach.Stream[int](p.T.Context(), p.caller.Caller("outer")))
		clustertest.RequireError(p.T, err, broach.Code(1001), broach.Yes)
		require.Equal(p.T, []int{1}, items)
	})
}

func echo(in iter.Seq2[int, error]) iter.Seq2[int, error] { return in }

// Guests stream as members do, and so do nodes with keys.
func TestStreamsOfGuestsAndWithKeys(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.WithKeys(clustertest.KeyOf(1))
		provider := c.Start(0)
		require.NoError(t, provider.Register("echo", echo))
		guest := c.StartWith(1, func(cfg *broach.Config) { cfg.Guest = true }, 0)
		items, err := all(broach.Stream[int](c.T.Context(), guest.Caller("echo"), countTo(20000)))
		require.NoError(t, err)
		require.Len(t, items, 20000)
	})
}

// Where the arguments do not fit the own node, the stream comes from one whose signature they fit, and goes there from
// the first attempt on.
func TestStreamsGoWhereTheirArgumentsFit(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		other, n := c.Start(0), c.Start(1, 0)
		clustertest.Offer(c, other, n, "echo", func(s string, in iter.Seq2[int, error]) iter.Seq2[int, error] {
			return in
		})
		require.NoError(t, n.Register("echo",
			func(_ int, in iter.Seq2[int, error]) iter.Seq2[int, error] { return in }))
		for range 3 {
			items, err := all(broach.Stream[int](c.T.Context(), n.Caller("echo"), "a", countTo(3)))
			require.NoError(t, err)
			require.Equal(t, []int{1, 2, 3}, items)
		}
		require.EqualValues(t, 3, clustertest.CountsOf(other.Stats().Served, "echo").Calls)
		require.EqualValues(t, 1, clustertest.CountsOf(n.Stats().Served, "echo").Calls, "it was asked once")

		// what does not fit as a stream says nothing of what fits as a call
		clustertest.Offer(c, other, n, "plain", func(int) int { return 1 })
		require.NoError(t, n.Register("plain", func(m int) iter.Seq2[int, error] { return countTo(m) }))
		for range 3 {
			one, err := broach.Call[int](c.T.Context(), n.Caller("plain"), 3)
			require.NoError(t, err)
			require.Equal(t, 1, one)
			items, err := all(broach.Stream[int](c.T.Context(), n.Caller("plain"), 3))
			require.NoError(t, err)
			require.Equal(t, []int{1, 2, 3}, items)
		}
	})
}

// A call that cannot even begin does not touch the sequence.
func TestASequenceIsNotTouchedInVain(t *testing.T) {
	anywhere(t, func(p place) {
		p.offer("sum", sum)
		seq := func(func(int, error) bool) { p.T.Error("it is ranged over") }
		ctx, cancel := context.WithCancel(p.T.Context())
		cancel()
		_, err := broach.Call[int](ctx, p.caller.Caller("sum"), seq)
		clustertest.RequireError(p.T, err, broach.Canceled, broach.No)
		_, err = broach.Call[int](p.T.Context(), p.caller.Caller("nothing"), seq)
		clustertest.RequireError(p.T, err, broach.NotFound, broach.No)
		_, err = broach.Call[chan int](p.T.Context(), p.caller.Caller("sum"), seq)
		clustertest.RequireError(p.T, err, broach.InvalidArgument, broach.No)
		_, err = p.caller.Publish(p.T.Context(), "topic", seq)
		require.ErrorContains(p.T, err, "cannot be sent")
	})
}

// A stream waits for a provider as calls do.
func TestWaitReadyOfStreams(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n := c.Start(0)
		time.AfterFunc(time.Minute, func() { _ = n.Register("list", countTo) })
		items, err := all(broach.Stream[int](c.T.Context(), n.Caller("list", broach.WaitReady()), 3))
		require.NoError(t, err)
		require.Equal(t, []int{1, 2, 3}, items)
		for _, limit := range []broach.CallOption{broach.StreamIdle(time.Second), broach.Timeout(time.Second)} {
			never := n.Caller("never", broach.WaitReady(), limit)
			_, err = all(broach.Stream[int](c.T.Context(), never))
			require.ErrorIs(t, err, broach.ErrDeadlineExceeded)
		}
	})
}

// Registered errors come through a stream.
func TestRegisteredErrorsComeThroughStreams(t *testing.T) {
	anywhere(t, func(p place) {
		p.offer("fail", func() iter.Seq2[int, error] {
			return func(yield func(int, error) bool) { yield(0, fmt.Errorf("here: %w", errSoldOut)) }
		})
		_, err := all(broach.Stream[int](p.T.Context(), p.caller.Caller("fail")))
		require.ErrorIs(p.T, err, errSoldOut)
	})
}

var errSoldOut = errors.New("sold out")

func init() { broach.RegisterError("streams: sold out", errSoldOut) }
