package member

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broach/internal/race"
	"broach/internal/wire"
)

// [MEM-15] Two of these Pings in vain [...] make the target suspect. But they do not within 10 s after the node
// measured, of any peer, a round trip above 50 ms and above twice the one it knew.
func TestNobodyIsShownSuspectWhileWaysGrow(t *testing.T) {
	for _, delay := range []time.Duration{60 * msec, 100 * msec, 200 * msec} {
		for _, size := range []int{4, 32, 100} {
			if race.Sampled && size > 32 {
				continue
			}
			t.Run(fmt.Sprint(size, " nodes, ", delay), func(t *testing.T) {
				s := newSociety(t)
				all := s.grow(size)
				s.run(10 * time.Second)
				s.delay = delay
				s.until(6*time.Second, "all have seen it", func() bool {
					return !slices.ContainsFunc(all, func(c *citizen) bool { return !c.haveGrown(s.now) })
				})
				for i := range 20 {
					s.accuse(all[i%size], all[(i+1)%size])
					for range 50 {
						s.run(10 * msec)
						require.Zero(t, s.shownSuspect())
					}
				}
			})
		}
	}
}

// accuse has one say Suspect of another to all.
func (s *society) accuse(liar, target *citizen) {
	for _, c := range s.members {
		if c != liar && c != target {
			s.forge(c, c.linkTo(liar), wire.Suspect{Target: c.of(target).target()})
		}
	}
}

// shownSuspect counts those who show a peer as suspect, once for each.
func (s *society) shownSuspect() (n int) {
	for _, c := range s.members {
		n += c.in(Suspect)
	}
	return n
}

// A round trip that is as long as ever, or short, is no sign that the ways have grown; one that is, is one for 10 s.
func TestWaysHaveGrown(t *testing.T) {
	for name, test := range map[string]struct {
		known, measured time.Duration
		grown           bool
	}{
		"as ever":          {80 * msec, 81 * msec, false},
		"twice as long":    {80 * msec, 160 * msec, false},
		"longer than that": {80 * msec, 161 * msec, true},
		"short":            {msec, 50 * msec, false},
		"not short":        {msec, 51 * msec, true},
		"none was known":   {0, 200 * msec, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSociety(t)
			all := s.grow(3)
			a, p := all[0], all[0].of(all[1])
			p.trip = trip(test.known.Microseconds())
			a.measure(s.now, p, test.measured)
			require.Equal(t, test.grown, a.haveGrown(s.now))
			require.Equal(t, test.grown, a.haveGrown(s.now.Add(grownFor-1)))
			require.False(t, a.haveGrown(s.now.Add(grownFor)))
		})
	}
}

// What is not shown is known all the same: a death while ways grow is known when it would be else.
func TestDeathsAreKnownWhileWaysGrow(t *testing.T) {
	for _, size := range []int{3, 32, 100} {
		if race.Sampled && size > 32 {
			continue
		}
		var took []time.Duration
		for _, shown := range []bool{true, false} {
			s := newSociety(t)
			all := s.grow(size)
			s.run(10 * time.Second)
			s.delay = 100 * msec
			s.run(time.Second)
			s.after = append(s.after, func(c *citizen) {
				if shown {
					c.grown = 0
				}
			})
			dead := all[1]
			dead.dead = true
			took = append(took, s.until(3*time.Second, "all know it", func() bool { return s.knowing(dead) == size-1 }))
		}
		require.Equal(t, took[0], took[1], "%d nodes", size)
		require.Less(t, took[1], 1900*msec, "%d nodes", size)
	}
}

// knowing counts those for whom one is offline.
func (s *society) knowing(dead *citizen) (n int) {
	for _, c := range s.members {
		if !c.dead && c.of(dead).state() == Offline {
			n++
		}
	}
	return n
}
