package gate

import (
	"net/netip"
	"time"

	"broach/internal/handshake"
	"broach/internal/link"
	"broach/internal/member"
	"broach/internal/udp"
	"broach/internal/wire"
)

// takeOpen answers an Open, [LNK-1].
func (g *Gate[H]) takeOpen(now time.Time, d udp.Datagram, a *Arrival[H]) {
	if !g.strangers.MayOpen() {
		a.Verdict = Unanswered
		return
	}
	m, err := wire.ConsumeOpen(d.B)
	switch {
	case err != nil || len(d.B) != wire.OpenSize:
		a.Verdict = Malformed
	case m.Cluster != g.wires.Cluster:
		a.Verdict = OtherCluster
	case m.Key == g.wires.Process.Key:
		g.takeBack(d, m, a)
	case m.Rank >= handshake.RankMax:
	default:
		a.Advertised = m.Addr
		if a.Verdict = g.reaches(d.Addr, m.Addr); a.Verdict == Fine {
			g.checkOpen(now, d, m, a)
		}
	}
}

// takeBack notes that an Open of our own has come to us: where it was sent, another name of ours leads. It is not
// answered, [LNK-1].
func (g *Gate[H]) takeBack(d udp.Datagram, m wire.Open, a *Arrival[H]) {
	e := g.tokens.Get(m.Token)
	if !e.IsOpening() {
		return
	}
	if !g.isProven(d.B, m.KeyID) {
		a.Verdict = Unopened
		return
	}
	if e.Answers() {
		a.Back = &member.CameBack{Token: m.Token, Number: m.Number}
	}
}

// isProven reports whether an Open or Offer proves to come from our cluster. Where there are no keys, all do.
func (g *Gate[H]) isProven(b []byte, keyID byte) bool {
	ring := g.wires.Ring.Load()
	if ring == nil {
		return true
	}
	_, ok := ring.Check(b, keyID)
	return ok
}

// reaches says what is wrong with an address that somebody advertises: that it is ours, or one that we cannot send to,
// [MEM-26]. One that is not known yet is not wrong.
func (g *Gate[H]) reaches(from, advertised netip.AddrPort) Verdict {
	switch {
	case advertised.Addr().IsUnspecified():
		return Fine
	case advertised == g.self.Load().Addr:
		return Doubled
	case !member.IsUsable(from, advertised):
		return Useless
	}
	return Fine
}

// checkOpen goes on with an Open if it proves to come from our cluster and was not answered before.
func (g *Gate[H]) checkOpen(now time.Time, d udp.Datagram, m wire.Open, a *Arrival[H]) {
	key, ring := 0, g.wires.Ring.Load()
	if ring != nil {
		var ok bool
		if key, ok = ring.Check(d.B, m.KeyID); !ok {
			a.Verdict = Unopened
			return
		}
		if g.strangers.Seen.Has(m.Proof) {
			a.Verdict = Replayed
			return
		}
	}
	to := m.Addr
	if to.Addr().IsUnspecified() {
		to = d.Addr
	}
	if !g.strangers.MayOffer(now, to, g.isKnown(to)) {
		a.Verdict = Unanswered
		return
	}
	b := g.answerTo(now, m, d.Addr, a)
	if b == nil {
		return
	}
	if ring != nil {
		g.strangers.Seen.Add(m.Proof)
		ring.Prove(b, key)
	}
	a.Answer = udp.Datagram{Addr: to, B: b}
	if a.Verdict == Fine && g.asksInVain(now, m.Key, to) {
		a.Verdict, a.Advertised = InVain, to
	}
}

// answerTo is what goes back for an Open: an Offer, or, from who does not know its own address, the question for that.
// It is not proven yet.
func (g *Gate[H]) answerTo(now time.Time, m wire.Open, from netip.AddrPort, a *Arrival[H]) []byte {
	self := g.self.Load()
	if self.Learning != 0 && member.AsksBack(now, self.Addr, m.Addr, self.IsUnheard, &g.strangers.Asks) {
		return wire.AppendOpen(link.NewPacket()[:0], g.newOpen(m.KeyID, self.Learning, 0, member.Nowhere(self.Addr)))
	}
	held := g.tokens.Held(m.Key, m.Addr)
	if held == 1<<32-1 {
		return nil
	}
	o := g.wires.Process.Answer(now, m, self.Addr, from, held)
	switch {
	case m.Addr.Addr().IsUnspecified():
	case self.IsGuest: // [GST-5]
		o.Token, o.Rank = 0, 0
	case self.IsFull && len(g.tokens.At(m.Addr)) == 0:
		a.Verdict = Full
		o.Token, o.Rank = 0, 0
	}
	if o.Token != 0 && g.tokens.Get(o.Token) != nil {
		return nil // another link has that token, or this very Open made one
	}
	return wire.AppendOffer(link.NewPacket()[:0], o)
}

// asksInVain notes that an Open was answered, and reports whether its sender has been asking for long. It takes no
// link, so it is not reached by what is offered. Another process may be at that address, and hear it.
func (g *Gate[H]) asksInVain(now time.Time, key wire.PublicKey, advertised netip.AddrPort) bool {
	if g.tokens.Held(key, advertised) > 0 {
		g.strangers.Pleas.Heard(advertised)
		return false
	}
	return g.strangers.Pleas.Add(now, advertised)
}
