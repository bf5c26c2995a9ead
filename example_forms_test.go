package broach_test

import (
	"context"
	"errors"
	"fmt"

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
