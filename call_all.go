package broach

import (
	"context"
	"iter"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"
)

// How all providers of a function are called, at the same time.

// Reply is what one provider answered to a call of all of them.
type Reply[R any] struct {
	Node  netip.AddrPort // not valid where Err says that there is no provider at all
	Value R              // as Call returns it
	Err   error          // an *Error, or nil
}

// All calls every provider of the function that can be called now, this node among them if it is one, all at the same
// time, and yields what they answer as it comes: a slow or dead one delays none of the others. Each is called once,
// without retries and hedging. Leaving the loop gives up the calls that are still in flight. That there is no
// provider is one Reply with the error.
func (c *Caller) All(ctx context.Context, args ...any) iter.Seq[Reply[any]] {
	return All[any](ctx, c, args...)
}

// All is Caller.All with typed results, as with [Call].
func All[R any](ctx context.Context, c *Caller, args ...any) iter.Seq[Reply[R]] {
	return func(yield func(Reply[R]) bool) {
		nodes, failed := []netip.AddrPort(nil), c.cannotReceive(1, reflect.TypeFor[R]())
		if failed == nil {
			nodes, failed = c.countEverybody(orEndless(ctx))
		}
		if failed != nil {
			yield(Reply[R]{Err: failed})
			return
		}
		ctx, cancel := context.WithCancel(orEndless(ctx))
		replies := make(chan Reply[R], len(nodes)) // so that none is stuck when the loop is left
		var calls sync.WaitGroup
		for _, node := range nodes {
			calls.Go(func() {
				r := Reply[R]{Node: node, Err: c.cutShort()}
				defer func() { replies <- r }()
				r.Value, r.Err = Call[R](ctx, c.only(node), args...)
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

// ofAll is the Caller that finds out who is to be called.
func (c *Caller) ofAll() *Caller {
	all := *c
	all.opts.kind = AllAnswers
	return &all
}

// only calls one provider, once.
func (c *Caller) only(node netip.AddrPort) *Caller {
	only := *c
	only.opts.local, only.opts.on, only.opts.retries, only.opts.hedged = LocalFirst, node, 0, false
	only.opts.waits, only.opts.kind = false, AllAnswers
	return &only
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
		r, failed := c.ofAll().route(ctx, now, c.deadline(ctx, now))
		if failed != nil && own == nil {
			return nil, failed
		}
		nodes = slices.DeleteFunc(providersOf(r, own...),
			func(a netip.AddrPort) bool { return c.opts.on.IsValid() && a != c.opts.on })
	}
	if len(nodes) == 0 {
		return nil, c.unreached()
	}
	return nodes, nil
}

// everybodyReady lists the providers, as soon as there are any if the options say so.
func (c *Caller) everybodyReady(ctx context.Context) (nodes []netip.AddrPort, _ *Error) {
	if !c.opts.waits {
		return c.everybody(ctx)
	}
	return nodes, c.untilReady(ctx, c.deadline(ctx, time.Now()), func(time.Time) (failed *Error) {
		nodes, failed = c.everybody(ctx)
		return failed
	})
}
