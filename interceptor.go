package broach

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"broach/internal/codec"
	"broach/internal/deadline"
	"broach/internal/function"
	"broach/internal/wire"
)

// Handler goes on with a call: to the next Interceptor, at last to the call.
type Handler func(ctx context.Context, call *Invocation) (any, error)

// Interceptor stands between a call and what it does: it may look at the call and change it, let it go on with next or
// not, and look at the outcome and change that. It runs for many calls at once. A Config and options give those of the
// caller and those of the provider; of several the first is outermost.
//
// At the caller, ctx ends with the call's deadline. Args are what is to be sent and Meta what goes along, both may be
// changed until next is called. next makes the call, with its retries, and returns the result as the caller wants it:
// as Call does, for Call[R] as an R, for Send nil. What the outermost Interceptor returns must be such a result, else
// the call fails with Internal. Its error becomes an *Error, if it is none: with the code of one that it wraps, else
// DeadlineExceeded or Canceled if it is that of ctx, else Application; errors.Is and errors.As find the error itself.
//
// At the provider, ctx is that of the function: what is put into it arrives there. Args are the arguments in the types
// that the function declares, without the context, and may be replaced by others that can be assigned to these; Meta,
// too, may be changed for the function. next runs the function and returns its result as Call does, but in the declared
// types, and its error as it is. What the outermost Interceptor returns is encoded as the function's results and error:
// those that do not fit are Internal.
//
// To refuse a call, return an error without calling next: its Executed is No, so the caller may call again. [Errorf]
// says with which code: with Overloaded or Unavailable the caller asks another provider, with Unauthenticated it does
// not. next may be called again when it has returned, and is an error after the Interceptor has. A panic is Internal,
// and ends only the call.
type Interceptor func(ctx context.Context, call *Invocation, next Handler) (any, error)

var (
	errNilInterceptor = errors.New("an Interceptor is nil")
	errNextLate       = &Error{Code: Canceled, Executed: No, Message: "next was called after the Interceptor had" +
		" returned"}
	errNextNil = &Error{Code: InvalidArgument, Executed: No, Message: "next was called without a context or" +
		" an Invocation"}
)

func hasNil(list []Interceptor) bool {
	return slices.ContainsFunc(list, func(i Interceptor) bool { return i == nil })
}

// A step is the way through Interceptors from one of them on. That Interceptor can go on only while it runs.
type step struct {
	list     []Interceptor // this one and those within it; not written to
	last     innermost
	returned atomic.Bool
}

// innermost is what stands within all Interceptors.
type innermost interface {
	handle(ctx context.Context, call *Invocation) (any, error)
}

func (s *step) run(ctx context.Context, call *Invocation) (any, error) {
	defer s.returned.Store(true)
	return s.list[0](ctx, call, s.next)
}

// next is the Handler of the Interceptor.
func (s *step) next(ctx context.Context, call *Invocation) (any, error) {
	switch {
	case s.returned.Load():
		return nil, errNextLate
	case ctx == nil || call == nil:
		return nil, errNextNil
	case len(s.list) == 1:
		return s.last.handle(ctx, call)
	}
	return (&step{list: s.list[1:], last: s.last}).run(ctx, call)
}

// Invocation is one call, as its function and the Interceptors on its way see it. It is used by one goroutine at a
// time. An Interceptor may keep it. The zero value is a call without arguments and metadata.
type Invocation struct {
	Service string
	// From is the node that calls, by the address it advertises; this one's own, if the call comes from this process
	From netip.AddrPort

	made argumentList // what Args makes the arguments of; nil: of given
	// given are those of a caller, not to be written to; those that Args has made, or of SetArgs, if hasArgs
	given   []any
	hasArgs bool

	inherited, own map[string]string // what Meta makes the metadata of, the later ones on top; not written to
	meta           map[string]string // made by Meta; nil: not yet
}

// argumentList makes a list of arguments.
type argumentList interface{ List() []any }

// Args are the arguments; none in a function, which has them. They are made into a list when they are first asked for:
// an Interceptor that does not look at them costs less. It may change the elements, which changes the call.
func (call *Invocation) Args() []any {
	if !call.hasArgs {
		call.SetArgs(call.list()...)
	}
	return call.given
}

// SetArgs replaces the arguments.
func (call *Invocation) SetArgs(args ...any) { call.given, call.hasArgs = args, true }

// list makes a list of the arguments that may be written to.
func (call *Invocation) list() []any {
	if call.made != nil {
		return call.made.List()
	}
	return slices.Clone(call.given)
}

// Meta is what goes along with the call, never nil. An Interceptor may change it; in a function it is a copy. It is
// made when it is first asked for.
func (call *Invocation) Meta() map[string]string {
	if call.meta == nil {
		call.meta = make(map[string]string)
		maps.Copy(call.meta, call.inherited)
		maps.Copy(call.meta, call.own)
	}
	return call.meta
}

// metadata are what Meta would make, not to be written to.
func (call *Invocation) metadata() map[string]string {
	if call.meta != nil {
		return call.meta
	}
	return merged(call.inherited, call.own)
}

// merged are the metadata of two, of which those of the second count. It is not to be written to.
func merged(below, above map[string]string) map[string]string {
	switch {
	case len(below) == 0:
		return above
	case len(above) == 0:
		return below
	}
	all := maps.Clone(below)
	maps.Copy(all, above)
	return all
}

// InvocationFrom returns the call that a function was given ctx for. It reports false if ctx is not that of a function.
// Its Meta are a copy: who changes them changes nothing else.
//
// Calls that the function makes with its ctx are part of the call it serves: they end when that one does, at its
// deadline or because its caller gave up, and its metadata go along with them, such as a W3C traceparent.
func InvocationFrom(ctx context.Context) (Invocation, bool) {
	r, ok := orEndless(ctx).Value(requestKey{}).(*request)
	if !ok {
		return Invocation{}, false
	}
	return Invocation{Service: r.function.name, From: r.from(), inherited: r.meta}, true
}

// requestKey finds the request that a context belongs to.
type requestKey struct{}

// requestContext is the context of a function. Who keeps it keeps the request that it is part of.
type requestContext struct {
	deadline.Context
	r *request // nil: the function does not ask for one
}

func (c *requestContext) isMade() bool { return c.r != nil }

func (c *requestContext) Value(key any) any {
	switch key {
	case requestKey{}, metaKey{}:
		return c.r
	}
	return c.Context.Value(key)
}

// whyCanceled says who has ended a ctx, in words: the caller, or, if it is that of a function, whatever ended that.
func whyCanceled(ctx context.Context) string {
	r, ok := ctx.Value(requestKey{}).(*request)
	switch {
	case !ok || r.ctx.Err() == nil || r.Gone.Load():
		return "the caller gave up"
	case r.provider.ctx.Err() != nil:
		return "the node was closed whose function called"
	}
	return "the function that called had returned"
}

// intercept makes the function run within its Interceptors, if it has any. It is called before the function is offered.
func (f *service) intercept(fn any) {
	if len(f.interceptors) == 0 {
		return
	}
	f.Within(fn, func(ctx context.Context, run function.Call) (any, error) {
		r := ctx.Value(requestKey{}).(*request)
		in := &intercepted{request: r, run: run}
		in.step = step{list: f.interceptors, last: in}
		// other subscribers of an event have the metadata too
		in.call = Invocation{Service: f.name, From: r.from(), made: run, inherited: r.meta}
		return in.step.run(ctx, &in.call)
	})
}

// needsRequest reports that somebody may ask for the Invocation and the context of a call.
func (f *service) needsRequest() bool {
	return f.HasContext() || len(f.interceptors) > 0 || f.takeEvent != nil || f.Streams()
}

// intercepted is one call on its way through the Interceptors of its function, which may keep all of it.
type intercepted struct {
	step    step // the first
	call    Invocation
	request *request
	run     function.Call
}

// handle runs the function.
func (in *intercepted) handle(ctx context.Context, call *Invocation) (v any, err error) {
	begin := func() {
		in.request.meta = call.metadata()
		in.request.began.Store(true)
	}
	if call.made == argumentList(in.run) && !call.hasArgs {
		v, err = in.run.Run(ctx, begin)
	} else {
		v, err = in.run.RunOn(ctx, call.Args(), begin)
	}
	if e, ok := err.(*codec.Error); ok {
		return nil, ownError(e)
	}
	return v, err
}

// Metadata are texts that go along with a call: see [Meta].

// checkMetaKey reports what is wrong with the key of one.
func checkMetaKey(key string) error {
	if key == "" || len(key) > 255 || key[0] == 0 || !utf8.ValidString(key) {
		return fmt.Errorf("the Meta key %.20q must be 1 to 255 bytes of UTF-8, not beginning with a NUL byte", key)
	}
	return nil
}

// WithMeta returns a ctx whose calls take a text along, as with [Meta]: each that is made with it, by Call, All, Send,
// [Go], a func of [Bind] or [Node.Publish]. Of texts under the same key, that of the ctx counts before that of the
// Caller, and either before that of the call which the function serves that is calling. A key that is none, and too
// many bytes, are an InvalidArgument of the call. An Interceptor changes Invocation.Meta in place of the ctx.
func WithMeta(ctx context.Context, key, value string) context.Context {
	ctx = orEndless(ctx)
	var said metaSaid
	switch outer := ctx.Value(metaKey{}).(type) {
	case *request:
		said.serves = outer
	case *metaSaid:
		said.serves, said.meta = outer.serves, maps.Clone(outer.meta) // another ctx has it too
	}
	if said.meta == nil {
		said.meta = make(map[string]string)
	}
	said.meta[key] = value
	return context.WithValue(ctx, metaKey{}, &said)
}

// metaSaid is what WithMeta has put into a ctx.
type metaSaid struct {
	meta   map[string]string // not written to
	serves *request          // that the ctx belongs to, or nil
}

// metaKey finds what the metadata of calls come from: a *metaSaid or, where WithMeta has said nothing, a *request.
type metaKey struct{}

// metaOf are the metadata that ctx has for a call: of the call that it belongs to, and what WithMeta says.
func metaOf(ctx context.Context) (inherited, said map[string]string) {
	switch from := ctx.Value(metaKey{}).(type) {
	case *request:
		return from.meta, nil
	case *metaSaid:
		if from.serves != nil {
			inherited = from.serves.meta
		}
		return inherited, from.meta
	}
	return nil, nil
}

// metadata are those of a call, encoded: its own and those of the call that ctx belongs to, or what Interceptors made
// of these, and what a Span carries, if all that is not too much.
func (c *Caller) metadata(ctx context.Context, call *Invocation, s *trace) ([]byte, *Error) {
	var all map[string]string
	if call != nil {
		all = call.metadata()
	} else {
		all = merged(c.layersOfMeta(ctx))
	}
	if carried := s.carried(); len(carried) > 1 {
		room := s.meta[:0]
		if call != nil {
			room = nil // an Interceptor may make the call twice at once, with other metadata each time
		}
		if b, failed := c.encodeMeta(room, all, carried); failed == nil {
			return b, nil
		}
	}
	return c.encodeMeta(nil, all, nil)
}

// layersOfMeta are the metadata of a call: those that its function was called with, and what is said on top of them.
// They are not to be written to.
func (c *Caller) layersOfMeta(ctx context.Context) (inherited, own map[string]string) {
	inherited, said := metaOf(ctx)
	return inherited, merged(c.opts.meta, said)
}

// metaPair is one of metadata.
type metaPair struct{ key, value string }

// encodeMeta encodes metadata in the order of their keys. What is carried, a key, its value, and so on, counts above
// the others, and the last under a key above those before it. If b has the room, it is used.
func (c *Caller) encodeMeta(b []byte, all map[string]string, carried []string) ([]byte, *Error) {
	if len(all)+len(carried) == 0 {
		return nil, nil
	}
	pairs, size := make([]metaPair, 0, 8), 0 // most are few
	for key, value := range all {
		pairs, size = append(pairs, metaPair{key, value}), size+pairSize(key, value)
	}
	for ; len(carried) > 1; carried = carried[2:] {
		pairs, size = append(pairs, metaPair{carried[0], carried[1]}), size+pairSize(carried[0], carried[1])
	}
	slices.SortStableFunc(pairs, func(a, b metaPair) int { return strings.Compare(a.key, b.key) })
	if size > cap(b) {
		b = make([]byte, 0, min(size, wire.MaxPairs))
	}
	for i, p := range pairs {
		if i+1 < len(pairs) && pairs[i+1].key == p.key {
			continue
		}
		if err := checkMetaKey(p.key); err != nil { // of an Interceptor's making, or of WithMeta's
			return nil, c.newError(InvalidArgument, No, err.Error())
		}
		if len(b)+pairSize(p.key, p.value) > wire.MaxPairs {
			return nil, c.newError(InvalidArgument, No, tooMuchMeta(all))
		}
		b = wire.AppendPair(b, p.key, []byte(p.value))
	}
	return b, nil
}

// pairSize is what a key and its value count for.
func pairSize(key, value string) int { return len(key) + len(value) + 3 }

// tooMuchMeta says how much there is, and which key has most of it.
func tooMuchMeta(all map[string]string) string {
	size, largest := 0, ""
	for key, value := range all {
		size += pairSize(key, value)
		if largest == "" || len(value) > len(all[largest]) {
			largest = key
		}
	}
	return fmt.Sprintf("the metadata have %d bytes, of %d at most: %.20q has %d", size, wire.MaxPairs, largest,
		len(all[largest]))
}

// decodeMeta copies metadata that came, without keys of the protocol's own: those of later versions are not the user's.
func decodeMeta(b []byte) map[string]string {
	if len(b) == 0 {
		return nil
	}
	m := make(map[string]string)
	for key, value := range wire.EachPair(b) {
		if key[0] != 0 {
			m[string(key)] = string(value)
		}
	}
	return m
}
