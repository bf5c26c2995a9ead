package broach

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"broach/internal/udp"
)

// seedBook knows the seeds as the user named them. It is the loop's.
type seedBook struct {
	given  bool // there are seeds
	fixed  []netip.AddrPort
	unfit  []netip.AddrPort // that the socket cannot send to
	names  []*seedName
	lookUp lookUpFunc
	fits   func(netip.Addr) bool // the node's socket can send there

	busy    int // look-ups under way
	running sync.WaitGroup
	at      time.Time // when to look at the names again; zero: when a look-up ends, or never

	tellAt  time.Time // when to tell that no seed answers; zero: one has, or there is none
	tellGap time.Duration
	isTold  bool // that this node is its own seed
}

// init makes a book of no seeds, for a node whose socket is bound to an address.
func (b *seedBook) init(bound netip.Addr) {
	b.lookUp = net.DefaultResolver.LookupNetIP
	b.fits = func(ip netip.Addr) bool { return isOfFamily(bound, ip) }
}

// isOfFamily reports whether a socket bound to an address can send to another. One bound to :: does both families where the system can.
func isOfFamily(bound, ip netip.Addr) bool {
	isDual := !bound.IsValid() || bound.Is6() && bound.IsUnspecified()
	return isDual || bound.Is4() == ip.Is4()
}

// add takes up seeds whose form was checked, and reports those that the socket cannot send to, each once. A name that is known is looked up once
// more.
func (b *seedBook) add(now time.Time, seeds []string) (unfit []netip.AddrPort) {
	b.given = b.given || len(seeds) > 0
	for _, s := range seeds {
		addr, err := netip.ParseAddrPort(s)
		addr = udp.Unmapped(addr)
		switch {
		case err != nil:
			b.addName(s)
			b.at = now
		case slices.Contains(b.unfit, addr):
		case !b.fits(addr.Addr()):
			b.unfit, unfit = append(b.unfit, addr), append(unfit, addr)
		case !slices.Contains(b.fixed, addr):
			b.fixed = append(b.fixed, addr)
		}
	}
	return unfit
}

// addName takes up a name, or has one that is known looked up once more.
func (b *seedBook) addName(text string) {
	for _, s := range b.names {
		if s.text == text {
			for i := range s.lookUps {
				s.lookUps[i].began = time.Time{}
			}
			return
		}
	}
	host, port, _ := parseSeed(text)
	b.names = append(b.names, &seedName{text: text, host: host, port: port})
}

// addrs lists where the seeds are: the first address of each, then the second, so that a name with many keeps no other waiting.
func (b *seedBook) addrs() (list []netip.AddrPort) {
	var rows [][]netip.AddrPort
	for _, addr := range b.fixed {
		rows = append(rows, []netip.AddrPort{addr})
	}
	for _, s := range b.names {
		for _, l := range s.lookUps {
			rows = append(rows, l.found)
		}
	}
	isListed := make(map[netip.AddrPort]bool)
	for column, isMore := 0, true; isMore; column++ {
		isMore = false
		for _, row := range rows {
			if column < len(row) && !isListed[row[column]] {
				list = append(list, row[column])
				isListed[row[column]] = true
			}
			isMore = isMore || column+1 < len(row)
		}
	}
	return list
}

// isHoping reports that there may be seeds which we know no address of.
func (b *seedBook) isHoping(known int) bool {
	return b.given && known == 0 || slices.ContainsFunc(b.names, (*seedName).isUndecided)
}

// addSeeds takes up seeds whose form was checked.
func (n *Node) addSeeds(now time.Time, seeds []string) {
	if unfit := n.seeds.add(now, seeds); len(unfit) > 0 {
		n.log.Warn("broach: seeds are of a family of addresses that this node's socket cannot send to: bind it to an address of theirs, or to ::",
			"seeds", unfit, "bound", n.transport.LocalAddr())
	}
	n.tellSeeds(now)
}

// tellSeeds tells where the seeds are, as far as that is known.
func (n *Node) tellSeeds(now time.Time) {
	addrs := n.seeds.addrs()
	n.setSeeds(now, addrs, n.seeds.isHoping(len(addrs)))
}

// setSeeds tells the membership and the reader where the seeds are, unless that is nothing new.
func (n *Node) setSeeds(now time.Time, addrs []netip.AddrPort, hoped bool) {
	sorted := slices.SortedFunc(slices.Values(addrs), netip.AddrPort.Compare)
	if hoped == n.members.IsHoping() && slices.Equal(sorted, *n.seedAddrs.Load()) {
		return
	}
	n.seedAddrs.Store(&sorted)
	n.members.SetSeeds(now, addrs, hoped)
}
