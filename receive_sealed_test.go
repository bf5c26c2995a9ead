package broach

import (
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// state is all of a side that a datagram can change, but for what is counted.
type sideState struct {
	sent, arrivals, inbox, tokens, seen int
	highest, arrived                    uint64
	heard                               time.Time
	derived                             uint64
}

func (s *linkSide) state(l *conn) sideState {
	return sideState{
		len(s.script.sent), len(s.loop.arrivals), len(s.loop.inbox), s.linking.tokens.count, len(s.reader.strangers.seen.young),
		l.record.Traffic.Numbered.Load(), l.record.Traffic.Arrived.Load(), l.LastHeard(), s.linking.shared.made,
	}
}

// counted is how many datagrams were dropped, for whatever reason.
func (st Stats) counted() uint64 {
	return st.Malformed + st.ForeignVersion + st.OtherCluster + st.Replayed + st.Strangers + st.Unanswered + st.Unopened + st.Unusable
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
		_, offer := a.answer(t, s, a.prove(wire.AppendOpen(nil, s.openOf(a.keyID(), s.linking.tokens.open(1), 0, s.script.addr))), 0)
		confirm := a.take(s, a.askAnyway(s)).confirm(nil, wire.Ping{}.Append(nil))
		for name, b := range map[string][]byte{
			"Open": a.open(s, nil), "Offer": offer, "Confirm": confirm, "Link": l.say(wire.Ping{}.Append(nil)),
			"Confirm of a link": l.confirm(nil, wire.Ping{}.Append(nil)),
		} {
			link := s.linking.tokens.link(l.token)
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
			opening := s.openOf(a.keyID(), s.linking.tokens.open(1), 0, s.script.addr)
			_, offer := a.answer(t, s, a.prove(wire.AppendOpen(nil, opening)), 0)
			before := s.Stats().Unopened
			state := s.state(s.linking.tokens.link(known.token))
			s.hear(a.open(s, nil), offer, link.say(wire.Ping{}.Append(nil)))
			require.Empty(t, s.script.take(), name)
			require.Equal(t, state, s.state(s.linking.tokens.link(known.token)), name)
			require.EqualValues(t, 3, s.Stats().Unopened-before, name)
			s.hear(l.confirm(nil))
			require.Zero(t, s.made(), name)
		}
	})
}
