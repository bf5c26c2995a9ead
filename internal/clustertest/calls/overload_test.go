package calls

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// A flood is many callers who hardly pause between calls, for a while.
type flood struct {
	done, refused, late atomic.Int64
	wg                  sync.WaitGroup
}

// begin starts callers of one function. What they are answered must be true of an overloaded provider.
func (f *flood) begin(t *testing.T, c *broach.Caller, callers int, lasting time.Duration, args ...any) {
	end := time.Now().Add(lasting)
	for range callers {
		f.wg.Go(func() {
			for time.Now().Before(end) {
				_, err := c.Call(context.Background(), args...)
				f.count(t, err)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
}

func (f *flood) count(t *testing.T, err error) {
	var e *broach.Error
	switch {
	case err == nil:
		f.done.Add(1)
	case errors.Is(err, broach.ErrOverloaded) && errors.As(err, &e) && e.Executed == broach.No:
		f.refused.Add(1)
	case errors.Is(err, broach.ErrDeadlineExceeded):
		f.late.Add(1)
	default:
		t.Errorf("an overloaded provider answers: %v", err)
	}
}

// A provider that is offered many times what it can run goes on running as much as it can, with a memory that does not
// grow, and nobody doubts it. Then all is as before.
func TestFloodedProviderStaysCalm(t *testing.T) {
	for name, reject := range map[string]bool{"refusing": true, "slowing down": false} {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, 11, func(c *clustertest.Cluster) {
				c.Edit = func(cfg *broach.Config) {
					cfg.Pool = broach.Pool{Core: 1, Max: 4, Queue: 64, RejectWhenFull: reject}
					cfg.CallTimeout = 500 * time.Millisecond
				}
				c.StartAll(3)
				c.Until(time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, 2) })
				c.Net.SetDefault(simnet.Link{Delay: 200 * time.Microsecond, Jitter: 100 * time.Microsecond, Loss: 0.01})
				provider := c.Nodes[0]
				require.NoError(t, provider.Register("slow", func() { time.Sleep(10 * time.Millisecond) }))
				doubts := clustertest.CountDoubts(t, c.Nodes)

				lasting := 4 * time.Second
				if race.Enabled {
					lasting /= 2
				}
				var f flood
				for _, caller := range c.Nodes[1:] {
					require.NoError(t, caller.WaitFor(context.Background(), "slow", 1))
					f.begin(t, caller.Caller("slow"), 200, lasting)
				}
				time.Sleep(lasting / 4)
				before := clustertest.LiveMemory()
				time.Sleep(lasting / 2)
				grown := clustertest.LiveMemory() - before
				f.wg.Wait()

				t.Logf("%d done, %d refused, %d too late; memory grew by %d KiB", f.done.Load(), f.refused.Load(),
					f.late.Load(), grown>>10)
				require.Greater(t, f.done.Load(), int64(4*100*lasting.Seconds()*9/10),
					"nine tenths of what four workers can do")
				require.Less(t, grown, int64(4<<20))
				require.Zero(t, doubts(), "a busy node was doubted")
				c.Net.SetDefault(simnet.Link{Delay: 200 * time.Microsecond}) // or the one call is lost, now and then
				start := time.Now()
				_, err := c.Nodes[1].Caller("slow").Call(context.Background())
				require.NoError(t, err)
				require.Less(t, time.Since(start), 50*time.Millisecond)
			})
		})
	}
}

// Who floods one peer, be it slow, dead or drowned in large messages, calls another as fast as before.
func TestFloodOfOnePeerDoesNotSlowCallsToAnother(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		upset func(c *clustertest.Cluster, drowned *broach.Node)
		arg   any
	}{
		"a slow one": {func(*clustertest.Cluster, *broach.Node) {}, 0},
		"a dead one": {func(c *clustertest.Cluster,
			drowned *broach.Node) {
			c.Net.Pause(drowned.Addr())
		}, 0},
		"one with large messages": {func(*clustertest.Cluster, *broach.Node) {}, make([]byte, 256<<10)},
		"a dead one, with the same": {func(c *clustertest.Cluster,
			drowned *broach.Node) {
			c.Net.Pause(drowned.Addr())
		}, make([]byte, 256<<10)},
	} {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, 12, func(c *clustertest.Cluster) {
				c.StartAll(3)
				c.Until(time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, 2) })
				c.Net.SetDefault(simnet.Link{Delay: 200 * time.Microsecond, Jitter: 50 * time.Microsecond})
				drowned, other, caller := c.Nodes[0], c.Nodes[1], c.Nodes[2]
				require.NoError(t, drowned.Register("drown", func(any) { time.Sleep(time.Second) }))
				require.NoError(t, other.Register("quick", func() {}))
				require.NoError(t, caller.WaitFor(context.Background(), "drown", 1))
				require.NoError(t, caller.WaitFor(context.Background(), "quick", 1))
				idle := slowest(t, caller, 100)

				test.upset(c, drowned)
				var wg sync.WaitGroup
				ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
				defer cancel()
				callers := 200
				if race.Enabled {
					callers = 50
				}
				for range callers {
					wg.Go(func() {
						for ctx.Err() == nil {
							_, _ = caller.Caller("drown").Call(ctx, test.arg)
							time.Sleep(time.Millisecond) // once it is known to be dead, calls fail at once
						}
					})
				}
				busy := slowest(t, caller, 1000)
				wg.Wait()
				t.Logf("the slowest call to the other took %v idle, %v beside the flood", idle, busy)
				require.Less(t, busy, 2*idle)
			})
		})
	}
}

// slowest makes calls one after the other and returns how long the slowest took.
func slowest(t *testing.T, caller *broach.Node, calls int) time.Duration {
	var took []time.Duration
	for range calls {
		start := time.Now()
		_, err := caller.Caller("quick").Call(context.Background())
		require.NoError(t, err)
		took = append(took, time.Since(start))
	}
	return slices.Max(took)
}
