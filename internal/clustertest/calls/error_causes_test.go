package calls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

var (
	errSoldOut = errors.New("sold out")
	errClosed  = errors.New("closed on Sundays")
)

// shortage is an error that is known by its type, as a pointer.
type shortage struct {
	Item   string
	Left   int
	Notes  []string
	secret string
	Inner  error `msgpack:"-"`
}

func (s *shortage) Error() string { return fmt.Sprintf("only %d %s left", s.Left, s.Item) }
func (s *shortage) Unwrap() error { return s.Inner }

// price is one that is known by its type, as a value.
type price struct{ Cents int }

func (p price) Error() string { return fmt.Sprint("costs ", p.Cents) }

// choosy encodes itself, and has no exported fields.
type choosy struct{ level byte }

func (c *choosy) Error() string                { return fmt.Sprint("not at level ", c.level) }
func (c *choosy) MarshalText() ([]byte, error) { return []byte{'0' + c.level}, nil }
func (c *choosy) UnmarshalText(b []byte) error { c.level = b[0] - '0'; return nil }

// bulky is one that may be large.
type bulky struct{ Rows []struct{ Cells [100]int64 } }

func (*bulky) Error() string { return "bulky" }

// broken is one whose details cannot be encoded.
type broken struct{ Field panicky }

func (*broken) Error() string { return "broken" }

// panicky and panickyReader have methods that panic, at the sender and at the receiver.
type panicky struct{}

func (panicky) MarshalMsgpack() ([]byte, error) { panic("boom") }

type panickyReader struct{}

func (*panickyReader) UnmarshalMsgpack([]byte) error { panic("boom") }

func init() {
	for name, err := range map[string]error{
		"sold out": errSoldOut, "closed": errClosed, "shortage": (*shortage)(nil), "price": price{},
		"choosy": &choosy{},
		"bulky":  &bulky{}, "broken": &broken{},
	} {
		broach.RegisterError(name, err)
	}
}

// failing runs a test on what a caller gets of a function that fails with err, in this process and across the network.
func failing(t *testing.T, err error, test func(t *testing.T, e *broach.Error)) {
	t.Helper()
	functions := map[string]any{"fails": func() error { return err }}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for _, n := range []*broach.Node{provider, caller} {
			_, failed := n.Caller("fails").Call(context.Background())
			var e *broach.Error
			require.ErrorAs(c.T, failed, &e)
			test(c.T, e)
		}
	})
}

func TestRegisteredErrorsHoldAtTheCaller(t *testing.T) {
	milk := &shortage{Item: "milk", Left: 2, Notes: []string{"a", "b"}, secret: "s", Inner: errSoldOut}
	for name, tt := range map[string]struct {
		err  error
		code broach.Code
		text string
		is   []error
		as   []error // known by their types, with what arrives of them
	}{
		"sentinel": {err: errSoldOut, text: "sold out", is: []error{errSoldOut}},
		"wrapped":  {err: fmt.Errorf("shop: %w", errSoldOut), text: "shop: sold out", is: []error{errSoldOut}},
		"two joined": {err: errors.Join(errClosed, errSoldOut), text: "closed on Sundays\nsold out",
			is: []error{errSoldOut, errClosed}},
		"one not registered": {err: errors.Join(io.EOF, errSoldOut), text: "EOF\nsold out", is: []error{errSoldOut}},
		"none registered":    {err: io.EOF, text: "EOF"},
		"with a code": {err: broach.Errorf(1001, "shop: %w", errSoldOut), code: 1001, text: "shop: sold out",
			is: []error{errSoldOut, &broach.Error{Code: 1001}}},
		"only a code": {err: &broach.Error{Code: 1001, Message: "sold out"}, code: 1001, text: "sold out",
			is: []error{&broach.Error{Code: 1001}}},
		"a code without words": {err: &broach.Error{Code: 1001}, code: 1001, is: []error{&broach.Error{Code: 1001}}},
		"a value":              {err: price{5}, text: "costs 5", as: []error{price{5}}},
		"its own encoding":     {err: &choosy{7}, text: "not at level 7", as: []error{&choosy{7}}},
		"details": {err: milk, text: "only 2 milk left", is: []error{errSoldOut},
			as: []error{&shortage{Item: "milk", Left: 2, Notes: []string{"a", "b"}}}},
		"details with a code": {err: broach.Errorf(1002, "shop: %w and %w", milk, price{5}), code: 1002,
			text: "shop: only 2 milk left and costs 5",
			is:   []error{errSoldOut},
			as:   []error{price{5}, &shortage{Item: "milk", Left: 2, Notes: []string{"a", "b"}}}},
		"a nil of a known type": {err: fmt.Errorf("no %w", (*choosy)(nil)), text: "no <nil>"},
		"no code at all":        {err: &broach.Error{Message: "odd"}, text: "odd"},
	} {
		t.Run(name, func(t *testing.T) {
			failing(t, tt.err, func(t *testing.T, e *broach.Error) {
				code := max(tt.code, broach.Application)
				clustertest.RequireError(t, e, code, broach.Yes)
				require.Equal(t, tt.text, e.Message)
				require.Equal(t, 1, strings.Count(e.Error(), e.Message+" (executed: yes)"),
					"the causes are printed once: %s", e)
				for _, is := range []error{errSoldOut, errClosed, io.EOF, &broach.Error{Code: 1001}} {
					require.Equal(t, holds(tt.is, is), errors.Is(e, is), "%v", is)
				}
				require.Equal(t, tt.as, detailsIn(e))
			})
		})
	}
}

// holds reports whether want is to hold.
func holds(all []error, want error) bool {
	for _, is := range all {
		if e, ok := is.(*broach.Error); is == want || ok && e.Is(want) {
			return true
		}
	}
	return false
}

// detailsIn lists the errors in err that are known by their types.
func detailsIn(err error) (all []error) {
	if p, ok := errors.AsType[price](err); ok {
		all = append(all, p)
	}
	if s, ok := errors.AsType[*shortage](err); ok {
		all = append(all, s)
	}
	if c, ok := errors.AsType[*choosy](err); ok {
		all = append(all, c)
	}
	return all
}

// The next call uses the memory of one that is over; what that failed with must not come back.
func TestCausesBelongToOneCall(t *testing.T) {
	fail := func(i int) error { return []error{errSoldOut, errClosed, io.EOF, nil}[i%4] }
	clustertest.InPair(t, map[string]any{"fail": fail}, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for _, n := range []*broach.Node{provider, caller} {
			for i := range 20 {
				_, err := n.Caller("fail").Call(context.Background(), i)
				require.Equal(c.T, fail(i) != nil, err != nil)
				require.Equal(c.T, i%4 == 0, errors.Is(err, errSoldOut))
				require.Equal(c.T, i%4 == 1, errors.Is(err, errClosed))
			}
		}
	})
}

// A caller gets a copy: what it does with the error is its own affair, in the same process, too.
func TestDetailsAreNotShared(t *testing.T) {
	milk := &shortage{Item: "milk", Notes: []string{"a"}}
	failing(t, milk, func(t *testing.T, e *broach.Error) {
		got, ok := errors.AsType[*shortage](e)
		require.True(t, ok)
		require.NotSame(t, milk, got)
		got.Item, got.Notes[0] = "mine", "mine"
		require.Equal(t, &shortage{Item: "milk", Notes: []string{"a"}}, milk)
	})
}

// What a call failed with that a function made itself is known to the caller of that function, too, and its text reads
// once.
func TestCausesPassThroughNodes(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		last, middle, first := c.Start(0), c.Start(1, 0), c.Start(2, 0)
		clustertest.Offer(c, last, middle, "stock", func() error {
			return fmt.Errorf("stock: %w", &shortage{Item: "milk", Inner: errSoldOut})
		})
		ask := func(name string) func(context.Context) error {
			return func(ctx context.Context) error { _, err := middle.Caller(name).Call(ctx); return err }
		}
		clustertest.Offer(c, middle, first, "shop", ask("stock"))
		clustertest.Offer(c, middle, first, "order", func(ctx context.Context) error {
			return broach.Errorf(1001, "order: %w", ask("shop")(ctx))
		})

		const stock = "stock on 10.0.0.1:7000: Application: stock: only 0 milk left (executed: yes)"
		for name, want := range map[string]string{
			"shop": "broach: shop on 10.0.0.2:7000: Application: " + stock,
			"order": "broach: order on 10.0.0.2:7000: Code(1001): order: " +
				"shop on 10.0.0.2:7000: Application: " + stock,
		} {
			_, err := first.Caller(name).Call(context.Background())
			require.EqualError(c.T, err, want)
			require.ErrorIs(c.T, err, errSoldOut)
			require.Equal(c.T, []error{&shortage{Item: "milk"}}, detailsIn(err))
			require.Equal(c.T, name == "order", errors.Is(err, &broach.Error{Code: 1001}))
		}
	})
}

// "what is above that is left out, beginning with the error that takes most"
func TestCausesThatDoNotFitAreLeftOut(t *testing.T) {
	small := errors.Join(errSoldOut, price{5})
	for item, fits := range map[int]bool{1 << 10: true, 8000: true, 8200: false, 70_000: false, 1 << 20: false} {
		milk := &shortage{Item: strings.Repeat("x", item)}
		failing(t, errors.Join(small, milk), func(t *testing.T, e *broach.Error) {
			require.ErrorIs(t, e, errSoldOut)
			require.ErrorAs(t, e, new(price))
			require.Equal(t, fits, errors.As(e, new(*shortage)), "%d bytes", item)
		})
	}

	size := len(causesSaid(t, errors.Join(errSoldOut, &shortage{}, &bulky{})))
	most := wire.MaxPairs - size - 2 // all but the length of a longer string
	for item, fits := range map[int]bool{most: true, most + 1: false} {
		failing(t, errors.Join(errSoldOut, &shortage{Item: strings.Repeat("x", item)}, &bulky{}),
			func(t *testing.T, e *broach.Error) {
				require.ErrorIs(t, e, errSoldOut)
				require.ErrorAs(t, e, new(*bulky))
				require.Equal(t, fits, errors.As(e, new(*shortage)), "%d bytes", item)
			})
	}
	large := &bulky{make([]struct{ Cells [100]int64 }, 20)}
	failing(t, errors.Join(errSoldOut, &shortage{Item: strings.Repeat("x", 7000)}, large),
		func(t *testing.T, e *broach.Error) {
			require.ErrorIs(t, e, errSoldOut)
			require.ErrorAs(t, e, new(*bulky), "the smaller of the two stays")
			require.False(t, errors.As(e, new(*shortage)))
		})
}

// causesSaid are the causes of an error as they travel.
func causesSaid(t *testing.T, err error) (causes []byte) {
	functions := map[string]any{"fails": func() error { return err }}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, _, caller *broach.Node) {
		c.Net.Tap(func(_ time.Time, _, _ netip.AddrPort, b []byte) {
			for _, body := range clustertest.BodiesIn(b, wire.KindReply) {
				if m, err := wire.ConsumeReply(body); err == nil && len(m.Causes) > 0 {
					causes = slices.Clone(m.Causes)
				}
			}
		})
		_, failed := caller.Caller("fails").Call(context.Background())
		require.Error(c.T, failed)
	})
	return causes
}

// unsteady is an error with a method that panics.
type unsteady struct{ in string }

func (u *unsteady) panicIn(method string) {
	if u.in == method {
		panic("Sesame")
	}
}

func (u *unsteady) Error() string { u.panicIn("Error"); return "unsteady" }
func (u *unsteady) Is(error) bool { u.panicIn("Is"); return false }
func (u *unsteady) As(any) bool   { u.panicIn("As"); return false }
func (u *unsteady) Unwrap() error { u.panicIn("Unwrap"); return nil }

// Panics of user code end its call and nothing else. What it panicked with is for the log of its node, and for nobody
// else.
func TestPanicsOfErrorsStayAtHome(t *testing.T) {
	var log clustertest.SharedLog
	functions := map[string]any{
		"fails":    func(in string) error { return fmt.Errorf("%w", errors.Join(&unsteady{in}, errSoldOut)) },
		"encodes":  func() panicky { return panicky{} },
		"decodes":  func(panickyReader) {},
		"describe": func() error { return errors.Join(&broken{}, errSoldOut) },
	}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for _, n := range []*broach.Node{provider, caller} {
			call := func(name string, args ...any) *broach.Error {
				_, err := n.Caller(name).Call(context.Background(), args...)
				require.NotContains(c.T, err.Error(), "Sesame")
				require.NotContains(c.T, err.Error(), "boom")
				require.NotContains(c.T, err.Error(), ".go:")
				return err.(*broach.Error)
			}
			for _, method := range []string{"Is", "As", "Unwrap"} {
				require.Equal(c.T, "the function panicked",
					clustertest.RequireError(c.T, call("fails", method), broach.Internal, broach.Yes).Message, method)
				time.Sleep(time.Second) // the log takes a few lines a second
			}
			fails := clustertest.RequireError(c.T, call("fails", "no method"), broach.Application, broach.Yes)
			require.ErrorIs(c.T, fails, errSoldOut)
			require.ErrorIs(c.T, call("describe"), errSoldOut)
			require.Equal(c.T, "result 1 of encodes() calls.panicky: calls.panicky panicked",
				clustertest.RequireError(c.T, call("encodes"), broach.Internal, broach.Yes).Message)
			require.Equal(c.T, "argument 1 of decodes(calls.panickyReader): calls.panickyReader panicked",
				clustertest.RequireError(c.T, call("decodes", 1), broach.InvalidArgument, broach.No).Message)
			time.Sleep(time.Second)
		}
		provider.Close() // nobody writes any more
		require.Equal(c.T, 2*3, strings.Count(log.String(), "panic=Sesame"))
		require.Equal(c.T, 2*2, strings.Count(log.String(), "panic=boom"))
		require.Contains(c.T, log.String(), "(*unsteady).panicIn")
		require.Contains(c.T, log.String(), "panicky.MarshalMsgpack")
	}, func(cfg *broach.Config) {
		if cfg.RandSeed == 1 { // the provider
			cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		}
	})
}
