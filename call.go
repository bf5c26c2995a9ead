package broach

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"time"

	"broach/internal/wire"
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

// CallOption changes how a Caller calls.
type CallOption func(*Caller)

// Caller returns a Caller for the function of that name, which need not exist yet.
func (n *Node) Caller(name string, opts ...CallOption) *Caller {
	c := &Caller{node: n, name: name}
	for _, o := range opts {
		o(c)
	}
	return c
}

// Call calls the function and waits for its result, until ctx ends or, if ctx has no deadline, for Config.CallTimeout.
// It returns the result in the kind the function declared, nil if it has none, a []any if it has several. Every error is an
// *Error. If this node offers the function itself, it runs here.
func (c *Caller) Call(ctx context.Context, args ...any) (any, error) {
	return Call[any](ctx, c, args...)
}

// Call is Caller.Call with a typed result. A result that does not fit R is an InvalidArgument error.
func Call[R any](ctx context.Context, c *Caller, args ...any) (R, error) {
	p, err := c.do(ctx, args)
	if err != nil {
		var none R
		return none, err
	}
	v, err := decodeAs[R](p.body)
	c.node.freePending(p)
	if err != nil {
		return v, c.fail(InvalidArgument, Yes, err.Error())
	}
	return v, nil
}

// Bind returns a func variable of type F that calls the function of that name. The last result of F must be error; its
// first parameter may be a context.Context, without which the deadline is Config.CallTimeout. Bind panics if F is no such
// function type.
func Bind[F any](n *Node, name string, opts ...CallOption) F {
	t := reflect.TypeFor[F]()
	if t.Kind() != reflect.Func || t.NumOut() == 0 || t.Out(t.NumOut()-1) != reflect.TypeFor[error]() {
		panic(fmt.Sprintf("broach: Bind(%q): %v is not a function type whose last result is error", name, t))
	}
	b := &binding{caller: n.Caller(name, opts...), typ: t}
	for i := range t.NumOut() - 1 {
		b.results = append(b.results, t.Out(i))
	}
	b.withContext = t.NumIn() > 0 && t.In(0) == reflect.TypeFor[context.Context]()
	return reflect.MakeFunc(t, b.call).Interface().(F)
}

// binding is what stands behind a func variable made by Bind.
type binding struct {
	caller      *Caller
	typ         reflect.Type
	results     []reflect.Type
	withContext bool
}

// call is the body of the func variable.
func (b *binding) call(in []reflect.Value) []reflect.Value {
	ctx, args := b.arguments(in)
	p, err := b.caller.do(ctx, args)
	if err != nil {
		return b.failed(err)
	}
	out, err := decodeResults(p.body, b.results)
	b.caller.node.freePending(p)
	if err != nil {
		return b.failed(b.caller.fail(InvalidArgument, Yes, err.Error()))
	}
	return append(out, reflect.Zero(reflect.TypeFor[error]()))
}

// arguments unpacks what the func variable was called with.
func (b *binding) arguments(in []reflect.Value) (context.Context, []any) {
	ctx := context.Background()
	if b.withContext {
		if given, ok := in[0].Interface().(context.Context); ok {
			ctx = given
		}
		in = in[1:]
	}
	var args []any
	for i, v := range in {
		if b.typ.IsVariadic() && i == len(in)-1 {
			for j := range v.Len() {
				args = append(args, v.Index(j).Interface())
			}
			break
		}
		args = append(args, v.Interface())
	}
	return ctx, args
}

// failed gives zero results and the error.
func (b *binding) failed(err error) []reflect.Value {
	out := make([]reflect.Value, 0, len(b.results)+1)
	for _, t := range b.results {
		out = append(out, reflect.Zero(t))
	}
	return append(out, reflect.ValueOf(&err).Elem())
}

// fail makes the error of a call that ended here.
func (c *Caller) fail(code Code, executed Executed, text string) *Error {
	return &Error{Code: code, Message: text, Service: c.name, Executed: executed}
}

// do makes the call and waits. The caller of do decodes the body and releases the pendingCall.
func (c *Caller) do(ctx context.Context, args []any) (*pendingCall, error) {
	if ctx.Err() != nil {
		return nil, c.over(ctx, No)
	}
	now := time.Now()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = now.Add(c.node.cfg.callTimeout())
	}
	if f := c.node.function(c.name); f != nil {
		return c.local(ctx, deadline, f, args)
	}
	r, err := c.route(ctx, now, deadline)
	if err != nil {
		return nil, err
	}
	return c.remote(ctx, now, deadline, r, args)
}

// over is the error of a call whose ctx has ended.
func (c *Caller) over(ctx context.Context, executed Executed) *Error {
	if ctx.Err() == context.DeadlineExceeded {
		return c.fail(DeadlineExceeded, executed, string(textDeadline))
	}
	return c.fail(Canceled, executed, "the caller gave up")
}

// route finds out where the function is. While the node joins, a name that is not known yet is waited for a little.
func (c *Caller) route(ctx context.Context, now, deadline time.Time) (*route, error) {
	v := c.node.view.Load()
	r := v.routes[c.name]
	if r == nil && !v.joined {
		wait := min(deadline.Sub(now), joinWait)
		waiting, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		_ = c.node.await(waiting, func(v *view) bool { r = v.routes[c.name]; return r != nil || v.joined })
	}
	switch {
	case c.node.isClosed():
		return nil, c.fail(Closed, No, string(textClosed))
	case ctx.Err() != nil:
		return nil, c.over(ctx, No)
	case r == nil:
		return nil, c.fail(NotFound, No, "no node offers this function")
	}
	return r, nil
}

// remote sends the call to one provider. Another one is asked only if the call was surely not executed: the provider was
// gone before anything was sent, or says that it does not offer the function (our view of it was old).
func (c *Caller) remote(ctx context.Context, now, deadline time.Time, r *route, args []any) (*pendingCall, error) {
	var tried []*link
	var last *Error
	for range callAttempts {
		l := r.pick(c.node.random, tried)
		if l == nil {
			break
		}
		p, err := c.attempt(ctx, now, deadline, l, args)
		if err == nil {
			return p, nil
		}
		last = err
		if err.Executed != No || err.Code != NotFound && err.Code != Unreachable {
			break
		}
		tried = append(tried, l)
	}
	if last == nil {
		return nil, c.fail(Unavailable, No, "no provider of this function can be reached now")
	}
	return nil, last
}

// attempt makes the call at one provider.
func (c *Caller) attempt(ctx context.Context, now, deadline time.Time, l *link, args []any) (*pendingCall, *Error) {
	frame := newBuffer()
	frame.b = wire.Request{Remaining: remaining(now, deadline), Service: []byte(c.name)}.Append(frame.b)
	var err error
	if frame.b, err = appendArgs(frame.b, args); err != nil {
		frame.release()
		return nil, c.refused(err)
	}
	if len(frame.b) > l.maxMessage {
		frame.release()
		return nil, c.fail(TooLarge, No, fmt.Sprintf("the message would have %d bytes, %d are allowed", len(frame.b), l.maxMessage))
	}
	p := l.newPending()
	l.inflight.Add(1)
	defer l.inflight.Add(-1)
	frame.b = wire.SetLength(frame.b)
	slot, seq, err := l.call(now, deadline, frame, p)
	if err != nil {
		return nil, c.at(l.id.addr, c.fail(Unreachable, No, err.Error()))
	}
	return c.wait(ctx, l, slot, seq, p)
}

// refused is the error for arguments that cannot be sent.
func (c *Caller) refused(err error) *Error {
	return c.fail(InvalidArgument, No, err.Error())
}

// at names the provider that an error is about.
func (c *Caller) at(node netip.AddrPort, e *Error) *Error {
	e.Node = node.String()
	return e
}

// wait waits for the outcome of a call that was sent.
func (c *Caller) wait(ctx context.Context, l *link, slot uint16, seq uint32, p *pendingCall) (*pendingCall, *Error) {
	select {
	case <-p.donec:
	case <-ctx.Done():
		if l.abandon(slot, seq) {
			c.node.freePending(p)
			return nil, c.at(l.id.addr, c.over(ctx, Maybe))
		}
		<-p.donec
	}
	if p.code == 0 {
		return p, nil
	}
	e := c.at(l.id.addr, c.fail(p.code, p.executed, string(p.body)))
	c.node.freePending(p)
	return nil, e
}

// local runs the function here, with the semantics of a remote call: arguments and results are copied, and it runs in the
// pool, with the same deadline, errors and panic barrier.
func (c *Caller) local(ctx context.Context, deadline time.Time, f *function, args []any) (*pendingCall, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	buf := newBuffer()
	var err error
	if buf.b, err = appendArgs(buf.b, args); err != nil {
		return nil, c.refused(err)
	}
	p := c.node.newPending()
	r := &request{provider: &c.node.provider, function: f, args: buf, deadline: deadline, pending: p}
	if err := c.node.pool.submit(ctx, r); err != nil {
		return nil, c.unsubmitted(ctx, err)
	}
	select {
	case <-p.donec:
	case <-ctx.Done():
		r.giveUp()
		return nil, c.at(c.node.addr, c.over(ctx, Maybe)) // p belongs to the request that still runs
	}
	if p.code == 0 {
		return p, nil
	}
	return nil, c.at(c.node.addr, c.fail(p.code, p.executed, string(p.body)))
}

// unsubmitted is the error of a local call that the pool did not take.
func (c *Caller) unsubmitted(ctx context.Context, err error) *Error {
	switch {
	case ctx.Err() != nil:
		return c.over(ctx, No)
	case err == errPoolClosed:
		return c.fail(Closed, No, string(textClosed))
	}
	return c.fail(Overloaded, No, err.Error())
}
