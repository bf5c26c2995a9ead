package broach_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log"
	"sync/atomic"
	"time"

	"broach"
)

// Each provider counts what it has, and their caller sums it up.
func ExampleAll() {
	caller, stop := cluster(3, "count", func(i int) any { return func() int { return 10 * i } })
	defer stop()
	total := 0
	for r := range broach.All[int](context.Background(), caller.Caller("count")) {
		total += r.Value
	}
	fmt.Println(total)
	// Output: 30
}

func ExampleCall2() {
	node := start()
	defer node.Close()
	_ = node.Register("divide", func(x, y int) (int, int, error) {
		if y == 0 {
			return 0, 0, errors.New("division by zero")
		}
		return x / y, x % y, nil
	})
	fmt.Println(broach.Call2[int, int](context.Background(), node.Caller("divide"), 7, 2))
	// Output: 3 1 <nil>
}

// A guest calls, and the members do not hear of it.
func ExampleConfig_guest() {
	member, stop := cluster(2, "double", func(int) any { return func(i int) int { return 2 * i } })
	defer stop()
	guest, err := broach.Start(broach.Config{Guest: true, Join: []string{member.Addr().String()}})
	if err != nil {
		log.Fatal(err)
	}
	defer guest.Close()
	fmt.Println(broach.Call[int](context.Background(), guest.Caller("double"), 21))
	fmt.Println(len(member.Members()), "members,", member.Stats().Guests, "guest")
	// Output:
	// 42 <nil>
	// 3 members, 1 guest
}

// One call takes more along than the others.
func ExampleWithMeta() {
	node := start()
	defer node.Close()
	_ = node.Register("greet", func(ctx context.Context) string {
		in, _ := broach.InvocationFrom(ctx)
		return "hello " + in.Meta()["user"]
	})
	greet := broach.Bind[func(context.Context) (string, error)](node, "greet", broach.Meta("user", "all"))
	fmt.Println(greet(broach.WithMeta(context.Background(), "user", "ann")))
	fmt.Println(greet(context.Background()))
	// Output:
	// hello ann <nil>
	// hello all <nil>
}

// Counter is a service: its methods can be called.
type Counter struct{ n atomic.Int64 }

func (c *Counter) Add(n int64) int64 { return c.n.Add(n) }
func (c *Counter) Reset()            { c.n.Store(0) }

// Hits is how it is called.
type Hits struct {
	Add   func(ctx context.Context, n int64) (int64, error)
	Reset func(ctx context.Context) error
}

func ExampleNode_RegisterAll() {
	node := start()
	defer node.Close()
	if err := node.RegisterAll("hits", &Counter{}); err != nil {
		log.Fatal(err)
	}
	for _, f := range node.Services() {
		fmt.Println(f.Signature)
	}
	// Output:
	// hits.Add(int64) int64
	// hits.Reset()
}

func ExampleBindAll() {
	node := start()
	defer node.Close()
	_ = node.RegisterAll("hits", &Counter{})

	var hits Hits
	broach.BindAll(node, "hits", &hits)
	fmt.Println(hits.Add(context.Background(), 2))
	fmt.Println(hits.Add(context.Background(), 3))
	fmt.Println(hits.Reset(context.Background()))
	// Output:
	// 2 <nil>
	// 5 <nil>
	// <nil>
}

func work00(name string) string { return "hello " + name }

func ExampleRegisterFunc() {
	node := start()
	defer node.Close()
	fmt.Println(broach.RegisterFunc(node, work00))
	fmt.Println(node.Caller("work00").Call(context.Background(), "ann"))
	fmt.Println(broach.RegisterFunc(node, func() {}) != nil) // it has no name
	// Output:
	// <nil>
	// hello ann <nil>
	// true
}

// What two members believe of each other.
func ExampleNode_Inspect() {
	one := start()
	defer one.Close()
	two := start(one.Addr().String())
	defer two.Close()
	_ = two.Register("price", func() int { return 7 })
	_ = one.WaitFor(context.Background(), "price", 1)
	_ = two.WaitJoined(context.Background())

	view, err := one.Inspect(context.Background(), two.Addr(), broach.ViewMembers, broach.ViewServices)
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range view.Members {
		fmt.Println("self:", m.Addr == view.Addr, m.Self, m.State)
	}
	fmt.Println(view.Services[0].Signature)
	// Unordered output:
	// self: true true alive
	// self: false false alive
	// price() int
}

// A publisher that has just started waits until it knows of a subscriber.
func ExampleNode_WaitForSubscribers() {
	shop := start()
	defer shop.Close()
	mail := start(shop.Addr().String())
	defer mail.Close()
	sent := make(chan string, 1)
	_, _ = mail.Subscribe("sold", func(item string) { sent <- "we have sold you " + item })

	_ = shop.WaitForSubscribers(context.Background(), "sold", 1)
	delivery, err := shop.Publish(context.Background(), "sold", "milk")
	fmt.Println(len(delivery.Nodes), err)
	fmt.Println(<-sent)
	// Output:
	// 1 <nil>
	// we have sold you milk
}

func ExampleNode_Topics() {
	node := start()
	defer node.Close()
	_, _ = node.Subscribe("sold", func(item string) {}, broach.EachInstance())
	for _, t := range node.Topics() {
		fmt.Println(t.Name, len(t.Groups), len(t.Each), len(t.Anywhere))
	}
	// Output: sold 0 1 0
}

// longest is a strategy of one's own: who has most to do gets more.
type longest struct{}

func (longest) Pick(_ broach.CallInfo, from []broach.Provider) int {
	most := 0
	for i, p := range from {
		if p.InFlight > from[most].InFlight {
			most = i
		}
	}
	return most
}

func ExampleBalancer() {
	caller, stop := cluster(2, "read", func(int) any { return func() string { return "done" } })
	defer stop()
	for _, b := range []broach.Balancer{
		longest{}, broach.LeastLoaded(), broach.Random(), broach.RoundRobin(), broach.Sticky(), broach.Weighted(),
	} {
		v, _ := caller.Caller("read", broach.Balance(b)).Call(context.Background())
		fmt.Print(v, " ")
	}
	// Output: done done done done done done
}

var errNoStock = errors.New("the stock is empty")

// An error of a call within a call reaches the first caller with its code, unless it is none of its business.
func ExampleOpaque() {
	node := start()
	defer node.Close()
	_ = node.Register("stock", func() error { return broach.Errorf(1001, "%w", errNoStock) })
	_ = node.Register("order", func(ctx context.Context, secret bool) error {
		_, err := node.Caller("stock").Call(ctx)
		if secret {
			return broach.Opaque(err)
		}
		return err
	})
	for _, secret := range []bool{false, true} {
		_, err := node.Caller("order").Call(context.Background(), secret)
		fmt.Println(codeOf(nil, err))
	}
	// Output:
	// Code(1001)
	// Application
}

// The configuration is a file.
func ExampleRun() {
	node, err := broach.Run("testdata/shop.json")
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	for _, m := range node.Members() {
		fmt.Println(m.Name, m.Self)
	}
	// Output: shop true
}

// The function returns a part of what it is lent, and its caller reads that before it gives it back.
func ExampleLent() {
	caller, stop := cluster(1, "first", func(int) any {
		return func(text broach.Lent, sep string) broach.Lent {
			head, _, _ := bytes.Cut(text.Bytes, []byte(sep))
			return broach.Lent{Bytes: head} // a part of it, which is sent before it is taken back
		}
	})
	defer stop()
	line, err := broach.Call[broach.Lent](context.Background(), caller.Caller("first"), []byte("one;two;three"), ";")
	defer line.Release()
	fmt.Println(string(line.Bytes), err)
	// Output: one <nil>
}

// The caller is of a newer version than the provider: with Strict the note is not lost without a word.
func ExampleStrict() {
	type orderToday struct{ Item, Note string }
	type orderYesterday struct{ Item string }
	caller, stop := cluster(1, "place", func(int) any {
		return func(o orderYesterday) string { return "placed " + o.Item }
	})
	defer stop()
	place := caller.Caller("place")
	fmt.Println(broach.Call[string](context.Background(), place, orderToday{"milk", "no bag"}))
	_, err := broach.Call[string](context.Background(), place.With(broach.Strict()), orderToday{"milk", "no bag"})
	var e *broach.Error
	fmt.Println(errors.As(err, &e), e.Executed, e.Message)
	// Output:
	// placed milk <nil>
	// true no argument 1: only the caller has Note; without Strict these are lost on the way
}

// Three calls of which one has failed.
func ExampleFunctionStats() {
	node := start()
	defer node.Close()
	_ = node.Register("price", func(article string) (int, error) {
		if article == "gold" {
			return 0, broach.Errorf(1001, "ask for it")
		}
		return 7, nil
	})
	for _, article := range []string{"milk", "gold", "bread"} {
		_, _ = node.Caller("price").Call(context.Background(), article)
	}

	for _, f := range node.Stats().Called {
		fmt.Println(f.Name, f.Calls, f.Errors, f.Retries, f.Running)
		var within uint64 // how many took no longer than a second
		for i, bound := range broach.HistogramBounds {
			if bound <= time.Second {
				within += f.Latency.Counts[i]
			}
		}
		fmt.Println(within, f.Latency.Sum > 0)
	}
	// Output:
	// price 3 map[Code(1001):1] 0 0
	// 3 true
}

// A function streams that returns a sequence. Who ranges over it gets each item as it is yielded.
func ExampleStream() {
	node := start()
	defer node.Close()
	_ = node.Register("countdown", func(from int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := from; i > 0 && yield(i, nil); i-- {
			}
		}
	})

	for n, err := range broach.Stream[int](context.Background(), node.Caller("countdown"), 3) {
		fmt.Println(n, err)
	}
	// Output:
	// 3 <nil>
	// 2 <nil>
	// 1 <nil>
}

// A sequence as the last argument streams to the function, of which it is the last parameter.
func ExampleStream_upload() {
	node := start()
	defer node.Close()
	_ = node.Register("join", func(sep string, in iter.Seq2[string, error]) (all string, _ error) {
		for s, err := range in {
			if err != nil {
				return "", err
			}
			all += sep + s
		}
		return all, nil
	})

	words := func(yield func(string, error) bool) {
		_ = yield("streams", nil) && yield("of", nil) && yield("words", nil)
	}
	all, err := broach.Call[string](context.Background(), node.Caller("join"), "/", words)
	fmt.Println(all, err)
	// Output: /streams/of/words <nil>
}

// A feed that goes silent ends, and its provider hears of that.
func ExampleStreamIdle() {
	node := start()
	defer node.Close()
	_ = node.Register("feed", func(ctx context.Context) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			yield("news", nil)
			<-ctx.Done()
		}
	})

	feed := node.Caller("feed", broach.StreamIdle(20*time.Millisecond))
	for item, err := range broach.Stream[string](context.Background(), feed) {
		fmt.Println(item, errors.Is(err, broach.ErrDeadlineExceeded))
	}
	// Output:
	// news false
	//  true
}
