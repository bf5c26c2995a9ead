package streams

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// [STR-3] The room is 256 KiB: a reader that stops holds the writer, and no more than 1 MiB of what it has yielded has
// not been read.
func TestAReaderThatStopsHoldsTheWriter(t *testing.T) {
	inPair(t, 1000, func(c *clustertest.Cluster, s *source, _, caller *broach.Node) {
		read := 0
		for _, err := range broach.Stream[item](c.T.Context(), caller.Caller("numbers"), 0) {
			require.NoError(t, err)
			if read++; read != 1000 && read != 3000 {
				continue
			}
			time.Sleep(time.Second)
			before, datagrams := s.yielded.Load(), c.Net.Stats().Sent.Datagrams
			require.Less(t, (before-int64(read))*1000, int64(1<<20))
			time.Sleep(10 * time.Second)
			require.Equal(t, before, s.yielded.Load(), "it waits")
			require.Less(t, c.Net.Stats().Sent.Datagrams-datagrams, uint64(400), "and little is said meanwhile")
			if read == 3000 {
				break
			}
		}
		time.Sleep(time.Second)
		require.Zero(t, s.running.Load())
	})
}

// Leaving the loop ends the function within a round trip: its next yield reports false, and its ctx ends.
func TestLeavingTheLoopEndsTheFunctionWithinOneWay(t *testing.T) {
	inPair(t, 1000, func(c *clustertest.Cluster, s *source, _, caller *broach.Node) {
		const way = 20 * time.Millisecond
		c.Net.SetDefault(simnet.Link{Delay: way})
		for _, name := range []string{"numbers", "feed"} {
			for range broach.Stream[item](c.T.Context(), caller.Caller(name), 0) {
				break
			}
			time.Sleep(way + time.Millisecond)
			require.Zero(t, s.running.Load(), name)
		}
		require.Equal(t, int64(1), s.ended.Load())
	})
}

// 1,000 streams at once.
func TestAThousandStreamsAtOnce(t *testing.T) {
	inPair(t, 100, func(c *clustertest.Cluster, s *source, provider, caller *broach.Node) {
		c.Net.SetDefault(simnet.Link{Loss: 0.01})
		var done sync.WaitGroup
		var failed atomic.Pointer[error]
		for range 1000 {
			done.Go(func() {
				if n, err := readAll(c.T.Context(), caller.Caller("numbers"), 50); err != nil || n != 50 {
					err = errors.Join(err, errors.New("not all came"))
					failed.Store(&err)
				}
			})
		}
		done.Wait()
		if err := failed.Load(); err != nil {
			require.NoError(t, *err)
		}
		require.Zero(t, s.running.Load())
		require.Equal(t, int64(50_000), s.yielded.Load())
	})
}

// One more than there may be at a time to a peer is Overloaded, which is not Unreachable: the loop of a feed would ask
// for another again at once. Plain calls have room beside them, and who ends makes room.
func TestMoreStreamsThanThereMayBe(t *testing.T) {
	inPair(t, 10, func(c *clustertest.Cluster, s *source, provider, caller *broach.Node) {
		clustertest.Offer(c, provider, caller, "plain", func() {})
		ctx, cancel := context.WithCancel(c.T.Context())
		var done sync.WaitGroup
		for range 1024 {
			done.Go(func() {
				for range broach.Stream[item](ctx, caller.Caller("feed"), 0) {
				}
			})
		}
		time.Sleep(time.Second)
		require.Equal(t, int64(1024), s.running.Load())
		_, err := readAll(c.T.Context(), caller.Caller("numbers"), 10)
		e := clustertest.RequireError(t, err, broach.Overloaded, broach.No)
		require.Equal(t, "1,024 calls with streams are in flight to the peer", e.Message)
		_, err = caller.Caller("plain").Call(c.T.Context())
		require.NoError(t, err)
		cancel()
		done.Wait()
		n, err := readAll(c.T.Context(), caller.Caller("numbers"), 10)
		require.NoError(t, err)
		require.Equal(t, 10, n)
	})
}

// A provider that is killed: Unreachable within the time in which that is found out.
func TestAProviderThatIsKilled(t *testing.T) {
	for _, name := range []string{"numbers", "feed"} {
		inPair(t, 100, func(c *clustertest.Cluster, s *source, provider, caller *broach.Node) {
			var killed time.Time
			items, err := 0, error(nil)
			for _, err = range broach.Stream[item](c.T.Context(), caller.Caller(name), 0) {
				if items++; items == 1 {
					c.Kill(provider)
					killed = time.Now()
				}
			}
			clustertest.RequireError(t, err, broach.Unreachable, broach.Maybe)
			require.Less(t, time.Since(killed), 3*time.Second)
			t.Logf("%s: %d items, found out after %v", name, items, time.Since(killed))
		})
	}
}

// A caller that is killed: the function ends, whether it yields or waits.
func TestACallerThatIsKilled(t *testing.T) {
	for _, name := range []string{"numbers", "feed"} {
		inPair(t, 100, func(c *clustertest.Cluster, s *source, provider, caller *broach.Node) {
			var reading sync.WaitGroup
			defer reading.Wait()
			reading.Go(func() {
				for range broach.Stream[item](context.Background(), caller.Caller(name), 0) {
					time.Sleep(time.Millisecond)
				}
			})
			time.Sleep(100 * time.Millisecond)
			require.Equal(t, int64(1), s.running.Load(), name)
			c.Kill(caller)
			took := c.Until(5*time.Second, "the function ends", func() bool { return s.running.Load() == 0 })
			t.Logf("%s: after %v", name, took)
		})
	}
}

// A provider that is started again in the middle is another process: the stream ends, and is not made again where
// something has been yielded, be the function Idempotent.
func TestAProviderThatIsStartedAgain(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		s := &source{}
		caller := c.Start(1)
		provider := c.Start(0, 1)
		clustertest.Offer(c, provider, caller, "feed", s.feed, broach.Idempotent())
		var err error
		for _, err = range broach.Stream[item](c.T.Context(), caller.Caller("feed"), 0) {
			if err != nil {
				break
			}
			c.Kill(provider)
			provider = c.Start(0, 1)
			require.NoError(t, provider.Register("feed", s.feed, broach.Idempotent()))
		}
		clustertest.RequireError(t, err, broach.Unreachable, broach.Maybe)
		clustertest.Offer(c, provider, caller, "other", s.feed)
		for v, err := range broach.Stream[item](c.T.Context(), caller.Caller("feed"), 7) {
			require.NoError(t, err)
			require.Equal(t, 7, v.N)
			break
		}
	})
}

// An Idempotent function of which nothing has come runs again elsewhere.
func TestAStreamIsMadeAgainWhereNothingHasCome(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		silent := func(ctx context.Context) iter.Seq2[int, error] {
			return func(func(int, error) bool) { <-ctx.Done() }
		}
		one := func(context.Context) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) { yield(1, nil) }
		}
		caller := c.Start(2)
		dies, lives := c.Start(0, 2), c.Start(1, 2)
		clustertest.Offer(c, dies, caller, "one", silent, broach.Idempotent())
		go func() {
			time.Sleep(100 * time.Millisecond)
			_ = lives.Register("one", one, broach.Idempotent())
			time.Sleep(100 * time.Millisecond)
			c.Kill(dies)
		}()
		var got []int
		for v, err := range broach.Stream[int](c.T.Context(), caller.Caller("one")) {
			require.NoError(t, err)
			got = append(got, v)
		}
		require.Equal(t, []int{1}, got)
	})
}

// A function that ends with an error has its items come before it, whatever is lost.
func TestItemsComeBeforeTheError(t *testing.T) {
	fails := func(context.Context) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := range 1000 {
				yield(i, nil)
			}
			yield(0, broach.Errorf(2000, "no more"))
		}
	}
	clustertest.InPair(t, map[string]any{"fails": fails}, func(c *clustertest.Cluster, _, caller *broach.Node) {
		c.Net.SetDefault(simnet.Link{Loss: 0.2})
		for range 20 {
			n, last := 0, error(nil)
			for v, err := range broach.Stream[int](c.T.Context(), caller.Caller("fails")) {
				if last = err; err == nil {
					require.Equal(t, n, v)
					n++
				}
			}
			require.Equal(t, 1000, n)
			clustertest.RequireError(t, last, 2000, broach.Yes)
		}
	})
}

// What is said of metadata and deadlines holds for streams: the protocol's own are not seen, and Timeout ends them.
func TestStreamsAreCalls(t *testing.T) {
	meta := func(ctx context.Context) iter.Seq2[map[string]string, error] {
		return func(yield func(map[string]string, error) bool) {
			call, _ := broach.InvocationFrom(ctx)
			yield(call.Meta(), nil)
			<-ctx.Done()
		}
	}
	clustertest.InPair(t, map[string]any{"meta": meta}, func(c *clustertest.Cluster, _, caller *broach.Node) {
		began, got := time.Now(), error(nil)
		with := caller.Caller("meta", broach.Meta("k", "v"), broach.Timeout(time.Minute))
		for m, err := range broach.Stream[map[string]string](c.T.Context(), with) {
			if got = err; err == nil {
				require.Equal(t, map[string]string{"k": "v"}, m)
			}
		}
		clustertest.RequireError(t, got, broach.DeadlineExceeded, broach.Maybe)
		require.InDelta(t, time.Minute, time.Since(began), float64(time.Second))
		synctest.Wait()
	})
}

// [STR-7] A stream without chunks is kept as long as its call runs.
func TestAFeedThatIsQuietForAnHour(t *testing.T) {
	late := func(context.Context) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			_ = yield("at once", nil) && func() bool { time.Sleep(time.Hour); return yield("late", nil) }()
		}
	}
	clustertest.InPair(t, map[string]any{"late": late}, func(c *clustertest.Cluster, _, caller *broach.Node) {
		c.Net.SetDefault(simnet.Link{Loss: 0.05})
		var got []string
		for v, err := range broach.Stream[string](c.T.Context(), caller.Caller("late")) {
			require.NoError(t, err)
			got = append(got, v)
		}
		require.Equal(t, []string{"at once", "late"}, got)
	})
}
