// Package gate is where datagrams come in: it finds out what each is (PROTOCOL.md 1.1), answers Opens, lets Offers to
// our own openings pass, makes the links that Confirms ask for (1.2), and opens what is sealed. Who sends it may be
// anybody: what nothing proves has no effect, costs little and is bounded by internal/strangers.
//
// A Gate sends, counts and logs nothing and never waits. It says what has become of a datagram, and what is to be done
// about it: a datagram that goes back, news for the loop, the messages of a link. The reader of a node has it; the loop
// tells it what it has found out of the node, and asks others for links by it. It reads the clock in one place, where a
// Confirm must not be taken to be younger than it is.
//
// Files, in the order in which a stranger becomes a peer:
//
//	gate.go     what a datagram is; those of links are opened
//	self.go     what the loop tells of the node
//	open.go     an Open is answered
//	offer.go    an Offer is let through; the Opens that it is for
//	confirm.go  a Confirm makes a link
//	secrets.go  what X25519 made is kept
package gate

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"broach/internal/handshake"
	"broach/internal/link"
	"broach/internal/member"
	"broach/internal/strangers"
	"broach/internal/tokens"
	"broach/internal/udp"
	"broach/internal/wire"
)

// A Gate lets datagrams into a node. H is a link as the node holds it.
type Gate[H tokens.Holder[H]] struct {
	// set once
	wires   *link.Carrier
	tokens  *tokens.Table[H]
	make    Maker[H]
	secrets secrets

	// of the loop, which any goroutine may read
	self   atomic.Pointer[Self]
	before atomic.Pointer[pastSelf] // nil: our address has not changed
	seeds  atomic.Pointer[[]netip.AddrPort]
	asked  atomic.Uint64 // number of the last Open

	strangers strangers.Bounds // the reader's
}

// A Maker makes a link that another process has begun. siblings are the links that there are with its address. It fails
// if the public key of that process is not valid.
type Maker[H any] func(now time.Time, terms *handshake.Terms, siblings []H) (H, error)

// Init makes the gate of a node whose links share wires and stand in a table. The address is the node's, as far as it
// is known.
func (g *Gate[H]) Init(wires *link.Carrier, table *tokens.Table[H], addr netip.AddrPort, make Maker[H]) {
	g.wires, g.tokens, g.make = wires, table, make
	g.self.Store(&Self{Addr: addr})
	g.seeds.Store(new([]netip.AddrPort))
}

// Begin is called before each batch of datagrams.
func (g *Gate[H]) Begin(now time.Time) { g.strangers.Begin(now) }

// A Verdict is what was found out of a datagram, for the counters and the log of the node.
type Verdict uint8

const (
	Fine         Verdict = iota // there is nothing to be told
	Malformed                   // it is none of this protocol
	OtherVersion                // it is of another version
	OtherCluster                // it asks for a link in another cluster
	Unopened                    // no key opens it
	Replayed                    // it has come before, or is too old
	Stranger                    // it has no token of ours
	Unanswered                  // too many of its kind have come
	Doubled                     // its sender advertises our own address
	Useless                     // its sender advertises an address that cannot be reached from here
	Full                        // its sender is not let in: we know as many peers as we may
	InVain                      // its sender asks for a link again and again, and takes none
	Refused                     // its sender, whom we asked for a link, has no room for us
)

// An Arrival is what has come of a datagram.
type Arrival[H any] struct {
	Verdict    Verdict
	Advertised netip.AddrPort // by its sender, where the verdict is about that

	Answer udp.Datagram     // goes back at the end of the batch; without bytes: nothing does
	Offer  *member.Answered // for the loop; nil: none
	Back   *member.CameBack // likewise

	Link     H      // that it came on; the zero value: on none
	IsNew    bool   // it made the link, which the loop does not know yet
	Number   uint64 // of the datagram
	Table    uint32 // version in its header
	Head     int    // bytes before the messages; 0: none were opened
	Messages []byte // opened, in place
}

// Take finds out what a datagram is, and writes to a what has come of it. A sealed datagram is opened in place. A
// Confirm makes a link only if canMake: the loop must have room to be told of it.
func (g *Gate[H]) Take(now time.Time, d udp.Datagram, canMake bool, a *Arrival[H]) {
	*a = Arrival[H]{}
	h, _, err := wire.ConsumeHeader(d.B)
	switch {
	case errors.Is(err, wire.ErrVersion):
		a.Verdict = OtherVersion
	case err != nil:
		a.Verdict = Malformed
	case (h.KeyID != 0) != (g.wires.Ring.Load() != nil):
		a.Verdict = Unopened
	case h.Form == wire.FormOpen:
		g.takeOpen(now, d, a)
	case h.Form == wire.FormOffer:
		g.takeOffer(now, d, h, a)
	default:
		g.takeLinked(now, d, h, canMake, a)
	}
}

// takeLinked handles a datagram with the token of a link. A Confirm whose token is not known may make the link.
func (g *Gate[H]) takeLinked(now time.Time, d udp.Datagram, h wire.Header, canMake bool, a *Arrival[H]) {
	var none H
	e := g.tokens.Get(h.Token)
	switch {
	case e != nil && e.Link != none && (h.Form == wire.FormLink || !e.Link.Base().Began):
		g.open(now, e.Link, d, h, a)
	case e != nil || h.Form != wire.FormConfirm:
		a.Verdict = Stranger
	case !g.strangers.MayConfirm():
		a.Verdict = Unanswered
	default:
		if g.takeConfirm(d, canMake, a); a.IsNew {
			g.open(now, a.Link, d, h, a)
		}
	}
}

// open opens a datagram of a link.
func (g *Gate[H]) open(now time.Time, holder H, d udp.Datagram, h wire.Header, a *Arrival[H]) {
	l, head := holder.Base(), wire.HeaderSize
	if h.Form == wire.FormConfirm {
		head = wire.ConfirmSize
	}
	switch {
	case len(d.B) < head:
		a.Verdict = Malformed
		return
	case !l.MayTake(now, h.Number):
		a.Verdict = Replayed
		return
	}
	rest, ok := l.Open(d.B, head, h.KeyID)
	if !ok {
		a.Verdict = Unopened
		return
	}
	l.Take(now, h.Number, len(d.B))
	a.Link, a.Number, a.Table, a.Head, a.Messages = holder, h.Number, h.TableVersion, len(d.B)-len(rest), rest
}
