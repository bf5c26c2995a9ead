package gate

import (
	"broach/internal/asker"
	"broach/internal/wire"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// [LNK-3] B drops it unless the stamp is at most 5,000 ms old, token B is what LNK-1 makes of its fields, and the tag
// fits
func TestConfirmsAreTakenForFiveSeconds(t *testing.T) {
	for ms, made := range map[int]int{0: 1, 4999: 1, 5000: 1, 5001: 0, 5999: 0, 60_000: 0} {
		onSide(t, func(t *testing.T, s *side, keys [][]byte) {
			a := s.asker(t, 3, keys)
			l := a.Take(s.ask(t, a))
			time.Sleep(time.Duration(ms) * time.Millisecond)
			s.hearFrom(a.Addr, l.Confirm(nil))
			require.Equal(t, made, s.made(), "after %d ms", ms)
			require.Empty(t, s.answers())
		})
	}
}

// [LNK-3] A Confirm that is dropped spends nothing, and may come again.
// [SEC-1] X25519 is computed at each link's birth, by A for the Offer and by B for the Confirm, and for nobody who
// holds no Offer.
func TestConfirmsWithAnythingElseMakeNoLink(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		a := s.asker(t, 3, keys)
		l := a.Take(s.ask(t, a))
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
			s.hearFrom(a.Addr, l.Confirm(edit))
			require.Zero(t, s.made(), what)
		}
		require.Zero(t, s.secrets.made)
		whole := l.Confirm(nil)
		if keys != nil {
			for _, at := range []int{4, 16, 23, len(whole) - 1} { // the table version, the number, the tag
				changed := append([]byte(nil), whole...)
				changed[at] ^= 1
				s.hearFrom(a.Addr, changed)
				require.Zero(t, s.made(), "byte %d", at)
			}
			require.EqualValues(t, 4, s.said[Unopened])
			require.EqualValues(t, 1, s.secrets.made, "it is kept, [SEC-2]")
		}
		require.Zero(t, s.tokens.Len())
		require.Empty(t, s.answers())
		s.hearFrom(a.Addr, whole)
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
			onSide(t, func(t *testing.T, s *side, keys [][]byte) {
				a := s.asker(t, 3, keys)
				l := a.Take(s.ask(t, a))
				stamp := time.Now()
				time.Sleep(confirmed)
				recorded := l.Confirm(nil)
				s.hearFrom(a.Addr, recorded)
				require.Equal(t, 1, s.made())
				repeat := func(until time.Duration) {
					for ; time.Since(stamp) < until; time.Sleep(7 * time.Millisecond) {
						s.tokens.Sweep(time.Now())
						s.hearFrom(a.Addr, recorded)
						require.Zero(t, s.made(), "after %v, closed after %v", time.Since(stamp), closed)
					}
				}
				repeat(closed)
				s.tokens.Close(time.Now(), s.tokens.Link(l.Token))
				require.Nil(t, s.tokens.Link(l.Token))
				repeat(max(closed, confirmed) + 13*time.Second)
				require.Zero(t, s.tokens.Len(), "nothing is left of it")
				require.False(t, s.tokens.IsKnown(a.Addr))
			})
		}
	}
}

// The token of a link that the side itself began is not spent: no Confirm can name it.
func TestOnlyTokensOfLinksThatOthersBeganAreSpent(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		a := s.asker(t, 3, keys)
		l := s.meet(t, a)
		began := s.beginTo(t, a)
		require.Equal(t, 2, s.tokens.Len())
		s.tokens.Close(time.Now(), s.tokens.Link(began.Token))
		require.Equal(t, 1, s.tokens.Len())
		s.tokens.Close(time.Now(), s.tokens.Link(l.Token))
		require.Equal(t, 1, s.tokens.Len(), "spent")
	})
}

// [SEC-1] An output of zeros drops the Offer or Confirm.
func TestPublicKeysOfLowOrderMakeNoLink(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		if keys == nil {
			return
		}
		a := s.asker(t, 3, keys)
		o := s.askWith(t, a, func(m *wire.Open) { m.Key = wire.PublicKey{1} })
		l := a.Take(o)
		s.hearFrom(a.Addr, l.Confirm(func(m *wire.Confirm) { m.Key = wire.PublicKey{1} }))
		require.Zero(t, s.made())
		require.EqualValues(t, 1, s.said[Unopened])

		terms := s.wires.Terms(&wire.Offer{Rank: 1, Echo: 5, Token: 7,
			Key: wire.PublicKey{1}}, s.addr, a.Addr)
		_, err := newHeld(time.Now(), s.wires, terms, true)
		require.Error(t, err)
	})
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
			onSide(t, func(t *testing.T, s *side, keys [][]byte) {
				known, other := s.asker(t, 3, keys), s.asker(t, 4, keys)
				other.Addr = known.Addr
				var late, l *asker.Link
				ask := func() { late = other.Take(s.ask(t, other)) }
				meet := func() {
					if test.began {
						l = s.beginTo(t, known)
					} else {
						l = known.Take(s.ask(t, known))
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
					s.hear(l.Confirm(nil))
				} else if !test.unheard {
					s.hear(l.Say())
				}
				s.made()
				time.Sleep(linkPause)
				s.hear(late.Confirm(nil))
				require.Equal(t, test.made, s.made())
			})
		})
	}
}
