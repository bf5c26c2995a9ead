package broach

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/codec"
	"broach/internal/function"
	"broach/internal/link"
	"broach/internal/stream"
)

// A call that streams is a call as any other, and its items go beside it, through a stream.Pipe for each direction.
// What the provider does with them is internal/function's; this is the caller's end. Where results stream, a goroutine
// of its own makes the call, so that the loop can run meanwhile; another ranges over a sequence that is sent.

// Stream calls a function whose results stream, when the loop begins, and yields its items as they come; each range is
// another call. Leaving the loop gives the call up: the function's next yield reports false, and its ctx ends. The last
// pair may be a zero T and an *Error. With any as T items come as a parameter of type any receives them.
//
// If args end with a sequence, an iter.Seq2 of something and error, its items stream to the function, as with [Call].
// It is ranged over in a goroutine of its own: when the call is over its yield reports false, and nobody waits for
// that. An error that it yields gives the call up, and is found in the error of that.
//
// A call that streams has the deadline of ctx or of [Timeout], and otherwise none. It is made again at another provider
// only as long as no item was yielded, and none of args taken. docs/streams.md has more.
func Stream[T any](ctx context.Context, c *Caller, args ...any) iter.Seq2[T, error] {
	args = slices.Clone(args)
	return func(yield func(T, error) bool) {
		each := func(take function.Take) error { return c.stream(ctx, args, reflect.TypeFor[T](), take) }
		function.MakeTyped(each, codec.ItemReader[T]())(yield)
	}
}

// untimed is how long a call may take that streams and has no deadline: longer than anybody waits.
const untimed = 100 * 365 * 24 * time.Hour

// streams are those of one call, at its caller.
type streams struct {
	stream.Pair // of the attempt under way. Owned by who makes the call

	sequence  *function.Sequence // of what goes in
	given     reflect.Value
	feed      func()             // begins to range over it; nil: it has begun, or there is none
	giveUp    context.CancelFunc // the call
	isUntimed bool
	isMade    atomic.Bool // the call is under way: an Interceptor may call next in several goroutines

	pipesc chan *stream.Pipe // gets out of each attempt; closed when the call is over. nil: its results do not stream

	mu        sync.Mutex   // protects all below: the loop, the call and the sequence run in a goroutine each
	read      *stream.Pipe // of which the loop may read; nil: the attempt was given up
	isYielded bool         // the loop has had an item
	unfed     *Error       // why the sequence has ended the call; nil: it has not
	failed    *Error       // how the call ended; set before pipesc is closed
}

// ofStream is the Caller of a call that streams.
func (c *Caller) ofStream() *Caller {
	of := *c
	of.opts.isStreaming = true
	return &of
}

// mayStream reports whether a call streams, or its last argument may be a sequence: no other func can be sent.
func mayStream(s *streams, args []any) bool {
	n := len(args)
	return s != nil || n > 0 && args[n-1] != nil && reflect.TypeOf(args[n-1]).Kind() == reflect.Func
}

// stream makes a call whose results stream, and hands them to take. It is the Each of what Stream returns.
func (c *Caller) stream(ctx context.Context, args []any, item reflect.Type, take function.Take) error {
	if err := codec.CheckWanted(item); err != nil {
		return c.newError(InvalidArgument, No, "items of a stream: "+err.Error())
	}
	ctx, cancel := context.WithCancel(orEndless(ctx))
	s := &streams{pipesc: make(chan *stream.Pipe)}
	defer func() { // also if the loop panics or ends its goroutine
		cancel()
		for range s.pipesc {
		}
	}()
	go s.call(ctx, c.ofStream(), args, item)
	if failed := s.each(ctx, c, cancel, take); failed != nil {
		return failed
	}
	return nil
}

// call makes the call, and closes pipesc when it is over.
func (s *streams) call(ctx context.Context, c *Caller, args []any, item reflect.Type) {
	failed := errCallCutShort
	defer func() {
		s.failed = failed
		close(s.pipesc)
	}()
	wanted := shapeOf(item).alone
	if len(c.opts.interceptors) > 0 {
		failed = (&interception{caller: c, streams: s, wanted: wanted}).withoutResult(ctx, slices.Clone(args))
		return
	}
	var p *link.Call
	out := outCall{Arguments: codec.Arguments{List: args}, streams: s, results: wanted}
	if p, failed = c.do(ctx, &out); failed == nil {
		c.node.linking.wires.FreeCall(p)
	}
}

// each hands the items to take. It returns how the call ended; nil also where the loop was left.
func (s *streams) each(ctx context.Context, c *Caller, cancel func(), take function.Take) *Error {
	var cut error
	idle := c.newIdle(cancel)
	defer idle.waits(false)
	for p := range s.pipesc {
		items := stream.Items{Pipe: p, Most: c.node.linking.wires.MaxMessage, Watch: idle.waits}
		wasLeft, err := function.EachItem(&items, ctx.Done(), s.ofAttempt(p, take))
		if e, ok := errors.AsType[*codec.Error](err); ok && e.Cause != stream.ErrWhole { // else the function knows why
			return c.own(e)
		}
		if wasLeft && s.mayRead(p) {
			return nil
		}
		idle.waits(true)
		cut = err
	}
	switch {
	case s.failed != nil:
		return idle.ended(s.failed)
	case cut != nil:
		return c.newError(Internal, Maybe, "the stream has ended before its last item: "+cut.Error())
	}
	return nil
}

// ofAttempt is take for the items of one attempt: none is handed on when that was given up.
func (s *streams) ofAttempt(p *stream.Pipe, take function.Take) function.Take {
	isFirst := true
	return func(d *codec.Decoder) (bool, error) {
		if isFirst && !s.mayRead(p) {
			return false, nil
		}
		isFirst = false
		return take(d)
	}
}

// mayRead reports whether the loop may have items of an attempt. From then on the call is not made again.
func (s *streams) mayRead(p *stream.Pipe) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isYielded = s.isYielded || s.read == p
	return s.read == p
}

// begin is called before each attempt. A nil *streams, that of a plain call, has nothing to begin.
func (s *streams) begin(ctx context.Context) {
	if s == nil {
		return
	}
	if s.feed != nil {
		s.feed()
		s.feed = nil
	}
	if s.pipesc == nil {
		return
	}
	s.end(errAgain)
	p := new(stream.Pipe)
	s.mu.Lock()
	s.Out, s.read = p, p
	s.mu.Unlock()
	select {
	case s.pipesc <- p:
	case <-ctx.Done():
	}
}

// errAgain ends the items of an attempt after which there was another.
var errAgain = errors.New("the call is made again")

// end ends the items of the attempt under way, if there is one.
func (s *streams) end(err error) {
	if s.Out != nil {
		s.Out.CloseWrite(err)
	}
}

// mayRepeat reports whether the call can be made again, and then drops what has come of it: none of that was yielded.
func (s *streams) mayRepeat() bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hasBegun() {
		return false
	}
	s.read = nil
	return true
}

// isFresh reports whether a call can be made again as far as its streams go.
func (s *streams) isFresh() bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.hasBegun()
}

// hasBegun reports whether an item was yielded, or one was taken of those that go in. mu is held.
func (s *streams) hasBegun() bool { return s.isYielded || s.In != nil && s.In.IsBegun() }

// cannotStream is the error of a call that cannot, because of its options.
func (c *Caller) cannotStream(out *outCall) *Error {
	why := ""
	switch {
	case out.oneWay:
		why = "a one-way call cannot stream: nobody would hear how it ends"
	case c.opts.kind == AllAnswers:
		why = "a call of all providers cannot stream: a sequence can be ranged over once, so call each with On"
	case c.opts.hedged:
		why = "a call that streams cannot be hedged: use a Caller without Hedge"
	default:
		return nil
	}
	return c.newError(InvalidArgument, No, why)
}

// performStreaming is perform for a call that streams, or whose last argument looks as if it did.
func (c *Caller) performStreaming(ctx context.Context, now time.Time, out *outCall) (p *link.Call, _ *Error) {
	s := out.streams
	if s == nil {
		s = new(streams)
	}
	seq, err := function.SequenceIn(out.Values())
	switch {
	case err != nil:
		return nil, c.newError(InvalidArgument, No, err.Error())
	case seq == nil && s.pipesc == nil:
		return c.plain().makeReady(ctx, now, out)
	}
	if failed := c.cannotStream(out); failed != nil {
		return nil, failed
	}
	isFirst := s.isMade.CompareAndSwap(false, true)
	if isFirst {
		defer s.isMade.Store(false)
	}
	if !isFirst || s.In != nil || !s.mayRepeat() {
		return nil, c.newError(InvalidArgument, No, "next was called again for a stream that had begun")
	}
	ctx, s.giveUp = context.WithCancel(ctx)
	defer s.giveUp()
	s.takeInput(ctx, c, seq, out)
	defer s.stop()
	p, failed := c.makeReady(ctx, now, out)
	return p, s.causeOf(failed)
}

// untimed is when a call is over that streams and has no deadline.
func (s *streams) untimed(now time.Time) time.Time {
	s.isUntimed = true
	return now.Add(untimed)
}

// takeInput takes the sequence from the arguments.
func (s *streams) takeInput(ctx context.Context, c *Caller, seq *function.Sequence, out *outCall) {
	list := out.Values()
	how := &codec.Streaming{Out: s.pipesc != nil}
	if out.streams, out.Streams = s, how; seq != nil {
		last := len(list) - 1
		s.sequence, s.given, s.In = seq, reflect.ValueOf(list[last]), new(stream.Pipe)
		s.feed = func() { go s.feedFrom(ctx, c) }
		list, how.In = list[:last], seq.Item
	}
	out.Arguments.List, out.Arguments.Typed = slices.Clip(list), nil
}

// feedFrom ranges over the sequence and writes its items.
func (s *streams) feedFrom(ctx context.Context, c *Caller) {
	o := function.NewOutput(s.In, ctx.Done(), c.node.linking.wires.MaxMessage)
	hasReturned := false
	defer func() {
		if v := recover(); v != nil || !hasReturned {
			c.node.serving.provider.logPanic(c.name, v, debug.Stack())
			s.failFeed(c.newError(Internal, Maybe, "the sequence of the caller panicked"))
		}
	}()
	s.sequence.Write(s.given, o)
	hasReturned = true
	switch end := o.Close(); {
	case end.Yielded != nil:
		s.failFeed(c.newError(Canceled, Maybe, "the sequence of the caller failed: "+textOf(end.Yielded)).
			because(end.Yielded))
	case end.Unsent != nil:
		s.failFeed(c.newError(codeOfUnsent(end.Unsent), Maybe, end.Unsent.Error()))
	default:
		s.In.CloseWrite(nil)
	}
}

// codeOfUnsent is that of an item which cannot be sent.
func codeOfUnsent(err error) Code {
	if e, ok := errors.AsType[*codec.Error](err); ok {
		return Code(e.Code)
	}
	return InvalidArgument
}

// failFeed ends the call because of its sequence.
func (s *streams) failFeed(e *Error) {
	s.mu.Lock()
	s.unfed = e
	s.mu.Unlock()
	s.giveUp()
}

// stop ends what streams when the call is over.
func (s *streams) stop() {
	s.end(nil)
	if s.In != nil {
		s.In.Stop(nil) // what waits is dropped, however long the sequence stays
	}
}

// causeOf is how a call failed: by its sequence, if it was that which gave it up.
func (s *streams) causeOf(failed *Error) *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if failed == nil || s.unfed == nil || failed.Code != Canceled {
		return failed
	}
	e := *s.unfed
	e.Node, e.Executed = failed.Node, failed.Executed
	return &e
}

// An idle ends a stream that brings nothing for a time. nil: there is no such time.
type idle struct {
	after  time.Duration
	timer  *time.Timer
	isOver atomic.Bool
}

// newIdle makes one of what StreamIdle says.
func (c *Caller) newIdle(giveUp func()) *idle {
	if c.opts.streamIdle == 0 {
		return nil
	}
	i := &idle{after: c.opts.streamIdle}
	i.timer = time.AfterFunc(i.after, func() {
		i.isOver.Store(true)
		giveUp()
	})
	return i
}

// waits says that the loop begins to wait for an item, or does no more.
func (i *idle) waits(begins bool) {
	switch {
	case i == nil:
	case begins:
		i.timer.Reset(i.after)
	default:
		i.timer.Stop()
	}
}

// ended is how a call ended that it may have given up.
func (i *idle) ended(failed *Error) *Error {
	if i == nil || !i.isOver.Load() || failed.Code != Canceled {
		return failed
	}
	e := *failed
	e.Code, e.Message = DeadlineExceeded, fmt.Sprintf("the stream brought nothing for %v", i.after)
	return &e
}
