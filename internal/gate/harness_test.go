package gate

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/asker"
	"broach/internal/handshake"
	"broach/internal/link"
	"broach/internal/member"
	"broach/internal/seal"
	"broach/internal/tokens"
	"broach/internal/udp"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// held is a link as a node holds it.
type held struct {
	link.Link
	traffic link.Traffic
	beside  *held
}

func (h *held) Base() *link.Link { return &h.Link }
func (h *held) Beside() **held   { return &h.beside }

// newHeld makes a link.
func newHeld(now time.Time, c *link.Carrier, terms *handshake.Terms, began bool) (*held, error) {
	h := new(held)
	return h, h.Init(now, c, terms, began, &h.traffic, 1)
}

// nowhere is a transport by which nothing goes.
type nowhere struct {
	addr   netip.AddrPort
	counts udp.Stats
}

func (*nowhere) Receive([]udp.Datagram, bool) (int, error) { panic("the test delivers") }
func (*nowhere) Send(out []udp.Datagram) (int, error)      { return len(out), nil }
func (*nowhere) Waited() bool                              { return true }
func (n *nowhere) LocalAddr() netip.AddrPort               { return n.addr }
func (n *nowhere) Stats() *udp.Stats                       { return &n.counts }
func (*nowhere) Close() error                              { return nil }

// side is a gate and what has become of the datagrams that the test has handed to it.
type side struct {
	Gate[*held]
	addr     netip.AddrPort
	said     [Refused + 1]uint64 // how often each verdict was given
	sent     []udp.Datagram      // answers
	links    int                 // made, since the test last asked
	offers   []*member.Answered
	backs    []*member.CameBack
	messages [][]byte       // of links
	opened   uint64         // token of the last opening
	told     netip.AddrPort // that the last datagram is told of
}

// addrOf is the address of the i-th process.
func addrOf(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i%250 + 1)}), 7000)
}

// strangerAddr is where nobody is.
var strangerAddr = netip.MustParseAddrPort("10.9.9.9:9")

// keyOf is a key that is told from others.
func keyOf(b byte) []byte {
	k := bytes.Repeat([]byte{b}, seal.KeySize)
	k[0] ^= 0xff
	return k
}

// ringOf is a ring of keys; nil: there are none.
func ringOf(t testing.TB, keys [][]byte) *seal.Ring {
	if keys == nil {
		return nil
	}
	ring, err := seal.NewRing(keys)
	require.NoError(t, err)
	return ring
}

// newSide is the gate of a process.
func newSide(t testing.TB, keys [][]byte) *side {
	s := &side{addr: addrOf(2)}
	random := rand.NewChaCha8([32]byte{1})
	secret := make([]byte, handshake.RandomSize)
	random.Read(secret)
	table := new(tokens.Table[*held])
	table.Init(func() uint64 {
		var b [8]byte
		random.Read(b[:])
		return binary.BigEndian.Uint64(b[:])
	})
	c := &link.Carrier{
		Transport: &nowhere{addr: s.addr}, Cluster: 7, MaxMessage: 1 << 20, MaxPacket: link.BasePacket,
		Peers: member.PeersMax, Silence: 5 * time.Second, Nonce: table.Draw,
		Resized: func(time.Time, netip.AddrPort, int) {},
		Process: handshake.NewProcess(secret, keys != nil, time.Now()), Shared: s.Shared,
	}
	c.Ring.Store(ringOf(t, keys))
	c.Init(time.Now())
	s.Init(c, table, s.addr, func(now time.Time, terms *handshake.Terms, _ []*held) (*held, error) {
		return newHeld(now, c, terms, false)
	})
	return s
}

// onSide runs a test on a gate, once without keys and once with. It has been there for some seconds.
func onSide(t *testing.T, test func(t *testing.T, s *side, keys [][]byte)) {
	for name, keys := range map[string][][]byte{"without keys": nil, "with keys": {keyOf(1)}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSide(t, keys)
				time.Sleep(20 * time.Second)
				test(t, s, keys)
			})
		})
	}
}

// hear gives datagrams to the side, as one batch.
func (s *side) hear(datagrams ...[]byte) { s.hearFrom(netip.AddrPort{}, datagrams...) }

// hearFrom is hear with an address that they come from.
func (s *side) hearFrom(from netip.AddrPort, datagrams ...[]byte) {
	s.Begin(time.Now())
	for _, b := range datagrams {
		var a Arrival[*held]
		s.Take(time.Now(), udp.Datagram{Addr: from, B: append([]byte(nil), b...)}, true, &a) // it is opened in place
		s.note(&a)
	}
}

// note keeps what has come of a datagram.
func (s *side) note(a *Arrival[*held]) {
	s.said[a.Verdict]++
	s.told = a.Advertised
	if a.Answer.B != nil {
		s.sent = append(s.sent, a.Answer)
	}
	if a.Offer != nil {
		s.offers = append(s.offers, a.Offer)
	}
	if a.Back != nil {
		s.backs = append(s.backs, a.Back)
	}
	if a.IsNew {
		s.links++
	}
	if a.Head > 0 {
		s.messages = append(s.messages, a.Messages)
		a.Link.Lock(time.Now(), uint32(a.Number)) // as who steps it does
		a.Link.Unlock()
		a.Link.Unhold()
	}
}

// answers are those since the test last asked.
func (s *side) answers() (list []udp.Datagram) {
	list, s.sent = s.sent, nil
	return list
}

// made counts the links that were made since the test last asked.
func (s *side) made() (links int) {
	links, s.links = s.links, 0
	return links
}

// counted is how many datagrams were dropped, for whatever reason.
func (s *side) counted() (n uint64) {
	for _, k := range s.said[Malformed:] {
		n += k
	}
	return n
}

// asker is the i-th process that asks the side for links.
func (s *side) asker(t testing.TB, i int, keys [][]byte) *asker.Asker {
	return asker.New(t, asker.Node{Cluster: s.wires.Cluster, Addr: s.addr}, addrOf(i), uint64(i), keys)
}

// ask gives the side an Open and returns the Offer.
func (s *side) ask(t testing.TB, a *asker.Asker) wire.Offer { return s.askWith(t, a, nil) }

// askWith is ask with an Open that is changed.
func (s *side) askWith(t testing.TB, a *asker.Asker, edit func(*wire.Open)) wire.Offer {
	t.Helper()
	s.hearFrom(a.Addr, a.Open(edit))
	out := s.answers()
	require.Len(t, out, 1)
	require.Equal(t, a.Addr, out[0].Addr)
	return a.Read(t, out[0].B)
}

// askAnyway is the Offer that an Open would get if there were no bound on those.
func (s *side) askAnyway(a *asker.Asker) wire.Offer {
	m, err := wire.ConsumeOpen(a.Open(nil))
	if err != nil {
		panic(err)
	}
	return s.wires.Process.Answer(time.Now(), m, s.addr, a.Addr, s.tokens.Held(m.Key, m.Addr))
}

// askMany gives the side many Opens, and returns what goes back.
func (s *side) askMany(a *asker.Asker, n int) []udp.Datagram {
	for range n {
		s.hear(a.Open(nil))
	}
	return s.answers()
}

// meet gives the side a link with an asker, by Open and Confirm.
func (s *side) meet(t testing.TB, a *asker.Asker) *asker.Link {
	t.Helper()
	l := a.Take(s.ask(t, a))
	s.hearFrom(a.Addr, l.Confirm(nil))
	require.NotNil(t, s.tokens.Link(l.Token), "the link was not made")
	return l
}

// openTo is an Open of the side, whose opening hears one Offer.
func (s *side) openTo(a *asker.Asker) []byte {
	s.opened = s.tokens.Open(1)
	_, d := s.Ask(member.Open{To: a.Addr, Token: s.opened, Self: s.addr})
	return d.B
}

// beginTo makes a link to an asker that the side begins.
func (s *side) beginTo(t testing.TB, a *asker.Asker) *asker.Link {
	t.Helper()
	l, offer := a.Answer(t, s.openTo(a), 0)
	o, err := wire.ConsumeOffer(offer)
	require.NoError(t, err)
	h, err := newHeld(time.Now(), s.wires, s.wires.Terms(&o, s.addr, a.Addr), true)
	require.NoError(t, err)
	require.True(t, s.tokens.Add(h))
	return l
}

// linkOf is a link that the table of tokens can hold, which a process with a public key has begun.
func (s *side) linkOf(token uint64, addr netip.AddrPort, key wire.PublicKey, rank uint32) *held {
	terms := &handshake.Terms{Rank: rank, TokenA: ^token, KeyA: key, AddrA: addr, TokenB: token,
		KeyB: s.wires.Process.Key}
	h, err := newHeld(time.Now(), s.wires, terms, false)
	if err != nil {
		panic(err)
	}
	return h
}

// sameID is another key with the key id of one.
func sameID(t testing.TB, key []byte) []byte {
	want := ringOf(t, [][]byte{key}).KeyID()
	for n := range 1 << 16 {
		if other := append(keyOf(9)[:30], byte(n>>8), byte(n)); ringOf(t, [][]byte{other}).KeyID() == want {
			return other
		}
	}
	t.Fatal("there is no such key")
	return nil
}

// askThrice gets three Offers of rank 1, the latest of which makes the highest link.
func (s *side) askThrice(t testing.TB, a *asker.Asker) (low, middle, high *asker.Link) {
	var links [3]*asker.Link
	for i := range links {
		links[i] = a.Take(s.ask(t, a))
		time.Sleep(10 * time.Millisecond)
	}
	return links[0], links[1], links[2]
}

// flippedAt is b with a bit changed.
func flippedAt(b []byte, bit int) []byte {
	c := append([]byte(nil), b...)
	c[bit/8] ^= 1 << (bit % 8)
	return c
}
