package broach

import (
	"net/netip"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [MEM-6] A joiner sends Join to one seed after the other, at first every 50 ms, each time round half as slowly again, up to 5 s, for
// ever, until it has the whole List of one. A seed answers Join with Welcome and the List.
func TestJoinGoesOnForEver(t *testing.T) {
	s := newSociety(t)
	a := s.join(0, 0, 50, 51) // itself, and two that are not there
	sent := s.watch(a)
	require.False(t, a.joined())
	s.run(810 * time.Millisecond)
	require.Equal(t, 7, kindsOf(*sent)[wire.KindJoin], "after 50, 100, 175, 250, 362, 475 and 643 ms")
	s.run(3 * time.Millisecond)
	require.Equal(t, 8, kindsOf(*sent)[wire.KindJoin])
	s.run(time.Hour)
	*sent = nil
	s.run(time.Minute)
	require.InDelta(t, 12, kindsOf(*sent)[wire.KindJoin], 1)

	seed := s.join(51)
	s.until(11*time.Second, "joined", a.joined)
	require.Equal(t, Alive, a.of(seed).state)
	s.run(time.Second)
	*sent = nil
	s.run(time.Minute)
	require.Zero(t, kindsOf(*sent)[wire.KindJoin])
}

// [MEM-18] up to 8 of them while it has not joined.
func TestManySeedsAreTriedAtOnce(t *testing.T) {
	s := newSociety(t)
	a := s.join(0, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59)
	s.run(time.Hour)
	tried := map[netip.AddrPort]bool{}
	s.spy = func(_ *citizen, to netip.AddrPort, msg wire.Message, _ int) {
		if msg.Kind() == wire.KindAnnounce {
			tried[to] = true
		}
	}
	s.run(healEvery)
	require.Len(t, tried, healSeeds)
	require.False(t, a.joined())
}

// The List of a large cluster comes in parts, of which an unproven joiner gets only some at first.
func TestLateJoinerLearnsOfAll(t *testing.T) {
	t.Parallel()
	s := newSociety(t)
	s.grow(150)
	late := s.join(150, 0)
	s.until(50*time.Millisecond, "the joiner sees all", func() bool { return late.in(Alive) == 150 })
	require.True(t, late.joined())
}

// [MEM-8] A seed that was joined within the last 2 s tells its recent joiners, by List, of each peer that it comes to believe in.
func TestJoinersOfTheSameInstantFindEachOther(t *testing.T) {
	for _, size := range []int{2, 3, 32, 100} {
		s := newSociety(t)
		for i := range size {
			s.join(i, 0)
		}
		took := s.until(100*time.Millisecond, "all see all", func() bool {
			for _, c := range s.members {
				if c.in(Alive) != size-1 || !c.joined() {
					return false
				}
			}
			return true
		})
		t.Logf("%d nodes: %v, %d datagrams", size, took, s.count)
	}
}

func TestSeedsThatNameEachOther(t *testing.T) {
	s := newSociety(t)
	a, b := s.join(0, 1), s.join(1, 0)
	s.until(300*time.Millisecond, "both see the other", func() bool { return a.in(Alive) == 1 && b.in(Alive) == 1 && a.joined() && b.joined() })
}

// [MEM-18] Each node contacts one offline peer, or seed it has no peer at, at random, every 500 ms. Offline peers are forgotten after
// 24 h, seeds never.
func TestTheLostAreContactedForEver(t *testing.T) {
	t.Parallel()
	s := newSociety(t)
	all := s.grow(3)
	all[0].dead, all[2].dead = true, true
	s.run(6 * time.Second)
	require.Equal(t, 2, all[1].in(Offline))
	sent := s.watch(all[1])
	s.run(10 * time.Second)
	require.InDelta(t, 20, kindsOf(*sent)[wire.KindAnnounce], 2)
	s.spy = nil
	s.run(25 * time.Hour)
	require.Empty(t, all[1].view())
	again := s.join(0)
	s.until(2*time.Second, "the seed is found again", func() bool { return all[1].of(again) != nil })
}

// A seed that is known by another address than it advertises is found, and joined once.
func TestSeedBehindAnotherAddress(t *testing.T) {
	s := newSociety(t)
	seed := s.join(0)
	a := s.join(1, 60)
	sent := s.watch(a)
	s.run(300 * time.Millisecond)
	join := (*sent)[0].(wire.Join)
	for _, answer := range []wire.Message{
		wire.Welcome{Hello: wire.Hello{Nonce: 0, Echo: join.Nonce, Addr: seed.cfg.self}},
		wire.List{Echo: join.Nonce, Count: 1},
	} {
		s.forge(a, source{addr: addrOf(60), boot: seed.boot, tver: 1, size: 200}, answer)
	}
	s.until(50*time.Millisecond, "the seed is a peer", func() bool { return a.of(seed) != nil })
	require.True(t, a.joined())
}

// A cluster that was cut in two comes together without anybody's help.
// [MEM-17] after an offline peer came back, all other offline peers are contacted at once.
func TestHalvesComeTogether(t *testing.T) {
	t.Parallel()
	for _, minutes := range []int{1, 10} {
		s := newSociety(t)
		all := s.grow(16)
		half := func(c *citizen) bool { return c.cfg.self.Compare(addrOf(8)) < 0 }
		s.cut = func(from, to *citizen) bool { return half(from) != half(to) }
		s.run(time.Duration(minutes) * time.Minute)
		for _, c := range all {
			require.Equal(t, 7, c.in(Alive))
			require.Equal(t, 8, c.in(Offline))
		}
		s.cut = nil
		t.Log("together after", s.until(time.Second, "all see all", func() bool {
			for _, c := range all {
				if c.in(Alive) != 15 {
					return false
				}
			}
			return true
		}))
	}
}
