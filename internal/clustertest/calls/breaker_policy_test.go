package calls

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// rush is what 40 callers get of providers with 15 workers each, whose function takes 3 s, in a minute. Each waits a
// second after a failure.
type rush struct{ done, overloaded, open, others atomic.Int64 }

// rushOf runs one on so many providers and hands its outcome to a test.
func rushOf(t *testing.T, providers int, test func(r *rush), opts ...broach.CallOption) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		caller := c.Start(0)
		c.Edit = func(cfg *broach.Config) {
			cfg.Pool = broach.Pool{Core: 15, Max: 15, Queue: 1, RejectWhenFull: true}
		}
		for i := range providers {
			require.NoError(t, c.Start(i+1, 0).Register("f", func() { time.Sleep(3 * time.Second) }))
		}
		require.NoError(t, caller.WaitFor(context.Background(), "f", providers))
		r, end := &rush{}, time.Now().Add(time.Minute)
		var all sync.WaitGroup
		for range 40 {
			all.Go(func() {
				for f := caller.Caller("f", opts...); time.Now().Before(end); {
					_, err := f.Call(context.Background())
					r.note(err)
				}
			})
		}
		all.Wait()
		t.Logf("%d done, %d overloaded, %d breaker open, %d others",
			r.done.Load(), r.overloaded.Load(), r.open.Load(), r.others.Load())
		test(r)
	})
}

func (r *rush) note(err error) {
	switch {
	case err == nil:
		r.done.Add(1)
		return
	case errors.Is(err, broach.ErrOverloaded):
		r.overloaded.Add(1)
	case errors.Is(err, broach.ErrCircuitOpen):
		r.open.Add(1)
	default:
		r.others.Add(1)
	}
	time.Sleep(time.Second)
}

// "passed over, for overload only while there is another": all that it can do it does.
func TestOverloadDoesNotTakeTheLastProviderAway(t *testing.T) {
	for providers := 1; providers <= 2; providers++ {
		rushOf(t, providers, func(r *rush) {
			require.GreaterOrEqual(t, r.done.Load(), int64(285*providers), "of 300 possible ones each")
			require.Zero(t, r.open.Load())
		})
	}
	rushOf(t, 1, func(r *rush) {
		require.GreaterOrEqual(t, r.done.Load(), int64(285))
	}, broach.NoBreaker())
}

// What breakers are open, and why, is seen: with a provider that does nothing but refuse.
func TestWhyABreakerIsOpenIsSeen(t *testing.T) {
	withPatient(t, 0, func(c *clustertest.Cluster, caller *broach.Node, p *patient) {
		refuse := func(context.Context, *broach.Invocation, broach.Handler) (any, error) {
			return nil, broach.Errorf(broach.Overloaded, "full")
		}
		require.NoError(t, c.Nodes[1].Register("full", func() {}, broach.ServeInterceptors(refuse)))
		require.NoError(t, caller.WaitFor(context.Background(), "full", 1))
		p.ill.Store(true)
		for range 10 {
			_, _ = caller.Caller("f").Call(context.Background())
			_, err := caller.Caller("full").Call(context.Background())
			clustertest.RequireError(t, err, broach.Overloaded, broach.No)
			time.Sleep(time.Second / 5)
		}
		peer := caller.Stats().Peers[0]
		require.Equal(t, []string{"f", "full"}, peer.Open)
		requireBreakers(t, peer, "f open broken", "full open overloaded")
		_, err := caller.Caller("full", broach.On(peer.Addr)).Call(context.Background())
		clustertest.RequireError(t, err, broach.Overloaded, broach.No)
		_, err = caller.Caller("f").Call(context.Background())
		clustertest.RequireError(t, err, broach.CircuitOpen, broach.No)
		reached := p.reached.Load()
		_, err = caller.Caller("f", broach.NoBreaker()).Call(context.Background())
		clustertest.RequireError(t, err, broach.Internal, broach.Yes)
		require.Equal(t, reached+1, p.reached.Load())
	})
}

// A provider that is overloaded and then broken is taken away, and one that has room again is not any more.
func TestWhoIsCalledThoughItsBreakerIsOpenCanChangeThat(t *testing.T) {
	withPatient(t, 0, func(c *clustertest.Cluster, caller *broach.Node, p *patient) {
		var code atomic.Uint32
		answer := func() error {
			if code := broach.Code(code.Load()); code != 0 {
				return broach.Errorf(code, "as it is told to")
			}
			return nil
		}
		require.NoError(t, c.Nodes[1].Register("g", answer))
		require.NoError(t, caller.WaitFor(context.Background(), "g", 1))
		call := func() error { _, err := caller.Caller("g").Call(context.Background()); return err }
		overload := func() {
			code.Store(uint32(broach.Overloaded))
			for range 10 {
				require.ErrorIs(t, call(), broach.ErrOverloaded)
				time.Sleep(time.Second / 5)
			}
			require.True(t, slices.Contains(caller.Stats().Peers[0].Open, "g"))
		}
		overload()
		code.Store(0)
		require.NoError(t, call())
		time.Sleep(time.Second / 10)
		require.Empty(t, caller.Stats().Peers[0].Open)

		overload()
		code.Store(uint32(broach.Internal))
		for range 5 {
			require.ErrorIs(t, call(), broach.ErrInternal)
		}
		require.ErrorIs(t, call(), broach.ErrCircuitOpen)
	})
}
