// Package cookbook has the recipes of docs/cookbook.md; its tests run each of them on clusters in memory.
package cookbook

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"

	"broach"
	"broach/gateway"
)

// The recipes of docs/cookbook.md, as they stand there.

func offerStock(node *broach.Node) error {
	left := map[string]int{"milk": 3} // a function that changes it would need a mutex
	return node.Register("stock.left", func(item string) (int, error) {
		n, ok := left[item]
		if !ok {
			return 0, fmt.Errorf("no %q here", item)
		}
		return n, nil
	}, broach.Idempotent(), broach.Doc("stock.left(item) is how many of it there are"))
}

func isInStock(ctx context.Context, node *broach.Node, item string) (bool, error) {
	left := broach.Bind[func(context.Context, string) (int, error)](node, "stock.left", broach.Timeout(time.Second))
	n, err := left(ctx, item)
	return n > 0, err
}

func startup(node *broach.Node, needs ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, name := range needs {
		if err := node.WaitFor(ctx, name, 1); err != nil {
			return err // says how many there are, and what keeps this node from its cluster
		}
	}
	return nil
}

type settings struct{ Shelves int }

func load(path string) (broach.Config, settings, error) {
	own := settings{Shelves: 10} // what counts where the file says nothing
	cfg, err := broach.LoadConfig(path)
	if err != nil {
		return cfg, own, err // all mistakes at once, each with its key
	}
	return cfg, own, cfg.App(&own)
}

func untilTold(told context.Context, node *broach.Node, within time.Duration) error {
	select {
	case <-told.Done():
	case <-node.Done(): // its socket has failed
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return node.Leave(ctx)
}

func readyz(node *broach.Node) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		s := node.Stats()
		if !s.Joined || s.Isolated {
			http.Error(w, fmt.Sprintf("joined %v, cut off %v", s.Joined, s.Isolated), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}

var errSoldOut = errors.New("sold out")

func init() { broach.RegisterError("cookbook: sold out", errSoldOut) } // at provider and caller

func takeOrWait(ctx context.Context, node *broach.Node, item string) (isTaken bool, _ error) {
	_, err := node.Caller("stock.take").Call(ctx, item)
	if errors.Is(err, errSoldOut) {
		return false, nil
	}
	return err == nil, err
}

func payOnce(ctx context.Context, node *broach.Node, order string) (isUnsure bool, _ error) {
	pay := node.Caller("pay", broach.Timeout(2*time.Second)) // not Idempotent: it must not run twice
	_, err := pay.Call(ctx, order)
	if e, ok := errors.AsType[*broach.Error](err); ok && e.Executed == broach.No {
		_, err = pay.Call(ctx, order) // it did not run, and may be called again
	}
	e, ok := errors.AsType[*broach.Error](err)
	return ok && e.Executed == broach.Maybe, err // Maybe: look whether it is paid, before it is paid again
}

func flushAll(ctx context.Context, node *broach.Node) (missed []string) {
	for r := range node.Caller("cache.flush", broach.Timeout(time.Second)).All(ctx) {
		if r.Err != nil {
			missed = append(missed, fmt.Sprint(r.Node, ": ", r.Err))
		}
	}
	return missed
}

func cart(ctx context.Context, node *broach.Node, customer string) ([]string, error) {
	return broach.Call[[]string](ctx, node.Caller("cart", broach.Key(customer)), customer)
}

func quickPrice(ctx context.Context, node *broach.Node, item string) (int, error) {
	price := node.Caller("price", broach.Timeout(300*time.Millisecond), broach.Hedge(50*time.Millisecond))
	return broach.Call[int](ctx, price, item)
}

type sold struct{ Item string }

func mailSales(node *broach.Node, mail func(sold)) (*broach.Subscription, error) {
	return node.Subscribe("sold", mail) // one instance of each application has it
}

func tellOfSale(ctx context.Context, node *broach.Node, s sold) error {
	delivery, err := node.Publish(ctx, "sold", s)
	return errors.Join(err, errors.Join(delivery.Missed...)) // those that should have it, and have not taken it
}

func reportHourly(node *broach.Node, report func(context.Context) error) (*broach.Timer, error) {
	return node.Every(time.Hour, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
		defer cancel()
		return report(ctx) // an error is logged, and the next run comes when it is due
	}, broach.OneOwner("report"), broach.Jitter(time.Minute))
}

// numbersFrom is what the recipe reads.
func numbersFrom(from int) iter.Seq2[int, error] { // offered as "numbers"
	return func(yield func(int, error) bool) {
		for n := from; n < 100 && yield(n, nil); n++ {
		}
	}
}

func readFrom(ctx context.Context, numbers *broach.Caller, next int, take func(int)) (int, error) {
	for n, err := range broach.Stream[int](ctx, numbers, next) {
		if err != nil {
			return next, err // asked again from next, another provider goes on
		}
		take(n)
		next = n + 1
	}
	return next, nil
}

func onlyStaff(_ context.Context, call *broach.Invocation) error {
	if call.Meta()["role"] != "staff" { // what the caller says of itself: among programs that trust each other
		return broach.Errorf(broach.Unauthenticated, "only staff may refund")
	}
	return nil
}

func offerToStaff(node *broach.Node, fn any) error {
	return node.Register("refund", fn, broach.Authorize(onlyStaff))
}

// refund is a call that the recipe lets in.
func refund(ctx context.Context, node *broach.Node, order string) error {
	_, err := node.Caller("refund").Call(broach.WithMeta(ctx, "role", "staff"), order)
	return err
}

func overHTTP(node *broach.Node, callers map[string]string) (*gateway.Gateway, error) {
	return gateway.New(node,
		gateway.Expose("stock.*"),                        // POST /rpc/stock.left
		gateway.Route("GET /stock/{item}", "stock.left"), // GET /stock/milk
		gateway.BearerTokens(callers))                    // by token; Authorization: Bearer and the token
}
