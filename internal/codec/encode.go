package codec

import (
	"errors"
	"reflect"
	"sync"
	"time"

	"broach/internal/buffer"

	"github.com/vmihailenco/msgpack/v5"
)

// An Encoder appends encoded values to b. It writes no more levels than the guard of the receiver passes, and does not
// go on when b is longer than it may be: what has no end in sight must not fill the memory first. So what fits b anyway
// is not looked at, and may be too long.
type Encoder struct {
	m     *msgpack.Encoder // writes to this encoder
	b     []byte
	end   int // b need not grow beyond it
	depth int // levels that may still be entered

	lends bool   // large bytes that are written next may stay where they are: nothing comes behind them
	from  []byte // of what they must be a part; nil: of anything
	tail  []byte // those that did
}

// ErrSize is that of values which take more bytes than they may.
var ErrSize = errors.New("too large")

var encoders = sync.Pool{New: func() any {
	e := &Encoder{}
	e.m = msgpack.NewEncoder(e)
	e.m.UseCompactInts(true)
	return e
}}

// NewEncoder returns an encoder that appends values of maxDepth levels to dst, most bytes of them. Finish gives
// it back.
func NewEncoder(dst []byte, most int) *Encoder {
	e := encoders.Get().(*Encoder)
	e.b, e.end, e.depth, e.lends = dst, len(dst)+most, maxDepth, false
	return e
}

// Finish returns what was written, and gives the encoder back: it is not used after that.
func (e *Encoder) Finish() []byte {
	b := e.b
	e.b, e.from, e.tail = nil, nil, nil
	encoders.Put(e)
	return b
}

// Write and WriteByte are for the msgpack encoder.
func (e *Encoder) Write(p []byte) (int, error) {
	if err := e.reserve(len(p)); err != nil {
		return 0, err
	}
	e.b = append(e.b, p...)
	return len(p), nil
}

func (e *Encoder) WriteByte(c byte) error {
	if err := e.reserve(1); err != nil {
		return err
	}
	e.b = append(e.b, c)
	return nil
}

// reserve makes room for n bytes, unless they are too many.
func (e *Encoder) reserve(n int) error {
	if n <= cap(e.b)-len(e.b) {
		return nil
	}
	if n > e.end-len(e.b) {
		return ErrSize
	}
	e.b = buffer.Grow(e.b, n)
	return nil
}

// enter begins an array or map. A value that contains itself runs out of levels here.
func (e *Encoder) enter() error {
	if e.depth == 0 {
		return errDepth
	}
	e.depth--
	e.lends = false
	return nil
}

func (e *Encoder) leave() { e.depth++ }

// value encodes x, the usual types without reflection.
func (e *Encoder) value(x any) error {
	switch x := x.(type) {
	case nil:
		return e.m.EncodeNil()
	case bool:
		return e.m.EncodeBool(x)
	case int:
		return e.m.EncodeInt(int64(x))
	case int64:
		return e.m.EncodeInt(x)
	case uint64:
		return e.m.EncodeUint(x)
	case float64:
		return e.m.EncodeFloat64(x)
	case string:
		return e.m.EncodeString(x)
	case []byte:
		return WriteBytes(e, x)
	case time.Duration:
		return e.m.EncodeInt(int64(x))
	}
	v := reflect.ValueOf(x)
	return PlanOf(v.Type()).Encode(e, v)
}

// bytes encodes a byte string, an empty one also where b is nil.
func (e *Encoder) bytes(b []byte) error {
	if err := e.m.EncodeBytesLen(len(b)); err != nil {
		return err
	}
	_, err := e.Write(b)
	return err
}

func encodeBool(e *Encoder, v reflect.Value) error    { return e.m.EncodeBool(v.Bool()) }
func encodeInt(e *Encoder, v reflect.Value) error     { return e.m.EncodeInt(v.Int()) }
func encodeUint(e *Encoder, v reflect.Value) error    { return e.m.EncodeUint(v.Uint()) }
func encodeFloat32(e *Encoder, v reflect.Value) error { return e.m.EncodeFloat32(float32(v.Float())) }
func encodeFloat64(e *Encoder, v reflect.Value) error { return e.m.EncodeFloat64(v.Float()) }
func encodeString(e *Encoder, v reflect.Value) error  { return e.m.EncodeString(v.String()) }
func encodeTime(e *Encoder, v reflect.Value) error    { return e.m.EncodeTime(v.Interface().(time.Time)) }
func encodeAny(e *Encoder, v reflect.Value) error     { return e.value(v.Interface()) }

// addressable returns v, or a copy of it, as a variable.
func addressable(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v
	}
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c
}
