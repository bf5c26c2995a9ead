package codec

import (
	"errors"
	"math"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

var errMapKey = errors.New("any takes maps with string keys only")

// any reads a value of any form, as bool, int64, uint64 (only above the int64 range), float64, string, []byte,
// time.Time, []any, map[string]any or nil.
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
	return d.time(anyType)
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

func (d *Decoder) list() (any, error) {
	n, err := d.m.DecodeArrayLen()
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

func (d *Decoder) dict() (any, error) {
	n, err := d.m.DecodeMapLen()
	if err != nil {
		return nil, err
	}
	m := make(map[string]any, n)
	for range n {
		if d.form() != formString {
			return nil, errMapKey
		}
		key, err := d.text(stringType)
		if err != nil {
			return nil, err
		}
		if m[key], err = d.any(); err != nil {
			return nil, err
		}
	}
	return m, nil
}
