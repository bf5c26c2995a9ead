package trace

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"broach"
)

// What the three processes do: a call whose function calls another one, which one provider refuses; an event whose
// handler makes a hedged call; a stream that is broken off; and a run of a timer that calls.

type act = func(ctx context.Context) error

func (r *role) playTill() error {
	r.acts["find"] = r.finds(map[string]int{"order": 1, "stock": 1})
	r.acts["order"] = func(ctx context.Context) error {
		_, err := r.Caller("order").Call(ctx)
		return err
	}
	r.acts["report"] = func(ctx context.Context) error {
		ran := make(chan error, 1)
		timer, err := r.Every(10*time.Millisecond, func(ctx context.Context) {
			_, err := r.Caller("stock").Call(ctx)
			select {
			case ran <- err:
				<-ctx.Done() // one run is enough
			default:
			}
		}, broach.OneOwner("report"))
		if err != nil {
			return err
		}
		defer timer.Stop()
		return <-ran
	}
	return errors.Join(r.Register("pay", func() {}, refusing()), r.Register("slow", func() {}, broach.Idempotent()))
}

func (r *role) playShop() error {
	r.acts["find"] = func(ctx context.Context) error {
		return errors.Join(r.finds(map[string]int{"pay": 2, "stock": 1})(ctx), r.WaitForSubscribers(ctx, "sold", 1))
	}
	order := func(ctx context.Context) error {
		if _, err := r.Caller("pay", broach.Balance(at{r.Node, "till"})).Call(ctx); err != nil {
			return err
		}
		_, err := r.Publish(ctx, "sold", "milk")
		return err
	}
	feed := func(ctx context.Context) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			_, err := r.Caller("stock").Call(ctx)
			for i := 0; yield(i, err); i++ {
			}
		}
	}
	slow := func(ctx context.Context) { <-ctx.Done() }
	return errors.Join(r.Register("slow", slow, broach.Idempotent()), r.Register("feed", feed),
		r.Register("order", order))
}

func (r *role) playShed() error {
	r.acts["find"] = r.finds(map[string]int{"slow": 2, "feed": 1})
	handled := make(chan error, 1)
	r.acts["handle"] = func(context.Context) error { return <-handled }
	r.acts["feed"] = func(ctx context.Context) error {
		for i, err := range broach.Stream[int](ctx, r.Caller("feed")) {
			if err != nil {
				return err
			}
			if i == 3 {
				break
			}
		}
		return nil
	}
	_, err := r.Subscribe("sold", func(ctx context.Context, _ string) {
		_, err := r.Caller("slow", broach.Balance(at{r.Node, "shop"}), broach.Hedge(50*time.Millisecond)).Call(ctx)
		handled <- err
	})
	return errors.Join(err, r.Register("pay", func() {}), r.Register("stock", func() {}))
}

// finds waits until there are so many providers of each.
func (r *role) finds(providers map[string]int) act {
	return func(ctx context.Context) error {
		for service, n := range providers {
			if err := r.WaitFor(ctx, service, n); err != nil {
				return fmt.Errorf("%s: %w", service, err)
			}
		}
		return nil
	}
}

// at has a call ask the node of one name first, and another one if that is not there any more.
type at struct {
	*broach.Node
	name string
}

func (a at) Pick(_ broach.CallInfo, from []broach.Provider) int {
	for _, m := range a.Members() {
		for i, p := range from {
			if m.Name == a.name && p.Addr == m.Addr {
				return i
			}
		}
	}
	return 0
}
