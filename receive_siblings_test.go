package broach

import (
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// linksAt are the tokens of the links that a side has with who is at an address.
func (s *linkSide) linksAt(a *asker) (tokens []uint64) {
	for _, l := range s.linking.tokens.At(a.addr) {
		tokens = append(tokens, l.Token)
	}
	return tokens
}

// tokensOf are the tokens of links as their askers see them.
func tokensOf(links ...*askerLink) (tokens []uint64) {
	for _, l := range links {
		tokens = append(tokens, l.token)
	}
	return tokens
}

// arriveWith gives the Confirms of links to a side and lets its loop turn.
func (s *linkSide) arriveWith(links ...*askerLink) {
	for _, l := range links {
		s.hearFrom(l.addr, l.confirm(nil))
		s.turn()
		time.Sleep(linkPause)
	}
}

// askThrice gets three Offers of rank 1, the latest of which makes the highest link.
func (a *asker) askThrice(t *testing.T, s *linkSide) (low, middle, high *askerLink) {
	var links [3]*askerLink
	for i := range links {
		links[i] = a.take(s, a.ask(t, s))
		time.Sleep(10 * time.Millisecond)
	}
	return links[0], links[1], links[2]
}

// [LNK-7] Two links stand at an address. When a third is confirmed [...] the lowest other goes [...]. A Confirm beside
// two [...] is dropped, unless one of them that has no calls is lower
func TestOfThreeLinksTheLowestGoes(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := newAsker(t, 3, keys)
		low, middle, high := a.askThrice(t, s)
		s.arriveWith(low, middle)
		require.ElementsMatch(t, tokensOf(low, middle), s.linksAt(a))
		s.arriveWith(high)
		require.ElementsMatch(t, tokensOf(middle, high), s.linksAt(a))
	})
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := newAsker(t, 3, keys)
		low, middle, high := a.askThrice(t, s)
		s.arriveWith(middle, high)
		before := s.Stats().Unanswered
		s.arriveWith(low)
		require.ElementsMatch(t, tokensOf(middle, high), s.linksAt(a))
		require.EqualValues(t, 1, s.Stats().Unanswered-before)
	})
}

// [LNK-7] the lowest other goes, but none with calls: in flight, own or served, or answered within 5 s, and heard
// within 5 s
func TestOfThreeLinksNoneGoesThatHasCalls(t *testing.T) {
	busy := func(t *testing.T, s *linkSide, l *askerLink) {
		s.link = s.linking.tokens.Link(l.token)
		s.call(t, time.Minute, "f")
		s.hear(l.say())
	}
	answers := func(t *testing.T, s *linkSide, l *askerLink) {
		s.hear(l.say(callOfF(0, 1)))
		time.Sleep(time.Second)
		s.hear(l.say())
		require.Zero(t, s.Stats().Running)
	}
	for _, test := range []struct {
		name      string
		low, high func(*testing.T, *linkSide, *askerLink) // of the two that there are, what goes on on which
		silent    time.Duration
		left      func(low, middle, high *askerLink) []uint64
	}{
		{"the lower", busy, nil, 0, func(low, _, high *askerLink) []uint64 { return tokensOf(low, high) }},
		{"the higher", nil, busy, 0, func(_, middle, high *askerLink) []uint64 { return tokensOf(middle, high) }},
		{"both", busy, busy, 0, func(low, middle, high *askerLink) []uint64 { return tokensOf(low, middle, high) }},
		{"both, not heard", busy, busy, 5 * time.Second, func(_, _, high *askerLink) []uint64 { return tokensOf(high) }},
		{"the lower has answered one", answers, nil, 0, func(low, _, high *askerLink) []uint64 { return tokensOf(low, high) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
				a := newAsker(t, 3, keys)
				s.offer(t, "f", func() {})
				low, middle, high := a.askThrice(t, s)
				s.arriveWith(low, middle)
				if test.low != nil {
					test.low(t, s, low)
				}
				if test.high != nil {
					test.high(t, s, middle)
				}
				if test.silent > 0 {
					time.Sleep(test.silent)
					high = a.take(s, a.askAnew(t, s))
				}
				s.arriveWith(high)
				require.ElementsMatch(t, test.left(low, middle, high), s.linksAt(a))
			})
		})
	}
}

// [LNK-7] A Confirm beside two [...] is dropped, unless [...] it is the highest: who began it may hold none of them.
func TestAConfirmBesideTwoLinksWithCallsMakesTheHighestOrNone(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := newAsker(t, 3, keys)
		low, middle, high := a.askThrice(t, s)
		for _, l := range []*askerLink{low, high} {
			s.arriveWith(l)
			s.link = s.linking.tokens.Link(l.token)
			s.call(t, time.Minute, "f")
			s.hear(l.say())
		}
		s.arriveWith(middle)
		require.ElementsMatch(t, tokensOf(low, high), s.linksAt(a))
		top := a.take(s, a.askAnew(t, s))
		s.arriveWith(top)
		require.ElementsMatch(t, tokensOf(low, high, top), s.linksAt(a))
	})
}

// [LNK-6] What is new goes on the preferred link
//
// Also what is sent by a route that still leads to one which went for it, [LNK-7].
func TestALinkThatGoesForAnotherLeadsToIt(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := newAsker(t, 3, keys)
		low, middle, high := a.askThrice(t, s)
		s.arriveWith(low, middle)
		before := s.linking.tokens.Link(middle.token)
		s.link = s.linking.tokens.Link(low.token)
		s.call(t, time.Minute, "f")
		s.hear(low.say())
		s.arriveWith(high)
		require.Nil(t, s.linking.tokens.Link(middle.token))
		require.Same(t, &s.linking.tokens.Link(high.token).Link, before.Best())
	})
}

// [LNK-10] Another public key at the address of a peer, proven by LNK-3 or LNK-5, replaces the process there in one
// step: all links of the old one are closed, confirmed or not, calls fail, Unreachable, executed maybe
func TestAnotherProcessReplacesTheOneAtAnAddress(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		old, young := newAsker(t, 3, keys), newAsker(t, 4, keys)
		young.addr = old.addr
		low, middle, _ := old.askThrice(t, s)
		s.arriveWith(low, middle)
		s.link = s.linking.tokens.Link(low.token)
		call := s.call(t, time.Minute, "f")
		next := young.take(s, young.askAnew(t, s))
		s.arriveWith(next)
		require.Equal(t, tokensOf(next), s.linksAt(young))
		call.require(t, Unreachable, Maybe)
		s.hear(next.say(wire.Announce{Hello: wire.Hello{Inc: 1, Addr: young.addr}}.Append(nil)))
		s.turn()
		s.publish(time.Now())
		require.Len(t, s.calling.view.Load().peers, 1)
		require.Equal(t, young.process.Boot, s.calling.view.Load().peers[0].Boot)
	})
}

// askAnew is ask for a side that has more to say than the Offer.
func (a *asker) askAnew(t *testing.T, s *linkSide) wire.Offer {
	s.script.take()
	return a.ask(t, s)
}

// [LNK-10] A Confirm of another public key whose stamp is not later than the birth of a link of the one known there
// [...] is dropped: it was held back, and its sender is gone. The birth is the stamp if that one began the link, else
// when this process made it
func TestAConfirmThatWasHeldBackReplacesNobody(t *testing.T) {
	for _, test := range []struct {
		name    string
		asked   time.Duration // when the other asked, after the one known there
		began   bool          // the side began the link with that
		unheard bool          // and has heard nothing on it
		made    int
	}{
		{"before", -10 * time.Millisecond, false, false, 0},
		{"at once", 0, false, false, 0},
		{"after", time.Millisecond, false, false, 1},
		{"before the side began", -10 * time.Millisecond, true, false, 0},
		{"as the side began", 0, true, false, 0},
		{"after the side began", time.Millisecond, true, false, 1},
		{"before the side began in vain", -10 * time.Millisecond, true, true, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
				known, other := newAsker(t, 3, keys), newAsker(t, 4, keys)
				other.addr = known.addr
				var late, l *askerLink
				ask := func() { late = other.take(s, other.ask(t, s)) }
				meet := func() {
					if test.began {
						l = s.beginTo(t, known)
					} else {
						l = known.take(s, known.ask(t, s))
					}
				}
				switch {
				case test.asked < 0:
					ask()
					time.Sleep(-test.asked)
					meet()
				default:
					meet()
					time.Sleep(test.asked)
					ask()
				}
				if !test.began {
					s.hear(l.confirm(nil))
				} else if !test.unheard {
					s.hear(l.say())
				}
				s.made()
				time.Sleep(linkPause)
				s.hear(late.confirm(nil))
				require.Equal(t, test.made, s.made())
			})
		})
	}
}

// [LNK-14] A process makes [...] one per address and 250 ms
func TestOneLinkIsMadeAtAnAddressInAQuarterOfASecond(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a, b := newAsker(t, 3, keys), newAsker(t, 4, keys)
		low, middle, _ := a.askThrice(t, s)
		elsewhere := b.take(s, b.ask(t, s))
		s.hear(low.confirm(nil), middle.confirm(nil), elsewhere.confirm(nil))
		require.Equal(t, 2, s.made())
		time.Sleep(linkPause - 1)
		s.hear(middle.confirm(nil))
		require.Zero(t, s.made())
		time.Sleep(time.Nanosecond)
		s.hear(middle.confirm(nil))
		require.Equal(t, 1, s.made(), "it comes again")
	})
}

// [LNK-14] and computes X25519 for Confirms, whether their tags then fit or not, at most 16 times in one batch of
// datagrams and 2,000 times a second. The others come again.
func TestX25519IsComputedSeldom(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		var confirms [][]byte
		for i := range 40 {
			a := newAsker(t, 3+i, keys)
			c := a.take(s, a.ask(t, s)).confirm(nil)
			if i%2 == 0 {
				c[len(c)-1] ^= 1 // the tag does not fit, or without keys the stamp
			}
			confirms = append(confirms, c)
		}
		s.hear(confirms...)
		if keys == nil {
			require.Equal(t, 20, s.made())
			return
		}
		require.EqualValues(t, 16, s.linking.shared.made)
		require.Equal(t, 8, s.made())
		s.hear(confirms...)
		require.EqualValues(t, 32, s.linking.shared.made, "of those that are known there is no need")
		s.hear(confirms...)
		require.Equal(t, 12, s.made())
		require.EqualValues(t, 40, s.linking.shared.made)

		for s.reader.strangers.MayTry(time.Now(), true) { // 2,000 in this second
			s.reader.strangers.Begin(time.Now())
		}
		late := newAsker(t, 99, keys)
		c := late.take(s, late.ask(t, s)).confirm(nil)
		s.hear(c)
		require.Zero(t, s.made())
		time.Sleep(time.Second)
		s.hear(c)
		require.Equal(t, 1, s.made())
	})
}

// [LNK-14] A process makes at most 2,000 links a second that peers and seeds began and 2,000 that others did
func TestLinksAreMadeInMeasure(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		if keys != nil {
			return // X25519 bounds it before
		}
		made := 0
		for i := range 2100 {
			a := newAsker(t, 3+i, nil)
			s.hear(a.take(s, a.askAnyway(s)).confirm(nil))
			made += s.made()
		}
		require.Equal(t, 2000, made)
		known := newAsker(t, 3, nil)
		known.addr = addrOf(3)
		time.Sleep(linkPause)
		s.hear(known.take(s, known.askAnyway(s)).confirm(nil))
		require.Equal(t, 1, s.made(), "of a peer")
	})
}

// askAnyway is the Offer that an Open would get if there were no bound on those.
func (a *asker) askAnyway(s *linkSide) wire.Offer {
	m, err := wire.ConsumeOpen(a.open(s, nil))
	if err != nil {
		panic(err)
	}
	return s.linking.wires.Process.Answer(time.Now(), m, s.script.addr, a.addr, s.linking.tokens.Held(m.Key, m.Addr))
}
