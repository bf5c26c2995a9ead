package broach

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every waiter of a node that closes gets ErrClosed, and so does everybody who comes later.
func TestClosingEndsEveryCall(t *testing.T) {
	inPair(t, map[string]any{"hang": hang}, func(c *cluster, provider, caller *Node) {
		stuck := make(chan struct{})
		offer(c, provider, caller, "stuck", func() { <-stuck })
		type wait func(n *Node) error
		call := func(name string) wait {
			return func(n *Node) error { _, err := n.Caller(name).Call(c.t.Context()); return err }
		}
		waits := []wait{call("hang"), call("stuck"), func(n *Node) error { return n.WaitFor(c.t.Context(), "none", 1) }}
		for _, n := range []*Node{caller, provider} {
			failed := make(chan error, len(waits))
			for _, w := range waits {
				go func() { failed <- w(n) }()
			}
			time.Sleep(100 * time.Millisecond)
			start := time.Now()
			go n.Close()
			for range waits {
				err := <-failed
				require.ErrorIs(c.t, err, ErrClosed)
				require.ErrorIs(c.t, err, net.ErrClosed)
			}
			require.Less(c.t, time.Since(start), time.Millisecond)
			for _, w := range waits {
				require.ErrorIs(c.t, w(n), ErrClosed)
			}
			require.ErrorIs(c.t, n.Register("late", func() {}), ErrClosed)
			require.ErrorIs(c.t, n.Unregister("hang"), ErrClosed)
			require.ErrorIs(c.t, n.Join("127.0.0.1:1"), ErrClosed)
		}
		close(stuck)
	})
}

// A function that the closing of its node stops was not canceled by its caller.
func TestAProviderThatClosesIsUnreachable(t *testing.T) {
	inPair(t, map[string]any{"hang": hang}, func(c *cluster, provider, caller *Node) {
		failed := make(chan error, 1)
		go func() {
			_, err := caller.Caller("hang").Call(c.t.Context())
			failed <- err
		}()
		time.Sleep(100 * time.Millisecond)
		provider.Close()
		err := <-failed
		require.ErrorIs(c.t, err, ErrUnreachable)
		require.NotErrorIs(c.t, err, context.Canceled)
	})
}
