package member

import (
	"fmt"
	"slices"
	"testing"
	"time"

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
