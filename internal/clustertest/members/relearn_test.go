package members

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// Clusters of one configuration: all nodes listen on all addresses, and name the first of them.

// uniform is such a cluster.
type uniform struct {
	*clustertest.Cluster
	sockets map[int]*clustertest.Movable
}

// inUniform runs a test on such a cluster, without keys and with them.
func inUniform(t *testing.T, test func(u *uniform)) {
	for name, keys := range map[string][][]byte{"without keys": nil, "with keys": {clustertest.KeyOf(1)}} {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				c.Edit = func(cfg *broach.Config) { cfg.Keys = keys }
				test(&uniform{c, map[int]*clustertest.Movable{}})
			})
		})
	}
}

// start starts node i, which offers a function of its own.
func (u *uniform) start(i int) *broach.Node {
	n := u.StartWith(i, func(cfg *broach.Config) {
		conn := cfg.Conn.(*simnet.Conn)
		m := &clustertest.Movable{C: u.Cluster, Local: &net.UDPAddr{IP: net.IPv4zero, Port: 7000}, First: conn,
			Conn: conn}
		cfg.Conn, u.sockets[i] = m, m
	}, 0)
	require.NoError(u.T, n.Register(fmt.Sprint("f", i), func() {}))
	return n
}

// live lists the nodes that run.
func (u *uniform) live() (list []*broach.Node) {
	for _, n := range u.Nodes {
		if !clustertest.IsClosed(n) {
			list = append(list, n)
		}
	}
	return list
}

func isJoining(n *broach.Node) bool { return !clustertest.IsJoined(n) }

// untilMet waits until all have met and joined, and lets each call each.
func (u *uniform) untilMet(limit time.Duration, what string) {
	u.T.Helper()
	live := u.live()
	took := u.Until(limit, what, func() bool {
		return clustertest.AllSee(live, len(live)-1) &&
			!slices.ContainsFunc(live, isJoining)
	})
	u.T.Logf("%s: all meet after %v", what, took)
	for _, n := range live {
		for i := range u.sockets {
			if _, closed := u.sockets[i].Now(); closed {
				continue
			}
			_, err := n.Caller(fmt.Sprint("f", i)).Call(context.Background())
			require.NoError(u.T, err, "%s: %v to %d", what, n.Addr(), i)
		}
	}
}

// [MEM-25] and [MEM-32]: whoever of them starts first, or again, or gets another address: they come together, and each
// calls each.
func TestOneConfigurationForAll(t *testing.T) {
	inUniform(t, func(u *uniform) {
		first := u.start(0)
		u.Until(time.Second, "the first alone has joined", func() bool { return clustertest.IsJoined(first) })
		require.True(t, first.Addr().Addr().IsUnspecified(), "never from itself")
		time.Sleep(time.Minute)
		u.start(1)
		u.start(2)
		u.untilMet(time.Second, "others come")

		time.Sleep(5 * time.Second)
		u.Kill(u.Nodes[2])
		u.start(2)
		u.untilMet(time.Second, "another is killed and starts again")
		time.Sleep(5 * time.Second)
		u.Kill(first)
		time.Sleep(3 * time.Second)
		first = u.start(0)
		u.untilMet(time.Second, "the first starts again")
		time.Sleep(5 * time.Second)
		require.NoError(t, first.Close())
		time.Sleep(3 * time.Second)
		first = u.start(0)
		u.untilMet(time.Second, "the first leaves and starts again")

		for i, who := range []int{0, 1, 0, 2} {
			time.Sleep(10 * time.Second)
			u.sockets[who].Move(clustertest.AddrOf(100 + i))
			u.Until(10*time.Second, "it moves",
				func() bool { return u.nodeAt(who).Addr() == clustertest.AddrOf(100+i) })
			u.untilMet(time.Second, fmt.Sprint(who, " gets another address"))
		}
		time.Sleep(time.Minute)
		u.untilMet(time.Millisecond, "later")
	})
}

// nodeAt is the node that has a socket.
func (u *uniform) nodeAt(i int) *broach.Node {
	for _, n := range u.live() {
		if u.Configs[n].Conn == u.sockets[i] {
			return n
		}
	}
	return nil
}

// [MEM-25] They come together all at once, or the first only after the others.
func TestOneConfigurationAtOnce(t *testing.T) {
	for _, late := range []time.Duration{0, 5 * time.Millisecond, 3 * time.Second, 10 * time.Minute} {
		inUniform(t, func(u *uniform) {
			if late == 0 {
				u.start(0)
			}
			for i := range 8 {
				u.start(i + 1)
			}
			if late > 0 {
				time.Sleep(late)
				u.start(0)
			}
			u.untilMet(700*time.Millisecond, fmt.Sprint("the first after ", late))
		})
	}
}
