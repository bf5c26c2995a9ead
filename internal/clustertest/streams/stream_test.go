package streams

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// Nothing is sent before the loop begins; ranging again is another call.
func TestAStreamIsLazy(t *testing.T) {
	anywhere(t, func(p place) {
		var calls atomic.Int32
		p.offer("list", func(n int) iter.Seq2[int, error] {
			calls.Add(1)
			return countTo(n)
		})
		args := []any{3}
		list := broach.Stream[int](p.T.Context(), p.caller.Caller("list"), args...)
		args[0] = "changed"
		require.Zero(p.T, calls.Load())
		for i := range 2 {
			items, err := all(list)
			require.NoError(p.T, err)
			require.Equal(p.T, []int{1, 2, 3}, items)
			require.EqualValues(p.T, i+1, calls.Load())
		}
		require.EqualValues(p.T, 2, clustertest.CountsOf(p.caller.Stats().Called, "list").Calls)
	})
}

// Leaving the loop gives the call up: the provider's next yield returns false and its ctx ends.
func TestLeavingTheLoopReachesTheFunction(t *testing.T) {
	anywhere(t, func(p place) {
		for name, fn := range map[string]func(watched) any{
			"in yield": func(w watched) any { return w.count }, "waiting": func(w watched) any { return w.feed },
		} {
			w := newWatched()
			p.offer(name, fn(w))
			for n, err := range broach.Stream[int](p.T.Context(), p.caller.Caller(name)) {
				require.NoError(p.T, err)
				require.Equal(p.T, 1, n)
				break
			}
			require.Equal(p.T, context.Canceled, w.requireEnd(p.T, 50*time.Millisecond), name)
		}
		p.Until(time.Second, "no call runs", func() bool { return p.provider.Stats().Running == 0 })
	})
}

// So does a loop that panics, or ends its goroutine.
func TestALoopThatPanicsEndsTheFunction(t *testing.T) {
	anywhere(t, func(p place) {
		for name, end := range map[string]func(){"panic": func() { panic("boom") }, "exit": runtime.Goexit} {
			w := newWatched()
			p.offer(name, w.count)
			done := make(chan any)
			go func() {
				defer func() { done <- recover() }()
				for range broach.Stream[int](p.T.Context(), p.caller.Caller(name)) {
					end()
				}
			}()
			v := <-done
			require.Equal(p.T, name == "panic", v == "boom")
			w.requireEnd(p.T, 50*time.Millisecond)
		}
	})
}

// A reader that does not read holds the writer.
func TestAWriterWaitsForItsReader(t *testing.T) {
	anywhere(t, func(p place) {
		var yielded atomic.Int64
		item := make([]byte, 10000)
		p.offer("bytes", func() iter.Seq2[[]byte, error] {
			return func(yield func([]byte, error) bool) {
				for yield(item, nil) {
					yielded.Add(1)
				}
			}
		})
		read := int64(0)
		for _, err := range broach.Stream[[]byte](p.T.Context(), p.caller.Caller("bytes")) {
			require.NoError(p.T, err)
			time.Sleep(time.Second) // in which the writer could do a lot
			if read++; read == 100 {
				break
			}
			require.LessOrEqual(p.T, (yielded.Load()-read)*10000, int64(1<<20), "bytes on their way")
		}
	})
}

// A stream has the deadline of ctx or of Timeout, and if there is none, none.
func TestDeadlinesOfStreams(t *testing.T) {
	anywhere(t, func(p place) {
		w := newWatched()
		p.offer("feed", w.feed)
		feed := p.caller.Caller("feed")
		ctx, cancel := context.WithTimeout(p.T.Context(), time.Second)
		defer cancel()
		for _, s := range []iter.Seq2[int, error]{
			broach.Stream[int](ctx, feed),
			broach.Stream[int](p.T.Context(), feed.With(broach.Timeout(time.Second))),
		} {
			began := time.Now()
			items, err := all(s)
			require.ErrorIs(p.T, err, broach.ErrDeadlineExceeded)
			require.Equal(p.T, []int{1}, items)
			require.Equal(p.T, time.Second, time.Since(began))
			w.requireEnd(p.T, time.Second)
		}
		ctx, cancel = context.WithCancel(p.T.Context())
		time.AfterFunc(2*time.Minute, cancel)
		began := time.Now()
		_, err := all(broach.Stream[int](ctx, feed))
		clustertest.RequireError(p.T, err, broach.Canceled, broach.Maybe)
		require.InDelta(p.T, 2*time.Minute, time.Since(began), float64(time.Second), "it has no deadline of its own")
		w.requireEnd(p.T, time.Second)
	})
}

// The function of a stream without a deadline has none either; else it has that of the call.
func TestAFunctionSeesTheDeadline(t *testing.T) {
	anywhere(t, func(p place) {
		p.offer("left", func(ctx context.Context) iter.Seq2[time.Duration, error] {
			return func(yield func(time.Duration, error) bool) {
				at, ok := ctx.Deadline()
				if !ok {
					yield(-1, nil)
					return
				}
				yield(time.Until(at), nil)
			}
		})
		left := p.caller.Caller("left")
		got, err := all(broach.Stream[time.Duration](p.T.Context(), left))
		require.NoError(p.T, err)
		require.Equal(p.T, []time.Duration{-1}, got)
		got, err = all(broach.Stream[time.Duration](p.T.Context(), left.With(broach.Timeout(time.Minute))))
		require.NoError(p.T, err)
		require.InDelta(p.T, time.Minute, got[0], float64(time.Second))
	})
}

// StreamIdle ends a stream that has brought nothing for a time, while the loop waited.
func TestStreamIdle(t *testing.T) {
	anywhere(t, func(p place) {
		w := newWatched()
		p.offer("feed", w.feed)
		p.offer("slow", func() iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for n := range 5 {
					time.Sleep(900 * time.Millisecond)
					yield(n, nil)
				}
			}
		})
		idle := broach.StreamIdle(time.Second)
		began := time.Now()
		items, err := all(broach.Stream[int](p.T.Context(), p.caller.Caller("feed", idle)))
		e := clustertest.RequireError(p.T, err, broach.DeadlineExceeded, broach.Maybe)
		require.Equal(p.T, "the stream brought nothing for 1s", e.Message)
		require.Equal(p.T, []int{1}, items)
		require.InDelta(p.T, time.Second, time.Since(began), float64(100*time.Millisecond))
		w.requireEnd(p.T, time.Second)
		for _, err := range broach.Stream[int](p.T.Context(), p.caller.Caller("slow", idle)) {
			require.NoError(p.T, err, "neither a slow function nor a slow loop is idle")
			time.Sleep(2 * time.Second)
		}
		_, err = all(broach.Stream[int](p.T.Context(), p.caller.Caller("slow", broach.StreamIdle(0))))
		clustertest.RequireError(p.T, err, broach.InvalidArgument, broach.No)
	})
}

// An error that the caller's sequence yields gives the call up, and is found in the error of that; so does a panic.
func TestASequenceThatFails(t *testing.T) {
	anywhere(t, func(p place) {
		errMilk := errors.New("no milk")
		began, seen := make(chan bool), make(chan error, 1)
		p.offer("sum", func(in iter.Seq2[int, error]) (int, error) {
			began <- true // or the call may be given up before it runs
			n, err := sum(in)
			seen <- err
			return n, err
		})
		for text, seq := range map[string]iter.Seq2[int, error]{
			"the sequence of the caller failed: no milk": func(yield func(int, error) bool) {
				require.True(p.T, yield(1, nil))
				<-began
				require.False(p.T, yield(0, errMilk))
				require.False(p.T, yield(2, nil))
			},
			"the sequence of the caller panicked": func(yield func(int, error) bool) {
				yield(1, nil)
				<-began
				panic("boom")
			},
		} {
			_, err := broach.Call[int](p.T.Context(), p.caller.Caller("sum"), seq)
			e, ok := errors.AsType[*broach.Error](err)
			require.True(p.T, ok)
			require.Equal(p.T, text, e.Message)
			require.Equal(p.T, broach.Maybe, e.Executed)
			require.Equal(p.T, e.Code == broach.Canceled, errors.Is(err, errMilk))
			require.ErrorIs(p.T, <-seen, context.Canceled)
		}
	})
}

// When the call is over the sequence's yield reports false, and nobody waits for that.
func TestASequenceOutlivesItsCall(t *testing.T) {
	anywhere(t, func(p place) {
		goOn, goneOn := make(chan bool), make(chan bool)
		p.offer("first", func(in iter.Seq2[int, error]) (first int) {
			for n := range in {
				return n
			}
			return 0
		})
		n, err := broach.Call[int](p.T.Context(), p.caller.Caller("first"), func(yield func(int, error) bool) {
			yield(7, nil)
			<-goOn
			goneOn <- yield(8, nil)
		})
		require.NoError(p.T, err)
		require.Equal(p.T, 7, n)
		goOn <- true
		require.False(p.T, <-goneOn)
	})
}

// So does that of a call which was refused, though nobody has taken an item.
func TestASequenceOutlivesItsRefusedCall(t *testing.T) {
	anywhere(t, func(p place) {
		goOn, goneOn := make(chan bool), make(chan bool)
		p.offer("sum", sum, broach.Authorize(func(context.Context, *broach.Invocation) error {
			<-goOn // until there is an item
			return errors.New("not you")
		}))
		_, err := broach.Call[int](p.T.Context(), p.caller.Caller("sum"), func(yield func(int, error) bool) {
			yield(7, nil)
			goOn <- true
			<-goOn
			goneOn <- yield(8, nil)
		})
		clustertest.RequireError(p.T, err, broach.Unauthenticated, broach.No)
		goOn <- true
		require.False(p.T, <-goneOn)
	})
}

// What a function is told of its input when the caller gives up.
func TestAnInputEndsWithItsCall(t *testing.T) {
	anywhere(t, func(p place) {
		seen := make(chan error, 1)
		p.offer("sum", func(in iter.Seq2[int, error]) error {
			_, err := sum(in)
			seen <- err
			return err
		})
		hold := make(chan bool)
		defer close(hold)
		_, err := broach.Call[any](p.T.Context(), p.caller.Caller("sum", broach.Timeout(time.Second)),
			func(yield func(int, error) bool) { yield(1, nil); <-hold })
		require.ErrorIs(p.T, err, broach.ErrDeadlineExceeded)
		err = <-seen
		require.True(p.T, errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled), err)
	})
}

// The input that a function keeps beyond its call says that it is over.
func TestAnInputIsNotReadAfterItsCall(t *testing.T) {
	anywhere(t, func(p place) {
		var kept iter.Seq2[int, error]
		p.offer("keep", func(in iter.Seq2[int, error]) { kept = in })
		_, err := p.caller.Caller("keep").Call(p.T.Context(), countTo(3))
		require.NoError(p.T, err)
		_, err = all(kept)
		require.ErrorIs(p.T, err, context.Canceled)
	})
}

// A function that yields from several goroutines at once is told so, and its caller gets no item that is mixed up.
func TestAFunctionThatYieldsFromTwoGoroutines(t *testing.T) {
	anywhere(t, func(p place) {
		p.offer("two", func() iter.Seq2[[]byte, error] {
			return func(yield func([]byte, error) bool) {
				yield([]byte("a"), nil)
				go yield(make([]byte, 1<<20), nil)
				time.Sleep(time.Millisecond)
				yield([]byte("c"), nil)
			}
		})
		var last error
		for v, err := range broach.Stream[[]byte](p.T.Context(), p.caller.Caller("two")) {
			time.Sleep(time.Second) // so that the large item waits
			require.Equal(p.T, err == nil, string(v) == "a")
			last = err
		}
		e := clustertest.RequireError(p.T, last, broach.Internal, broach.Yes)
		require.Contains(p.T, e.Message, "two goroutines")
	})
}

// A thousand streams at once, both ways.
func TestAThousandStreams(t *testing.T) {
	anywhere(t, func(p place) {
		p.offer("echo", func(in iter.Seq2[int, error]) iter.Seq2[int, error] { return in })
		ended := make(chan error)
		for range 1000 {
			go func() {
				items, err := all(broach.Stream[int](p.T.Context(), p.caller.Caller("echo"), countTo(100)))
				if err == nil && len(items) != 100 {
					err = errors.New("some are missing")
				}
				ended <- err
			}()
		}
		for range 1000 {
			require.NoError(p.T, <-ended)
		}
		synctest.Wait()
		require.Zero(p.T, p.provider.Stats().Running)
	})
}
