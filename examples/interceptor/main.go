// Interceptor: a log line for each call, a rate limit and a token, each as a function around calls. Two nodes of this
// process show them.
package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"broach"
	"golang.org/x/time/rate"
)

// logging writes a line for each call, never with its arguments: they may be secret.
func logging(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
	began, code := time.Now(), "OK"
	v, err := next(ctx, call)
	if e, ok := errors.AsType[*broach.Error](err); ok {
		code = e.Code.String()
	}
	slog.Info("called", "service", call.Service, "from", call.From, "took", time.Since(began), "code", code)
	return v, err
}

// limited refuses what comes too fast. Nothing has run then, so callers ask another provider.
func limited(limiter *rate.Limiter) broach.Interceptor {
	return func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
		if !limiter.Allow() {
			return nil, broach.Errorf(broach.Overloaded, "not more than %d at once", limiter.Burst())
		}
		return next(ctx, call)
	}
}

// guarded lets pass who knows the token. How long the comparison takes does not tell how much of a guess was right.
func guarded(token string) broach.Interceptor {
	return func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
		if subtle.ConstantTimeCompare([]byte(call.Meta()["token"]), []byte(token)) != 1 {
			return nil, broach.Errorf(broach.Unauthenticated, "the token is wrong or missing")
		}
		return next(ctx, call)
	}
}

func main() {
	// around all functions
	provider, err := broach.Start(broach.Config{ServeInterceptors: []broach.Interceptor{logging}, LogLevel: "error"})
	must(err)
	defer provider.Close()
	must(provider.Register("add", func(x, y int) int { return x + y },
		broach.ServeInterceptors(limited(rate.NewLimiter(rate.Every(time.Minute), 3)))))
	must(provider.Register("secret", func() string { return "42" }, broach.ServeInterceptors(guarded("open sesame"))))
	caller, err := broach.Start(broach.Config{Join: []string{provider.Addr().String()}, LogLevel: "error"})
	must(err)
	defer caller.Close()
	must(caller.WaitFor(context.Background(), "secret", 1))

	for _, want := range []error{nil, nil, nil, broach.ErrOverloaded} {
		show(caller.Caller("add"), want, 1, 2)
	}
	show(caller.Caller("secret"), broach.ErrUnauthenticated)
	show(caller.Caller("secret", broach.Meta("token", "open sesame")), nil)
}

// show makes a call and checks what comes of it.
func show(c *broach.Caller, want error, args ...any) {
	v, err := c.Call(context.Background(), args...)
	if !errors.Is(err, want) {
		log.Fatalf("got %v, want %v", err, want)
	}
	fmt.Println("  result:", v, "error:", err)
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
