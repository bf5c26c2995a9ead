package broach_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"broach"
)

// cluster starts a caller and so many providers of a function, which is told the number of its provider.
func cluster(providers int, name string, fn func(i int) any, opts ...broach.RegisterOption) (caller *broach.Node, stop func()) {
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
		return in.Meta["user"] + ", " + in.Meta["traceparent"]
	})
	call := node.Caller("order", broach.Meta("user", "ann"), broach.Meta("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
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
