package codec

import (
	"bytes"
	"encoding"
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"

	"github.com/vmihailenco/msgpack/v5"
)

// Types that encode themselves: by the methods of the msgpack package, else by MarshalBinary and UnmarshalBinary,
// else by MarshalText and UnmarshalText. Of the last two both halves are wanted, since a type with a MarshalText
// that nothing reads back would arrive as something else. Methods may have value or pointer receivers. A nil is
// theirs to judge where they read msgpack; it is refused where they read bytes or text, and for slices and maps it is
// nil.
//
// Methods that a struct has from what it embeds count only if there is nothing beside it, see loss.go. The text of a
// big.Float leaves its precision out, so its gob is taken.
//
// These methods are the user's: their panics become errors, and each one sees its own value only, so that what it
// reads too much or writes too little cannot shift the values after it.

// gobFloat is big.Float, and what embeds one. The methods are those of encoding/gob, which no program needs to
// have for that.
type gobFloat interface {
	GobEncode() ([]byte, error)
	GobDecode([]byte) error
	MinPrec() uint
}

var (
	customEncoder     = reflect.TypeFor[msgpack.CustomEncoder]()
	customDecoder     = reflect.TypeFor[msgpack.CustomDecoder]()
	marshaler         = reflect.TypeFor[msgpack.Marshaler]()
	unmarshaler       = reflect.TypeFor[msgpack.Unmarshaler]()
	bigFloat          = reflect.TypeFor[gobFloat]()
	binaryMarshaler   = reflect.TypeFor[encoding.BinaryMarshaler]()
	binaryUnmarshaler = reflect.TypeFor[encoding.BinaryUnmarshaler]()
	textMarshaler     = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshaler   = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// A way is one in which types encode themselves.
type way struct {
	sends, reads []reflect.Type // the methods that it takes
	kind         string         // what they write, as KindOf says it
	encode       func(e *Encoder, ptr any) error
	decode       func(d *Decoder, ptr any) error
}

// ways are all of them. The first that a type has is taken.
var ways = func() []way {
	binary, text := []reflect.Type{binaryMarshaler, binaryUnmarshaler}, []reflect.Type{textMarshaler, textUnmarshaler}
	return []way{
		{[]reflect.Type{customEncoder}, []reflect.Type{customDecoder}, "any", encodeCustom, decodeCustom},
		{[]reflect.Type{marshaler}, []reflect.Type{unmarshaler}, "any", encodeMarshaler, decodeUnmarshaler},
		{[]reflect.Type{bigFloat}, []reflect.Type{bigFloat}, "bytes", encodeGob, decodeGob},
		{binary, binary, "bytes", encodeBinary, decodeBinary},
		{text, text, "string", encodeText, decodeText},
	}
}()

// has reports whether values of t, once addressable, have all those methods. Pointers and interfaces are asked for
// what they lead to instead.
func has(t reflect.Type, methods []reflect.Type) bool {
	for _, m := range methods {
		if !reflect.PointerTo(t).Implements(m) {
			return false
		}
	}
	return true
}

// ownEncode returns how values of t encode themselves, or nil if they do not.
func ownEncode(t reflect.Type) encodeFunc {
	if w := wayOut(t); w != nil {
		return encodeOwn(w.encode)
	}
	return nil
}

// wayOut returns the way in which values of t encode themselves, or nil.
func wayOut(t reflect.Type) *way {
	for i := range ways {
		if w := &ways[i]; t != timeType && has(t, w.sends) && !isBorrowed(t, w.sends) {
			return w
		}
	}
	return nil
}

// ownDecode returns how values of t decode themselves, or nil if they do not.
func ownDecode(t reflect.Type) decodeFunc {
	for _, w := range ways {
		if t != timeType && has(t, w.reads) && !isBorrowed(t, w.reads) {
			return decodeOwn(w.decode)
		}
	}
	return nil
}

func encodeOwn(encode func(e *Encoder, ptr any) error) encodeFunc {
	return func(e *Encoder, v reflect.Value) (err error) {
		if canBeNil(v) && v.IsNil() {
			return e.m.EncodeNil()
		}
		defer contain(&err, v.Type())
		return encode(e, addressable(v).Addr().Interface())
	}
}

func decodeOwn(decode func(d *Decoder, ptr any) error) decodeFunc {
	return func(d *Decoder, v reflect.Value) (err error) {
		if canBeNil(v) && d.isNil() {
			v.SetZero()
			return nil
		}
		defer contain(&err, v.Type())
		return decode(d, v.Addr().Interface())
	}
}

func canBeNil(v reflect.Value) bool {
	return v.Kind() == reflect.Slice || v.Kind() == reflect.Map
}

// contain turns the panic of a user's method into an error, and names the type in that of any.
func contain(err *error, t reflect.Type) {
	if v := recover(); v != nil {
		*err = &MethodPanic{t, v, debug.Stack()}
	} else if *err != nil {
		*err = fmt.Errorf("%s: %w", TypeName(t), *err)
	}
}

// A MethodPanic is the panic of a user's method. The error may go to a caller, and what the method panicked with is not
// for everybody: the text has it only if it comes from the runtime, as that of an index out of range.
type MethodPanic struct {
	typ   reflect.Type
	Value any
	Stack []byte
}

func (p *MethodPanic) Error() string {
	text := TypeName(p.typ) + " panicked"
	if e, ok := p.Value.(runtime.Error); ok {
		text += ": " + e.Error()
	}
	return text
}

// encodeCustom lends the method an encoder of its own, as it may keep it.
func encodeCustom(e *Encoder, ptr any) error {
	own := Encoder{end: max(e.end, cap(e.b)) - len(e.b)}
	m := msgpack.NewEncoder(&own)
	m.SetCustomStructTag("json")
	m.UseCompactInts(true)
	if err := ptr.(msgpack.CustomEncoder).EncodeMsgpack(m); err != nil {
		return err
	}
	return e.raw(own.b)
}

func encodeMarshaler(e *Encoder, ptr any) error {
	b, err := ptr.(msgpack.Marshaler).MarshalMsgpack()
	if err != nil {
		return err
	}
	return e.raw(b)
}

// raw appends what a user's method made, if it is one value.
func (e *Encoder) raw(b []byte) error {
	if err := e.reserve(len(b)); err != nil {
		return err
	}
	g := guard{b: b}
	if err := g.all(1, e.depth); err != nil {
		return fmt.Errorf("not one msgpack value: %w", err)
	}
	e.b = append(e.b, b...)
	return nil
}

func encodeBinary(e *Encoder, ptr any) error {
	b, err := ptr.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return err
	}
	return e.bytes(b)
}

func encodeText(e *Encoder, ptr any) error {
	b, err := ptr.(encoding.TextMarshaler).MarshalText()
	if err != nil {
		return err
	}
	if err := e.reserve(len(b)); err != nil { // before it is copied
		return err
	}
	return e.m.EncodeString(string(b))
}

func encodeGob(e *Encoder, ptr any) error {
	b, err := ptr.(gobFloat).GobEncode()
	if err != nil {
		return err
	}
	return e.bytes(b)
}

func decodeGob(d *Decoder, ptr any) error {
	b, err := d.bytes(reflect.TypeOf(ptr).Elem())
	if err != nil {
		return err
	}
	return ptr.(gobFloat).GobDecode(b)
}

func decodeCustom(d *Decoder, ptr any) error {
	raw, err := d.next()
	if err != nil {
		return err
	}
	m := msgpack.NewDecoder(bytes.NewReader(raw))
	m.SetCustomStructTag("json")
	return ptr.(msgpack.CustomDecoder).DecodeMsgpack(m)
}

// decodeUnmarshaler hands over a copy: nothing forbids UnmarshalMsgpack to keep it, while the message is reused.
func decodeUnmarshaler(d *Decoder, ptr any) error {
	raw, err := d.next()
	if err != nil {
		return err
	}
	return ptr.(msgpack.Unmarshaler).UnmarshalMsgpack(bytes.Clone(raw))
}

func decodeBinary(d *Decoder, ptr any) error {
	b, err := d.bytes(reflect.TypeOf(ptr).Elem())
	if err != nil {
		return err
	}
	return ptr.(encoding.BinaryUnmarshaler).UnmarshalBinary(b)
}

func decodeText(d *Decoder, ptr any) error {
	s, err := d.text(reflect.TypeOf(ptr).Elem())
	if err != nil {
		return err
	}
	return ptr.(encoding.TextUnmarshaler).UnmarshalText([]byte(s))
}
