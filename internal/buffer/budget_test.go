package buffer

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemoryBound(t *testing.T) {
	m := &Budget{Size: 100}
	require.True(t, m.take(0, 50), "half of it")
	require.False(t, m.take(0, 26))
	require.True(t, m.take(0, 25), "half of what is left")
	m.Give(50)
	require.False(t, m.take(25, 26), "as much as is left for others then")
	require.True(t, m.take(25, 25))
}

// However many take what they can at the same time, they leave as much as each of them has.
func TestMemoryIsShared(t *testing.T) {
	m := &Budget{Size: 1 << 20}
	var all []*Share
	for range 64 {
		all = append(all, &Share{Of: m})
	}
	for took := true; took; {
		took = false
		for _, s := range all {
			took = s.Take(100) || took
		}
	}
	require.InDelta(t, 1<<20/65, m.Size-m.Used(), 6400)
	for _, s := range all {
		require.InDelta(t, 1<<20/65, s.Used(), 300)
		s.Give(s.Used())
	}
	require.Zero(t, m.Used())
}

// What is free for each link does not count.
func TestFreePartOfAShare(t *testing.T) {
	s := &Share{Of: &Budget{Size: 100}, Free: 30}
	require.True(t, s.Take(20))
	require.Zero(t, s.Of.Used())
	require.True(t, s.Take(20))
	require.EqualValues(t, 10, s.Of.Used())
	require.False(t, s.Take(41))
	require.True(t, s.Take(40))
	require.EqualValues(t, 50, s.Of.Used())
	s.Give(50)
	require.Zero(t, s.Of.Used())
	s.Give(30)
	require.Zero(t, s.Of.Used())
	require.Zero(t, s.Used())
}

// A link that is over gives back to the memory itself.
func TestAShareIsSettled(t *testing.T) {
	s := &Share{Of: &Budget{Size: 100}, Free: 30}
	require.True(t, s.Take(50))
	s.Settle()
	s.Of.Give(20)
	s.Of.Give(30)
	require.Zero(t, s.Of.Used())
}

// Who has more than another is going to have gives way, the one with most first; of equals nobody does.
func TestTheRichestGivesWay(t *testing.T) {
	m := &Budget{Size: 100}
	var shares []*Share
	for _, n := range []int64{20, 30, 16, 0} {
		s := &Share{Of: m}
		m.Join(s)
		require.True(t, s.Take(n))
		shares = append(shares, s)
	}
	require.Nil(t, shares[3].Richer(10), "it fits")
	require.Same(t, shares[1], shares[3].Richer(20))
	require.Nil(t, shares[3].Richer(30))
	require.Nil(t, shares[0].Richer(10))
	require.True(t, m.Leave(shares[1]))
	require.Same(t, shares[0], shares[3].Richer(18))
	require.False(t, m.Leave(shares[1]), "it has left")
}

func TestShareIsLimitedByItself(t *testing.T) {
	s := &Share{Of: &Budget{Size: 1000}, Most: 100}
	require.True(t, s.Take(60))
	require.False(t, s.Fits(41))
	require.False(t, s.Take(41))
	require.True(t, s.Take(40))
	s.Give(100)
	require.Zero(t, s.Of.Used())
}

func TestMemoryTakenTogether(t *testing.T) {
	m := &Budget{Size: 3}
	var g sync.WaitGroup
	for range 4 {
		g.Go(func() {
			for range 1000 {
				if m.take(0, 1) {
					m.Give(1)
				}
			}
		})
	}
	g.Wait()
	require.Zero(t, m.Used())
}
