package broach

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

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
	inPair(t, map[string]any{"long": long}, func(c *cluster, provider, caller *Node) {
		start := time.Now()
		for _, from := range []*Node{caller, provider} {
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
	inPair(t, nil, func(c *cluster, provider, caller *Node) {
		stop := make(chan struct{})
		require.NoError(t, provider.Register("wait", func() { <-stop }, MaxConcurrent(1)))
		require.NoError(t, caller.WaitFor(context.Background(), "wait", 1))
		for _, from := range []*Node{caller, provider} {
			send := func(name string) error { return from.Caller(name, NoRetry()).Send(context.Background()) }
			require.NoError(t, send("wait"))
			requireError(t, send("wait"), Overloaded, No)
			requireError(t, send("absent"), NotFound, No)
			stop <- struct{}{}
			time.Sleep(time.Second)
		}
	})
}

func TestSendIsRefusedByAFullQueue(t *testing.T) {
	full := func(cfg *Config) { cfg.Pool = Pool{Core: 1, Max: 1, Queue: 1, RejectWhenFull: true} }
	inPair(t, nil, func(c *cluster, provider, caller *Node) {
		stop := make(chan struct{})
		offer(c, provider, caller, "wait", func() { <-stop })
		send := func() error { return caller.Caller("wait", NoRetry()).Send(context.Background()) }
		require.NoError(t, send())
		time.Sleep(time.Millisecond)
		require.NoError(t, send(), "it waits")
		requireError(t, send(), Overloaded, No)

		offer(c, provider, caller, "few", func() {}, MaxConcurrent(1))
		few := []*Caller{caller.Caller("few", NoRetry()), provider.Caller("few", NoRetry())}
		for range 2 {
			for _, from := range few {
				err := from.Send(context.Background())
				requireError(t, err, Overloaded, No)
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
	small := func(cfg *Config) { cfg.MaxMessage = most }
	inPair(t, map[string]any{"take": func([]byte) {}}, func(c *cluster, provider, caller *Node) {
		for range 2 * 8 {
			require.NoError(t, caller.Caller("take").Send(context.Background(), make([]byte, most/2+most/4)))
			time.Sleep(time.Second)
		}
	}, small)
}

// What goes wrong after a Send was accepted is the provider's to log.
func TestSendThatFailsLaterIsLogged(t *testing.T) {
	var log sharedLog
	logger := slog.New(slog.NewTextHandler(&log, nil)) // one, which locks it
	inPair(t, map[string]any{"fail": func(int) error { return errors.New("no luck") }}, func(c *cluster, provider, caller *Node) {
		for _, from := range []*Node{caller, provider} {
			require.NoError(t, from.Caller("fail").Send(context.Background(), 1))
			require.NoError(t, from.Caller("fail").Send(context.Background(), "one"))
		}
		time.Sleep(time.Second)
		require.NoError(t, provider.Close()) // nobody writes any more
		require.NoError(t, caller.Close())
		require.Contains(t, log.String(), `msg="broach: a one-way call failed" service=fail from=`+addrOf(1).String()+` code=Application err="no luck"`)
		require.Contains(t, log.String(), `code=InvalidArgument err="argument 1 of fail(int)`)
	}, func(cfg *Config) { cfg.Logger = logger })
}

func TestAllYieldsWhatEachProviderAnswers(t *testing.T) {
	inTrio(t, func(c *cluster, caller *Node) {
		require.NoError(t, caller.Register("which", func() (int, error) { return 0, errors.New("not me") }))
		which := caller.Caller("which")
		got := map[netip.AddrPort]any{}
		for r := range which.All(context.Background()) {
			got[r.Node] = r.Value
			if r.Node == addrOf(0) {
				requireError(t, r.Err, Application, Yes)
			} else {
				require.NoError(t, r.Err)
			}
		}
		require.Equal(t, map[netip.AddrPort]any{addrOf(0): nil, addrOf(1): 1, addrOf(2): 2}, got)
		only := slices.Collect(which.With(On(addrOf(2))).All(context.Background()))
		require.Equal(t, []Reply{{Node: addrOf(2), Value: 2}}, only)
		require.Len(t, slices.Collect(which.With(Local(LocalOnly)).All(context.Background())), 1)
		require.Len(t, slices.Collect(which.With(Local(LocalNever)).All(context.Background())), 2)
	})
}

// A slow or dead provider delays none of the others.
func TestAllWaitsForNobodyInVain(t *testing.T) {
	inTrio(t, func(c *cluster, caller *Node) {
		c.kill(c.nodes[1])
		start := time.Now()
		var at []time.Duration
		for r := range caller.Caller("which").All(context.Background()) {
			at = append(at, time.Since(start))
			if r.Node == addrOf(1) {
				requireError(t, r.Err, Unreachable, Maybe)
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
	inTrio(t, func(c *cluster, caller *Node) {
		given := make(chan error, 1)
		require.NoError(t, c.nodes[1].Register("wait", func(ctx context.Context) { <-ctx.Done(); given <- context.Cause(ctx) }))
		require.NoError(t, c.nodes[2].Register("wait", func() {}))
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
	inTrio(t, func(c *cluster, caller *Node) {
		stop := make(chan struct{})
		defer close(stop)
		for _, n := range c.nodes[1:] {
			require.NoError(t, n.Register("busy", func() { <-stop }, MaxConcurrent(1), Idempotent()))
			require.NoError(t, n.Caller("busy", Local(LocalOnly)).Send(context.Background()))
		}
		require.NoError(t, caller.WaitFor(context.Background(), "busy", 2))
		start := time.Now()
		for range 20 {
			for r := range caller.Caller("busy", Retries(3)).All(context.Background()) {
				requireError(t, r.Err, Overloaded, No)
			}
		}
		require.Less(t, time.Since(start), pauseFirst)
	})
}

func TestAllOfNobodyIsOneError(t *testing.T) {
	inTrio(t, func(c *cluster, caller *Node) {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		for _, test := range []struct {
			ctx  context.Context
			call *Caller
			code Code
		}{
			{context.Background(), caller.Caller("absent"), NotFound},
			{context.Background(), caller.Caller("which", On(addrOf(9))), Unavailable},
			{context.Background(), caller.Caller("which", Local(LocalOnly)), Unavailable},
			{context.Background(), caller.Caller("which", Retries(-1)), InvalidArgument},
			{ended, caller.Caller("which"), Canceled},
		} {
			replies := slices.Collect(test.call.All(test.ctx))
			require.Len(t, replies, 1)
			require.False(t, replies[0].Node.IsValid())
			requireError(t, replies[0].Err, test.code, No)
		}
	})
}

func TestGoIsACallThatIsWaitedForLater(t *testing.T) {
	slow := func(x int) int { time.Sleep(time.Second); return x }
	inPair(t, map[string]any{"slow": slow}, func(c *cluster, provider, caller *Node) {
		start := time.Now()
		var all []*Future[int]
		for i := range 10 {
			all = append(all, Go[int](context.Background(), caller.Caller("slow"), i))
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
		f := Go[int](ctx, caller.Caller("slow"), 1)
		time.Sleep(time.Millisecond)
		cancel()
		_, err := f.Wait()
		requireError(t, err, Canceled, Maybe)
		time.Sleep(time.Second)
	})
}
