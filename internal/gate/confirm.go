package gate

import (
	"net/netip"
	"time"

	"broach/internal/handshake"
	"broach/internal/link"
	"broach/internal/tokens"
	"broach/internal/udp"
	"broach/internal/wire"
)

// linkPause is between two links that others begin at one address.
const linkPause = 250 * time.Millisecond

// siblingsMax is how many links there may be with who is at one address: a pair has three at most, and some that it has
// begun; its successor may be there too.
const siblingsMax = 6

// takeConfirm makes the link that a Confirm asks for, [LNK-3].
func (g *Gate[H]) takeConfirm(d udp.Datagram, canMake bool, a *Arrival[H]) {
	m, _, err := wire.ConsumeConfirm(d.B)
	if err != nil {
		a.Verdict = Malformed
		return
	}
	now := time.Now() // read after the token was looked up: what is not known any more is too old by then
	own := g.wires.Process
	if !own.IsOurs(now, m) || m.Key == own.Key || !canMake || g.self.Load().IsGuest {
		a.Verdict = Stranger
		return
	}
	siblings := g.tokens.At(m.Addr)
	switch {
	case len(siblings) == 0 && g.self.Load().IsFull:
		a.Verdict, a.Advertised = Full, m.Addr
		return
	case !g.hasRoom(now, &m, siblings):
		a.Verdict = Unanswered
		return
	}
	a.Verdict = Unopened
	for _, self := range g.selves(now) {
		if a.Link, a.Verdict = g.makeLink(now, d, &m, self, siblings); a.Verdict != Unopened {
			break
		}
	}
	a.IsNew = a.Verdict == Fine
}

// makeLink makes the link of a Confirm if its datagram opens with it. Otherwise there is none.
func (g *Gate[H]) makeLink(
	now time.Time, d udp.Datagram, m *wire.Confirm, self netip.AddrPort, siblings []H,
) (none H, _ Verdict) {
	holder, err := g.make(now, g.wires.TermsOf(m, self), siblings)
	if err != nil {
		return none, Unopened
	}
	l, isKnown := holder.Base(), len(siblings) > 0 || g.IsSeed(m.Addr)
	switch {
	case l.IsSealed() && !opens(l, d.B, m.KeyID):
		return none, Unopened
	case !g.strangers.MayLink(now, isKnown) || !g.tokens.Add(holder):
		return none, Unanswered
	}
	return holder, Fine
}

// opens reports whether a Confirm opens with the keys of a link. The datagram stays as it is: it is opened for good
// like any other.
func opens(l *link.Link, datagram []byte, keyID byte) bool {
	trial := append(link.NewPacket()[:0], datagram...)
	_, ok := l.Open(trial, wire.ConfirmSize, keyID)
	link.FreePacket(trial)
	return ok
}

// hasRoom reports whether another link with who sent a Confirm may be made, beside those that there are at its address:
// [LNK-7], [LNK-10], [LNK-14].
func (g *Gate[H]) hasRoom(now time.Time, m *wire.Confirm, siblings []H) bool {
	for _, holder := range siblings {
		l := holder.Base()
		if !l.Began && now.Sub(l.BornAt()) < linkPause {
			return false
		}
		if l.Key != m.Key && l.IsConfirmed() && int32(m.Stamp-l.StampOfBirth()) <= 0 {
			return false // it was held back, and its sender is gone
		}
	}
	switch {
	case len(siblings) >= siblingsMax:
		return false
	case len(siblings) >= 2 && !isKept(now, siblings, m.Key, g.wires.TermsOf(m, netip.AddrPort{}).Order()):
		return false
	}
	return g.strangers.MayTry(now, g.wires.Ring.Load() != nil && !g.secrets.has(m.Key))
}

// isKept reports whether a third link at an address, with who has a key, stays beside those that there are, [LNK-7]:
// one without calls that is lower, or another process's, can go for it, or it is the highest: who began it may hold
// none of the others.
func isKept[H tokens.Holder[H]](now time.Time, links []H, key wire.PublicKey, order handshake.Order) bool {
	isHighest := true
	for _, holder := range links {
		l := holder.Base()
		isOther, isLower := l.Key != key, order.Compare(l.Order()) > 0
		if !l.IsBusy(now) && (isOther || isLower) {
			return true
		}
		isHighest = isHighest && !isOther && isLower
	}
	return isHighest
}
