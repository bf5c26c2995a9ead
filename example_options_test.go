package broach_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"broach"
)

// Options of a Caller.

// codeOf is what a call failed with, for the examples.
func codeOf(_ any, err error) broach.Code {
	e, _ := errors.AsType[*broach.Error](err)
	return e.Code
}

func ExampleTimeout() {
	end := make(chan bool)
	caller, stop := cluster(1, "think", func(int) any { return func() { <-end } })
	defer stop()
	defer close(end)
	think := caller.Caller("think", broach.Timeout(20*time.Millisecond))
	fmt.Println(codeOf(think.Call(context.Background())))
	// Output: DeadlineExceeded
}

// refusesFirst has the first provider that is asked refuse the call.
func refusesFirst() broach.RegisterOption {
	var asked atomic.Int32
	return broach.Authorize(func(context.Context, *broach.Invocation) error {
		if asked.Add(1) == 1 {
			return broach.Errorf(broach.Unavailable, "not now")
		}
		return nil
	})
}

// The call did not run at the one provider, so another is asked.
func ExampleRetries() {
	caller, stop := cluster(2, "read", func(int) any { return func() string { return "done" } }, refusesFirst())
	defer stop()
	fmt.Println(caller.Caller("read", broach.Retries(1)).Call(context.Background()))
	// Output: done <nil>
}

func ExampleNoRetry() {
	caller, stop := cluster(2, "read", func(int) any { return func() string { return "done" } }, refusesFirst())
	defer stop()
	fmt.Println(codeOf(caller.Caller("read", broach.NoRetry()).Call(context.Background())))
	// Output: Unavailable
}

func ExampleBalance() {
	caller, stop := cluster(2, "which", func(i int) any { return func() int { return i } })
	defer stop()
	which, answers := caller.Caller("which", broach.Balance(broach.RoundRobin())), map[int]int{}
	for range 10 {
		i, _ := broach.Call[int](context.Background(), which)
		answers[i]++
	}
	fmt.Println(answers)
	// Output: map[0:5 1:5]
}

func ExampleOn() {
	node := start()
	defer node.Close()
	for range 2 {
		p := start(node.Addr().String())
		defer p.Close()
		_ = p.Register("where", func() string { return p.Addr().String() })
	}
	_ = node.WaitFor(context.Background(), "where", 2)
	for _, addr := range node.Services()[0].Providers {
		v, err := node.Caller("where", broach.On(addr)).Call(context.Background())
		fmt.Println(v == addr.String(), err)
	}
	// Output:
	// true <nil>
	// true <nil>
}

func ExampleLocal() {
	caller, stop := cluster(1, "where", func(int) any { return func() string { return "there" } })
	defer stop()
	_ = caller.Register("where", func() string { return "here" })
	where := caller.Caller("where")
	fmt.Println(where.Call(context.Background()))
	fmt.Println(where.With(broach.Local(broach.LocalNever)).Call(context.Background()))
	// Output:
	// here <nil>
	// there <nil>
}

// A call waits for the provider that is just being started.
func ExampleWaitReady() {
	caller := start()
	defer caller.Close()
	greeting := broach.Go[string](context.Background(), caller.Caller("greet", broach.WaitReady()), "ann")
	provider := start(caller.Addr().String())
	defer provider.Close()
	_ = provider.Register("greet", func(name string) string { return "hello " + name })
	fmt.Println(greeting.Wait())
	// Output: hello ann <nil>
}

// A provider at which the function fails twice is left alone for a minute.
func ExampleBreaker() {
	caller, stop := cluster(1, "read", func(int) any { return func() { panic("the disk is gone") } })
	defer stop()
	read := caller.Caller("read", broach.Breaker(broach.BreakerPolicy{Failures: 2, Pause: time.Minute}))
	for range 3 {
		fmt.Println(codeOf(read.Call(context.Background())))
	}
	for _, b := range caller.Stats().Peers[0].Breakers {
		fmt.Println(b.Service, "open:", b.Open, "after", b.Policy.Failures)
	}
	// Output:
	// Internal
	// Internal
	// CircuitOpen
	// read open: true after 2
}

func ExampleNoBreaker() {
	caller, stop := cluster(1, "read", func(int) any { return func() { panic("the disk is gone") } })
	defer stop()
	read := caller.Caller("read")
	for range 5 {
		_, _ = read.Call(context.Background())
	}
	fmt.Println(codeOf(read.Call(context.Background())))
	fmt.Println(codeOf(read.With(broach.NoBreaker()).Call(context.Background())))
	// Output:
	// CircuitOpen
	// Internal
}

func ExampleCallInterceptors() {
	node := start()
	defer node.Close()
	_ = node.Register("double", func(x int) int { return 2 * x })
	tells := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
		v, err := next(ctx, call)
		fmt.Println(call.Service, "of", call.Args(), "is", v)
		return v, err
	}
	_, _ = node.Caller("double", broach.CallInterceptors(tells)).Call(context.Background(), 7)
	// Output: double of [7] is 14
}

// Options of a function.

func ExampleAuthorize() {
	node := start()
	defer node.Close()
	mine := func(_ context.Context, call *broach.Invocation) error {
		if call.From != node.Addr() || call.Meta()["user"] == "" {
			return errors.New("who are you?")
		}
		return nil
	}
	_ = node.Register("open", func() string { return "come in" }, broach.Authorize(mine))
	open := node.Caller("open")
	fmt.Println(codeOf(open.Call(context.Background())))
	fmt.Println(open.With(broach.Meta("user", "ann")).Call(context.Background()))
	// Output:
	// Unauthenticated
	// come in <nil>
}

func ExampleDoc() {
	node := start()
	defer node.Close()
	_ = node.Register("double", func(x int) int { return 2 * x }, broach.Doc("double(x) is twice x"))
	for _, s := range node.Services() {
		fmt.Println(s.Signature, "//", s.Doc)
	}
	// Output: double(int) int // double(x) is twice x
}

// The provider goes away with the call, which may have run there; it is made again at the other.
func ExampleIdempotent() {
	caller := start()
	defer caller.Close()
	var dies atomic.Bool
	dies.Store(true)
	for range 2 {
		p := start(caller.Addr().String())
		defer p.Close()
		_ = p.Register("read", func(ctx context.Context) string {
			if dies.Swap(false) {
				go p.Close()
				<-ctx.Done()
			}
			return "done"
		}, broach.Idempotent())
	}
	_ = caller.WaitFor(context.Background(), "read", 2)
	fmt.Println(caller.Caller("read").Call(context.Background()))
	// Output: done <nil>
}

func ExampleMaxConcurrent() {
	node := start()
	defer node.Close()
	begun, end := make(chan bool), make(chan bool)
	_ = node.Register("heavy", func() { begun <- true; <-end }, broach.MaxConcurrent(1))
	first := broach.Go[any](context.Background(), node.Caller("heavy"))
	<-begun
	fmt.Println(codeOf(node.Caller("heavy").Call(context.Background())))
	close(end)
	fmt.Println(first.Wait())
	// Output:
	// Overloaded
	// <nil> <nil>
}

func ExampleServeInterceptors() {
	node := start()
	defer node.Close()
	var served atomic.Int32
	counts := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
		served.Add(1)
		return next(ctx, call)
	}
	_ = node.Register("double", func(x int) int { return 2 * x }, broach.ServeInterceptors(counts))
	for x := range 3 {
		_, _ = node.Caller("double").Call(context.Background(), x)
	}
	fmt.Println(served.Load())
	// Output: 3
}

// A large machine takes nearly all calls from a small one.
func ExampleWeight() {
	caller := start()
	defer caller.Close()
	for name, weight := range map[string]int{"small": 1, "large": 1000} {
		p := start(caller.Addr().String())
		defer p.Close()
		_ = p.Register("which", func() string { return name }, broach.Weight(weight))
	}
	_ = caller.WaitFor(context.Background(), "which", 2)
	large := 0
	for range 100 {
		which, _ := broach.Call[string](context.Background(), caller.Caller("which", broach.Balance(broach.Weighted())))
		if which == "large" {
			large++
		}
	}
	fmt.Println(large > 80)
	// Output: true
}

// Options of a subscription.

// One event is being handled, one waits, and there is no room for the third.
func ExampleBacklog() {
	node := start()
	defer node.Close()
	begun, end := make(chan bool, 2), make(chan bool)
	_, _ = node.Subscribe("sold", func(item string) { begun <- true; <-end }, broach.Backlog(1))
	for i, item := range []string{"milk", "bread", "eggs"} {
		_, err := node.Publish(context.Background(), "sold", item)
		fmt.Println(item, err == nil, errors.Is(err, broach.ErrOverloaded))
		if i == 0 {
			<-begun
		}
	}
	close(end)
	// Output:
	// milk true false
	// bread true false
	// eggs false true
}

// subscribers are so many nodes of one application, each with a subscription, and one that publishes.
func subscribers(n int, opts ...broach.SubscribeOption) (shop *broach.Node, stop func()) {
	shop = start()
	nodes := []*broach.Node{shop}
	for range n {
		node := start(shop.Addr().String())
		_, _ = node.Subscribe("sold", func(item string) {}, opts...)
		nodes = append(nodes, node)
	}
	_ = shop.WaitForSubscribers(context.Background(), "sold", n)
	return shop, func() {
		for _, node := range nodes {
			node.Close()
		}
	}
}

func ExampleEachInstance() {
	shop, stop := subscribers(3, broach.EachInstance())
	defer stop()
	d, err := shop.Publish(context.Background(), "sold", "milk")
	fmt.Println(len(d.Nodes), err)
	// Output: 3 <nil>
}

func ExampleOneAnywhere() {
	shop, stop := subscribers(3, broach.OneAnywhere())
	defer stop()
	d, err := shop.Publish(context.Background(), "sold", "milk")
	fmt.Println(len(d.Nodes), err)
	// Output: 1 <nil>
}

// Options of a timer.

// It runs as exactly as the machine does.
func ExampleJitter() {
	node := start()
	defer node.Close()
	ticks := make(chan string, 1)
	timer, err := node.Every(20*time.Millisecond, func() { ticks <- "tick" }, broach.Jitter(0))
	fmt.Println(<-ticks, err)
	timer.Stop()
	// Output: tick <nil>
}

func ExampleOneOwner() {
	node := start()
	defer node.Close()
	ticks := make(chan string, 1)
	timer, err := node.Every(20*time.Millisecond, func() { ticks <- "tidied up" }, broach.OneOwner("tidy"))
	fmt.Println(<-ticks, timer.IsOwner(), err)
	_, err = node.Every(time.Minute, func() {}, broach.OneOwner("tidy"))
	fmt.Println(errors.Is(err, broach.ErrInvalidArgument)) // there is one of that name
	timer.Stop()
	// Output:
	// tidied up true <nil>
	// true
}
