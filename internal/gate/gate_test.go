package gate

import (
	"broach/internal/wire"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// [HDR-1] A receiver MUST drop a datagram that has another magic or version or a form above 3, or is shorter than its
// form says; an Open or Offer also if it is longer.
func TestDatagramsThatAreNoneAreDropped(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		a := s.asker(t, 3, keys)
		l := s.meet(t, a)
		opening := s.tokens.Open(1)
		offer := a.Prove(wire.AppendOffer(nil, wire.Offer{
			KeyID: a.KeyID(), Rank: 1, Echo: opening, Token: 1, Key: a.Process.Key, Addr: a.Addr, Observed: a.Addr,
		}))
		good := map[string][]byte{"Open": a.Open(nil), "Offer": offer, "Confirm": l.Confirm(nil), "Link": l.Say()}
		s.made()
		malformed, foreign := uint64(0), uint64(0)
		check := func(what string, b []byte) {
			s.hearFrom(a.Addr, b)
			require.Empty(t, s.answers(), what)
			require.Zero(t, s.links+len(s.offers)+len(s.messages)-1, what) // that of the Confirm
			require.Equal(t, []uint64{malformed, foreign}, []uint64{s.said[Malformed], s.said[OtherVersion]}, what)
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
			s.hearFrom(a.Addr, b)
			require.Equal(t, malformed, s.said[Malformed], name)
		}
		require.Len(t, s.answers(), 1, "the Offer for the Open")
		require.Len(t, s.offers, 1, "the Offer")
		require.EqualValues(t, 3, s.tokens.Link(l.Token).traffic.Arrived.Load(), "Link and Confirm")
	})
}

// state is all of a side that a datagram can change, but for what is counted.
type sideState struct {
	sent, links, offers, messages, tokens int
	seen                                  string // the Opens that were answered
	highest, arrived                      uint64
	heard                                 time.Time
	derived                               uint64
}

func (s *side) state(l *held) sideState {
	return sideState{
		len(s.sent), s.links, len(s.offers), len(s.messages), s.tokens.Len(), fmt.Sprint(s.strangers.Seen),
		l.traffic.Numbered.Load(), l.traffic.Arrived.Load(), l.LastHeard(), s.secrets.made,
	}
}

// [SEAL-2] Nothing in a datagram has an effect before its proof was found to fit, or its messages were opened.
// So whoever changes a bit of what was recorded, or cuts it short, changes nothing.
func TestChangedDatagramsHaveNoEffect(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		if keys == nil {
			return
		}
		a, met := s.asker(t, 3, keys), s.asker(t, 4, keys)
		l := s.meet(t, met)
		s.made()
		_, offer := a.Answer(t, s.openTo(a), 0)
		confirm := a.Take(s.askAnyway(a)).Confirm(nil, wire.Ping{}.Append(nil))
		for name, b := range map[string][]byte{
			"Open": a.Open(nil), "Offer": offer, "Confirm": confirm, "Link": l.Say(wire.Ping{}.Append(nil)),
			"Confirm of a link": l.Confirm(nil, wire.Ping{}.Append(nil)),
		} {
			link := s.tokens.Link(l.Token)
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
		require.NotZero(t, s.counted())
	})
}

// [SEAL-1] A process that has keys MUST drop a datagram whose key id is 0 or none of theirs, or whose proof or tag none
// of its keys with that id makes; one without keys MUST drop a datagram with a key id. Neither is answered; they are
// counted.
func TestDatagramsOfOtherKeysAreDropped(t *testing.T) {
	onSide(t, func(t *testing.T, s *side, keys [][]byte) {
		others := map[string][][]byte{"another key": {keyOf(2)}}
		if keys == nil {
			others["a key"] = [][]byte{keyOf(1)}
		} else {
			others["no key"] = nil
			others["the same key id"] = [][]byte{sameID(t, keyOf(1))}
		}
		friend := s.asker(t, 3, keys)
		known := s.meet(t, friend)
		offered := s.askAnyway(friend)
		s.made()
		for name, other := range others {
			a := s.asker(t, 4, other)
			a.Addr = friend.Addr
			l := a.Take(offered)
			l.Terms.TokenA, l.Terms.KeyA = offered.Echo, friend.Process.Key
			link := *known
			link.Asker = a
			opening, err := wire.ConsumeOpen(s.openTo(a))
			require.NoError(t, err)
			opening.KeyID = a.KeyID()
			_, offer := a.Answer(t, wire.AppendOpen(nil, opening), 0)
			before := s.said[Unopened]
			state := s.state(s.tokens.Link(known.Token))
			s.hear(a.Open(nil), offer, link.Say(wire.Ping{}.Append(nil)))
			require.Empty(t, s.answers(), name)
			require.Equal(t, state, s.state(s.tokens.Link(known.Token)), name)
			require.EqualValues(t, 3, s.said[Unopened]-before, name)
			s.hear(l.Confirm(nil))
			require.Zero(t, s.made(), name)
		}
	})
}
