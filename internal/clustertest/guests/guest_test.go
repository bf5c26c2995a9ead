package guests

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// guestAt is where the guests of a test are.
const guestAt = 900

// cluster starts k members that offer which, the number of the member, and lets them settle.
func cluster(c *clustertest.Cluster, k int) []*broach.Node {
	c.IsPlain = true
	for i := range k {
		n := c.Start(i, 0)
		require.NoError(c.T, n.Register("which", func() int { return i }, broach.Idempotent()))
	}
	members := c.Nodes[:k]
	c.Until(30*time.Second, "all know each other", func() bool {
		return clustertest.AllSee(members, k-1) && providersOf(members[k-1], "which") == k &&
			providersOf(members[0], "which") == k
	})
	time.Sleep(2 * time.Second)
	return members
}

func providersOf(n *broach.Node, name string) int {
	for _, s := range n.Services() {
		if s.Name == name {
			return len(s.Providers)
		}
	}
	return 0
}

// guest starts a guest with the members of some numbers as its seeds.
func guest(c *clustertest.Cluster, i int, seeds ...int) *broach.Node {
	c.T.Helper()
	edit := c.Edit
	c.Edit = func(cfg *broach.Config) { edit(cfg); cfg.Guest = true }
	defer func() { c.Edit = edit }()
	return c.Start(guestAt+i, seeds...)
}

func isGuestAddr(a netip.AddrPort) bool {
	for i := range 10 {
		if a == clustertest.AddrOf(guestAt+i) {
			return true
		}
	}
	return false
}

// traffic counts what members send to guests, from now on, and what they send because of them: kinds that only news
// of members has.
type traffic struct{ toGuests atomic.Int64 }

func watchTraffic(c *clustertest.Cluster) *traffic {
	var t traffic
	c.Net.Tap(func(_ time.Time, from, to netip.AddrPort, _ []byte) {
		if isGuestAddr(to) && !isGuestAddr(from) {
			t.toGuests.Add(1)
		}
	})
	return &t
}

// countEvents counts the events that members watch from now on.
func countEvents(t *testing.T, nodes []*broach.Node) (events func() int64) {
	var count atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() {
			for range n.Watch(ctx) {
				count.Add(1)
			}
		})
	}
	time.Sleep(time.Millisecond)
	before := count.Load()
	return func() int64 { cancel(); wg.Wait(); return count.Load() - before }
}

// sent is how many datagrams nodes have sent.
func sent(nodes []*broach.Node) (sum uint64) {
	for _, n := range nodes {
		sum += n.Stats().DatagramsOut
	}
	return sum
}

// "a guest's call in a cluster of 300 makes the others send <= 10 datagrams together, and no node's Watch yields
// anything."
// [GST-1] It is in no List, digest or News, is sent nothing of section 4 but Pong and Leave, and nobody is asked or
// told about it.
func TestAGuestsCallCostsAClusterNextToNothing(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		k := 300
		if race.Sampled { // with the race detector it is ten times as slow
			k = 40
		}
		members := cluster(c, k)
		events, heard := countEvents(c.T, members), watchTraffic(c)
		quiet := sent(members)
		time.Sleep(time.Second)
		quiet = sent(members) - quiet

		began, before := time.Now(), sent(members)
		g := guest(c, 0, 0)
		i, err := broach.Call[int](c.T.Context(), g.Caller("which"))
		require.NoError(c.T, err)
		require.Less(c.T, i, k)
		took := time.Since(began)
		require.NoError(c.T, g.Close())
		time.Sleep(time.Second - time.Since(began))
		c.T.Logf("%d datagrams to the guest, the call took %v; members sent %d in this second, %d in the one before",
			heard.toGuests.Load(), took, sent(members)-before, quiet)
		require.LessOrEqual(c.T, heard.toGuests.Load(), int64(10))
		require.InDelta(c.T, quiet, sent(members)-before, 40)
		time.Sleep(15 * time.Second)
		require.Zero(c.T, events())
		for _, n := range members {
			require.Len(c.T, n.Members(), k)
			require.Zero(c.T, n.Stats().Guests)
		}
	})
}

// [GST-5] It contacts one seed after another until one answers, which is asked from then on; when that has left, or was
// silent for the acknowledgement timeout, another.
func TestAGuestTakesAnotherSeed(t *testing.T) {
	for name, end := range map[string]func(c *clustertest.Cluster, n *broach.Node){
		"that was killed": func(c *clustertest.Cluster, n *broach.Node) { c.Kill(n) },
		"that left":       func(_ *clustertest.Cluster, n *broach.Node) { n.Close() },
	} {
		t.Run("in place of one "+name, func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				members := cluster(c, 4)
				g := guest(c, 0, 0, 1)
				require.NoError(c.T, g.WaitJoined(c.T.Context()))
				time.Sleep(time.Second)
				require.Equal(c.T, 1, members[0].Stats().Guests+members[1].Stats().Guests, "it stays with one")
				host, other := members[0], members[1]
				if host.Stats().Guests == 0 {
					host, other = other, host
				}
				_, err := g.Caller("which", broach.On(members[3].Addr())).Call(c.T.Context())
				require.NoError(c.T, err)
				end(c, host)
				time.Sleep(12 * time.Second)
				require.Equal(c.T, 1, other.Stats().Guests)
				_, err = g.Caller("which", broach.On(members[2].Addr())).Call(c.T.Context())
				require.NoError(c.T, err)
				require.True(c.T, g.Stats().Joined)
			})
		})
	}
}

// Calls that go on when the seed dies do not fail, and none takes longer than the acknowledgement timeout.
func TestCallsOutliveTheSeed(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		members := cluster(c, 4)
		g := guest(c, 0, 0, 1)
		which := g.Caller("which", broach.On(members[3].Addr()))
		longest, slow := time.Duration(0), 0
		for i := range 1000 {
			began := time.Now()
			_, err := which.Call(c.T.Context())
			require.NoError(c.T, err, "call %d", i)
			longest = max(longest, time.Since(began))
			if i > 0 && time.Since(began) > 250*time.Microsecond { // a call alone takes 200
				slow++
			}
			if i == 200 {
				c.Kill(members[0])
			}
			time.Sleep(10 * time.Millisecond)
		}
		c.T.Logf("the longest took %v", longest)
		require.Less(c.T, longest, 300*time.Millisecond)
		require.Zero(c.T, slow, "the next answer comes before the last one is old")
	})
}

// A provider that dies is followed by the next.
func TestAGuestCallsTheNextProvider(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		members := cluster(c, 4)
		g := guest(c, 0, 0)
		first, err := broach.Call[int](c.T.Context(), g.Caller("which"))
		require.NoError(c.T, err)
		if first == 0 {
			first = 1 // not the seed
		}
		c.Kill(members[first])
		for range 50 {
			i, err := broach.Call[int](c.T.Context(), g.Caller("which"))
			require.NoError(c.T, err)
			require.NotEqual(c.T, first, i)
			time.Sleep(100 * time.Millisecond)
		}
		for i, n := range members {
			if i != first && i != 0 {
				n.Close()
			}
		}
		i, err := broach.Call[int](c.T.Context(), g.Caller("which"))
		require.NoError(c.T, err)
		require.Zero(c.T, i)
	})
}

// A provider that refuses is followed by another, with which there is no link yet.
func TestAGuestGoesOnToAProviderThatItHasNotVisited(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		members := cluster(c, 3)
		g := guest(c, 0, 0)
		first, err := broach.Call[int](c.T.Context(), g.Caller("which"))
		require.NoError(c.T, err)
		require.NoError(c.T, members[first].SetServing("which", false))
		next, err := broach.Call[int](c.T.Context(), g.Caller("which"))
		require.NoError(c.T, err)
		require.NotEqual(c.T, first, next)
	})
}

// A dead provider of which the seed does not know yet, and with which there is no link: another is contacted soon.
func TestADeadProviderIsPassedOver(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		members := cluster(c, 8)
		for _, n := range members[1:7] {
			c.Kill(n)
		}
		g := guest(c, 0, 0)
		began := time.Now()
		_, err := g.Caller("which", broach.Local(broach.LocalNever)).Call(c.T.Context())
		require.NoError(c.T, err)
		c.T.Logf("took %v", time.Since(began))
		require.Less(c.T, time.Since(began), 3*time.Second)
	})
}

// A guest restarted at its address, without a word and with one, calls as before.
func TestAGuestIsRestartedAtItsAddress(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		members := cluster(c, 3)
		events := countEvents(c.T, members)
		for i := range 6 {
			g := guest(c, 0, 0)
			began := time.Now()
			_, err := g.Caller("which").Call(c.T.Context())
			require.NoError(c.T, err)
			require.Less(c.T, time.Since(began), time.Second)
			require.Equal(c.T, 1, members[0].Stats().Guests)
			if i%2 == 0 {
				c.Kill(g)
			} else {
				require.NoError(c.T, g.Close())
			}
			time.Sleep(time.Duration(i) * 100 * time.Millisecond)
		}
		require.Zero(c.T, events())
	})
}

// [GST-3] A guest of which nothing was accepted for 10 s is gone. One that was only cut off notices it, and comes back.
// [GST-5] It says Ping on each of its links every 3 s, and closes those that it has not needed for 10 s by Leave.
func TestASilentGuestIsGoneAndComesBack(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		members := cluster(c, 3)
		g := guest(c, 0, 0)
		call := func() error {
			ctx, cancel := context.WithTimeout(c.T.Context(), 2*time.Second)
			defer cancel()
			_, err := g.Caller("which", broach.On(members[2].Addr())).Call(ctx)
			return err
		}
		require.NoError(c.T, call())
		require.Equal(c.T, 1, members[0].Stats().Guests)
		require.Equal(c.T, 1, members[2].Stats().Guests)
		time.Sleep(14 * time.Second)
		require.Equal(c.T, 1, members[0].Stats().Guests, "the seed is kept")
		require.Zero(c.T, members[2].Stats().Guests, "the provider is not")
		time.Sleep(5 * time.Minute)
		require.Equal(c.T, 1, members[0].Stats().Guests)

		c.Net.Cut(clustertest.AddrsOf(members), clustertest.AddrsOf([]*broach.Node{g}))
		time.Sleep(10500 * time.Millisecond)
		require.Zero(c.T, members[0].Stats().Guests)
		require.Error(c.T, call())
		c.Net.Heal()
		time.Sleep(6 * time.Second)
		require.NoError(c.T, call())
		require.Equal(c.T, 1, members[0].Stats().Guests)
	})
}

// Close says Leave, and the guest is gone at once.
func TestAGuestThatClosesIsGone(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		members := cluster(c, 3)
		g := guest(c, 0, 0)
		for reply := range g.Caller("which").All(c.T.Context()) {
			require.NoError(c.T, reply.Err)
		}
		for _, n := range members {
			require.Equal(c.T, 1, n.Stats().Guests)
		}
		began := time.Now()
		require.NoError(c.T, g.Close())
		require.Less(c.T, time.Since(began), 20*time.Millisecond)
		for _, n := range members {
			require.Zero(c.T, n.Stats().Guests)
		}
		_, err := g.Caller("which").Call(c.T.Context())
		require.ErrorIs(c.T, err, broach.ErrClosed)
	})
}

// With keys nothing changes: who has no key is no guest.
func TestWhoHasNoKeyIsNoGuest(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.WithKeys(clustertest.KeyOf(1))
		members := cluster(c, 3)
		g := guest(c, 0, 0)
		_, err := g.Caller("which").Call(c.T.Context())
		require.NoError(c.T, err)
		require.Equal(c.T, 1, members[0].Stats().Guests)

		c.Edit = func(*broach.Config) {}
		stranger := guest(c, 1, 0)
		_, err = stranger.Caller("which").Call(c.T.Context())
		clustertest.RequireError(c.T, err, broach.Unavailable, broach.No)
		require.Equal(c.T, 1, members[0].Stats().Guests)
		require.NotZero(c.T, members[0].Stats().Unopened)
	})
}

// Loss of a tenth each way: calls are answered.
func TestGuestsCallThroughLoss(t *testing.T) {
	for seed := range uint64(5) {
		clustertest.Run(t, seed+1, func(c *clustertest.Cluster) {
			members := cluster(c, 5)
			c.Net.SetDefault(simnet.Link{Loss: 0.1, Delay: 5 * time.Millisecond})
			g := guest(c, 0, 0, 1)
			began := time.Now()
			for i := range 300 {
				_, err := g.Caller("which").Call(c.T.Context())
				require.NoError(c.T, err, "call %d", i)
				if i == 0 {
					c.T.Logf("the first took %v", time.Since(began))
					require.Less(c.T, time.Since(began), time.Second)
				}
			}
			for i := range members {
				_, err := g.Caller("which", broach.On(members[i].Addr())).Call(c.T.Context())
				require.NoError(c.T, err)
			}
		})
	}
}
