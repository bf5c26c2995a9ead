package broach

import (
	"net/netip"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [AMP-1] An address that has proven nothing gets in answer to an Open that names it one datagram of its size, and to
// all else nothing.
func TestStrangersGetOneOfferAndNothingElse(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := newAsker(t, 3, keys)
		open := a.open(s, nil)
		s.hearFrom(a.addr, open)
		out := s.script.take()
		require.Len(t, out, 1)
		require.Len(t, out[0], len(open))

		l := a.take(s, a.read(t, out[0]))
		l.token++
		offer := wire.Offer{KeyID: a.keyID(), Rank: 1, Echo: 5, Token: 6, Key: a.process.Key, Addr: a.addr, Observed: a.addr}
		for range 100 {
			s.hearFrom(a.addr, l.say(wire.Ping{}.Append(nil)), l.confirm(nil), a.prove(wire.AppendOffer(nil, offer)), rubbish(100))
		}
		s.turn()
		require.Empty(t, s.script.take())
		require.Zero(t, s.linking.tokens.Len())
	})
}

// [AMP-1] Offers go out 4,096 times a second at most, 8 of them to one address
func TestAnAddressGetsEightOffersASecond(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		victim, other := newAsker(t, 3, keys), newAsker(t, 4, keys)
		for range 2 {
			for i := range 50 {
				from := netip.AddrPortFrom(addrOf(i).Addr(), 1234)
				s.hearFrom(from, victim.open(s, nil))
			}
			require.Len(t, s.script.take(), 8)
			other.ask(t, s)
			time.Sleep(time.Second)
		}
		require.EqualValues(t, 84, s.Stats().Unanswered)
	})
}

// [AMP-1] Offers go out 4,096 times a second at most [...], 1,024 kept for addresses of peers and seeds
func TestOffersAreMadeInMeasure(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		known := newAsker(t, 4999, keys)
		known.meet(t, s)
		time.Sleep(2 * time.Second)
		s.script.take()
		all := 0
		for i := range 4000 {
			a := newAsker(t, 3, keys)
			a.addr = addrOf(3 + i)
			s.hear(a.open(s, nil))
			all += len(s.script.take())
		}
		require.Equal(t, 4096-1024, all)
		require.Len(t, known.askMany(s, 20), 8)
	})
}

// askMany gives a side many Opens, and returns what goes back.
func (a *asker) askMany(s *linkSide, n int) [][]byte {
	for range n {
		s.hear(a.open(s, nil))
	}
	return s.script.take()
}

// [AMP-1] Of a batch of datagrams a receiver looks at 96 Opens and at 96 Confirms without a known token.
func TestOfABatchSomeStrangersAreLookedAt(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		l := newAsker(t, 999, keys).meet(t, s)
		before := s.Stats()
		var opens, confirms [][]byte
		for i := range 120 {
			a := newAsker(t, 3+i, keys)
			opens = append(opens, a.open(s, nil))
			c := a.take(s, a.askAnyway(s))
			c.token++ // nothing but a MAC is computed for it
			confirms = append(confirms, c.confirm(nil))
		}
		opens = append(opens, l.say())
		s.hear(append(opens, confirms...)...)
		require.Len(t, s.script.take(), 96)
		after := s.Stats()
		require.EqualValues(t, 120-96+120-96, after.Unanswered-before.Unanswered)
		require.EqualValues(t, 96, after.Strangers-before.Strangers)
		require.EqualValues(t, 2, s.linking.tokens.Link(l.token).record.Traffic.Arrived.Load(), "links are served all the same")
		s.hear(opens[:10]...)
		if keys == nil {
			require.Len(t, s.script.take(), 10, "the next batch has its own")
		}
	})
}

// Of the news of links made, as many wait as there is room for: no link is made without the loop being told.
func TestNoLinkIsMadeThatTheLoopIsNotToldOf(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		if keys != nil {
			return
		}
		for i := range arrivalsMax + 50 {
			a := newAsker(t, 3+i, nil)
			s.hear(a.take(s, a.askAnyway(s)).confirm(nil))
		}
		require.Len(t, s.loop.arrivals, arrivalsMax)
		require.Len(t, s.linking.tokens.All(), arrivalsMax)
		require.Equal(t, arrivalsMax, s.made())
	})
}

// An Offer counts once for each opening, however often it comes.
func TestAnOpeningHearsOneOffer(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := newAsker(t, 3, keys)
		open := s.openOf(a.keyID(), s.linking.tokens.Open(1), 0, s.script.addr)
		_, offer := a.answer(t, s, a.prove(wire.AppendOpen(nil, open)), 0)
		if keys != nil {
			s.hear(flippedAt(offer, 115*8))
			require.EqualValues(t, 1, s.Stats().Unopened)
		}
		require.Empty(t, s.loop.arrivals)
		s.hear(offer, offer, offer)
		require.Len(t, s.loop.arrivals, 1)
		s.linking.tokens.Forget(open.Token)
		s.hear(offer)
		require.EqualValues(t, 1, s.Stats().Strangers, "the opening is over")
	})
}

// flippedAt is b with a bit changed.
func flippedAt(b []byte, bit int) []byte {
	c := append([]byte(nil), b...)
	c[bit/8] ^= 1 << (bit % 8)
	return c
}

// [MEM-31] dropped membership messages because too many of all peers together wait: one peer that sends too many
// strains nobody.
func TestOneThatTellsTooMuchStrainsNobody(t *testing.T) {
	s := side(t, 1, Config{})
	s.loop.inbox = make(chan inbound, 2*inboxEach)
	one := &conn{}
	told := func() (overflow, strains uint64) { return s.Stats().InboxOverflow, s.stats.inboxFull.Load() }
	for range 2 * inboxEach {
		s.reader.tell(one, inbound{})
	}
	overflow, strains := told()
	require.EqualValues(t, []uint64{inboxEach, 0}, []uint64{overflow, strains}, "it has used up its own share")
	for range 2 {
		for range inboxEach {
			s.reader.tell(&conn{}, inbound{}) // each of another
		}
	}
	overflow, strains = told()
	require.EqualValues(t, []uint64{2 * inboxEach, inboxEach}, []uint64{overflow, strains},
		"there is no room for more of all together")
}

// Only calls of a peer that is believed make the reader poll: what a stranger sends must not cost processor time.
func TestOnlyCallsMakeTheReaderPoll(t *testing.T) {
	onLinkPair(t, Config{}, func(t *testing.T, a, b *linkSide) {
		b.offer(t, "add", func(x, y int) int { return x + y })
		b.hear([]byte("garbage"))
		require.False(t, b.reader.soon)
		c := a.call(t, time.Second, "add", 1, 2)
		sent := a.script.take()
		b.hear(sent...)
		require.True(t, b.reader.soon)
		a.hear(b.script.take()...)
		require.True(t, a.reader.soon)
		c.require(t, 0, Yes)

		b.reader.soon = false
		b.hear(sent...)
		require.False(t, b.reader.soon, "replayed")
	})
}

// [MSG-1] A message of unknown kind MUST be skipped and counted.
func TestUnknownKindsAreCounted(t *testing.T) {
	onLinkPair(t, Config{}, func(t *testing.T, a, b *linkSide) {
		for i, kind := range []byte{0, 9, 31, 46, 255} {
			b.hear(forge(a, b, []byte{kind, 0, 0}))
			require.EqualValues(t, i+1, b.stats.unknownKind.Load(), "kind %d", kind)
		}
	})
}

// Who sends from another address than it advertises, and is reached at that one, is told of by nobody: a host may have
// several addresses.
func TestWhoIsReachedIsNotTold(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		log := c.loggedBy()
		n := c.start(0)
		r := &reader{node: n}
		c.start(1, 0)
		c.settle(time.Second)
		for i := range 100 {
			r.noteUnheard(time.Now().Add(time.Duration(i)*time.Second), addrOf(7), c.nodes[1].linking.wires.Process.Key, addrOf(1))
		}
		require.NotContains(t, log.String(), "from another address")
		for i := range 100 {
			r.noteUnheard(time.Now().Add(time.Duration(i)*time.Second), addrOf(7), wire.PublicKey{1}, addrOf(2))
		}
		time.Sleep(time.Millisecond)
		require.Contains(t, log.String(), "from another address")
	})
}
