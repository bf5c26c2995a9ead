package member

import (
	"slices"
	"testing"
	"time"

	"broach/internal/race"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// keepStrained has one of a society drop a message each time it does something, and returns it.
func (s *society) keepStrained(c *citizen) *citizen {
	s.after = append(s.after, func(other *citizen) {
		if other == c {
			c.strain.dropped++ // the next count differs
		}
	})
	s.run(5 * time.Second)
	require.Equal(s.t, c.strain.least, c.strain.bound)
	return c
}

// [MEM-31] Who is kept strained, by members that fill its inbox together or by threads that compute, still finds out
// who is dead, and who is there.
func TestWhoIsKeptStrainedFindsTheDead(t *testing.T) {
	s := newSociety(t)
	all := s.grow(100)
	a := s.keepStrained(all[0])
	for _, dead := range [][]*citizen{all[59:60], all[60:100]} {
		for _, d := range dead {
			d.dead = true
		}
		t.Log(len(dead), "dead after", s.until(6*time.Second, "they are offline",
			func() bool { return s.allOffline(a, dead) }))
	}
	s.join(100, 1)
	t.Log("met after", s.until(5*time.Second, "all meet", s.allMeet))
}

// [MEM-31] A liar who doubts all, all the time, takes the others' words from one that is strained and has too many
// peers to ask. What it plans itself goes on.
func TestWhoIsKeptStrainedFindsTheDeadBesideALiar(t *testing.T) {
	// 250 nodes beat to each other every 12.5 s
	for size, limit := range map[int]time.Duration{100: 2 * time.Second, 250: 13500 * msec} {
		if race.Sampled && size > 100 {
			continue
		}
		s := newSociety(t)
		all := s.grow(size)
		a, liar := s.keepStrained(all[0]), all[1]
		for _, dead := range all[size-8:] {
			dead.dead = true
			took := time.Duration(0)
			for !s.allOffline(a, []*citizen{dead}) {
				s.accuseAll(a, liar)
				s.run(50 * msec)
				took += 50 * msec
				require.Less(t, took, limit, "of %d", size)
			}
			t.Log("of", size, "known after", took)
		}
	}
}

// accuseAll has a liar say to one that it doubts each other, and ask for help with it.
func (s *society) accuseAll(to, liar *citizen) {
	for _, p := range to.peers.list {
		s.forge(to, to.linkTo(liar), wire.Suspect{Target: p.target()})
		s.forge(to, to.linkTo(liar), wire.Help{Target: p.target()})
	}
}

// [MEM-31] A peer is late, and its calls are without answer, by the node's own plan, also while it waits for its turn
// because of what others say.
func TestWhatOthersSayDoesNotPutOffOnesOwn(t *testing.T) {
	for name, begin := range map[string]func(s *society, a *citizen, p *peer){
		"late":       func(s *society, a *citizen, p *peer) { s.run(a.lateAt(p).Sub(s.now) + msec) },
		"unanswered": func(s *society, a *citizen, p *peer) { a.Unanswered(s.now, p.tie.token) },
	} {
		s := newSociety(t)
		all := s.grow(4)
		a, p := all[0], all[0].of(all[1])
		all[1].dead = true
		s.run(10 * msec)
		a.strain.bound, a.strain.next[byHearsay] = 1000, s.now.Add(time.Hour)
		s.forge(a, a.linkTo(all[2]), wire.Suspect{Target: p.target()})
		s.run(10 * msec)
		require.Zero(t, p.probe.tries, "there is no turn for what others say")
		require.False(t, p.probe.own)
		begin(s, a, p)
		s.collect(a)
		require.True(t, p.probe.own, name)
		require.EqualValues(t, 1, p.probe.tries, name)
		require.Equal(t, byPlan, p.probe.lane())
	}
}

// [MEM-31] The first Ping that another's word begins waits with its like. What follows when that is in vain waits by
// itself.
func TestWhoDoesNotAnswerIsNotKeptWaiting(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	a, p := all[0], all[0].of(all[1])
	require.Equal(t, byPlan, p.probe.lane())
	all[1].dead = true
	s.forge(a, a.linkTo(all[2]), wire.Suspect{Target: p.target()})
	require.Equal(t, byHearsay, p.probe.lane())
	s.run(msec)
	require.EqualValues(t, 1, p.probe.tries)
	require.Equal(t, bySilence, p.probe.lane())
}

// [MEM-31] It is asked first, however late its turn comes: who answers is not probed as if it were late.
func TestWhoWaitedLongIsAskedFirst(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	a, p := all[0], all[0].of(all[1])
	s.forge(a, a.linkTo(all[2]), wire.Suspect{Target: p.target()})
	s.now = s.now.Add(400 * msec) // its turn came late
	a.watch(s.now, p)
	require.False(t, p.probe.own)
	require.EqualValues(t, 1, p.probe.tries)
}

// allOffline reports that a process holds others to be offline.
func (s *society) allOffline(a *citizen, dead []*citizen) bool {
	return !slices.ContainsFunc(dead, func(d *citizen) bool { return a.of(d) != nil && a.of(d).state() != Offline })
}

// [MEM-31] Many that die at once on a machine that has too little for all are known to be dead, while nobody else is
// called so.
func TestManyDieOnABusyMachine(t *testing.T) {
	for _, test := range []struct {
		die int
		max time.Duration
	}{{5, 15 * time.Second}, {25, 40 * time.Second}, {40, 50 * time.Second}} {
		s := newSociety(t)
		s.cost = 100 * time.Microsecond // Beats alone take a third of it
		for i := range 100 {
			s.join(i, 0)
		}
		s.until(30*time.Second, "all meet", s.allMeet)
		s.run(10 * time.Second)
		dead := s.members[100-test.die:]
		for _, d := range dead {
			d.dead = true
		}
		took := s.until(test.max, "all know", func() bool {
			return !slices.ContainsFunc(s.live(), func(c *citizen) bool { return !s.allOffline(c, dead) })
		})
		t.Log(test.die, "are known after", took)
		for _, c := range s.live() {
			require.Equal(t, 99-test.die, c.in(Alive)+c.in(Suspect))
		}
	}
}

// [MEM-31] Nodes that share too little of a processor come together all the same, when they begin at once, when a cut
// heals, and when all begin anew at once: what they say unasked leaves room for the answers.
func TestACrowdOnOneProcessorComesTogether(t *testing.T) {
	s := newSociety(t)
	s.cost = 100 * time.Microsecond
	begin := func() {
		for i := range 100 {
			s.join(i, 0)
		}
	}
	together := func(when string) {
		t.Log("together after", s.until(30*time.Second, when, s.allMeet), when)
		s.run(10 * time.Second)
		require.True(t, s.allMeet(), "they stay together")
	}
	begin()
	together("at first")
	s.cut = func(from, to *citizen) bool {
		return siteOf(50).Compare(from.place) > 0 != (siteOf(50).Compare(to.place) > 0)
	}
	s.until(2*time.Minute, "the other half is offline", func() bool {
		return !slices.ContainsFunc(s.live(), func(c *citizen) bool { return c.in(Offline) < 50 })
	})
	s.cut = nil
	together("healed")
	for _, c := range s.live() {
		c.dead = true
	}
	begin()
	together("all anew")
}
