package broach_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
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
			fmt.Println(side, call.Service, call.Args(), v, err == nil)
			return v, err
		}
	}
	guard := func(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
		if call.Meta()["user"] == "" {
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
	// broach: InvalidArgument: every 1ms: the period must be 10ms or more
}

// cluster starts a caller and so many providers of a function, which is told the number of its provider.
func cluster(
	providers int, name string, fn func(i int) any, opts ...broach.RegisterOption,
) (caller *broach.Node, stop func()) {
	caller = start()
	nodes := []*broach.Node{caller}
	for i := range providers {
		node := start(caller.Addr().String())
		_ = node.Register(name, fn(i), opts...)
		nodes = append(nodes, node)
	}
	_ = caller.WaitFor(context.Background(), name, providers)
	return caller, func() {
		for _, node := range nodes {
			node.Close()
		}
	}
}

// Every provider is called at the same time, and each has its own outcome.
func ExampleCaller_All() {
	caller, stop := cluster(3, "flush", func(i int) any {
		return func() (string, error) {
			if i == 1 {
				return "", errors.New("the disk is full")
			}
			return fmt.Sprint("cache ", i), nil
		}
	})
	defer stop()
	var outcomes []string
	for r := range caller.Caller("flush").All(context.Background()) {
		outcomes = append(outcomes, fmt.Sprintf("%v, failed: %t", r.Value, r.Err != nil))
	}
	slices.Sort(outcomes)
	for _, o := range outcomes {
		fmt.Println(o)
	}
	// Output:
	// <nil>, failed: true
	// cache 0, failed: false
	// cache 2, failed: false
}

// A one-way call is over when a provider has accepted it.
func ExampleCaller_Send() {
	done := make(chan string)
	caller, stop := cluster(1, "resize", func(int) any { return func(picture string) { done <- picture } })
	defer stop()
	err := caller.Caller("resize").Send(context.Background(), "cat.png")
	fmt.Println("accepted:", err == nil)
	fmt.Println("resized:", <-done)
	// Output:
	// accepted: true
	// resized: cat.png
}

// Several calls at the same time.
func ExampleGo() {
	caller, stop := cluster(1, "square", func(int) any { return func(x int) int { return x * x } })
	defer stop()
	var squares []*broach.Future[int]
	for x := range 4 {
		squares = append(squares, broach.Go[int](context.Background(), caller.Caller("square"), x))
	}
	for _, f := range squares {
		v, err := f.Wait()
		fmt.Println(v, err)
	}
	// Output:
	// 0 <nil>
	// 1 <nil>
	// 4 <nil>
	// 9 <nil>
}

// What goes along with a call reaches the functions that its function calls in turn.
func ExampleMeta() {
	node := start()
	defer node.Close()
	_ = node.Register("order", func(ctx context.Context) (string, error) {
		return broach.Call[string](ctx, node.Caller("stock"))
	})
	_ = node.Register("stock", func(ctx context.Context) string {
		in, _ := broach.InvocationFrom(ctx)
		return in.Meta()["user"] + ", " + in.Meta()["traceparent"]
	})
	call := node.Caller("order", broach.Meta("user", "ann"),
		broach.Meta("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
	fmt.Println(call.Call(context.Background()))
	// Output: ann, 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 <nil>
}

// Where a provider is slow, another is asked too.
func ExampleHedge() {
	caller, stop := cluster(2, "read", func(i int) any {
		return func(ctx context.Context) string {
			if i == 0 {
				<-ctx.Done() // the other has answered
			}
			return fmt.Sprint("from ", i)
		}
	}, broach.Idempotent())
	defer stop()
	for range 3 {
		fmt.Println(caller.Caller("read", broach.Hedge(20*time.Millisecond)).Call(context.Background()))
	}
	// Output:
	// from 1 <nil>
	// from 1 <nil>
	// from 1 <nil>
}

// A call goes to another provider while the function of one does not serve.
func ExampleNode_SetServing() {
	node := start()
	defer node.Close()
	_ = node.Register("price", func() int { return 7 })
	price := node.Caller("price")
	fmt.Println(price.Call(context.Background()))
	_ = node.SetServing("price", false)
	_, err := price.Call(context.Background())
	fmt.Println(errors.Is(err, broach.ErrUnavailable))
	_ = node.SetServing("price", true)
	fmt.Println(price.Call(context.Background()))
	// Output:
	// 7 <nil>
	// true
	// 7 <nil>
}

// A provider says what its function takes; the names of parameters are those in its Doc.
func ExampleNode_Describe() {
	caller, stop := cluster(1, "resize", func(int) any {
		return func(picture []byte, width int) ([]byte, error) { return picture, nil }
	}, broach.Doc("resize(picture, width) makes it smaller"))
	defer stop()

	d, err := caller.Describe(context.Background(), "resize")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(d.Signature)
	for _, p := range d.Params {
		fmt.Println(p.Name, "is", p.Type.Kind)
	}
	// Output:
	// resize([]uint8, int) []uint8
	// picture is bytes
	// width is int
}

// The same key goes to the same provider.
func ExampleKey() {
	caller, stop := cluster(3, "cart", func(i int) any { return func() int { return i } })
	defer stop()
	cart := caller.Caller("cart", broach.Key("customer 7"))
	first, _ := broach.Call[int](context.Background(), cart)
	for range 100 {
		if again, err := broach.Call[int](context.Background(), cart); again != first || err != nil {
			fmt.Println("went elsewhere:", again, err)
		}
	}
	fmt.Println("a hundred calls, one provider")
	// Output: a hundred calls, one provider
}

// A node that leaves sees its callers off.
func ExampleNode_Leave() {
	caller := start()
	defer caller.Close()
	provider := start(caller.Addr().String())
	_ = provider.Register("brief", func() string { time.Sleep(50 * time.Millisecond); return "done" })
	_ = caller.WaitFor(context.Background(), "brief", 1)
	call := broach.Go[string](context.Background(), caller.Caller("brief"))
	time.Sleep(10 * time.Millisecond) // it runs
	fmt.Println("left:", provider.Leave(context.Background()))
	fmt.Println(call.Wait())
	// Output:
	// left: <nil>
	// done <nil>
}

// A program's own settings stand in the same file, under "app".
func ExampleConfig_App() {
	cfg, err := broach.LoadConfig("testdata/shop.json") // for broach.Start(cfg)
	var app struct{ Shelves int }
	wrong := cfg.App(&app)
	fmt.Println(app.Shelves, err, wrong)
	// Output: 12 <nil> <nil>
}
