package broach

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"broach/internal/pace"
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

// isOfFamily reports whether a socket bound to an address can send to another. One bound to :: does both families where
// the system can.
func isOfFamily(bound, ip netip.Addr) bool {
	isDual := !bound.IsValid() || bound.Is6() && bound.IsUnspecified()
	return isDual || bound.Is4() == ip.Is4()
}

// add takes up seeds whose form was checked, and reports those that the socket cannot send to, each once. A name that
// is known is looked up once more.
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

// addrs lists where the seeds are: the first address of each, then the second, so that a name with many keeps no other
// waiting.
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
	if unfit := n.loop.seeds.add(now, seeds); len(unfit) > 0 {
		n.log.Warn("broach: seeds are of a family of addresses that this node's socket cannot send to: bind it to an address of theirs, or to ::",
			"seeds", unfit, "bound", n.linking.transport.LocalAddr())
	}
	n.tellSeeds(now)
}

// tellSeeds tells where the seeds are, as far as that is known.
func (n *Node) tellSeeds(now time.Time) {
	addrs := n.loop.seeds.addrs()
	n.setSeeds(now, addrs, n.loop.seeds.isHoping(len(addrs)))
}

// setSeeds tells the membership and the reader where the seeds are, unless that is nothing new.
func (n *Node) setSeeds(now time.Time, addrs []netip.AddrPort, hoped bool) {
	sorted := slices.SortedFunc(slices.Values(addrs), netip.AddrPort.Compare)
	if hoped == n.loop.members.IsHoping() && slices.Equal(sorted, *n.linking.seedAddrs.Load()) {
		return
	}
	n.linking.seedAddrs.Store(&sorted)
	n.loop.members.SetSeeds(now, addrs, hoped)
}

const (
	lookUpsMax   = 128  // names looked up at once, of either family
	seedAddrsMax = 1024 // addresses of a family that a name may lead to
)

// The host names among the seeds. Each is looked up by itself, once for each family, and all side by side: one whose
// name server does not answer keeps nobody else waiting. What a look-up has found stays until another finds something
// else: a name server that fails takes no seed away.

const (
	// after a look-up of a name that has led nowhere yet; each wait is twice as long,
	lookUpFirst = 500 * time.Millisecond
	lookUpLost  = 5 * time.Second // up to this, and so often while no process is met at any of its addresses
	lookUpMet   = time.Minute     // and while one is: it may move
	lookUpSlow  = 5 * time.Second // after which a first look-up counts as failed, though it goes on
	// a resolver asks several name servers, one after the other, for some seconds each
	lookUpTimeout = 30 * time.Second

	nowhereAgain   = time.Minute // after the log was told that a name leads nowhere; each wait is twice as long,
	nowhereSlowest = time.Hour   // up to this
)

// families are what a name is looked up for, in the words of package net.
var families = [...]string{"ip4", "ip6"}

// lookUpFunc finds the addresses of a host in a family.
type lookUpFunc func(ctx context.Context, family, host string) ([]netip.Addr, error)

// seedName is a seed that was given by the name of its host.
type seedName struct {
	text    string // as it was given
	host    string
	port    uint16
	lookUps [len(families)]lookUp
	tellAt  time.Time // when the log may tell that it leads nowhere
	tellGap time.Duration
}

// lookUp is how far we are with a name in one family.
type lookUp struct {
	found []netip.AddrPort // what can be sent to, of the last answer with any
	unfit int              // addresses in the last answer that this socket cannot send to
	err   error            // of the last one
	tried bool             // one has ended, or is slow
	busy  bool             // one is under way
	began time.Time        // the last one
	gap   time.Duration    // until the next, while the name leads nowhere
}

// isUndecided reports that it is not known yet whether the name leads anywhere.
func (s *seedName) isUndecided() bool {
	return !s.isKnown() && slices.ContainsFunc(s.lookUps[:], func(l lookUp) bool { return !l.tried })
}

// isKnown reports that a look-up has found an address that can be sent to.
func (s *seedName) isKnown() bool {
	return slices.ContainsFunc(s.lookUps[:], func(l lookUp) bool { return len(l.found) > 0 })
}

// leadsNowhere reports that all has been tried and nothing was found.
func (s *seedName) leadsNowhere() bool { return !s.isKnown() && !s.isUndecided() }

// addrs are all that is known of where the name leads.
func (s *seedName) addrs() (list []netip.AddrPort) {
	for _, l := range s.lookUps {
		list = append(list, l.found...)
	}
	return list
}

// errs are what the last look-ups said, and unfit how many addresses they found that this socket cannot send to.
func (s *seedName) errs() (errs []error, unfit int) {
	for _, l := range s.lookUps {
		unfit += l.unfit
		if l.err != nil {
			errs = append(errs, l.err)
		}
	}
	return errs, unfit
}

// next is when a family is to be looked up. isMet says that a process is met at one of the addresses.
func (s *seedName) next(family int, isMet bool) time.Time {
	l := &s.lookUps[family]
	switch {
	case !l.tried:
		return l.began
	case isMet:
		return l.began.Add(lookUpMet)
	case s.isKnown():
		return l.began.Add(lookUpLost)
	}
	return l.began.Add(l.gap)
}

// end takes the end of a look-up. What was known stays if it has found nothing.
func (l *lookUp) end(found []netip.AddrPort, unfit int, err error) {
	l.busy, l.tried, l.unfit, l.err = false, true, unfit, err
	l.gap = min(max(2*l.gap, lookUpFirst), lookUpLost)
	if len(found) > 0 {
		l.found = found
	}
}

// isTold reports whether the log is to tell now that the name leads nowhere.
func (s *seedName) isTold(now time.Time) bool {
	if !s.leadsNowhere() || now.Before(s.tellAt) {
		return false
	}
	s.tellGap = min(max(2*s.tellGap, nowhereAgain), nowhereSlowest)
	s.tellAt = now.Add(s.tellGap)
	return true
}

// lookUpNames begins the look-ups that are due.
func (n *Node) lookUpNames(now time.Time) {
	b := &n.loop.seeds
	if b.at.IsZero() || now.Before(b.at) {
		return
	}
	b.at = time.Time{}
	for _, s := range b.names {
		isMet := n.loop.members.IsMet(s.addrs())
		for family := range families {
			n.lookUpName(now, s, family, isMet)
		}
	}
}

// lookUpName begins a look-up if it is due, and notes when to look at it again: soon enough to see that a process is
// not met any more.
func (n *Node) lookUpName(now time.Time, s *seedName, family int, isMet bool) {
	b, l, at := &n.loop.seeds, &s.lookUps[family], s.next(family, isMet)
	switch {
	case l.busy:
		n.awaitName(now, s, l)
		return
	case !now.Before(at) && b.busy == lookUpsMax:
		return // it is looked at again when one ends
	case now.Before(at):
		b.at = pace.Earliest(b.at, pace.Earliest(at, now.Add(lookUpLost)))
		return
	}
	l.busy, l.began = true, now
	b.busy++
	b.at = pace.Earliest(b.at, now.Add(lookUpSlow))
	b.running.Go(func() {
		ctx, cancel := context.WithTimeout(n.serving.provider.ctx, lookUpTimeout)
		defer cancel()
		ips, err := b.lookUp(ctx, families[family], s.host)
		_ = n.do(func(now time.Time) { n.lookedUp(now, s, family, ips, err) })
	})
}

// awaitName gives up hope in a look-up that takes long.
func (n *Node) awaitName(now time.Time, s *seedName, l *lookUp) {
	at := l.began.Add(lookUpSlow)
	switch {
	case l.tried:
	case now.Before(at):
		n.loop.seeds.at = pace.Earliest(n.loop.seeds.at, at)
	default:
		l.tried, l.err = true, errSlowLookUp
		n.noteName(now, s)
	}
}

var errSlowLookUp = errors.New("the name servers do not answer")

// lookedUp takes the end of a look-up.
func (n *Node) lookedUp(now time.Time, s *seedName, family int, ips []netip.Addr, err error) {
	n.loop.seeds.busy--
	n.loop.seeds.at = now
	found, unfit := n.loop.seeds.usable(ips, s.port)
	s.lookUps[family].end(found, unfit, err)
	n.noteName(now, s)
}

// noteName takes up what has been found out about a name.
func (n *Node) noteName(now time.Time, s *seedName) {
	n.tellSeeds(now)
	if s.isTold(now) {
		errs, unfit := s.errs()
		n.log.Warn("broach: the name of a seed leads to no address that this node's socket can send to: check the name, the name servers,"+
			" and the family of the address that the node is bound to", "seed", s.text, "errs", errs, "unfit", unfit, "bound", n.linking.transport.LocalAddr())
	}
}

// usable are the addresses of one node that our socket can send to.
func (b *seedBook) usable(ips []netip.Addr, port uint16) (found []netip.AddrPort, unfit int) {
	for _, ip := range ips {
		addr := netip.AddrPortFrom(ip.Unmap(), port)
		switch {
		case !isUnicast(addr.Addr()) || addr.Addr().IsUnspecified() || !b.fits(addr.Addr()):
			unfit++
		case len(found) < seedAddrsMax:
			found = append(found, addr)
		}
	}
	return found, unfit
}
