package calls

import (
	"context"
	"net"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// Every waiter of a node that closes gets ErrClosed, and so does everybody who comes later.
func TestClosingEndsEveryCall(t *testing.T) {
	clustertest.InPair(t, map[string]any{"hang": clustertest.Hang}, func(
		c *clustertest.Cluster, provider, caller *broach.Node,
	) {
		stuck := make(chan struct{})
		clustertest.Offer(c, provider, caller, "stuck", func() { <-stuck })
		type wait func(n *broach.Node) error
		call := func(name string) wait {
			return func(n *broach.Node) error { _, err := n.Caller(name).Call(c.T.Context()); return err }
		}
		waits := []wait{call("hang"), call("stuck"),
			func(n *broach.Node) error { return n.WaitFor(c.T.Context(), "none", 1) }}
		for _, n := range []*broach.Node{caller, provider} {
			failed := make(chan error, len(waits))
			for _, w := range waits {
				go func() { failed <- w(n) }()
			}
			time.Sleep(100 * time.Millisecond)
			start := time.Now()
			go n.Close()
			for range waits {
				err := <-failed
				require.ErrorIs(c.T, err, broach.ErrClosed)
				require.ErrorIs(c.T, err, net.ErrClosed)
			}
			require.Less(c.T, time.Since(start), time.Millisecond)
			for _, w := range waits {
				require.ErrorIs(c.T, w(n), broach.ErrClosed)
			}
			require.ErrorIs(c.T, n.Register("late", func() {}), broach.ErrClosed)
			require.ErrorIs(c.T, n.Unregister("hang"), broach.ErrClosed)
			require.ErrorIs(c.T, n.Join("127.0.0.1:1"), broach.ErrClosed)
		}
		close(stuck)
	})
}

// A function that the closing of its node stops was not canceled by its caller.
func TestAProviderThatClosesIsUnreachable(t *testing.T) {
	clustertest.InPair(t, map[string]any{"hang": clustertest.Hang}, func(
		c *clustertest.Cluster, provider, caller *broach.Node,
	) {
		failed := make(chan error, 1)
		go func() {
			_, err := caller.Caller("hang").Call(c.T.Context())
			failed <- err
		}()
		time.Sleep(100 * time.Millisecond)
		provider.Close()
		err := <-failed
		require.ErrorIs(c.T, err, broach.ErrUnreachable)
		require.NotErrorIs(c.T, err, context.Canceled)
	})
}
