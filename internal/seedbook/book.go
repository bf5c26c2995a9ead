// Package seedbook knows the seeds of a node: as the user named them, where they are as far as their names were looked
// up, and what came of each.
//
// It looks nothing up and sends nothing, and has no clock: it says which look-ups are due, and takes what they found.
// It does not know what a member is either: whoever asks it says whether one is met at an address.
//
//	book.go     Book: seeds that are addresses, look-ups that are due, the order in which addresses are tried
//	name.go     Name: a seed that was given by the name of its host, and when it is looked up again
//	silence.go  Silence: when the log tells that no seed answers
//	notes.go    Notes: what came from a seed that made no member of it; alone here it is used by several goroutines
package seedbook

import (
	"net/netip"
	"slices"
	"time"

	"broach/internal/pace"
)

const (
	lookUpsMax   = 128  // names looked up at once, of either family
	seedAddrsMax = 1024 // addresses of a family that a name may lead to
)

// Seed is a seed as the user wrote it down, and its parts. The host is an IP address, or a name.
type Seed struct {
	Text string
	Host string
	Port uint16
}

// Book knows the seeds that were named, and where they are.
type Book struct {
	bound  netip.Addr // the address of the node's socket
	given  bool       // there are seeds
	fixed  []netip.AddrPort
	unfit  []netip.AddrPort // that the socket cannot send to
	names  []*Name
	busy   int       // look-ups under way
	nextAt time.Time // when to look at the names again; zero: when a look-up ends, or never
}

// New returns a book of no seeds, for a node whose socket is bound to an address.
func New(bound netip.Addr) Book { return Book{bound: bound} }

// Add takes up seeds whose form was checked, and reports those that the socket cannot send to, each once. A name that
// is known is looked up once more.
func (b *Book) Add(now time.Time, seeds []Seed) (unfit []netip.AddrPort) {
	b.given = b.given || len(seeds) > 0
	for _, s := range seeds {
		ip, err := netip.ParseAddr(s.Host)
		addr := netip.AddrPortFrom(ip.Unmap(), s.Port)
		switch {
		case err != nil:
			b.addName(s)
			b.nextAt = now
		case slices.Contains(b.unfit, addr):
		case !isOfFamily(b.bound, addr.Addr()):
			b.unfit, unfit = append(b.unfit, addr), append(unfit, addr)
		case !slices.Contains(b.fixed, addr):
			b.fixed = append(b.fixed, addr)
		}
	}
	return unfit
}

// addName takes up a name, or has one that is known looked up once more.
func (b *Book) addName(given Seed) {
	for _, s := range b.names {
		if s.Text == given.Text {
			for i := range s.lookUps {
				s.lookUps[i].began = time.Time{}
			}
			return
		}
	}
	b.names = append(b.names, &Name{Seed: given})
}

// isOfFamily reports whether a socket bound to an address can send to another. One bound to :: does both families where
// the system can.
func isOfFamily(bound, ip netip.Addr) bool {
	isDual := !bound.IsValid() || bound.Is6() && bound.IsUnspecified()
	return isDual || bound.Is4() == ip.Is4()
}

// Addrs lists where the seeds are: the first address of each, then the second, so that a name with many keeps no other
// waiting.
func (b *Book) Addrs() (list []netip.AddrPort) {
	rows := b.rows()
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

// rows are the addresses of each seed, those of a name by family.
func (b *Book) rows() (rows [][]netip.AddrPort) {
	for _, addr := range b.fixed {
		rows = append(rows, []netip.AddrPort{addr})
	}
	for _, s := range b.names {
		for _, l := range s.lookUps {
			rows = append(rows, l.found)
		}
	}
	return rows
}

// Unfit are the seeds that the socket cannot send to.
func (b *Book) Unfit() []netip.AddrPort { return b.unfit }

// Place is a seed as the user named it, and an address of it.
type Place struct {
	Text string
	Addr netip.AddrPort
}

// Unmet are the seeds that lead to addresses, at none of which somebody is met.
func (b *Book) Unmet(isMet func([]netip.AddrPort) bool) (list []Place) {
	for _, addr := range b.fixed {
		if !isMet([]netip.AddrPort{addr}) {
			list = append(list, Place{addr.String(), addr})
		}
	}
	for _, s := range b.names {
		if addrs := s.addrs(); len(addrs) > 0 && !isMet(addrs) {
			list = append(list, Place{s.Text, addrs[0]})
		}
	}
	return list
}

// UnknownNames are those that lead to no address so far.
func (b *Book) UnknownNames() (list []*Name) {
	for _, s := range b.names {
		if !s.isKnown() {
			list = append(list, s)
		}
	}
	return list
}

// IsHoping reports that there may be seeds whose addresses we do not know yet. We know that many addresses of all.
func (b *Book) IsHoping(known int) bool {
	return b.given && known == 0 || slices.ContainsFunc(b.names, (*Name).isUndecided)
}

// Next is when Due is to be called again. Zero: when a look-up ends, or never.
func (b *Book) Next() time.Time { return b.nextAt }

// Order says what is to be looked up: Host, in a family that package net calls Network.
type Order struct {
	Name    *Name
	Network string
	of      *lookUp
}

// Due are the look-ups that are to begin now, and the names of which one has taken so long that nothing is hoped of it.
// isMet reports that a process is met at one of some addresses.
func (b *Book) Due(now time.Time, isMet func([]netip.AddrPort) bool) (begin []Order, slow []*Name) {
	if b.nextAt.IsZero() || now.Before(b.nextAt) {
		return nil, nil
	}
	b.nextAt = time.Time{}
	for _, s := range b.names {
		met := isMet(s.addrs())
		for family, network := range families {
			switch l := &s.lookUps[family]; {
			case l.busy && b.isSlow(now, l):
				slow = append(slow, s)
			case !l.busy && b.mayBegin(now, l, s.next(family, met)):
				begin = append(begin, Order{Name: s, Network: network, of: l})
			}
		}
	}
	return begin, slow
}

// isSlow gives up hope in a look-up that takes long, and reports that it just has.
func (b *Book) isSlow(now time.Time, l *lookUp) bool {
	at := l.began.Add(lookUpSlow)
	switch {
	case l.tried:
		return false
	case now.Before(at):
		b.nextAt = pace.Earliest(b.nextAt, at)
		return false
	}
	l.tried, l.err = true, errSlowLookUp
	return true
}

// mayBegin has a look-up begin if it is due, and notes when to look at it again: soon enough to see that a process is
// not met any more.
func (b *Book) mayBegin(now time.Time, l *lookUp, due time.Time) bool {
	switch {
	case now.Before(due):
		b.nextAt = pace.Earliest(b.nextAt, pace.Earliest(due, now.Add(lookUpLost)))
		return false
	case b.busy == lookUpsMax:
		return false // it is looked at again when one ends
	}
	l.busy, l.began = true, now
	b.busy++
	b.nextAt = pace.Earliest(b.nextAt, now.Add(lookUpSlow))
	return true
}

// Ended takes what a look-up has found.
func (b *Book) Ended(now time.Time, order Order, ips []netip.Addr, err error) {
	b.busy--
	b.nextAt = now
	found, unfit := b.usable(ips, order.Name.Port)
	order.of.end(found, unfit, err)
}

// usable are the addresses of one node that our socket can send to.
func (b *Book) usable(ips []netip.Addr, port uint16) (found []netip.AddrPort, unfit int) {
	for _, ip := range ips {
		ip = ip.Unmap()
		switch {
		case ip.Zone() != "" || ip.IsMulticast() || ip.IsUnspecified() || !isOfFamily(b.bound, ip):
			unfit++
		case len(found) < seedAddrsMax:
			found = append(found, netip.AddrPortFrom(ip, port))
		}
	}
	return found, unfit
}
