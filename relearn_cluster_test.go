package broach

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// Clusters of one configuration: all nodes listen on all addresses, and name the first of them.

// uniform is such a cluster.
type uniform struct {
	*cluster
	sockets map[int]*movable
}

// inUniform runs a test on such a cluster, without keys and with them.
func inUniform(t *testing.T, test func(u *uniform)) {
	for name, keys := range map[string][][]byte{"without keys": nil, "with keys": {keyOf(1)}} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, 1, func(c *cluster) {
				c.edit = func(cfg *Config) { cfg.Keys = keys }
				test(&uniform{c, map[int]*movable{}})
			})
		})
	}
}

// start starts node i, which offers a function of its own.
func (u *uniform) start(i int) *Node {
	n := u.startWith(i, func(cfg *Config) {
		conn := cfg.Conn.(*simnet.Conn)
		m := &movable{c: u.cluster, local: &net.UDPAddr{IP: net.IPv4zero, Port: 7000}, first: conn, conn: conn}
		cfg.Conn, u.sockets[i] = m, m
	}, 0)
	require.NoError(u.t, n.Register(fmt.Sprint("f", i), func() {}))
	return n
}

// live lists the nodes that run.
func (u *uniform) live() (list []*Node) {
	for _, n := range u.nodes {
		if !n.isClosed() {
			list = append(list, n)
		}
	}
	return list
}

func isJoining(n *Node) bool { return !isJoined(n) }

// untilMet waits until all have met and joined, and lets each call each.
func (u *uniform) untilMet(limit time.Duration, what string) {
	u.t.Helper()
	live := u.live()
	took := u.until(limit, what, func() bool { return allSee(live, len(live)-1) && !slices.ContainsFunc(live, isJoining) })
	u.t.Logf("%s: all meet after %v", what, took)
	for _, n := range live {
		for i := range u.sockets {
			if _, closed := u.sockets[i].now(); closed {
				continue
			}
			_, err := n.Caller(fmt.Sprint("f", i)).Call(context.Background())
			require.NoError(u.t, err, "%s: %v to %d", what, n.Addr(), i)
		}
	}
}

// [MEM-25] and [MEM-32]: whoever of them starts first, or again, or gets another address: they come together, and each
// calls each.
func TestOneConfigurationForAll(t *testing.T) {
	inUniform(t, func(u *uniform) {
		first := u.start(0)
		u.until(time.Second, "the first alone has joined", func() bool { return isJoined(first) })
		require.True(t, first.Addr().Addr().IsUnspecified(), "never from itself")
		time.Sleep(time.Minute)
		u.start(1)
		u.start(2)
		u.untilMet(time.Second, "others come")

		time.Sleep(5 * time.Second)
		u.kill(u.nodes[2])
		u.start(2)
		u.untilMet(time.Second, "another is killed and starts again")
		time.Sleep(5 * time.Second)
		u.kill(first)
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
			u.sockets[who].move(addrOf(100 + i))
			u.until(10*time.Second, "it moves", func() bool { return u.nodeAt(who).Addr() == addrOf(100+i) })
			u.untilMet(time.Second, fmt.Sprint(who, " gets another address"))
		}
		time.Sleep(time.Minute)
		u.untilMet(time.Millisecond, "later")
	})
}

// nodeAt is the node that has a socket.
func (u *uniform) nodeAt(i int) *Node {
	for _, n := range u.live() {
		if n.cfg.Conn == u.sockets[i] {
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
