package broach

import (
	"context"
	"sync"
	"testing"
	"time"

	"broach/internal/balance"
	"broach/internal/member"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// Who is offline, or not to be had by any link, is none of those that a call could go to.
func TestThoseWhoAreOfflineAreNoCandidates(t *testing.T) {
	r := &route{alive: make([]balance.Candidate, 2), doubtful: make([]balance.Candidate, 3), offline: 1}
	require.Len(t, r.candidates(), 5)
	var none *route
	require.Empty(t, none.candidates())

	peer := &member.View{Facts: member.Facts{State: member.Alive, Link: 7}}
	unlinked := peerRow{peer: peer, row: &wire.Function{Name: "f"}}
	r.amend(peerRow{}, unlinked)
	require.Equal(t, 2, r.offline)
	require.Len(t, r.candidates(), 5)
	gone := &route{offline: 1}
	gone.amend(unlinked, peerRow{})
	require.True(t, gone.isEmpty())
}

// tally counts calls by the number of the node that answers them.
func tally(c *cluster, caller *Node, calls int) map[int]int {
	var mu sync.Mutex
	got := map[int]int{}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range calls / 16 {
				i, err := Call[int](context.Background(), caller.Caller("which"))
				require.NoError(c.t, err)
				mu.Lock()
				got[i]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return got
}

// startProvider starts node i, which offers its number.
func startProvider(c *cluster, i int) *Node {
	n := c.start(i, 0)
	require.NoError(c.t, n.Register("which", func() int { return i }))
	return n
}

func TestCallsAreSharedByTheProviders(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		caller := c.start(0)
		startProvider(c, 1)
		suspect := startProvider(c, 2)
		require.NoError(c.t, caller.WaitFor(c.t.Context(), "which", 2))
		for _, calls := range tally(c, caller, 4000) {
			require.InEpsilon(c.t, 2000, calls, 0.04)
		}

		startProvider(c, 3)
		require.NoError(c.t, caller.WaitFor(c.t.Context(), "which", 3))
		require.InEpsilon(c.t, 100, tally(c, caller, 320)[3], 0.3, "no flood on the newcomer")
		require.InEpsilon(c.t, 1000, tally(c, caller, 3200)[3], 0.1, "its share")

		c.net.Pause(suspect.Addr())
		c.until(5*time.Second, "it is suspect", func() bool { return count(caller, Suspect) == 1 })
		require.Zero(c.t, tally(c, caller, 160)[2])
		c.until(5*time.Second, "it is offline", func() bool { return count(caller, Offline) == 1 })
		require.Zero(c.t, tally(c, caller, 160)[2])
		c.net.Resume(suspect.Addr())
	})
}
