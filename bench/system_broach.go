package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"broach"
)

// joinPatience is how long a client waits until it has heard of the server's functions.
const joinPatience = 10 * time.Second

var (
	broachTyped = system{
		name: "broach", title: "broach, Bind", broach: true, streams: true,
		serve: func() (server, error) { return serveBroach(quiet(), sum) },
		dial:  func(addr string) (client, error) { return dialTyped(quiet(), addr) },
	}
	broachSealed = system{
		name: "broach-sealed", title: "broach, Bind, sealed", broach: true, streams: true,
		serve: func() (server, error) { return serveBroach(sealed(), sum) },
		dial:  func(addr string) (client, error) { return dialTyped(sealed(), addr) },
	}
	broachContext = system{
		name: "broach-context", title: "broach, Bind, a function with a context", broach: true, maxEcho: 1 << 10,
		serve: func() (server, error) {
			return serveBroach(quiet(), func(_ context.Context, x, y int) int { return x + y })
		},
		dial: broachTyped.dial,
	}
	broachCallerIntercepted = system{
		name: "broach-caller-interceptor", title: "broach, Bind, an Interceptor at the caller", broach: true,
		maxEcho: 1 << 10,
		serve:   broachTyped.serve,
		dial:    func(addr string) (client, error) { return dialTyped(intercepted(), addr) },
	}
	broachProviderIntercepted = system{
		name: "broach-provider-interceptor", title: "broach, Bind, an Interceptor at the provider", broach: true,
		maxEcho: 1 << 10,
		serve:   func() (server, error) { return serveBroach(intercepted(), sum) },
		dial:    broachTyped.dial,
	}
	broachBothIntercepted = system{
		name: "broach-interceptors", title: "broach, Bind, an Interceptor at both ends", broach: true, maxEcho: 1 << 10,
		serve: broachProviderIntercepted.serve,
		dial:  broachCallerIntercepted.dial,
	}
	broachTraced = system{
		name: "broach-tracer", title: "broach, Bind, a Tracer that looks away", broach: true, maxEcho: 1 << 10,
		serve: func() (server, error) { return serveBroach(traced(), sum) },
		dial:  func(addr string) (client, error) { return dialTyped(traced(), addr) },
	}
	broachReflective = system{
		name: "broach-call", title: "broach, Caller.Call", broach: true,
		serve: broachTyped.serve,
		dial:  dialReflective,
	}
)

// quiet is the default configuration without a log.
func quiet() broach.Config { return broach.Config{LogLevel: "off"} }

// intercepted is quiet with an Interceptor that does nothing, for calls either way.
func intercepted() broach.Config {
	pass := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
		return next(ctx, call)
	}
	cfg := quiet()
	cfg.CallInterceptors, cfg.ServeInterceptors = []broach.Interceptor{pass}, []broach.Interceptor{pass}
	return cfg
}

// lookAway is a Tracer that samples nothing.
type lookAway struct{}

func (lookAway) StartCall(ctx context.Context, _ string, _ broach.CallKind) (context.Context, broach.Span) {
	return ctx, nil
}

func (lookAway) StartServe(
	ctx context.Context, _ string, _ broach.CallKind, _ netip.AddrPort, _ map[string]string,
) (context.Context, broach.Span) {
	return ctx, nil
}

// traced is quiet with such a Tracer.
func traced() broach.Config {
	cfg := quiet()
	cfg.Tracer = lookAway{}
	return cfg
}

// sealed is quiet with a key. Anybody can read it here: what it costs is the same.
func sealed() broach.Config {
	cfg := quiet()
	cfg.Keys = [][]byte{[]byte("thirty-two bytes, no secret here")}
	return cfg
}

func sum(x, y int) int { return x + y }

// serveBroach offers the three functions; add is one of two integers.
func serveBroach(cfg broach.Config, add any) (server, error) {
	node, err := broach.Start(cfg)
	if err != nil {
		return server{}, err
	}
	err = errors.Join(
		node.Register("add", add),
		node.Register("echo", func(p []byte) []byte { return p }),
		node.Register("lend", echoLent),
		node.Register("items", itemsOf),
		node.Register("put", checksum),
	)
	return server{addr: node.Addr().String(), stop: func() { node.Close() }}, err
}

// joinBroach starts a node that knows the server's functions.
func joinBroach(cfg broach.Config, addr string) (*broach.Node, error) {
	cfg.Join = []string{addr}
	node, err := broach.Start(cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), joinPatience)
	defer cancel()
	if err := node.WaitFor(ctx, "put", 1); err != nil {
		node.Close()
		return nil, err
	}
	return node, nil
}

// typedClient calls through func variables made by Bind.
type typedClient struct {
	node   *broach.Node
	addFn  func(context.Context, int, int) (int, error)
	echoFn func(context.Context, []byte) ([]byte, error)
	putFn  func(context.Context, []byte) (uint32, error)
	lendFn lentFunc
}

func dialTyped(cfg broach.Config, addr string) (client, error) {
	node, err := joinBroach(cfg, addr)
	if err != nil {
		return nil, err
	}
	return &typedClient{
		node:   node,
		addFn:  broach.Bind[func(context.Context, int, int) (int, error)](node, "add"),
		echoFn: broach.Bind[func(context.Context, []byte) ([]byte, error)](node, "echo"),
		putFn:  broach.Bind[func(context.Context, []byte) (uint32, error)](node, "put"),
		lendFn: bindLent(node),
	}, nil
}

func (c *typedClient) add(x, y int) (int, error)     { return c.addFn(context.Background(), x, y) }
func (c *typedClient) echo(p []byte) ([]byte, error) { return c.echoFn(context.Background(), p) }
func (c *typedClient) put(p []byte) (uint32, error)  { return c.putFn(context.Background(), p) }
func (c *typedClient) close()                        { c.node.Close() }

func (c *typedClient) lend(p []byte, read func([]byte)) error { return c.lendFn.call(p, read) }

// reflectiveClient calls with any arguments and gets any results.
type reflectiveClient struct {
	node                       *broach.Node
	addCall, echoCall, putCall *broach.Caller
}

func dialReflective(addr string) (client, error) {
	node, err := joinBroach(quiet(), addr)
	if err != nil {
		return nil, err
	}
	return &reflectiveClient{
		node:    node,
		addCall: node.Caller("add"), echoCall: node.Caller("echo"), putCall: node.Caller("put"),
	}, nil
}

func (c *reflectiveClient) add(x, y int) (int, error)     { return resultOf[int](c.addCall, x, y) }
func (c *reflectiveClient) echo(p []byte) ([]byte, error) { return resultOf[[]byte](c.echoCall, p) }
func (c *reflectiveClient) put(p []byte) (uint32, error)  { return resultOf[uint32](c.putCall, p) }
func (c *reflectiveClient) close()                        { c.node.Close() }

// resultOf calls and expects a result of the kind the function declared.
func resultOf[R any](c *broach.Caller, args ...any) (R, error) {
	v, err := c.Call(context.Background(), args...)
	if err != nil {
		var none R
		return none, err
	}
	r, ok := v.(R)
	if !ok {
		return r, fmt.Errorf("a %T came back", v)
	}
	return r, nil
}
