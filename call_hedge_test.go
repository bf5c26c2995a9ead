package broach

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

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
var toFirst = Balance(faulty(func(CallInfo, []Provider) int { return 0 }))

// inRace runs a test on a caller, node 0, and racers, nodes 1 and up, that are asked in that order.
func inRace(t *testing.T, racers []*racer, options []RegisterOption, test func(c *cluster, f *Caller)) {
	inCluster(t, 1, func(c *cluster) {
		caller := c.start(0)
		for i, r := range racers {
			fn := func(ctx context.Context) (int, error) { return r.run(ctx, i+1) }
			require.NoError(t, c.start(i+1, 0).Register("f", fn, options...))
		}
		require.NoError(t, caller.WaitFor(context.Background(), "f", len(racers)))
		c.settle(time.Second)
		test(c, caller.Caller("f", toFirst))
		c.requireNothingLeft()
	})
}

// requireNothingLeft holds that no call is in flight, shortly after.
func (c *cluster) requireNothingLeft() {
	c.t.Helper()
	time.Sleep(10 * time.Millisecond)
	for _, n := range c.nodes {
		require.False(c.t, n.isCalling(), "node %v", n.Addr())
	}
}

func idempotent() []RegisterOption { return []RegisterOption{Idempotent()} }

// timeOf makes a call and says how long it took.
func timeOf(f *Caller) (v int, took time.Duration, err error) {
	start := time.Now()
	v, err = Call[int](context.Background(), f)
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
	inRace(t, []*racer{slow, slower, quick}, idempotent(), func(c *cluster, f *Caller) {
		v, took, err := timeOf(f.With(Hedge(100 * time.Millisecond)))
		require.NoError(t, err)
		require.Equal(t, 3, v)
		requireAbout(t, 200*time.Millisecond, took)
		time.Sleep(10 * time.Millisecond)
		require.EqualValues(t, 1, slow.given.Load(), "the loser's context ends")
		require.EqualValues(t, 1, slower.given.Load())

		v, took, err = timeOf(f.With(Hedge(100*time.Millisecond), Retries(1)))
		require.NoError(t, err)
		require.Equal(t, 2, v)
		requireAbout(t, 1100*time.Millisecond, took)
		require.EqualValues(t, 1, quick.began.Load(), "up to Retries more")
	})
}

func TestHedgeAsksNobodyElseWhenTheFirstIsQuick(t *testing.T) {
	first, second := &racer{slow: 50 * time.Millisecond}, &racer{}
	inRace(t, []*racer{first, second}, idempotent(), func(c *cluster, f *Caller) {
		for range 100 {
			v, _, err := timeOf(f.With(Hedge(100 * time.Millisecond)))
			require.NoError(t, err)
			require.Equal(t, 1, v)
		}
		require.Zero(t, second.began.Load())
	})
}

// Hedge(0) asks all of them, 1 + Retries, at once.
func TestFirstOfN(t *testing.T) {
	racers := []*racer{{slow: 300 * time.Millisecond}, {slow: 200 * time.Millisecond}, {slow: 100 * time.Millisecond}, {slow: 50 * time.Millisecond}}
	inRace(t, racers, idempotent(), func(c *cluster, f *Caller) {
		v, took, err := timeOf(f.With(Hedge(0), Retries(2)))
		require.NoError(t, err)
		require.Equal(t, 3, v)
		requireAbout(t, 100*time.Millisecond, took)
		require.Zero(t, racers[3].began.Load())
		v, took, err = timeOf(f.With(Hedge(0)))
		require.NoError(t, err)
		require.Equal(t, 4, v)
		requireAbout(t, 50*time.Millisecond, took)
	})
}

// Functions that not all providers have registered as Idempotent are not hedged, nor is Send.
func TestOnlyIdempotentFunctionsAreHedged(t *testing.T) {
	slow, quick := &racer{slow: time.Second}, &racer{}
	inRace(t, []*racer{slow, quick}, nil, func(c *cluster, f *Caller) {
		v, took, err := timeOf(f.With(Hedge(0)))
		require.NoError(t, err)
		require.Equal(t, 1, v)
		requireAbout(t, time.Second, took)
		require.Zero(t, quick.began.Load())
	})
	slow, quick = &racer{slow: time.Second}, &racer{}
	inRace(t, []*racer{slow, quick}, idempotent(), func(c *cluster, f *Caller) {
		require.NoError(t, f.With(Hedge(0)).Send(context.Background()))
		time.Sleep(2 * time.Second)
		require.Zero(t, quick.began.Load())
	})
}

// An error of the function's own is an answer.
func TestHedgedErrorsAreAnswers(t *testing.T) {
	for _, code := range []Code{Overloaded, Internal, Application, 1000} {
		failing, quick := &racer{fails: Errorf(code, "no milk")}, &racer{}
		inRace(t, []*racer{failing, quick}, idempotent(), func(c *cluster, f *Caller) {
			_, _, err := timeOf(f.With(Hedge(time.Second)))
			requireError(t, err, code, Yes)
			require.Zero(t, quick.began.Load())
		})
	}
}

// A provider that has no room, or has gone, is replaced at once, without waiting for the next hedge.
func TestHedgeReplacesWhoCannotTakeTheCall(t *testing.T) {
	busy, quick := &racer{slow: time.Second}, &racer{slow: 10 * time.Millisecond}
	inRace(t, []*racer{busy, quick}, append(idempotent(), MaxConcurrent(1)), func(c *cluster, f *Caller) {
		go func() { _, _ = f.Call(context.Background()) }()
		time.Sleep(10 * time.Millisecond)
		v, took, err := timeOf(f.With(Hedge(time.Second)))
		require.NoError(t, err)
		require.Equal(t, 2, v)
		requireAbout(t, 10*time.Millisecond, took)
		time.Sleep(time.Second)
	})
	dying, quick := &racer{slow: 5 * time.Second}, &racer{slow: 10 * time.Millisecond}
	inRace(t, []*racer{dying, quick}, idempotent(), func(c *cluster, f *Caller) {
		start := time.Now()
		done := Go[int](context.Background(), f.With(Hedge(4*time.Second)))
		time.Sleep(10 * time.Millisecond)
		c.kill(c.nodes[1])
		v, err := done.Wait()
		require.NoError(t, err)
		require.Equal(t, 2, v)
		require.Less(t, time.Since(start), 2500*time.Millisecond, "as soon as it is found dead")
	})
}

// If all fail the call does, and its error tells the truth of all of them.
func TestAllHedgesFail(t *testing.T) {
	first, second := &racer{slow: 5 * time.Second}, &racer{slow: 5 * time.Second}
	inRace(t, []*racer{first, second}, append(idempotent(), MaxConcurrent(1)), func(c *cluster, f *Caller) {
		ctx, cancel := context.WithCancel(context.Background())
		blocked := Go[int](ctx, f.With(On(addrOf(2))))
		time.Sleep(10 * time.Millisecond)
		done := Go[int](context.Background(), f.With(Hedge(4*time.Second)))
		time.Sleep(10 * time.Millisecond)
		c.kill(c.nodes[1])
		_, err := done.Wait()
		requireError(t, err, Overloaded, Maybe) // the second had no room, but the first may have run it
		cancel()
		_, err = blocked.Wait()
		require.ErrorIs(t, err, ErrCanceled)
	})
	inRace(t, []*racer{{fails: Errorf(1000, "no milk")}, {slow: time.Second}}, idempotent(), func(c *cluster, f *Caller) {
		_, took, err := timeOf(f.With(Hedge(0)))
		requireError(t, err, 1000, Yes) // it is an answer, and the first
		requireAbout(t, 0, took)
	})
}

// The caller's deadline and cancellation hold for all attempts.
func TestHedgedCallsEndInTime(t *testing.T) {
	racers := []*racer{{slow: 5 * time.Second}, {slow: 5 * time.Second}, {slow: 5 * time.Second}}
	inRace(t, racers, idempotent(), func(c *cluster, f *Caller) {
		f = f.With(Hedge(100 * time.Millisecond))
		_, took, err := timeOf(f.With(Timeout(time.Second)))
		requireError(t, err, DeadlineExceeded, Maybe)
		requireAbout(t, time.Second, took)
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		_, err = f.Call(ctx)
		requireError(t, err, DeadlineExceeded, Maybe)
		ctx, cancel = context.WithCancel(context.Background())
		done := Go[int](ctx, f)
		time.Sleep(500 * time.Millisecond)
		cancel()
		_, err = done.Wait()
		requireError(t, err, Canceled, Maybe)
		c.requireNothingLeft()
		for _, r := range racers {
			require.EqualValues(t, 3, r.given.Load())
		}
	})
}

// Every extra attempt is taken from the budget of retries: hedging cannot double the load of a cluster that has become
// slow.
func TestHedgesHaveABudget(t *testing.T) {
	racers := []*racer{{slow: 200 * time.Millisecond}, {slow: 200 * time.Millisecond}}
	inRace(t, racers, idempotent(), func(c *cluster, f *Caller) {
		const calls = 2000
		var all []*Future[int]
		for range calls {
			all = append(all, Go[int](context.Background(), f.With(Hedge(10*time.Millisecond))))
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
	inCluster(t, 1, func(c *cluster) {
		caller := c.start(0)
		var ran [3]atomic.Int64
		for i := 1; i <= 2; i++ {
			require.NoError(t, c.start(i, 0).Register("f", func() { ran[i].Add(1); panic("ill") }, Idempotent()))
		}
		require.NoError(t, caller.WaitFor(context.Background(), "f", 2))
		f := caller.Caller("f", Hedge(0))
		for range 5 {
			_, err := caller.Caller("f", On(addrOf(1))).Call(context.Background())
			requireError(t, err, Internal, Yes)
		}
		for range 5 {
			_, err := f.Call(context.Background())
			requireError(t, err, Internal, Yes)
		}
		_, err := f.Call(context.Background())
		requireError(t, err, CircuitOpen, No)
		require.EqualValues(t, 5, ran[1].Load())
		require.EqualValues(t, 5, ran[2].Load())
	})
}

// This node is one of those asked where it counts as one, and asked once.
func TestHedgeWithThisNodeAmongThem(t *testing.T) {
	inRace(t, []*racer{{slow: time.Second}, {slow: time.Second}}, idempotent(), func(c *cluster, f *Caller) {
		here := &racer{slow: 500 * time.Millisecond}
		fn := func(ctx context.Context) (int, error) { return here.run(ctx, 0) }
		require.NoError(t, c.nodes[0].Register("f", fn, Idempotent()))
		v, took, err := timeOf(f.With(Local(LocalEqual), Hedge(0)))
		require.NoError(t, err)
		require.Zero(t, v)
		requireAbout(t, 500*time.Millisecond, took)
		require.EqualValues(t, 1, here.began.Load())
	})
}

// exiting is an argument whose encoding ends its goroutine.
type exiting struct{}

func (exiting) MarshalText() ([]byte, error) { runtime.Goexit(); return nil, nil }
func (*exiting) UnmarshalText([]byte) error  { return nil }

// What a method of the caller's own does to the goroutine of an attempt ends that call, and nothing else.
func TestHedgedArgumentsThatMisbehave(t *testing.T) {
	inRace(t, []*racer{{}, {}}, idempotent(), func(c *cluster, f *Caller) {
		_, err := f.With(Hedge(time.Second)).Call(context.Background(), exiting{})
		requireError(t, err, InvalidArgument, No)
		_, err = f.With(Hedge(time.Second)).Call(context.Background(), make(chan int))
		requireError(t, err, InvalidArgument, No)
		_, _, err = timeOf(f.With(Hedge(time.Second)))
		require.NoError(t, err)
	})
}

// "A hedge that contradicts other options ... is a wrong option", in any order and by With.
func TestHedgesThatCannotBe(t *testing.T) {
	inRace(t, []*racer{{}, {}}, idempotent(), func(c *cluster, f *Caller) {
		for text, other := range map[string]CallOption{
			"Hedge and On contradict": On(addrOf(1)), "Hedge and Local(LocalOnly) contradict": Local(LocalOnly),
			"Hedge and NoRetry contradict": NoRetry(), "Hedge is -1ns": Hedge(-1),
		} {
			for i, wrong := range []*Caller{f.With(other, Hedge(time.Second)), f.With(Hedge(time.Second), other), f.With(other).With(Hedge(time.Second))} {
				_, _, err := timeOf(wrong)
				if i != 1 && text == "Hedge is -1ns" {
					continue // the later one counts
				}
				requireError(t, err, InvalidArgument, No)
				require.ErrorContains(t, err, text, fmt.Sprint(i))
			}
		}
		n := 0
		for r := range f.With(Hedge(0)).All(context.Background()) {
			require.NoError(t, r.Err)
			n++
		}
		require.Equal(t, 2, n, "All is not hedged")
	})
}
