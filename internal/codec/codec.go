// Package codec turns the arguments and results of calls into bytes and back, PROTOCOL.md section 6. Values are
// msgpack:
//
//	arguments: array of values
//	results:   count (1 byte)  description of each (kinds.go)  value of each
//
// It runs in the goroutine of the caller or of the worker. It knows no links, sends nothing, logs nothing, and keeps no
// value. Whatever comes from the network passes the guard before anything is decoded: the msgpack package allocates
// what a header declares, and recurses as deep as the input says.
//
// An error is an Error, which holds the code and the executed of PROTOCOL.md 2.2 as numbers, or ErrSize. The root makes
// of it what users see.
//
// Read plan.go first: how the values of a type travel is found out once for each type. Then:
//
//	encode.go      values become bytes; arguments.go those of a call; lent.go those that are a part of the message
//	decode.go      bytes become values; decode_any.go those of no known type; result.go results at the caller
//	guard.go       what is refused before it is decoded
//	kinds.go       the bytes that describe a result
//	structs.go     structs, fields.go their tags; composite.go slices, maps, pointers; number.go; method.go types that
//	               encode themselves
//	loss.go        types that would arrive empty; support.go: all that is refused when a function is registered
//	item.go        the items of streams
//	place.go       where in a value an error is; outline.go which fields a type has
package codec

import (
	"fmt"
	"reflect"
	"strings"

	"broach/internal/wire"
)

// MaxResults is what the count of results, one byte, can say.
const MaxResults = 255

// A Error says what is wrong with arguments or results, and whether the function had run when that was found.
type Error struct {
	Code     wire.Code
	Executed wire.Executed
	Text     string // wire.Shortened
	Cause    error  // what was found, if that is more than its text; for those who know its type
}

func (e *Error) Error() string { return e.Text }

// Failed makes an Error.
func Failed(code wire.Code, executed wire.Executed, format string, a ...any) *Error {
	return &Error{Code: code, Executed: executed, Text: wire.Shortened(fmt.Sprintf(format, a...))}
}

// TooLarge is the error of arguments or results that have more bytes than they may.
func TooLarge(executed wire.Executed, what string, most int) *Error {
	return Failed(wire.TooLarge, executed, "the %s have more than the %d bytes that are allowed", what, most)
}

// Because gives a new Error its Cause.
func (e *Error) Because(cause error) *Error {
	e.Cause = cause
	return e
}

// OpenArguments returns a decoder of the arguments in b and their number. The caller closes it.
func OpenArguments(b []byte) (*Decoder, int, error) {
	g := guard{b: b}
	if err := g.all(1, maxDepth+1); err != nil { // the array of arguments is not one of the levels
		return nil, 0, err
	}
	d := newDecoder(b)
	n, err := d.arrayLen(reflect.TypeFor[[]any]())
	if err != nil {
		d.Close()
		return nil, 0, err
	}
	return d, n, nil
}

// AppendValue appends one value to dst, most bytes at most.
func AppendValue(dst []byte, most int, v reflect.Value) ([]byte, error) {
	e := NewEncoder(dst, most)
	err := PlanOf(v.Type()).Encode(e, v)
	return e.Finish(), err
}

// ReadValue reads b, which is one value, into v. What that allocates is taken from memory, which several values may
// share.
func ReadValue(b []byte, v reflect.Value, memory *int64) error {
	if err := checkMsgpack(b, 1); err != nil {
		return err
	}
	d := newDecoder(b)
	defer d.Close()
	d.memory = *memory
	err := PlanOf(v.Type()).Decode(d, v)
	*memory = d.memory
	return err
}

// The readers of the plainest types, for everything that knows them without reflection.

// ReadInt reads a value as an int, if it is one that fits.
func ReadInt(d *Decoder) (int, error) {
	n, err := d.signed(intType)
	if err == nil && int64(int(n)) != n {
		err = misfit(n, intType)
	}
	return int(n), err
}

// ReadString reads a value as a string.
func ReadString(d *Decoder) (string, error) { return d.text(stringType) }

func readFloat64(d *Decoder) (float64, error) { return d.float(float64Type) }
func readBool(d *Decoder) (bool, error)       { return d.bool(boolType) }

// ReadBytes reads a value as bytes, which nil may be and a list of small numbers.
func ReadBytes(d *Decoder) ([]byte, error) {
	if d.isNil() {
		return nil, nil
	}
	if d.form() != formArray {
		return d.bytes(bytesType)
	}
	var b []byte
	err := PlanOf(bytesType).Decode(d, reflect.ValueOf(&b).Elem())
	return b, err
}

// WriteInt writes an int.
func WriteInt(e *Encoder, x int) error { return e.m.EncodeInt(int64(x)) }

// WriteString writes a string.
func WriteString(e *Encoder, x string) error { return e.m.EncodeString(x) }

// WriteBytes writes bytes, or leaves them where they are.
func WriteBytes(e *Encoder, x []byte) error {
	if e.lends && len(x) >= tailLeast {
		return e.borrow(x)
	}
	return e.m.EncodeBytes(x)
}

// TypeName is the name of t as people write it.
func TypeName(t reflect.Type) string {
	return strings.ReplaceAll(t.String(), "interface {}", "any")
}
