package broach

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// cluster is a cluster of real nodes on a simulated network, in virtual time.
type cluster struct {
	t     *testing.T
	net   *simnet.Network
	nodes []*Node
	edit  func(*Config) // what a test wants different
}

// inCluster runs a test on an empty cluster. The seed is printed: it replays the run.
func inCluster(t *testing.T, seed uint64, test func(c *cluster)) {
	synctest.Test(t, func(t *testing.T) {
		t.Logf("seed %d", seed)
		c := &cluster{t: t, net: simnet.New(seed), edit: func(*Config) {}}
		defer func() {
			for _, n := range c.nodes {
				c.kill(n)
			}
			c.net.Close()
			time.Sleep(time.Nanosecond) // whoever still reads sees it
		}()
		test(c)
	})
}

// addrOf is the address of the i-th node.
func addrOf(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i%250 + 1)}), 7000)
}

// start starts node i, with node 0 as its seed.
func (c *cluster) start(i int, join ...int) *Node {
	c.t.Helper()
	conn, err := c.net.Listen(addrOf(i))
	require.NoError(c.t, err)
	cfg := Config{Name: fmt.Sprint("node", i), Conn: conn, RandSeed: uint64(len(c.nodes) + 1), Logger: slog.New(slog.DiscardHandler)}
	if os.Getenv("BROACH_LOG") != "" {
		cfg.Logger = slog.Default().With("node", i)
	}
	for _, j := range join {
		cfg.Join = append(cfg.Join, addrOf(j).String())
	}
	c.edit(&cfg)
	n, err := Start(cfg)
	require.NoError(c.t, err)
	c.nodes = append(c.nodes, n)
	return n
}

// startAll starts k nodes at once, node 0 being the seed of all.
func (c *cluster) startAll(k int) {
	for i := range k {
		c.start(i, 0)
	}
}

// kill ends a node without a word to anybody, as a crash does.
func (c *cluster) kill(n *Node) {
	n.cfg.Conn.Close()
	n.Close()
}

// until waits until a condition holds, and returns how long that took. It looks every millisecond of virtual time.
func (c *cluster) until(limit time.Duration, what string, holds func() bool) time.Duration {
	c.t.Helper()
	start := time.Now()
	for !holds() {
		require.Less(c.t, time.Since(start), limit, "%s", what)
		time.Sleep(time.Millisecond)
	}
	return time.Since(start)
}

// count counts the members that a node believes to be in a state, without itself.
func count(n *Node, s State) int {
	k := 0
	for _, p := range n.calling.view.Load().peers {
		if State(p.State) == s {
			k++
		}
	}
	return k
}

// allSee reports whether each of the nodes believes k others to be alive.
func allSee(nodes []*Node, k int) bool {
	for _, n := range nodes {
		if count(n, Alive) != k {
			return false
		}
	}
	return true
}
