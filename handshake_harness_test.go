package broach

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/handshake"
	"broach/internal/seal"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// asker is a process of which only the wire exists: it asks a side for links, or answers where the side asks.
type asker struct {
	process *handshake.Process
	addr    netip.AddrPort
	ring    *seal.Ring // nil: it has no keys
	opens   uint64
	table   uint32 // version in its headers; 0, which no process says, lets the side not ask for it
}

func newAsker(t testing.TB, i int, keys [][]byte) *asker {
	random := make([]byte, handshake.RandomSize)
	rng := rand.New(rand.NewPCG(uint64(i), 77))
	for at := range random {
		random[at] = byte(rng.Uint32())
	}
	a := &asker{addr: addrOf(i), process: handshake.NewProcess(random, keys != nil, time.Now())}
	if keys != nil {
		var err error
		a.ring, err = seal.NewRing(keys)
		require.NoError(t, err)
	}
	return a
}

func (a *asker) keyID() byte {
	if a.ring == nil {
		return 0
	}
	return a.ring.KeyID()
}

// prove fills in the proof of an Open or Offer.
func (a *asker) prove(b []byte) []byte {
	if a.ring != nil {
		a.ring.Prove(b, 0)
	}
	return b
}

// open makes an Open, another one each time. edit, if there is one, changes it before it is proven.
func (a *asker) open(s *linkSide, edit func(*wire.Open)) []byte {
	a.opens++
	m := wire.Open{KeyID: a.keyID(), Cluster: s.linking.wires.Cluster, Number: a.opens, Token: 0xa000 + a.opens,
		Key: a.process.Key, Addr: a.addr}
	if edit != nil {
		edit(&m)
	}
	return a.prove(wire.AppendOpen(nil, m))
}

// ask sends an Open and returns the Offer.
func (a *asker) ask(t testing.TB, s *linkSide) wire.Offer { return a.askWith(t, s, nil) }

func (a *asker) askWith(t testing.TB, s *linkSide, edit func(*wire.Open)) wire.Offer {
	t.Helper()
	s.hearFrom(a.addr, a.open(s, edit))
	out := s.script.takeAddressed()
	require.Len(t, out, 1)
	require.Equal(t, a.addr, out[0].Addr)
	return a.read(t, out[0].B)
}

// read takes an Offer apart, whose proof must fit.
func (a *asker) read(t testing.TB, b []byte) wire.Offer {
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

// askerLink is a link as its asker sees it.
type askerLink struct {
	*asker
	terms  *handshake.Terms
	token  uint64 // of the side
	secret seal.Secret
	number uint64
}

// take makes the link of an Offer of a side.
func (a *asker) take(s *linkSide, o wire.Offer) *askerLink {
	return a.join(&handshake.Terms{
		Cluster: s.linking.wires.Cluster, Rank: o.Rank, Stamp: o.Stamp, TokenA: o.Echo, KeyA: a.process.Key, AddrA: a.addr,
		TokenB: o.Token, KeyB: o.Key, AddrB: s.script.addr,
	}, true)
}

// join makes the asker's end of a link.
func (a *asker) join(terms *handshake.Terms, began bool) *askerLink {
	l := &askerLink{asker: a, terms: terms, token: terms.TokenB}
	other := terms.KeyB
	if !began {
		l.token, other = terms.TokenA, terms.KeyA
	}
	shared, _ := a.process.Shared(other) // of no public key it is nothing
	l.secret = seal.Secret{Shared: shared, Transcript: terms.Transcript(), Began: began}
	return l
}

// answer makes the link of an Open of a side, and the Offer for it.
func (a *asker) answer(t testing.TB, s *linkSide, open []byte, held uint32) (*askerLink, []byte) {
	t.Helper()
	m, err := wire.ConsumeOpen(open)
	require.NoError(t, err)
	o := a.process.Answer(time.Now(), m, a.addr, s.script.addr, held)
	l := a.join(&handshake.Terms{
		Cluster: s.linking.wires.Cluster, Rank: o.Rank, Stamp: o.Stamp, TokenA: o.Echo, KeyA: m.Key, AddrA: m.Addr,
		TokenB: o.Token, KeyB: a.process.Key, AddrB: a.addr,
	}, false)
	return l, a.prove(wire.AppendOffer(nil, o))
}

// confirm makes the next datagram of the link, a Confirm. edit, if there is one, changes it before it is sealed.
func (l *askerLink) confirm(edit func(*wire.Confirm), encoded ...[]byte) []byte {
	l.number++
	m := wire.Confirm{
		Header: wire.Header{KeyID: l.keyID(), TableVersion: l.table, Token: l.token, Number: l.number},
		Echo:   l.terms.TokenA, Key: l.terms.KeyA, Addr: l.terms.AddrA, Rank: l.terms.Rank, Stamp: l.terms.Stamp,
	}
	if edit != nil {
		edit(&m)
	}
	return l.seal(wire.AppendConfirm(nil, m), m.Number, encoded)
}

// say makes the next datagram of the link.
func (l *askerLink) say(encoded ...[]byte) []byte { return l.sayAt(l.number+1, encoded...) }

// sayAt makes a datagram with a number.
func (l *askerLink) sayAt(number uint64, encoded ...[]byte) []byte {
	l.number = max(l.number, number)
	h := wire.Header{KeyID: l.keyID(), TableVersion: l.table, Token: l.token, Number: number}
	return l.seal(wire.AppendHeader(nil, h), number, encoded)
}

func (l *askerLink) seal(head []byte, number uint64, encoded [][]byte) []byte {
	b := bytes.Join(append([][]byte{head}, encoded...), nil)
	if l.ring == nil {
		return b
	}
	return l.ring.Sealer(&l.secret, number).Seal(append(b, make([]byte, seal.Overhead)...)[:len(b)], len(head))
}

// meet gives the side a link with the asker, by Open and Confirm.
func (a *asker) meet(t testing.TB, s *linkSide) *askerLink {
	t.Helper()
	l := a.take(s, a.ask(t, s))
	s.hearFrom(a.addr, l.confirm(nil))
	require.NotNil(t, s.linking.tokens.Link(l.token), "the link was not made")
	return l
}

// made counts the links that the reader has told of since it was last asked.
func (s *linkSide) made() (links int) {
	for {
		select {
		case a := <-s.loop.arrivals:
			if a.made != nil {
				links++
			}
		default:
			return links
		}
	}
}

// turn does what the loop does when it wakes.
func (s *linkSide) turn() {
	s.drain(time.Now())
	s.Node.step(time.Now())
	synctest.Wait()
}

// onSide runs a test on a node that does not run, once without keys and once with. It has been there for some seconds.
func onSide(t *testing.T, test func(t *testing.T, s *linkSide, keys [][]byte)) {
	for name, keys := range map[string][][]byte{"without keys": nil, "with keys": {keyOf(1)}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := side(t, 2, Config{Keys: keys})
				defer s.serving.pool.Close(time.Hour)
				time.Sleep(20 * time.Second)
				test(t, s, keys)
			})
		})
	}
}
