package broach

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// failing runs a test on what a caller gets of a function that fails with err, in this process and across the network.
func failing(t *testing.T, err error, test func(t *testing.T, e *Error)) {
	t.Helper()
	inPair(t, map[string]any{"fails": func() error { return err }}, func(c *cluster, provider, caller *Node) {
		for _, n := range []*Node{provider, caller} {
			_, failed := n.Caller("fails").Call(context.Background())
			var e *Error
			require.ErrorAs(c.t, failed, &e)
			test(c.t, e)
		}
	})
}

func TestRegisteredErrorsHoldAtTheCaller(t *testing.T) {
	knowOnly(t, map[string]error{"sold out": errSoldOut, "closed": errClosed, "shortage": (*shortage)(nil),
		"price": price{}, "choosy": &choosy{}})
	milk := &shortage{Item: "milk", Left: 2, Notes: []string{"a", "b"}, secret: "s", Inner: errSoldOut}
	for name, tt := range map[string]struct {
		err  error
		code Code
		text string
		is   []error
		as   []error // known by their types, with what arrives of them
	}{
		"sentinel":             {err: errSoldOut, text: "sold out", is: []error{errSoldOut}},
		"wrapped":              {err: fmt.Errorf("shop: %w", errSoldOut), text: "shop: sold out", is: []error{errSoldOut}},
		"two joined":           {err: errors.Join(errClosed, errSoldOut), text: "closed on Sundays\nsold out", is: []error{errSoldOut, errClosed}},
		"one not registered":   {err: errors.Join(io.EOF, errSoldOut), text: "EOF\nsold out", is: []error{errSoldOut}},
		"none registered":      {err: io.EOF, text: "EOF"},
		"with a code":          {err: Errorf(1001, "shop: %w", errSoldOut), code: 1001, text: "shop: sold out", is: []error{errSoldOut, &Error{Code: 1001}}},
		"only a code":          {err: &Error{Code: 1001, Message: "sold out"}, code: 1001, text: "sold out", is: []error{&Error{Code: 1001}}},
		"a code without words": {err: &Error{Code: 1001}, code: 1001, is: []error{&Error{Code: 1001}}},
		"a value":              {err: price{5}, text: "costs 5", as: []error{price{5}}},
		"its own encoding":     {err: &choosy{7}, text: "not at level 7", as: []error{&choosy{7}}},
		"details": {err: milk, text: "only 2 milk left", is: []error{errSoldOut},
			as: []error{&shortage{Item: "milk", Left: 2, Notes: []string{"a", "b"}}}},
		"details with a code": {err: Errorf(1002, "shop: %w and %w", milk, price{5}), code: 1002,
			text: "shop: only 2 milk left and costs 5",
			is:   []error{errSoldOut}, as: []error{price{5}, &shortage{Item: "milk", Left: 2, Notes: []string{"a", "b"}}}},
		"a nil of a known type": {err: fmt.Errorf("no %w", (*choosy)(nil)), text: "no <nil>"},
		"no code at all":        {err: &Error{Message: "odd"}, text: "odd"},
	} {
		t.Run(name, func(t *testing.T) {
			failing(t, tt.err, func(t *testing.T, e *Error) {
				code := max(tt.code, Application)
				requireError(t, e, code, Yes)
				require.Equal(t, tt.text, e.Message)
				require.Equal(t, 1, strings.Count(e.Error(), e.Message+" (executed: yes)"), "the causes are printed once: %s", e)
				for _, is := range []error{errSoldOut, errClosed, io.EOF, &Error{Code: 1001}} {
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
		if e, ok := is.(*Error); is == want || ok && e.Is(want) {
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
	knowOnly(t, map[string]error{"sold out": errSoldOut, "closed": errClosed})
	fail := func(i int) error { return []error{errSoldOut, errClosed, io.EOF, nil}[i%4] }
	inPair(t, map[string]any{"fail": fail}, func(c *cluster, provider, caller *Node) {
		for _, n := range []*Node{provider, caller} {
			for i := range 20 {
				_, err := n.Caller("fail").Call(context.Background(), i)
				require.Equal(c.t, fail(i) != nil, err != nil)
				require.Equal(c.t, i%4 == 0, errors.Is(err, errSoldOut))
				require.Equal(c.t, i%4 == 1, errors.Is(err, errClosed))
			}
		}
	})
}

// A caller gets a copy: what it does with the error is its own affair, in the same process, too.
func TestDetailsAreNotShared(t *testing.T) {
	knowOnly(t, map[string]error{"shortage": &shortage{}})
	milk := &shortage{Item: "milk", Notes: []string{"a"}}
	failing(t, milk, func(t *testing.T, e *Error) {
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
	knowOnly(t, map[string]error{"sold out": errSoldOut, "shortage": &shortage{}})
	inCluster(t, 1, func(c *cluster) {
		last, middle, first := c.start(0), c.start(1, 0), c.start(2, 0)
		offer(c, last, middle, "stock", func() error { return fmt.Errorf("stock: %w", &shortage{Item: "milk", Inner: errSoldOut}) })
		ask := func(name string) func(context.Context) error {
			return func(ctx context.Context) error { _, err := middle.Caller(name).Call(ctx); return err }
		}
		offer(c, middle, first, "shop", ask("stock"))
		offer(c, middle, first, "order", func(ctx context.Context) error { return Errorf(1001, "order: %w", ask("shop")(ctx)) })

		for name, want := range map[string]string{
			"shop":  "broach: shop on 10.0.0.2:7000: Application: stock on 10.0.0.1:7000: Application: stock: only 0 milk left (executed: yes)",
			"order": "broach: order on 10.0.0.2:7000: Code(1001): order: shop on 10.0.0.2:7000: Application: stock on 10.0.0.1:7000: Application: stock: only 0 milk left (executed: yes)",
		} {
			_, err := first.Caller(name).Call(context.Background())
			require.EqualError(c.t, err, want)
			require.ErrorIs(c.t, err, errSoldOut)
			require.Equal(c.t, []error{&shortage{Item: "milk"}}, detailsIn(err))
			require.Equal(c.t, name == "order", errors.Is(err, &Error{Code: 1001}))
		}
	})
}

// pairsOf encodes causes.
func pairsOf(list ...cause) (b []byte) {
	for _, c := range list {
		b = wire.AppendPair(b, c.name, c.details)
	}
	return b
}

// [CALL-15] A cause whose name the receiver does not know, or whose details it cannot read, is ignored; the code and
// the text stand.
func TestCausesThatCannotBeReadAreIgnored(t *testing.T) {
	knowOnly(t, map[string]error{"sold out": errSoldOut, "shortage": &shortage{}, "price": price{}, "choosy": &choosy{}})
	for what, c := range map[string]cause{
		"an unknown name":        {"bold", []byte{0x80}},
		"a longer name":          {"price ", []byte{0x81, 0xa5, 'C', 'e', 'n', 't', 's', 7}},
		"no details":             {"price", nil},
		"nil":                    {"shortage", []byte{0xc0}},
		"another kind":           {"price", []byte{7}},
		"half of the details":    {"price", []byte{0x81, 0xa5, 'C', 'e'}},
		"more than the details":  {"price", []byte{0x80, 0x80}},
		"a value that is wrong":  {"price", []byte{0x81, 0xa5, 'C', 'e', 'n', 't', 's', 0xa1, 'x'}},
		"a length that is a lie": {"shortage", []byte{0x81, 0xa5, 'N', 'o', 't', 'e', 's', 0xdd, 0x7f, 0xff, 0xff, 0xff}},
		"far too deep":           {"shortage", bytes.Repeat([]byte{0x91}, 8000)},
		"a method that panics":   {"choosy", []byte{0xa0}},
	} {
		err := readCauses(pairsOf(c, cause{"sold out", nil}))
		require.Equal(t, errors.Join(errSoldOut), err, what)
		require.NoError(t, readCauses(pairsOf(c)), what)
	}
	require.Equal(t, errors.Join(errSoldOut), readCauses(pairsOf(cause{"sold out", []byte{0xc1}})),
		"a sentinel has no details to read")
}

// [CALL-15] ... the code and the text stand.
func TestTheRestOfAReplyStands(t *testing.T) {
	knowOnly(t, map[string]error{"sold out": errSoldOut})
	onLinkPair(t, Config{}, func(t *testing.T, a, b *linkSide) {
		for _, causes := range [][]byte{pairsOf(cause{"bold", []byte{7}}), pairsOf(cause{"bold", []byte{7}}, cause{"sold out", nil})} {
			call := a.call(t, time.Minute, "f")
			reply := forge(b, a, wire.Reply{Slot: call.slot, Seq: call.seq, Code: 1001, Executed: 2, Causes: causes,
				Body: []byte("no")}.Append(nil))
			a.hear(reply)
			clear(reply) // the memory of a datagram is used again
			call.require(t, 1001, Yes)
			require.Equal(t, "no", string(call.Body))
			require.Equal(t, causes, call.Causes)
			a.free(call)
			require.Nil(t, call.Causes)
		}
	})
}

// fields that need much more memory than they take on the wire.
type bulky struct{ Rows []struct{ Cells [100]int64 } }

func (*bulky) Error() string { return "bulky" }

type bulkier bulky

func (*bulkier) Error() string { return "bulkier" }

// A peer that describes much in few bytes gets a bounded amount of memory for it, however many such errors there are.
func TestDetailsAreBounded(t *testing.T) {
	knowOnly(t, map[string]error{"bulky": &bulky{}, "bulkier": &bulkier{}})
	rows := func(n byte) []byte {
		b := append([]byte{0x81, 0xa4, 'R', 'o', 'w', 's', 0xdc, n, 0}, bytes.Repeat([]byte{0x80}, int(n)<<8)...)
		return b
	}
	one, most := pairsOf(cause{"bulky", rows(4)}), pairsOf(cause{"bulky", rows(8)})
	require.Error(t, readCauses(one), "1,024 rows of 800 bytes")
	require.NoError(t, readCauses(most), "twice as many are more than a MiB")
	both := readCauses(pairsOf(cause{"bulkier", rows(4)}, cause{"bulky", rows(4)}))
	require.ErrorAs(t, both, new(*bulkier))
	_, ok := errors.AsType[*bulky](both)
	require.False(t, ok, "together they are, too")
}

// "what is above that is left out, beginning with the error that takes most"
func TestCausesThatDoNotFitAreLeftOut(t *testing.T) {
	knowOnly(t, map[string]error{"sold out": errSoldOut, "price": price{}, "shortage": &shortage{}, "bulky": &bulky{}})
	small := errors.Join(errSoldOut, price{5})
	for item, fits := range map[int]bool{1 << 10: true, 8000: true, 8200: false, 70_000: false, 1 << 20: false} {
		milk := &shortage{Item: strings.Repeat("x", item)}
		failing(t, errors.Join(small, milk), func(t *testing.T, e *Error) {
			require.ErrorIs(t, e, errSoldOut)
			require.ErrorAs(t, e, new(price))
			require.Equal(t, fits, errors.As(e, new(*shortage)), "%d bytes", item)
		})
	}

	taken := func(item, rows int) []byte {
		return causesOf(errors.Join(errSoldOut, &shortage{Item: strings.Repeat("x", item)},
			&bulky{make([]struct{ Cells [100]int64 }, rows)}))
	}
	size := len(taken(0, 0))
	require.Equal(t, wire.MaxPairs, len(taken(wire.MaxPairs-size-2, 0)), "all but the length of a longer string")
	require.Less(t, len(taken(wire.MaxPairs-size-1, 0)), 100)
	left := readCauses(taken(7000, 20))
	require.ErrorIs(t, left, errSoldOut)
	require.ErrorAs(t, left, new(*bulky), "the smaller of the two stays")
	_, ok := errors.AsType[*shortage](left)
	require.False(t, ok)
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

// broken is an error whose details cannot be encoded.
type broken struct{ Field panicky }

func (*broken) Error() string { return "broken" }

// Panics of user code end its call and nothing else. What it panicked with is for the log of its node, and for nobody
// else.
func TestPanicsOfErrorsStayAtHome(t *testing.T) {
	knowOnly(t, map[string]error{"sold out": errSoldOut, "broken": &broken{}})
	var log sharedLog
	functions := map[string]any{
		"fails":    func(in string) error { return fmt.Errorf("%w", errors.Join(&unsteady{in}, errSoldOut)) },
		"encodes":  func() panicky { return panicky{} },
		"decodes":  func(panickyReader) {},
		"describe": func() error { return errors.Join(&broken{}, errSoldOut) },
	}
	inPair(t, functions, func(c *cluster, provider, caller *Node) {
		for _, n := range []*Node{provider, caller} {
			call := func(name string, args ...any) *Error {
				_, err := n.Caller(name).Call(context.Background(), args...)
				require.NotContains(c.t, err.Error(), "Sesame")
				require.NotContains(c.t, err.Error(), "boom")
				require.NotContains(c.t, err.Error(), ".go:")
				return err.(*Error)
			}
			for _, method := range []string{"Is", "As", "Unwrap"} {
				require.Equal(c.t, "the function panicked",
					requireError(c.t, call("fails", method), Internal, Yes).Message, method)
				time.Sleep(time.Second) // the log takes a few lines a second
			}
			require.ErrorIs(c.t, requireError(c.t, call("fails", "no method"), Application, Yes), errSoldOut)
			require.ErrorIs(c.t, call("describe"), errSoldOut)
			require.Equal(c.t, "result 1 of encodes() broach.panicky: broach.panicky panicked",
				requireError(c.t, call("encodes"), Internal, Yes).Message)
			require.Equal(c.t, "argument 1 of decodes(broach.panickyReader): broach.panickyReader panicked",
				requireError(c.t, call("decodes", 1), InvalidArgument, No).Message)
			time.Sleep(time.Second)
		}
		provider.Close() // nobody writes any more
		require.Equal(c.t, 2*3, strings.Count(log.String(), "panic=Sesame"))
		require.Equal(c.t, 2*2, strings.Count(log.String(), "panic=boom"))
		require.Contains(c.t, log.String(), "(*unsteady).panicIn")
		require.Contains(c.t, log.String(), "panicky.MarshalMsgpack")
	}, func(cfg *Config) {
		if cfg.RandSeed == 1 { // the provider
			cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		}
	})
}

// Causes are read or ignored; nothing else happens, and what was read says the same when it is passed on.
func FuzzCauses(f *testing.F) {
	known := map[string]error{
		"sold out": errSoldOut, "shortage": &shortage{}, "price": price{}, "choosy": &choosy{}, "bulky": &bulky{}, "code": &Error{Code: 1001},
	}
	knowOnly(f, known)
	f.Add(causesOf(errors.Join(errSoldOut, &Error{Code: 1001}, price{5}, &shortage{Item: "milk", Notes: []string{"a"}})))
	f.Add(pairsOf(cause{"bold", nil}, cause{"price", []byte{0x80}}))
	f.Fuzz(func(t *testing.T, causes []byte) {
		if len(causes) > wire.MaxPairs {
			return
		}
		frame := wire.Reply{Code: 1, Causes: causes}.AppendBody(nil)
		m, err := wire.ConsumeReply(frame)
		if err != nil {
			return
		}
		read := readCauses(m.Causes)
		again := causesOf(read)
		for name := range wire.EachPair(again) {
			require.Contains(t, known, string(name))
		}
		require.Equal(t, again, causesOf(readCauses(again)))
	})
}
