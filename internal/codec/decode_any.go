package codec

import (
	"bytes"
	"math"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// any reads a value of any form, as bool, int64, uint64 (only above the int64 range), float64, string, []byte,
// time.Time, []any, map[string]any or nil. There is a form for what those cannot hold, or a result might have been
// computed and could not be had: map[any]any for keys that are no strings, [][2]any where they cannot be keys, and
// msgpack.RawMessage for an extension that is no time.
func (d *Decoder) any() (any, error) {
	switch d.form() {
	case formNil:
		return nil, d.m.DecodeNil()
	case formBool:
		return d.m.DecodeBool()
	case formInt:
		return d.anyInt()
	case formFloat:
		return d.m.DecodeFloat64()
	case formString:
		return d.text(anyType)
	case formBytes:
		return d.bytes(anyType)
	case formArray:
		return d.list()
	case formMap:
		return d.dict()
	}
	return d.extension()
}

func (d *Decoder) anyInt() (any, error) {
	if d.code() != msgpcode.Uint64 {
		return d.m.DecodeInt64()
	}
	u, err := d.m.DecodeUint64()
	if u > math.MaxInt64 {
		return u, err
	}
	return int64(u), err
}

func (d *Decoder) extension() (any, error) {
	if d.isTimestamp() {
		return d.time(timeType)
	}
	raw, err := d.next()
	return msgpack.RawMessage(bytes.Clone(raw)), err
}

func (d *Decoder) list() (any, error) {
	n, err := d.m.DecodeArrayLen()
	if err == nil {
		err = d.Charge(n, anyType)
	}
	if err != nil {
		return nil, err
	}
	l := make([]any, n)
	for i := range l {
		if l[i], err = d.any(); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// dict reads a map as long as its keys are strings, and goes on by keys that are not.
func (d *Decoder) dict() (any, error) {
	n, err := d.m.DecodeMapLen()
	if err == nil && n > 0 && d.form() != formString {
		return d.keyed(nil, n, n)
	}
	if err == nil {
		err = d.chargeMap(n, stringType, anyType)
	}
	if err != nil {
		return nil, err
	}
	m := make(map[string]any, n)
	for i := range n {
		if d.form() != formString {
			return d.keyed(m, n, n-i)
		}
		key, err := d.text(stringType)
		if err != nil {
			return nil, err
		}
		if m[key], err = d.any(); err != nil {
			return nil, err
		}
	}
	if len(m) < n {
		return nil, errRepeated
	}
	return m, nil
}

// keyed reads the last entries of a map of n, of which the first are those of text.
func (d *Decoder) keyed(text map[string]any, n, last int) (any, error) {
	if err := d.chargeMap(n, anyType, anyType); err != nil {
		return nil, err
	}
	m := make(map[any]any, n)
	for key, x := range text {
		m[key] = x
	}
	for i := range last {
		key, err := d.any()
		if err != nil {
			return nil, err
		}
		if !isHashable(key) {
			return d.pairs(m, key, n, last-i)
		}
		if m[key], err = d.any(); err != nil {
			return nil, err
		}
	}
	if len(m) < n {
		return nil, errRepeated
	}
	return m, nil
}

func isHashable(key any) bool {
	switch key.(type) {
	case []byte, msgpack.RawMessage, []any, [][2]any, map[string]any, map[any]any:
		return false
	}
	return true
}

// pairs reads the last entries of a map of n, of which the first are those of keyed. Of the next the key has been read.
func (d *Decoder) pairs(keyed map[any]any, key any, n, last int) (any, error) {
	if err := d.Charge(2*n, anyType); err != nil {
		return nil, err
	}
	all := make([][2]any, 0, n)
	for k, x := range keyed {
		all = append(all, [2]any{k, x})
	}
	for i := range last {
		var err error
		if i > 0 {
			if key, err = d.any(); err != nil {
				return nil, err
			}
		}
		x, err := d.any()
		if err != nil {
			return nil, err
		}
		all = append(all, [2]any{key, x})
	}
	return all, nil
}
