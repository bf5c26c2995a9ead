package broach

import (
	"slices"
	"sync/atomic"
	"time"

	"broach/internal/balance"
	"broach/internal/gate"
	"broach/internal/handshake"
	"broach/internal/link"
	"broach/internal/member"
	"broach/internal/pace"
	"broach/internal/udp"
	"broach/internal/wire"
)

// conn is a link as this node holds it: in its table of tokens, and in the hands of the reader and the loop.
type conn struct {
	link.Link
	record *balance.Record
	beside *conn // another whose peer's address has the same chain; the token table's

	noted     int64        // when the loop was last told of traffic, as of link.Timers.Stamp; the reader's
	tableSeen uint32       // highest table version in the peer's headers; the reader's
	told      atomic.Int32 // messages of it that wait for the loop
	known     bool         // to the membership; the loop's
	isGuest   bool         // the peer is no member, [GST-1]; set before the loop hears of it
}

// Base is the link itself, for the token table.
func (l *conn) Base() *link.Link { return &l.Link }

// Beside is where the token table keeps the next.
func (l *conn) Beside() **conn { return &l.beside }

// makeLink makes a link that another process has begun, for the gate.
func (n *Node) makeLink(now time.Time, terms *handshake.Terms, siblings []*conn) (*conn, error) {
	return newConn(now, &n.linking.wires, terms, false, siblings, n.draw())
}

// newConn makes the link of an Open and its Offer. began says which end we are; siblings are the links that we have
// with who is at the same address. The error is that of a public key that is none.
func newConn(
	now time.Time, c *link.Carrier, terms *handshake.Terms, began bool, siblings []*conn, seed uint64,
) (*conn, error) {
	peer := terms.KeyA
	if began {
		peer = terms.KeyB
	}
	l := &conn{record: recordAmong(siblings, peer)}
	if err := l.Init(now, c, terms, began, &l.record.Traffic, seed); err != nil {
		return nil, err
	}
	return l, nil
}

// recordAmong is what is known already of the process with a public key, by another of its links.
func recordAmong(links []*conn, key wire.PublicKey) *balance.Record {
	for _, l := range links {
		if l.Key == key {
			return l.record
		}
	}
	return new(balance.Record)
}

// visit is a call's stay at the peer that is not counted as one of a function.
func (l *conn) visit() *balance.Visit { return &balance.Visit{Link: &l.Link, Record: l.record} }

// What the loop does about links: those that we begin it makes, and all end here.

// tendEvery is how often the loop looks at links that have a better one beside them, and at spent tokens.
const tendEvery = time.Second

// arrive takes the news of a link that the reader has made, or an Offer, or an Open of ours.
func (n *Node) arrive(now time.Time, a arrival) {
	n.log.noteArrival(now, a)
	switch l := a.made; {
	case a.back != nil:
		n.loop.members.CameBack(now, *a.back)
	case l == nil:
		n.loop.members.Offered(now, *a.offer)
	case l.isGuest:
		l.known = true
		n.loop.members.MadeGuest(now, l.ID, l.Token, l.Order())
	default:
		l.known = true
		n.loop.members.Made(now, l.ID, l.Token, l.Order())
	}
}

// beginLink makes the link of an Offer.
func (n *Node) beginLink(now time.Time, terms *handshake.Terms) {
	l, err := newConn(now, &n.linking.wires, terms, true, n.linking.tokens.At(terms.AddrB), n.loop.rng.Uint64())
	if err != nil || !n.linking.tokens.Add(l) {
		n.linking.tokens.Forget(terms.TokenA)
		n.loop.members.Unmade(terms.TokenA)
		return
	}
	l.known = true
}

// succeedLink lets calls begin on another link to the same process.
func (n *Node) succeedLink(now time.Time, s member.Succession) {
	from, to := n.linking.tokens.Link(s.From), n.linking.tokens.Link(s.To)
	if from == nil || to == nil {
		return
	}
	to.SucceedBy(nil)
	from.SucceedBy(&to.Link)
	n.loop.replaced = append(n.loop.replaced, from)
	n.loop.tendAt = pace.Earliest(n.loop.tendAt, now.Add(tendEvery))
}

// closeLink ends a link, after what waits on it has been sent.
func (n *Node) closeLink(now time.Time, token uint64) {
	l := n.linking.tokens.Link(token)
	if l == nil {
		n.linking.tokens.Forget(token)
		return
	}
	n.linking.tokens.Close(now, l)
	l.SendAll()
	l.Close(link.Outcome{Code: wire.Unreachable, Gone: true, Body: []byte(textRestart)})
	n.loop.tendAt = pace.Earliest(n.loop.tendAt, now.Add(tendEvery))
}

// tendLinks closes links that are used no more, and forgets tokens that were spent.
func (n *Node) tendLinks(now time.Time) {
	if n.loop.tendAt.IsZero() || now.Before(n.loop.tendAt) {
		return
	}
	n.loop.tendAt = n.linking.tokens.Sweep(now)
	kept := n.loop.replaced[:0]
	for _, l := range n.loop.replaced {
		switch {
		case n.linking.tokens.Link(l.Token) != l || l.Best() == &l.Link: // it is gone, or the best link again
		case l.IsQuiet(now):
			n.loop.members.Ended(l.Token)
		default:
			kept = append(kept, l)
		}
	}
	clear(n.loop.replaced[len(kept):])
	n.loop.replaced = kept
	if len(kept) > 0 {
		n.loop.tendAt = pace.Earliest(n.loop.tendAt, now.Add(tendEvery))
	}
	n.carryOut(now)
}

// isBusy reports whether calls are in flight on a link that works.
func (n *Node) isBusy(now time.Time, token uint64) bool {
	l := n.linking.tokens.Link(token)
	return l != nil && l.IsBusy(now)
}

// sendOpens sends the Opens that the membership asks for.
func (n *Node) sendOpens(opens []member.Open) {
	for _, o := range opens {
		number, d := n.linking.gate.Ask(o)
		n.loop.members.NoteAsked(number, o)
		n.loop.opening = append(n.loop.opening, d)
	}
	n.loop.opening = sendAndFree(n.linking.transport, n.loop.opening)
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

// noteSelf tells the gate what the membership has found out of our address, and whether there is room for another
// peer.
func (n *Node) noteSelf(now time.Time) {
	n.linking.gate.NoteSelf(now, gate.Self{
		Addr: n.loop.members.Self(), Learning: n.loop.members.AskToken(),
		IsUnheard: n.loop.members.AsksUnheard(now), IsFull: n.loop.members.IsFull(now), IsGuest: n.cfg.Guest,
	})
}

// away is a link to a peer that was found to be away, and what calls on it are told.
type away struct {
	*conn
	text string
}

// endCallsToAway ends the calls to peers that were found to be away. If the view may be made anew now, that comes
// first, so that a call which is made again does not go there again; it reports whether it was.
func (n *Node) endCallsToAway(now time.Time, e member.Effects) (isShown bool) {
	known := len(n.loop.away)
	n.noteAway(e.Offline, textOffline)
	n.noteAway(e.Left, textRestart)
	n.noteAway(e.Cut, textCut)
	if len(n.loop.away) == known {
		return false
	}
	n.publishSoon()
	if !now.Before(n.loop.publishAt) {
		n.publish(now)
		return true
	}
	for _, a := range n.loop.away[known:] {
		a.fail()
	}
	return false
}

func (n *Node) noteAway(tokens []uint64, text string) {
	for _, token := range tokens {
		if l := n.linking.tokens.Link(token); l != nil {
			l.record.Forgive(&n.calling.circuits)
			n.loop.away = append(n.loop.away, away{l, text})
		}
	}
}

func (a away) fail() { a.Fail(link.Outcome{Code: wire.Unreachable, Gone: true, Body: []byte(a.text)}) }

// failCallsToAway ends the calls that began by the view of before to peers that were away already, and are by this one:
// nothing else would end them for the whole AckTimeout.
func (n *Node) failCallsToAway() {
	for _, a := range n.loop.away {
		isBack := func(p *member.View) bool {
			return p.Process == a.ID && p.State != member.Offline && p.State != member.Left && !p.Unreachable
		}
		if !slices.ContainsFunc(n.calling.view.Load().peers, isBack) {
			a.fail()
		}
	}
	clear(n.loop.away)
	n.loop.away = n.loop.away[:0]
}
