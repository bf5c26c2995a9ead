package codec

import (
	"errors"
	"fmt"
	"reflect"
)

// Pointers, slices, arrays and maps, each as a pair: how it is encoded, how it is decoded.

var (
	errUnhashable = errors.New("a map key cannot hold an array, a map or bytes")
	errRepeated   = errors.New("two keys of a map have become equal")
)

// encodePointer sends what is pointed to. A pointer is no level on the wire, yet one to an interface counts as one:
// `var x any; x = &x` has no other, and must end.
func encodePointer(elem *Plan) encodeFunc {
	levels := elem.Type.Kind() == reflect.Interface
	return func(e *Encoder, v reflect.Value) error {
		switch {
		case v.IsNil():
			return e.m.EncodeNil()
		case !levels:
			return elem.Encode(e, v.Elem())
		}
		if err := e.enter(); err != nil {
			return err
		}
		defer e.leave()
		return elem.Encode(e, v.Elem())
	}
}

func decodePointer(elem *Plan) decodeFunc {
	return func(d *Decoder, v reflect.Value) error {
		if d.isNil() {
			v.SetZero()
			return nil
		}
		if err := d.Charge(1, elem.Type); err != nil {
			return err
		}
		v.Set(reflect.New(elem.Type))
		return elem.Decode(d, v.Elem())
	}
}

func encodeSlice(elem *Plan) encodeFunc {
	elements := encodeArray(elem)
	return func(e *Encoder, v reflect.Value) error {
		if v.IsNil() {
			return e.m.EncodeNil()
		}
		return elements(e, v)
	}
}

func decodeSlice(elem *Plan) decodeFunc {
	return func(d *Decoder, v reflect.Value) error {
		if d.isNil() {
			v.SetZero()
			return nil
		}
		n, err := d.arrayLen(v.Type())
		if err == nil {
			err = d.Charge(n, elem.Type)
		}
		if err != nil {
			return err
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		return decodeElements(d, v, elem)
	}
}

func encodeArray(elem *Plan) encodeFunc {
	return func(e *Encoder, v reflect.Value) error {
		if err := e.enter(); err != nil {
			return err
		}
		defer e.leave()
		if err := e.m.EncodeArrayLen(v.Len()); err != nil {
			return err
		}
		for i := range v.Len() {
			if err := elem.Encode(e, v.Index(i)); err != nil {
				return within(err, "element %d", i)
			}
		}
		return nil
	}
}

func decodeArray(elem *Plan) decodeFunc {
	return func(d *Decoder, v reflect.Value) error {
		n, err := d.arrayLen(v.Type())
		if err == nil && n != v.Len() {
			err = misfitLength(n, v.Type())
		}
		if err != nil {
			return err
		}
		return decodeElements(d, v, elem)
	}
}

func decodeElements(d *Decoder, v reflect.Value, elem *Plan) error {
	for i := range v.Len() {
		if err := elem.Decode(d, v.Index(i)); err != nil {
			return within(err, "element %d", i)
		}
	}
	return nil
}

func misfitLength(n int, t reflect.Type) error {
	return fmt.Errorf("%d elements do not fit %s", n, TypeName(t))
}

func encodeMap(key, elem *Plan) encodeFunc {
	return func(e *Encoder, v reflect.Value) error {
		if v.IsNil() {
			return e.m.EncodeNil()
		}
		if err := e.enter(); err != nil {
			return err
		}
		defer e.leave()
		if err := e.m.EncodeMapLen(v.Len()); err != nil {
			return err
		}
		for it := v.MapRange(); it.Next(); {
			if err := key.Encode(e, it.Key()); err != nil {
				return within(err, "map key")
			}
			if err := elem.Encode(e, it.Value()); err != nil {
				return within(err, "map value")
			}
		}
		return nil
	}
}

func decodeMap(key, elem *Plan) decodeFunc {
	return func(d *Decoder, v reflect.Value) error {
		if d.isNil() {
			v.SetZero()
			return nil
		}
		n, err := d.mapLen(v.Type())
		if err == nil {
			err = d.chargeMap(n, key.Type, elem.Type)
		}
		if err != nil {
			return err
		}
		v.Set(reflect.MakeMapWithSize(v.Type(), n))
		return decodeEntries(d, v, n, key, elem)
	}
}

func decodeEntries(d *Decoder, v reflect.Value, n int, key, elem *Plan) error {
	k, x := reflect.New(key.Type).Elem(), reflect.New(elem.Type).Elem()
	for range n {
		k.SetZero()
		x.SetZero()
		if err := key.Decode(d, k); err != nil {
			return within(err, "map key")
		}
		if !k.Comparable() {
			return errUnhashable
		}
		if err := elem.Decode(d, x); err != nil {
			return within(err, "map value")
		}
		v.SetMapIndex(k, x)
	}
	if v.Len() < n {
		return errRepeated
	}
	return nil
}

// Slices and arrays of bytes travel as one byte string; a string, or an array of numbers that fit, is taken as well.

func decodeByteSlice(elem *Plan) decodeFunc {
	elements := decodeSlice(elem)
	return func(d *Decoder, v reflect.Value) error {
		if form := d.form(); form == formArray || form == formNil {
			return elements(d, v)
		}
		b, err := d.bytes(v.Type())
		if err == nil {
			v.SetBytes(b)
		}
		return err
	}
}

func decodeByteArray(elem *Plan) decodeFunc {
	elements := decodeArray(elem)
	return func(d *Decoder, v reflect.Value) error {
		if form := d.form(); form != formBytes && form != formString {
			return elements(d, v)
		}
		b, err := d.span()
		if err == nil && len(b) != v.Len() {
			err = misfitLength(len(b), v.Type())
		}
		copy(v.Bytes(), b)
		return err
	}
}

func encodeByteSlice(e *Encoder, v reflect.Value) error {
	return e.m.EncodeBytes(v.Bytes())
}

func encodeByteArray(e *Encoder, v reflect.Value) error {
	if err := e.reserve(v.Len()); err != nil { // before it is copied
		return err
	}
	return e.bytes(addressable(v).Bytes())
}
