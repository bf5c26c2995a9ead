package member

import (
	"net/netip"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [MEM-27] A node that is going to leave sends Drain to every peer, and to those that come later: again after 30 ms,
// then ever more slowly up to 250 ms, until the peer answers.
func TestDraining(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	leaver := all[0]
	asked := 0
	s.spy = func(_ *citizen, _ netip.AddrPort, msg wire.Message, _ int) {
		if d, ok := msg.(wire.Drain); ok && !d.Answer {
			asked++
		}
	}
	leaver.Drain(s.now)
	s.collect(leaver)
	s.run(29 * time.Millisecond)
	require.Equal(t, 3, asked)
	s.run(2 * time.Millisecond)
	require.Equal(t, 6, asked)
	s.run(10 * time.Second)
	before := asked
	s.run(10 * time.Second)
	require.InDelta(t, 3*40, asked-before, 3)
	for _, c := range all[1:] {
		require.True(t, c.of(leaver).draining)
		require.Equal(t, Alive, c.of(leaver).state())
	}

	late := s.join(4, 1)
	s.run(50 * time.Millisecond)
	require.True(t, late.of(leaver).draining)
	answer := func(c *citizen) {
		s.forge(leaver, leaver.linkTo(c), wire.Drain{Answer: true})
	}
	for _, c := range all[1:3] {
		answer(c)
	}
	answer(late)
	require.False(t, leaver.IsDrained())
	all[3].dead = true
	s.until(3*time.Second, "who is dead is not waited for", leaver.IsDrained)
	before = asked
	s.run(time.Second)
	require.Equal(t, before, asked)
}

// [MEM-19] and does nothing else meanwhile as a member: whoever leaves sends Drain no more, whether or not it drained.
func TestWhoLeavesDrainsNoMore(t *testing.T) {
	for _, drains := range []bool{false, true} {
		s := newSociety(t)
		all := s.grow(4)
		leaver := all[0]
		if drains {
			leaver.Drain(s.now)
			s.collect(leaver)
		}
		leaver.Leave(s.now)
		s.collect(leaver)
		sent := s.watch(leaver)
		leaver.Drain(s.now)
		s.collect(leaver)
		require.Empty(t, *sent)
		require.False(t, leaver.IsDrained())
		s.run(time.Second)
		require.True(t, leaver.dead)
		require.Zero(t, kindsOf(*sent)[wire.KindDrain])
	}
}
