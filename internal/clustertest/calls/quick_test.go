package calls

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// inPair runs a test on a provider of some functions and a caller that knows them.
func inPair(t *testing.T, functions map[string]any, test func(c *clustertest.Cluster, provider, caller *broach.Node)) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider, caller := c.Start(0), c.Start(1, 0)
		for name, fn := range functions {
			offerTo(c, provider, caller, name, fn)
		}
		test(c, provider, caller)
	})
}

// offerTo registers a function and waits until the caller knows.
func offerTo(c *clustertest.Cluster, provider, caller *broach.Node, name string, fn any) {
	require.NoError(c.T, provider.Register(name, fn))
	require.NoError(c.T, caller.WaitFor(c.T.Context(), name, 1))
}

// onReader reports whether its caller runs on the reader's goroutine.
func onReader() bool {
	stack := make([]byte, 64<<10)
	return strings.Contains(string(stack[:runtime.Stack(stack, false)]), "(*reader).runOne")
}

// proveQuick calls a function until the reader trusts it.
func proveQuick(t *testing.T, caller *broach.Node, name string, args ...any) {
	for range 400 {
		_, err := caller.Caller(name).Call(context.Background(), args...)
		require.NoError(t, err)
	}
}

// The reader runs a function once it has proven quick, and no other.
func TestQuickFunctionsRunOnTheReader(t *testing.T) {
	functions := map[string]any{
		"quick": onReader,
		"slow":  func() bool { time.Sleep(20 * time.Microsecond); return onReader() },
	}
	inPair(t, functions, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for _, name := range []string{"quick", "slow"} {
			first, err := broach.Call[bool](context.Background(), caller.Caller(name))
			require.NoError(t, err)
			proveQuick(t, caller, name)
			last, err := broach.Call[bool](context.Background(), caller.Caller(name))
			require.NoError(t, err)
			require.Equal(t, []bool{false, name == "quick"}, []bool{first, last}, name)
		}
	})
}

// A quick function that blocks once keeps others from being served for 2 ms at most, is not trusted any more, and its
// own call is answered when it ends. The same goes for many at once.
func TestReaderIsTakenOverFromASlowFunction(t *testing.T) {
	release := make(chan struct{})
	var where sync.Map
	functions := map[string]any{
		"add": func(x, y int) int { return x + y },
		"wait": func(i int) int {
			if i > 0 {
				where.Store(i, onReader())
				<-release
			}
			return i
		},
	}
	inPair(t, functions, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		release = make(chan struct{}) // of this bubble
		proveQuick(t, caller, "wait", 0)
		proveQuick(t, caller, "add", 1, 2)
		var waiting sync.WaitGroup
		for i := 1; i <= 3; i++ {
			waiting.Go(func() {
				got, err := broach.Call[int](context.Background(), caller.Caller("wait"), i)
				require.NoError(t, err)
				require.Equal(t, i, got)
			})
			time.Sleep(10 * time.Microsecond)
			for range 20 {
				start := time.Now()
				got, err := broach.Call[int](context.Background(), caller.Caller("add"), 1, i)
				require.NoError(t, err)
				require.Equal(t, 1+i, got)
				require.LessOrEqual(t, time.Since(start), 3*time.Millisecond)
			}
		}
		close(release)
		waiting.Wait()
		first, _ := where.Load(1)
		last, _ := where.Load(3)
		require.Equal(t, []any{true, false}, []any{first, last})
	})
}

// User code on the reader harms nothing but its own call: it may panic, end its goroutine, or call the node that waits
// for it.
func TestUserCodeOnTheReader(t *testing.T) {
	var caller *broach.Node
	functions := map[string]any{
		"add":   func(x, y int) int { return x + y },
		"panic": func(now bool) { panicIf(now) },
		"exit":  func(now bool) { exitIf(now) },
		"back": func(ctx context.Context, now bool) (int, error) {
			if !now {
				return 0, nil
			}
			return broach.Call[int](ctx, caller.Caller("add"), 1, 2)
		},
	}
	inPair(t, functions, func(c *clustertest.Cluster, provider, other *broach.Node) {
		c.Net.SetDefault(simnet.Link{})
		caller = provider
		offerTo(c, other, provider, "add", functions["add"])
		for _, name := range []string{"panic", "exit", "back"} {
			proveQuick(t, other, name, false)
		}
		for _, name := range []string{"panic", "exit"} {
			_, err := other.Caller(name).Call(context.Background(), true)
			clustertest.RequireError(t, err, broach.Internal, broach.Yes)
		}
		got, err := broach.Call[int](context.Background(), other.Caller("back"), true)
		require.NoError(t, err)
		require.Equal(t, 3, got)
		proveQuick(t, other, "add", 1, 2)
	})
}

func panicIf(now bool) {
	if now {
		panic("now")
	}
}

func exitIf(now bool) {
	if now {
		runtime.Goexit()
	}
}

// A node closes though user code is stuck on its reader, and also when that user code is who closes it.
func TestCloseWithAStuckReader(t *testing.T) {
	var provider *broach.Node
	functions := map[string]any{
		"wait":  func(ctx context.Context, now bool) { waitIf(ctx, now) },
		"close": func(now bool) error { return closeIf(provider, now) },
	}
	for name := range functions {
		inPair(t, functions, func(c *clustertest.Cluster, p, caller *broach.Node) {
			provider = p
			proveQuick(t, caller, name, false)
			var waiting sync.WaitGroup
			waiting.Go(func() {
				_, err := caller.Caller(name).Call(context.Background(), true)
				clustertest.RequireError(t, err, broach.Unreachable, broach.Maybe)
			})
			time.Sleep(100 * time.Microsecond)
			start := time.Now()
			require.NoError(t, provider.Close())
			require.LessOrEqual(t, time.Since(start), time.Second+2*time.Millisecond)
			waiting.Wait()
		})
	}
}

func waitIf(ctx context.Context, now bool) {
	if now {
		<-ctx.Done()
	}
}

func closeIf(n *broach.Node, now bool) error {
	if now {
		return n.Close()
	}
	return nil
}
