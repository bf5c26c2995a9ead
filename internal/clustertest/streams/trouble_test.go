package streams

import (
	"iter"
	"net/netip"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// A node that leaves does not wait for the end of a stream without a deadline that it reads.
func TestLeaveDoesNotWaitForWhatThisNodeReads(t *testing.T) {
	inPair(t, 100, func(c *clustertest.Cluster, s *source, _, caller *broach.Node) {
		left := make(chan error, 1)
		var failed error
		for _, err := range broach.Stream[item](c.T.Context(), caller.Caller("feed"), 0) {
			if failed = err; err == nil {
				go func() { left <- caller.Leave(c.T.Context()) }()
			}
		}
		began := time.Now()
		clustertest.RequireError(t, failed, broach.Draining, broach.Maybe)
		require.NoError(t, <-left)
		require.Less(t, time.Since(began), time.Second)
		require.Zero(t, s.running.Load())
	})
}

// A func that is no sequence is no argument, wherever it stands.
func TestAFuncThatIsNoSequence(t *testing.T) {
	inPair(t, 100, func(c *clustertest.Cluster, _ *source, _, caller *broach.Node) {
		for _, args := range [][]any{{func() {}}, {1, func(int) bool { return true }}, {func() {}, 1}} {
			_, err := caller.Caller("numbers").Call(c.T.Context(), args...)
			clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
			for _, err := range broach.Stream[item](c.T.Context(), caller.Caller("numbers"), args...) {
				clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
			}
		}
	})
}

// Guests read streams as members do.
func TestGuestsReadStreams(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		s := &source{size: 1000}
		require.NoError(t, c.Start(0).Register("numbers", s.numbers))
		c.Edit = func(cfg *broach.Config) { cfg.Guest = true }
		n, err := readAll(c.T.Context(), c.Start(1, 0).Caller("numbers"), 5000)
		require.NoError(t, err)
		require.Equal(t, 5000, n)
	})
}

// A stream outlives a cut that is shorter than the time in which one is noticed.
func TestAStreamGoesOnAfterAShortCut(t *testing.T) {
	inPair(t, 100, func(c *clustertest.Cluster, _ *source, provider, caller *broach.Node) {
		n := 0
		for v, err := range broach.Stream[item](c.T.Context(), caller.Caller("numbers"), 50_000) {
			require.NoError(t, err)
			require.Equal(t, n, v.N)
			if n++; n == 1000 {
				c.Net.Cut([]netip.AddrPort{provider.Addr()}, []netip.AddrPort{caller.Addr()})
				time.AfterFunc(400*time.Millisecond, c.Net.Heal)
			}
		}
		require.Equal(t, 50_000, n)
	})
}

// A provider without room slows streams down or refuses them, as other calls, and none hangs.
func TestStreamsAtAProviderWithoutRoom(t *testing.T) {
	for _, reject := range []bool{false, true} {
		inPair(t, 100, func(c *clustertest.Cluster, s *source, _, caller *broach.Node) {
			ended := make(chan error, 200)
			for range 200 {
				go func() {
					_, err := readAll(c.T.Context(), caller.Caller("numbers", broach.NoRetry()), 100)
					ended <- err
				}()
			}
			refused := 0
			for range 200 {
				if err := <-ended; err != nil {
					clustertest.RequireError(t, err, broach.Overloaded, broach.No)
					refused++
				}
			}
			require.Equal(t, reject, refused > 0)
			require.Equal(t, int64(100*(200-refused)), s.yielded.Load())
		}, func(cfg *broach.Config) {
			cfg.Pool = broach.Pool{Core: 1, Max: 2, Queue: 4, RejectWhenFull: reject}
		})
	}
}

// [CALL-6] ... answered Unreachable, not Canceled: a loop that goes on after ErrUnreachable does so, too, where it was
// its own process that stopped for a while.
func TestAReaderThatStopsForAWhile(t *testing.T) {
	inPair(t, 1<<30, func(c *clustertest.Cluster, _ *source, provider, caller *broach.Node) {
		require.NoError(t, provider.Register("ticks", func() iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for n := 0; yield(n, nil); n++ {
					time.Sleep(5 * time.Millisecond)
				}
			}
		}))
		require.NoError(t, caller.WaitFor(c.T.Context(), "ticks", 1))
		time.AfterFunc(time.Second, func() { c.Net.Pause(caller.Addr()) })
		time.AfterFunc(3*time.Second, func() { c.Net.Resume(caller.Addr()) })
		_, err := all(broach.Stream[int](c.T.Context(), caller.Caller("ticks")))
		clustertest.RequireError(t, err, broach.Unreachable, broach.Yes)
	})
}
