package broach

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach/internal/member"
	"broach/internal/race"
	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// lies are what members turned bad say of a third: each time, these messages in one datagram.
var lies = map[string]func(t wire.Target) []wire.Message{
	"Suspect and Offline": func(t wire.Target) []wire.Message {
		return []wire.Message{wire.Suspect{Target: t}, wire.Offline{Target: t}}
	},
	"Offline alone": func(t wire.Target) []wire.Message { return []wire.Message{wire.Offline{Target: t}} },
	"Suspect alone": func(t wire.Target) []wire.Message { return []wire.Message{wire.Suspect{Target: t}} },
	"Nack":          func(t wire.Target) []wire.Message { return []wire.Message{wire.Nack{Target: t}} },
	"Help":          func(t wire.Target) []wire.Message { return []wire.Message{wire.Help{Target: t}} },
	"all but Vouch": func(t wire.Target) []wire.Message {
		return []wire.Message{wire.Help{Target: t}, wire.Suspect{Target: t}, wire.Nack{Target: t}, wire.Offline{Target: t}}
	},
	"Vouch": func(t wire.Target) []wire.Message { return []wire.Message{wire.Vouch{Target: t}} },
}

// conspiracy is a cluster of which the last k nodes lie about all others, to all others, all the time.
type conspiracy struct {
	*cluster
	rng           *rand.Rand
	honest, liars []*Node
	vouching      bool
}

func conspire(c *cluster, seed uint64, size, k int, links simnet.Link) *conspiracy {
	c.edit = func(cfg *Config) { cfg.RandSeed += seed << 20 }
	c.net.SetDefault(links)
	c.startAll(size)
	c.settle(10 * time.Second)
	return &conspiracy{cluster: c, rng: rand.New(rand.NewPCG(seed, 7)), honest: c.nodes[:size-k], liars: c.nodes[size-k:]}
}

// lieFor lets the liars lie for a while: often together, and never in step with the others' clocks.
func (c *conspiracy) lieFor(lasting time.Duration, lie func(wire.Target) []wire.Message) {
	for end := time.Now().Add(lasting); time.Now().Before(end); time.Sleep(time.Duration(c.rng.IntN(120)) * time.Millisecond) {
		for _, l := range c.liars {
			require.NoError(c.t, l.do(func(now time.Time) {
				c.lie(l, lie)
				c.hearAll(now, l)
			}))
		}
	}
}

// hearAll lets a liar believe what it says of the dead when it vouches for them; else it would betray them as any
// honest node does.
func (c *conspiracy) hearAll(now time.Time, l *Node) {
	for _, n := range c.honest {
		if n.isClosed() && c.vouching {
			l.loop.members.Receive(now, member.Source{Addr: n.Addr(), Link: l.tokenTo(n.Addr())}, nil)
		}
	}
}

// lie says it about each to each. No incarnation refutes what is said of the highest.
func (c *conspiracy) lie(l *Node, lie func(wire.Target) []wire.Message) {
	var lies []member.Message
	for _, about := range c.honest {
		for _, to := range c.honest {
			if to.isClosed() {
				continue
			}
			for _, msg := range lie(wire.Target{Addr: about.Addr(), Boot: about.linking.wires.Process.Boot, Inc: math.MaxUint32}) {
				lies = append(lies, member.Message{Link: l.tokenTo(to.Addr()), Msg: msg})
			}
		}
	}
	l.send(lies)
}

// slanders picks the reports of the honest about the honest that are no good news.
func (c *conspiracy) slanders(reports []report) []report {
	return slices.DeleteFunc(reports, func(r report) bool {
		bad := slices.Contains([]EventKind{MemberSuspect, MemberOffline, MemberUnreachable}, r.kind)
		return !bad || !slices.Contains(addrsOf(c.honest), r.by) || !slices.Contains(addrsOf(c.honest), r.about)
	})
}

// call makes calls between the honest without a pause, until it is ended.
func (c *conspiracy) call() (end func() (calls int64)) {
	var over atomic.Bool
	var calls atomic.Int64
	var wg sync.WaitGroup
	for _, n := range c.honest {
		require.NoError(c.t, n.Register("work", func(x int) int { return x }))
	}
	for _, n := range c.honest {
		require.NoError(c.t, n.WaitFor(context.Background(), "work", len(c.honest)))
		wg.Go(func() {
			for !over.Load() {
				_, err := Call[int](context.Background(), n.Caller("work", NoRetry()), 1)
				if err != nil {
					c.t.Errorf("%v: %v", n.Addr(), err)
					return
				}
				calls.Add(1)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	return func() int64 { over.Store(true); wg.Wait(); return calls.Load() }
}

// [MEM-15] What is said of a third peer MUST NOT change what a node does with a peer that it hears and reaches.
func TestLiarsChangeNothing(t *testing.T) {
	t.Parallel()
	ways := map[string]simnet.Link{
		"fast": lossy(0),
		"far":  {Delay: 125 * time.Millisecond, Jitter: 15 * time.Millisecond}, // there and back twice that
		"moon": {Delay: 280 * time.Millisecond, Jitter: 30 * time.Millisecond},
	}
	for way, links := range ways {
		for name, lie := range lies {
			for _, who := range [][2]int{{1, 3}, {1, 12}, {3, 12}, {6, 12}} {
				k, size := who[0], who[1]
				if race.Enabled && (k != 3 || way != "fast") {
					continue
				}
				t.Run(fmt.Sprint(way, ", ", name, ", ", k, " of ", size), func(t *testing.T) {
					inCluster(t, uint64(k), func(cl *cluster) {
						c := conspire(cl, uint64(k), size, k, links)
						end, reports := c.call(), c.watch()
						c.lieFor(3*time.Second, lie)
						require.Greater(t, end(), int64(10))
						require.Empty(t, c.slanders(reports()))
					})
				})
			}
		}
	}
}

// Death is known as fast as without liars, whatever they say but that the dead live.
func TestDeathIsKnownAmongLiars(t *testing.T) {
	t.Parallel()
	for name, lie := range lies {
		if name == "Vouch" || race.Enabled && name != "all but Vouch" {
			continue
		}
		for _, k := range []int{1, 3, 8} {
			if race.Enabled && k != 3 {
				continue
			}
			t.Run(fmt.Sprint(name, ", ", k, " of 16"), func(t *testing.T) {
				var took []time.Duration
				for seed := range uint64(2) {
					if race.Enabled && seed > 0 {
						break
					}
					inCluster(t, seed+1, func(cl *cluster) {
						c := conspire(cl, seed+1, 16, k, lossy(0))
						took = append(took, c.kills(lie)...)
					})
				}
				requireWithin(t, 1500*time.Millisecond, "all honest know", took)
			})
		}
	}
}

// kills kills some of the honest while the liars lie, and returns when the others knew.
func (c *conspiracy) kills(lie func(wire.Target) []wire.Message) (took []time.Duration) {
	var wg sync.WaitGroup
	wg.Go(func() { c.lieFor(10*time.Second, lie) })
	for k := range 3 {
		time.Sleep(2*time.Second + time.Duration(k+1)*137*time.Millisecond)
		dead, start := c.honest[k+1], time.Now()
		c.kill(dead)
		c.until(5*time.Second, "all honest know", func() bool { return c.honestSay(dead, Offline) })
		took = append(took, time.Since(start))
	}
	wg.Wait()
	return took
}

// honestSay reports that all of the honest who live hold a node to be in a state.
func (c *conspiracy) honestSay(of *Node, s State) bool {
	return !slices.ContainsFunc(c.honest, func(n *Node) bool {
		return n != of && !n.isClosed() && memberAt(n, of.Addr()).State != s
	})
}

// [MEM-22] A dead node that liars vouch for is listed as long as they do, but is unreachable soon: calls to it fail at
// once. When the liars stop, it is offline.
func TestTheDeadThatLiarsVouchForAreOutOfReach(t *testing.T) {
	for _, k := range []int{1, 3, 6} {
		t.Run(fmt.Sprint(k, " of 12"), func(t *testing.T) {
			inCluster(t, 1, func(cl *cluster) {
				c := conspire(cl, 1, 12, k, lossy(0))
				c.vouching = true
				dead := c.honest[1]
				require.NoError(t, dead.Register("f", func() {}))
				c.until(time.Second, "the function is known", func() bool { return c.callable("f", dead) })
				start := time.Now()
				c.kill(dead)
				over := make(chan struct{})
				go func() { defer close(over); c.lieFor(20*time.Second, lies["Vouch"]) }()
				c.until(4*time.Second, "it is out of reach for all", func() bool { return !c.anybodyReaches(dead.Addr()) })
				t.Log("out of reach after", time.Since(start))
				for range 100 {
					time.Sleep(100 * time.Millisecond)
					require.False(t, c.anybodyReaches(dead.Addr()))
					before := time.Now()
					_, err := c.honest[2].Caller("f").Call(context.Background())
					requireError(t, err, Unavailable, No)
					require.Zero(t, time.Since(before), "at once")
				}
				<-over
				t.Log("offline after", c.until(7*time.Second, "all know", func() bool { return c.honestSay(dead, Offline) }))
			})
		})
	}
}

// anybodyReaches reports that what is at an address is within reach of one of the honest.
func (c *conspiracy) anybodyReaches(addr netip.AddrPort) bool {
	return slices.ContainsFunc(c.honest, func(n *Node) bool {
		m := memberAt(n, addr)
		return !n.isClosed() && m.State != Offline && !m.Unreachable
	})
}
