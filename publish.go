package broach

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"broach/internal/buffer"
	"broach/internal/codec"
)

// Delivery says who got an event.
type Delivery struct {
	Nodes  []netip.AddrPort // that took it, for one subscription or more; sorted
	Missed []error          // an *Error for each application, instance, or OneAnywhere as a whole, that should have it and did not take it
}

// Publish gives an event to those who have subscribed to its topic, in this process and in others: to one instance of each application, to each
// instance, to one of all, as they wish. It returns when all have answered that they have it in their backlog, or will not have it; it does not
// wait for what their functions make of it. It ends with ctx or, if ctx has no deadline, after Config.CallTimeout. That nobody has
// subscribed is no error. Who is offline, leaves, or cannot be reached from here counts as nobody.
//
// An instance that has no room, leaves, or is gone is replaced by another one, if any of them will do, as long as it is certain that it has not taken
// the event: an event is handled at most once for each subscription. A lost answer makes it Missed with Executed: Maybe.
//
// A node that has just started and is still joining waits for that, until it is a second old, to know who has subscribed.
//
// With an empty Delivery, the error says why nothing was sent: an InvalidArgument, if the topic is none or the payload cannot travel, TooLarge,
// that ctx has ended, ErrClosed, or NotFound, if the node has not joined its cluster and knows of nobody. Else it is nil if nobody missed the
// event, and errors.Join of Delivery.Missed if somebody did, while others may have got it. In an *Error, Service is the topic.
//
// The payload is copied, and has the form that an argument of a call may have. Metadata of the function that ctx belongs to go along.
func (n *Node) Publish(ctx context.Context, topic string, payload any) (Delivery, error) {
	frame := buffer.New()
	defer frame.Release()
	if failed := n.prepare(ctx, topic, payload, frame); failed != nil {
		return Delivery{}, failed
	}
	out := outCall{Arguments: codec.Arguments{Encoded: frame.B}, oneWay: true}
	targets := n.awaitTargets(ctx, topic)
	if failed := n.mayMiss(ctx, topic, targets); failed != nil {
		return Delivery{}, failed
	}
	handed := make([]handing, len(targets))
	var others sync.WaitGroup
	for i, c := range targets {
		if i == len(targets)-1 {
			handed[i] = c.hand(ctx, out)
			break
		}
		others.Go(func() { handed[i] = c.hand(ctx, out) })
	}
	others.Wait()
	return n.delivery(topic, handed)
}

// awaitTargets finds out who gets an event. A node that has just started does not know them all, and waits for that as a call would, but only until it
// is a second old: events in this process do not wait for a seed that is dead.
func (n *Node) awaitTargets(ctx context.Context, topic string) []*Caller {
	if v := n.view.Load(); !v.joined {
		waiting, cancel := context.WithDeadline(ctx, v.began.Add(joinWait))
		defer cancel()
		_ = n.await(waiting, func(v *view) bool { return v.joined })
	}
	return n.targets(topic)
}

// mayMiss is the error of an event of which nobody gets to know because the node has not joined, or its ctx or the node has ended meanwhile.
func (n *Node) mayMiss(ctx context.Context, topic string, targets []*Caller) *Error {
	v := n.view.Load()
	if len(targets) > 0 || v.joined {
		return nil
	}
	c := n.Caller(topic)
	if failed := c.refusal(ctx); failed != nil {
		return failed
	}
	return c.fail(NotFound, No, "no node is known that has subscribed"+n.notJoined(v))
}

// prepare finds out whether an event can be published at all, and encodes it.
func (n *Node) prepare(ctx context.Context, topic string, payload any, frame *buffer.Buffer) *Error {
	c := n.Caller(topic)
	if err := checkTopic(topic); err != nil {
		return c.fail(InvalidArgument, No, err.Error())
	}
	if failed := c.refusal(ctx); failed != nil {
		return failed
	}
	return c.encode(frame, codec.Arguments{List: []any{payload}})
}

// handing is what became of one of the calls that an event consists of.
type handing struct {
	node   netip.AddrPort
	failed *Error
}

// hand makes one of these calls. Where this node was chosen and has no room, it is one of the others.
func (c *Caller) hand(ctx context.Context, out outCall) handing {
	p, failed := c.do(ctx, out)
	if failed != nil && c.opts.local == LocalEqual && failed.Executed == No && failed.Node == c.node.addr.String() {
		if q, err := c.With(Local(LocalNever)).do(ctx, out); err == nil || !err.isNobody() {
			p, failed = q, err
		}
	}
	if failed != nil {
		return handing{failed: c.missed(failed)}
	}
	node := p.node
	if node == c.node.addr {
		node = c.node.Addr()
	}
	c.node.freePending(p)
	return handing{node: node}
}

// missed says in an error who missed the event, if it is not one node.
func (c *Caller) missed(e *Error) *Error {
	if c.opts.event == oneOfGroup && !e.isNobody() {
		e.Message = fmt.Sprintf("no instance of %q took the event: %s", c.opts.group, e.Message)
	}
	return e
}

// isNobody reports that who should have had the event was no subscriber any more when it came, or was leaving.
func (e *Error) isNobody() bool {
	return e.Executed == No && (e.Code == NotFound || e.Code == Unavailable || e.Code == Draining)
}

// delivery sums up what became of them.
func (n *Node) delivery(topic string, handed []handing) (d Delivery, err error) {
	for _, a := range handed {
		switch {
		case a.failed == nil:
			d.Nodes = append(d.Nodes, a.node)
		case !a.failed.isNobody():
			a.failed.Service = topic
			d.Missed = append(d.Missed, a.failed)
		}
	}
	slices.SortFunc(d.Nodes, netip.AddrPort.Compare)
	d.Nodes = slices.Compact(d.Nodes)
	return d, errors.Join(d.Missed...)
}
