package calls

import (
	"context"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// linkOf is a network of that delay each way.
func linkOf(delay time.Duration) simnet.Link { return simnet.Link{Delay: delay} }

// What a provider refuses is counted with its code, though it did not run.
func TestRefusedCallsAreCounted(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider, caller := c.Start(0), c.Start(1, 0)
		clustertest.Offer(c, provider, caller, "narrow", clustertest.Hang, broach.MaxConcurrent(1))
		clustertest.Offer(c, provider, caller, "guarded", func() {},
			broach.Authorize(func(context.Context, *broach.Invocation) error { return broach.ErrUnauthenticated }))
		clustertest.Offer(c, provider, caller, "paused", func() {})
		ctx, cancel := context.WithCancel(c.T.Context())
		running := broach.Go[struct{}](ctx, caller.Caller("narrow"))
		time.Sleep(10 * time.Millisecond)
		for i, n := range []*broach.Node{caller, provider} {
			_, err := n.Caller("narrow", broach.NoRetry()).Call(ctx)
			clustertest.RequireError(t, err, broach.Overloaded, broach.No)
			err = n.Caller("narrow", broach.NoRetry()).Send(ctx)
			clustertest.RequireError(t, err, broach.Overloaded, broach.No)
			require.Equal(t, []string{"2: 2 Overloaded, 1 running", "4: 4 Overloaded, 1 running"}[i],
				served(t, provider, "narrow"))
			_, err = n.Caller("guarded").Call(ctx)
			clustertest.RequireError(t, err, broach.Unauthenticated, broach.No)
			require.Equal(t, []string{"1: 1 Unauthenticated", "2: 2 Unauthenticated"}[i],
				served(t, provider, "guarded"))
		}
		require.EqualValues(t, 0, clustertest.CountsOf(provider.Stats().Served, "narrow").Waiting.Sum)
		require.NoError(t, provider.SetServing("paused", false))
		_, err := caller.Caller("paused", broach.NoRetry()).Call(ctx) // which does not know that yet
		clustertest.RequireError(t, err, broach.Unavailable, broach.No)
		require.Equal(t, "1: 1 Unavailable", served(t, provider, "paused"))
		cancel()
		_, err = running.Wait()
		require.Error(t, err)
		require.Equal(t, "3: 1 Canceled, 2 Overloaded", called(t, caller, "narrow"))
	})
}

// A full queue refuses, and what expires in it is shed: both are counted, and nothing is running afterwards.
func TestAFullQueueIsCounted(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Edit = func(cfg *broach.Config) {
			cfg.Pool = broach.Pool{Core: 1, Max: 1, Queue: 2, RejectWhenFull: true}
		}
		provider, caller := c.Start(0), c.Start(1, 0)
		clustertest.Offer(c, provider, caller, "slow", func() { time.Sleep(time.Second) })
		for i, n := range []*broach.Node{caller, provider} {
			var all []*broach.Future[struct{}]
			for range 5 { // one runs, two wait, two are refused
				f := n.Caller("slow", broach.NoRetry(), broach.NoBreaker(), broach.Timeout(500*time.Millisecond))
				all = append(all, broach.Go[struct{}](c.T.Context(), f))
				time.Sleep(time.Millisecond)
			}
			for _, f := range all {
				_, err := f.Wait()
				require.Error(t, err)
			}
			time.Sleep(3 * time.Second)
			want := []string{"5: 2 DeadlineExceeded, 2 Overloaded", "10: 4 DeadlineExceeded, 4 Overloaded"}[i]
			require.Equal(t, want, served(t, provider, "slow"))
			require.Equal(t, "5: 3 DeadlineExceeded, 2 Overloaded", called(t, n, "slow"))
			at := clustertest.CountsOf(provider.Stats().Served, "slow")
			ran := map[string]uint64{"50µs": uint64(i + 1)}
			require.Equal(t, ran, clustertest.Classes(at.Waiting), "those that ran")
		}
	})
}

// What a node has counted can be asked when it has left, too, and what it is asked to do then is counted.
func TestANodeThatHasLeftHasCounted(t *testing.T) {
	clustertest.InPair(t, map[string]any{"f": func() { time.Sleep(3 * time.Second) }},
		func(c *clustertest.Cluster, provider, caller *broach.Node) {
			first := broach.Go[struct{}](c.T.Context(), caller.Caller("f"))
			time.Sleep(10 * time.Millisecond)
			require.NoError(t, provider.Leave(context.Background()))
			_, err := first.Wait()
			require.NoError(t, err)
			for _, name := range []string{"f", "nobody's"} {
				_, err = provider.Caller(name).Call(c.T.Context())
				clustertest.RequireError(t, err, broach.Closed, broach.No)
			}
			require.Equal(t, "1: 1 Closed", called(t, provider, "f"))
			require.Equal(t, "1: 1 Closed", called(t, provider, ""))
			require.Equal(t, "1", served(t, provider, "f"))
			require.Equal(t, "1", called(t, caller, "f"))
		})
}
