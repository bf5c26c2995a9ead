package main

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"
)

// A cluster is the running nodes of one system.
type cluster struct {
	system  system
	net     *network
	news    news
	rand    *rand.Rand
	members []member
	runs    map[netip.AddrPort]string // what each node should see
}

const (
	poll  = 5 * time.Millisecond // between two looks at the views: the grain of all times
	limit = time.Minute          // what takes longer counts as never
)

func newCluster(s system, seed uint64) *cluster {
	return &cluster{
		system: s, net: newNetwork(seed), rand: rand.New(rand.NewPCG(seed, 1)), runs: make(map[netip.AddrPort]string),
	}
}

// add starts n nodes at once, which join by the first of all.
func (c *cluster) add(n int) error {
	fresh := make([]member, n)
	var group errgroup.Group
	for i := range fresh {
		group.Go(func() (err error) {
			fresh[i], err = c.system.start(c.birth(loopback, "1"))
			return err
		})
	}
	err := group.Wait()
	for _, m := range fresh {
		c.know(m, "1")
	}
	return err
}

// birth is for a node that joins this cluster.
func (c *cluster) birth(at netip.AddrPort, run string) birth {
	b := birth{net: c.net, news: &c.news, at: at, run: run}
	if len(c.members) > 0 {
		b.seed = c.members[0].addr()
	}
	return b
}

// know adds a node that was started.
func (c *cluster) know(m member, run string) {
	if m != nil {
		c.members = append(c.members, m)
		c.runs[m.addr()] = run
	}
}

// take picks any node but the seed, which no longer belongs to the cluster.
func (c *cluster) take() member {
	i := 1 + c.rand.IntN(len(c.members)-1)
	m := c.members[i]
	c.members = append(c.members[:i:i], c.members[i+1:]...)
	delete(c.runs, m.addr())
	return m
}

// missing counts the pairs of which one does not see the other as it should.
func (c *cluster) missing() (pairs int) {
	for _, m := range c.members {
		pairs += c.missingAt(m)
	}
	return pairs
}

// missingAt counts the nodes that m does not see as it should.
func (c *cluster) missingAt(m member) (n int) {
	view := m.sees()
	for addr, run := range c.runs {
		if view[addr] != run {
			n++
		}
	}
	return n
}

// allSeeAll stops looking at the first node that does not.
func (c *cluster) allSeeAll() bool {
	for _, m := range c.members {
		if c.missingAt(m) > 0 {
			return false
		}
	}
	return true
}

// without counts the nodes that do not see the address any more.
func (c *cluster) without(addr netip.AddrPort) (n int) {
	for _, m := range c.members {
		if _, ok := m.sees()[addr]; !ok {
			n++
		}
	}
	return n
}

// since waits until it is so and returns the seconds from start, infinitely many for never.
func since(start time.Time, isSo func() bool) float64 {
	for time.Since(start) < limit {
		if isSo() {
			return time.Since(start).Seconds()
		}
		time.Sleep(poll)
	}
	return math.Inf(1)
}

// close ends all nodes.
func (c *cluster) close() {
	var group errgroup.Group
	for _, m := range c.members {
		group.Go(func() error { m.kill(); return nil })
	}
	group.Wait()
}
