package broach

import (
	"net/netip"
	"time"

	"broach/internal/handshake"
	"broach/internal/link"
	"broach/internal/member"
	"broach/internal/pace"
	"broach/internal/udp"
	"broach/internal/wire"
)

// What the loop does about links: those that we begin it makes, and all end here.

// tendEvery is how often the loop looks at links that have a better one beside them, and at spent tokens.
const tendEvery = time.Second

// arrive takes the news of a link that the reader has made, or an Offer, or an Open of ours.
func (n *Node) arrive(now time.Time, a arrival) {
	n.noteArrival(now, a)
	switch l := a.made; {
	case a.back != nil:
		n.members.CameBack(now, *a.back)
	case l == nil:
		n.members.Offered(now, *a.offer)
	default:
		l.known = true
		n.members.Made(now, l.ID, l.Token, l.Order())
	}
}

// beginLink makes the link of an Offer.
func (n *Node) beginLink(now time.Time, terms *handshake.Terms) {
	l, err := newConn(now, &n.wires, terms, true, n.tokens.at(terms.AddrB), n.rng.Uint64())
	if err != nil || !n.tokens.add(l) {
		n.tokens.forget(terms.TokenA)
		n.members.Unmade(terms.TokenA)
		return
	}
	l.known = true
}

// succeedLink lets calls begin on another link to the same process.
func (n *Node) succeedLink(now time.Time, s member.Succession) {
	from, to := n.tokens.link(s.From), n.tokens.link(s.To)
	if from == nil || to == nil {
		return
	}
	to.SucceedBy(nil)
	from.SucceedBy(&to.Link)
	n.replaced = append(n.replaced, from)
	n.tendAt = pace.Earliest(n.tendAt, now.Add(tendEvery))
}

// closeLink ends a link, after what waits on it has been sent.
func (n *Node) closeLink(now time.Time, token uint64) {
	l := n.tokens.link(token)
	if l == nil {
		n.tokens.forget(token)
		return
	}
	n.tokens.close(now, l)
	l.SendAll()
	l.Close(link.Outcome{Code: wire.Unreachable, Gone: true, Body: []byte(textRestart)})
	n.tendAt = pace.Earliest(n.tendAt, now.Add(tendEvery))
}

// tendLinks closes links that are used no more, and forgets tokens that were spent.
func (n *Node) tendLinks(now time.Time) {
	if n.tendAt.IsZero() || now.Before(n.tendAt) {
		return
	}
	n.tendAt = n.tokens.sweep(now)
	kept := n.replaced[:0]
	for _, l := range n.replaced {
		switch {
		case n.tokens.link(l.Token) != l || l.Best() == &l.Link: // it is gone, or the best link again
		case l.IsQuiet(now):
			n.members.Ended(l.Token)
		default:
			kept = append(kept, l)
		}
	}
	clear(n.replaced[len(kept):])
	n.replaced = kept
	if len(kept) > 0 {
		n.tendAt = pace.Earliest(n.tendAt, now.Add(tendEvery))
	}
	n.carryOut(now)
}

// isBusy reports whether calls are in flight on a link that works.
func (n *Node) isBusy(now time.Time, token uint64) bool {
	l := n.tokens.link(token)
	return l != nil && l.IsBusy(now)
}

// sendOpens sends Opens.
func (n *Node) sendOpens(opens []member.Open) {
	ring := n.wires.Ring.Load()
	for _, o := range opens {
		keyID := byte(0)
		if ring != nil {
			keyID = ring.KeyID()
		}
		m := n.openOf(keyID, o.Token, o.Rank, o.Self)
		n.members.NoteAsked(m.Number, o)
		b := wire.AppendOpen(link.NewPacket()[:0], m)
		if ring != nil {
			ring.Prove(b, 0)
		}
		n.opening = append(n.opening, udp.Datagram{Addr: o.To, B: b})
	}
	n.opening = sendAndFree(n.transport, n.opening)
}

// sendAndFree sends datagrams, frees them and returns the empty slice.
func sendAndFree(t udp.Transport, out []udp.Datagram) []udp.Datagram {
	for rest := out; len(rest) > 0; {
		k := min(len(rest), link.BatchMax)
		t.Send(rest[:k])
		rest = rest[k:]
	}
	for i := range out {
		link.FreePacket(out[i].B)
		out[i] = udp.Datagram{}
	}
	return out[:0]
}

// pastSelf is the address that was ours until a time.
type pastSelf struct {
	addr  netip.AddrPort
	until time.Time
}

// noteSelf tells the reader what the membership has found out of our address, and whether there is room for another peer.
func (n *Node) noteSelf(now time.Time) {
	if own := n.own.Load(); *own != n.members.Self() {
		n.selfBefore.Store(&pastSelf{*own, now})
		n.own.Store(new(n.members.Self()))
	}
	n.learning.Store(n.members.AskToken())
	n.unheard.Store(n.members.AsksUnheard(now))
	n.full.Store(n.members.IsFull(now))
}
