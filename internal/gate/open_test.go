package gate

import (
	"broach/internal/wire"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// [LNK-1] B answers with one Offer, to the address that the Open names. held: the highest rank of the links that B
// holds with that public key at that address, confirmed or not, draining or not; 0: none [...]. rank: 1 + the larger of
// the Open's and held. [...] observed: the source of the Open.
func TestOpenIsAnsweredByOneOffer(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		a := s.asker(t, 3, keys)
		rank := func(r uint32) func(*wire.Open) { return func(m *wire.Open) { m.Rank = r } }
		o := s.askWith(t, a, rank(6))
		require.Equal(t, wire.Offer{
			KeyID: a.KeyID(), Rank: 7, Echo: 0xa001, Stamp: 20_000, Token: o.Token, Key: s.wires.Process.Key,
			Addr:     s.addr,
			Observed: a.Addr, Proof: o.Proof,
		}, o)
		s.hear(a.Take(o).Confirm(nil))
		require.Equal(t, 1, s.made())

		o = s.askWith(t, a, rank(3))
		require.EqualValues(t, []uint32{7, 8}, []uint32{o.Held, o.Rank})
		o = s.askWith(t, a, rank(9))
		require.EqualValues(t, []uint32{7, 10}, []uint32{o.Held, o.Rank})

		other := s.asker(t, 3, keys)
		other.Process = s.asker(t, 4, keys).Process
		o = s.ask(t, other)
		require.EqualValues(t, []uint32{0, 1}, []uint32{o.Held, o.Rank}, "another process there holds nothing")

		s.hearFrom(strangerAddr, a.Open(nil))
		out := s.answers()
		require.Len(t, out, 1)
		require.Equal(t, a.Addr, out[0].Addr)
		require.Equal(t, strangerAddr, a.Read(t, out[0].B).Observed)
	})
}

// [LNK-1] Token B is what only B can make of these fields, the same for the same
func TestTokensOfOffersAreThoseOfTheirFields(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		a := s.asker(t, 3, keys)
		token := func(edit func(*wire.Open)) uint64 {
			return s.askWith(t, a, func(m *wire.Open) {
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
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		for i := range 200 {
			s.ask(t, s.asker(t, 3+i, keys))
		}
		require.Zero(t, s.tokens.Len())
		require.Zero(t, s.secrets.made)
		require.Zero(t, s.links+len(s.offers)+len(s.messages))
	})
}

// [HDR-2] An Open of another cluster MUST be dropped.
// [LNK-1] B drops it if its rank is 2^31 or more, if it has B's own public key or an address of `[MEM-26]`
func TestOpensThatAreNotAnswered(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		a := s.asker(t, 3, keys)
		named := func(addr string) func(*wire.Open) {
			return func(m *wire.Open) { m.Addr = netip.MustParseAddrPort(addr) }
		}
		for _, test := range []struct {
			why  string
			edit func(*wire.Open)
			says Verdict
		}{
			{"another cluster", func(m *wire.Open) { m.Cluster++ }, OtherCluster},
			{"the rank", func(m *wire.Open) { m.Rank = 1 << 31 }, Fine},
			{"our own public key", func(m *wire.Open) { m.Key = s.wires.Process.Key }, Fine},
			{"our own address", func(m *wire.Open) { m.Addr = s.addr }, Doubled},
			{"loopback of another host", named("127.0.0.1:7000"), Useless},
			{"multicast", named("224.0.0.1:7000"), Useless},
			{"multicast of IPv6", named("[ff02::1]:7000"), Useless},
			{"broadcast", named("255.255.255.255:7000"), Useless},
			{"no port", named("10.0.0.9:0"), Malformed},
			{"no token", func(m *wire.Open) { m.Token = 0 }, Malformed},
		} {
			before := s.said[test.says]
			s.hearFrom(a.Addr, a.Open(test.edit))
			require.Empty(t, s.answers(), test.why)
			require.EqualValues(t, 1, s.said[test.says]-before, test.why)
		}
		require.Equal(t, uint32(1<<31), s.askWith(t, a, func(m *wire.Open) { m.Rank = 1<<31 - 1 }).Rank)
	})
}

// [LNK-1] at 2^32-1 there is no answer.
func TestWhereNoRankIsLeftThereIsNoAnswer(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		a := s.asker(t, 3, keys)
		s.meet(t, a)
		require.True(t, s.tokens.Add(s.linkOf(7, a.Addr, a.Process.Key, 1<<32-2)))
		require.Equal(t, uint32(1<<32-1), s.ask(t, a).Rank)
		require.True(t, s.tokens.Add(s.linkOf(8, a.Addr, a.Process.Key, 1<<32-1)))
		s.hearFrom(a.Addr, a.Open(nil))
		require.Empty(t, s.answers())
	})
}

// [LNK-1] or if, with keys, its proof is one of the last 16,384 that B answered
func TestAnOpenIsAnsweredOnce(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		a := s.asker(t, 3, keys)
		open := a.Open(nil)
		for range 5 {
			s.hearFrom(a.Addr, open)
		}
		if keys == nil {
			require.Len(t, s.answers(), 5, "without keys there is nothing to tell them by")
			return
		}
		require.Len(t, s.answers(), 1)
		require.EqualValues(t, 4, s.said[Replayed])
	})
}

// Who asks again and again and takes no link is told of after two seconds, and who is reached is not: a host may have
// several addresses, and another process may be at that which is advertised.
func TestWhoIsReachedIsNotTold(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		reached, deaf := s.asker(t, 3, keys), s.asker(t, 4, keys)
		s.meet(t, reached)
		for range 100 {
			time.Sleep(time.Second)
			s.hearFrom(strangerAddr, reached.Open(nil))
		}
		require.Zero(t, s.said[InVain])
		for want, pause := range []time.Duration{0, 2*time.Second - 1, 1} {
			time.Sleep(pause)
			s.hearFrom(strangerAddr, deaf.Open(nil))
			require.EqualValues(t, want/2, s.said[InVain], "after %v", pause)
		}
		require.Equal(t, deaf.Addr, s.told)
	})
}

// Who does not know its own address is answered where it sends from: that is the address that nothing arrives at.
func TestWhoHasNoAddressIsToldOfWhereItSendsFrom(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		a := s.asker(t, 3, keys)
		nameless := func(o *wire.Open) { o.Addr = netip.MustParseAddrPort("0.0.0.0:7000") }
		for range 4 {
			s.hearFrom(a.Addr, a.Open(nameless))
			time.Sleep(time.Second)
		}
		require.NotZero(t, s.said[InVain])
		require.Equal(t, a.Addr, s.told)
	})
}
