package broach

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// narrow is a pool with a worker and one place in the queue.
func narrow(reject bool) func(*Config) {
	return func(cfg *Config) { cfg.Pool = Pool{Core: 1, Max: 1, Queue: 1, RejectWhenFull: reject} }
}

func TestAFullQueueThatRejects(t *testing.T) {
	inPair(t, map[string]any{"hang": hang}, func(c *cluster, provider, caller *Node) {
		for _, n := range []*Node{provider, caller} {
			ctx, cancel := context.WithCancel(c.t.Context())
			var calls sync.WaitGroup
			for range 2 {
				calls.Go(func() { _, _ = n.Caller("hang").Call(ctx) })
				time.Sleep(time.Millisecond)
			}
			start := time.Now()
			_, err := n.Caller("hang").Call(ctx)
			e := requireError(c.t, err, Overloaded, No)
			require.Equal(c.t, provider.Addr().String(), e.Node)
			require.Less(c.t, time.Since(start), time.Millisecond)
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
	inPair(t, map[string]any{"slow": slow}, func(c *cluster, provider, caller *Node) {
		for _, n := range []*Node{provider, caller} {
			ran.Store(0)
			var calls sync.WaitGroup
			for range 20 {
				calls.Go(func() {
					_, err := n.Caller("slow").Call(c.t.Context())
					require.NoError(c.t, err)
				})
			}
			calls.Wait()
			require.EqualValues(c.t, 20, ran.Load())
		}
	}, narrow(false))
}

// A call whose turn does not come before its deadline is not run late.
func TestACallThatExpiresInTheQueueDoesNotRun(t *testing.T) {
	var ran atomic.Int32
	functions := map[string]any{"hang": hang, "count": func() { ran.Add(1) }}
	inPair(t, functions, func(c *cluster, provider, caller *Node) {
		for _, n := range []*Node{provider, caller} {
			long, cancel := context.WithCancel(c.t.Context())
			go func() { _, _ = n.Caller("hang").Call(long) }()
			time.Sleep(10 * time.Millisecond)
			short, stop := context.WithTimeout(c.t.Context(), 50*time.Millisecond)
			_, err := n.Caller("count").Call(short)
			stop()
			require.ErrorIs(c.t, err, ErrDeadlineExceeded)
			cancel()
			time.Sleep(100 * time.Millisecond)
			require.Zero(c.t, ran.Load())
		}
	}, narrow(true))
}
