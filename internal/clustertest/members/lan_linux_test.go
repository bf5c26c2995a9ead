package members

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// A lan is a switch in a namespace of its own, and hosts on it.
type lan struct {
	t     *testing.T
	sw    *space
	ports int
}

func newLAN(t *testing.T) *lan {
	l := &lan{t: t, sw: newSpace(t)}
	l.sw.run("ip", "link", "add", "name", "switch0", "type", "bridge")
	l.sw.run("ip", "link", "set", "switch0", "up")
	return l
}

// plug gives a host an interface on the switch.
func (l *lan) plug(s *space, iface string, addrs ...string) {
	l.ports++
	port := fmt.Sprintf("port%d", l.ports)
	l.sw.wireTo(s, port, iface)
	l.sw.run("ip", "link", "set", port, "master", "switch0")
	s.address(iface, addrs...)
}

// host is a new one with one interface.
func (l *lan) host(addrs ...string) *space {
	s := newSpace(l.t)
	l.plug(s, "eth0", addrs...)
	return s
}

// A nat is a router of a Linux host, as before a home, and of containers: what goes out comes from its outer address.
type nat struct {
	*space
	n      int // its outer address is 10.0.0.100+n, its inner network 192.168.n.0/24
	inside *lan
}

func newNAT(outside *lan, n int) *nat {
	r := &nat{outside.host(fmt.Sprintf("10.0.0.%d/24", 100+n)), n, newLAN(outside.t)}
	r.inside.plug(r.space, "in", fmt.Sprintf("192.168.%d.1/24", n))
	r.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	r.firewall("-t", "nat", "-A", "POSTROUTING", "-o", "eth0", "-j", "MASQUERADE")
	return r
}

// host is one behind it: 192.168.n.last.
func (r *nat) host(last int) *space {
	s := r.inside.host(fmt.Sprintf("192.168.%d.%d/24", r.n, last))
	s.run("ip", "route", "add", "default", "via", fmt.Sprintf("192.168.%d.1", r.n))
	return s
}

// forward leads what comes to an outer port to port 7000 of a host, and returns the outer address.
func (r *nat) forward(port, last int) string {
	r.firewall("-t", "nat", "-A", "PREROUTING", "-i", "eth0", "-p", "udp", "--dport", fmt.Sprint(port),
		"-j", "DNAT", "--to", fmt.Sprintf("192.168.%d.%d:7000", r.n, last))
	return fmt.Sprintf("10.0.0.%d:%d", 100+r.n, port)
}

// hairpin does so for what comes from inside, too.
func (r *nat) hairpin(port, last int) {
	r.firewall("-t", "nat", "-A", "PREROUTING", "-i", "in", "-d", fmt.Sprintf("10.0.0.%d", 100+r.n), "-p", "udp",
		"--dport", fmt.Sprint(port), "-j", "DNAT", "--to", fmt.Sprintf("192.168.%d.%d:7000", r.n, last))
	own := fmt.Sprintf("192.168.%d.0/24", r.n)
	r.firewall("-t", "nat", "-A", "POSTROUTING", "-s", own, "-d", own, "-j", "MASQUERADE")
}

const (
	netWait = 20 * time.Second // for what must come; a machine may be slow
	netNone = 4 * time.Second  // for what must not come: seeds are asked twice a second, and complained of after 3 s
)

// netNode is a node on a host, with its log.
type netNode struct {
	*broach.Node
	log  *clustertest.SharedLog
	name string
}

// member starts a node that offers a function of its name.
func (s *space) member(name string, cfg broach.Config) *netNode {
	n := &netNode{log: &clustertest.SharedLog{}, name: name}
	cfg.Name, cfg.Logger = name, slog.New(slog.NewTextHandler(n.log, nil))
	n.Node = s.start(cfg)
	require.NoError(s.t, n.Register(name, func() string { return name }))
	return n
}

// reach calls the function of another.
func (n *netNode) reach(t *testing.T, other *netNode, within time.Duration) error {
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if err := n.WaitFor(ctx, other.name, 1); err != nil {
		return err
	}
	_, err := n.Caller(other.name).Call(ctx)
	return err
}

// requireMeet has each call each.
func requireMeet(t *testing.T, nodes ...*netNode) {
	t.Helper()
	for _, from := range nodes {
		for _, to := range nodes {
			require.NoError(t, from.reach(t, to, netWait), "%s calls %s; its log:\n%s", from.name, to.name, from.log)
		}
	}
}

// requireApart has two not reach each other: the second has had as long as the first by then.
func requireApart(t *testing.T, a, b *netNode) {
	t.Helper()
	require.Error(t, a.reach(t, b, netNone), "%s calls %s", a.name, b.name)
	require.Error(t, b.reach(t, a, time.Second), "%s calls %s", b.name, a.name)
}

// await waits for an event.
func (n *netNode) await(t *testing.T, kind broach.EventKind, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), netWait)
	defer cancel()
	for e := range n.Watch(ctx) {
		if e.Kind == kind && e.Member.Addr.String() == addr {
			return
		}
	}
	t.Fatalf("%s has not seen %v of %s; its log:\n%s", n.name, kind, addr, n.log)
}
