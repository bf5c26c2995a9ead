package member

import (
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [MEM-12] A helper pings for at most 64 Helps at once, and for 4 of one peer; further ones are not answered.
func TestHelpsAreBounded(t *testing.T) {
	s := newSociety(t)
	all := s.grow(30)
	helper, target := all[0], all[1]
	s.cut = func(from, to *citizen) bool { return from == helper && to == target }
	ask := func(by *citizen) {
		for range 3 * helpsMax {
			s.forge(helper, helper.linkTo(by), wire.Help{Target: helper.of(target).target()})
		}
	}
	ask(all[2])
	require.Len(t, helper.helps, helpsEach)
	for _, by := range all[3:] {
		ask(by)
	}
	require.Len(t, helper.helps, helpsMax)
	s.run(300 * time.Millisecond)
	require.Empty(t, helper.helps)
}

// [MEM-13] Nack MUST NOT count unless it comes from a peer that was sent Help for this target during the present probe.
func TestNackOfWhoWasNotAskedIsIgnored(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	a, witness, target := all[0], all[1], all[2]
	s.drop = func(msg wire.Message) bool { return true }
	p := a.of(target)
	nack := func() { s.forge(a, a.linkTo(witness), wire.Nack{Target: p.target()}) }
	nack()
	a.Unanswered(s.now, a.of(target).tie.token)
	s.collect(a)
	nack()
	s.run(59 * time.Millisecond)
	nack()
	require.Equal(t, foundNothing, p.probe.found, "nobody was asked")
	s.run(2 * time.Millisecond)
	nack()
	require.Equal(t, foundDenied, p.probe.found)
	s.run(298 * time.Millisecond)
	require.Equal(t, Alive, p.state(), "our own probes decide")
	s.run(2 * time.Millisecond)
	require.Equal(t, Suspect, p.state())
}

// [MEM-29] Vouch MUST NOT count unless it comes from such a peer, or while Suspect of this node's own stands, which
// asked all. It makes the target alive, but is no sign of life of it: the probe goes on, to 16 Pings in vain, MEM-22.
func TestVouchOfWhoWasNotAskedIsIgnored(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	a, witness, target := all[0], all[1], all[2]
	s.drop = func(msg wire.Message) bool { return true }
	p := a.of(target)
	heard := p.heard
	vouch := func() { s.forge(a, a.linkTo(witness), wire.Vouch{Target: p.target()}) }
	a.Unanswered(s.now, a.of(target).tie.token)
	s.collect(a)
	vouch()
	require.False(t, p.probe.lives(), "nobody was asked")
	p.probe.find(foundDenied)
	s.run(361 * time.Millisecond)
	require.Equal(t, Suspect, p.state())
	vouch()
	require.Equal(t, Alive, p.state())
	require.Equal(t, heard, p.heard)
	s.run(599 * time.Millisecond)
	require.False(t, p.unreachable)
	require.EqualValues(t, 16, p.probe.tries, "with those before")
	s.run(2 * time.Millisecond)
	require.True(t, p.unreachable)
	p.belief = believedOffline
	vouch()
	require.Equal(t, Offline, p.state())
}

// Hearsay goes no further: who is told that a peer lives does not tell it to others.
func TestVouchMakesNobodyAWitness(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	a, liar, target, asker := all[0], all[1], all[2], all[3]
	target.dead = true
	s.run(10 * time.Millisecond)
	sent := s.watch(a)
	s.forge(a, a.linkTo(asker), wire.Help{Target: a.of(target).target()})
	a.Unanswered(s.now, a.of(target).tie.token)
	s.collect(a)
	s.run(100 * time.Millisecond)
	s.forge(a, a.linkTo(liar), wire.Vouch{Target: a.of(target).target()})
	require.True(t, a.of(target).probe.lives())
	s.run(200 * time.Millisecond)
	require.Zero(t, kindsOf(*sent)[wire.KindVouch])
	require.NotZero(t, kindsOf(*sent)[wire.KindNack])
}

// [MEM-12] A Ping serves all who ask for the same target within 60 ms.
func TestOnePingServesAllWhoAskForIt(t *testing.T) {
	s := newSociety(t)
	all := s.grow(5)
	a, target := all[0], all[4]
	target.dead = true
	sent := s.watch(a)
	for i, asker := range all[1:4] {
		s.run(time.Duration(i) * 10 * time.Millisecond)
		s.forge(a, a.linkTo(asker), wire.Help{Target: a.of(target).target()})
	}
	s.run(300 * time.Millisecond)
	kinds := kindsOf(*sent)
	require.Equal(t, 3, kinds[wire.KindNack], "each has its answer")
	require.Less(t, kinds[wire.KindPing], 2*helpPings)
	require.GreaterOrEqual(t, kinds[wire.KindPing], helpPings, "one Ping alone decides nothing")
}
