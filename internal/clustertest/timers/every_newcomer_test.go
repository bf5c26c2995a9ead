package timers

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/balance"
	"broach/internal/clustertest"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// score decides who is the owner: the node with the highest.
func score(i int) uint64 { return balance.Rendezvous("report", clustertest.AddrOf(i)) }

// comer is a node that is not there yet and would be the owner beside k others.
func comer(k int) int {
	i := k
	for !isHighest(i, k) {
		i++
	}
	return i
}

// isHighest reports whether node i has a higher score than the first k.
func isHighest(i, k int) bool {
	for j := range k {
		if score(j) > score(i) {
			return false
		}
	}
	return true
}

// A node that comes and is the owner from then on waits for its turn. [TMR-2], [TMR-4]
func TestAnOwnerComes(t *testing.T) {
	t.Parallel()
	for _, loss := range []float64{0, 0.1} {
		for _, after := range []time.Duration{0, 40, 90, 98} {
			t.Run(fmt.Sprintf("loss %v after %d ms", loss, after), func(t *testing.T) {
				inTimed(t, 4, 100*time.Millisecond, func(c *timed) {
					c.Net.SetDefault(clustertest.Lossy(loss))
					c.next(time.Second)
					time.Sleep(after * time.Millisecond)
					from := c.runs.count() - 1
					n := c.begin(comer(4))
					time.Sleep(3 * time.Second)
					c.requireSteady(from, 50*time.Millisecond)
					require.True(c.T, c.timers[n].IsOwner())
					require.Equal(c.T, comer(4), c.runs.nodes()[c.runs.count()-1])
				})
			})
		}
	}
}

// The owner is killed and starts anew at once, before anybody noticed. Its heir does the next run, and hands over.
func TestTheOwnerRestarts(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{100 * time.Millisecond, 10 * time.Second} {
		t.Run(d.String(), func(t *testing.T) {
			inTimed(t, 5, d, func(c *timed) {
				owner := c.owner(c.Nodes)
				i := c.numberOf(owner)
				c.next(2 * d)
				time.Sleep(20 * time.Millisecond)
				from := c.runs.count() - 1
				c.Kill(owner)
				n := c.begin(i)
				time.Sleep(20 * d)
				c.requireSteady(from, 50*time.Millisecond)
				require.True(c.T, c.timers[n].IsOwner())
				require.Equal(c.T, i, c.runs.nodes()[c.runs.count()-1])
			})
		})
	}
}

// A node with a long run keeps the turn, though another becomes the owner meanwhile: runs do not overlap across nodes.
// [TMR-2]
func TestALongRunIsNotOverlapped(t *testing.T) {
	t.Parallel()
	clustertest.Run(t, 1, func(cl *clustertest.Cluster) {
		c := &timed{Cluster: cl, d: 100 * time.Millisecond, timers: map[*broach.Node]*broach.Timer{}}
		var now, most atomic.Int64
		begin := func(i int) {
			n := c.Start(i, 0, 1)
			c.timers[n] = every(c.Cluster, n, c.d, func() {
				c.runs.add(i)
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(730 * time.Millisecond)
				now.Add(-1)
			}, broach.OneOwner("report"), broach.Jitter(ownerJitter))
		}
		for i := range 4 {
			begin(i)
		}
		time.Sleep(5 * time.Second)
		c.next(time.Second)
		begin(comer(4))
		from := c.runs.count() - 1
		time.Sleep(10 * time.Second)
		_, longest := c.runs.gaps(from)
		c.T.Logf("%d runs, at most %v apart", c.runs.count()-from, longest)
		require.EqualValues(c.T, 1, most.Load())
		require.LessOrEqual(c.T, longest, time.Second)
		require.Equal(c.T, comer(4), c.runs.nodes()[c.runs.count()-1])
		for _, n := range c.Nodes {
			c.timers[n].Stop()
		}
		time.Sleep(time.Second)
	})
}

// The arguments of Turn are those of PROTOCOL.md 5.2: for a run that was due 1 ms ago and is over, as another is the
// owner now, `92 cd 03e8 c3`. When it began they were 0 and false.
func TestTurnArguments(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		run := func() { time.Sleep(time.Millisecond) }
		begin := func(i int) {
			every(c, c.Start(i, 0), time.Second, run, broach.OneOwner("report"), broach.Jitter(0))
		}
		begin(0)
		time.Sleep(1500 * time.Millisecond)
		var told turns
		c.Net.Tap(told.overhear)
		begin(comer(1))
		time.Sleep(time.Second)
		require.Equal(t, []string{"9200c2", "92cd03e8c3"}, told.take())
	})
}

// turns are the arguments of Turns that were overheard.
type turns struct {
	mu   sync.Mutex
	args []string
}

// overhear looks for them in a datagram of a link that is not sealed.
func (o *turns) overhear(_ time.Time, _, _ netip.AddrPort, b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, body := range clustertest.BodiesIn(b, wire.KindSend) {
		if m, err := wire.ConsumeSend(body); err == nil && string(m.Service) == "\x00creport" {
			o.args = append(o.args, hex.EncodeToString(m.Args))
		}
	}
}

// take returns them.
func (o *turns) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.args
}
