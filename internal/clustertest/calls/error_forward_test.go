package calls

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// chain is three nodes: what "last" fails with reaches the first through "middle", which wraps it.
type chain struct {
	*clustertest.Cluster
	last, middle, first *broach.Node
	fails               error // what "last" returns
}

// inChain runs a test on a chain whose "middle" returns what wrap makes of the error of its call.
func inChain(t *testing.T, wrap func(error) error, test func(c *chain)) {
	clustertest.Run(t, 1, func(cluster *clustertest.Cluster) {
		c := &chain{Cluster: cluster, last: cluster.Start(0), middle: cluster.Start(1, 0), first: cluster.Start(2, 0)}
		clustertest.Offer(cluster, c.last, c.middle, "last", func() error { return c.fails })
		clustertest.Offer(cluster, c.middle, c.first, "middle", func(ctx context.Context) error {
			_, err := c.middle.Caller("last").Call(ctx)
			return wrap(err)
		})
		test(c)
	})
}

// call calls "middle" from another node and from its own.
func (c *chain) call(test func(err error)) {
	for _, n := range []*broach.Node{c.first, c.middle} {
		_, err := n.Caller("middle").Call(context.Background())
		test(err)
	}
}

// [CALL-19] A code is forwarded when the function, or what stands before it, failed with the error of a call that it
// made itself.
func TestCodesSurviveHops(t *testing.T) {
	for name, wrap := range map[string]func(error) error{
		"as it is": func(err error) error { return err },
		"wrapped":  func(err error) error { return fmt.Errorf("middle: %w", err) },
		"joined":   func(err error) error { return errors.Join(errors.New("one"), err) },
		"twice":    func(err error) error { return fmt.Errorf("b: %w", fmt.Errorf("a: %w", err)) },
	} {
		t.Run(name, func(t *testing.T) {
			inChain(t, wrap, func(c *chain) {
				for code := broach.Application; code <= broach.Closed; code++ {
					c.fails = broach.Errorf(code, "shop: %w and %w", errSoldOut, price{5})
					c.call(func(err error) {
						e := clustertest.RequireError(t, err, code, broach.Yes)
						require.Equal(t, "middle", e.Service)
						require.Contains(t, e.Message, "shop: sold out and costs 5")
						require.ErrorIs(t, err, errSoldOut)
						require.Equal(t, []error{price{5}}, detailsIn(err))
					})
				}
				c.fails = broach.Errorf(1001, "mine")
				c.call(func(err error) { clustertest.RequireError(t, err, 1001, broach.Yes) })
			})
		})
	}
}

// What ended the call within is told as that, and of the call around it that it ran.
func TestStatesOfProvidersAreForwarded(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		middle, first := c.Start(0), c.Start(1, 0)
		within := func(name string, opts ...broach.CallOption) func(context.Context) error {
			return func(ctx context.Context) error { return middle.Caller(name, opts...).Send(ctx) }
		}
		nowhere := broach.On(clustertest.AddrOf(9))
		for name, f := range map[string]any{
			"NotFound": within("none"), "Unavailable": within("NotFound", nowhere),
			"DeadlineExceeded": func() error {
				_, err := middle.Caller("hang", broach.Timeout(time.Millisecond)).Call(context.Background())
				return err
			},
			"Canceled": func(ctx context.Context) error {
				ctx, cancel := context.WithCancel(ctx)
				cancel()
				return within("hang")(ctx)
			},
			"hang": clustertest.Hang,
		} {
			clustertest.Offer(c, middle, first, name, f)
		}
		for name, is := range map[string]error{
			"NotFound": broach.ErrNotFound, "Unavailable": broach.ErrUnavailable,
			"DeadlineExceeded": context.DeadlineExceeded, "Canceled": context.Canceled,
		} {
			_, err := first.Caller(name).Call(context.Background())
			require.ErrorIs(t, err, is)
			e, _ := errors.AsType[*broach.Error](err)
			require.Equal(t, broach.Yes, e.Executed, name)
		}
	})
}

// [CALL-19] ... the caller MUST NOT take it for what the provider is able to do, nor make the call again because of it.
func TestForwardedCodesAreNoStateOfTheProvider(t *testing.T) {
	for _, executed := range []broach.Executed{broach.Yes, broach.No} {
		for _, code := range []broach.Code{broach.Unavailable, broach.Unreachable, broach.Overloaded, broach.Internal} {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				var ran atomic.Int64
				within := func(context.Context, *broach.Invocation) error {
					ran.Add(1)
					return &broach.Error{Code: code, Service: "within", Executed: broach.No}
				}
				caller := c.Start(0)
				for i := range 3 {
					opts := []broach.RegisterOption{broach.Idempotent()}
					f := func(ctx context.Context) error { return within(ctx, nil) }
					if executed == broach.No {
						opts, f = append(opts, broach.Authorize(within)), func(context.Context) error { return nil }
					}
					require.NoError(t, c.Start(i+1, 0).Register("f", f, opts...))
				}
				require.NoError(t, caller.WaitFor(context.Background(), "f", 3))
				for _, opt := range []broach.CallOption{broach.Retries(3), broach.Hedge(time.Second)} {
					ran.Store(0)
					for range 100 {
						_, err := caller.Caller("f", opt).Call(context.Background())
						clustertest.RequireError(t, err, code, executed)
					}
					require.EqualValues(t, 100, ran.Load(), "%v: each call runs once, and no breaker opens", code)
				}
			})
		}
	}
}

// "What is no affair of the caller's is returned as Opaque(err): it is an Application error without causes."
func TestOpaqueHidesWhatFailedWithin(t *testing.T) {
	for name, wrap := range map[string]func(error) error{
		"alone":   broach.Opaque,
		"wrapped": func(err error) error { return fmt.Errorf("middle: %w", broach.Opaque(err)) },
		"around":  func(err error) error { return broach.Opaque(fmt.Errorf("middle: %w", err)) },
	} {
		t.Run(name, func(t *testing.T) {
			inChain(t, wrap, func(c *chain) {
				c.fails = broach.Errorf(1001, "shop: %w", errSoldOut)
				c.call(func(err error) {
					e := clustertest.RequireError(t, err, broach.Application, broach.Yes)
					require.Contains(t, e.Message, "Code(1001): shop: sold out")
					require.NotContains(t, e.Message, "executed")
					require.NotErrorIs(t, err, &broach.Error{Code: 1001})
					require.NotErrorIs(t, err, errSoldOut)
				})
			})
		})
	}
	require.NoError(t, broach.Opaque(nil))
}

// Interceptors on the way do not lose a code, whether they pass an error on or wrap it.
func TestInterceptorsKeepCodes(t *testing.T) {
	wrapping := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
		v, err := next(ctx, call)
		if err != nil {
			err = fmt.Errorf("around: %w", err)
		}
		return v, err
	}
	inChain(t, func(err error) error { return err }, func(c *chain) {
		c.fails = broach.Errorf(broach.Overloaded, "shop: %w", errSoldOut)
		_, err := c.first.Caller("middle", broach.CallInterceptors(wrapping)).Call(context.Background())
		clustertest.RequireError(t, err, broach.Overloaded, broach.Yes)
		require.ErrorIs(t, err, errSoldOut)
	})
}

// All tells each provider's; texts that grow from hop to hop stay within their limit.
func TestForwardedTextsAreBounded(t *testing.T) {
	inChain(t, func(err error) error { return fmt.Errorf("%s: %w", strings.Repeat("m", wire.MaxText/2), err) },
		func(c *chain) {
			c.fails = broach.Errorf(broach.NotFound, "%s: %w", strings.Repeat("x", 2*wire.MaxText), errSoldOut)
			for r := range c.first.Caller("middle").All(context.Background()) {
				e := clustertest.RequireError(t, r.Err, broach.NotFound, broach.Yes)
				require.LessOrEqual(t, len(e.Message), wire.MaxText+len("…"))
				require.ErrorIs(t, r.Err, errSoldOut)
			}
		})
}
