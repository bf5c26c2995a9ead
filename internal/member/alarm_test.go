package member

import (
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [MEM-30] It is none within 10 s after one from the same address: who falls silent or begins anew in between gives no
// more.
func TestAnAccuserIsRememberedWhileItIsAway(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	a, liar := all[0], all[1]
	counted := map[moment]bool{}
	began := s.now
	for round := 0; s.now.Sub(began) < time.Minute; round++ {
		s.forge(a, a.linkTo(liar), wire.Suspect{Target: wire.Target{Addr: a.cfg.Self, Boot: a.cfg.Boot}})
		counted[a.alarmed] = true
		switch round % 3 {
		case 0: // it is silent until it is offline
			liar.stopped = true
			s.until(5*time.Second, "it is offline", func() bool { return a.of(liar).state() == Offline })
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
		s.until(5*time.Second, "it is back", func() bool { return a.of(liar) != nil && a.of(liar).state() == Alive })
	}
	require.Len(t, counted, 1, "it never let 10 s pass")
}

// Alarms are bounded: an address that finds no room does not count, and those that were there make room after 10 s.
func TestAlarmsAreBounded(t *testing.T) {
	a := make(alarms)
	for i := range alarmsMax {
		require.True(t, a.noteGiver(1, siteOf(i)))
	}
	require.False(t, a.noteGiver(2, siteOf(alarmsMax)))
	require.False(t, a.noteGiver(2, siteOf(0)))
	later := 1 + moment(alarmAgain)
	require.True(t, a.noteGiver(later, siteOf(alarmsMax)))
	require.Len(t, a, 2)
}

// [MEM-30] or a way was measured that has grown (MEM-15): a member that lies takes nobody away that is far now and was
// near, as soon as this node has measured how far any is.
func TestNobodyIsGivenUpWhoseWayHasGrown(t *testing.T) {
	const size = 60
	s := newSociety(t)
	all := s.grow(size)
	s.run(10 * time.Second)
	s.delay = 200 * msec
	s.run(time.Second)
	for i := range 8 { // meanwhile they measure the rest: a pair meets every 3 s
		liar, target := all[i], all[i+1]
		for _, c := range all {
			if c != liar && c != target {
				s.forge(c, c.linkTo(liar), wire.Offline{Target: c.of(target).target()})
			}
		}
		s.run(500 * msec)
	}
	gone := 0
	for _, c := range all {
		for _, e := range c.events {
			if e.News == NewsOffline {
				gone++
			}
		}
	}
	t.Logf("%d of %d", gone, 8*(size-2))
	require.LessOrEqual(t, gone, 8*(size-2)/50, "without it more than half")
}

// [MEM-30] It is none within 10 s: who always shows that its way has just grown delays nothing for more than a second
// of ten.
func TestAWayThatAlwaysGrowsIsOneAlarmOnly(t *testing.T) {
	s := newSociety(t)
	all := s.grow(3)
	a, liar := all[0], all[0].of(all[1])
	a.measure(s.now, liar, msec)
	counted := map[moment]bool{}
	for i := range 90 {
		liar.trip = 1000
		a.measure(s.now.Add(time.Duration(i)*100*msec), liar, 200*msec)
		counted[a.alarmed] = true
	}
	require.Len(t, counted, 1)
}
