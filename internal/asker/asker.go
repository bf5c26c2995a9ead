// Package asker is the other end of a handshake, for tests: a process of which only the wire exists. It asks a node for
// links or answers where the node asks, and says on them what the test wants, well sealed. It has no socket and no
// clock: it makes datagrams, and the test sees to it that they come where they shall.
//
//	a := asker.New(t, node, addr, 1, keys)
//	open := a.Open(nil)          // the test hands it to the node, and gets an Offer
//	l := a.Take(a.Read(t, offer))
//	first := l.Confirm(nil)      // makes the link
//	next := l.Say(wire.Ping{}.Append(nil))
//
// It is made of the engine's own wire, seal and handshake. An attacker with an implementation of its own is
// internal/intruder.
package asker

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"broach/internal/handshake"
	"broach/internal/seal"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// Node is whom an Asker speaks with.
type Node struct {
	Cluster uint64
	Addr    netip.AddrPort
}

// Asker is a process that is no node.
type Asker struct {
	Process *handshake.Process
	Addr    netip.AddrPort
	// version in its headers; of a link that stands 0, which no member says, lets the node not ask for it. Its Confirms
	// say 1 then: it is no guest
	Table uint32

	node  Node
	ring  *seal.Ring // nil: it has no keys
	opens uint64
}

// New makes an Asker. The number is what its secrets are drawn by.
func New(t testing.TB, node Node, addr netip.AddrPort, number uint64, keys [][]byte) *Asker {
	random := make([]byte, handshake.RandomSize)
	rng := rand.New(rand.NewPCG(number, 77))
	for at := range random {
		random[at] = byte(rng.Uint32())
	}
	a := &Asker{node: node, Addr: addr, Process: handshake.NewProcess(random, keys != nil, time.Now())}
	if keys != nil {
		var err error
		a.ring, err = seal.NewRing(keys)
		require.NoError(t, err)
	}
	return a
}

// KeyID is the key id of what the Asker sends.
func (a *Asker) KeyID() byte {
	if a.ring == nil {
		return 0
	}
	return a.ring.KeyID()
}

// Prove fills in the proof of an Open or Offer.
func (a *Asker) Prove(b []byte) []byte {
	if a.ring != nil {
		a.ring.Prove(b, 0)
	}
	return b
}

// Open makes an Open, another one each time. edit, if there is one, changes it before it is proven.
func (a *Asker) Open(edit func(*wire.Open)) []byte {
	a.opens++
	m := wire.Open{KeyID: a.KeyID(), Cluster: a.node.Cluster, Number: a.opens, Token: 0xa000 + a.opens,
		Key: a.Process.Key, Addr: a.Addr}
	if edit != nil {
		edit(&m)
	}
	return a.Prove(wire.AppendOpen(nil, m))
}

// Read takes an Offer apart, whose proof must fit.
func (a *Asker) Read(t testing.TB, b []byte) wire.Offer {
	t.Helper()
	h, _, err := wire.ConsumeHeader(b)
	require.NoError(t, err)
	require.Equal(t, wire.FormOffer, h.Form)
	m, err := wire.ConsumeOffer(b)
	require.NoError(t, err)
	require.Len(t, b, wire.OpenSize)
	if a.ring != nil {
		_, ok := a.ring.Check(b, m.KeyID)
		require.True(t, ok, "the proof of the Offer")
	}
	return m
}

// Link is a link as its Asker sees it.
type Link struct {
	*Asker
	Terms  *handshake.Terms
	Token  uint64 // of the node
	Secret seal.Secret
	Number uint64 // of the last datagram
}

// Take makes the link of an Offer of the node.
func (a *Asker) Take(o wire.Offer) *Link {
	return a.join(&handshake.Terms{
		Cluster: a.node.Cluster, Rank: o.Rank, Stamp: o.Stamp, TokenA: o.Echo, KeyA: a.Process.Key, AddrA: a.Addr,
		TokenB: o.Token, KeyB: o.Key, AddrB: a.node.Addr,
	}, true)
}

// join makes the Asker's end of a link.
func (a *Asker) join(terms *handshake.Terms, began bool) *Link {
	l := &Link{Asker: a, Terms: terms, Token: terms.TokenB}
	other := terms.KeyB
	if !began {
		l.Token, other = terms.TokenA, terms.KeyA
	}
	shared, _ := a.Process.Shared(other) // of no public key it is nothing
	l.Secret = seal.Secret{Shared: shared, Transcript: terms.Transcript(), Began: began}
	return l
}

// Answer makes the link of an Open of the node, and the Offer for it. held is the rank that it says to hold.
func (a *Asker) Answer(t testing.TB, open []byte, held uint32) (*Link, []byte) {
	t.Helper()
	m, err := wire.ConsumeOpen(open)
	require.NoError(t, err)
	o := a.Process.Answer(time.Now(), m, a.Addr, a.node.Addr, held)
	l := a.join(&handshake.Terms{
		Cluster: a.node.Cluster, Rank: o.Rank, Stamp: o.Stamp, TokenA: o.Echo, KeyA: m.Key, AddrA: m.Addr,
		TokenB: o.Token, KeyB: a.Process.Key, AddrB: a.Addr,
	}, false)
	return l, a.Prove(wire.AppendOffer(nil, o))
}

// Confirm makes the next datagram of the link, a Confirm. edit, if there is one, changes it before it is sealed.
func (l *Link) Confirm(edit func(*wire.Confirm), encoded ...[]byte) []byte {
	l.Number++
	m := wire.Confirm{
		Header: wire.Header{KeyID: l.KeyID(), TableVersion: max(l.Table, 1), Token: l.Token, Number: l.Number},
		Echo:   l.Terms.TokenA, Key: l.Terms.KeyA, Addr: l.Terms.AddrA, Rank: l.Terms.Rank, Stamp: l.Terms.Stamp,
	}
	if edit != nil {
		edit(&m)
	}
	return l.seal(wire.AppendConfirm(nil, m), m.Number, encoded)
}

// Say makes the next datagram of the link.
func (l *Link) Say(encoded ...[]byte) []byte { return l.SayAt(l.Number+1, encoded...) }

// SayAt makes a datagram with a number.
func (l *Link) SayAt(number uint64, encoded ...[]byte) []byte {
	l.Number = max(l.Number, number)
	h := wire.Header{KeyID: l.KeyID(), TableVersion: l.Table, Token: l.Token, Number: number}
	return l.seal(wire.AppendHeader(nil, h), number, encoded)
}

func (l *Link) seal(head []byte, number uint64, encoded [][]byte) []byte {
	b := bytes.Join(append([][]byte{head}, encoded...), nil)
	if l.ring == nil {
		return b
	}
	return l.ring.Sealer(&l.Secret, number).Seal(append(b, make([]byte, seal.Overhead)...)[:len(b)], len(head))
}
