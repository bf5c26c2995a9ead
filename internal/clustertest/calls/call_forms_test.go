package calls

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// [CALL-16] A Send is a Request, except that it is answered as soon as it has found its place among those that wait for
// a worker ... From then on neither its remaining time, nor Cancel, nor a newer seq in its slot, nor the loss of the
// link ends it.
func TestSendReturnsWhenTheCallIsAccepted(t *testing.T) {
	var ran atomic.Int32
	long := func(ctx context.Context, s string) error {
		if _, ok := ctx.Deadline(); ok {
			return errors.New("it has a deadline")
		}
		time.Sleep(30 * time.Second)
		if ctx.Err() == nil {
			ran.Add(1)
		}
		return nil
	}
	clustertest.InPair(t, map[string]any{"long": long}, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		start := time.Now()
		for _, from := range []*broach.Node{caller, provider} {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			for range 3 { // the slot of the first is used again while that one runs
				require.NoError(t, from.Caller("long").Send(ctx, "x"))
			}
			cancel()
		}
		require.Less(t, time.Since(start), 100*time.Millisecond)
		require.NoError(t, caller.Close())
		time.Sleep(time.Minute)
		require.Equal(t, int32(6), ran.Load())
	})
}

func TestSendThatNobodyAcceptsFails(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		stop := make(chan struct{})
		require.NoError(t, provider.Register("wait", func() { <-stop }, broach.MaxConcurrent(1)))
		require.NoError(t, caller.WaitFor(context.Background(), "wait", 1))
		for _, from := range []*broach.Node{caller, provider} {
			send := func(name string) error { return from.Caller(name, broach.NoRetry()).Send(context.Background()) }
			require.NoError(t, send("wait"))
			clustertest.RequireError(t, send("wait"), broach.Overloaded, broach.No)
			clustertest.RequireError(t, send("absent"), broach.NotFound, broach.No)
			stop <- struct{}{}
			time.Sleep(time.Second)
		}
	})
}

func TestSendIsRefusedByAFullQueue(t *testing.T) {
	full := func(cfg *broach.Config) { cfg.Pool = broach.Pool{Core: 1, Max: 1, Queue: 1, RejectWhenFull: true} }
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		stop := make(chan struct{})
		clustertest.Offer(c, provider, caller, "wait", func() { <-stop })
		send := func() error { return caller.Caller("wait", broach.NoRetry()).Send(context.Background()) }
		require.NoError(t, send())
		time.Sleep(time.Millisecond)
		require.NoError(t, send(), "it waits")
		clustertest.RequireError(t, send(), broach.Overloaded, broach.No)

		clustertest.Offer(c, provider, caller, "few", func() {}, broach.MaxConcurrent(1))
		few := []*broach.Caller{caller.Caller("few", broach.NoRetry()), provider.Caller("few", broach.NoRetry())}
		for range 2 {
			for _, from := range few {
				err := from.Send(context.Background())
				clustertest.RequireError(t, err, broach.Overloaded, broach.No)
				require.ErrorContains(t, err, "queue is full", "what was refused does not run")
			}
		}
		close(stop)
		time.Sleep(time.Second)
		for _, from := range few {
			require.NoError(t, from.Send(context.Background()))
			time.Sleep(time.Second)
		}
	}, full)
}

// A large message counts against the memory for large messages until its function has run, and no longer.
func TestLargeSendsGiveTheirMemoryBack(t *testing.T) {
	const most = 1 << 20
	small := func(cfg *broach.Config) { cfg.MaxMessage = most }
	clustertest.InPair(t, map[string]any{"take": func([]byte) {}}, func(
		c *clustertest.Cluster, provider, caller *broach.Node,
	) {
		for range 2 * 8 {
			require.NoError(t, caller.Caller("take").Send(context.Background(), make([]byte, most/2+most/4)))
			time.Sleep(time.Second)
		}
	}, small)
}

// What goes wrong after a Send was accepted is the provider's to log.
func TestSendThatFailsLaterIsLogged(t *testing.T) {
	var log clustertest.SharedLog
	logger := slog.New(slog.NewTextHandler(&log, nil)) // one, which locks it
	clustertest.InPair(t, map[string]any{"fail": func(int) error { return errors.New("no luck") }}, func(
		c *clustertest.Cluster, provider, caller *broach.Node,
	) {
		for _, from := range []*broach.Node{caller, provider} {
			require.NoError(t, from.Caller("fail").Send(context.Background(), 1))
			require.NoError(t, from.Caller("fail").Send(context.Background(), "one"))
		}
		time.Sleep(time.Second)
		require.NoError(t, provider.Close()) // nobody writes any more
		require.NoError(t, caller.Close())
		require.Contains(t, log.String(),
			`msg="broach: a one-way call failed" service=fail from=`+
				clustertest.AddrOf(1).String()+` code=Application err="no luck"`)
		require.Contains(t, log.String(), `code=InvalidArgument err="argument 1 of fail(int)`)
	}, func(cfg *broach.Config) { cfg.Logger = logger })
}

func TestAllYieldsWhatEachProviderAnswers(t *testing.T) {
	inTrio(t, func(c *clustertest.Cluster, caller *broach.Node) {
		require.NoError(t, caller.Register("which", func() (int, error) { return 0, errors.New("not me") }))
		which := caller.Caller("which")
		got := map[netip.AddrPort]any{}
		for r := range which.All(context.Background()) {
			got[r.Node] = r.Value
			if r.Node == clustertest.AddrOf(0) {
				clustertest.RequireError(t, r.Err, broach.Application, broach.Yes)
			} else {
				require.NoError(t, r.Err)
			}
		}
		require.Equal(t, map[netip.AddrPort]any{clustertest.AddrOf(0): nil, clustertest.AddrOf(1): 1,
			clustertest.AddrOf(2): 2}, got)
		only := slices.Collect(which.With(broach.On(clustertest.AddrOf(2))).All(context.Background()))
		require.Equal(t, []broach.Reply[any]{{Node: clustertest.AddrOf(2), Value: 2}}, only)
		require.Len(t, slices.Collect(which.With(broach.Local(broach.LocalOnly)).All(context.Background())), 1)
		require.Len(t, slices.Collect(which.With(broach.Local(broach.LocalNever)).All(context.Background())), 2)
	})
}

// A slow or dead provider delays none of the others.
func TestAllWaitsForNobodyInVain(t *testing.T) {
	inTrio(t, func(c *clustertest.Cluster, caller *broach.Node) {
		c.Kill(c.Nodes[1])
		start := time.Now()
		var at []time.Duration
		for r := range caller.Caller("which").All(context.Background()) {
			at = append(at, time.Since(start))
			if r.Node == clustertest.AddrOf(1) {
				clustertest.RequireError(t, r.Err, broach.Unreachable, broach.Maybe)
			} else {
				require.NoError(t, r.Err)
			}
		}
		require.Len(t, at, 2)
		require.Less(t, at[0], 10*time.Millisecond)
		require.Less(t, at[1], 1500*time.Millisecond)
	})
}

// Leaving the loop gives up the calls that are still in flight.
func TestAllCanBeLeft(t *testing.T) {
	inTrio(t, func(c *clustertest.Cluster, caller *broach.Node) {
		given := make(chan error, 1)
		require.NoError(t,
			c.Nodes[1].Register("wait", func(ctx context.Context) { <-ctx.Done(); given <- context.Cause(ctx) }))
		require.NoError(t, c.Nodes[2].Register("wait", func() {}))
		require.NoError(t, caller.WaitFor(context.Background(), "wait", 2))
		start := time.Now()
		for range caller.Caller("wait").All(context.Background()) {
			break
		}
		require.Less(t, time.Since(start), 10*time.Millisecond)
		require.ErrorIs(t, <-given, context.Canceled)
		require.Less(t, time.Since(start), 100*time.Millisecond)
	})
}

// Each is called once: nothing waits for a retry.
func TestAllRetriesNothing(t *testing.T) {
	inTrio(t, func(c *clustertest.Cluster, caller *broach.Node) {
		stop := make(chan struct{})
		defer close(stop)
		for _, n := range c.Nodes[1:] {
			require.NoError(t, n.Register("busy", func() { <-stop }, broach.MaxConcurrent(1), broach.Idempotent()))
			require.NoError(t, n.Caller("busy", broach.Local(broach.LocalOnly)).Send(context.Background()))
		}
		require.NoError(t, caller.WaitFor(context.Background(), "busy", 2))
		start := time.Now()
		for range 20 {
			for r := range caller.Caller("busy", broach.Retries(3)).All(context.Background()) {
				clustertest.RequireError(t, r.Err, broach.Overloaded, broach.No)
			}
		}
		require.Less(t, time.Since(start), 10*time.Millisecond, "there was no pause before a retry")
	})
}

func TestAllOfNobodyIsOneError(t *testing.T) {
	inTrio(t, func(c *clustertest.Cluster, caller *broach.Node) {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		for _, test := range []struct {
			ctx  context.Context
			call *broach.Caller
			code broach.Code
		}{
			{context.Background(), caller.Caller("absent"), broach.NotFound},
			{context.Background(), caller.Caller("which", broach.On(clustertest.AddrOf(9))), broach.Unavailable},
			{context.Background(), caller.Caller("which", broach.Local(broach.LocalOnly)), broach.Unavailable},
			{context.Background(), caller.Caller("which", broach.Retries(-1)), broach.InvalidArgument},
			{ended, caller.Caller("which"), broach.Canceled},
		} {
			replies := slices.Collect(test.call.All(test.ctx))
			require.Len(t, replies, 1)
			require.False(t, replies[0].Node.IsValid())
			clustertest.RequireError(t, replies[0].Err, test.code, broach.No)
		}
	})
}

func TestGoIsACallThatIsWaitedForLater(t *testing.T) {
	slow := func(x int) int { time.Sleep(time.Second); return x }
	clustertest.InPair(t, map[string]any{"slow": slow}, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		start := time.Now()
		var all []*broach.Future[int]
		for i := range 10 {
			all = append(all, broach.Go[int](context.Background(), caller.Caller("slow"), i))
		}
		for i, f := range all {
			for range 2 {
				v, err := f.Wait()
				require.NoError(t, err)
				require.Equal(t, i, v)
			}
			<-f.Done()
		}
		require.Less(t, time.Since(start), 1100*time.Millisecond)

		ctx, cancel := context.WithCancel(context.Background())
		f := broach.Go[int](ctx, caller.Caller("slow"), 1)
		time.Sleep(time.Millisecond)
		cancel()
		_, err := f.Wait()
		clustertest.RequireError(t, err, broach.Canceled, broach.Maybe)
		time.Sleep(time.Second)
	})
}
