package troubles

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// An errorMaker makes an error as a program gets it.
type errorMaker struct {
	what string
	make func(n, peer *broach.Node) error
}

var errSoldOut = errors.New("sold out")

func thrown(f func()) (err error) {
	defer func() { err = fmt.Errorf("%v", recover()) }()
	f()
	return nil
}

// makers are one error of each exported function that returns or panics with some, and of each way in which calls fail.
func makers(t *testing.T) []errorMaker {
	ctx := context.Background()
	over, cancel := context.WithCancel(ctx)
	cancel()
	soon := func() context.Context {
		ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	call := func(name string, args ...any) func(n, _ *broach.Node) error {
		return func(n, _ *broach.Node) error { _, err := n.Caller(name).Call(ctx, args...); return err }
	}
	file := func(text string) func(_, _ *broach.Node) error {
		return func(_, _ *broach.Node) error {
			path := filepath.Join(t.TempDir(), "a.json")
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			_, err := broach.LoadConfig(path)
			return err
		}
	}
	return []errorMaker{
		{"application error", call("fail")},
		{"two hops", call("hop", "fail")},
		{"three hops", call("hop", "hop:fail")},
		{"two hops wrapped", call("wrap", "fail")},
		{"three hops wrapped", call("wrap", "wrap:fail")},
		{"two hops, joined", call("join", "fail")},
		{"two hops, by Errorf", call("coded", "fail")},
		{"two hops, Opaque", call("opaque", "fail")},
		{"a hop to nobody", call("hop", "nobody")},
		{"what WaitFor says, in a function", call("waits", "")},
		{"the same, wrapped", call("waits", "wrapped: ")},
		{"what Start says, in a function", call("starts")},
		{"what Register says, in a function", call("registers")},
		{"two calls that failed, joined", call("both")},
		{"an Interceptor that wraps", func(n, _ *broach.Node) error {
			wrap := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
				v, err := next(ctx, call)
				return v, fmt.Errorf("wrapped: %w", err)
			}
			_, err := n.Caller("fail", broach.CallInterceptors(wrap)).Call(ctx)
			return err
		}},
		{"a registered error", call("soldOut")},
		{"a panic", call("panic")},
		{"an argument that does not fit", call("work01", 1, "2")},
		{"a field that does not fit", call("order", map[string]any{"Lines": []any{map[string]any{"N": "many"}}})},
		{"an argument that cannot be sent", call("work01", make(chan int), 2)},
		{"too few arguments", call("work01", 1)},
		{"nobody", call("nobody")},
		{"nobody of a name that is nearly another", call("wrok01")},
		{"no name", call("")},
		{"a result that does not fit", func(n, _ *broach.Node) error {
			_, err := broach.Call[string](ctx, n.Caller("work01"), 1, 2)
			return err
		}},
		{"a result that cannot be received", func(n, _ *broach.Node) error {
			_, err := broach.Call[chan int](ctx, n.Caller("work01"), 1, 2)
			return err
		}},
		{"two results", func(n, _ *broach.Node) error {
			_, _, err := broach.Call2[int, int](ctx, n.Caller("work01"), 1, 2)
			return err
		}},
		{"strict", func(n, _ *broach.Node) error {
			_, err := broach.Call[struct{}](ctx, n.Caller("order", broach.Strict()), struct{ Remark string }{})
			return err
		}},
		{"a canceled ctx", func(n, _ *broach.Node) error {
			_, err := n.Caller("work01").Call(over, 1, 2)
			return err
		}},
		{"a deadline", func(n, _ *broach.Node) error { _, err := n.Caller("hang").Call(soon()); return err }},
		{"WaitReady", func(n, _ *broach.Node) error {
			_, err := n.Caller("nobody", broach.WaitReady()).Call(soon())
			return err
		}},
		{"wrong options", func(n, _ *broach.Node) error {
			_, err := n.Caller("work01", broach.Timeout(-1), broach.Retries(-1)).Call(ctx, 1, 2)
			return err
		}},
		{"On nobody", func(n, _ *broach.Node) error {
			on := broach.On(netip.MustParseAddrPort("10.0.0.99:1"))
			_, err := n.Caller("work01", on).Call(ctx)
			return err
		}},
		{"Bind", func(n, _ *broach.Node) error {
			_, err := broach.Bind[func(string) (int, error)](n, "work01")("x")
			return err
		}},
		{"Bind of no function", func(n, _ *broach.Node) error {
			return thrown(func() { broach.Bind[int](n, "work01") })
		}},
		{"Bind of a channel", func(n, _ *broach.Node) error {
			return thrown(func() { broach.Bind[func(chan int) error](n, "work01") })
		}},
		{"BindAll of nothing", func(n, _ *broach.Node) error {
			return thrown(func() { broach.BindAll(n, "work01", 5) })
		}},
		{"RegisterError of nil", func(n, _ *broach.Node) error {
			return thrown(func() { broach.RegisterError("x", nil) })
		}},
		{"an Interceptor", func(n, _ *broach.Node) error {
			stop := func(context.Context, *broach.Invocation, broach.Handler) (any, error) { return nil, errSoldOut }
			_, err := n.Caller("work01", broach.CallInterceptors(stop)).Call(ctx, 1, 2)
			return err
		}},
		{"Send", func(n, _ *broach.Node) error { return n.Caller("nobody").Send(ctx) }},
		{"Go", func(n, _ *broach.Node) error {
			_, err := broach.Go[int](ctx, n.Caller("nobody")).Wait()
			return err
		}},
		{"All", func(n, _ *broach.Node) (err error) {
			for r := range n.Caller("fail").All(ctx) {
				err = r.Err
			}
			return err
		}},
		{"Register nil", func(n, _ *broach.Node) error { return n.Register("x", nil) }},
		{"Register a channel", func(n, _ *broach.Node) error { return n.Register("x", func(chan int) {}) }},
		{"Register no name", func(n, _ *broach.Node) error { return n.Register("", func() {}) }},
		{"Register twice", func(_, peer *broach.Node) error { return peer.Register("fail", func() {}) }},
		{"Register with wrong options", func(n, _ *broach.Node) error {
			return n.Register("x", func() {}, broach.Weight(-1))
		}},
		{"RegisterAll nil", func(n, _ *broach.Node) error { return n.RegisterAll("x", nil) }},
		{"RegisterFunc", func(n, _ *broach.Node) error { return broach.RegisterFunc(n, func() {}) }},
		{"Unregister", func(n, _ *broach.Node) error { return n.Unregister("x") }},
		{"UnregisterAll", func(n, _ *broach.Node) error { return n.UnregisterAll("x") }},
		{"SetServing", func(n, _ *broach.Node) error { return n.SetServing("x", true) }},
		{"SetKeys", func(n, _ *broach.Node) error { return n.SetKeys(nil) }},
		{"Forget", func(n, peer *broach.Node) error { return n.Forget(peer.Addr()) }},
		{"Forget nobody", func(n, peer *broach.Node) error { return n.Forget(netip.AddrPort{}) }},
		{"Join", func(n, _ *broach.Node) error { return n.Join("x") }},
		{"Every", func(n, _ *broach.Node) error { _, err := n.Every(0, func() {}); return err }},
		{"Every of nil", func(n, _ *broach.Node) error { _, err := n.Every(time.Second, nil); return err }},
		{"Subscribe", func(n, _ *broach.Node) error { _, err := n.Subscribe("t", func() {}); return err }},
		{"Subscribe to no topic", func(n, _ *broach.Node) error {
			_, err := n.Subscribe("", func(int) {})
			return err
		}},
		{"Publish", func(n, _ *broach.Node) error { _, err := n.Publish(ctx, "", 1); return err }},
		{"Publish a channel", func(n, _ *broach.Node) error {
			_, err := n.Publish(ctx, "t", make(chan int))
			return err
		}},
		{"Describe", func(n, _ *broach.Node) error { _, err := n.Describe(ctx, "nobody"); return err }},
		{"WaitFor", func(n, _ *broach.Node) error { return n.WaitFor(soon(), "work01", 3) }},
		{"WaitForSubscribers", func(n, _ *broach.Node) error { return n.WaitForSubscribers(soon(), "sold", 2) }},
		{"Start", func(_, _ *broach.Node) error {
			_, err := broach.Start(broach.Config{Addr: "x", CallTimeout: -1})
			return err
		}},
		{"Start without an address", func(_, _ *broach.Node) error {
			_, err := broach.Start(broach.Config{Addr: "192.0.2.1:1"})
			return err
		}},
		{"LoadConfig", func(_, _ *broach.Node) error { _, err := broach.LoadConfig("nowhere.json"); return err }},
		{"Run", func(_, _ *broach.Node) error { _, err := broach.Run("nowhere.json"); return err }},
		{"LoadConfig of no JSON", file("{")},
		{"LoadConfig of unknown keys", file(`{"params": {"rpcPrt": 1, "maxPacket": "x"}}`)},
		{"App", func(_, _ *broach.Node) error { var x struct{ A int }; return broach.Config{}.App(x) }},
		{"closed", func(_, _ *broach.Node) error {
			n, err := broach.Start(broach.Config{LogLevel: "off"})
			require.NoError(t, err)
			n.Close()
			_, err = n.Caller("x").Call(ctx)
			return errors.Join(err)
		}},
	}
}

// textsOfErrors makes all errors.
func textsOfErrors(t *testing.T, test func(what, text string)) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n, peer := c.Start(0), c.Start(1, 0)
		for name, fn := range troubled(peer, n) {
			require.NoError(t, peer.Register(name, fn))
			require.NoError(t, n.WaitFor(context.Background(), name, 1))
		}
		for _, m := range makers(c.T) {
			err := m.make(n, peer)
			require.Error(t, err, m.what)
			test(m.what, err.Error())
		}
	})
}

// troubled are functions that fail. Those that call another go by the other node.
func troubled(n, other *broach.Node) map[string]any {
	type line struct{ N int }
	type order struct{ Lines []line }
	hop := func(ctx context.Context, rest string) error {
		name, rest, isFurther := strings.Cut(rest, ":")
		if isFurther {
			_, err := n.Caller(name, broach.Local(broach.LocalFirst)).Call(ctx, rest)
			return err
		}
		_, err := n.Caller(name).Call(ctx)
		return err
	}
	return map[string]any{
		"fail": func() error { return errors.New("no luck today") }, "hop": hop,
		"wrap":    func(ctx context.Context, rest string) error { return fmt.Errorf("wrapped: %w", hop(ctx, rest)) },
		"join":    func(ctx context.Context, rest string) error { return errors.Join(errSoldOut, hop(ctx, rest)) },
		"coded":   func(ctx context.Context, r string) error { return broach.Errorf(1001, "coded: %w", hop(ctx, r)) },
		"opaque":  func(ctx context.Context, rest string) error { return broach.Opaque(hop(ctx, rest)) },
		"soldOut": func() error { return errSoldOut }, "panic": func() { panic("no") },
		"waits": func(ctx context.Context, wrapped string) error {
			ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			if err := n.WaitFor(ctx, "nobody", 1); wrapped == "" {
				return err
			} else {
				return fmt.Errorf("%s%w", wrapped, err)
			}
		},
		"starts":    func() error { _, err := broach.Start(broach.Config{Addr: "x", CallTimeout: -1}); return err },
		"registers": func() error { return n.Register("", nil) },
		"both":      func(ctx context.Context) error { return errors.Join(hop(ctx, "fail"), hop(ctx, "nobody")) },
		"work01":    func(x, y int) int { return x + y }, "order": func(order) {}, "hang": clustertest.Hang,
	}
}

// Each error begins with broach, and says so once, also within the errors of other calls.
func TestErrorsBeginWithBroachOnce(t *testing.T) {
	textsOfErrors(t, func(what, text string) {
		require.True(t, strings.HasPrefix(text, "broach: "), "%s: %s", what, text)
		for line := range strings.Lines(text) {
			require.LessOrEqual(t, strings.Count(line, "broach: "), 1, "%s: %s", what, text)
		}
	})
}

// The errors that documents print, in code or in lines of their own, are what a program gets, but for addresses.
func TestErrorsAreAsDocumented(t *testing.T) {
	made := map[string]bool{}
	textsOfErrors(t, func(_, text string) { made[withoutAddresses(text)] = true })
	for document, least := range map[string]int{
		"README.md": 1, "docs/guide.md": 3, "docs/values.md": 1, "docs/troubles.md": 14,
	} {
		text, err := os.ReadFile("../../../" + document)
		require.NoError(t, err)
		samples := samplePattern.FindAllStringSubmatch(string(text), -1)
		require.GreaterOrEqual(t, len(samples), least, document)
		for _, sample := range samples {
			said, _, _ := strings.Cut(sample[1], "; did you mean ") // which the command line adds
			require.True(t, made[withoutAddresses(said)], "%s prints %q, which no error says", document, said)
		}
	}
}

var (
	samplePattern  = regexp.MustCompile("(?m)(?:^    (?:.*  )?|`)(broach: [^`\n]+)(?:$|`)")
	addressPattern = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+:\d+`)
)

func withoutAddresses(text string) string { return addressPattern.ReplaceAllString(text, "ADDRESS") }
