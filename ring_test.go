package broach

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRing(t *testing.T) {
	var r ring[int]
	next, first := 0, 0
	for round := range 100 {
		for range round {
			r.push(next)
			next++
		}
		for range round / 2 {
			require.Equal(t, first, r.pop())
			first++
		}
		require.Equal(t, next-first, r.len())
		for i := range r.len() {
			require.Equal(t, first+i, *r.at(i))
		}
	}
}

func TestRingForgets(t *testing.T) {
	var r ring[*int]
	r.push(new(int))
	r.pop()
	require.Nil(t, r.items[0], "the ring keeps nothing alive")
}
