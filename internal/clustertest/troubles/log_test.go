package troubles

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// A log whose writer blocks, as a full pipe does, takes nobody out of the cluster, and keeps no call waiting, whatever
// is logged meanwhile.
func TestALogThatBlocksKeepsNobodyWaiting(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		seed := c.Start(0)
		goOn := make(chan bool)
		handledBy(c, func(slog.Record) { <-goOn })
		n := c.Start(1, 0)
		require.NoError(t, n.Register("add", func(x, y int) int { return x + y }))
		require.NoError(t, n.Register("panics", func() { panic("no luck") }))
		timer, err := n.Every(10*time.Millisecond, func(context.Context) error { panic("no luck") })
		require.NoError(t, err)
		handledBy(c, func(slog.Record) {})
		require.NoError(t, seed.WaitFor(c.T.Context(), "panics", 1))
		sayMuch(t, n, logRoom) // so that nothing has room any more
		for i := range 200 {
			if i%20 == 0 {
				c.Kill(c.Start(i/20+2, 0))
			}
			_, err := seed.Caller("panics").Call(c.T.Context())
			require.Error(t, err)
			began := time.Now()
			v, err := seed.Caller("add").Call(c.T.Context(), 1, i)
			require.NoError(t, err)
			require.Equal(t, 1+i, v)
			require.Less(t, time.Since(began), 100*time.Millisecond)
			require.Equal(t, broach.Alive, clustertest.MemberAt(seed, n.Addr()).State)
			time.Sleep(20 * time.Millisecond)
		}
		timer.Stop()
		require.Greater(t, n.Stats().LogLost, uint64(20))
		began := time.Now()
		require.NoError(t, n.Close())
		require.InDelta(t, time.Second, time.Since(began), float64(400*time.Millisecond), "no longer")
		close(goOn)
	})
}

// clock is what RegisterAll offers.
type clock struct{}

// Now is its only method.
func (clock) Now() time.Time { return time.Now() }

// handlerCalls are what a slog.Handler may call: all methods of a node.
var handlerCalls = map[string]func(ctx context.Context, n *broach.Node){
	"Addr": func(_ context.Context, n *broach.Node) { n.Addr() },
	"Caller": func(ctx context.Context, n *broach.Node) {
		_, _ = n.Caller("g").Call(ctx)
		for range n.Caller("g").All(ctx) {
		}
		_ = n.Caller("g").Send(ctx)
	},
	"Close":         func(_ context.Context, n *broach.Node) { _ = n.Close() },
	"Describe":      func(ctx context.Context, n *broach.Node) { _, _ = n.Describe(ctx, "g") },
	"Inspect":       func(ctx context.Context, n *broach.Node) { _, _ = n.Inspect(ctx, clustertest.AddrOf(0)) },
	"RegisterAll":   func(_ context.Context, n *broach.Node) { _ = n.RegisterAll("clock", clock{}) },
	"UnregisterAll": func(_ context.Context, n *broach.Node) { _ = n.UnregisterAll("clock") },
	"Topics":        func(_ context.Context, n *broach.Node) { n.Topics() },
	"WaitForSubscribers": func(ctx context.Context, n *broach.Node) {
		_ = n.WaitForSubscribers(ctx, "t", 1)
	},
	"Done": func(_ context.Context, n *broach.Node) { n.Done() },
	"Every": func(_ context.Context, n *broach.Node) {
		if timer, err := n.Every(time.Hour, func(context.Context) error { return nil }); err == nil {
			timer.Stop()
		}
	},
	"Forget":     func(_ context.Context, n *broach.Node) { _ = n.Forget(clustertest.AddrOf(7)) },
	"Format":     func(_ context.Context, n *broach.Node) { _ = fmt.Sprintf("%v %+v", n, n) },
	"Join":       func(_ context.Context, n *broach.Node) { _ = n.Join(clustertest.AddrOf(7).String()) },
	"Leave":      func(ctx context.Context, n *broach.Node) { _ = n.Leave(ctx) },
	"LogValue":   func(_ context.Context, n *broach.Node) { n.LogValue() },
	"Members":    func(_ context.Context, n *broach.Node) { n.Members() },
	"Publish":    func(ctx context.Context, n *broach.Node) { _, _ = n.Publish(ctx, "news", 1) },
	"Register":   func(_ context.Context, n *broach.Node) { _ = n.Register("f", func() {}) },
	"Services":   func(_ context.Context, n *broach.Node) { n.Services() },
	"SetKeys":    func(_ context.Context, n *broach.Node) { _ = n.SetKeys([][]byte{clustertest.KeyOf(1)}) },
	"SetServing": func(_ context.Context, n *broach.Node) { _ = n.SetServing("f", false) },
	"Stats":      func(_ context.Context, n *broach.Node) { n.Stats() },
	"String":     func(_ context.Context, n *broach.Node) { _ = n.String() },
	"Subscribe": func(_ context.Context, n *broach.Node) {
		if s, err := n.Subscribe("news", func(context.Context, int) error { return nil }); err == nil {
			_ = s.Close()
		}
	},
	"Unregister": func(_ context.Context, n *broach.Node) { _ = n.Unregister("f") },
	"WaitFor":    func(ctx context.Context, n *broach.Node) { _ = n.WaitFor(ctx, "nothing", 1) },
	"WaitJoined": func(ctx context.Context, n *broach.Node) { _ = n.WaitJoined(ctx) },
	"Watch": func(ctx context.Context, n *broach.Node) {
		for range n.Watch(ctx) {
			break
		}
	},
}

// A slog.Handler may call the node that logs, also what waits for the node, and also to end it.
func TestAHandlerMayCallTheNode(t *testing.T) {
	of := reflect.TypeFor[*broach.Node]()
	for i := range of.NumMethod() {
		require.Contains(t, handlerCalls, of.Method(i).Name)
	}
	for name, call := range handlerCalls {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				require.NoError(t, c.Start(0).Register("g", func() error { return fmt.Errorf("no luck") }))
				var node atomic.Pointer[broach.Node]
				var called atomic.Int32
				handledBy(c, func(slog.Record) {
					if n := node.Load(); n != nil && called.Add(1) <= 10 {
						ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
						defer cancel()
						call(ctx, n)
					}
				})
				n := c.Start(1, 0)
				node.Store(n)
				synctest.Wait()
				time.Sleep(5 * time.Second)
				require.NotZero(t, called.Load())
				if name != "Leave" && name != "Close" {
					require.Equal(t, broach.Alive, clustertest.MemberAt(c.Nodes[0], clustertest.AddrOf(1)).State)
				}
				began := time.Now()
				require.NoError(t, n.Close())
				require.LessOrEqual(t, time.Since(began), 2*time.Second)
			})
		})
	}
}

// stubborn is a value whose text is made by user code that does not return for long.
type stubborn struct{ takes time.Duration }

func (s stubborn) String() string { time.Sleep(s.takes); return "at last" }
func (s stubborn) Error() string  { return s.String() }

// What a node makes a text of in the name of a function, what it panicked with or its error, keeps that call waiting
// and nobody else: the function was quick until then, so that it ran where datagrams are read.
func TestTextsThatUserCodeMakesKeepNobodyWaiting(t *testing.T) {
	for name, fail := range map[string]func(int) error{
		"the error": func(int) error { return stubborn{10 * time.Second} },
		"the panic": func(int) error { panic(stubborn{10 * time.Second}) },
	} {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				caller := c.Start(0)
				provider := c.Start(1, 0)
				fails := func(x int) error {
					if x == 0 {
						return nil
					}
					return fail(x)
				}
				require.NoError(t, provider.Register("fails", fails))
				require.NoError(t, provider.Register("add", func(x, y int) int { return x + y }))
				require.NoError(t, caller.WaitFor(c.T.Context(), "add", 1))
				for range 200 { // until it counts as quick: one run in eight is timed, for an average
					_, err := caller.Caller("fails").Call(c.T.Context(), 0)
					require.NoError(t, err)
				}
				go caller.Caller("fails").Call(c.T.Context(), 1)
				for range 50 {
					time.Sleep(100 * time.Millisecond)
					_, err := caller.Caller("add").Call(c.T.Context(), 1, 2)
					require.NoError(t, err)
					require.Equal(t, broach.Alive, clustertest.MemberAt(caller, clustertest.AddrOf(1)).State)
				}
				time.Sleep(10 * time.Second)
			})
		})
	}
}
