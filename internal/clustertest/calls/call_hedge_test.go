package calls

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// racer is a provider of "f", which says the racer's number after a while, or fails.
type racer struct {
	slow  time.Duration
	fails error
	began atomic.Int64
	given atomic.Int64 // calls whose context ended
}

func (r *racer) run(ctx context.Context, i int) (int, error) {
	r.began.Add(1)
	select {
	case <-time.After(r.slow):
		return i, r.fails
	case <-ctx.Done():
		r.given.Add(1)
		return 0, ctx.Err()
	}
}

// toFirst is a Balancer that takes the first there is: who is asked in which order is then sure.
var toFirst = broach.Balance(clustertest.PickFunc(func(broach.CallInfo, []broach.Provider) int { return 0 }))

// inRace runs a test on a caller, node 0, and racers, nodes 1 and up, that are asked in that order.
func inRace(t *testing.T, racers []*racer, options []broach.RegisterOption, test func(
	c *clustertest.Cluster, f *broach.Caller,
)) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		caller := c.Start(0)
		for i, r := range racers {
			fn := func(ctx context.Context) (int, error) { return r.run(ctx, i+1) }
			require.NoError(t, c.Start(i+1, 0).Register("f", fn, options...))
		}
		require.NoError(t, caller.WaitFor(context.Background(), "f", len(racers)))
		c.Settle(time.Second)
		test(c, caller.Caller("f", toFirst))
		requireNothingLeft(c)
	})
}

// requireNothingLeft holds that no call is in flight, shortly after.
func requireNothingLeft(c *clustertest.Cluster) {
	c.T.Helper()
	time.Sleep(10 * time.Millisecond)
	for _, n := range c.Nodes {
		s := n.Stats()
		require.Zero(c.T, s.Running+s.Queued, "node %v", n.Addr())
		for _, p := range s.Peers {
			require.Zero(c.T, p.InFlight, "node %v", n.Addr())
		}
	}
}

// timeOf makes a call and says how long it took.
func timeOf(f *broach.Caller) (v int, took time.Duration, err error) {
	start := time.Now()
	v, err = broach.Call[int](context.Background(), f)
	return v, time.Since(start), err
}

func requireAbout(t *testing.T, want, got time.Duration) {
	t.Helper()
	require.InDelta(t, want, got, float64(5*time.Millisecond), "want %v, got %v", want, got)
}

// "if no answer came after `after`, another provider is asked too ...; the first answer wins and the others are given
// up"
func TestHedgeAsksAnotherWhenOneIsSlow(t *testing.T) {
	slow, slower, quick := &racer{slow: 2 * time.Second}, &racer{slow: time.Second}, &racer{}
	inRace(t, []*racer{slow, slower, quick}, idempotent(), func(c *clustertest.Cluster, f *broach.Caller) {
		v, took, err := timeOf(f.With(broach.Hedge(100 * time.Millisecond)))
		require.NoError(t, err)
		require.Equal(t, 3, v)
		requireAbout(t, 200*time.Millisecond, took)
		time.Sleep(10 * time.Millisecond)
		require.EqualValues(t, 1, slow.given.Load(), "the loser's context ends")
		require.EqualValues(t, 1, slower.given.Load())

		v, took, err = timeOf(f.With(broach.Hedge(100*time.Millisecond), broach.Retries(1)))
		require.NoError(t, err)
		require.Equal(t, 2, v)
		requireAbout(t, 1100*time.Millisecond, took)
		require.EqualValues(t, 1, quick.began.Load(), "up to Retries more")
	})
}

func TestHedgeAsksNobodyElseWhenTheFirstIsQuick(t *testing.T) {
	first, second := &racer{slow: 50 * time.Millisecond}, &racer{}
	inRace(t, []*racer{first, second}, idempotent(), func(c *clustertest.Cluster, f *broach.Caller) {
		for range 100 {
			v, _, err := timeOf(f.With(broach.Hedge(100 * time.Millisecond)))
			require.NoError(t, err)
			require.Equal(t, 1, v)
		}
		require.Zero(t, second.began.Load())
	})
}

// Hedge(0) asks all of them, 1 + Retries, at once.
func TestFirstOfN(t *testing.T) {
	racers := []*racer{{slow: 300 * time.Millisecond}, {slow: 200 * time.Millisecond}, {slow: 100 * time.Millisecond},
		{slow: 50 * time.Millisecond}}
	inRace(t, racers, idempotent(), func(c *clustertest.Cluster, f *broach.Caller) {
		v, took, err := timeOf(f.With(broach.Hedge(0), broach.Retries(2)))
		require.NoError(t, err)
		require.Equal(t, 3, v)
		requireAbout(t, 100*time.Millisecond, took)
		require.Zero(t, racers[3].began.Load())
		v, took, err = timeOf(f.With(broach.Hedge(0)))
		require.NoError(t, err)
		require.Equal(t, 4, v)
		requireAbout(t, 50*time.Millisecond, took)
	})
}

// Functions that not all providers have registered as Idempotent are not hedged, nor is Send.
func TestOnlyIdempotentFunctionsAreHedged(t *testing.T) {
	slow, quick := &racer{slow: time.Second}, &racer{}
	inRace(t, []*racer{slow, quick}, nil, func(c *clustertest.Cluster, f *broach.Caller) {
		v, took, err := timeOf(f.With(broach.Hedge(0)))
		require.NoError(t, err)
		require.Equal(t, 1, v)
		requireAbout(t, time.Second, took)
		require.Zero(t, quick.began.Load())
	})
	slow, quick = &racer{slow: time.Second}, &racer{}
	inRace(t, []*racer{slow, quick}, idempotent(), func(c *clustertest.Cluster, f *broach.Caller) {
		require.NoError(t, f.With(broach.Hedge(0)).Send(context.Background()))
		time.Sleep(2 * time.Second)
		require.Zero(t, quick.began.Load())
	})
}

// An error of the function's own is an answer.
func TestHedgedErrorsAreAnswers(t *testing.T) {
	for _, code := range []broach.Code{broach.Overloaded, broach.Internal, broach.Application, 1000} {
		failing, quick := &racer{fails: broach.Errorf(code, "no milk")}, &racer{}
		inRace(t, []*racer{failing, quick}, idempotent(), func(c *clustertest.Cluster, f *broach.Caller) {
			_, _, err := timeOf(f.With(broach.Hedge(time.Second)))
			clustertest.RequireError(t, err, code, broach.Yes)
			require.Zero(t, quick.began.Load())
		})
	}
}

// A provider that has no room, or has gone, is replaced at once, without waiting for the next hedge.
func TestHedgeReplacesWhoCannotTakeTheCall(t *testing.T) {
	busy, quick := &racer{slow: time.Second}, &racer{slow: 10 * time.Millisecond}
	inRace(t, []*racer{busy, quick}, append(idempotent(), broach.MaxConcurrent(1)), func(
		c *clustertest.Cluster, f *broach.Caller,
	) {
		go func() { _, _ = f.Call(context.Background()) }()
		time.Sleep(10 * time.Millisecond)
		v, took, err := timeOf(f.With(broach.Hedge(time.Second)))
		require.NoError(t, err)
		require.Equal(t, 2, v)
		requireAbout(t, 10*time.Millisecond, took)
		time.Sleep(time.Second)
	})
	dying, quick := &racer{slow: 5 * time.Second}, &racer{slow: 10 * time.Millisecond}
	inRace(t, []*racer{dying, quick}, idempotent(), func(c *clustertest.Cluster, f *broach.Caller) {
		start := time.Now()
		done := broach.Go[int](context.Background(), f.With(broach.Hedge(4*time.Second)))
		time.Sleep(10 * time.Millisecond)
		c.Kill(c.Nodes[1])
		v, err := done.Wait()
		require.NoError(t, err)
		require.Equal(t, 2, v)
		require.Less(t, time.Since(start), 2500*time.Millisecond, "as soon as it is found dead")
	})
}

// If all fail the call does, and its error tells the truth of all of them.
func TestAllHedgesFail(t *testing.T) {
	first, second := &racer{slow: 5 * time.Second}, &racer{slow: 5 * time.Second}
	inRace(t, []*racer{first, second}, append(idempotent(), broach.MaxConcurrent(1)), func(
		c *clustertest.Cluster, f *broach.Caller,
	) {
		ctx, cancel := context.WithCancel(context.Background())
		blocked := broach.Go[int](ctx, f.With(broach.On(clustertest.AddrOf(2))))
		time.Sleep(10 * time.Millisecond)
		done := broach.Go[int](context.Background(), f.With(broach.Hedge(4*time.Second)))
		time.Sleep(10 * time.Millisecond)
		c.Kill(c.Nodes[1])
		_, err := done.Wait()
		// the second had no room, but the first may have run it
		clustertest.RequireError(t, err, broach.Overloaded, broach.Maybe)
		cancel()
		_, err = blocked.Wait()
		require.ErrorIs(t, err, broach.ErrCanceled)
	})
	inRace(t, []*racer{{fails: broach.Errorf(1000, "no milk")}, {slow: time.Second}}, idempotent(), func(
		c *clustertest.Cluster, f *broach.Caller,
	) {
		_, took, err := timeOf(f.With(broach.Hedge(0)))
		clustertest.RequireError(t, err, 1000, broach.Yes) // it is an answer, and the first
		requireAbout(t, 0, took)
	})
}

// The caller's deadline and cancellation hold for all attempts.
func TestHedgedCallsEndInTime(t *testing.T) {
	racers := []*racer{{slow: 5 * time.Second}, {slow: 5 * time.Second}, {slow: 5 * time.Second}}
	inRace(t, racers, idempotent(), func(c *clustertest.Cluster, f *broach.Caller) {
		f = f.With(broach.Hedge(100 * time.Millisecond))
		_, took, err := timeOf(f.With(broach.Timeout(time.Second)))
		clustertest.RequireError(t, err, broach.DeadlineExceeded, broach.Maybe)
		requireAbout(t, time.Second, took)
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		_, err = f.Call(ctx)
		clustertest.RequireError(t, err, broach.DeadlineExceeded, broach.Maybe)
		ctx, cancel = context.WithCancel(context.Background())
		done := broach.Go[int](ctx, f)
		time.Sleep(500 * time.Millisecond)
		cancel()
		_, err = done.Wait()
		clustertest.RequireError(t, err, broach.Canceled, broach.Maybe)
		requireNothingLeft(c)
		for _, r := range racers {
			require.EqualValues(t, 3, r.given.Load())
		}
	})
}

// Every extra attempt is taken from the budget of retries: hedging cannot double the load of a cluster that has become
// slow.
func TestHedgesHaveABudget(t *testing.T) {
	racers := []*racer{{slow: 200 * time.Millisecond}, {slow: 200 * time.Millisecond}}
	inRace(t, racers, idempotent(), func(c *clustertest.Cluster, f *broach.Caller) {
		const calls = 2000
		var all []*broach.Future[int]
		for range calls {
			all = append(all, broach.Go[int](context.Background(), f.With(broach.Hedge(10*time.Millisecond))))
			time.Sleep(time.Millisecond)
		}
		for _, done := range all {
			_, err := done.Wait()
			require.NoError(t, err)
		}
		ran := racers[0].began.Load() + racers[1].began.Load()
		t.Logf("%.2f attempts for each call", float64(ran)/calls)
		require.Greater(t, ran, int64(calls*110/100))
		require.LessOrEqual(t, ran, int64(calls*120/100+3*10))
	})
}

// Hedged calls go around open breakers, and tell of them when there is nobody else.
func TestHedgesPassOpenBreakers(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		caller := c.Start(0)
		var ran [3]atomic.Int64
		for i := 1; i <= 2; i++ {
			require.NoError(t, c.Start(i, 0).Register("f", func() { ran[i].Add(1); panic("ill") }, broach.Idempotent()))
		}
		require.NoError(t, caller.WaitFor(context.Background(), "f", 2))
		f := caller.Caller("f", broach.Hedge(0))
		for range 5 {
			_, err := caller.Caller("f", broach.On(clustertest.AddrOf(1))).Call(context.Background())
			clustertest.RequireError(t, err, broach.Internal, broach.Yes)
		}
		for range 5 {
			_, err := f.Call(context.Background())
			clustertest.RequireError(t, err, broach.Internal, broach.Yes)
		}
		_, err := f.Call(context.Background())
		clustertest.RequireError(t, err, broach.CircuitOpen, broach.No)
		require.EqualValues(t, 5, ran[1].Load())
		require.EqualValues(t, 5, ran[2].Load())
	})
}

// This node is one of those asked where it counts as one, and asked once.
func TestHedgeWithThisNodeAmongThem(t *testing.T) {
	inRace(t, []*racer{{slow: time.Second}, {slow: time.Second}}, idempotent(), func(
		c *clustertest.Cluster, f *broach.Caller,
	) {
		here := &racer{slow: 500 * time.Millisecond}
		fn := func(ctx context.Context) (int, error) { return here.run(ctx, 0) }
		require.NoError(t, c.Nodes[0].Register("f", fn, broach.Idempotent()))
		v, took, err := timeOf(f.With(broach.Local(broach.LocalEqual), broach.Hedge(0)))
		require.NoError(t, err)
		require.Zero(t, v)
		requireAbout(t, 500*time.Millisecond, took)
		require.EqualValues(t, 1, here.began.Load())
	})
}

// exiting is an argument whose encoding ends its goroutine.
type exiting struct{}

func (exiting) MarshalText() ([]byte, error) { runtime.Goexit(); return nil, nil }

func (*exiting) UnmarshalText([]byte) error { return nil }

// What a method of the caller's own does to the goroutine of an attempt ends that call, and nothing else.
func TestHedgedArgumentsThatMisbehave(t *testing.T) {
	inRace(t, []*racer{{}, {}}, idempotent(), func(c *clustertest.Cluster, f *broach.Caller) {
		_, err := f.With(broach.Hedge(time.Second)).Call(context.Background(), exiting{})
		clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
		_, err = f.With(broach.Hedge(time.Second)).Call(context.Background(), make(chan int))
		clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
		_, _, err = timeOf(f.With(broach.Hedge(time.Second)))
		require.NoError(t, err)
	})
}

// "A hedge that contradicts other options ... is a wrong option", in any order and by With.
func TestHedgesThatCannotBe(t *testing.T) {
	inRace(t, []*racer{{}, {}}, idempotent(), func(c *clustertest.Cluster, f *broach.Caller) {
		for text, other := range map[string]broach.CallOption{
			"Hedge and On contradict":               broach.On(clustertest.AddrOf(1)),
			"Hedge and Local(LocalOnly) contradict": broach.Local(broach.LocalOnly),
			"Hedge and NoRetry contradict":          broach.NoRetry(), "Hedge is -1ns": broach.Hedge(-1),
		} {
			for i, wrong := range []*broach.Caller{
				f.With(other, broach.Hedge(time.Second)), f.With(broach.Hedge(time.Second), other),
				f.With(other).With(broach.Hedge(time.Second)),
			} {
				_, _, err := timeOf(wrong)
				if i != 1 && text == "Hedge is -1ns" {
					continue // the later one counts
				}
				clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
				require.ErrorContains(t, err, text, fmt.Sprint(i))
			}
		}
		n := 0
		for r := range f.With(broach.Hedge(0)).All(context.Background()) {
			require.NoError(t, r.Err)
			n++
		}
		require.Equal(t, 2, n, "All is not hedged")
	})
}
