package broach

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// linksWith are the links of a node with another, the highest first.
func (n *Node) linksWith(other *Node) (list []*conn) {
	for _, l := range n.linking.tokens.At(other.Addr()) {
		if len(list) > 0 && l.Order().Compare(list[0].Order()) > 0 {
			list = append([]*conn{l}, list...)
		} else {
			list = append(list, l)
		}
	}
	return list
}

// sentTo is the highest number of the datagrams that went with a token, until now.
func (c *cluster) sentTo(token uint64) (highest func() uint64) {
	var last atomic.Uint64
	c.net.Tap(func(_ time.Time, _, _ netip.AddrPort, b []byte) {
		if h, _, err := wire.ConsumeHeader(b); err == nil && h.Form == wire.FormLink && h.Token == token {
			last.Store(max(last.Load(), h.Number))
		}
	})
	return last.Load
}

// [LNK-6] What is new goes on the preferred link: calls, transfers, membership. What answers goes on the link that
// asked
// [LNK-7] The other link *drains*: what is in flight on it ends on it, and it is closed when no own call is in flight
// and nothing came for 5 s. A call never moves to another link.
func TestCallsEndOnTheLinkOnWhichTheyBegan(t *testing.T) {
	for name, keys := range map[string][][]byte{"without keys": nil, "with keys": {keyOf(1)}} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, 1, func(c *cluster) {
				c.edit = func(cfg *Config) {
					cfg.Keys, cfg.CallTimeout = keys, time.Minute
					makeDeaf(cfg)
				}
				provider, caller := c.start(0), c.start(1, 0)
				require.NoError(t, provider.Register("wait", func() { time.Sleep(15 * time.Second) }))
				require.NoError(t, provider.Register("echo", func(b []byte) []byte { return b }))
				require.NoError(t, caller.WaitFor(context.Background(), "wait", 1))
				old := caller.linkWith(provider)
				sent := c.sentTo(provider.linkWith(caller).Token)
				slow := make(chan error, 1)
				go func() {
					_, err := caller.Caller("wait").Call(context.Background())
					slow <- err
				}()
				time.Sleep(time.Second)
				require.True(t, old.IsBusy(time.Now()))

				c.renew(caller, provider)
				better := caller.linkWith(provider)
				require.NotSame(t, old, better)
				require.Same(t, &better.Link, old.Best())
				require.Same(t, &better.Link, better.Best())
				require.Same(t, old.record, better.record, "what is known of the peer is known of both")
				number := sent()
				require.NotZero(t, number)
				for range 10 {
					_, err := Call[[]byte](context.Background(), caller.Caller("echo"), make([]byte, 100<<10))
					require.NoError(t, err)
				}
				require.Equal(t, number, sent(), "nothing else began there, nor was anything said")

				time.Sleep(10 * time.Second)
				require.Len(t, caller.linksWith(provider), 2, "a call of ours is in flight on the older")
				stats := caller.Stats().Peers
				require.Len(t, stats, 1)
				require.Equal(t, 1, stats[0].InFlight, "on the other link")
				require.Greater(t, stats[0].BytesOut, uint64(10*100<<10), "on both")
				require.NoError(t, <-slow)
				c.until(10*time.Second, "the older link stays", func() bool {
					return len(caller.linksWith(provider)) == 1 && len(provider.linksWith(caller)) == 1
				})
				require.Same(t, better, caller.linkWith(provider))
				require.Len(t, caller.Stats().Peers, 1)
				require.Empty(t, c.wrong())
			})
		})
	}
}

// [LNK-10] A Confirm of another public key whose stamp is not later than the birth of a link of the one known there,
// offline or not, is dropped: it was held back, and its sender is gone.
func TestAConfirmThatWasHeldBackBringsNobodyBack(t *testing.T) {
	for _, begins := range []string{"the newcomer begins", "the seed begins"} {
		t.Run(begins, func(t *testing.T) {
			inCluster(t, 1, func(c *cluster) { c.holdBack(begins == "the seed begins") })
		})
	}
}

func (c *cluster) holdBack(seedBegins bool) {
	c.net.SetDefault(simnet.Link{Delay: time.Millisecond})
	var mu sync.Mutex
	var held []recording
	c.net.Tap(func(_ time.Time, from, to netip.AddrPort, payload []byte) {
		mu.Lock()
		defer mu.Unlock()
		if from == addrOf(1) && wire.Form(payload[3]) == wire.FormConfirm {
			held = append(held, recording{from, to, slices.Clone(payload)})
		}
	})
	seed, old := c.start(0), c.start(1, 0)
	time.Sleep(1500 * time.Microsecond) // the Offer is on its way
	c.net.CutOneWay(addrsAt([]int{1}), addrsAt([]int{0}))
	time.Sleep(time.Second)
	c.kill(old)
	c.net.Tap(nil)
	c.net.Heal()
	require.Empty(c.t, seed.calling.view.Load().peers)

	successor := c.start(1)
	if seedBegins {
		require.NoError(c.t, seed.Join(addrOf(1).String()))
	} else {
		require.NoError(c.t, successor.Join(addrOf(0).String()))
	}
	c.until(time.Second, "both see the other", func() bool { return count(seed, Alive) == 1 && count(successor, Alive) == 1 })
	time.Sleep(linkPause) // from here on that is no reason to drop it
	mu.Lock()
	defer mu.Unlock()
	require.NotEmpty(c.t, held)
	for _, h := range held {
		c.net.Inject(h.from, h.to, h.payload)
		time.Sleep(10 * time.Millisecond)
		require.Equal(c.t, successor.linking.wires.Process.Boot, seed.calling.view.Load().peers[0].Boot)
		require.Equal(c.t, 1, count(seed, Alive))
	}
	c.kill(successor)
	c.until(3*time.Second, "the successor is offline", func() bool { return count(seed, Offline) == 1 })
	c.net.Inject(held[0].from, held[0].to, held[0].payload)
	time.Sleep(10 * time.Millisecond)
	require.Zero(c.t, count(seed, Alive))
}

// [LNK-14] one per address and 250 ms: a process that starts again so soon is believed as soon as that is over, since
// what is dropped comes again.
func TestARestartWithinAMoment(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.startAll(5)
		c.settle(time.Second)
		time.Sleep(3 * time.Second)
		for range 3 {
			n := c.start(5, 0)
			time.Sleep(50 * time.Millisecond)
			c.kill(n)
		}
		c.start(5, 0)
		took := c.settle(time.Second)
		t.Log("all see it after", took)
		require.LessOrEqual(t, took, linkPause+100*time.Millisecond)
	})
}
