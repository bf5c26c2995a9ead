package members

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// sentTo is the highest number of the datagrams that went with a token, until now.
func sentTo(c *clustertest.Cluster, token uint64) (highest func() uint64) {
	var last atomic.Uint64
	c.Net.Tap(func(_ time.Time, _, _ netip.AddrPort, b []byte) {
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
	for name, keys := range map[string][][]byte{"without keys": nil, "with keys": {clustertest.KeyOf(1)}} {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				c.Edit = func(cfg *broach.Config) {
					cfg.Keys, cfg.CallTimeout = keys, time.Minute
					clustertest.MakeDeaf(cfg)
				}
				provider, caller := c.Start(0), c.Start(1, 0)
				require.NoError(t, provider.Register("wait", func() { time.Sleep(15 * time.Second) }))
				require.NoError(t, provider.Register("echo", func(b []byte) []byte { return b }))
				require.NoError(t, caller.WaitFor(context.Background(), "wait", 1))
				at := c.DeafOf(caller)
				said := at.Said(provider.Addr())
				require.Len(t, said, 1)
				sent := sentTo(c, said[0])
				slow := make(chan error, 1)
				go func() {
					_, err := caller.Caller("wait").Call(context.Background())
					slow <- err
				}()
				time.Sleep(time.Second)

				c.Renew(caller, provider)
				require.Len(t, at.Said(provider.Addr()), 2)
				number := sent()
				require.NotZero(t, number)
				for range 10 {
					_, err := broach.Call[[]byte](context.Background(), caller.Caller("echo"), make([]byte, 100<<10))
					require.NoError(t, err)
				}
				require.Equal(t, number, sent(), "nothing else began there, nor was anything said")

				time.Sleep(10 * time.Second)
				require.Greater(t, sent(), number, "a call of ours is in flight on the older, and asks on it")
				older, better := at.Heard(provider.Addr())[0], at.Heard(provider.Addr())[1]
				require.True(t, c.HasLink(caller, older))
				stats := caller.Stats().Peers
				require.Len(t, stats, 1)
				require.Equal(t, 1, stats[0].InFlight, "on the other link")
				require.Greater(t, stats[0].BytesOut, uint64(10*100<<10), "on both")
				require.NoError(t, <-slow)
				c.Until(10*time.Second, "the older link stays", func() bool {
					return !c.HasLink(caller, older) && !c.HasLink(provider, said[0])
				})
				require.True(t, c.HasLink(caller, better))
				require.Len(t, at.Said(provider.Addr()), 2, "there was no third")
				require.Len(t, caller.Stats().Peers, 1)
				require.Empty(t, c.Wrong())
			})
		})
	}
}

// [LNK-7] The other link *drains*: what is in flight on it ends on it, and it is closed when no own call is in flight
// and nothing came for 5 s.
func TestTheOtherLinkDrains(t *testing.T) {
	clustertest.Run(t, 3, func(c *clustertest.Cluster) {
		c.Edit = func(cfg *broach.Config) {
			cfg.AckTimeout = time.Minute // the call is to outlive a link on which nothing comes
			clustertest.MakeDeaf(cfg)
		}
		a, b := c.Start(0), c.Start(1, 0)
		end := make(chan struct{})
		require.NoError(t, b.Register("f", func(ctx context.Context) {
			select {
			case <-end:
			case <-ctx.Done():
			}
		}))
		require.NoError(t, a.WaitFor(context.Background(), "f", 1))
		called := make(chan error, 1)
		go func() {
			_, err := a.Caller("f", broach.Timeout(time.Minute)).Call(context.Background())
			called <- err
		}()
		time.Sleep(time.Second) // it is on the only link
		c.Renew(a, b)
		heard, said := c.DeafOf(a).Heard(b.Addr()), c.DeafOf(a).Said(b.Addr())
		require.Len(t, heard, 2)
		require.Len(t, said, 2)
		hasOther := func() bool { return c.HasLink(a, heard[0]) && c.HasLink(b, said[0]) }

		time.Sleep(20 * time.Second)
		require.True(t, hasOther(), "it has a call")
		c.DeafOf(a).LoseLinks(heard[0])
		time.Sleep(8 * time.Second)
		c.DeafOf(a).LoseLinks()
		require.True(t, c.HasLink(a, heard[0]), "even if nothing comes on it")
		close(end)
		require.NoError(t, <-called)
		time.Sleep(4500 * time.Millisecond)
		require.True(t, hasOther(), "it was heard within 5 s")
		time.Sleep(8 * time.Second)
		require.False(t, c.HasLink(a, heard[0]))
		require.False(t, c.HasLink(b, said[0]))
		require.True(t, c.HasLink(a, heard[1]) && c.HasLink(b, said[1]), "the better one stays")
		require.Len(t, c.DeafOf(a).Heard(b.Addr()), 2, "there was no third")
	})
}

// [LNK-10] A Confirm of another public key whose stamp is not later than the birth of a link of the one known there,
// offline or not, is dropped: it was held back, and its sender is gone.
func TestAConfirmThatWasHeldBackBringsNobodyBack(t *testing.T) {
	for _, begins := range []string{"the newcomer begins", "the seed begins"} {
		t.Run(begins, func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) { holdBack(c, begins == "the seed begins") })
		})
	}
}

// linkPause is between two links that others begin at one address, by [LNK-14].
const linkPause = 250 * time.Millisecond

func holdBack(c *clustertest.Cluster, seedBegins bool) {
	c.Net.SetDefault(simnet.Link{Delay: time.Millisecond})
	var mu sync.Mutex
	var held []clustertest.Recording
	c.Net.Tap(func(_ time.Time, from, to netip.AddrPort, payload []byte) {
		mu.Lock()
		defer mu.Unlock()
		if from == clustertest.AddrOf(1) && wire.Form(payload[3]) == wire.FormConfirm {
			held = append(held, clustertest.Recording{From: from, To: to, Payload: slices.Clone(payload)})
		}
	})
	seed, old := c.Start(0), c.Start(1, 0)
	time.Sleep(1500 * time.Microsecond) // the Offer is on its way
	c.Net.CutOneWay(clustertest.AddrsAt([]int{1}), clustertest.AddrsAt([]int{0}))
	time.Sleep(time.Second)
	c.Kill(old)
	c.Net.Tap(nil)
	c.Net.Heal()
	require.Len(c.T, seed.Members(), 1, "itself")

	successor := c.Start(1)
	if seedBegins {
		require.NoError(c.T, seed.Join(clustertest.AddrOf(1).String()))
	} else {
		require.NoError(c.T, successor.Join(clustertest.AddrOf(0).String()))
	}
	c.Until(time.Second, "both see the other", func() bool {
		return clustertest.AllSee([]*broach.Node{seed, successor}, 1)
	})
	time.Sleep(linkPause) // from here on that is no reason to drop it
	mu.Lock()
	defer mu.Unlock()
	require.NotEmpty(c.T, held)
	for _, h := range held {
		c.Net.Inject(h.From, h.To, h.Payload)
		time.Sleep(10 * time.Millisecond)
		require.Equal(c.T, c.Configs[successor].Version, clustertest.MemberAt(seed, successor.Addr()).Version)
		require.Equal(c.T, 1, clustertest.Count(seed, broach.Alive))
	}
	c.Kill(successor)
	c.Until(3*time.Second, "the successor is offline", func() bool {
		return clustertest.Count(seed, broach.Offline) == 1
	})
	c.Net.Inject(held[0].From, held[0].To, held[0].Payload)
	time.Sleep(10 * time.Millisecond)
	require.Zero(c.T, clustertest.Count(seed, broach.Alive))
}

// [LNK-14] one per address and 250 ms: a process that starts again so soon is believed as soon as that is over, since
// what is dropped comes again.
func TestARestartWithinAMoment(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(5)
		c.Settle(time.Second)
		time.Sleep(3 * time.Second)
		for range 3 {
			n := c.Start(5, 0)
			time.Sleep(50 * time.Millisecond)
			c.Kill(n)
		}
		c.Start(5, 0)
		took := c.Settle(time.Second)
		t.Log("all see it after", took)
		require.LessOrEqual(t, took, linkPause+100*time.Millisecond)
	})
}
