// Package clustertest starts clusters of real nodes for the tests in its folders, which use them as a program does:
// through the public API.
//
//	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
//		provider := c.Start(0)
//		caller := c.Start(1, 0) // joins by node 0
//		...
//		c.Net.SetDefault(simnet.Link{Loss: 0.05})
//		c.Kill(provider)
//	})
//
// A cluster lives in a bubble of testing/synctest, in virtual time, on a network in memory whose faults are drawn from
// a seed that each run prints. Nothing here reaches into a node: what a test needs to know of one, an operator can ask
// too. What cannot be known that way is tested beside the code that it is about.
//
// Read cluster.go first: how nodes start and end. Then gather.go: when a cluster is at rest, and what is wrong if it is
// not. check.go, report.go, rows.go and log.go hold what tests ask for again and again, keys.go what nodes are given.
// What goes wrong around a node is made by sockets of its own: movable.go is a host that changes its address,
// forward.go passes datagrams on as a proxy does, deaf.go loses what comes on some links, forger.go says other bytes
// than the node does. names.go and resolver.go are name servers.
package clustertest

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"broach"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// Cluster is a cluster of real nodes on a simulated network, in virtual time.
type Cluster struct {
	T       *testing.T
	Net     *simnet.Network
	Nodes   []*broach.Node
	Edit    func(*broach.Config)           // what a test wants different
	Configs map[*broach.Node]broach.Config // with which each was started
	IsPlain bool                           // no node is given a version, which costs each of the others 64 bytes
}

// Run runs a test on an empty cluster. The seed is printed: it replays the run.
func Run(t *testing.T, seed uint64, test func(c *Cluster)) {
	SkipWithoutBatches(t)
	synctest.Test(t, func(t *testing.T) {
		t.Logf("seed %d", seed)
		c := &Cluster{T: t, Net: simnet.New(seed), Edit: func(*broach.Config) {},
			Configs: map[*broach.Node]broach.Config{}}
		defer func() {
			for _, n := range c.Nodes {
				c.Kill(n)
			}
			c.Net.Close()
			time.Sleep(time.Nanosecond) // whoever still reads sees it
		}()
		test(c)
	})
}

// SkipWithoutBatches skips a test on the network in memory under the command nobatch, which has the kernel refuse what
// only sockets ask it for.
func SkipWithoutBatches(t *testing.T) {
	t.Helper()
	if os.Getenv("NOBATCH") != "" {
		t.Skip("no socket takes part")
	}
}

// AddrOf is the address of the i-th node.
func AddrOf(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i%250 + 1)}), 7000)
}

// Start starts node i, which joins by others. Its version tells it from all that are ever started, unless the test
// gives it one: members show it, so that a process and the one that takes its place are two.
func (c *Cluster) Start(i int, join ...int) *broach.Node {
	c.T.Helper()
	conn, err := c.Net.Listen(AddrOf(i))
	require.NoError(c.T, err)
	cfg := broach.Config{Name: fmt.Sprint("node", i), Conn: conn, RandSeed: uint64(len(c.Nodes) + 1),
		Logger: slog.New(slog.DiscardHandler)}
	if os.Getenv("BROACH_LOG") != "" {
		cfg.Logger = slog.Default().With("node", i)
	}
	for _, j := range join {
		cfg.Join = append(cfg.Join, AddrOf(j).String())
	}
	c.Edit(&cfg)
	if !c.IsPlain {
		cfg.Version = cmp.Or(cfg.Version, fmt.Sprint("start ", len(c.Nodes)))
	}
	n, err := broach.Start(cfg)
	require.NoError(c.T, err)
	c.Nodes = append(c.Nodes, n)
	c.Configs[n] = cfg
	return n
}

// StartAll starts k nodes at once, node 0 being the seed of all.
func (c *Cluster) StartAll(k int) {
	for i := range k {
		c.Start(i, 0)
	}
}

// Kill ends a node without a word to anybody, as a crash does.
func (c *Cluster) Kill(n *broach.Node) {
	c.Configs[n].Conn.Close()
	n.Close()
}

// Until waits until a condition holds, and returns how long that took. It looks every millisecond of virtual time.
func (c *Cluster) Until(limit time.Duration, what string, holds func() bool) time.Duration {
	c.T.Helper()
	start := time.Now()
	for !holds() {
		require.Less(c.T, time.Since(start), limit, "%s", what)
		time.Sleep(time.Millisecond)
	}
	return time.Since(start)
}

// Count counts the members that a node believes to be in a state, without itself.
func Count(n *broach.Node, s broach.State) int {
	k := 0
	for _, m := range n.Members() {
		if !m.Self && m.State == s {
			k++
		}
	}
	return k
}

// AllSee reports whether each of the nodes believes k others to be alive.
func AllSee(nodes []*broach.Node, k int) bool {
	for _, n := range nodes {
		if Count(n, broach.Alive) != k {
			return false
		}
	}
	return true
}

// AddrsOf are the addresses of some nodes.
func AddrsOf(nodes []*broach.Node) []netip.AddrPort {
	var list []netip.AddrPort
	for _, n := range nodes {
		list = append(list, n.Addr())
	}
	return list
}

// IsClosed reports whether a node has ended.
func IsClosed(n *broach.Node) bool {
	select {
	case <-n.Done():
		return true
	default:
		return false
	}
}

// IsJoined reports whether a node counts as having joined.
func IsJoined(n *broach.Node) bool { return n.Stats().Joined }
