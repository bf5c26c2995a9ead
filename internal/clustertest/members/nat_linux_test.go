package members

import (
	"context"
	"log/slog"
	"testing"

	"broach"

	"github.com/stretchr/testify/require"
)

// What docs/operations.md says of NAT and firewalls, with real ones: namespaces of the kernel, and iptables.

const (
	seedAddr  = "10.0.0.7:7000"
	otherAddr = "from another address than it advertises"
)

// natCluster is a seed outside, and two NATs.
func natCluster(t *testing.T) (seed *netNode, one, two *nat) {
	world := newLAN(t)
	one, two = newNAT(world, 1), newNAT(world, 2)
	return world.host("10.0.0.7/24").member("seed", broach.Config{Addr: seedAddr}), one, two
}

// behind is the configuration of a node behind NAT.
func behind(advertise string) broach.Config {
	return broach.Config{Addr: "0.0.0.0:7000", Advertise: advertise, Join: []string{seedAddr}}
}

func TestNodesBehindNATWithForwardedPorts(t *testing.T) {
	t.Parallel()
	seed, one, two := natCluster(t)
	a := one.host(10).member("a", behind(one.forward(7001, 10)))
	b := two.host(10).member("b", behind(two.forward(7002, 10)))
	requireMeet(t, seed, a, b)
}

// Two behind one NAT reach each other where the outer address is reached from inside, and else only those outside.
func TestTwoNodesBehindOneNAT(t *testing.T) {
	t.Parallel()
	for name, hasHairpin := range map[string]bool{"with hairpin": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed, one, two := natCluster(t)
			hosts := []*space{one.host(10), one.host(11)}
			if hasHairpin {
				one.hairpin(7001, 10)
				one.hairpin(7003, 11)
			}
			a := hosts[0].member("a", behind(one.forward(7001, 10)))
			b := hosts[1].member("b", behind(one.forward(7003, 11)))
			c := two.host(10).member("c", behind(two.forward(7002, 10)))
			requireMeet(t, seed, a, c)
			requireMeet(t, seed, b, c)
			if hasHairpin {
				requireMeet(t, a, b)
			} else {
				requireApart(t, a, b)
			}
		})
	}
}

// A node that advertises what does not lead to it is let in nowhere, and those it asks say why.
func TestNodesBehindNATThatAdvertiseWrongly(t *testing.T) {
	t.Parallel()
	for name, advertised := range map[string]string{
		"its inner address": "192.168.1.10:7000", "a port that is not forwarded": "10.0.0.101:7009",
		"the port of another": "10.0.0.101:7001",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed, one, _ := natCluster(t)
			other := one.host(11).member("other", behind(one.forward(7001, 11)))
			requireMeet(t, seed, other)
			n := one.host(10).member("n", behind(advertised))
			ctx, cancel := context.WithTimeout(t.Context(), netNone)
			defer cancel()
			require.ErrorContains(t, n.WaitJoined(ctx), "has not joined its cluster")
			require.Contains(t, seed.log.String(), otherAddr)
			require.Contains(t, n.log.String(), "no seed has answered")
			requireMeet(t, seed, other) // who is well is not disturbed
		})
	}
}

// One UDP port, open both ways, is all that members need.
func TestOnePortIsEnough(t *testing.T) {
	t.Parallel()
	world := newLAN(t)
	seedHost, host := world.host("10.0.0.7/24"), world.host("10.0.0.8/24")
	for _, s := range []*space{seedHost, host} {
		for _, chain := range []string{"INPUT", "OUTPUT"} {
			s.firewall("-A", chain, "-p", "udp", "--sport", "7000", "--dport", "7000", "-j", "ACCEPT")
			s.firewall("-A", chain, "-j", "DROP")
		}
	}
	seed := seedHost.member("seed", broach.Config{Addr: seedAddr})
	requireMeet(t, seed, host.member("a", broach.Config{Addr: "10.0.0.8:7000", Join: []string{seedAddr}}))
}

// Behind a firewall that lets in only answers, a member is reached by those that it has begun with, and by no guest.
func TestAFirewallThatLetsOneSideBegin(t *testing.T) {
	t.Parallel()
	world := newLAN(t)
	seed := world.host("10.0.0.7/24").member("seed", broach.Config{Addr: seedAddr})
	host := world.host("10.0.0.8/24")
	host.firewall("-A", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT")
	host.firewall("-A", "INPUT", "-j", "DROP")
	a := host.member("a", broach.Config{Addr: "10.0.0.8:7000", Join: []string{seedAddr}})
	requireMeet(t, seed, a)
	guest := world.host("10.0.0.9/24").start(broach.Config{Guest: true, Addr: "0.0.0.0:0",
		Join: []string{seedAddr}, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithTimeout(t.Context(), netNone)
	defer cancel()
	_, err := guest.Caller("seed").Call(ctx)
	require.NoError(t, err)
	_, err = guest.Caller("a").Call(ctx)
	require.Error(t, err)
}

// A firewall between two members parts these two only: for each other they are unreachable, not offline.
func TestAFirewallBetweenTwoMembers(t *testing.T) {
	t.Parallel()
	world := newLAN(t)
	seed := world.host("10.0.0.7/24").member("seed", broach.Config{Addr: seedAddr})
	host := world.host("10.0.0.8/24")
	a := host.member("a", broach.Config{Addr: "10.0.0.8:7000", Join: []string{seedAddr}})
	b := world.host("10.0.0.9/24").member("b", broach.Config{Addr: "10.0.0.9:7000", Join: []string{seedAddr}})
	requireMeet(t, seed, a, b)
	host.firewall("-A", "INPUT", "-s", "10.0.0.9", "-j", "DROP")
	host.firewall("-A", "OUTPUT", "-d", "10.0.0.9", "-j", "DROP")
	a.await(t, broach.MemberUnreachable, "10.0.0.9:7000")
	b.await(t, broach.MemberUnreachable, "10.0.0.8:7000")
	requireMeet(t, seed, a)
	requireMeet(t, seed, b)
}
