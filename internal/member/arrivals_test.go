package member

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"broach/internal/race"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// split cuts processes off from each other that are of different parts.
func (s *society) split(part func(c *citizen) int) {
	s.cut = func(from, to *citizen) bool { return part(from) != part(to) }
}

// [MEM-33] Who finds an offline peer back tells it, by List, of members that it met since: those who came to any part
// of a cut are known to all when it has healed.
func TestNewcomersAreKnownWhenACutHeals(t *testing.T) {
	for _, tt := range []struct{ size, parts, come int }{
		{3, 2, 1}, {3, 3, 1}, {4, 2, 1}, {4, 2, 3}, {32, 3, 2}, {100, 2, 1}, {100, 2, 20},
	} {
		if race.Sampled && tt.size > 32 {
			continue
		}
		t.Run(fmt.Sprintf("%d nodes in %d parts, %d come to each", tt.size, tt.parts, tt.come), func(t *testing.T) {
			s := newSociety(t)
			all, partOf := s.grow(tt.size), map[*citizen]int{}
			for i, c := range all {
				partOf[c] = i % tt.parts
			}
			s.split(func(c *citizen) int { return partOf[c] })
			s.run(10 * time.Second)
			for i := range tt.parts * tt.come {
				partOf[s.join(tt.size+i, i%tt.parts)] = i % tt.parts
				s.run(10 * msec)
			}
			s.run(time.Minute)
			s.cut = nil
			t.Log("all see all after", s.until(1100*msec, "all see all", s.allMeet))
		})
	}
}

// [MEM-33] since 5 s before that went offline: who came while nobody knew of the cut yet is known, too, and so is who
// comes while it heals.
func TestWhoComesAroundACutIsKnown(t *testing.T) {
	const size = 60
	for _, after := range []time.Duration{0, 300 * msec, 900 * msec} {
		if race.Sampled && after != 300*msec {
			continue
		}
		s := newSociety(t)
		s.grow(size)
		s.run(20 * time.Second)
		fresh := func(c *citizen) bool { return len(s.members) > size && c.cfg.Self.Compare(siteOf(size)) >= 0 }
		s.split(func(c *citizen) int {
			if fresh(c) {
				return 1
			}
			return slices.Index(s.members, c) % 2
		})
		s.run(after)
		s.join(size, 1)
		s.run(time.Minute)
		s.cut = nil
		s.run(after / 10)
		s.join(size+1, 1)
		t.Log("all see all after", s.until(1100*msec, "all see all", s.allMeet))
	}
}

// [MEM-33] Where nobody came, nobody is told of anybody.
func TestNobodyIsToldOfWhomHeKnows(t *testing.T) {
	s := newSociety(t)
	all := s.grow(20)
	s.run(10 * time.Second)
	s.split(func(c *citizen) int { return slices.Index(s.members, c) % 2 })
	s.run(20 * time.Second)
	lists := s.watch(all[0])
	s.cut = nil
	s.until(1100*msec, "all see all", s.allMeet)
	require.Zero(t, kindsOf(*lists)[wire.KindList])
}

// namedIn are the addresses that Lists name.
func namedIn(msgs []wire.Message) map[netip.AddrPort]bool {
	named := map[netip.AddrPort]bool{}
	for _, msg := range msgs {
		if l, ok := msg.(wire.List); ok {
			for _, e := range l.Entries {
				named[e.Addr] = true
			}
		}
	}
	return named
}

// [MEM-33] So does who begins a link because of a List, to a process that it did not know, and has found an offline
// peer back within the last 2 s. It tells that process of members that it had before the first of those came back.
func TestWhoIsFoundAsACutHealsIsToldOfThoseBefore(t *testing.T) {
	for after, isTold := range map[time.Duration]bool{
		300 * msec: true, 1900 * msec: true, 2100 * msec: false,
	} {
		s := newSociety(t)
		a, before, back, later, found := s.join(0), s.act(1, 0), s.act(2, 0), s.act(3, 0), s.act(4, 0)
		link := before.confirm(a, 1)
		back.confirm(a, 1)
		a.takeOffline(s.now, a.peers.byAddr[back.addr])
		s.run(100 * msec)
		back.say(a, a.peers.byAddr[back.addr].tie.token, wire.Ping{Nonce: 1})
		s.run(100 * msec)
		later.confirm(a, 1)
		s.run(after - 100*msec)
		before.say(a, link, listNaming(1, found.addr))
		s.run(yieldFor) // in case that a lets the other begin
		said := s.watch(a)
		found.say(a, found.offer(a, wire.Offer{Rank: 1}), wire.Ping{Nonce: 1})
		want := map[netip.AddrPort]bool{}
		if isTold {
			want[before.addr] = true
		}
		require.Equal(t, want, namedIn(*said), "%v after a peer came back", after)
	}
}

// [MEM-33] Either List names them all, or as many at random as one datagram has room for (AMP-4). It names more where
// each is then named 8 times, if all members say as much that have been alive since before the peer [...] went offline.
func TestHowManyArrivalsAreNamed(t *testing.T) {
	const come = 60
	for before, want := range map[int]int{2: come, 15: come / 2, 31: listPaid} {
		s := newSociety(t)
		a, back := s.join(0), s.act(1, 0)
		links := map[uint64]*acted{}
		for i := range before {
			x := s.act(10+i, 0)
			links[x.confirm(a, 1)] = x
		}
		link := back.confirm(a, 1)
		for range 60 { // or they would be taken for dead
			s.run(100 * msec)
			for link, x := range links {
				x.say(a, link, wire.Ping{Nonce: 1})
			}
		}
		a.takeOffline(s.now, a.peers.byAddr[back.addr])
		s.run(msec)
		for i := range come {
			s.act(100+i, 0).confirm(a, 1)
		}
		said := s.watch(a)
		back.say(a, link, wire.Ping{Nonce: 1})
		require.Len(t, namedIn(*said), want, "%d were there before", before)
	}
}
