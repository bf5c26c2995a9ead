package broach

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"unicode/utf8"

	"broach/internal/wire"
)

// Invocation is one call, as the function that serves it sees it, and the Interceptors on its way.
type Invocation struct {
	Service string
	From    netip.AddrPort    // the node that calls, by the address it advertises; this one's own, if the call comes from this process
	Meta    map[string]string // what goes along with the call; not to be modified but by an Interceptor, for which it is never nil
	Args    []any             // the arguments, which an Interceptor may replace; nil in a function, which has them
}

// InvocationFrom returns the call that a function was given ctx for. It reports false if ctx is not that of a function.
//
// Calls that the function makes with its ctx are part of the call it serves: they end when that one does, at its deadline or because its caller
// gave up, and its metadata go along with them, such as a W3C traceparent.
func InvocationFrom(ctx context.Context) (Invocation, bool) {
	r, ok := ctx.Value(requestKey{}).(*request)
	if !ok {
		return Invocation{}, false
	}
	return Invocation{Service: r.function.name, From: r.from(), Meta: r.meta}, true
}

// requestKey finds the request that a context belongs to.
type requestKey struct{}

// requestContext is the context of a function. It is part of its request, and so costs nothing.
type requestContext struct {
	context.Context
	r *request
}

func (c *requestContext) Value(key any) any {
	if key == (requestKey{}) {
		return c.r
	}
	return c.Context.Value(key)
}

// whyCanceled says who has ended a ctx, in words: the caller, or, if it is that of a function, whatever ended that.
func whyCanceled(ctx context.Context) string {
	r, ok := ctx.Value(requestKey{}).(*request)
	switch {
	case !ok || r.ctx.Err() == nil || r.gone.Load():
		return "the caller gave up"
	case r.provider.ctx.Err() != nil:
		return "the node was closed whose function called"
	}
	return "the function that called had returned"
}

// Meta sends a text along with each call: the function finds it with InvocationFrom, and the calls that it makes with its context
// carry it on, unless they say something else under the same key. A key has 1 to 255 bytes of UTF-8 and does not begin with a NUL byte. All keys and
// values of a call together have at most 8,192 bytes, with 3 more for each. They are no secret from anyone whom the call reaches.
func Meta(key, value string) CallOption {
	return func(o *callOptions) {
		if err := checkMetaKey(key); err != nil {
			o.wrong = append(o.wrong, err)
			return
		}
		o.meta = maps.Clone(o.meta) // another Caller may have it too
		if o.meta == nil {
			o.meta = make(map[string]string)
		}
		o.meta[key] = value
	}
}

func checkMetaKey(key string) error {
	if key == "" || len(key) > 255 || key[0] == 0 || !utf8.ValidString(key) {
		return fmt.Errorf("the Meta key %.20q must be 1 to 255 bytes of UTF-8, not beginning with a NUL byte", key)
	}
	return nil
}

// inheritedMeta are the metadata of the call that ctx belongs to.
func inheritedMeta(ctx context.Context) map[string]string {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r.meta
	}
	return nil
}

// metadata are those of a call, encoded: its own and those of the call that ctx belongs to, or what Interceptors made of these.
func (c *Caller) metadata(ctx context.Context, call *Invocation) ([]byte, *Error) {
	if call != nil {
		return c.encodeMeta(call.Meta)
	}
	inherited := inheritedMeta(ctx)
	if len(c.opts.meta)+len(inherited) == 0 {
		return nil, nil
	}
	all := maps.Clone(inherited)
	if all == nil {
		all = c.opts.meta
	} else {
		maps.Copy(all, c.opts.meta)
	}
	return c.encodeMeta(all)
}

func (c *Caller) encodeMeta(all map[string]string) ([]byte, *Error) {
	var b []byte
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if err := checkMetaKey(key); err != nil { // of an Interceptor's making
			return nil, c.fail(InvalidArgument, No, err.Error())
		}
		if len(b)+len(key)+len(all[key])+3 > wire.MaxPairs {
			return nil, c.fail(InvalidArgument, No, fmt.Sprintf("the metadata have more than %d bytes", wire.MaxPairs))
		}
		b = wire.AppendPair(b, key, []byte(all[key]))
	}
	return b, nil
}

// decodeMeta copies metadata that came.
func decodeMeta(b []byte) map[string]string {
	if len(b) == 0 {
		return nil
	}
	m := make(map[string]string)
	for key, value := range wire.EachPair(b) {
		m[string(key)] = string(value)
	}
	return m
}
