package broach

import (
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [LNK-3] B drops it unless the stamp is at most 5,000 ms old, token B is what LNK-1 makes of its fields, and the tag
// fits
func TestConfirmsAreTakenForFiveSeconds(t *testing.T) {
	for ms, made := range map[int]int{0: 1, 4999: 1, 5000: 1, 5001: 0, 5999: 0, 60_000: 0} {
		onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
			a := newAsker(t, 3, keys)
			l := a.take(s, a.ask(t, s))
			time.Sleep(time.Duration(ms) * time.Millisecond)
			s.hearFrom(a.addr, l.confirm(nil))
			require.Equal(t, made, s.made(), "after %d ms", ms)
			require.Empty(t, s.script.take())
		})
	}
}

// [LNK-3] A Confirm that is dropped spends nothing, and may come again.
// [SEC-1] X25519 is computed at each link's birth, by A for the Offer and by B for the Confirm, and for nobody who
// holds no Offer.
func TestConfirmsWithAnythingElseMakeNoLink(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := newAsker(t, 3, keys)
		l := a.take(s, a.ask(t, s))
		time.Sleep(time.Second)
		for what, edit := range map[string]func(*wire.Confirm){
			"token B":      func(m *wire.Confirm) { m.Token++ },
			"token A":      func(m *wire.Confirm) { m.Echo++ },
			"public key":   func(m *wire.Confirm) { m.Key[0] ^= 1 },
			"address":      func(m *wire.Confirm) { m.Addr = addrOf(4) },
			"rank":         func(m *wire.Confirm) { m.Rank++ },
			"later stamp":  func(m *wire.Confirm) { m.Stamp++ },
			"sooner stamp": func(m *wire.Confirm) { m.Stamp-- },
			"future stamp": func(m *wire.Confirm) { m.Stamp += 5000 },
			"no token":     func(m *wire.Confirm) { m.Token = 0 },
		} {
			s.hearFrom(a.addr, l.confirm(edit))
			require.Zero(t, s.made(), what)
		}
		require.Zero(t, s.linking.shared.made)
		whole := l.confirm(nil)
		if keys != nil {
			for _, at := range []int{4, 16, 23, len(whole) - 1} { // the table version, the number, the tag
				changed := append([]byte(nil), whole...)
				changed[at] ^= 1
				s.hearFrom(a.addr, changed)
				require.Zero(t, s.made(), "byte %d", at)
			}
			require.EqualValues(t, 4, s.Stats().Unopened)
			require.EqualValues(t, 1, s.linking.shared.made, "it is kept, [SEC-2]")
		}
		require.Zero(t, s.linking.tokens.Len())
		require.Empty(t, s.script.take())
		s.hearFrom(a.addr, whole)
		require.Equal(t, 1, s.made())
	})
}

// [LNK-3] The token of a link that A began and that B closes is *spent* from that moment until its stamp is more than
// 6,000 ms old.
// [SEC-4] no Confirm makes a second link: its token B is known, spent or too old (LNK-3), at no moment none of the
// three.
func TestAConfirmMakesNoSecondLink(t *testing.T) {
	moments := []time.Duration{0, 1, 100, 4989, 4999, 5000, 5001, 5999, 6000, 6001, 7000, 20_000}
	for _, confirmed := range []time.Duration{0, 4990, 5000} {
		for _, closed := range moments {
			confirmed, closed := confirmed*time.Millisecond, closed*time.Millisecond
			onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
				a := newAsker(t, 3, keys)
				l := a.take(s, a.ask(t, s))
				stamp := time.Now()
				time.Sleep(confirmed)
				recorded := l.confirm(nil)
				s.hearFrom(a.addr, recorded)
				require.Equal(t, 1, s.made())
				repeat := func(until time.Duration) {
					for ; time.Since(stamp) < until; time.Sleep(7 * time.Millisecond) {
						s.tendLinks(time.Now())
						s.hearFrom(a.addr, recorded)
						require.Zero(t, s.made(), "after %v, closed after %v", time.Since(stamp), closed)
					}
				}
				repeat(closed)
				s.closeLink(time.Now(), l.token)
				require.Nil(t, s.linking.tokens.Link(l.token))
				repeat(max(closed, confirmed) + 13*time.Second)
				require.Zero(t, s.linking.tokens.Len(), "nothing is left of it")
				require.False(t, s.linking.tokens.IsKnown(a.addr))
			})
		}
	}
}

// The token of a link that the side itself began is not spent: no Confirm can name it.
func TestOnlyTokensOfLinksThatOthersBeganAreSpent(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := newAsker(t, 3, keys)
		l := a.meet(t, s)
		began := s.beginTo(t, a)
		require.Equal(t, 2, s.linking.tokens.Len())
		s.closeLink(time.Now(), began.token)
		require.Equal(t, 1, s.linking.tokens.Len())
		s.closeLink(time.Now(), l.token)
		require.Equal(t, 1, s.linking.tokens.Len(), "spent")
	})
}

// beginTo makes a link to an asker that the side begins.
func (s *linkSide) beginTo(t *testing.T, a *asker) *askerLink {
	t.Helper()
	open := s.openOf(a.keyID(), s.linking.tokens.Open(1), 0, s.script.addr)
	l, offer := a.answer(t, s, a.prove(wire.AppendOpen(nil, open)), 0)
	o, err := wire.ConsumeOffer(offer)
	require.NoError(t, err)
	s.beginLink(time.Now(), s.linking.wires.Terms(&o, s.script.addr, a.addr))
	require.NotNil(t, s.linking.tokens.Link(l.token))
	return l
}

// A Confirm with the token of a link that its receiver began is dropped, and so is whatever has that of an opening.
func TestConfirmsAndOffersHaveTheirOwnTokens(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := newAsker(t, 3, keys)
		began, opening := s.beginTo(t, a), s.linking.tokens.Open(1)
		s.hear(began.confirm(nil))
		for _, form := range []wire.Form{wire.FormLink, wire.FormConfirm} {
			b := wire.AppendConfirm(nil, wire.Confirm{Header: wire.Header{KeyID: a.keyID(), Token: opening, Number: 1},
				Echo: 1, Addr: a.addr})
			b[3] = byte(form)
			s.hear(b)
		}
		require.EqualValues(t, 3, s.Stats().Strangers)
		require.Zero(t, s.linking.tokens.Link(began.token).record.Traffic.Arrived.Load())
		s.hear(began.say())
		require.EqualValues(t, 1, s.linking.tokens.Link(began.token).record.Traffic.Arrived.Load())
	})
}

// [LNK-3] whichever comes first makes the link at B, and its messages and all that follow are taken.
// [HDR-5] A number that was seen before [...] MUST be dropped
func TestEachDatagramOfALinkIsTakenOnce(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		s.offer(t, "count", func() {})
		a := newAsker(t, 3, keys)
		l := a.take(s, a.ask(t, s))
		first, second := l.confirm(nil, wire.Ping{Nonce: 1}.Append(nil)), l.confirm(nil, wire.Ping{Nonce: 2}.Append(nil))
		call := l.say(callOfF(0, 1))
		for _, b := range [][]byte{second, first, second, call, call, first} {
			s.hear(b)
		}
		require.Equal(t, 1, s.made())
		link := s.linking.tokens.Link(l.token)
		require.EqualValues(t, 3, link.record.Traffic.Arrived.Load())
		require.EqualValues(t, 3, s.Stats().Replayed)
		pings := 0
		for len(s.loop.inbox) > 0 {
			if in := <-s.loop.inbox; in.msg != nil {
				pings++
			}
		}
		require.Equal(t, 2, pings)
		require.Len(t, s.script.take(), 1, "the reply")
	})
}

// The loop hears what a datagram says before it hears that its sender is there: a Leave that refuses a link must not
// find it taken.
func TestALeaveIsToldBeforeItsSenderIsHeard(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := newAsker(t, 3, keys)
		l := a.take(s, a.ask(t, s))
		s.hear(l.confirm(nil, wire.Leave{}.Append(nil)))
		require.Len(t, s.loop.inbox, 2)
		require.Equal(t, wire.Leave{}, (<-s.loop.inbox).msg)
		require.Nil(t, (<-s.loop.inbox).msg)
	})
}

// [SEC-2] h, and so secret and keys, MUST be each link's own. The output of X25519 may be kept by the other's public
// key.
func TestLinksOfAPairHaveNoKeyInCommon(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		if keys == nil {
			return
		}
		a := newAsker(t, 3, keys)
		one := a.meet(t, s)
		time.Sleep(linkPause)
		two := a.meet(t, s)
		require.EqualValues(t, 1, s.linking.shared.made)
		two.secret, one.secret = one.secret, two.secret
		s.hear(one.say(), two.say())
		require.EqualValues(t, 2, s.Stats().Unopened)
		two.secret, one.secret = one.secret, two.secret
		s.hear(one.sayAt(one.number), two.sayAt(two.number))
		require.EqualValues(t, 2, s.Stats().Unopened)
	})
}

// [SEC-1] An output of zeros drops the Offer or Confirm.
func TestPublicKeysOfLowOrderMakeNoLink(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		if keys == nil {
			return
		}
		a := newAsker(t, 3, keys)
		o := a.askWith(t, s, func(m *wire.Open) { m.Key = wire.PublicKey{1} })
		l := a.take(s, o)
		s.hearFrom(a.addr, l.confirm(func(m *wire.Confirm) { m.Key = wire.PublicKey{1} }))
		require.Zero(t, s.made())
		require.EqualValues(t, 1, s.Stats().Unopened)

		terms := s.linking.wires.Terms(&wire.Offer{Rank: 1, Echo: s.linking.tokens.Open(1), Token: 7,
			Key: wire.PublicKey{1}}, s.script.addr, a.addr)
		s.beginLink(time.Now(), terms)
		require.Zero(t, s.linking.tokens.Len(), "neither link nor opening")
	})
}

// [LNK-11] A datagram of a link is taken from any source, and nothing but the Offer of `[MEM-25]` is sent to a source
func TestNothingGoesToASource(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		s.offer(t, "f", func() {})
		a := newAsker(t, 3, keys)
		l := a.take(s, a.ask(t, s))
		s.hearFrom(strangerAddr, l.confirm(nil))
		s.hearFrom(strangerAddr, l.say(callOfF(0, 1)), l.say(wire.ProbeFor(1, 1300).Append(nil)))
		out := s.script.takeAddressed()
		require.NotEmpty(t, out)
		for _, d := range out {
			require.Equal(t, a.addr, d.Addr)
		}
	})
}
