// Tracer: how long each call took and which providers were tried, with a number that goes along to the function. One of
// two providers refuses, so the call is made at the other one.
package main

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"time"

	"broach"
)

// stopwatch is a Tracer of the calls that its node makes.
type stopwatch struct{}

func (stopwatch) StartCall(ctx context.Context, service string, _ broach.CallKind) (context.Context, broach.Span) {
	return ctx, &lap{service: service, began: time.Now()}
}

// StartServe returns a nil Span: what runs here is of no interest.
func (stopwatch) StartServe(
	ctx context.Context, _ string, _ broach.CallKind, _ netip.AddrPort, _ map[string]string,
) (context.Context, broach.Span) {
	return ctx, nil
}

// lap is one call.
type lap struct {
	service string
	began   time.Time
}

func (l *lap) Carry() []string { return []string{"order", "7"} }

func (l *lap) Attempt(_ netip.AddrPort, n int, err error) {
	fmt.Println("attempt", n, "failed:", err != nil)
}

func (l *lap) End(_ netip.AddrPort, _ time.Duration, err error) {
	fmt.Println(l.service, "was quick:", time.Since(l.began) < 5*time.Second, err)
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	caller, err := broach.Start(broach.Config{Addr: "127.0.0.1:0", LogLevel: "off", Tracer: stopwatch{}})
	if err != nil {
		return err
	}
	defer caller.Close()
	refuse := func(context.Context, *broach.Invocation, broach.Handler) (any, error) {
		return nil, broach.Errorf(broach.Unavailable, "not here")
	}
	for _, opts := range [][]broach.RegisterOption{{broach.ServeInterceptors(refuse)}, nil} {
		provider, err := broach.Start(broach.Config{
			Addr: "127.0.0.1:0", LogLevel: "off", Join: []string{caller.Addr().String()},
		})
		if err != nil {
			return err
		}
		defer provider.Close()
		if err := provider.Register("order", order, opts...); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := caller.WaitFor(ctx, "order", 2); err != nil {
		return err
	}
	fmt.Println(caller.Caller("order").Call(ctx))
	return nil
}

// order says which one it is.
func order(ctx context.Context) string {
	call, _ := broach.InvocationFrom(ctx)
	return "order " + call.Meta()["order"]
}
