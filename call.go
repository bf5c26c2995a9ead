package broach

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

const (
	joinWait     = time.Second // how long a call waits for a name that is not known while the node is still joining
	callAttempts = 4           // providers asked when one after the other turns out not to offer the function any more
)

// Caller calls one function, wherever in the cluster it is offered. It is cheap, never goes stale and may be used by many
// goroutines at once.
type Caller struct {
	node *Node
	name string
}

// CallOption changes how a Caller calls. This version has none.
type CallOption func(*Caller)

// Caller returns a Caller for the function of that name, which need not exist yet. It does not block.
func (n *Node) Caller(name string, opts ...CallOption) *Caller {
	c := &Caller{node: n, name: name}
	for _, o := range opts {
		o(c)
	}
	return c
}

// Call calls the function and waits for its result, until ctx ends or, if ctx has no deadline, for Config.CallTimeout.
// It returns the result in the kind the function declared, nil if it has none, a []any if it has several. Every error is an
// *Error. If this node offers the function itself, it runs here. A name that nobody offers is NotFound at once, except while
// the node is still joining: then the call waits up to a second for it.
func (c *Caller) Call(ctx context.Context, args ...any) (any, error) {
	return Call[any](ctx, c, args...)
}

// Call is Caller.Call with a typed result. A result that does not fit R is an InvalidArgument error with Executed: Yes. With
// struct{} as R, no result is wanted and the function may have none.
func Call[R any](ctx context.Context, c *Caller, args ...any) (R, error) {
	p, failed := c.do(ctx, arguments{list: args})
	if failed != nil {
		var none R
		return none, failed
	}
	v, err := decodeAs[R](p.body)
	c.node.freePending(p)
	if err != nil {
		return v, c.own(err)
	}
	return v, nil
}

// fail makes the error of a call that ended here.
func (c *Caller) fail(code Code, executed Executed, text string) *Error {
	return &Error{Code: code, Message: text, Service: c.name, Executed: executed}
}

// own makes an error of the codec the error of this call.
func (c *Caller) own(err error) *Error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		panic("broach: internal error: " + err.Error())
	}
	return c.fail(e.Code, e.Executed, e.Message)
}

// at names the node that an error is about.
func (c *Caller) at(node netip.AddrPort, e *Error) *Error {
	e.Node = node.String()
	return e
}

// closed is the error of a call that the closing of this node ended.
func (c *Caller) closed(executed Executed) *Error {
	return c.fail(Closed, executed, string(textClosed))
}

// over is the error of a call whose ctx has ended.
func (c *Caller) over(ctx context.Context, executed Executed) *Error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return c.fail(DeadlineExceeded, executed, string(textDeadline))
	}
	return c.fail(Canceled, executed, "the caller gave up")
}

// do makes the call and waits. The caller of do decodes the body and releases the pendingCall.
func (c *Caller) do(ctx context.Context, args arguments) (*pendingCall, *Error) {
	switch {
	case c.node.isClosed() || c.node.refusing.Load():
		return nil, c.closed(No)
	case ctx.Err() != nil:
		return nil, c.over(ctx, No)
	}
	now := time.Now()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = now.Add(c.node.cfg.callTimeout())
	}
	if f := c.node.offered.get(c.name); f != nil {
		return c.local(ctx, deadline, f, args)
	}
	r, err := c.route(ctx, now, deadline)
	if err != nil {
		return nil, err
	}
	return c.remote(ctx, now, deadline, r, args)
}

// encode appends the arguments to a message.
func (c *Caller) encode(frame *buffer, args arguments) *Error {
	head := len(frame.b)
	var err error
	if frame.b, err = args.append(frame.b); err != nil {
		return c.own(err)
	}
	if size := len(frame.b) - head; size > c.node.maxMessage {
		return c.fail(TooLarge, No, fmt.Sprintf("the arguments have %d bytes, %d are allowed", size, c.node.maxMessage))
	}
	return nil
}

// ended returns the outcome of a call that has ended.
func (c *Caller) ended(node netip.AddrPort, p *pendingCall) (*pendingCall, *Error) {
	if p.code == 0 {
		return p, nil
	}
	e := c.at(node, c.fail(p.code, p.executed, strings.ToValidUTF8(string(p.body), "\uFFFD")))
	c.node.freePending(p)
	return nil, e
}
