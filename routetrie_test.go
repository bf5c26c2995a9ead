package broach

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// A route table finds what was put into it and not removed, as a map does, and so does each edition of it that was kept.
func TestRouteTableIsLikeAMap(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var table routeTable
	want := map[string]*route{}
	for edition := range 20 {
		table.edition++
		kept, size := table, len(want)
		for range 500 {
			name := fmt.Sprint("f", rng.IntN(2000))
			if rng.IntN(20) >= edition {
				r := &route{name: name, edition: table.edition}
				table.put(r)
				want[name] = r
			} else {
				table.remove(name)
				delete(want, name)
			}
		}
		for i := range 2000 {
			name := fmt.Sprint("f", i)
			require.Same(t, want[name], table.get(name), name)
		}
		table.edition++
		copied, left := table, 0
		for i := range 2000 {
			copied.remove(fmt.Sprint("f", i))
			if kept.get(fmt.Sprint("f", i)) != nil {
				left++
			}
		}
		require.Nil(t, copied.root)
		require.Equal(t, size, left, "an edition that others read does not change")
		table.edition++ // copied has used the one before
	}
}

// Names whose hashes are the same are told apart all the same.
func TestRoutesWithTheSameHash(t *testing.T) {
	a, b := &route{name: "a"}, &route{name: "b"}
	var n *routeNode
	n = n.with(0, a, 5, levelsPerHash-1).with(0, b, 5, levelsPerHash-1)
	table := routeTable{root: n}
	for _, r := range []*route{a, b} {
		require.Same(t, r, table.root.find(r.name, 5, levelsPerHash-1))
	}
	n = n.without(1, "a", 5, levelsPerHash-1)
	require.Nil(t, n.find("a", 5, levelsPerHash-1))
	require.Same(t, b, n.slots[0].only, "it has moved up")
}
