package gate

import (
	"net/netip"
	"time"

	"broach/internal/link"
	"broach/internal/member"
	"broach/internal/udp"
	"broach/internal/wire"
)

// Ask makes an Open that the membership asks for, with its proof, and says which number it has.
func (g *Gate[H]) Ask(o member.Open) (number uint64, d udp.Datagram) {
	keyID, ring := byte(0), g.wires.Ring.Load()
	if ring != nil {
		keyID = ring.KeyID()
	}
	m := g.newOpen(keyID, o.Token, o.Rank, o.Self)
	b := wire.AppendOpen(link.NewPacket()[:0], m)
	if ring != nil {
		ring.Prove(b, 0)
	}
	return m.Number, udp.Datagram{Addr: o.To, B: b}
}

// newOpen is an Open of ours. Its proof is yet to be filled in.
func (g *Gate[H]) newOpen(keyID byte, token uint64, rank uint32, self netip.AddrPort) wire.Open {
	return wire.Open{
		KeyID: keyID, Rank: rank, Cluster: g.wires.Cluster, Number: g.asked.Add(1),
		Token: token, Key: g.wires.Process.Key, Addr: self,
	}
}

// takeOffer lets an Offer to an opening of ours through to the loop, [LNK-2].
func (g *Gate[H]) takeOffer(now time.Time, d udp.Datagram, h wire.Header, a *Arrival[H]) {
	m, err := wire.ConsumeOffer(d.B)
	if err != nil || len(d.B) != wire.OpenSize {
		a.Verdict = Malformed
		return
	}
	e := g.tokens.Get(m.Echo)
	if !e.IsOpening() {
		a.Verdict = Stranger
		return
	}
	if !g.isProven(d.B, h.KeyID) {
		a.Verdict = Unopened
		return
	}
	if m.Rank == 0 {
		a.Verdict = Refused
	}
	if e.Answers() { // more of them would only keep the loop busy
		a.Offer = &member.Answered{Offer: m, From: d.Addr, Crossed: g.strangers.HasOffered(now, m.Addr)}
	}
}
