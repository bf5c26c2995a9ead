package members

import (
	"testing"

	"broach"

	"github.com/stretchr/testify/require"
)

// What docs/operations.md says of IPv6, dual stack and hosts with several networks, in namespaces of the kernel.

// dualLAN is a switch with three hosts that have both families, with addresses that end in 7, 8 and 9.
func dualLAN(t *testing.T) (hosts [3]*space) {
	l := newLAN(t)
	for i, last := range []string{"7", "8", "9"} {
		hosts[i] = l.host("10.0.0."+last+"/24", "fd00::"+last+"/64")
	}
	return hosts
}

func TestFamiliesOfAddressesThatMeet(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ seed, two, three broach.Config }{
		"IPv6 alone": {broach.Config{Addr: "[fd00::7]:7000"},
			broach.Config{Addr: "[::]:7000", Join: []string{"[fd00::7]:7000"}},
			broach.Config{Addr: "[fd00::9]:7000", Join: []string{"[fd00::7]:7000"}}},
		"IPv4 among those that have both": {broach.Config{Addr: "10.0.0.7:7000"},
			broach.Config{Addr: "[::]:7000", Join: []string{"10.0.0.7:7000"}},
			broach.Config{Addr: "0.0.0.0:7000", Join: []string{"10.0.0.7:7000"}}},
		"seeds of both families, IPv6 first": {broach.Config{Addr: "10.0.0.7:7000"},
			broach.Config{Addr: "[::]:7000", Join: []string{"[fd00::7]:7000", "10.0.0.7:7000"}},
			broach.Config{Addr: "10.0.0.9:7000", Join: []string{"[fd00::7]:7000", "10.0.0.7:7000"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hosts := dualLAN(t)
			requireMeet(t, hosts[0].member("seed", c.seed), hosts[1].member("two", c.two),
				hosts[2].member("three", c.three))
		})
	}
}

// A node that has a socket of IPv4 does not meet one that advertises an address of IPv6, though a third knows both.
func TestFamiliesOfAddressesThatDoNotMeet(t *testing.T) {
	t.Parallel()
	hosts := dualLAN(t)
	both := hosts[0].member("both", broach.Config{Addr: "[::]:7000", Advertise: "10.0.0.7:7000"})
	four := hosts[1].member("four", broach.Config{Addr: "10.0.0.8:7000", Join: []string{"10.0.0.7:7000"}})
	six := hosts[2].member("six", broach.Config{Addr: "[::]:7000", Advertise: "[fd00::9]:7000",
		Join: []string{"10.0.0.7:7000"}})
	requireMeet(t, both, four)
	requireMeet(t, both, six)
	requireApart(t, four, six)
	require.Contains(t, four.log.String()+both.log.String(), otherAddr)
}

// twoNetworks are 10.0.0.0/24 and 10.1.0.0/24 with a router between, and a host with a leg in each.
func twoNetworks(t *testing.T) (one, two *lan, host *space) {
	one, two = newLAN(t), newLAN(t)
	router := one.host("10.0.0.1/24")
	two.plug(router, "eth1", "10.1.0.1/24")
	router.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	host = one.host("10.0.0.20/24")
	two.plug(host, "eth1", "10.1.0.20/24")
	return one, two, host
}

// routed is a host that sends what is for the other network to the router.
func (l *lan) routed(addr, other, router string) *space {
	s := l.host(addr)
	s.run("ip", "route", "add", other, "via", router)
	return s
}

func TestAHostWithTwoNetworks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		seeds []string
		at    string
	}{
		"seed in the first":  {[]string{seedAddr}, "10.0.0.20:7000"},
		"seed in the second": {[]string{"10.1.0.21:7000"}, "10.1.0.20:7000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, two, host := twoNetworks(t)
			seed := one.routed("10.0.0.7/24", "10.1.0.0/24", "10.0.0.1").member("seed", broach.Config{Addr: seedAddr})
			far := two.routed("10.1.0.21/24", "10.0.0.0/24", "10.1.0.1").member("far",
				broach.Config{Addr: "10.1.0.21:7000", Join: []string{seedAddr}})
			n := host.member("n", broach.Config{Addr: "0.0.0.0:7000", Join: c.seeds})
			requireMeet(t, seed, far, n)
			require.Equal(t, c.at, n.Addr().String(), "as the seed sees it")
		})
	}
}

// An address that is taken away is given up by a node that listens on all, and not by one that is bound to it.
func TestAnAddressIsTakenAway(t *testing.T) {
	t.Parallel()
	one, _, host := twoNetworks(t)
	seed := one.host("10.0.0.7/24").member("seed", broach.Config{Addr: seedAddr})
	bound := one.host("10.0.0.21/24")
	stays := bound.member("stays", broach.Config{Addr: "10.0.0.21:7000", Join: []string{seedAddr}})
	moves := host.member("moves", broach.Config{Addr: "0.0.0.0:7000", Join: []string{seedAddr}})
	requireMeet(t, seed, stays, moves)
	bound.run("ip", "addr", "del", "10.0.0.21/24", "dev", "eth0")
	host.run("ip", "addr", "del", "10.0.0.20/24", "dev", "eth0")
	host.address("eth0", "10.0.0.30/24")
	seed.await(t, broach.MemberUp, "10.0.0.30:7000")
	seed.await(t, broach.MemberOffline, "10.0.0.21:7000")
	bound.address("eth0", "10.0.0.21/24")
	seed.await(t, broach.MemberUp, "10.0.0.21:7000")
	requireMeet(t, seed, stays, moves)
}
