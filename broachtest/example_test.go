package broachtest_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"broach"
	"broach/broachtest"
)

// The test of the package comment and of README.md, which internal/rules compares.
func TestTheShopOutlivesAProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		web, one, two := c.Start("web"), c.Start("shop"), c.Start("shop")
		broachtest.Stub(one, "price", 7)
		broachtest.Stub(two, "price", 7)
		c.Settle()
		c.Kill(one)
		c.Settle() // web has noticed
		price, err := broach.Call[int](t.Context(), web.Caller("price"), "milk")
		if err != nil || price != 7 {
			t.Errorf("price of milk: %d, %v", price, err)
		}
	})
}

// A call that may run twice survives the death of its provider while it runs.
func ExampleCluster_Kill() {
	t := &fakeT{} // in a test: its t
	defer t.end()
	c := broachtest.New(t)
	web := c.Start("web")
	dying := make(chan *broach.Node, 1)
	var isCalled atomic.Bool
	for range 3 {
		shop := c.Start("shop")
		_ = shop.Register("price", func(ctx context.Context, item string) (int, error) {
			if !isCalled.Swap(true) {
				dying <- shop
				<-ctx.Done()
			}
			return 7, ctx.Err()
		}, broach.Idempotent())
	}
	c.Settle()
	call := broach.Go[int](context.Background(), web.Caller("price"), "milk")
	c.Kill(<-dying)
	price, err := call.Wait()
	fmt.Println(price, err)
	// Output: 7 <nil>
}

// A function that answers, and remembers what it was asked.
func ExampleStub() {
	t := &fakeT{} // in a test: its t
	defer t.end()
	c := broachtest.New(t)
	shop, web := c.Start("shop"), c.Start("web")
	prices := broachtest.Stub(shop, "price", 7)
	c.Settle()
	price, err := web.Caller("price", broach.Meta("user", "ann")).Call(context.Background(), "milk", 2)
	fmt.Println(price, err)
	for _, call := range prices.Calls() {
		fmt.Println(call.Args, call.From == web.Addr(), call.Meta["user"])
	}
	// Output:
	// 7 <nil>
	// [milk 2] true ann
}

// A reply that is lost is sent again; the function does not run twice.
func ExampleCluster_Drop() {
	t := &fakeT{} // in a test: its t
	defer t.end()
	c := broachtest.New(t)
	shop, web := c.Start("shop"), c.Start("web")
	prices := broachtest.Stub(shop, "price", 7)
	c.Settle()
	lost := 0
	c.Drop(func(d broachtest.Datagram) bool {
		if lost == 2 || !slices.Contains(d.Kinds, "Reply") {
			return false
		}
		lost++
		return true
	})
	price, err := web.Caller("price").Call(context.Background())
	fmt.Println(price, err, "asked", len(prices.Calls()), "times")
	// Output: 7 <nil> asked 1 times
}

// What a node tells of another that is cut off, and of its return.
func ExampleWaitEvent() {
	t := &fakeT{} // in a test: its t
	defer t.end()
	c := broachtest.New(t)
	a, b := c.Start("a"), c.Start("b")
	c.Settle()
	c.Cut([]*broach.Node{a}, []*broach.Node{b})
	fmt.Println(broachtest.WaitEvent(t, a, broach.MemberOffline, 5*time.Second).Member.Name)
	c.Heal()
	fmt.Println(broachtest.WaitEvent(t, a, broach.MemberUp, 5*time.Second).Member.Name)
	// Output:
	// b
	// b
}
