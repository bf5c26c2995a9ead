package calls

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// Two versions of a program: the caller's and the provider's.
type (
	skewLine struct {
		Item string
		Tax  int `msgpack:"tax"`
	}
	skewOrder struct {
		ID    int
		Note  string `json:"note"`
		Lines []*skewLine
	}
	skewReceipt struct{ Total, Rebate int }

	otherLine  struct{ Item string }
	otherOrder struct {
		ID    int
		Vat   int `msgpack:"vat"`
		Lines []otherLine
	}
	otherReceipt struct{ Total int }
)

const (
	skewOfOrder = "argument 1: only the caller has note, Lines[].tax, only the provider has vat"
	skewOfBoth  = skewOfOrder + "; result 1: only the caller has Rebate"
)

// withSkew runs a test on a provider and a caller of different versions. The log is the caller's.
func withSkew(
	t *testing.T, fn any, test func(c *clustertest.Cluster, provider, caller *broach.Node, log func() string),
) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		var log clustertest.SharedLog
		provider := c.Start(0)
		c.Edit = func(cfg *broach.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
		caller := c.Start(1, 0)
		c.Edit = func(*broach.Config) {}
		clustertest.Offer(c, provider, caller, "place", fn)
		test(c, provider, caller, func() string { time.Sleep(5 * time.Second); return log.String() })
	})
}

func placeOther(o otherOrder) otherReceipt { return otherReceipt{o.ID} }

// "a caller that knows a provider's description is told once in the log, by name, of fields that only one side has",
// and no call waits for it or fails.
func TestFieldsThatOnlyOneSideHasAreToldOnce(t *testing.T) {
	withSkew(t, placeOther, func(c *clustertest.Cluster, provider, caller *broach.Node, log func() string) {
		place := caller.Caller("place")
		call := func() {
			got, err := broach.Call[skewReceipt](context.Background(), place, skewOrder{ID: 7, Note: "x"})
			require.NoError(t, err)
			require.Equal(t, skewReceipt{Total: 7}, got)
		}
		for range 100 {
			call()
		}
		text := log()
		require.Equal(t, 1, strings.Count(text, "have not the same fields"), text)
		require.Contains(t, text, fmt.Sprintf("level=WARN msg=\"broach: caller and provider have not the same fields, "+
			"and what only one has is lost on the way: bring both to one version\" service=place node=%v difference=%q",
			provider.Addr(), skewOfBoth))
		require.NotContains(t, text, "Note:x")

		c.Kill(provider)
		require.NoError(t, c.Start(0, 1).Register("place", placeOther))
		time.Sleep(3 * time.Second)
		call()
		require.Equal(t, text, onlySkew(text, log()), "another process, the same difference")

		_, err := broach.Bind[func(skewOrder) (any, error)](caller, "place")(skewOrder{})
		require.NoError(t, err)
		require.NoError(t, place.Send(context.Background(), &skewOrder{}))
		require.Equal(t, 2, strings.Count(log(), "have not the same fields"), "another use has another difference")
		require.Contains(t, log(), fmt.Sprintf("difference=%q", skewOfOrder))
	})
}

// onlySkew is a log without the lines that are not about fields, of those that have come since before.
func onlySkew(before, now string) string {
	for line := range strings.Lines(strings.TrimPrefix(now, before)) {
		if strings.Contains(line, "same fields") {
			before += line
		}
	}
	return before
}

// A provider is asked once: neither more calls nor more forms of the same ask again.
func TestAProviderIsAskedOnce(t *testing.T) {
	withSkew(t, func(o otherOrder, x int) int { return x }, func(c *clustertest.Cluster, provider, caller *broach.Node,
		log func() string) {
		cost := func(opts ...broach.CallOption) uint64 {
			before := provider.Stats().DatagramsIn
			for range 10 {
				_, err := broach.Call[int](context.Background(), caller.Caller("place", opts...), otherOrder{}, 1)
				require.NoError(t, err)
				time.Sleep(20 * time.Millisecond)
			}
			return provider.Stats().DatagramsIn - before
		}
		first := cost()
		later := cost()
		require.Greater(t, first, later)
		require.LessOrEqual(t, cost(broach.Strict()), later+1, "it is known already; a heartbeat may have come")
		require.NotContains(t, log(), "same fields")
	})
}

// Strict refuses each form of a call before the function runs, and names the fields.
func TestStrict(t *testing.T) {
	ran := 0
	place := func(o otherOrder) (otherReceipt, error) { ran++; return otherReceipt{}, nil }
	withSkew(t, place, func(c *clustertest.Cluster, provider, caller *broach.Node, log func() string) {
		ctx := context.Background()
		pass := broach.CallInterceptors(passOn)
		for name, n := range map[string]*broach.Node{"at a peer": caller, "here": provider} {
			for _, opts := range [][]broach.CallOption{
				{broach.Strict()}, {broach.Strict(), pass}, {broach.Strict(), broach.NoRetry()},
			} {
				p := n.Caller("place", opts...)
				var client struct {
					Place func(skewOrder) (skewReceipt, error) `broach:"place"`
				}
				require.NoError(t, provider.Register("svc.place", place))
				require.NoError(t, n.WaitFor(ctx, "svc.place", 1))
				broach.BindAll(n, "svc", &client, opts...)
				for form, call := range map[string]func() error{
					"Call": func() error { _, err := broach.Call[skewReceipt](ctx, p, skewOrder{}); return err },
					"pointer": func() error {
						_, err := broach.Call[*skewReceipt](ctx, p, &skewOrder{})
						return err
					},
					"any": func() error { _, err := p.Call(ctx, skewOrder{}); return err },
					"Go": func() error {
						_, err := broach.Go[skewReceipt](ctx, p, skewOrder{}).Wait()
						return err
					},
					"Send":    func() error { return p.Send(ctx, skewOrder{}) },
					"BindAll": func() error { _, err := client.Place(skewOrder{}); return err },
					"result": func() error {
						_, err := broach.Call[skewReceipt](ctx, p, otherOrder{})
						return err
					},
					"All": func() (err error) {
						for r := range broach.All[skewReceipt](ctx, p, skewOrder{}) {
							err = r.Err
						}
						return err
					},
					"Bind": func() error {
						place := broach.Bind[func(context.Context, skewOrder) (skewReceipt, error)](n, "place", opts...)
						_, err := place(ctx, skewOrder{})
						return err
					},
				} {
					e := clustertest.RequireError(t, call(), broach.InvalidArgument, broach.No)
					want := skewOfBoth
					switch form {
					case "any", "Send":
						want = skewOfOrder
					case "result":
						want = "result 1: only the caller has Rebate"
					}
					require.Equal(t, want+"; without Strict these are lost on the way", e.Message, "%s %s", name, form)
					require.Equal(t, provider.Addr().String(), e.Node)
				}
				_, err := broach.Call[otherReceipt](ctx, p, otherOrder{})
				require.NoError(t, err)
				require.Equal(t, 1, ran)
				ran = 0
				require.NoError(t, provider.Unregister("svc.place"))
			}
		}
	})
}

func TestStrictComparesTwoResults(t *testing.T) {
	two := func() (otherReceipt, otherOrder) { return otherReceipt{}, otherOrder{} }
	withSkew(t, two, func(_ *clustertest.Cluster, _, caller *broach.Node, _ func() string) {
		p := caller.Caller("place", broach.Strict())
		_, _, err := broach.Call2[otherReceipt, skewOrder](context.Background(), p)
		e := clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
		require.Contains(t, e.Message, "result 2: only the caller has note, Lines[].tax, only the provider has vat")
		_, _, err = broach.Call2[otherReceipt, otherOrder](context.Background(), p)
		require.NoError(t, err)
		_, err = broach.Call[struct{}](context.Background(), p)
		clustertest.RequireError(t, err, broach.InvalidArgument, broach.Yes) // one is wanted: no question of fields
	})
}

// A Strict call goes to whoever has the same fields, however many have not, and whatever Retries says.
func TestStrictPassesOverOtherVersions(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(8)
		caller := c.Nodes[7]
		for _, n := range c.Nodes[:6] {
			require.NoError(t, n.Register("place", placeOther))
		}
		require.NoError(t, c.Nodes[6].Register("place", func(o skewOrder) skewReceipt { return skewReceipt{Total: 1} }))
		require.NoError(t, caller.WaitFor(context.Background(), "place", 7))
		turns := broach.Balance(broach.RoundRobin())
		for _, opt := range []broach.CallOption{broach.Retries(3), broach.NoRetry(), turns} {
			for range 20 {
				place := caller.Caller("place", broach.Strict(), opt)
				got, err := broach.Call[skewReceipt](context.Background(), place, skewOrder{})
				require.NoError(t, err)
				require.Equal(t, 1, got.Total)
			}
		}
	})
}

// A value that does not fit where the fields are the same, as nil, changes nothing for those that do; nor does it where
// calls are hedged, whose Retries count only those that were asked.
func TestStrictAfterAValueThatDoesNotFit(t *testing.T) {
	for _, opt := range []broach.CallOption{broach.Retries(1), broach.Hedge(time.Second)} {
		clustertest.Run(t, 1, func(c *clustertest.Cluster) {
			c.StartAll(6)
			caller := c.Nodes[0]
			for _, n := range c.Nodes[1:5] {
				require.NoError(t, n.Register("place", placeOther, broach.Idempotent()))
			}
			fits := func(o skewOrder) skewReceipt { return skewReceipt{Total: 1} }
			require.NoError(t, c.Nodes[5].Register("place", fits, broach.Idempotent()))
			require.NoError(t, caller.WaitFor(context.Background(), "place", 5))
			place := caller.Caller("place", opt, broach.Retries(1), broach.Strict())
			for _, bad := range []any{(*skewOrder)(nil), skewOrder{}} {
				_, _ = broach.Call[skewReceipt](context.Background(), place, bad, "one too many")
				_, _ = broach.Call[skewReceipt](context.Background(), place, bad)
				for range 20 {
					_, err := broach.Call[skewReceipt](context.Background(), place, &skewOrder{})
					require.NoError(t, err)
				}
			}
		})
	}
}

// "It goes to another provider, if one has the same fields": also where this node offers the function with others.
func TestStrictPassesOverThisNode(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(3)
		caller := c.Nodes[0]
		require.NoError(t, caller.Register("place", placeOther))
		require.NoError(t, c.Nodes[1].Register("place", placeOther))
		require.NoError(t, c.Nodes[2].Register("place", func(o skewOrder) skewReceipt { return skewReceipt{Total: 1} }))
		require.NoError(t, caller.WaitFor(context.Background(), "place", 3))
		for _, opt := range []broach.CallOption{broach.Retries(1), broach.NoRetry(), broach.Local(broach.LocalEqual)} {
			for range 20 {
				place := caller.Caller("place", broach.Strict(), opt)
				got, err := broach.Call[skewReceipt](context.Background(), place, skewOrder{})
				require.NoError(t, err)
				require.Equal(t, 1, got.Total)
			}
		}
		_, err := broach.Call[skewReceipt](context.Background(),
			caller.Caller("place", broach.Strict(), broach.Local(broach.LocalOnly)), skewOrder{})
		clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
	})
}

// "what when the provider cannot describe (old, TooLarge, Unavailable)": Strict goes to another one, or is Unavailable.
func TestStrictWhereAProviderCannotSay(t *testing.T) {
	type mine struct{ Own int }
	ran := false
	fn := func(broad) { ran = true }
	withSkew(t, fn, func(c *clustertest.Cluster, provider, caller *broach.Node, _ func() string) {
		place := caller.Caller("place", broach.Strict())
		for range 2 {
			_, err := broach.Call[struct{}](context.Background(), place, mine{})
			e := clustertest.RequireError(t, err, broach.Unavailable, broach.No)
			require.Contains(t, e.Message,
				"Strict, and the provider cannot say which fields its structs have: TooLarge: ")
		}
		require.False(t, ran)
		_, err := broach.Call[struct{}](context.Background(), caller.Caller("place"), mine{})
		require.NoError(t, err)
		require.True(t, ran, "without Strict it is just called")

		other := c.Start(2, 1)
		require.NoError(t, other.Register("place", func(mine) {}))
		require.NoError(t, caller.WaitFor(context.Background(), "place", 2))
		for range 10 {
			_, err := broach.Call[struct{}](context.Background(), place, mine{})
			require.NoError(t, err)
		}
		c.Kill(other)
		c.Kill(provider)
		_, err = broach.Call[struct{}](context.Background(), place, mine{})
		require.Error(t, err)
	})
}

// A Strict call waits no longer than it may, and does not run where nothing was said. Many at once ask once.
func TestStrictWaitsUntilItsDeadline(t *testing.T) {
	ran := 0
	fn := func(otherOrder) { ran++ }
	withSkew(t, fn, func(c *clustertest.Cluster, provider, caller *broach.Node, _ func() string) {
		c.Net.Cut([]netip.AddrPort{provider.Addr()}, []netip.AddrPort{caller.Addr()})
		place := caller.Caller("place", broach.Strict(), broach.Timeout(500*time.Millisecond))
		var all []*broach.Future[struct{}]
		for range 100 {
			all = append(all, broach.Go[struct{}](context.Background(), place, otherOrder{}))
		}
		started := time.Now()
		for _, f := range all {
			_, err := f.Wait()
			clustertest.RequireError(t, err, broach.DeadlineExceeded, broach.No)
		}
		require.Equal(t, 500*time.Millisecond, time.Since(started))
		ctx, cancel := context.WithCancel(context.Background())
		f := broach.Go[struct{}](ctx, place, otherOrder{})
		time.Sleep(time.Millisecond)
		cancel()
		_, err := f.Wait()
		clustertest.RequireError(t, err, broach.Canceled, broach.No)
		require.Zero(t, ran)
		c.Net.Heal()
		time.Sleep(10 * time.Second)
		_, err = broach.Call[struct{}](context.Background(), place, otherOrder{})
		require.NoError(t, err)
	})
}
