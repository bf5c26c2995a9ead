package attacks

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/intruder"
	"broach/internal/race"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// lies are what members turned bad say of a third: each time, these messages in one datagram.
var lies = map[string][]byte{
	"Suspect and Offline": {intruder.KindSuspect, intruder.KindOffline},
	"Offline alone":       {intruder.KindOffline},
	"Suspect alone":       {intruder.KindSuspect},
	"Nack":                {intruder.KindNack},
	"Help":                {intruder.KindHelp},
	"all but Vouch":       {intruder.KindHelp, intruder.KindSuspect, intruder.KindNack, intruder.KindOffline},
	"Vouch":               {intruder.KindVouch},
}

// conspiracy is a cluster of which some members lie about all others, to all others, all the time. Besides that they do
// what members do.
type conspiracy struct {
	*clustertest.Cluster
	rng    *rand.Rand
	honest []*broach.Node
	about  []intruder.Entry // the honest
	liars  []*tongue
}

// conspire starts a cluster, whose last k nodes lie. It is without keys, so that tongues can say more than their nodes.
func conspire(t *testing.T, seed uint64, size, k int, links simnet.Link, test func(c *conspiracy)) {
	clustertest.Run(t, seed, func(cl *clustertest.Cluster) {
		c := &conspiracy{Cluster: cl, rng: rand.New(rand.NewPCG(seed, 7))}
		c.Edit = func(cfg *broach.Config) { cfg.RandSeed += seed << 20 }
		var tape intruder.Tape
		c.Net.Tap(tape.Record)
		c.Net.SetDefault(links)
		for i := range size - k {
			c.honest = append(c.honest, c.Start(i, 0))
		}
		for i := range k {
			c.StartWith(size-k+i, func(cfg *broach.Config) {
				l := newTongue(cfg.Conn.(*simnet.Conn))
				c.liars = append(c.liars, l)
				cfg.Conn = l
			}, 0)
		}
		c.Settle(10 * time.Second)
		c.Net.Tap(nil)
		for _, n := range c.honest {
			boot := intruder.BootID(publicIn(tape.All(), n.Addr()))
			c.about = append(c.about, intruder.Entry{Addr: n.Addr(), Boot: boot})
		}
		test(c)
	})
}

// tongue is the socket of a node that says more than its node does, and may say the opposite. It numbers anew what it
// sends, so that nobody can tell what is the node's.
type tongue struct {
	*simnet.Conn
	vouches atomic.Bool // for all whom the node speaks ill of

	mu   sync.Mutex // guards what follows
	said map[uint64]uint64
	best map[netip.AddrPort][]byte // the header of what went last to an address
}

func newTongue(conn *simnet.Conn) *tongue {
	return &tongue{Conn: conn, said: map[uint64]uint64{}, best: map[netip.AddrPort][]byte{}}
}

func (l *tongue) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	form := intruder.Form(b)
	if form != intruder.FormLink && form != intruder.FormConfirm {
		return l.Conn.WriteToUDPAddrPort(b, to)
	}
	size := intruder.HeadSize(form)
	messages := intruder.ParseMessages(b[size:])
	for i, m := range messages {
		if l.vouches.Load() && slices.Contains(illWords, m.Kind) {
			messages[i].Kind = intruder.KindVouch
		}
	}
	l.send(to, slices.Clone(b[:size]), messages)
	return len(b), nil
}

// illWords are what a member says of one that it takes for dead.
var illWords = []byte{intruder.KindNack, intruder.KindSuspect, intruder.KindOffline}

// send sends messages behind a head, with the next number.
func (l *tongue) send(to netip.AddrPort, head []byte, messages []intruder.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	token := tokenIn(head)
	l.said[token]++
	binary.BigEndian.PutUint64(head[16:], l.said[token])
	if intruder.Form(head) == intruder.FormLink {
		l.best[to] = head
	}
	l.Conn.WriteToUDPAddrPort(intruder.AppendMessages(slices.Clone(head), messages...), to) // what is lost, is lost
}

// say says something that the node does not know of; it is false if the node has not spoken to that address.
func (l *tongue) say(to netip.AddrPort, messages []intruder.Message) bool {
	l.mu.Lock()
	head := slices.Clone(l.best[to])
	l.mu.Unlock()
	if head == nil {
		return false
	}
	l.send(to, head, messages)
	return true
}

// lieFor lets the liars lie for a while: often together, and never in step with the others' clocks.
func (c *conspiracy) lieFor(lasting time.Duration, kinds []byte) {
	for end := time.Now().Add(lasting); time.Now().Before(end); {
		for _, l := range c.liars {
			c.lie(l, kinds)
		}
		time.Sleep(time.Duration(c.rng.IntN(120)) * time.Millisecond)
	}
}

// lie says it about each to each. No incarnation refutes what is said of the highest.
func (c *conspiracy) lie(l *tongue, kinds []byte) {
	var said []intruder.Message
	for _, about := range c.about {
		for _, kind := range kinds {
			said = append(said, intruder.About(kind, intruder.Target{Entry: about, Inc: math.MaxUint32}))
		}
	}
	for _, to := range c.honest {
		for part := range slices.Chunk(said, 40) { // a datagram has room for them, and no lie is torn
			if !clustertest.IsClosed(to) {
				require.True(c.T, l.say(to.Addr(), part))
			}
		}
	}
}

// slanders picks the reports of the honest about the honest that are no good news.
func (c *conspiracy) slanders(reports []clustertest.Report) []clustertest.Report {
	honest := clustertest.AddrsOf(c.honest)
	return slices.DeleteFunc(reports, func(r clustertest.Report) bool {
		return !slices.Contains(worse, r.Kind) || !slices.Contains(honest, r.By) || !slices.Contains(honest, r.About)
	})
}

// callAll makes calls between the honest without a pause, until it is ended.
func (c *conspiracy) callAll() (end func() (calls int64)) {
	var over atomic.Bool
	var calls atomic.Int64
	var wg sync.WaitGroup
	for _, n := range c.honest {
		require.NoError(c.T, n.Register("work", func(x int) int { return x }))
	}
	for _, n := range c.honest {
		require.NoError(c.T, n.WaitFor(context.Background(), "work", len(c.honest)))
		wg.Go(func() {
			for !over.Load() {
				_, err := broach.Call[int](context.Background(), n.Caller("work", broach.NoRetry()), 1)
				if err != nil {
					c.T.Errorf("%v: %v", n.Addr(), err)
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
		"fast": clustertest.Lossy(0),
		"far":  {Delay: 125 * time.Millisecond, Jitter: 15 * time.Millisecond}, // there and back twice that
		"moon": {Delay: 280 * time.Millisecond, Jitter: 30 * time.Millisecond},
	}
	for way, links := range ways {
		for name, lie := range lies {
			for _, who := range [][2]int{{1, 3}, {1, 12}, {3, 12}, {6, 12}} {
				k, size := who[0], who[1]
				if race.Sampled && (k != 3 || way != "fast" || name != "all but Vouch" && name != "Vouch") {
					continue
				}
				t.Run(fmt.Sprint(way, ", ", name, ", ", k, " of ", size), func(t *testing.T) {
					conspire(t, uint64(k), size, k, links, func(c *conspiracy) {
						end, reports := c.callAll(), c.Watch()
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
		if name == "Vouch" || race.Sampled && name != "all but Vouch" {
			continue
		}
		for _, k := range []int{1, 3, 8} {
			if race.Sampled && k != 3 {
				continue
			}
			t.Run(fmt.Sprint(name, ", ", k, " of 16"), func(t *testing.T) {
				var took []time.Duration
				for seed := range uint64(2) {
					if race.Sampled && seed > 0 {
						break
					}
					conspire(t, seed+1, 16, k, clustertest.Lossy(0), func(c *conspiracy) {
						took = append(took, c.kills(lie)...)
					})
				}
				clustertest.RequireWithin(t, 1500*time.Millisecond, "all honest know", took)
			})
		}
	}
}

// kills kills some of the honest while the liars lie, and returns when the others knew.
func (c *conspiracy) kills(lie []byte) (took []time.Duration) {
	var wg sync.WaitGroup
	wg.Go(func() { c.lieFor(10*time.Second, lie) })
	for k := range 3 {
		time.Sleep(2*time.Second + time.Duration(k+1)*137*time.Millisecond)
		dead, start := c.honest[k+1], time.Now()
		c.Kill(dead)
		c.Until(5*time.Second, "all honest know", func() bool { return c.isOfflineForAll(dead.Addr()) })
		took = append(took, time.Since(start))
	}
	wg.Wait()
	return took
}

// isOfflineForAll reports that all of the honest who live hold what is at an address to be offline.
func (c *conspiracy) isOfflineForAll(addr netip.AddrPort) bool {
	return !slices.ContainsFunc(c.honest, func(n *broach.Node) bool {
		return !clustertest.IsClosed(n) && clustertest.MemberAt(n, addr).State != broach.Offline
	})
}

// [MEM-22] A dead node that liars vouch for is listed as long as they do, but is unreachable soon: calls to it fail at
// once. When the liars stop, it is offline.
func TestTheDeadThatLiarsVouchForAreOutOfReach(t *testing.T) {
	for _, k := range []int{1, 3, 6} {
		if race.Sampled && k != 3 {
			continue
		}
		t.Run(fmt.Sprint(k, " of 12"), func(t *testing.T) {
			conspire(t, 1, 12, k, clustertest.Lossy(0), func(c *conspiracy) {
				c.vouch(true)
				dead := c.honest[1]
				require.NoError(t, dead.Register("f", func() {}))
				c.Until(time.Second, "the function is known", func() bool { return c.Callable("f", dead) })
				start := time.Now()
				c.Kill(dead)
				over := make(chan struct{})
				go func() { defer close(over); c.lieFor(20*time.Second, lies["Vouch"]) }()
				isOut := func() bool { return !c.anybodyReaches(dead.Addr()) }
				c.Until(4*time.Second, "it is out of reach for all", isOut)
				t.Log("out of reach after", time.Since(start))
				for range 100 {
					time.Sleep(100 * time.Millisecond)
					require.True(t, isOut())
					before := time.Now()
					_, err := c.honest[2].Caller("f").Call(context.Background())
					clustertest.RequireError(t, err, broach.Unavailable, broach.No)
					require.Zero(t, time.Since(before), "at once")
				}
				require.False(t, c.isOfflineForAll(dead.Addr()), "it is listed")
				<-over
				c.vouch(false)
				isOffline := func() bool { return c.isOfflineForAll(dead.Addr()) }
				t.Log("offline after", c.Until(7*time.Second, "all know", isOffline))
			})
		})
	}
}

// vouch lets the liars vouch for all, whatever they know themselves; else they would betray the dead as any node does.
func (c *conspiracy) vouch(on bool) {
	for _, l := range c.liars {
		l.vouches.Store(on)
	}
}

// anybodyReaches reports that what is at an address is within reach of one of the honest.
func (c *conspiracy) anybodyReaches(addr netip.AddrPort) bool {
	return slices.ContainsFunc(c.honest, func(n *broach.Node) bool {
		if clustertest.IsClosed(n) {
			return false
		}
		m := clustertest.MemberAt(n, addr)
		return m.State != broach.Offline && !m.Unreachable
	})
}
