package guests

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// Without a seed that answers a call fails within a second or so, and says what became of the seeds.
func TestAGuestWithoutASeedSaysSo(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		g := guest(c, 0, 7)
		began := time.Now()
		_, err := g.Caller("f").Call(c.T.Context())
		require.Less(c.T, time.Since(began), 1500*time.Millisecond)
		e := clustertest.RequireError(c.T, err, broach.Unavailable, broach.No)
		require.Contains(c.T, e.Message, "no seed has answered; this node has not joined its cluster: 10.0.0.8:7000")

		ctx, cancel := context.WithTimeout(c.T.Context(), 50*time.Millisecond)
		defer cancel()
		_, err = g.Caller("f").Call(ctx)
		clustertest.RequireError(c.T, err, broach.DeadlineExceeded, broach.No)
		require.ErrorIs(c.T, g.WaitJoined(ctx), context.DeadlineExceeded)

		_, err = g.Caller("f", broach.WaitReady(), broach.Timeout(3*time.Second)).Call(c.T.Context())
		clustertest.RequireError(c.T, err, broach.DeadlineExceeded, broach.No)
		late := c.Start(7)
		require.NoError(c.T, late.Register("f", func() {}))
		_, err = g.Caller("f", broach.WaitReady()).Call(c.T.Context())
		require.NoError(c.T, err)
	})
}

// A guest that was given no seed is refused at its start.
func TestAGuestNeedsASeed(t *testing.T) {
	_, err := broach.Start(broach.Config{Guest: true})
	require.EqualError(t, err, "broach: config: Guest: true: needs Join (params.clusterAddress): "+
		"a guest asks a member where functions are")
}

// 500 first calls at once, and the end of the guest in the middle of others.
func TestManyCallsOfAGuestAtOnce(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		members := cluster(c, 6)
		for range 3 {
			g := guest(c, 0, 0, 1)
			var all sync.WaitGroup
			for range 500 {
				all.Go(func() {
					_, err := g.Caller("which").Call(c.T.Context())
					require.NoError(c.T, err)
				})
			}
			all.Wait()
			for range 100 {
				all.Go(func() {
					for {
						if _, err := g.Caller("which").Call(c.T.Context()); err != nil {
							require.ErrorIs(c.T, err, broach.ErrClosed)
							return
						}
					}
				})
			}
			time.Sleep(20 * time.Millisecond)
			require.NoError(c.T, g.Close())
			all.Wait()
		}
		time.Sleep(time.Second)
		for _, n := range members {
			require.Zero(c.T, n.Stats().Guests)
		}
	})
}

// The end of a guest does not wait for a seed that does not answer.
func TestAGuestClosesWhileItsSeedIsSilent(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		members := cluster(c, 2)
		g := guest(c, 0, 0)
		require.NoError(c.T, g.WaitJoined(c.T.Context()))
		c.Kill(members[0])
		var call sync.WaitGroup
		call.Go(func() {
			_, err := g.Caller("which").Call(context.Background())
			clustertest.RequireError(c.T, err, broach.Closed, broach.No)
		})
		time.Sleep(100 * time.Millisecond)
		began := time.Now()
		require.NoError(c.T, g.Close())
		call.Wait()
		require.Less(c.T, time.Since(began), 400*time.Millisecond)
	})
}

// Leave of a guest waits for its calls, and for nothing else.
func TestAGuestLeaves(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		members := cluster(c, 3)
		require.NoError(c.T, members[1].Register("slow", func() { time.Sleep(time.Second) }))
		time.Sleep(time.Second)
		g := guest(c, 0, 0)
		var call sync.WaitGroup
		call.Go(func() { _, err := g.Caller("slow").Call(context.Background()); require.NoError(c.T, err) })
		time.Sleep(100 * time.Millisecond)
		began := time.Now()
		require.NoError(c.T, g.Leave(c.T.Context()))
		require.InDelta(c.T, 0.9, time.Since(began).Seconds(), 0.1)
		call.Wait()
	})
}

// Providers that are restarted one after the other, by Leave, under calls of a guest: none fails. The seed is one.
func TestARollingRestartUnderCallsOfAGuest(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		members := append([]*broach.Node(nil), cluster(c, 4)...)
		g := guest(c, 0, 0, 1, 2)
		ctx, cancel := context.WithCancel(c.T.Context())
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for ctx.Err() == nil {
					_, err := g.Caller("which").Call(context.Background())
					require.NoError(c.T, err)
					time.Sleep(2 * time.Millisecond)
				}
			})
		}
		time.Sleep(time.Second)
		for i := range members {
			require.NoError(c.T, members[i].Leave(c.T.Context()))
			members[i] = c.Start(i, 0, 1, 2)
			require.NoError(c.T, members[i].Register("which", func() int { return i }, broach.Idempotent()))
			time.Sleep(2 * time.Second)
		}
		cancel()
		all.Wait()
	})
}

// A member that is killed and started anew at its address under calls of a guest: those that may be made twice succeed.
func TestARestartedProviderUnderCallsOfAGuest(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		members := cluster(c, 3)
		g := guest(c, 0, 0)
		for i := range 2000 {
			_, err := g.Caller("which", broach.On(members[2].Addr())).Call(c.T.Context())
			if i < 500 || i > 1500 {
				require.NoError(c.T, err, i)
			}
			if i == 500 {
				c.Kill(members[2])
				n := c.Start(2, 0)
				require.NoError(c.T, n.Register("which", func() int { return 2 }, broach.Idempotent()))
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
}

// The only provider begins anew at its address again and again, by Leave or killed: a guest that waits for one has it
// soon after it is back.
func TestTheOnlyProviderOfAGuestBeginsAnew(t *testing.T) {
	for name, end := range map[string]func(c *clustertest.Cluster, n *broach.Node){
		"leaves":    func(c *clustertest.Cluster, n *broach.Node) { require.NoError(c.T, n.Leave(c.T.Context())) },
		"is killed": func(c *clustertest.Cluster, n *broach.Node) { c.Kill(n) },
	} {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				c.Start(0)
				g := guest(c, 0, 0)
				f := g.Caller("which", broach.WaitReady(), broach.Timeout(time.Minute))
				for range 5 {
					n := c.Start(1, 0)
					require.NoError(c.T, n.Register("which", func() int { return 1 }, broach.Idempotent()))
					began := time.Now()
					for range 50 {
						_, err := f.Call(c.T.Context())
						require.NoError(c.T, err)
						time.Sleep(20 * time.Millisecond)
					}
					require.Less(c.T, time.Since(began), 3*time.Second)
					end(c, n)
					time.Sleep(500 * time.Millisecond)
				}
			})
		})
	}
}

// A seed says where functions are also while its workers have no time.
func TestABusySeedAnswersGuests(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Edit = func(cfg *broach.Config) { cfg.Pool = broach.Pool{Core: 1, Max: 1, Queue: 1, RejectWhenFull: true} }
		members := cluster(c, 2)
		require.NoError(c.T, members[0].Register("hang", clustertest.Hang))
		require.NoError(c.T, members[1].Register("free", func() {}))
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(c.T.Context())
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { _, _ = members[1].Caller("hang").Call(ctx) })
		}
		time.Sleep(100 * time.Millisecond)
		g := guest(c, 0, 0)
		_, err := g.Caller("free").Call(c.T.Context())
		require.NoError(c.T, err)
		cancel()
		all.Wait()
	})
}

// Members and Services are what the seed says, Stats and Watch what the guest knows itself.
func TestWhatAGuestSees(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		members := cluster(c, 5)
		require.NoError(c.T, members[2].Register("f", func() {}))
		time.Sleep(time.Second)
		g := guest(c, 0, 0, 1)
		list := g.Members()
		require.Equal(c.T, clustertest.AddrsOf(members), addrsOf(list))
		for _, m := range list {
			require.Equal(c.T, broach.Alive, m.State)
			require.False(c.T, m.Self)
		}
		services := g.Services()
		require.Len(c.T, services, 2)
		require.Equal(c.T, "f()", services[0].Signature)
		require.Len(c.T, services[1].Providers, 5)
		require.Len(c.T, g.Stats().Peers, 1)
		_, err := g.Caller("f").Call(c.T.Context())
		require.NoError(c.T, err)
		require.Len(c.T, g.Stats().Peers, 2)
		v, err := g.Inspect(c.T.Context(), members[4].Addr(), broach.ViewMembers)
		require.NoError(c.T, err)
		require.Len(c.T, v.Members, 5)
		_, err = g.Inspect(c.T.Context(), clustertest.StrangerAddr)
		clustertest.RequireError(c.T, err, broach.Unreachable, broach.No)

		require.Error(c.T, g.Forget(members[0].Addr()))
		require.ErrorIs(c.T, g.Forget(members[3].Addr()), broach.ErrNotFound)
		require.Empty(c.T, g.Topics())
		require.NoError(c.T, g.Join(members[1].Addr().String()))
		time.Sleep(time.Minute)
		require.Len(c.T, g.Stats().Peers, 1)

		c.Kill(members[0])
		time.Sleep(700 * time.Millisecond)
		began := time.Now()
		list = g.Members()
		require.LessOrEqual(c.T, time.Since(began), 3*time.Second)
		require.Len(c.T, list, 5)
		require.Equal(c.T, broach.Offline, list[0].State, "as the next seed says")
		c.Kill(members[1])
		time.Sleep(12 * time.Second)
		require.Empty(c.T, g.Members(), "what was said longer ago is nothing")
		require.NoError(c.T, g.Close())
		require.Empty(c.T, g.Services())
	})
}

func addrsOf(members []broach.Member) (list []netip.AddrPort) {
	for _, m := range members {
		list = append(list, m.Addr)
	}
	return list
}

// Nobody calls a guest: it offers nothing, not even what every member does.
func TestNobodyCallsAGuest(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		members := cluster(c, 2)
		g := guest(c, 0, 0)
		require.NoError(c.T, g.WaitJoined(c.T.Context()))
		_, err := members[0].Inspect(c.T.Context(), g.Addr())
		clustertest.RequireError(c.T, err, broach.NotFound, broach.No)
		require.NoError(c.T, members[0].Join(g.Addr().String()), "a member that takes it for a seed gets no link")
		time.Sleep(30 * time.Second)
		require.Len(c.T, members[0].Members(), 2)
		require.Equal(c.T, 1, members[0].Stats().Guests)
		require.Len(c.T, g.Stats().Peers, 1)
	})
}

// Calls go on where the seed refuses to say more: what it said last is used still. What it refused is not asked again
// and again.
func TestCallsGoOnWhileTheSeedRefusesToSayMore(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		cluster(c, 3)
		g := guest(c, 0, 0)
		call := func(name string) error {
			_, err := g.Caller(name).Call(c.T.Context())
			return err
		}
		require.NoError(c.T, call("which"))
		for round := range 5 {
			time.Sleep(1100 * time.Millisecond) // what was said is not fresh any more
			for i := range 300 {
				require.Error(c.T, call(fmt.Sprint("nothing", i)))
			}
			clustertest.RequireError(c.T, call("other"), broach.Unavailable, broach.No)
			require.NoError(c.T, call("which"), round)
		}
		before := g.Stats().DatagramsOut
		for range 200 {
			clustertest.RequireError(c.T, call("other"), broach.Unavailable, broach.No)
			time.Sleep(time.Millisecond)
		}
		require.Less(c.T, g.Stats().DatagramsOut-before, uint64(20))
	})
}
