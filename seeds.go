package broach

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"
)

const (
	lookUpJoining = 5 * time.Second // between look-ups of the seeds' host names while we have not joined
	lookUpJoined  = time.Minute     // afterwards: an address may have moved
	lookUpTimeout = 5 * time.Second

	silentFirst = 5 * time.Second // after which the log tells that no seed answers: longer than a contact lasts
	silentAgain = time.Minute     // and then again
)

// seedBook knows the seeds as the user named them. It is the loop's.
type seedBook struct {
	hosts []string // "host:port"
	fixed []netip.AddrPort
	busy  bool      // a look-up is under way
	at    time.Time // when to look the hosts up again; zero: never

	tellAt time.Time // when to tell that no seed answers; zero: one has, or there is none
}

// add takes up seeds whose form was checked.
func (b *seedBook) add(seeds []string) {
	for _, s := range seeds {
		if addr, err := netip.ParseAddrPort(s); err == nil {
			b.fix(unmapped(addr))
		} else if !slices.Contains(b.hosts, s) {
			b.hosts = append(b.hosts, s)
		}
	}
}

// fix takes up a seed that is an address.
func (b *seedBook) fix(addr netip.AddrPort) {
	if !slices.Contains(b.fixed, addr) {
		b.fixed = append(b.fixed, addr)
	}
}

// resolve tells the membership of the seeds: at once of those that are addresses, of host names when they are looked up.
func (n *Node) resolve(now time.Time) {
	n.setSeeds(now, n.seeds.fixed, len(n.seeds.hosts) > 0)
	if len(n.seeds.hosts) > 0 {
		n.seeds.at = now
	}
}

// setSeeds tells the membership and the reader where the seeds are.
func (n *Node) setSeeds(now time.Time, addrs []netip.AddrPort, hoped bool) {
	n.seedAddrs.Store(&addrs)
	n.members.setSeeds(now, addrs, hoped)
}

// reresolve looks the host names up when that is due.
func (n *Node) reresolve(now time.Time) {
	b := &n.seeds
	if b.busy || b.at.IsZero() || now.Before(b.at) {
		return
	}
	hosts, fixed := slices.Clone(b.hosts), slices.Clone(b.fixed)
	b.busy = n.background.TryGo(func() error {
		addrs := append(fixed, lookUp(n.provider.ctx, hosts)...)
		return n.do(func(now time.Time) {
			n.seeds.busy = false
			n.setSeeds(now, addrs, len(addrs) == 0)
		})
	})
	b.at = now.Add(lookUpJoining)
	if n.members.joined() {
		b.at = now.Add(lookUpJoined)
	}
}

// noteSilence tells an operator whose node finds no cluster. Nobody else would: who gets its Opens and does not answer cannot say why.
func (n *Node) noteSilence(now time.Time) {
	b := &n.seeds
	switch {
	case !n.members.isUnanswered():
		b.tellAt = time.Time{}
	case b.tellAt.IsZero():
		b.tellAt = now.Add(silentFirst)
	case !now.Before(b.tellAt):
		b.tellAt = now.Add(silentAgain)
		n.log.Warn("broach: no seed has answered: check that one runs, its address, the firewalls between, that it reaches this node at addr"+
			" (else set Advertise), and that both have the same Cluster, Keys and version of broach",
			"hosts", b.hosts, "seeds", *n.seedAddrs.Load(), "addr", n.members.cfg.self, "cluster", n.cfg.cluster(), "keys", n.ring.Load() != nil)
	}
}

// lookUp finds the addresses of hosts. A host that cannot be found now is left out: it is tried again.
func lookUp(ctx context.Context, hosts []string) []netip.AddrPort {
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	var found []netip.AddrPort
	for _, h := range hosts {
		host, port, _ := parseSeed(h)
		ips, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		for _, ip := range ips {
			found = append(found, netip.AddrPortFrom(ip.Unmap(), port))
		}
	}
	return found
}
