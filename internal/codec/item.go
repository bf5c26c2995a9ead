package codec

import (
	"reflect"

	"broach/internal/wire"
)

// The items of streams are values that come one by one. Whoever writes or reads a stream keeps one Encoder or Decoder
// for all of them: to get another for each would cost as much as a small item.

// NewItems returns an Encoder for items. Finish gives it back.
func NewItems() *Encoder { return NewEncoder(nil, 0) }

// Begin has the Encoder append one item to dst, most bytes of it.
func (e *Encoder) Begin(dst []byte, most int) { e.b, e.end, e.depth = dst, len(dst)+most, maxDepth }

// Written is what was written so far.
func (e *Encoder) Written() []byte { return e.b }

// OpenItems returns a Decoder for items. Close gives it back.
func OpenItems() *Decoder { return newDecoder(nil) }

// Begin has the Decoder read b, which must be one value. What is decoded does not refer to b.
func (d *Decoder) Begin(b []byte) error {
	if err := checkMsgpack(b, 1); err != nil {
		return err
	}
	d.b, d.i, d.memory = b, 0, memoryFor(len(b))
	return nil
}

// ItemReader reads items as values of type T, those of the usual types without reflection. It is for one stream.
func ItemReader[T any]() func(*Decoder) (T, error) {
	var read any
	switch any((*T)(nil)).(type) {
	case *int:
		read = ReadInt
	case *string:
		read = ReadString
	case *[]byte:
		read = ReadBytes
	}
	if read, ok := read.(func(*Decoder) (T, error)); ok {
		return read
	}
	plan, v := PlanOf(reflect.TypeFor[T]()), reflect.New(reflect.TypeFor[T]()).Elem()
	at := v.Addr().Interface().(*T)
	return func(d *Decoder) (T, error) {
		v.SetZero()
		err := plan.Decode(d, v)
		return *at, err
	}
}

// ItemError says which item of a stream is wrong. The function has run, or runs.
func ItemError(n int, err error) *Error {
	return Failed(wire.InvalidArgument, wire.ExecutedYes, "item %d: %v", n, err).Because(err)
}
