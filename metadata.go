package broach

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"broach/internal/wire"
)

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
	if carried := s.carried(); len(carried) > 0 {
		if b, failed := c.encodeMeta(merged(all, carried)); failed == nil {
			return b, nil
		}
	}
	return c.encodeMeta(all)
}

// layersOfMeta are the metadata of a call: those that its function was called with, and what is said on top of them.
// They are not to be written to.
func (c *Caller) layersOfMeta(ctx context.Context) (inherited, own map[string]string) {
	inherited, said := metaOf(ctx)
	return inherited, merged(c.opts.meta, said)
}

func (c *Caller) encodeMeta(all map[string]string) ([]byte, *Error) {
	if len(all) == 0 {
		return nil, nil
	}
	var b []byte
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if err := checkMetaKey(key); err != nil { // of an Interceptor's making, or of WithMeta's
			return nil, c.newError(InvalidArgument, No, err.Error())
		}
		if len(b)+pairSize(key, all[key]) > wire.MaxPairs {
			return nil, c.newError(InvalidArgument, No, tooMuchMeta(all))
		}
		b = wire.AppendPair(b, key, []byte(all[key]))
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
