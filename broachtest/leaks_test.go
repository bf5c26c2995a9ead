package broachtest_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"broach"
	"broach/broachtest"

	"github.com/stretchr/testify/require"
)

// What a cluster and its nodes start is gone when its test has ended, in which state these ever are.
func TestAllEndsWithTheTest(t *testing.T) {
	for name, hurt := range map[string]func(c *broachtest.Cluster, a, b *broach.Node){
		"at rest":        func(*broachtest.Cluster, *broach.Node, *broach.Node) {},
		"killed":         func(c *broachtest.Cluster, a, _ *broach.Node) { c.Kill(a) },
		"paused":         func(c *broachtest.Cluster, a, _ *broach.Node) { c.Pause(a) },
		"cut":            func(c *broachtest.Cluster, a, b *broach.Node) { c.Cut(nodesOf(a), nodesOf(b)) },
		"nothing passes": func(c *broachtest.Cluster, _, _ *broach.Node) { c.Link(broachtest.Link{Loss: 1}) },
		"restarted":      func(c *broachtest.Cluster, a, _ *broach.Node) { c.Restart(a) },
		"closing":        func(_ *broachtest.Cluster, a, _ *broach.Node) { go a.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			inBoth(t, func(t *testing.T, c *broachtest.Cluster) {
				a, b := c.Start(""), c.Start("")
				c.Settle()
				hurt(c, a, b)
			})
		})
	}
}

func nodesOf(list ...*broach.Node) []*broach.Node { return list }

// "A goroutine of a node that is still there after that, such as a function that does not return though its context
// has ended for two seconds, is an error of the test, with its stack."
func TestLeaksAreReported(t *testing.T) {
	for name, run := range map[string]func(*testing.T, func(*testing.T)){
		"bubble":    func(t *testing.T, test func(*testing.T)) { synctest.Test(t, test) },
		"real time": func(t *testing.T, test func(*testing.T)) { test(t) },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T) {
				f, other := newFake(t), newFake(t)
				n := broachtest.New(f).Start("")
				broachtest.New(other).Start("")
				runc, endc := make(chan struct{}), make(chan struct{})
				require.NoError(t, n.Register("stuck", func() { close(runc); <-endc }))
				require.NoError(t, n.Caller("stuck").Send(t.Context()))
				<-runc
				f.end()
				other.end()
				close(endc)
				require.Len(t, f.told(), 1)
				require.Contains(t, f.told()[0], "broachtest: goroutines of nodes are left")
				require.Contains(t, f.told()[0], "TestLeaksAreReported")
				require.Empty(t, other.told(), "it is not told of another cluster's")
			})
		})
	}
}

// A goroutine that a node has started for itself is told from those of other clusters.
func TestALoggerThatBlocksIsReported(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *broachtest.Cluster) {
		f, other := newFake(t), newFake(t)
		endc := make(chan struct{})
		logger := slog.New(slog.NewTextHandler(blocked(endc), nil))
		broachtest.New(f, broachtest.Defaults(broach.Config{Logger: logger})).Start("")
		broachtest.New(other).Start("")
		other.end()
		f.end()
		close(endc)
		require.Len(t, f.told(), 1)
		require.Contains(t, f.told()[0], "blocked.Write")
		require.Empty(t, other.told())
	})
}

// blocked does not return from a Write before it is closed.
type blocked chan struct{}

func (b blocked) Write(p []byte) (int, error) { <-b; return len(p), nil }

// What a function has left running is its own business, and a function that ends late enough is no leak.
func TestWhatFunctionsLeaveBehindIsNoLeak(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		endc := make(chan struct{})
		t.Cleanup(func() { close(endc) })
		f := newFake(t)
		n := broachtest.New(f).Start("")
		runc := make(chan struct{})
		require.NoError(t, n.Register("late", func(ctx context.Context) {
			go func() { <-endc }()
			close(runc)
			<-ctx.Done()
			time.Sleep(1500 * time.Millisecond)
		}))
		require.NoError(t, n.Caller("late").Send(t.Context()))
		<-runc
		f.end()
		require.Empty(t, f.told())
	})
}
