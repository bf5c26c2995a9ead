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

// narrow is a pool with a worker and one place in the queue.
func narrow(reject bool) func(*broach.Config) {
	return func(cfg *broach.Config) { cfg.Pool = broach.Pool{Core: 1, Max: 1, Queue: 1, RejectWhenFull: reject} }
}

func TestAFullQueueThatRejects(t *testing.T) {
	clustertest.InPair(t, map[string]any{"hang": clustertest.Hang}, func(
		c *clustertest.Cluster, provider, caller *broach.Node,
	) {
		for _, n := range []*broach.Node{provider, caller} {
			ctx, cancel := context.WithCancel(c.T.Context())
			var calls sync.WaitGroup
			for range 2 {
				calls.Go(func() { _, _ = n.Caller("hang").Call(ctx) })
				time.Sleep(time.Millisecond)
			}
			start := time.Now()
			_, err := n.Caller("hang").Call(ctx)
			e := clustertest.RequireError(c.T, err, broach.Overloaded, broach.No)
			require.Equal(c.T, provider.Addr().String(), e.Node)
			require.Less(c.T, time.Since(start), time.Millisecond)
			cancel()
			calls.Wait()
			time.Sleep(time.Millisecond)
		}
	}, narrow(true))
}

// With a queue that does not reject, every call is answered, and none runs twice.
func TestAFullQueueThatSlowsDown(t *testing.T) {
	var ran atomic.Int32
	slow := func() { ran.Add(1); time.Sleep(20 * time.Millisecond) }
	clustertest.InPair(t, map[string]any{"slow": slow}, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for _, n := range []*broach.Node{provider, caller} {
			ran.Store(0)
			var calls sync.WaitGroup
			for range 20 {
				calls.Go(func() {
					_, err := n.Caller("slow").Call(c.T.Context())
					require.NoError(c.T, err)
				})
			}
			calls.Wait()
			require.EqualValues(c.T, 20, ran.Load())
		}
	}, narrow(false))
}

// A call whose turn does not come before its deadline is not run late.
func TestACallThatExpiresInTheQueueDoesNotRun(t *testing.T) {
	var ran atomic.Int32
	functions := map[string]any{"hang": clustertest.Hang, "count": func() { ran.Add(1) }}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for _, n := range []*broach.Node{provider, caller} {
			long, cancel := context.WithCancel(c.T.Context())
			go func() { _, _ = n.Caller("hang").Call(long) }()
			time.Sleep(10 * time.Millisecond)
			short, stop := context.WithTimeout(c.T.Context(), 50*time.Millisecond)
			_, err := n.Caller("count").Call(short)
			stop()
			require.ErrorIs(c.T, err, broach.ErrDeadlineExceeded)
			cancel()
			time.Sleep(100 * time.Millisecond)
			require.Zero(c.T, ran.Load())
		}
	}, narrow(true))
}
