package codec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"reflect"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// An empty map is one byte and may decode to a struct of a kilobyte, so memory has a bound of its own, which grows with
// the message. It is for structs of which nearly nothing is sent, and for the rest of the message: a map of one entry
// is about the worst that is usual, at 109 bytes for a byte. Large messages have less, as what they are made of is
// seldom that: an `any` takes 16 for a byte, and a number less.
const (
	memoryFloor       = 16 << 20
	memoryPerByte     = 128
	memoryMost        = 1 << 30 // where that is less,
	memoryMostPerByte = 16      // or this, if it is more than memoryMost
)

// memoryFor is what may be allocated for a message of n bytes.
func memoryFor(n int) int64 {
	return min(memoryFloor+memoryPerByte*int64(n), max(memoryMost, memoryMostPerByte*int64(n)))
}

var errMemory = errors.New("the value needs more memory than a message of its length may take")

// A Decoder reads values that have passed the guard.
type Decoder struct {
	m      *msgpack.Decoder // reads from this decoder, unbuffered
	b      []byte
	i      int   // next byte to read
	memory int64 // bytes that may still be allocated, besides those of strings
	lends  bool  // lent bytes refer to b

	leaves bool   // a last result that is a part of b stays there
	left   []byte // it
}

var decoders = sync.Pool{New: func() any {
	d := &Decoder{}
	d.m = msgpack.NewDecoder(d)
	return d
}}

// newDecoder returns a decoder of b. close gives it back; what was decoded does not refer to b, unless it lends.
func newDecoder(b []byte) *Decoder {
	d := decoders.Get().(*Decoder)
	d.b, d.i = b, 0
	d.memory = memoryFor(len(b))
	return d
}

// Close gives the decoder back: it is not used after that.
func (d *Decoder) Close() {
	d.b, d.lends, d.leaves, d.left = nil, false, false, nil
	decoders.Put(d)
}

// Read, ReadByte and UnreadByte are for the msgpack decoder.
func (d *Decoder) Read(p []byte) (int, error) {
	if d.i >= len(d.b) && len(p) > 0 {
		return 0, io.EOF
	}
	n := copy(p, d.b[d.i:])
	d.i += n
	return n, nil
}

func (d *Decoder) ReadByte() (byte, error) {
	if d.i >= len(d.b) {
		return 0, io.EOF
	}
	d.i++
	return d.b[d.i-1], nil
}

func (d *Decoder) UnreadByte() error {
	d.i--
	return nil
}

// code and form look at the value to be read next.
func (d *Decoder) code() byte { return d.b[d.i] }
func (d *Decoder) form() form { return leads[d.b[d.i]].form }

// isNil reads a nil, if one comes next.
func (d *Decoder) isNil() bool {
	if d.form() != formNil {
		return false
	}
	d.i++
	return true
}

// next returns the next value, encoded, and goes past it.
func (d *Decoder) next() ([]byte, error) {
	g := guard{b: d.b, i: d.i}
	if err := g.value(maxDepth); err != nil {
		return nil, err
	}
	raw := d.b[d.i:g.i]
	d.i = g.i
	return raw, nil
}

// Charge accounts for n values of that type before they are allocated.
func (d *Decoder) Charge(n int, t reflect.Type) error {
	size := int64(t.Size())
	if size > 0 && int64(n) > d.memory/size {
		return errMemory
	}
	d.memory -= int64(n) * size
	return nil
}

// chargeMap accounts for a map of n entries: eight places at least, or as many as are the next power of two when one in
// eight is to stay free. What is larger than 128 bytes stands apart from its place.
func (d *Decoder) chargeMap(n int, key, elem reflect.Type) error {
	const group, header, inline = 8, 48, 128
	places := int64(0)
	switch {
	case n > group:
		places = 1 << bits.Len64(uint64(n)*8/7)
	case n > 0:
		places = group
	}
	size := header + places
	for _, t := range []reflect.Type{key, elem} {
		s := int64(t.Size())
		size += s // what an entry is read into
		if s <= inline {
			size += places * s
		} else {
			size += places*8 + int64(n)*s
		}
	}
	if size > d.memory {
		return errMemory
	}
	d.memory -= size
	return nil
}

// span returns the bytes of a string or byte string; they belong to the message.
func (d *Decoder) span() ([]byte, error) {
	n, err := d.m.DecodeBytesLen()
	if err != nil || n < 0 {
		return nil, err
	}
	s := d.b[d.i : d.i+n]
	d.i += n
	return s, nil
}

// text reads a string, or a byte string if it is UTF-8.
func (d *Decoder) text(t reflect.Type) (string, error) {
	form := d.form()
	if form != formString && form != formBytes {
		return "", d.mismatch(t)
	}
	s, err := d.span()
	if err == nil && form == formBytes && !utf8.Valid(s) {
		err = fmt.Errorf("a []byte that is not UTF-8 does not fit %s", TypeName(t))
	}
	if err != nil {
		return "", err
	}
	return string(s), nil
}

// bytes reads a byte string or a string.
func (d *Decoder) bytes(t reflect.Type) ([]byte, error) {
	if form := d.form(); form != formBytes && form != formString {
		return nil, d.mismatch(t)
	}
	s, err := d.span()
	return bytes.Clone(s), err
}

// time reads a timestamp, or a string in the form of RFC 3339, which senders without msgpack extensions use. It is an
// instant, in UTC wherever it is read: so equal instants are equal by `==`, and one key of a map.
func (d *Decoder) time(t reflect.Type) (time.Time, error) {
	at, err := d.zonedTime(t)
	return at.UTC(), err
}

func (d *Decoder) zonedTime(t reflect.Type) (time.Time, error) {
	switch d.form() {
	case formExt:
		if !d.isTimestamp() {
			return time.Time{}, d.mismatch(t)
		}
		return d.m.DecodeTime()
	case formString:
		s, err := d.text(t)
		if err != nil {
			return time.Time{}, err
		}
		at, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			err = fmt.Errorf("a string does not fit %s: %w", TypeName(t), err)
		}
		return at, err
	}
	return time.Time{}, d.mismatch(t)
}

// isTimestamp reports whether the extension that comes next is type -1 in one of its three lengths.
// Asked first because the msgpack decoder reads one of any length into a buffer that it keeps.
func (d *Decoder) isTimestamp() bool {
	switch d.code() {
	case msgpcode.FixExt4, msgpcode.FixExt8:
		return d.b[d.i+1] == 0xff
	case msgpcode.Ext8:
		return d.b[d.i+1] == 12 && d.b[d.i+2] == 0xff
	}
	return false
}

func (d *Decoder) bool(t reflect.Type) (bool, error) {
	if d.form() != formBool {
		return false, d.mismatch(t)
	}
	return d.m.DecodeBool()
}

func (d *Decoder) arrayLen(t reflect.Type) (int, error) {
	if d.form() != formArray {
		return 0, d.mismatch(t)
	}
	return d.m.DecodeArrayLen()
}

func (d *Decoder) mapLen(t reflect.Type) (int, error) {
	if d.form() != formMap {
		return 0, d.mismatch(t)
	}
	return d.m.DecodeMapLen()
}

// mismatch says that what comes next is of a kind that t does not take, in words of Go, which its sender wrote, too.
func (d *Decoder) mismatch(t reflect.Type) error {
	is := d.form().inGo()
	if d.form() == formExt && d.isTimestamp() {
		is = "a time.Time"
	}
	return fmt.Errorf("%s does not fit %s", is, TypeName(t))
}

func decodeBool(d *Decoder, v reflect.Value) error {
	x, err := d.bool(v.Type())
	if err == nil {
		v.SetBool(x)
	}
	return err
}

func decodeString(d *Decoder, v reflect.Value) error {
	x, err := d.text(v.Type())
	if err == nil {
		v.SetString(x)
	}
	return err
}

func decodeTime(d *Decoder, v reflect.Value) error {
	x, err := d.time(v.Type())
	if err == nil {
		v.Set(reflect.ValueOf(x))
	}
	return err
}

func decodeInterface(d *Decoder, v reflect.Value) error {
	x, err := d.any()
	if err != nil {
		return err
	}
	v.SetZero()
	if x != nil {
		v.Set(reflect.ValueOf(x))
	}
	return nil
}
