package timers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// Each side of a cut has an owner, and after it there is one again.
func TestOneOwnerOnEachSide(t *testing.T) {
	t.Parallel()
	inTimed(t, 5, 100*time.Millisecond, func(c *timed) {
		owner := c.owner(c.Nodes)
		here, there := []*broach.Node{owner}, c.others(owner)[:3]
		here = append(here, c.others(owner)[3])
		c.Net.Cut(clustertest.AddrsOf(here), clustertest.AddrsOf(there))
		time.Sleep(5 * time.Second)
		require.Equal(c.T, owner, c.owner(here))
		other := c.owner(there)
		from := c.runs.count()
		time.Sleep(5 * time.Second)
		require.InDelta(c.T, 100, c.runs.count()-from, 3, "50 on each side")

		c.Net.Heal()
		c.Settle(20 * time.Second)
		require.Equal(c.T, owner, c.owner(c.Nodes))
		from = c.runs.count()
		time.Sleep(5 * time.Second)
		again := slices.Index(c.runs.nodes()[from:], c.numberOf(other))
		c.T.Logf("healed: %d runs in 50 periods", c.runs.count()-from)
		require.LessOrEqual(c.T, c.runs.count()-from, 51+2)
		require.Less(c.T, again, 3)
		c.requireSteady(c.runs.count()-40, 0)
	})
}

// The owner cannot be reached for a while by one that it is reached from, and the nodes do not agree: no period passes
// without a run.
func TestOneOwnerWhileViewsDiffer(t *testing.T) {
	t.Parallel()
	inTimed(t, 5, time.Second, func(c *timed) {
		owner := c.owner(c.Nodes)
		from := c.runs.count() - 1
		c.Net.CutOneWay([]netip.AddrPort{c.others(owner)[0].Addr()}, []netip.AddrPort{owner.Addr()})
		time.Sleep(20 * time.Second)
		c.Net.Heal()
		time.Sleep(20 * time.Second)
		_, longest := c.runs.gaps(from)
		c.T.Logf("%d runs in 40 periods, at most %v apart", c.runs.count()-from, longest)
		require.LessOrEqual(c.T, longest, time.Second+ownerJitter+500*time.Millisecond)
		c.requireSteady(c.runs.count()-15, 0)
	})
}

// Nodes die, leave, stop and come at random, through a loss of 5 %. No time without a run is longer than it takes to
// notice a death, twice over for two deaths in a row, and few runs follow each other too closely.
func TestOneOwnerThroughTroubles(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			inTimed(t, 6, 200*time.Millisecond, func(c *timed) {
				c.Net.SetDefault(clustertest.Lossy(0.05))
				rng := rand.New(rand.NewPCG(seed, 1))
				from, troubles := c.runs.count(), 60
				for range troubles {
					c.trouble(rng)
					time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
				}
				_, longest := c.runs.gaps(from)
				tooClose := c.runs.closerThan(from, c.d/2)
				c.T.Logf("%d runs, at most %v apart, %d too close", c.runs.count()-from, longest, tooClose)
				require.LessOrEqual(c.T, longest, 3*time.Second)
				require.LessOrEqual(c.T, tooClose, troubles/10)
			})
		})
	}
}

// trouble ends a node or timer, or brings one back, so that three nodes at least have it. Nodes 0 and 1, the seeds,
// keep it.
func (c *timed) trouble(rng *rand.Rand) {
	i := 2 + rng.IntN(4)
	at := slices.IndexFunc(c.Nodes, func(n *broach.Node) bool {
		return n.Addr() == clustertest.AddrOf(i) &&
			!clustertest.IsClosed(n)
	})
	if at < 0 {
		n := c.Start(i, 0, 1)
		c.timers[n] = every(c.Cluster, n, c.d, c.runs.of(i), broach.OneOwner("report"), broach.Jitter(ownerJitter))
		return
	}
	switch n := c.Nodes[at]; rng.IntN(3) {
	case 0:
		c.Kill(n)
	case 1:
		require.NoError(c.T, n.Leave(context.Background()))
	case 2:
		c.timers[n].Stop()
		time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
		c.timers[n] = every(c.Cluster, n, c.d, c.runs.of(i), broach.OneOwner("report"), broach.Jitter(ownerJitter))
	}
}
