package broachtest_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/broachtest"
	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

// history runs a cluster through loss, a cut, a restart and a death, and returns what each node told, and when.
func history(t *testing.T, seed uint64) (told []string) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		c.Link(broachtest.Link{Loss: 0.1, Duplicate: 0.1, Reorder: 0.1, Jitter: time.Millisecond})
		start := time.Now()
		var nodes []*broach.Node
		var all sync.WaitGroup
		var mu sync.Mutex
		add := func() {
			n := c.Start("")
			nodes = append(nodes, n)
			all.Go(func() {
				for e := range n.Watch(context.Background()) {
					mu.Lock()
					told = append(told, fmt.Sprint(n.Addr(), time.Since(start), e.Kind, e.Member.Addr, e.Service))
					mu.Unlock()
				}
			})
		}
		for range 4 {
			add()
		}
		broachtest.Stub(nodes[1], "price", 7)
		c.Settle()
		c.Cut(nodes[:2], nodes[2:])
		time.Sleep(2 * time.Second)
		c.Heal()
		c.Settle()
		told = append(told, fmt.Sprint("settled after ", time.Since(start)))
		nodes[1] = c.Restart(nodes[1])
		c.Kill(nodes[3])
		c.Settle()
		_, err := nodes[0].Caller("price").Call(t.Context())
		told = append(told, fmt.Sprint(time.Since(start), err))
		for _, n := range nodes {
			n.Close()
		}
		all.Wait()
	}, broachtest.Seed(seed))
	slices.Sort(told) // those of different nodes at one instant come in any order
	return told
}

// "On one processor, runs with one seed are the same to the nanosecond." With the race detector goroutines run in an
// order of chance.
func TestRunsWithOneSeedAreTheSame(t *testing.T) {
	if race.Enabled {
		t.Skip("with the race detector no two runs are the same")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // no parallel test runs meanwhile
	first := history(t, 5)
	require.Greater(t, len(first), 20)
	for range 99 {
		require.Equal(t, first, history(t, 5))
	}
	require.NotEqual(t, first, history(t, 6))
}
