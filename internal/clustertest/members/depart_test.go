package members

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/intruder"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// offerWork offers a function that takes a while.
func offerWork(c *clustertest.Cluster, n *broach.Node, ran *atomic.Int64) {
	require.NoError(c.T, n.Register("work", func(ms int) int {
		time.Sleep(time.Duration(ms) * time.Millisecond)
		ran.Add(1)
		return ms
	}))
}

// A rolling restart of ten nodes under load fails no call, through loss as well, and each call runs once.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	for _, loss := range []float64{0, 0.05} {
		t.Run(fmt.Sprint("loss ", loss), func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				var ran, made atomic.Int64
				for i := range 12 {
					n := c.Start(i, 0, 1)
					if i >= 2 {
						offerWork(c, n, &ran)
					}
				}
				c.Settle(2 * time.Second)
				c.Net.SetDefault(clustertest.Lossy(loss))
				ctx, cancel := context.WithCancel(context.Background())
				var wg sync.WaitGroup
				for k := range 16 {
					wg.Go(func() {
						work := c.Nodes[k%2].Caller("work")
						for ctx.Err() == nil {
							made.Add(1)
							_, err := work.Call(context.Background(), k%4)
							require.NoError(c.T, err)
						}
					})
				}
				var longest time.Duration
				for i := 2; i < 12; i++ {
					time.Sleep(100 * time.Millisecond)
					start := time.Now()
					require.NoError(t, c.Nodes[i].Leave(context.Background()))
					longest = max(longest, time.Since(start))
					offerWork(c, c.Start(i, 0, 1), &ran)
				}
				cancel()
				wg.Wait()
				t.Logf("%d calls, the longest Leave took %v", made.Load(), longest)
				require.Equal(t, made.Load(), ran.Load())
			})
		})
	}
}

// Leave waits for calls that peers have in flight, and meanwhile gets no new ones: neither from those who were there
// nor from those who come.
func TestLeaveWaitsForCallsInFlight(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider, caller := c.Start(0), c.Start(1, 0)
		require.NoError(t, provider.Register("slow", func() { time.Sleep(5 * time.Second) }))
		require.NoError(t, caller.WaitFor(context.Background(), "slow", 1))
		slow := make(chan error, 1)
		go func() { _, err := caller.Caller("slow").Call(context.Background()); slow <- err }()
		time.Sleep(time.Second)
		left := make(chan error, 1)
		go func() { left <- provider.Leave(context.Background()) }()
		time.Sleep(100 * time.Millisecond)
		require.True(t, clustertest.MemberAt(caller, provider.Addr()).Draining)
		_, err := caller.Caller("slow").Call(context.Background())
		clustertest.RequireError(t, err, broach.Unavailable, broach.No)
		late := c.Start(2, 1)
		c.Until(time.Second, "it has come", func() bool { return clustertest.Count(late, broach.Alive) == 2 })
		_, err = late.Caller("slow").Call(context.Background())
		clustertest.RequireError(t, err, broach.Unavailable, broach.No)

		start := time.Now()
		require.NoError(t, <-slow)
		require.NoError(t, <-left)
		require.Less(t, time.Since(start), 4200*time.Millisecond)
		require.Equal(t, broach.Left, clustertest.MemberAt(caller, provider.Addr()).State)
		require.ErrorIs(t, provider.Leave(context.Background()), broach.ErrClosed)
	})
}

// Leave that is cut short closes at once, and says why.
func TestLeaveIsCutShort(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider, caller := c.Start(0), c.Start(1, 0)
		require.NoError(t, provider.Register("slow", func() { time.Sleep(10 * time.Second) }))
		require.NoError(t, caller.WaitFor(context.Background(), "slow", 1))
		slow := make(chan error, 1)
		go func() { _, err := caller.Caller("slow").Call(context.Background()); slow <- err }()
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start := time.Now()
		err := provider.Leave(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "peers still had calls here")
		require.Less(t, time.Since(start), time.Second+300*time.Millisecond+time.Second,
			"[MEM-19] Leave is said for 300 ms at most")
		clustertest.RequireError(t, <-slow, broach.Unreachable, broach.Maybe)
		time.Sleep(10 * time.Second) // until the function has ended
	})
}

// Likewise where what it waits for is a call of its own, which ends as by Close.
func TestLeaveIsCutShortByAnOwnCall(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider, leaver := c.Start(0), c.Start(1, 0)
		require.NoError(t, provider.Register("slow", func() { time.Sleep(10 * time.Second) }))
		require.NoError(t, leaver.WaitFor(context.Background(), "slow", 1))
		slow := make(chan error, 1)
		go func() { _, err := leaver.Caller("slow").Call(context.Background()); slow <- err }()
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start := time.Now()
		err := leaver.Leave(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "this node still had calls in flight")
		require.Less(t, time.Since(start), time.Second+300*time.Millisecond+time.Second)
		require.ErrorIs(t, <-slow, broach.ErrClosed)
		time.Sleep(10 * time.Second) // until the function has ended
	})
}

// Leave waits for the calls that this process makes, to others and to itself, and lets no new ones begin.
func TestLeaveWaitsForOwnCalls(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider, leaver := c.Start(0), c.Start(1, 0)
		for i, n := range c.Nodes {
			require.NoError(t, n.Register(fmt.Sprint("slow", i), func() { time.Sleep(3 * time.Second) }))
		}
		require.NoError(t, leaver.WaitFor(context.Background(), "slow0", 1))
		done := make(chan error, 2)
		for i := range 2 {
			go func() { _, err := leaver.Caller(fmt.Sprint("slow", i)).Call(context.Background()); done <- err }()
		}
		time.Sleep(time.Second)
		left := make(chan error, 1)
		go func() { left <- leaver.Leave(context.Background()) }()
		time.Sleep(time.Second)
		_, err := leaver.Caller("slow0").Call(context.Background())
		clustertest.RequireError(t, err, broach.Closed, broach.No)
		require.NoError(t, <-done)
		require.NoError(t, <-done)
		require.NoError(t, <-left)
		require.Equal(t, broach.Left, clustertest.MemberAt(provider, leaver.Addr()).State)
	})
}

// All nodes leave at the same time, each with a call to the next one whose function calls on: that finds nobody, and
// nobody waits for ever.
func TestAllLeaveAtOnce(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		for i := range 3 {
			n := c.Start(i, 0)
			require.NoError(t, n.Register(fmt.Sprint("inner", i), func() { time.Sleep(time.Second) }))
			require.NoError(t, n.Register(fmt.Sprint("outer", i), func(ctx context.Context) error {
				time.Sleep(time.Second)
				_, err := n.Caller(fmt.Sprint("inner", (i+1)%3)).Call(ctx)
				return err
			}))
		}
		c.Settle(2 * time.Second)
		for i, n := range c.Nodes {
			require.NoError(t, n.WaitFor(context.Background(), fmt.Sprint("outer", (i+1)%3), 1))
		}
		var wg sync.WaitGroup
		for i, n := range c.Nodes {
			wg.Go(func() {
				_, err := n.Caller(fmt.Sprint("outer", (i+1)%3)).Call(context.Background())
				clustertest.RequireError(t, err, broach.Unavailable, broach.Yes)
			})
		}
		time.Sleep(500 * time.Millisecond)
		for _, n := range c.Nodes {
			wg.Go(func() { require.NoError(t, n.Leave(context.Background())) })
		}
		wg.Wait()
	})
}

// A dead peer is not waited for longer than it takes to find that out, and who is alone leaves at once.
func TestLeaveDoesNotWaitForTheDead(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		leaver := c.Start(0)
		dead := c.Start(1, 0)
		c.Settle(2 * time.Second)
		c.Kill(dead)
		start := time.Now()
		require.NoError(t, leaver.Leave(context.Background()))
		require.Less(t, time.Since(start), 2500*time.Millisecond)
		alone := c.Start(2)
		start = time.Now()
		require.NoError(t, alone.Leave(context.Background()))
		require.Less(t, time.Since(start), 10*time.Millisecond)
	})
}

// [MEM-27] From the first on the peer begins no call to it. It answers each Drain that comes while none of its calls to
// it is in flight, and others not, not later either. When all peers have answered, the node refuses
// what comes as Draining.
func TestDrainingIsAnswered(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider, caller := c.Start(0), c.Start(1, 0)
		hold, release := context.WithCancel(context.Background())
		defer release()
		inFlight, answer := context.WithCancel(hold)
		defer answer()
		require.NoError(t, provider.Register("hold", func() { <-hold.Done() }))
		require.NoError(t, provider.Register("wait", func() { <-inFlight.Done() }))
		require.NoError(t, provider.Register("f", func() {}))
		require.NoError(t, caller.WaitFor(context.Background(), "f", 1))
		c.Settle(time.Second)
		rude, replies := startRude(c, provider)
		defer rude.Close()
		left := make(chan error, 1)
		long := broach.Timeout(time.Minute)
		held := broach.Go[any](context.Background(), provider.Caller("hold", long)) // the node stays meanwhile
		waits := broach.Go[any](context.Background(), caller.Caller("wait", long))
		time.Sleep(time.Second)

		var chosen time.Time
		late := clustertest.PickFunc(func(broach.CallInfo, []broach.Provider) int {
			go func() { left <- provider.Leave(context.Background()) }()
			time.Sleep(time.Second)
			chosen = time.Now()
			return 0
		})
		_, err := caller.Caller("f", broach.Balance(late), broach.NoRetry()).Call(context.Background())
		clustertest.RequireError(t, err, broach.Draining, broach.No)
		require.Zero(t, time.Since(chosen), "it was not even sent")
		require.True(t, clustertest.MemberAt(caller, provider.Addr()).Draining)
		_, err = provider.Caller("f").Call(context.Background())
		require.NoError(t, err, "a call is in flight: the caller has not answered")

		answer()
		_, err = waits.Wait()
		require.NoError(t, err)
		time.Sleep(time.Second)
		_, err = provider.Caller("f").Call(context.Background())
		clustertest.RequireError(t, err, broach.Closed, broach.No)
		require.False(t, clustertest.IsClosed(provider))
		require.True(t, rude.Say(provider.Addr(), intruder.Request(0, 1, 1000, "f", []byte{0x90})))
		reply := <-replies
		require.Equal(t, []any{wire.Code(broach.Draining), wire.ExecutedNo}, []any{reply.Code, reply.Executed})

		release()
		_, err = held.Wait()
		require.NoError(t, err)
		require.NoError(t, <-left)
	})
}

// startRude starts a member for a node that does as a member does, and calls whom it wants.
func startRude(c *clustertest.Cluster, n *broach.Node) (*intruder.Intruder, <-chan wire.Reply) {
	conn, err := c.Net.Listen(clustertest.HiddenAddr(0))
	require.NoError(c.T, err)
	replies := make(chan wire.Reply, 10)
	process := intruder.NewProcess(clustertest.HiddenAddr(0), "default", nil, 1)
	rude := intruder.Start(conn, process, func(i *intruder.Intruder) {
		i.Hear = func(_ *intruder.Link, m intruder.Message) ([]intruder.Message, bool) {
			if m.Kind != intruder.KindReply {
				return nil, false
			}
			reply, err := wire.ConsumeReply(bytes.Clone(m.Body))
			require.NoError(c.T, err)
			replies <- reply
			return nil, true
		}
	})
	_, isMember := rude.Link(n.Addr())
	require.True(c.T, isMember)
	return rude, replies
}
