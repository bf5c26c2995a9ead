package broach_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"broach"
)

// start starts a node on a free loopback port that joins the given ones, for the examples.
func start(join ...string) *broach.Node {
	node, err := broach.Start(broach.Config{Join: join, LogLevel: "off"})
	if err != nil {
		log.Fatal(err)
	}
	return node
}

// Two nodes in one process; in real life they are programs on different machines.
func Example() {
	provider := start()
	defer provider.Close()
	if err := provider.Register("work01", func(x, y int) int { return x + y }); err != nil {
		log.Fatal(err)
	}

	node := start(provider.Addr().String())
	defer node.Close()
	v, err := node.Caller("work01").Call(context.Background(), 1, 2)
	fmt.Println(v, err)
	// Output: 3 <nil>
}

func ExampleCall() {
	node := start()
	defer node.Close()
	type point struct{ X, Y int }
	_ = node.Register("mirror", func(p point) point { return point{p.Y, p.X} })

	p, err := broach.Call[point](context.Background(), node.Caller("mirror"), point{1, 2})
	fmt.Println(p, err)
	// Output: {2 1} <nil>
}

func ExampleBind() {
	node := start()
	defer node.Close()
	_ = node.Register("work01", func(x, y int) int { return x + y })

	add := broach.Bind[func(ctx context.Context, x, y int) (int, error)](node, "work01")
	sum, err := add(context.Background(), 1, 2)
	fmt.Println(sum, err)
	// Output: 3 <nil>
}

// An error says what happened and whether the function ran.
func ExampleError() {
	node := start()
	defer node.Close()
	_ = node.Register("shop", func(item string) error { return broach.Errorf(1001, "no %s", item) })

	for _, args := range [][]any{{"milk"}, {}} {
		_, err := node.Caller("shop").Call(context.Background(), args...)
		var e *broach.Error
		if errors.As(err, &e) {
			fmt.Printf("%v, executed %v: %s\n", e.Code, e.Executed, e.Message)
		}
	}
	_, err := node.Caller("closed on Sundays").Call(context.Background())
	fmt.Println(errors.Is(err, broach.ErrNotFound))
	// Output:
	// Code(1001), executed yes: no milk
	// InvalidArgument, executed no: shop(string): got 0 arguments
	// true
}

var errClosed = errors.New("closed on Sundays")

// SoldOut is an error whose fields its caller gets.
type SoldOut struct {
	Item string
	Days int // until there is more
}

func (s *SoldOut) Error() string { return "no " + s.Item }

// Both ends of a call know an error by the same name; here they are one.
func ExampleRegisterError() {
	broach.RegisterError("shop: closed", errClosed)
	broach.RegisterError("shop: sold out", (*SoldOut)(nil))

	node := start()
	defer node.Close()
	_ = node.Register("shop", func(day time.Weekday, item string) error {
		if day == time.Sunday {
			return fmt.Errorf("%v: %w", day, errClosed)
		}
		return &SoldOut{Item: item, Days: 2}
	})

	_, err := node.Caller("shop").Call(context.Background(), time.Sunday, "milk")
	fmt.Println(errors.Is(err, errClosed))

	_, err = node.Caller("shop").Call(context.Background(), time.Monday, "milk")
	if gone, ok := errors.AsType[*SoldOut](err); ok {
		fmt.Printf("%v, come back in %d days\n", gone, gone.Days)
	}
	// Output:
	// true
	// no milk, come back in 2 days
}

// The same function stands around a call at the caller and at the provider.
func ExampleInterceptor() {
	trace := func(side string) broach.Interceptor {
		return func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
			v, err := next(ctx, call)
			fmt.Println(side, call.Service, call.Args, v, err == nil)
			return v, err
		}
	}
	guard := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
		if call.Meta["user"] == "" {
			return nil, broach.Errorf(broach.Unauthenticated, "who are you?")
		}
		return next(ctx, call)
	}
	node := start()
	defer node.Close()
	_ = node.Register("work01", func(x, y int) int { return x + y }, broach.ServeInterceptors(trace("served"), guard))

	work := node.Caller("work01", broach.CallInterceptors(trace("called")))
	_, _ = work.With(broach.Meta("user", "ann")).Call(context.Background(), 1, 2)
	_, err := work.Call(context.Background(), 1, 2)
	fmt.Println(errors.Is(err, broach.ErrUnauthenticated), err.(*broach.Error).Executed)
	// Output:
	// served work01 [1 2] 3 true
	// called work01 [1 2] 3 true
	// served work01 [1 2] <nil> false
	// called work01 [1 2] <nil> false
	// true no
}

func ExampleNode_Watch() {
	provider := start()
	defer provider.Close()
	_ = provider.Register("work01", func(x, y int) int { return x + y })
	node := start(provider.Addr().String())
	defer node.Close()

	for e := range node.Watch(context.Background()) {
		if e.Kind == broach.ServiceAdded {
			fmt.Println(e.Kind, e.Service, e.Member.Addr == provider.Addr())
			break
		}
	}
	// Output: service added work01 true
}

// An event goes to one instance of each application that has subscribed, here to the publisher itself.
func ExampleNode_Publish() {
	node := start()
	defer node.Close()
	handled := make(chan string, 1)
	_, err := node.Subscribe("sold", func(item string) { handled <- "there goes the " + item })
	if err != nil {
		log.Fatal(err)
	}

	delivery, err := node.Publish(context.Background(), "sold", "milk")
	fmt.Println(len(delivery.Nodes), err)
	fmt.Println(<-handled)
	delivery, err = node.Publish(context.Background(), "nobody wants to know", 1)
	fmt.Println(len(delivery.Nodes), err)
	// Output:
	// 1 <nil>
	// there goes the milk
	// 0 <nil>
}

// Each node has the timer, and one of them runs it, until it ends.
func ExampleNode_Every() {
	node := start()
	defer node.Close()
	runs := make(chan string)
	timer, err := node.Every(20*time.Millisecond, func(ctx context.Context) {
		select {
		case runs <- "tidied up":
		case <-ctx.Done():
		}
	}, broach.OneOwner("tidy"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-runs, <-runs, timer.IsOwner())
	timer.Stop()

	_, err = node.Every(time.Millisecond, func() {})
	fmt.Println(err)
	// Output:
	// tidied up tidied up true
	// every 1ms: the period must be 10ms or more
}
