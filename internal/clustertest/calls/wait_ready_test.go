package calls

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// add is the function that calls wait for.
func add(x, y int) int { return x + y }

// whileWaiting runs a test on node 0, which knows of one other that offers nothing.
func whileWaiting(t *testing.T, test func(c *clustertest.Cluster, caller, other *broach.Node)) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		caller, other := c.Start(0), c.Start(1, 0)
		c.Settle(time.Second)
		test(c, caller, other)
	})
}

// "has a call that finds no provider wait for one until its deadline": in every form of a call.
func TestCallsWaitForAProvider(t *testing.T) {
	whileWaiting(t, func(c *clustertest.Cluster, caller, other *broach.Node) {
		_, err := caller.Caller("add").Call(context.Background(), 1, 2)
		clustertest.RequireError(t, err, broach.NotFound, broach.No)

		f, began := caller.Caller("add", broach.WaitReady()), time.Now()
		var all sync.WaitGroup
		all.Go(func() {
			v, err := f.Call(context.Background(), 1, 2)
			require.NoError(t, err)
			require.Equal(t, 3, v)
		})
		all.Go(func() {
			v, err := broach.Bind[func(int, int) (int, error)](caller, "add", broach.WaitReady())(1, 2)
			require.NoError(t, err)
			require.Equal(t, 3, v)
		})
		all.Go(func() { require.NoError(t, f.Send(context.Background(), 1, 2)) })
		all.Go(func() {
			_, err := broach.Go[int](context.Background(), f, 1, 2).Wait()
			require.NoError(t, err)
		})
		all.Go(func() {
			for r := range f.All(context.Background(), 1, 2) {
				require.NoError(t, r.Err)
				require.Equal(t, other.Addr(), r.Node)
			}
		})
		time.Sleep(3 * time.Second)
		require.NoError(t, other.Register("add", add))
		all.Wait()
		require.Less(t, time.Since(began), 3*time.Second+200*time.Millisecond)
	})
}

// "If none comes it is DeadlineExceeded, Executed No, with what was waited for."
func TestCallsWaitInVain(t *testing.T) {
	whileWaiting(t, func(c *clustertest.Cluster, caller, other *broach.Node) {
		f, began := caller.Caller("add", broach.WaitReady(), broach.Timeout(3*time.Second)), time.Now()
		_, err := f.Call(context.Background())
		clustertest.RequireError(t, err, broach.DeadlineExceeded, broach.No)
		require.ErrorContains(t, err, "NotFound: no node offers this function")
		require.Equal(t, 3*time.Second, time.Since(began))
		for r := range f.All(context.Background()) {
			clustertest.RequireError(t, r.Err, broach.DeadlineExceeded, broach.No)
		}
		ctx, cancel := context.WithDeadline(context.Background(), time.Now())
		defer cancel()
		_, err = f.Call(ctx)
		clustertest.RequireError(t, err, broach.DeadlineExceeded, broach.No)

		ctx, cancel = context.WithCancel(context.Background())
		called := broach.Go[any](ctx, f)
		time.Sleep(time.Second)
		cancel()
		_, err = called.Wait()
		clustertest.RequireError(t, err, broach.Canceled, broach.No)

		clustertest.Offer(c, other, caller, "add", add)
		_, err = f.Call(context.Background(), "a")
		clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
		require.NoError(t, other.Unregister("add"))
		c.Settle(time.Second)
		called = broach.Go[any](context.Background(), f)
		time.Sleep(time.Second)
		require.NoError(t, caller.Close())
		_, err = called.Wait()
		clustertest.RequireError(t, err, broach.Closed, broach.No)
	})
}

// A provider that is killed and restarted, one that serves again, and one whose breaker is open are waited for.
func TestCallsWaitForAProviderThatComesBack(t *testing.T) {
	whileWaiting(t, func(c *clustertest.Cluster, caller, other *broach.Node) {
		clustertest.Offer(c, other, caller, "add", add)
		f := caller.Caller("add", broach.WaitReady(), broach.Timeout(time.Minute))
		require.NoError(t, other.SetServing("add", false))
		c.Settle(time.Second)
		called := broach.Go[int](context.Background(), f, 1, 2)
		time.Sleep(time.Second)
		require.NoError(t, other.SetServing("add", true))
		_, err := called.Wait()
		require.NoError(t, err)

		c.Kill(other)
		time.Sleep(5 * time.Second)
		called = broach.Go[int](context.Background(), f, 1, 2)
		time.Sleep(time.Second)
		c.Edit = func(cfg *broach.Config) { cfg.RandSeed = 99 }
		require.NoError(t, c.Start(1, 0).Register("add", add))
		_, err = called.Wait()
		require.NoError(t, err)
	})
	withPatient(t, 0, func(c *clustertest.Cluster, caller *broach.Node, p *patient) {
		p.ill.Store(true)
		for range 5 {
			_, _ = caller.Caller("f").Call(context.Background())
		}
		p.ill.Store(false)
		began := time.Now()
		_, err := caller.Caller("f", broach.WaitReady(), broach.Timeout(time.Minute)).Call(context.Background())
		require.NoError(t, err)
		require.Less(t, time.Since(began), 7*time.Second)
	})
}

// Ten thousand calls that wait are all done when a provider comes, and it refuses none.
func TestManyCallsWaitForOneProvider(t *testing.T) {
	whileWaiting(t, func(c *clustertest.Cluster, caller, other *broach.Node) {
		f := caller.Caller("add", broach.WaitReady(), broach.Timeout(time.Minute))
		var all sync.WaitGroup
		var failed atomic.Int64
		var last atomic.Value
		for range 10_000 {
			all.Go(func() {
				if _, err := f.Call(context.Background(), 1, 2); err != nil {
					failed.Add(1)
					last.Store(err)
				}
			})
		}
		time.Sleep(time.Second)
		began := time.Now()
		require.NoError(t, other.Register("add", func(int, int) { time.Sleep(10 * time.Millisecond) }))
		all.Wait()
		t.Logf("done after %v, %d failed, the last with %v; %d refused", time.Since(began), failed.Load(), last.Load(),
			other.Stats().Rejected)
		require.Zero(t, failed.Load())
	})
}
