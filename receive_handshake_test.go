package broach

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"broach/internal/handshake"
	"broach/internal/link"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [LNK-1] It answers with one Offer, to the address that the Open names. held: the highest rank of the links that B
// holds with that public key at that address, confirmed or not, draining or not; 0: none [...]. rank: 1 + the larger of
// the Open's and held. [...] observed: the source of the Open.
func TestOpenIsAnsweredByOneOffer(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := newAsker(t, 3, keys)
		rank := func(r uint32) func(*wire.Open) { return func(m *wire.Open) { m.Rank = r } }
		o := a.askWith(t, s, rank(6))
		require.Equal(t, wire.Offer{
			KeyID: a.keyID(), Rank: 7, Echo: 0xa001, Stamp: 20_000, Token: o.Token, Key: s.linking.wires.Process.Key, Addr: s.script.addr,
			Observed: a.addr, Proof: o.Proof,
		}, o)
		s.hear(a.take(s, o).confirm(nil))
		require.Equal(t, 1, s.made())

		o = a.askWith(t, s, rank(3))
		require.EqualValues(t, []uint32{7, 8}, []uint32{o.Held, o.Rank})
		o = a.askWith(t, s, rank(9))
		require.EqualValues(t, []uint32{7, 10}, []uint32{o.Held, o.Rank})

		other := newAsker(t, 3, keys)
		other.process = newAsker(t, 4, keys).process
		o = other.ask(t, s)
		require.EqualValues(t, []uint32{0, 1}, []uint32{o.Held, o.Rank}, "another process there holds nothing")

		s.hearFrom(strangerAddr, a.open(s, nil))
		out := s.script.takeAddressed()
		require.Len(t, out, 1)
		require.Equal(t, a.addr, out[0].Addr)
		require.Equal(t, strangerAddr, a.read(t, out[0].B).Observed)
	})
}

// [LNK-1] Token B is what only B can make of these fields, the same for the same
func TestTokensOfOffersAreThoseOfTheirFields(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := newAsker(t, 3, keys)
		token := func(edit func(*wire.Open)) uint64 {
			return a.askWith(t, s, func(m *wire.Open) {
				m.Token = 0xa
				if edit != nil {
					edit(m)
				}
			}).Token
		}
		same := token(nil)
		require.Equal(t, same, token(nil), "but for the number of the Open")
		seen := map[uint64]bool{same: true}
		for _, edit := range []func(*wire.Open){
			func(m *wire.Open) { m.Token++ },
			func(m *wire.Open) { m.Rank++ },
			func(m *wire.Open) { m.Key[31] ^= 1 },
		} {
			seen[token(edit)] = true
		}
		time.Sleep(time.Millisecond)
		seen[token(nil)] = true
		require.Len(t, seen, 5)
	})
}

// [LNK-1] it keeps nothing but these
// [SEC-1] X25519 is computed at each link's birth [...] and for nobody who holds no Offer.
func TestOpensLeaveNothingBehind(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		for i := range 200 {
			newAsker(t, 3+i, keys).ask(t, s)
		}
		require.Zero(t, s.linking.tokens.Len())
		require.Zero(t, s.linking.shared.made)
		require.Zero(t, len(s.loop.arrivals)+len(s.loop.inbox))
	})
}

// [HDR-2] An Open of another cluster MUST be dropped.
// [LNK-1] B drops it if its rank is 2^31 or more, if it has B's own public key or an address of `[MEM-26]`
func TestOpensThatAreNotAnswered(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := newAsker(t, 3, keys)
		named := func(addr string) func(*wire.Open) {
			return func(m *wire.Open) { m.Addr = netip.MustParseAddrPort(addr) }
		}
		for _, test := range []struct {
			why   string
			edit  func(*wire.Open)
			count func(Stats) uint64 // nil: it is not counted
		}{
			{"another cluster", func(m *wire.Open) { m.Cluster++ }, func(st Stats) uint64 { return st.OtherCluster }},
			{"the rank", func(m *wire.Open) { m.Rank = 1 << 31 }, nil},
			{"our own public key", func(m *wire.Open) { m.Key = s.linking.wires.Process.Key }, nil},
			{"our own address", func(m *wire.Open) { m.Addr = s.script.addr }, func(st Stats) uint64 { return st.Unusable }},
			{"loopback of another host", named("127.0.0.1:7000"), func(st Stats) uint64 { return st.Unusable }},
			{"multicast", named("224.0.0.1:7000"), func(st Stats) uint64 { return st.Unusable }},
			{"multicast of IPv6", named("[ff02::1]:7000"), func(st Stats) uint64 { return st.Unusable }},
			{"broadcast", named("255.255.255.255:7000"), func(st Stats) uint64 { return st.Unusable }},
			{"no port", named("10.0.0.9:0"), func(st Stats) uint64 { return st.Malformed }},
			{"no token", func(m *wire.Open) { m.Token = 0 }, func(st Stats) uint64 { return st.Malformed }},
		} {
			before := s.Stats()
			s.hearFrom(a.addr, a.open(s, test.edit))
			require.Empty(t, s.script.take(), test.why)
			if test.count != nil {
				require.EqualValues(t, 1, test.count(s.Stats())-test.count(before), test.why)
			}
		}
		require.Equal(t, uint32(1<<31), a.askWith(t, s, func(m *wire.Open) { m.Rank = 1<<31 - 1 }).Rank)
	})
}

// [LNK-1] at 2^32-1 there is no answer.
func TestWhereNoRankIsLeftThereIsNoAnswer(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := newAsker(t, 3, keys)
		a.meet(t, s)
		require.True(t, s.linking.tokens.Add(linkOfProcess(7, a.addr, false, time.Now(), a.process.Key, 1<<32-2)))
		require.Equal(t, uint32(1<<32-1), a.ask(t, s).Rank)
		require.True(t, s.linking.tokens.Add(linkOfProcess(8, a.addr, false, time.Now(), a.process.Key, 1<<32-1)))
		s.hearFrom(a.addr, a.open(s, nil))
		require.Empty(t, s.script.take())
	})
}

// [LNK-1] or if, with keys, its proof is one of the last 16,384 that B answered
func TestAnOpenIsAnsweredOnce(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := newAsker(t, 3, keys)
		open := a.open(s, nil)
		for range 5 {
			s.hearFrom(a.addr, open)
		}
		if keys == nil {
			require.Len(t, s.script.take(), 5, "without keys there is nothing to tell them by")
			return
		}
		require.Len(t, s.script.take(), 1)
		require.EqualValues(t, 4, s.Stats().Replayed)
	})
}

// [HDR-1] A receiver MUST drop a datagram that has another magic or version or a form above 3, or is shorter than its
// form says; an Open or Offer also if it is longer.
func TestDatagramsThatAreNoneAreDropped(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := newAsker(t, 3, keys)
		l := a.meet(t, s)
		opening := s.linking.tokens.Open(1)
		offer := a.prove(wire.AppendOffer(nil, wire.Offer{
			KeyID: a.keyID(), Rank: 1, Echo: opening, Token: 1, Key: a.process.Key, Addr: a.addr, Observed: a.addr,
		}))
		good := map[string][]byte{"Open": a.open(s, nil), "Offer": offer, "Confirm": l.confirm(nil), "Link": l.say()}
		s.made()
		malformed, foreign := uint64(0), uint64(0)
		check := func(what string, b []byte) {
			s.hearFrom(a.addr, b)
			require.Empty(t, s.script.take(), what)
			require.Zero(t, len(s.loop.arrivals)+len(s.loop.inbox)-1, what) // the news of the Confirm
			st := s.Stats()
			require.Equal(t, []uint64{malformed, foreign}, []uint64{st.Malformed, st.ForeignVersion}, what)
		}
		for name, b := range good {
			changed := func(at int, to byte) []byte {
				c := append([]byte(nil), b...)
				c[at] = to
				return c
			}
			malformed++
			check(name+" of another magic", changed(0, 0xb6))
			foreign++
			check(name+" of version 1", changed(1, 1))
			malformed++
			check(name+" of form 4", changed(3, 4))
			head := map[string]int{"Open": 116, "Offer": 116, "Confirm": 90, "Link": 24}[name]
			for n := range head {
				malformed++
				check(name+" cut off", b[:n])
			}
			if head == 116 {
				malformed++
				check(name+" and a byte", append(b[:116:116], 0))
			}
		}
		for name, b := range good { // and what is whole has its effect
			s.hearFrom(a.addr, b)
			require.Equal(t, malformed, s.Stats().Malformed, name)
		}
		require.Len(t, s.script.take(), 1, "the Offer for the Open")
		require.Len(t, s.loop.arrivals, 1, "the Offer")
		require.EqualValues(t, 3, s.linking.tokens.Link(l.token).record.Traffic.Arrived.Load(), "Link and Confirm")
	})
}

// state is all of a side that a datagram can change, but for what is counted.
type sideState struct {
	sent, arrivals, inbox, tokens int
	seen                          string // the Opens that were answered
	highest, arrived              uint64
	heard                         time.Time
	derived                       uint64
}

func (s *linkSide) state(l *conn) sideState {
	return sideState{
		len(s.script.sent), len(s.loop.arrivals), len(s.loop.inbox), s.linking.tokens.Len(), fmt.Sprint(s.reader.strangers.Seen),
		l.record.Traffic.Numbered.Load(), l.record.Traffic.Arrived.Load(), l.LastHeard(), s.linking.shared.made,
	}
}

// counted is how many datagrams were dropped, for whatever reason.
func (st Stats) counted() uint64 {
	return st.Malformed + st.ForeignVersion + st.OtherCluster + st.Replayed + st.Strangers + st.Unanswered +
		st.Unopened + st.Unusable
}

// [SEAL-2] Nothing in a datagram has an effect before its proof was found to fit, or its messages were opened.
// So whoever changes a bit of what was recorded, or cuts it short, changes nothing.
func TestChangedDatagramsHaveNoEffect(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		if keys == nil {
			return
		}
		a, met := newAsker(t, 3, keys), newAsker(t, 4, keys)
		l := met.meet(t, s)
		s.made()
		for len(s.loop.inbox) > 0 {
			<-s.loop.inbox
		}
		_, offer := a.answer(t, s, a.prove(wire.AppendOpen(nil, s.openOf(a.keyID(), s.linking.tokens.Open(1), 0, s.script.addr))), 0)
		confirm := a.take(s, a.askAnyway(s)).confirm(nil, wire.Ping{}.Append(nil))
		for name, b := range map[string][]byte{
			"Open": a.open(s, nil), "Offer": offer, "Confirm": confirm, "Link": l.say(wire.Ping{}.Append(nil)),
			"Confirm of a link": l.confirm(nil, wire.Ping{}.Append(nil)),
		} {
			link := s.linking.tokens.Link(l.token)
			before := s.state(link)
			before.derived = 0
			check := func(changed []byte, format string, i int) {
				s.hearFrom(strangerAddr, changed)
				after := s.state(link)
				after.derived = 0 // of the Confirm, whose tag is the last that is looked at
				require.Equal(t, before, after, "%s, "+format, name, i)
			}
			for bit := range len(b) * 8 {
				check(flippedAt(b, bit), "bit %d", bit)
			}
			for n := range b {
				check(b[:n], "%d bytes", n)
			}
			s.hear(b)
			require.NotEqual(t, before, s.state(link), "%s, as it was", name)
			s.made()
		}
		require.NotZero(t, s.Stats().counted())
	})
}

// [SEAL-1] A process that has keys MUST drop a datagram whose key id is 0 or none of theirs, or whose proof or tag none
// of its keys with that id makes; one without keys MUST drop a datagram with a key id. Neither is answered; they are
// counted.
func TestDatagramsOfOtherKeysAreDropped(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		others := map[string][][]byte{"another key": {keyOf(2)}}
		if keys == nil {
			others["a key"] = [][]byte{keyOf(1)}
		} else {
			others["no key"] = nil
			others["the same key id"] = [][]byte{sameID(t, keyOf(1))}
		}
		friend := newAsker(t, 3, keys)
		known := friend.meet(t, s)
		offered := friend.askAnyway(s)
		s.made()
		for name, other := range others {
			a := newAsker(t, 4, other)
			a.addr = friend.addr
			l := a.take(s, offered)
			l.terms.TokenA, l.terms.KeyA = offered.Echo, friend.process.Key
			link := *known
			link.asker = a
			opening := s.openOf(a.keyID(), s.linking.tokens.Open(1), 0, s.script.addr)
			_, offer := a.answer(t, s, a.prove(wire.AppendOpen(nil, opening)), 0)
			before := s.Stats().Unopened
			state := s.state(s.linking.tokens.Link(known.token))
			s.hear(a.open(s, nil), offer, link.say(wire.Ping{}.Append(nil)))
			require.Empty(t, s.script.take(), name)
			require.Equal(t, state, s.state(s.linking.tokens.Link(known.token)), name)
			require.EqualValues(t, 3, s.Stats().Unopened-before, name)
			s.hear(l.confirm(nil))
			require.Zero(t, s.made(), name)
		}
	})
}

// linkOfProcess is a link that the table of tokens can hold, with who has a public key.
func linkOfProcess(token uint64, addr netip.AddrPort, began bool, born time.Time, key wire.PublicKey, rank uint32) *conn {
	c := &link.Carrier{Process: handshake.NewProcess(make([]byte, handshake.RandomSize), false, time.Unix(0, 0))}
	c.Init(time.Unix(0, 0).Add(-time.Hour))
	terms := &handshake.Terms{Rank: rank, TokenA: ^token, KeyA: key, AddrA: addr, TokenB: token, KeyB: c.Process.Key}
	if began {
		terms = &handshake.Terms{Rank: rank, TokenA: token, KeyA: c.Process.Key, TokenB: ^token, KeyB: key, AddrB: addr}
	}
	l, err := newConn(born, c, terms, began, nil, 1)
	if err != nil {
		panic(err)
	}
	return l
}
