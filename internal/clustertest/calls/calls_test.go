package calls

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"
	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [CALL-2] A Request with the slot's last seq is a duplicate and MUST NOT run again: it is answered with the stored
// Reply, or Progress while the call runs.
func TestCallsThroughLossRunOnce(t *testing.T) {
	t.Parallel()
	for _, loss := range []float64{0, 0.01, 0.05, 0.20} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			clustertest.Run(t, 7, func(c *clustertest.Cluster) {
				provider, caller := c.Pair(simnet.Link{
					Loss: loss, Duplicate: 0.05, Reorder: 0.05, Delay: 200 * time.Microsecond,
					Jitter: 100 * time.Microsecond,
				})
				const calls, callers = 10_000, 50
				var ran [calls]atomic.Int32
				require.NoError(t, provider.Register("twice", func(i int) int { ran[i].Add(1); return 2 * i }))
				require.NoError(t, caller.WaitFor(context.Background(), "twice", 1))

				took := make([]time.Duration, calls)
				var wg sync.WaitGroup
				for k := range callers {
					wg.Go(func() {
						for i := k; i < calls; i += callers {
							start := time.Now()
							got, err := broach.Call[int](context.Background(), caller.Caller("twice"), i)
							took[i] = time.Since(start)
							if err != nil || got != 2*i {
								t.Errorf("call %d: %d, %v", i, got, err)
							}
						}
					})
				}
				wg.Wait()
				for i := range ran {
					require.EqualValues(t, 1, ran[i].Load(), "executions of call %d", i)
				}
				slices.Sort(took)
				t.Logf("loss %v: median %v, p99 %v, longest %v", loss, took[calls/2], took[calls*99/100], took[calls-1])
			})
		})
	}
}

// Messages of any size go both ways, through loss as well.
func TestLargeMessages(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, test := range []struct {
		size int
		loss float64
	}{{mib, 0}, {mib, 0.05}, {64*mib - 1024, 0}, {64*mib - 1024, 0.05}} {
		t.Run(fmt.Sprint(test.size, " bytes, loss ", test.loss), func(t *testing.T) {
			if race.Enabled && test.size > mib {
				t.Skip("slow with the race detector")
			}
			clustertest.Run(t, 7, func(c *clustertest.Cluster) {
				provider, caller := c.Pair(simnet.Link{Loss: test.loss, Delay: 100 * time.Microsecond,
					Duplicate: test.loss})
				require.NoError(t, provider.Register("echo", func(b []byte) []byte { return b }))
				require.NoError(t, caller.WaitFor(context.Background(), "echo", 1))
				sent := make([]byte, test.size)
				rng := rand.NewChaCha8([32]byte{7})
				_, _ = rng.Read(sent)
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				start := time.Now()
				back, err := broach.Call[[]byte](ctx, caller.Caller("echo"), sent)
				require.NoError(t, err)
				require.True(t, bytes.Equal(sent, back))
				t.Log("there and back in", time.Since(start))
			})
		})
	}
}

// Many large messages one after the other leave nothing behind: the memory that they count against is given back.
func TestManyLargeMessages(t *testing.T) {
	t.Parallel()
	clustertest.Run(t, 7, func(c *clustertest.Cluster) {
		c.Edit = func(cfg *broach.Config) { cfg.MaxMessage = 64 << 10 }
		provider, caller := c.Pair(simnet.Link{})
		require.NoError(t, provider.Register("echo", func(b []byte) []byte { return b }))
		require.NoError(t, caller.WaitFor(context.Background(), "echo", 1))
		for range 200 { // eight of them take all there is
			_, err := broach.Call[[]byte](context.Background(), caller.Caller("echo"), make([]byte, 60<<10))
			require.NoError(t, err)
		}
	})
}

// [FRAG-7] Fragments MUST NOT delay small messages by more than 45 datagrams.
func TestSmallCallsBesideALargeOne(t *testing.T) {
	clustertest.Run(t, 7, func(c *clustertest.Cluster) {
		provider, caller := c.Pair(simnet.Link{Delay: 100 * time.Microsecond})
		require.NoError(t, provider.Register("size", func(b []byte) int { return len(b) }))
		require.NoError(t, caller.WaitFor(context.Background(), "size", 1))
		done := make(chan error)
		go func() {
			_, err := caller.Caller("size").Call(context.Background(), make([]byte, 8<<20))
			done <- err
		}()
		var longest time.Duration
		for running := true; running; {
			select {
			case err := <-done:
				require.NoError(t, err)
				running = false
			default:
				start := time.Now()
				_, err := caller.Caller("size").Call(context.Background(), []byte{1})
				require.NoError(t, err)
				longest = max(longest, time.Since(start))
			}
		}
		t.Log("longest small call", longest)
		require.Less(t, longest, 3*time.Millisecond)
	})
}

// [FRAG-3] A total above the receiver's message limit is refused with Stop, TooLarge: the call fails with executed no.
func TestMessagesTooLargeForTheOtherSide(t *testing.T) {
	clustertest.Run(t, 7, func(c *clustertest.Cluster) {
		provider := c.Start(0)
		c.Edit = func(cfg *broach.Config) { cfg.MaxMessage = 10 << 20 }
		caller := c.Start(1, 0)
		require.NoError(t, caller.Register("size", func(b []byte) int { return len(b) }))
		require.NoError(t, provider.Register("make", func(n int) []byte { return make([]byte, n) }))
		require.NoError(t, caller.WaitFor(context.Background(), "make", 1))
		require.NoError(t, provider.WaitFor(context.Background(), "size", 1))
		var failed *broach.Error

		_, err := provider.Caller("size").Call(context.Background(), make([]byte, 20<<20))
		require.ErrorAs(t, err, &failed)
		require.Equal(t, broach.TooLarge, failed.Code)
		require.Equal(t, broach.No, failed.Executed)

		_, err = caller.Caller("make").Call(context.Background(), 20<<20)
		require.ErrorAs(t, err, &failed)
		require.Equal(t, broach.TooLarge, failed.Code)
		require.Equal(t, broach.Yes, failed.Executed)

		_, err = caller.Caller("make").Call(context.Background(), 1<<20)
		require.NoError(t, err)
	})
}

// [LNK-10] Another public key at the address of a peer, proven by LNK-3 or LNK-5, replaces the process there in one
// step: all links of the old one are closed, confirmed or not, calls fail, Unreachable, executed maybe
func TestRestartFailsCallsInFlight(t *testing.T) {
	clustertest.Run(t, 7, func(c *clustertest.Cluster) {
		provider, caller := c.Pair(simnet.Link{})
		require.NoError(t, provider.Register("wait", func(ctx context.Context) { <-ctx.Done() }))
		require.NoError(t, caller.WaitFor(context.Background(), "wait", 1))
		failure := make(chan error)
		go func() {
			_, err := caller.Caller("wait").Call(context.Background())
			failure <- err
		}()
		time.Sleep(time.Second)
		c.Kill(provider)
		start := time.Now()
		successor := c.Start(0, 1)
		var failed *broach.Error
		require.ErrorAs(t, <-failure, &failed)
		require.Equal(t, broach.Unreachable, failed.Code)
		require.Equal(t, broach.Maybe, failed.Executed)
		require.Less(t, time.Since(start), 10*time.Millisecond)
		require.Zero(t, successor.Stats().Done)
	})
}

// [CALL-6] Cancel, the deadline, a newer seq in the slot and the loss of the link each end the context of the running
// call.
// [CALL-12] A caller that gives up sends Cancel once
func TestTheFunctionLearnsThatTheCallerIsGone(t *testing.T) {
	clustertest.Run(t, 7, func(c *clustertest.Cluster) {
		provider, caller := c.Pair(simnet.Link{})
		ended := make(chan error, 1)
		require.NoError(t, provider.Register("wait", func(ctx context.Context) error {
			<-ctx.Done()
			ended <- ctx.Err()
			return ctx.Err()
		}))
		require.NoError(t, caller.WaitFor(context.Background(), "wait", 1))

		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(100*time.Millisecond, cancel)
		start := time.Now()
		_, err := caller.Caller("wait").Call(ctx)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, <-ended, context.Canceled)
		require.Less(t, time.Since(start), 110*time.Millisecond)

		ctx, cancel = context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		_, err = caller.Caller("wait").Call(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Error(t, <-ended)

		go func() { _, _ = caller.Caller("wait").Call(context.Background()) }()
		time.Sleep(100 * time.Millisecond)
		start = time.Now()
		c.Kill(caller)
		require.ErrorIs(t, <-ended, context.Canceled)
		require.Less(t, time.Since(start), 3*time.Second)
	})
}

// [CALL-5] A call whose remaining time runs out before it begins MUST NOT run; it is answered DeadlineExceeded,
// executed no.
func TestExpiredCallsDoNotRun(t *testing.T) {
	clustertest.Run(t, 7, func(c *clustertest.Cluster) {
		c.Edit = func(cfg *broach.Config) { cfg.Pool = broach.Pool{Core: 1, Max: 1} }
		provider, caller := c.Pair(simnet.Link{})
		var ran atomic.Int32
		require.NoError(t, provider.Register("slow", func() { ran.Add(1); time.Sleep(time.Second) }))
		require.NoError(t, caller.WaitFor(context.Background(), "slow", 1))
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
				defer cancel()
				_, err := caller.Caller("slow").Call(ctx)
				require.ErrorIs(t, err, context.DeadlineExceeded)
			})
		}
		wg.Wait()
		time.Sleep(15 * time.Second)
		require.EqualValues(t, 1, ran.Load())
		require.EqualValues(t, 9, provider.Stats().Shed)
	})
}

// [CALL-10] After Progress the caller MUST NOT send the Request again.
// [CALL-11] When nothing at all came from the peer for the acknowledgement time while a call waits, the call fails
func TestSlowCallsCostLittleAndOutliveTheAcknowledgementTime(t *testing.T) {
	clustertest.Run(t, 7, func(c *clustertest.Cluster) {
		c.Edit = func(cfg *broach.Config) { cfg.CallTimeout = time.Minute }
		provider, caller := c.Pair(simnet.Link{})
		require.NoError(t, provider.Register("slow", func(ctx context.Context) int {
			select {
			case <-time.After(20 * time.Second):
			case <-ctx.Done():
			}
			return 1
		}))
		require.NoError(t, caller.WaitFor(context.Background(), "slow", 1))
		before := caller.Stats().DatagramsOut
		v, err := caller.Caller("slow").Call(context.Background())
		require.NoError(t, err)
		require.Equal(t, 1, v)
		require.Zero(t, caller.Stats().Peers[0].Retransmits)
		require.Less(t, caller.Stats().DatagramsOut-before, uint64(60), "polls and beats of 20 s")

		c.Net.CutOneWay(clustertest.AddrsOf(c.Nodes[:1]), clustertest.AddrsOf(c.Nodes[1:]))
		start := time.Now()
		_, err = caller.Caller("slow").Call(context.Background())
		var failed *broach.Error
		require.True(t, errors.As(err, &failed))
		require.Equal(t, broach.Unreachable, failed.Code)
		require.Equal(t, broach.Maybe, failed.Executed)
		require.LessOrEqual(t, time.Since(start), 3*time.Second)
	})
}

// [CALL-10] a reply that is lost costs a call little more time than it has taken.
func TestALostReplyOfASlowCallIsAskedForSoon(t *testing.T) {
	clustertest.Run(t, 7, func(c *clustertest.Cluster) {
		provider, caller := c.Pair(simnet.Link{})
		require.NoError(t, provider.Register("slow", func() { time.Sleep(20 * time.Millisecond) }))
		require.NoError(t, caller.WaitFor(context.Background(), "slow", 1))
		start := time.Now()
		done := broach.Go[any](context.Background(), caller.Caller("slow"))
		time.Sleep(10 * time.Millisecond)
		c.Net.CutOneWay(clustertest.AddrsOf(c.Nodes[:1]), clustertest.AddrsOf(c.Nodes[1:]))
		time.Sleep(20 * time.Millisecond)
		c.Net.Heal()
		_, err := done.Wait()
		require.NoError(t, err)
		require.InDelta(t, 105*time.Millisecond, time.Since(start), float64(5*time.Millisecond))
	})
}

// Stats say what a bad network does.
func TestStatsShowTheLoss(t *testing.T) {
	clustertest.Run(t, 7, func(c *clustertest.Cluster) {
		provider, caller := c.Pair(simnet.Link{Loss: 0.2, Delay: 200 * time.Microsecond})
		require.NoError(t, provider.Register("f", func() {}))
		require.NoError(t, caller.WaitFor(context.Background(), "f", 1))
		require.Zero(t, provider.Stats().Peers[0].Retransmits)
		for range 2000 {
			_, err := caller.Caller("f").Call(context.Background())
			require.NoError(t, err)
		}
		seen := caller.Stats().Peers[0]
		require.InDelta(t, 0.2, seen.Loss, 0.03)
		require.InDelta(t, 0.2, provider.Stats().Peers[0].Loss, 0.03)
		require.NotZero(t, seen.Retransmits)
		require.GreaterOrEqual(t, caller.Stats().Resent, seen.Retransmits, "a link of that peer may have ended")
		require.Greater(t, seen.BytesOut, uint64(2000*wire.HeaderSize))
		require.Greater(t, seen.RTT, 400*time.Microsecond)
	})
}
