package codec

import (
	"fmt"
	"reflect"
	"unsafe"

	"broach/internal/buffer"
)

// Lent bytes travel as a []byte does, and are a part of the message where they arrive, without a copy. Their type is
// one of the user's face: a struct of the bytes and a buffer.Loan, by which it is known here.
//
// They are lent where somebody asks for it who sees to it that the message stays until they have been read: who calls a
// function, and takes the message back when that has returned. Whoever does not ask gets a copy.

var loanType = reflect.TypeFor[buffer.Loan]()

// IsLent reports whether values of a type are lent bytes.
func IsLent(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.NumField() == 2 &&
		t.Field(0).Type == bytesType && t.Field(1).Type == loanType
}

// AsSent is the type that others see: lent bytes are bytes to them.
func AsSent(t reflect.Type) reflect.Type {
	if IsLent(t) {
		return bytesType
	}
	return t
}

// Lend has lent bytes refer to the message: the caller of it says when that may go. It is not kept longer than that.
func (d *Decoder) Lend() { d.lends = true }

// ReadLent reads a value as ReadBytes does. If the decoder lends, the bytes belong to the message.
func ReadLent(d *Decoder) ([]byte, error) {
	if form := d.form(); !d.lends || form != formBytes && form != formString {
		return ReadBytes(d)
	}
	s, err := d.span()
	return s[:len(s):len(s)], err
}

// DecodeLent returns the one result of a call, as a part of it.
func DecodeLent(result []byte) ([]byte, error) {
	return DecodeOne(result, func(d *Decoder) ([]byte, error) {
		d.Lend()
		return ReadLent(d)
	})
}

// tailLeast is how many bytes are worth leaving where they are: more than a datagram has, for what goes in fragments.
const tailLeast = 64 << 10

// borrow leaves bytes where they are, to be sent from there behind all else.
func (e *Encoder) borrow(x []byte) error {
	switch {
	case e.from != nil && !isWithin(x, e.from):
		return e.m.EncodeBytes(x)
	case len(x) > e.end-len(e.b):
		return ErrSize
	}
	if err := e.m.EncodeBytesLen(len(x)); err != nil {
		return err
	}
	e.tail = x
	return nil
}

// isWithin reports whether a slice with something in it is a part of another.
func isWithin(part, of []byte) bool {
	first, last := uintptr(unsafe.Pointer(unsafe.SliceData(of))), uintptr(unsafe.Pointer(unsafe.SliceData(part)))
	return first <= last && last-first+uintptr(len(part)) <= uintptr(len(of))
}

// Leave has a last result that is a part of the message be left there: Left is what was.
func (d *Decoder) Leave() { d.leaves = true }

// Left is the last result, if it was left in the message.
func (d *Decoder) Left() []byte { return d.left }

// WriteLast writes the only result of a function that was called with what d has read, and finishes.
func WriteLast[R any](e *Encoder, d *Decoder, r R, write func(*Encoder, R) error) ([]byte, error) {
	e.lends, e.from = d.leaves, d.b
	err := write(e, r)
	d.left = e.tail
	return e.Finish(), err
}

func encodeLent(e *Encoder, v reflect.Value) error { return WriteBytes(e, v.Field(0).Bytes()) }

func decodeLent(d *Decoder, v reflect.Value) error {
	b, err := ReadLent(d)
	v.SetZero()
	v.Field(0).SetBytes(b)
	return err
}

// lentWithin is the error of a type that has lent bytes within it: nobody could say when all of it is given back.
func lentWithin(t reflect.Type) error {
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Pointer:
		return lentIn(t.Elem(), t)
	case reflect.Map:
		if err := lentIn(t.Key(), t); err != nil {
			return err
		}
		return lentIn(t.Elem(), t)
	case reflect.Struct:
		fields, _ := fieldsOf(t)
		for _, f := range fields {
			if err := lentIn(f.typ, t); err != nil {
				return err
			}
		}
	}
	return nil
}

func lentIn(t, within reflect.Type) error {
	if !IsLent(t) {
		return nil
	}
	return fmt.Errorf("%s can only be a parameter or a result itself, not within %s: there it is []byte",
		TypeName(t), TypeName(within))
}
