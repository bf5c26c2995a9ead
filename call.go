package broach

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"broach/internal/balance"
	"broach/internal/codec"
	"broach/internal/function"
	"broach/internal/link"
	"broach/internal/pace"
	"broach/internal/tally"
	"broach/internal/wire"
)

// joinWait is how long a call waits for a name that is not known while the node is still joining.
const joinWait = time.Second

// Caller calls one function, wherever in the cluster it is offered. It is cheap, never goes stale and may be used by
// many goroutines at once.
type Caller struct {
	node   *Node
	name   string
	opts   callOptions
	counts *atomic.Pointer[tally.Cell] // see cell; of all Callers made of one. nil: its calls are not counted
}

// Caller makes a Caller, without blocking. The function need not exist yet.
func (n *Node) Caller(name string, opts ...CallOption) *Caller {
	unsaid := callOptions{retries: retriesUnsaid}
	if wire.IsOwn(name) {
		return &Caller{node: n, name: name, opts: unsaid.apply(opts)}
	}
	unsaid.interceptors = n.cfg.CallInterceptors
	return counting(Caller{node: n, name: name, opts: unsaid.apply(opts)})
}

// Call calls the function and waits for its result, until ctx ends or, if ctx has no deadline, for Config.CallTimeout.
// It returns the result in the kind the function declared, nil if it has none, a []any if it has several. Every error
// is an *Error. If this node offers the function itself, it runs here, see [Local]. A name that nobody offers is
// NotFound at once, except while the node is still joining: then the call waits up to a second for it. Nobody may
// change the arguments meanwhile.
func (c *Caller) Call(ctx context.Context, args ...any) (any, error) {
	return Call[any](ctx, c, args...)
}

// Call is Caller.Call with a typed result. A result that does not fit R is an InvalidArgument error with Executed: Yes.
// With struct{} as R, no result is wanted and the function may have none. An R that nothing can be received as, by the
// rules of Register, is InvalidArgument with Executed: No.
func Call[R any](ctx context.Context, c *Caller, args ...any) (R, error) {
	if failed := c.cannotReceive(1, reflect.TypeFor[R]()); failed != nil {
		var none R
		return none, failed
	}
	if len(c.opts.interceptors) > 0 {
		return callIntercepted[R](ctx, c, codec.Arguments{List: slices.Clone(args)}, decodeAny[R])
	}
	p, failed := c.doTyped(ctx, codec.Listed(args), false, shapeOf(reflect.TypeFor[R]()).alone)
	if failed != nil {
		var none R
		return none, failed
	}
	return receive[R](c, p, nil)
}

// cannotReceive is the error of a call whose n-th result is wanted as a type that none can be received as. It is found
// before the function runs: what that does could not be told.
func (c *Caller) cannotReceive(n int, t reflect.Type) *Error {
	if err := function.CheckWanted(t); err != nil {
		return c.newError(InvalidArgument, No, wire.Shortened(fmt.Sprintf("result %d: %v", n, err)))
	}
	return nil
}

// orEndless is ctx, or one that never ends in place of nil: who calls a func of Bind may well leave it out, and what is
// right there is right for all that take one.
func orEndless(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

// newError makes the error of a call that ended here.
func (c *Caller) newError(code Code, executed Executed, text string) *Error {
	return &Error{Code: code, Message: text, Service: c.name, Executed: executed}
}

// cutShort is how a call ended if code of the user's, in an argument or an Interceptor, has ended its goroutine.
func (c *Caller) cutShort() error {
	return c.newError(Internal, Maybe, errCallCutShort.Message)
}

// own makes an error of the codec the error of this call.
func (c *Caller) own(err error) *Error {
	e, ok := errors.AsType[*codec.Error](err)
	if !ok {
		panic("broach: internal error: " + err.Error())
	}
	return c.newError(Code(e.Code), Executed(e.Executed), e.Text)
}

// at names the node that an error is about.
func (c *Caller) at(node netip.AddrPort, e *Error) *Error {
	e.Node = node.String()
	return e
}

// outCall is what is sent for a call. It is on the stack of who makes the call: nothing that outlives it has it.
type outCall struct {
	codec.Arguments
	meta     []byte         // encoded
	deadline time.Time      // when the call is over; zero: as ctx and the options say
	oneWay   bool           // its outcome is that it was accepted
	attempts int32          // made so far; those of a hedged call come at once
	call     *Invocation    // as its Interceptors left it; nil: there are none
	trace    *trace         // nil: no Span is told of it
	results  []reflect.Type // what is wanted, as far as it may have to be compared
	isShaped bool           // it has structs: their fields are compared with the provider's
	streams  *streams       // nil: it does not stream
	isHere   *bool          // set to true if it is made here, where this node is one of the providers; nil: nobody asks
}

// doTyped is do for a call without Interceptors, which might keep the arguments. It frees them: all attempts to make
// the call have ended by then, those of a hedged one too, and what they have sent was encoded before.
func (c *Caller) doTyped(
	ctx context.Context, args codec.TypedArguments, oneWay bool, results []reflect.Type,
) (*link.Call, *Error) {
	p, failed := c.do(ctx, &outCall{Arguments: codec.Arguments{Typed: args}, oneWay: oneWay, results: results})
	args.Free()
	return p, failed
}

// do makes the call and waits. The caller of do decodes the body and releases the link.Call.
func (c *Caller) do(ctx context.Context, out *outCall) (p *link.Call, failed *Error) {
	ctx = orEndless(ctx)
	now := time.Now()
	if mayStream(out.streams, out.Values()) {
		c = c.ofStream()
	}
	if out.call != nil {
		return c.perform(ctx, now, out)
	}
	n := c.beginCount(now)
	failed = errCallCutShort
	defer func() { // also if code of the user's ends the goroutine
		out.trace.endCall(failed)
		c.endCount(n, endOf(p), failed)
	}()
	if c.node.serving.provider.tracing != nil {
		ctx, out.trace = c.startTrace(ctx, out.oneWay)
	}
	return c.perform(ctx, now, out)
}

// perform is do for a call that is counted, and of which a Tracer, if there is one, knows already.
func (c *Caller) perform(ctx context.Context, now time.Time, out *outCall) (*link.Call, *Error) {
	if failed := c.refusal(ctx); failed != nil {
		return nil, failed
	}
	if c.opts.isStreaming {
		return c.performStreaming(ctx, now, out)
	}
	return c.makeReady(ctx, now, out)
}

// makeReady finds out all that there is to know of a call, and makes it.
func (c *Caller) makeReady(ctx context.Context, now time.Time, out *outCall) (*link.Call, *Error) {
	if out.deadline.IsZero() {
		if out.deadline = c.deadline(ctx, now); out.deadline.IsZero() {
			out.deadline = out.streams.untimed(now)
		}
	}
	var failed *Error
	if out.meta, failed = c.metadata(ctx, out.call, out.trace); failed != nil {
		return nil, failed
	}
	out.isShaped = out.hasFields()
	if c.opts.waits {
		return c.whenReady(ctx, out)
	}
	return c.place(ctx, now, out)
}

// place makes the call here or at a provider, whatever the options say.
func (c *Caller) place(ctx context.Context, now time.Time, out *outCall) (*link.Call, *Error) {
	f := c.here()
	switch {
	case f != nil && c.opts.local != LocalEqual:
		return c.localFirst(ctx, now, f, out)
	case c.isHereOnly():
		return nil, c.newError(Unavailable, No, "this node does not offer the function, or it does not serve")
	}
	r, err := c.route(ctx, now, out.deadline)
	switch {
	case err != nil && f != nil:
		return c.local(ctx, now, f, out)
	case err != nil:
		return nil, err
	}
	var ch balance.Chooser
	c.beginChoice(&ch, now, r, out)
	return c.among(ctx, r, out, &ch, nil)
}

// among makes the call at one of the providers, or at several. before is how it failed here; nil: it did not.
func (c *Caller) among(
	ctx context.Context, r *route, out *outCall, ch *balance.Chooser, before *Error,
) (*link.Call, *Error) {
	if c.isHedged(r, out) {
		return c.hedged(ctx, out, ch, before)
	}
	return c.remote(ctx, r, out, ch, before)
}

// refusal is the error of a call that cannot even begin.
func (c *Caller) refusal(ctx context.Context) *Error {
	switch {
	case c.node.isClosed() || c.node.serving.refusing.Load():
		return c.closed(No)
	case ctx.Err() != nil:
		return c.over(ctx, No)
	case len(c.opts.wrong) > 0:
		return c.newError(InvalidArgument, No, errors.Join(c.opts.wrong...).Error())
	}
	return nil
}

// deadline is when the call is over; zero: never, of one that streams.
func (c *Caller) deadline(ctx context.Context, now time.Time) time.Time {
	deadline, ok := ctx.Deadline()
	switch {
	case c.opts.timeout > 0:
		return pace.Earliest(deadline, now.Add(c.opts.timeout))
	case ok:
		return deadline
	case c.opts.isStreaming:
		return time.Time{}
	}
	return now.Add(c.node.cfg.callTimeout())
}

// here is the function if this node offers it and may run the call.
func (c *Caller) here() *service {
	if c.opts.local == LocalNever || c.opts.on.IsValid() && c.opts.on != c.node.Addr() {
		return nil
	}
	return c.node.serving.offered.serving(c.name)
}

// isHereOnly reports that no other node may run the call.
func (c *Caller) isHereOnly() bool {
	return c.opts.local == LocalOnly || c.opts.on.IsValid() && c.opts.on == c.node.Addr()
}

// Send calls the function without waiting for its outcome: it returns when a provider has accepted the call, which then
// runs there whatever becomes of ctx, of this node or of the connection; only the end of the provider can prevent it.
// An error says that nobody accepted it, or, with Executed: Maybe, that this is not known. What goes wrong later, even
// that the arguments do not fit, is in the provider's log only. The function's ctx has no deadline.
func (c *Caller) Send(ctx context.Context, args ...any) error {
	if len(c.opts.interceptors) > 0 {
		return c.sendIntercepted(ctx, slices.Clone(args))
	}
	p, failed := c.doTyped(ctx, codec.Listed(args), true, nil)
	if failed != nil {
		return failed
	}
	c.node.linking.wires.FreeCall(p)
	return nil
}

// Call2 is Call for a function with two results. For more there is [Bind].
func Call2[A, B any](ctx context.Context, c *Caller, args ...any) (a A, b B, _ error) {
	want := []reflect.Type{reflect.TypeFor[A](), reflect.TypeFor[B]()}
	for i, t := range want {
		if failed := c.cannotReceive(i+1, t); failed != nil {
			return a, b, failed
		}
	}
	out, err := c.callFor(ctx, args, want)
	if err != nil {
		return a, b, err
	}
	return *out[0].Addr().Interface().(*A), *out[1].Addr().Interface().(*B), nil
}

// callFor is Call for results of these types, which come as variables.
func (c *Caller) callFor(ctx context.Context, args []any, want []reflect.Type) ([]reflect.Value, error) {
	if len(c.opts.interceptors) > 0 {
		return c.interceptedFor(ctx, slices.Clone(args), want)
	}
	p, failed := c.doTyped(ctx, codec.Listed(args), false, want)
	if failed != nil {
		return nil, failed
	}
	return c.receiveFor(p, want)
}

// Future is a call in flight. Many goroutines may use it at once.
type Future[R any] struct {
	donec chan struct{} // closed when v and err are set
	v     R
	err   error
}

// Go is Call without waiting. The arguments must not be changed before the Future is done. To give the call up, cancel
// ctx.
func Go[R any](ctx context.Context, c *Caller, args ...any) *Future[R] {
	f := &Future[R]{donec: make(chan struct{})}
	go func() { // which owns v and err until it closes donec
		ended := false
		defer func() {
			if !ended {
				f.err = c.cutShort()
			}
			close(f.donec)
		}()
		f.v, f.err = Call[R](ctx, c, args...)
		ended = true
	}()
	return f
}

// Done returns a channel that is closed when the call is over.
func (f *Future[R]) Done() <-chan struct{} { return f.donec }

// Wait waits until the call is over and returns its outcome, each time.
func (f *Future[R]) Wait() (R, error) {
	<-f.donec
	return f.v, f.err
}
