package members

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// soonBack is how soon a seed that runs again is known to all: the 500 ms of [MEM-18], and what its introduction takes.
const soonBack = 600 * time.Millisecond

// waysToEnd are the ways in which a process can end.
var waysToEnd = map[string]func(c *clustertest.Cluster, n *broach.Node){
	"kill":  func(c *clustertest.Cluster, n *broach.Node) { c.Kill(n) },
	"close": func(c *clustertest.Cluster, n *broach.Node) { require.NoError(c.T, n.Close()) },
	"leave": func(c *clustertest.Cluster, n *broach.Node) { require.NoError(c.T, n.Leave(context.Background())) },
	"leave while it is called": func(c *clustertest.Cluster, n *broach.Node) {
		caller := c.Nodes[len(c.Nodes)-1]
		called := broach.Go[int](context.Background(), caller.Caller("slow", broach.On(n.Addr())))
		time.Sleep(10 * time.Millisecond)
		require.NoError(c.T, n.Leave(context.Background()))
		_, err := called.Wait()
		require.NoError(c.T, err)
	},
	"leave that is cut short": func(c *clustertest.Cluster, n *broach.Node) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		called := broach.Go[int](context.Background(), c.Nodes[len(c.Nodes)-1].Caller("slow", broach.On(n.Addr())))
		time.Sleep(5 * time.Millisecond)
		require.ErrorIs(c.T, n.Leave(ctx), context.DeadlineExceeded)
		_, err := called.Wait()
		require.Error(c.T, err)
	},
}

// seedForms are the ways in which a node can be told of its seeds.
var seedForms = map[string]func(c *clustertest.Cluster, names *clustertest.Names, i int, seeds []int) *broach.Node{
	"address": func(c *clustertest.Cluster, _ *clustertest.Names, i int, seeds []int) *broach.Node {
		return c.Start(i, seeds...)
	},
	"mapped": func(c *clustertest.Cluster, _ *clustertest.Names, i int, seeds []int) *broach.Node {
		return c.StartWith(i, func(cfg *broach.Config) {
			for _, j := range seeds {
				ip := netip.AddrFrom16(clustertest.AddrOf(j).Addr().As16())
				cfg.Join = append(cfg.Join, netip.AddrPortFrom(ip, 7000).String())
			}
		})
	},
	"name": func(_ *clustertest.Cluster, names *clustertest.Names, i int, seeds []int) *broach.Node {
		host := fmt.Sprint("seeds-of-", i)
		names.Set(host, 5*time.Millisecond, seeds...)
		n := names.Start(i, host)
		time.Sleep(5 * time.Millisecond)
		return n
	},
	"at run time": func(c *clustertest.Cluster, _ *clustertest.Names, i int, seeds []int) *broach.Node {
		n := c.Start(i)
		for _, j := range seeds {
			require.NoError(c.T, n.Join(clustertest.AddrOf(j).String()))
		}
		return n
	},
}

// returning is a case of a seed that ends and runs again.
type returning struct {
	ending, form string
	own          []int         // the seeds' own seeds
	seeds        int           // how many there are; all end
	gap          time.Duration // until they run again
}

// [MEM-18] A seed that ends, in whatever way, and runs again at its address is found by the others, each time.
func TestASeedThatEndsAndRunsAgainIsFound(t *testing.T) {
	t.Parallel()
	gaps := []time.Duration{0, 50 * time.Millisecond, 2 * time.Second, 70 * time.Second}
	if race.Sampled {
		gaps = gaps[1:2]
	}
	for ending := range waysToEnd {
		for form := range seedForms {
			for _, own := range [][]int{nil, {0}, {0, 1, 2}, {3}} {
				for _, seeds := range []int{1, 3} {
					for _, gap := range gaps {
						r := returning{ending, form, own, seeds, gap}
						t.Run(fmt.Sprintf("%+v", r), func(t *testing.T) { clustertest.Run(t, 1, r.play) })
					}
				}
			}
		}
	}
}

func (r returning) play(c *clustertest.Cluster) {
	names := c.NewNames()
	begin := func(i int, seeds []int) *broach.Node {
		n := seedForms[r.form](c, names, i, seeds)
		require.NoError(c.T, n.Register("slow", func() int { time.Sleep(100 * time.Millisecond); return 1 }))
		return n
	}
	for i := range r.seeds {
		begin(i, r.own)
	}
	for i := range 3 {
		begin(3+i, []int{0, 1, 2}[:r.seeds])
	}
	size := len(c.Nodes)
	c.Until(3*time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, size-1) })
	time.Sleep(3 * time.Second)
	for range 2 {
		for _, n := range c.Nodes[:r.seeds] {
			waysToEnd[r.ending](c, n)
		}
		time.Sleep(r.gap)
		others := c.Nodes[r.seeds:]
		c.Nodes = nil
		for i := range r.seeds {
			begin(i, r.own)
		}
		c.Nodes = append(c.Nodes, others...)
		took := c.Until(20*time.Second, "all see all again", func() bool { return clustertest.AllSee(c.Nodes, size-1) })
		require.LessOrEqual(c.T, took, r.limit())
		time.Sleep(time.Second)
	}
}

// limit is how soon all see all again. Who is killed must be missed before: a heartbeat is late, and the next Open
// finds who is there now.
func (r returning) limit() time.Duration {
	if r.ending == "kill" {
		return max(soonBack, time.Second-r.gap)
	}
	return soonBack
}

// [MEM-18] up to 8 seeds at which it has no peer, or one that is offline or has left: however many others are lost,
// however far the way, and through loss.
func TestASeedIsFoundAgainWhateverElseIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		size, dead int
		link       simnet.Link
		limit      time.Duration
	}{
		"many are dead": {size: 30, dead: 25, limit: soonBack},
		"a far cluster": {size: 8, link: simnet.Link{Delay: 100 * time.Millisecond}, limit: soonBack + time.Second},
		"loss of a tenth": {
			size: 8, link: simnet.Link{Loss: 0.1, Delay: time.Millisecond}, limit: soonBack + 500*time.Millisecond,
		},
		"a large cluster": {size: 100, limit: soonBack},
	} {
		if race.Sampled && test.size > 30 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				c.Net.SetDefault(test.link)
				c.StartAll(test.size)
				c.Until(5*time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, test.size-1) })
				for _, n := range c.Nodes[test.size-test.dead:] {
					c.Kill(n)
				}
				time.Sleep(10 * time.Second)
				left := test.size - test.dead
				for range 2 {
					require.NoError(t, c.Nodes[0].Leave(context.Background()))
					time.Sleep(time.Second)
					back := c.Start(0)
					c.Nodes = append([]*broach.Node{back}, c.Nodes[1:test.size]...)
					took := c.Until(20*time.Second, "all see all again",
						func() bool { return clustertest.AllSee(c.Nodes[:left], left-1) })
					t.Log("found again after", took)
					require.LessOrEqual(t, took, test.limit)
				}
			})
		})
	}
}

// Who joins by a seed that has come back, before the others have found it, is in the same cluster as they soon.
func TestWhoJoinsByASeedThatIsBackIsInTheSameCluster(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, time.Second, time.Minute, 2 * time.Minute} {
		clustertest.Run(t, 1, func(c *clustertest.Cluster) {
			c.StartAll(10)
			c.Until(time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, 9) })
			require.NoError(t, c.Nodes[0].Leave(context.Background()))
			c.Net.Cut(clustertest.AddrsAt([]int{0, 10, 11}), clustertest.AddrsOf(c.Nodes))
			c.Nodes = c.Nodes[1:]
			c.Start(0)
			c.Start(10, 0)
			c.Start(11, 0)
			time.Sleep(after)
			c.Net.Heal()
			took := c.Until(4*time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, 11) })
			t.Log("one cluster after", took)
		})
	}
}

// Join contacts a seed at once, also one that was named before and has left.
func TestJoinFindsASeedAtOnce(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Start(0)
		n := c.Start(1)
		for range 3 {
			require.NoError(t, n.Join(clustertest.AddrOf(0).String()))
			took := c.Until(time.Second, "they see each other", func() bool { return clustertest.AllSee(c.Nodes, 1) })
			require.LessOrEqual(t, took, 2*time.Millisecond)
			require.NoError(t, c.Nodes[0].Leave(context.Background()))
			c.Nodes = []*broach.Node{c.Start(0), n}
		}
	})
}
