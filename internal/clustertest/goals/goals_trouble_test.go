package goals

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

// [G6] However long two halves were cut off from each other: within 3 s after it, all see all.
func TestHalvesFindEachOther(t *testing.T) {
	t.Parallel()
	for _, size := range sizes() {
		for _, lasting := range []time.Duration{30 * time.Second, 90 * time.Second, 10 * time.Minute} {
			if lasting > 30*time.Second && (size != 32 || race.Sampled) || lasting > 90*time.Second && testing.Short() {
				continue // 10 minutes of 32 nodes take 7 s of the processor
			}
			t.Run(fmt.Sprint(size, " nodes, ", lasting), func(t *testing.T) {
				clustertest.RequireWithin(t, 3*time.Second, "all see all", trials(t, size, 0, func(
					c *clustertest.Cluster,
				) []time.Duration {
					half := (size + 1) / 2
					c.Net.Cut(clustertest.AddrsOf(c.Nodes[:half]), clustertest.AddrsOf(c.Nodes[half:]))
					time.Sleep(lasting)
					require.True(t, clustertest.AllSee(c.Nodes[:half], half-1) &&
						clustertest.AllSee(c.Nodes[half:], size-half-1), "each half sees itself")
					c.Net.Heal()
					return []time.Duration{c.Settle(10 * time.Second)}
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
			if loss > 0 && (size > 32 || race.Sampled) {
				continue
			}
			t.Run(fmt.Sprint(size, " nodes, loss ", loss), func(t *testing.T) {
				clustertest.RequireWithin(t, 3*time.Second, "all see all", trials(t, size, 0, func(
					c *clustertest.Cluster,
				) []time.Duration {
					half := (size + 1) / 2
					a, b := clustertest.AddrsOf(c.Nodes[:half]), clustertest.AddrsOf(c.Nodes[half:])
					c.Net.Cut(append(a, clustertest.AddrOf(size)), append(b, clustertest.AddrOf(size+1)))
					time.Sleep(5 * time.Second)
					c.Start(size, 0)
					c.Start(size+1, half)
					time.Sleep(10 * time.Second)
					c.Net.SetDefault(clustertest.Lossy(loss))
					c.Net.Heal()
					return []time.Duration{c.Settle(20 * time.Second)}
				}))
			})
		}
	}
}

// [G11] A process that is stopped is offline within 1.5 s, and back everywhere within 50 ms after it goes on. Neither
// it nor the others call anybody else dead.
func TestStoppedNode(t *testing.T) {
	t.Parallel()
	for _, size := range sizes() {
		for _, lasting := range []time.Duration{10 * time.Second, 30 * time.Second} {
			if race.Sampled && lasting > 10*time.Second {
				continue
			}
			t.Run(fmt.Sprint(size, " nodes, ", lasting), func(t *testing.T) {
				var dead []time.Duration
				back := trials(t, size, 0, func(c *clustertest.Cluster) []time.Duration {
					reports, sick, start := c.Watch(), c.Nodes[1], time.Now()
					goOn := c.Stop(sick)
					c.Until(5*time.Second, "all know", c.AllSay(sick, broach.Offline))
					dead = append(dead, time.Since(start))
					time.Sleep(lasting - time.Since(start))
					goOn()
					back := c.Settle(10 * time.Second)
					time.Sleep(10 * time.Second)
					for _, r := range clustertest.DeathsOf(reports()) {
						require.Equal(t, sick.Addr(), r.About)
					}
					return []time.Duration{back}
				})
				clustertest.RequireWithin(t, 1500*time.Millisecond, "all know", dead)
				clustertest.RequireWithin(t, 50*time.Millisecond, "back everywhere", back)
			})
		}
	}
}

// [G12] Of 32 nodes 4 are stopped, or cut off, for 3 s and back for 1 s, in turns for a minute: nobody calls a healthy
// one dead but the sick.
func TestSickNodesBlameNobody(t *testing.T) {
	t.Parallel()
	for name, upset := range map[string]func(
		*clustertest.Cluster, *broach.Node,
	) func(){"stopped": (*clustertest.Cluster).Stop, "cut off": (*clustertest.Cluster).Isolate} {
		if race.Sampled && name == "cut off" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			trials(t, 32, 0, func(c *clustertest.Cluster) []time.Duration {
				reports, sick := c.Watch(), c.Nodes[4:8]
				upsetInTurns(c, sick, upset)
				deaths := clustertest.DeathsOf(reports())
				among := slices.DeleteFunc(slices.Clone(deaths), func(r clustertest.Report) bool {
					return slices.Contains(clustertest.AddrsOf(sick), r.About) ||
						slices.Contains(clustertest.AddrsOf(sick), r.By)
				})
				ofSick := slices.DeleteFunc(slices.Clone(deaths),
					func(r clustertest.Report) bool { return !slices.Contains(clustertest.AddrsOf(sick), r.About) })
				t.Logf("reported deaths: %d of the sick, %d by the sick of the healthy, %d among the healthy",
					len(ofSick), len(deaths)-len(ofSick)-len(among), len(among))
				require.Empty(t, among)
				return nil
			})
		})
	}
}

// upsetInTurns does something to nodes for 3 s of 4, each a second after the one before, for a minute.
func upsetInTurns(c *clustertest.Cluster, nodes []*broach.Node, upset func(
	*clustertest.Cluster, *broach.Node,
) (undo func())) {
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
func views(c *clustertest.Cluster) map[netip.AddrPort][]broach.Member {
	m := map[netip.AddrPort][]broach.Member{}
	for _, n := range c.Live() {
		list := n.Members()
		for i := range list {
			list[i].RTT = 0
		}
		m[n.Addr()] = list
	}
	return m
}

// [G18] A datagram that was recorded and is sent again, when its sender has left or was started again, or still lives,
// changes no view.
func TestRecordedDatagramsRaiseNobody(t *testing.T) {
	t.Parallel()
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		var mu sync.Mutex
		var recorded []clustertest.Recording
		c.Net.Tap(func(_ time.Time, from, to netip.AddrPort, b []byte) {
			mu.Lock()
			defer mu.Unlock()
			recorded = append(recorded, clustertest.Recording{From: from, To: to, Payload: slices.Clone(b)})
		})
		c.Gather(1, 6, 0)
		require.NoError(t, c.Nodes[2].Close())
		c.Kill(c.Nodes[3])
		c.Start(3, 0)
		c.Kill(c.Nodes[4])
		time.Sleep(10 * time.Second)
		c.Net.Tap(nil)
		mu.Lock() // for what the last writers did
		defer mu.Unlock()
		for _, later := range []time.Duration{0, time.Second, 2 * time.Minute} {
			time.Sleep(later)
			c.Settle(time.Second)
			before, reports := views(c), c.Watch()
			replay(c, recorded)
			time.Sleep(5 * time.Second)
			require.Equal(t, before, views(c))
			for _, r := range reports() {
				if r.About != c.Nodes[4].Addr() { // which is offline from the beginning
					require.Contains(t, []broach.EventKind{broach.MemberUp, broach.MemberLeft}, r.Kind)
				}
			}
		}
	})
}

// replay sends datagrams again, from where they came and from elsewhere.
func replay(c *clustertest.Cluster, recorded []clustertest.Recording) {
	for i, r := range recorded {
		c.Net.Inject(r.From, r.To, r.Payload)
		c.Net.Inject(clustertest.StrangerAddr, r.To, r.Payload)
		if i%100 == 0 {
			time.Sleep(time.Millisecond) // or the queues of the receivers overflow
		}
	}
}

// [G19] Two clusters of different names, each of which has got an address that the other had, stay two.
func TestClustersThatSwapAddresses(t *testing.T) {
	t.Parallel()
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		named := func(name string, ids ...int) (nodes []*broach.Node) {
			c.Edit = func(cfg *broach.Config) { cfg.Cluster = name }
			for _, i := range ids {
				nodes = append(nodes, c.Start(i, ids[0]))
			}
			return nodes
		}
		a, b := named("a", 0, 1, 2, 3), named("b", 4, 5, 6, 7)
		time.Sleep(5 * time.Second)
		c.Kill(a[3])
		c.Kill(b[3])
		a[3], b[3] = named("a", 7)[0], named("b", 3)[0]
		require.NoError(t, a[3].Join(a[0].Addr().String()))
		require.NoError(t, b[3].Join(b[0].Addr().String()))
		time.Sleep(time.Minute)
		requireOneCluster(t, a)
		requireOneCluster(t, b)
	})
}

// versionOf is the version that a node says it has.
func versionOf(n *broach.Node) string { return clustertest.MemberAt(n, n.Addr()).Version }

// requireOneCluster requires that nodes see each other and nobody else, and have counted what another cluster sent to
// them.
func requireOneCluster(t *testing.T, nodes []*broach.Node) {
	var foreign uint64
	for _, n := range nodes {
		for _, m := range n.Members() {
			isOne := slices.ContainsFunc(nodes, func(other *broach.Node) bool { return versionOf(other) == m.Version })
			require.Equal(t, isOne, m.State == broach.Alive, "%v of %v", m.State, m.Addr)
		}
		require.Equal(t, len(nodes)-1, clustertest.Count(n, broach.Alive))
		foreign += n.Stats().OtherCluster
	}
	require.NotZero(t, foreign)
}
