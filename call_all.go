package broach

import (
	"context"
	"iter"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Reply is what one provider answered to a call of all of them.
type Reply struct {
	Node  netip.AddrPort // not valid where Err says that there is no provider at all
	Value any            // as Call returns it
	Err   error          // an *Error, or nil
}

// All calls every provider of the function that can be called now, this node among them if it is one, all at the same time, and yields what they
// answer as it comes: a slow or dead one delays none of the others. Each is called once, without retries and hedging. Who leaves the loop gives the
// calls up that are still in flight. That there is no provider is one Reply with the error.
func (c *Caller) All(ctx context.Context, args ...any) iter.Seq[Reply] {
	return func(yield func(Reply) bool) {
		nodes, failed := c.everybody(ctx)
		if failed != nil {
			yield(Reply{Err: failed})
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		replies := make(chan Reply, len(nodes)) // so that none is stuck when the loop is left
		var calls sync.WaitGroup
		for _, node := range nodes {
			calls.Go(func() {
				r := Reply{Node: node, Err: c.cutShort()}
				defer func() { replies <- r }()
				r = c.one(ctx, node, args)
			})
		}
		defer calls.Wait()
		defer cancel()
		for range nodes {
			if !yield(<-replies) {
				return
			}
		}
	}
}

// one calls one provider.
func (c *Caller) one(ctx context.Context, node netip.AddrPort, args []any) Reply {
	only := *c
	only.opts.local, only.opts.on, only.opts.retries, only.opts.hedged = LocalFirst, node, 0, false
	v, err := only.Call(ctx, args...)
	return Reply{node, v, err}
}

// everybody lists the providers, as soon as there are any or as it is sure that there are none.
func (c *Caller) everybody(ctx context.Context) ([]netip.AddrPort, *Error) {
	if failed := c.refusal(ctx); failed != nil {
		return nil, failed
	}
	var own []netip.AddrPort
	if c.here() != nil {
		own = append(own, c.node.Addr())
	}
	nodes := own
	if !c.isHereOnly() {
		now := time.Now()
		r, failed := c.route(ctx, now, c.deadline(ctx, now))
		if failed != nil && own == nil {
			return nil, failed
		}
		nodes = slices.DeleteFunc(providersOf(r, own...), func(a netip.AddrPort) bool { return c.opts.on.IsValid() && a != c.opts.on })
	}
	if len(nodes) == 0 {
		return nil, c.unreached()
	}
	return nodes, nil
}
