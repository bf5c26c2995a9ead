package broach

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemoryBound(t *testing.T) {
	m := &memory{size: 100}
	require.True(t, m.take(0, 50), "half of it")
	require.False(t, m.take(0, 26))
	require.True(t, m.take(0, 25), "half of what is left")
	m.give(50)
	require.False(t, m.take(25, 26), "as much as is left for others then")
	require.True(t, m.take(25, 25))
}

// However many take what they can at the same time, they leave as much as each of them has.
func TestMemoryIsShared(t *testing.T) {
	m := &memory{size: 1 << 20}
	var all []*share
	for range 64 {
		all = append(all, &share{of: m})
	}
	for took := true; took; {
		took = false
		for _, s := range all {
			took = s.take(100) || took
		}
	}
	require.InDelta(t, 1<<20/65, m.size-m.used(), 6400)
	for _, s := range all {
		require.InDelta(t, 1<<20/65, s.used(), 300)
		s.give(s.used())
	}
	require.Zero(t, m.used())
}

// What is free for each link does not count.
func TestFreePartOfAShare(t *testing.T) {
	s := &share{of: &memory{size: 100}, free: 30}
	require.True(t, s.take(20))
	require.Zero(t, s.of.used())
	require.True(t, s.take(20))
	require.EqualValues(t, 10, s.of.used())
	require.False(t, s.take(41))
	require.True(t, s.take(40))
	require.EqualValues(t, 50, s.of.used())
	s.give(50)
	require.Zero(t, s.of.used())
	s.give(30)
	require.Zero(t, s.of.used())
	require.Zero(t, s.used())
}

// A link that is over gives back to the memory itself.
func TestAShareIsSettled(t *testing.T) {
	s := &share{of: &memory{size: 100}, free: 30}
	require.True(t, s.take(50))
	s.settle()
	s.of.give(20)
	s.of.give(30)
	require.Zero(t, s.of.used())
}

// Who has more than another is going to have gives way, the one with most first; of equals nobody does.
func TestTheRichestGivesWay(t *testing.T) {
	m := &memory{size: 100}
	var shares []*share
	for _, n := range []int64{20, 30, 16, 0} {
		s := &share{of: m}
		m.join(s)
		require.True(t, s.take(n))
		shares = append(shares, s)
	}
	require.Nil(t, shares[3].richer(10), "it fits")
	require.Same(t, shares[1], shares[3].richer(20))
	require.Nil(t, shares[3].richer(30))
	require.Nil(t, shares[0].richer(10))
	require.True(t, m.leave(shares[1]))
	require.Same(t, shares[0], shares[3].richer(18))
	require.False(t, m.leave(shares[1]), "it has left")
}

func TestShareIsLimitedByItself(t *testing.T) {
	s := &share{of: &memory{size: 1000}, most: 100}
	require.True(t, s.take(60))
	require.False(t, s.fits(41))
	require.False(t, s.take(41))
	require.True(t, s.take(40))
	s.give(100)
	require.Zero(t, s.of.used())
}

func TestMemoryTakenTogether(t *testing.T) {
	m := &memory{size: 3}
	var g sync.WaitGroup
	for range 4 {
		g.Go(func() {
			for range 1000 {
				if m.take(0, 1) {
					m.give(1)
				}
			}
		})
	}
	g.Wait()
	require.Zero(t, m.used())
}
