package goals

import (
	"context"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// lossOf is what came of calls while one of three providers was killed.
type lossOf struct {
	mu               sync.Mutex
	made, unexpected int
	longest          time.Duration
	begun            []time.Time // those that failed
	last             time.Time   // failure
}

func (l *lossOf) note(begun time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made++
	l.longest = max(l.longest, time.Since(begun))
	if err == nil {
		return
	}
	l.begun = append(l.begun, begun)
	l.last = time.Now()
	e := err.(*broach.Error)
	if e.Code != broach.Unreachable || e.Executed != broach.Maybe || e.Node != clustertest.AddrOf(1).String() {
		l.unexpected++
	}
}

// "One of three providers SIGKILLed under 2,000 calls/s of idempotent calls: no failed call at all; non-idempotent:
// only those in flight to it (Executed Maybe), none after detection; longest call under 1.5 s."
func TestAProviderIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		idempotent bool
		options    []broach.CallOption
	}{
		"idempotent": {true, nil}, "idempotent, by turns": {true,
			[]broach.CallOption{broach.Balance(broach.RoundRobin())}},
		"idempotent, hedged": {true, []broach.CallOption{broach.Hedge(20 * time.Millisecond)}},
		"not idempotent":     {false, nil}, "not idempotent, by turns": {false,
			[]broach.CallOption{broach.Balance(broach.RoundRobin())}},
	} {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				c.StartAll(4)
				caller, victim := c.Nodes[0], c.Nodes[1]
				for _, n := range c.Nodes[1:] {
					var options []broach.RegisterOption
					if test.idempotent {
						options = []broach.RegisterOption{broach.Idempotent()}
					}
					require.NoError(t, n.Register("work", func() { time.Sleep(2 * time.Millisecond) }, options...))
				}
				require.NoError(t, caller.WaitFor(context.Background(), "work", 3))
				c.Settle(time.Second)
				c.Net.SetDefault(simnet.Link{Delay: 200 * time.Microsecond, Jitter: 100 * time.Microsecond})
				time.Sleep(10 * time.Second)

				var killed, detected time.Time
				var watching sync.WaitGroup
				ctx, cancel := context.WithCancel(context.Background())
				watching.Go(func() {
					for e := range caller.Watch(ctx) {
						if e.Kind == broach.MemberOffline {
							detected = time.Now()
						}
					}
				})
				watching.Go(func() { time.Sleep(time.Second); killed = time.Now(); c.Kill(victim) })
				work, loss := caller.Caller("work", test.options...), &lossOf{}
				calls := stream(500*time.Microsecond, 4*time.Second, func(begun time.Time) {
					_, err := work.Call(context.Background())
					loss.note(begun, err)
				})
				calls.Wait()
				cancel()
				watching.Wait()

				t.Logf("%d calls, %d failed, the longest took %v; the death was known after %v", loss.made,
					len(loss.begun), loss.longest, detected.Sub(killed))
				if test.idempotent {
					require.Empty(t, loss.begun)
				}
				require.Zero(t, loss.unexpected, "failures are Unreachable, Maybe, and name the victim")
				for _, begun := range loss.begun {
					require.True(t, begun.Before(detected), "no call fails that began after the death was known")
				}
				require.False(t, loss.last.After(detected.Add(time.Millisecond)),
					"and those that were in flight failed at once")
				require.Less(t, loss.longest, 1500*time.Millisecond)
			})
		})
	}
}
