package broach

import (
	"net/netip"
	"slices"
	"time"

	"broach/internal/handshake"
	"broach/internal/link"
	"broach/internal/member"
	"broach/internal/seedbook"
	"broach/internal/tokens"
	"broach/internal/udp"
	"broach/internal/wire"
)

// How links begin, as far as the reader does it, PROTOCOL.md 1.2: it answers Opens, hands Offers to the loop, and makes
// the links that Confirms ask for, because what follows in the same batch needs them.

// opened answers an Open, [LNK-1].
func (r *reader) opened(now time.Time, d udp.Datagram) {
	m, err := wire.ConsumeOpen(d.B)
	switch {
	case err != nil || len(d.B) != wire.OpenSize:
		r.node.stats.malformed.Add(1)
	case m.Cluster != r.node.linking.wires.Cluster:
		r.otherCluster(now, d)
	case m.Key == r.node.linking.wires.Process.Key:
		r.cameBack(now, d, m)
	case m.Rank >= handshake.RankMax:
	case !m.Addr.Addr().IsUnspecified() && !r.canReach(now, d.Addr, m.Addr):
	default:
		r.prove(now, d, m)
	}
}

// cameBack notes that an Open of our own has come to us: where it was sent, another name of ours leads. It is
// not answered, [LNK-1].
func (r *reader) cameBack(now time.Time, d udp.Datagram, m wire.Open) {
	e := r.node.linking.tokens.Get(m.Token)
	if !e.IsOpening() {
		return
	}
	if ring := r.node.linking.wires.Ring.Load(); ring != nil {
		if _, ok := ring.Check(d.B, m.KeyID); !ok {
			r.unopened(now, d)
			return
		}
	}
	if e.Answers() {
		r.arrive(arrival{back: &member.CameBack{Token: m.Token, Number: m.Number}})
	}
}

// prove goes on with an Open if it proves to come from our cluster and was not answered before.
func (r *reader) prove(now time.Time, d udp.Datagram, m wire.Open) {
	key, ring := 0, r.node.linking.wires.Ring.Load()
	if ring != nil {
		var ok bool
		if key, ok = ring.Check(d.B[:wire.OpenSize], m.KeyID); !ok {
			r.unopened(now, d)
			return
		}
		if r.strangers.Seen.Has(m.Proof) {
			r.node.stats.replayed.Add(1)
			return
		}
	}
	to := m.Addr
	if to.Addr().IsUnspecified() {
		to = d.Addr
	}
	if !r.strangers.MayOffer(now, to, r.isKnown(to)) {
		r.node.stats.unanswered.Add(1)
		return
	}
	if b := r.answerTo(now, m, d.Addr); b != nil {
		if ring != nil {
			r.strangers.Seen.Add(m.Proof)
			ring.Prove(b, key)
		}
		r.answers = append(r.answers, udp.Datagram{Addr: to, B: b})
		r.noteUnheard(now, d.Addr, m.Key, to)
	}
}

// answerTo is what goes back for an Open: an Offer, or, from who does not know its own address, the question for that.
// It is not proven yet.
func (r *reader) answerTo(now time.Time, m wire.Open, from netip.AddrPort) []byte {
	self := *r.node.linking.own.Load()
	token, unheard := r.node.linking.learning.Load(), r.node.linking.unheard.Load()
	if token != 0 && member.AsksBack(now, self, m.Addr, unheard, &r.strangers.Asks) {
		return wire.AppendOpen(link.NewPacket()[:0], r.node.openOf(m.KeyID, token, 0, member.Nowhere(self)))
	}
	held := r.node.linking.tokens.Held(m.Key, m.Addr)
	if held == 1<<32-1 {
		return nil
	}
	o := r.node.linking.wires.Process.Answer(now, m, self, from, held)
	if r.node.linking.full.Load() && !m.Addr.Addr().IsUnspecified() && len(r.node.linking.tokens.At(m.Addr)) == 0 {
		r.noRoom(now, m.Addr)
		o.Token, o.Rank = 0, 0
	}
	if o.Token != 0 && r.node.linking.tokens.Get(o.Token) != nil {
		return nil // another link has that token, or this very Open made one
	}
	return wire.AppendOffer(link.NewPacket()[:0], o)
}

// offered hands an Offer to an opening of ours to the loop, [LNK-2].
func (r *reader) offered(now time.Time, d udp.Datagram, h wire.Header) {
	m, err := wire.ConsumeOffer(d.B)
	if err != nil || len(d.B) != wire.OpenSize {
		r.node.stats.malformed.Add(1)
		return
	}
	e := r.node.linking.tokens.Get(m.Echo)
	if !e.IsOpening() {
		r.node.stats.stranger.Add(1)
		return
	}
	if ring := r.node.linking.wires.Ring.Load(); ring != nil {
		if _, ok := ring.Check(d.B, h.KeyID); !ok {
			r.unopened(now, d)
			return
		}
	}
	if m.Rank == 0 {
		r.noteSeed(d.Addr, seedbook.CameNoRoom)
	}
	if e.Answers() { // more of them would only keep the loop busy
		r.arrive(arrival{offer: &member.Answered{Offer: m, From: d.Addr, Crossed: r.strangers.HasOffered(now, m.Addr)}})
	}
}

// confirmed makes the link that a Confirm asks for, [LNK-3], and returns it with the messages in the datagram; nil if
// there is none.
func (r *reader) confirmed(d udp.Datagram) *conn {
	m, _, err := wire.ConsumeConfirm(d.B)
	if err != nil {
		r.node.stats.malformed.Add(1)
		return nil
	}
	now := time.Now() // read after the token was looked up: what is not known any more is too old by then
	own, arrivals := r.node.linking.wires.Process, r.node.loop.arrivals
	if !own.IsOurs(now, m) || m.Key == own.Key || len(arrivals) == cap(arrivals) {
		r.node.stats.stranger.Add(1)
		return nil
	}
	siblings := r.node.linking.tokens.At(m.Addr)
	if !r.hasRoom(now, &m, siblings) {
		r.node.stats.unanswered.Add(1)
		return nil
	}
	for _, self := range r.selves(now) {
		if l := r.makeLink(now, d, &m, self, siblings); l != nil {
			return l
		}
	}
	r.unopened(now, d)
	return nil
}

// selves are the addresses that our Offers of the last seconds may have had.
func (r *reader) selves(now time.Time) []netip.AddrPort {
	self := *r.node.linking.own.Load()
	before, isSealed := r.node.linking.selfBefore.Load(), r.node.linking.wires.Ring.Load() != nil
	if before != nil && isSealed && now.Sub(before.until) < tokens.SpentFor {
		return []netip.AddrPort{self, before.addr}
	}
	return []netip.AddrPort{self}
}

// makeLink makes the link of a Confirm if its datagram opens with it, and tells the loop.
func (r *reader) makeLink(now time.Time, d udp.Datagram, m *wire.Confirm, self netip.AddrPort, siblings []*conn) *conn {
	l, err := newConn(now, &r.node.linking.wires, r.node.linking.wires.TermsOf(m, self), false, siblings, r.node.draw())
	known := len(siblings) > 0 || r.isSeed(m.Addr)
	if err != nil || l.IsSealed() && !r.opens(l, d.B, m.KeyID) || !r.strangers.MayLink(now, known) ||
		!r.node.linking.tokens.Add(l) {
		return nil
	}
	r.arrive(arrival{made: l})
	return l
}

// opens reports whether a Confirm opens with the keys of a link. The datagram stays as it is: it is opened for good
// like any other.
func (r *reader) opens(l *conn, datagram []byte, keyID byte) bool {
	trial := append(link.NewPacket()[:0], datagram...)
	_, ok := l.Open(trial, wire.ConfirmSize, keyID)
	link.FreePacket(trial)
	return ok
}

// linkPause is between two links that others begin at one address.
const linkPause = 250 * time.Millisecond

// hasRoom reports whether another link with who sent a Confirm may be made, beside those that there are at its address:
// [LNK-7], [LNK-10], [LNK-14].
func (r *reader) hasRoom(now time.Time, m *wire.Confirm, siblings []*conn) bool {
	for _, l := range siblings {
		if !l.Began && now.Sub(l.BornAt()) < linkPause {
			return false
		}
		if l.Key != m.Key && l.IsConfirmed() && int32(m.Stamp-l.StampOfBirth()) <= 0 {
			return false // it was held back, and its sender is gone
		}
	}
	if r.node.linking.full.Load() && len(siblings) == 0 {
		r.noRoom(now, m.Addr)
		return false
	}
	if len(siblings) >= siblingsMax {
		return false
	}
	if len(siblings) >= 2 && !isKept(now, siblings, m.Key, r.node.linking.wires.TermsOf(m, netip.AddrPort{}).Order()) {
		return false
	}
	return r.strangers.MayTry(now, r.node.linking.wires.Ring.Load() != nil && !r.node.linking.shared.has(m.Key))
}

// isKept reports whether a third link at an address, with who has a key, stays beside those that there are, [LNK-7]:
// one without calls that is lower, or another process's, can go for it, or it is the highest: who began it may hold
// none of the others.
func isKept(now time.Time, links []*conn, key wire.PublicKey, order handshake.Order) bool {
	isHighest := true
	for _, l := range links {
		isOther, isLower := l.Key != key, order.Compare(l.Order()) > 0
		if !l.IsBusy(now) && (isOther || isLower) {
			return true
		}
		isHighest = isHighest && !isOther && isLower
	}
	return isHighest
}

// siblingsMax is how many links there may be with who is at one address: a pair has three at most, and some that it has
// begun; its successor may be there too.
const siblingsMax = 6

// openOf is an Open of ours. Its proof is yet to be filled in.
func (n *Node) openOf(keyID byte, token uint64, rank uint32, self netip.AddrPort) wire.Open {
	return wire.Open{
		KeyID: keyID, Rank: rank, Cluster: n.linking.wires.Cluster, Number: n.linking.opens.Add(1),
		Token: token, Key: n.linking.wires.Process.Key, Addr: self,
	}
}

// isKnown reports whether an address is that of a peer or a seed.
func (r *reader) isKnown(addr netip.AddrPort) bool {
	return r.node.linking.tokens.IsKnown(addr) || r.isSeed(addr)
}

func (r *reader) isSeed(addr netip.AddrPort) bool {
	_, ok := slices.BinarySearchFunc(*r.node.linking.seedAddrs.Load(), addr, netip.AddrPort.Compare)
	return ok
}

// canReach reports whether an address that somebody advertises is one that we can send to, and is not ours, and tells
// the operator if not, [MEM-26].
func (r *reader) canReach(now time.Time, from, addr netip.AddrPort) bool {
	switch {
	case addr == *r.node.linking.own.Load():
		r.doubled(now, from)
	case !member.IsUsable(from, addr):
		r.refused(now, from, addr)
	default:
		return true
	}
	return false
}

// arrival is the news of a link that the reader has made, or of an Offer, or of an Open of ours that came to ourselves.
type arrival struct {
	made  *conn
	offer *member.Answered
	back  *member.CameBack
}

// arrive tells the loop. An Offer for which there is no room is lost, as a datagram may be; that there is room for a
// link was seen before.
func (r *reader) arrive(a arrival) {
	select {
	case r.node.loop.arrivals <- a:
	default:
		r.node.stats.inboxFull.Add(1)
	}
}
