package function

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"

	"broach/internal/codec"
	"broach/internal/stream"
	"broach/internal/wire"
)

// StreamsIn is the sequence that the last parameter is, StreamsOut that which the result is; nil: there is none. Types
// does not have them.
func (f *Func) StreamsIn() *Sequence  { return f.in }
func (f *Func) StreamsOut() *Sequence { return f.out }

// Streams reports whether it has one of them.
func (f *Func) Streams() bool { return f.in != nil || f.out != nil }

// checkStreams is the error of a call that streams in another way than the function, [STR-1].
func (f *Func) checkStreams(s *stream.Pair) error {
	if s == nil {
		s = &stream.Pair{}
	}
	why := ""
	switch {
	case f.out != nil && s.Out == nil:
		why = "it returns a stream: call it by Stream or Bind"
	case f.out == nil && s.Out != nil:
		why = "it returns no stream: call it by Call or Bind"
	case f.in != nil && s.In == nil:
		why = fmt.Sprintf("it takes a stream: the last argument must be a sequence, such as an iter.Seq2[%s, error]",
			codec.TypeName(f.in.Item))
	case f.in == nil && s.In != nil:
		why = "it takes no stream, and the last argument is a sequence"
	default:
		return nil
	}
	return codec.Failed(wire.InvalidArgument, wire.ExecutedNo, "%s: %s", f.sig, why)
}

// runStreaming is the body of a function that streams. The call is over when its streams are.
func (f *Func) runStreaming(
	ctx context.Context, d *codec.Decoder, n int, dst []byte, s *stream.Pair,
) ([]byte, error) {
	c := &streamingCall{reflectedCall: reflectedCall{f: f, fn: f.fn, in: newCallFrame(f.fn.Type())}, streams: s}
	if err := f.fill(c.in, ctx, d, n); err != nil {
		return nil, err
	}
	if f.in != nil {
		input := &input{call: c, ctx: ctx}
		c.in[len(c.in)-1].Set(f.in.Make(input.each))
	}
	v, err := f.around(ctx, c)
	if c.hasBegun.Load() && s.Out != nil {
		s.Out.CloseWrite(nil)
		_ = s.Out.Drain(ctx.Done()) // what it ends with, else, is told by ctx
	}
	if e, ok := err.(*codec.Error); ok && c.hasBegun.Load() {
		return nil, e
	}
	return f.outcome(ctx, v, err, dst)
}

// unsurrounded is an Around of nothing.
func unsurrounded(ctx context.Context, c Call) (any, error) { return c.Run(ctx, func() {}) }

// streamingCall is a Call of a function that streams. Among its arguments is the sequence, if the function takes one.
// Run returns when the streams are over; a result that streams is none there.
type streamingCall struct {
	reflectedCall
	streams  *stream.Pair
	hasBegun atomic.Bool // an Interceptor may call next in several goroutines
	isOver   atomic.Bool // the function has returned, and what it streams has ended
}

// Run runs the function.
func (c *streamingCall) Run(ctx context.Context, begin func()) (any, error) {
	return c.RunOn(ctx, c.List(), begin)
}

// RunOn runs it on other arguments.
func (c *streamingCall) RunOn(ctx context.Context, args []any, begin func()) (any, error) {
	in, err := c.pack(ctx, args)
	if err != nil {
		return nil, err
	}
	if c.hasBegun.Swap(true) {
		return nil, codec.Failed(wire.Internal, wire.ExecutedYes, "%s: a stream can run once", c.f.sig)
	}
	begin()
	defer c.end()
	out := c.fn.Call(in)
	if c.f.hasError {
		if err, _ := out[len(out)-1].Interface().(error); err != nil {
			return nil, err
		}
	}
	if c.f.out != nil {
		return nil, c.send(ctx, out[0])
	}
	return Gather(out[:len(c.f.results)]), nil
}

// end is told also of a function that panics.
func (c *streamingCall) end() {
	c.isOver.Store(true)
	if c.streams.In != nil {
		c.streams.In.Stop(nil) // [STR-6]
	}
}

// send ranges over what the function returned.
func (c *streamingCall) send(ctx context.Context, seq reflect.Value) error {
	if seq.IsNil() {
		return codec.Failed(wire.Internal, wire.ExecutedYes, "%s returned nil, which is no stream", c.f.sig)
	}
	o := NewOutput(c.streams.Out, ctx.Done(), c.f.Most)
	c.f.out.Write(seq, o)
	end := o.Close()
	switch {
	case end.Yielded != nil:
		return end.Yielded
	case end.Unsent != nil:
		return c.unsent(end.Unsent)
	case end.Unread != nil:
		return c.unread(ctx, end.Unread)
	}
	return ctx.Err() // who ends a feed because its ctx has ended has not come to its end
}

// unsent is the error of an item that cannot be sent.
func (c *streamingCall) unsent(err error) error {
	if e, ok := errors.AsType[*codec.Error](err); ok && e.Code == wire.TooLarge {
		return e
	}
	return codec.Failed(wire.Internal, wire.ExecutedYes, "%s: %v", c.f.sig, err).Because(err)
}

// unread is the error of a stream that somebody does not want any more.
func (c *streamingCall) unread(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return codec.Failed(wire.Canceled, wire.ExecutedYes, "%s: %v", c.f.sig, err)
}

// input is what the sequence is made of that the function is given.
type input struct {
	call  *streamingCall
	ctx   context.Context
	begun atomic.Bool
}

// What a function is told of an input that it can have no more of.
const (
	textTwice = "the stream that a function takes can be ranged over once; iter.Pull2 takes from it item by item"
	textLate  = "the call is over whose stream this was"
)

// each is the Each of the sequence.
func (in *input) each(take Take) error {
	switch p := in.call.streams.In; {
	case in.call.isOver.Load():
		return in.told(codec.Failed(wire.Canceled, wire.ExecutedYes, textLate))
	case in.begun.Swap(true):
		return in.told(codec.Failed(wire.InvalidArgument, wire.ExecutedYes, textTwice))
	default:
		defer p.Stop(nil) // [STR-6], also where the loop panics
		_, err := EachItem(&stream.Items{Pipe: p, Most: in.call.f.Most}, in.ctx.Done(), in.untilOver(take))
		return in.told(err)
	}
}

// untilOver is take until the call is over: a function that never waits would hear of that from none of its items.
func (in *input) untilOver(take Take) Take {
	return func(d *codec.Decoder) (bool, error) {
		if err := in.ctx.Err(); err != nil {
			return false, err
		}
		return take(d)
	}
}

// told is an error as the function is to see it.
func (in *input) told(err error) error {
	switch {
	case err == nil:
		return nil
	case in.ctx.Err() != nil:
		return in.ctx.Err()
	case in.call.f.Input != nil:
		return in.call.f.Input(err)
	}
	return err
}
