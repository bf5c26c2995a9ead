package member

import (
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [MEM-30] another, at whose address nobody had done so for 10 s: who falls silent or begins anew in between is not believed more often.
func TestAnAccuserIsRememberedWhileItIsAway(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	a, liar := all[0], all[1]
	counted := map[moment]bool{}
	began := s.now
	for round := 0; s.now.Sub(began) < time.Minute; round++ {
		s.forge(a, a.linkTo(liar), wire.Suspect{Target: wire.Target{Addr: a.cfg.Self, Boot: a.cfg.Boot}})
		counted[a.accused] = true
		switch round % 3 {
		case 0: // it is silent until it is offline
			liar.stopped = true
			s.until(5*time.Second, "it is offline", func() bool { return a.of(liar).state == Offline })
			liar.stopped = false
		case 1: // it begins anew
			liar.dead = true
			liar = s.join(1, 0)
		case 2: // it leaves before
			liar.Leave(s.now)
			s.collect(liar)
			s.run(400 * msec)
			liar.dead = true
			liar = s.join(1, 0)
		}
		s.until(5*time.Second, "it is back", func() bool { return a.of(liar) != nil && a.of(liar).state == Alive })
	}
	require.Len(t, counted, 1, "it never let 10 s pass")
}

// Accusers are bounded: an address that finds no room does not count, and those that were there make room after 10 s.
func TestAccusersAreBounded(t *testing.T) {
	a := make(accusers)
	for i := range accusersMax {
		require.True(t, a.note(1, siteOf(i)))
	}
	require.False(t, a.note(2, siteOf(accusersMax)))
	require.False(t, a.note(2, siteOf(0)))
	later := 1 + moment(accusesAgain)
	require.True(t, a.note(later, siteOf(accusersMax)))
	require.Len(t, a, 2)
}
