package broach

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"broach/internal/member"
	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

// [G6] However long two halves were cut off from each other: within 3 s after it, all see all.
func TestHalvesFindEachOther(t *testing.T) {
	t.Parallel()
	for _, size := range sizes() {
		for _, lasting := range []time.Duration{30 * time.Second, 90 * time.Second, 10 * time.Minute} {
			if lasting > 30*time.Second && (size != 32 || race.Enabled) || lasting > 90*time.Second && testing.Short() {
				continue // 10 minutes of 32 nodes take 7 s of the processor
			}
			t.Run(fmt.Sprint(size, " nodes, ", lasting), func(t *testing.T) {
				requireWithin(t, 3*time.Second, "all see all", trials(t, size, 0, func(c *cluster) []time.Duration {
					half := (size + 1) / 2
					c.net.Cut(addrsOf(c.nodes[:half]), addrsOf(c.nodes[half:]))
					time.Sleep(lasting)
					require.True(t, allSee(c.nodes[:half], half-1) && allSee(c.nodes[half:], size-half-1), "each half sees itself")
					c.net.Heal()
					return []time.Duration{c.settle(10 * time.Second)}
				}))
			})
		}
	}
}

// [G6] Who began behind the cut meanwhile is among them: within 3 s after it, all see all.
func TestHalvesFindWhoBeganBehindTheCut(t *testing.T) {
	t.Parallel()
	for _, size := range sizes() {
		for _, loss := range []float64{0, 0.1} {
			if loss > 0 && (size > 32 || race.Enabled) {
				continue
			}
			t.Run(fmt.Sprint(size, " nodes, loss ", loss), func(t *testing.T) {
				requireWithin(t, 3*time.Second, "all see all", trials(t, size, 0, func(c *cluster) []time.Duration {
					half := (size + 1) / 2
					a, b := addrsOf(c.nodes[:half]), addrsOf(c.nodes[half:])
					c.net.Cut(append(a, addrOf(size)), append(b, addrOf(size+1)))
					time.Sleep(5 * time.Second)
					c.start(size, 0)
					c.start(size+1, half)
					time.Sleep(10 * time.Second)
					c.net.SetDefault(lossy(loss))
					c.net.Heal()
					return []time.Duration{c.settle(20 * time.Second)}
				}))
			})
		}
	}
}

// stop stops a node as SIGSTOP does: it reads nothing, and what writes waits, its loop first of all. Goroutines that are in
// the middle of a call go on.
func (c *cluster) stop(n *Node) (goOn func()) {
	c.net.Pause(n.Addr())
	return func() { c.net.Resume(n.Addr()) }
}

// [G11] A process that is stopped is offline within 1.5 s, and back everywhere within 50 ms after it goes on. Neither
// it nor the others call anybody else dead.
func TestStoppedNode(t *testing.T) {
	t.Parallel()
	for _, size := range sizes() {
		for _, lasting := range []time.Duration{10 * time.Second, 30 * time.Second} {
			if race.Enabled && lasting > 10*time.Second {
				continue
			}
			t.Run(fmt.Sprint(size, " nodes, ", lasting), func(t *testing.T) {
				var dead []time.Duration
				back := trials(t, size, 0, func(c *cluster) []time.Duration {
					reports, sick, start := c.watch(), c.nodes[1], time.Now()
					goOn := c.stop(sick)
					c.until(5*time.Second, "all know", func() bool { return c.say(sick, Offline) == size-1 })
					dead = append(dead, time.Since(start))
					time.Sleep(lasting - time.Since(start))
					goOn()
					back := c.settle(10 * time.Second)
					time.Sleep(10 * time.Second)
					for _, r := range deathsOf(reports()) {
						require.Equal(t, sick.Addr(), r.about)
					}
					return []time.Duration{back}
				})
				requireWithin(t, 1500*time.Millisecond, "all know", dead)
				requireWithin(t, 50*time.Millisecond, "back everywhere", back)
			})
		}
	}
}

// [G12] Of 32 nodes 4 are stopped, or cut off, for 3 s and back for 1 s, in turns for a minute: nobody calls a healthy
// one dead but the sick.
func TestSickNodesBlameNobody(t *testing.T) {
	t.Parallel()
	for name, upset := range map[string]func(*cluster, *Node) func(){"stopped": (*cluster).stop, "cut off": (*cluster).isolate} {
		if race.Enabled && name == "cut off" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			trials(t, 32, 0, func(c *cluster) []time.Duration {
				reports, sick := c.watch(), c.nodes[4:8]
				c.upsetInTurns(sick, upset)
				deaths := deathsOf(reports())
				among := slices.DeleteFunc(slices.Clone(deaths), func(r report) bool {
					return slices.Contains(addrsOf(sick), r.about) || slices.Contains(addrsOf(sick), r.by)
				})
				ofSick := slices.DeleteFunc(slices.Clone(deaths), func(r report) bool { return !slices.Contains(addrsOf(sick), r.about) })
				t.Logf("reported deaths: %d of the sick, %d by the sick of the healthy, %d among the healthy",
					len(ofSick), len(deaths)-len(ofSick)-len(among), len(among))
				require.Empty(t, among)
				return nil
			})
		})
	}
}

// isolate cuts a node off from all others, there and back.
func (c *cluster) isolate(n *Node) (undo func()) {
	set := func(loss float64) {
		for _, other := range c.nodes {
			c.net.SetLink(n.Addr(), other.Addr(), lossy(loss))
			c.net.SetLink(other.Addr(), n.Addr(), lossy(loss))
		}
	}
	set(1)
	return func() { set(0) }
}

// upsetInTurns does something to nodes for 3 s of 4, each a second after the one before, for a minute.
func (c *cluster) upsetInTurns(nodes []*Node, upset func(*cluster, *Node) (undo func())) {
	undo := make([]func(), len(nodes))
	for second := range int(aMinute().Seconds()) {
		for i, n := range nodes {
			switch phase := (second + i) % 4; {
			case phase == 0:
				undo[i] = upset(c, n)
			case phase == 3 && undo[i] != nil:
				undo[i]()
				undo[i] = nil
			}
		}
		time.Sleep(time.Second)
	}
	for _, u := range undo {
		if u != nil {
			u()
		}
	}
}

// views is what each live node says of the others.
func (c *cluster) views() map[netip.AddrPort][]*member.View {
	m := map[netip.AddrPort][]*member.View{}
	for _, n := range c.live() {
		m[n.Addr()] = n.calling.view.Load().peers
	}
	return m
}

// [G18] A datagram that was recorded and is sent again, when its sender has left or was started again, or still lives,
// changes no view.
func TestRecordedDatagramsRaiseNobody(t *testing.T) {
	t.Parallel()
	inCluster(t, 1, func(c *cluster) {
		var mu sync.Mutex
		var recorded []recording
		c.net.Tap(func(_ time.Time, from, to netip.AddrPort, b []byte) {
			mu.Lock()
			defer mu.Unlock()
			recorded = append(recorded, recording{from, to, slices.Clone(b)})
		})
		c.gather(1, 6, 0)
		require.NoError(t, c.nodes[2].Close())
		c.kill(c.nodes[3])
		c.start(3, 0)
		c.kill(c.nodes[4])
		time.Sleep(10 * time.Second)
		c.net.Tap(nil)
		mu.Lock() // for what the last writers did
		defer mu.Unlock()
		for _, later := range []time.Duration{0, time.Second, 2 * time.Minute} {
			time.Sleep(later)
			c.settle(time.Second)
			before, reports := c.views(), c.watch()
			c.replay(recorded)
			time.Sleep(5 * time.Second)
			require.Equal(t, before, c.views())
			for _, r := range reports() {
				if r.about != c.nodes[4].Addr() { // which is offline from the beginning
					require.Contains(t, []EventKind{MemberUp, MemberLeft}, r.kind)
				}
			}
		}
	})
}

// replay sends datagrams again, from where they came and from elsewhere.
func (c *cluster) replay(recorded []recording) {
	for i, r := range recorded {
		c.net.Inject(r.from, r.to, r.payload)
		c.net.Inject(strangerAddr, r.to, r.payload)
		if i%100 == 0 {
			time.Sleep(time.Millisecond) // or the queues of the receivers overflow
		}
	}
}

// [G19] Two clusters of different names, each of which has got an address that the other had, stay two.
func TestClustersThatSwapAddresses(t *testing.T) {
	t.Parallel()
	inCluster(t, 1, func(c *cluster) {
		named := func(name string, ids ...int) (nodes []*Node) {
			c.edit = func(cfg *Config) { cfg.Cluster = name }
			for _, i := range ids {
				nodes = append(nodes, c.start(i, ids[0]))
			}
			return nodes
		}
		a, b := named("a", 0, 1, 2, 3), named("b", 4, 5, 6, 7)
		time.Sleep(5 * time.Second)
		c.kill(a[3])
		c.kill(b[3])
		a[3], b[3] = named("a", 7)[0], named("b", 3)[0]
		require.NoError(t, a[3].Join(a[0].Addr().String()))
		require.NoError(t, b[3].Join(b[0].Addr().String()))
		time.Sleep(time.Minute)
		requireOneCluster(t, a)
		requireOneCluster(t, b)
	})
}

// requireOneCluster requires that nodes see each other and nobody else, and have counted what another cluster sent to
// them.
func requireOneCluster(t *testing.T, nodes []*Node) {
	var foreign uint64
	for _, n := range nodes {
		for _, p := range n.calling.view.Load().peers {
			isOne := slices.ContainsFunc(nodes, func(other *Node) bool { return other.linking.wires.Process.Boot == p.Boot })
			require.Equal(t, isOne, State(p.State) == Alive, "%v of %v", p.State, p.Addr)
		}
		require.Equal(t, len(nodes)-1, count(n, Alive))
		foreign += n.Stats().OtherCluster
	}
	require.NotZero(t, foreign)
}
