package codec

import (
	"fmt"
	"math"
	"reflect"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// Numbers are taken from any numeric code that holds exactly the value, whatever width or kind the sender chose:
// int8 accepts 3.0 and refuses 3.5 and 300. The msgpack package would wrap 300 to 44 and read nil as 0.
//
// A float32 takes the nearest of a float64, for many languages have no other float, and 0.1 is none of float32. What
// was an integer there is still taken exactly, since it may be the number of something.

// signed reads a number that is an integer of the int64 range; t only names the target in errors.
func (d *Decoder) signed(t reflect.Type) (int64, error) {
	switch form := d.form(); {
	case form == formInt && d.code() != msgpcode.Uint64:
		return d.m.DecodeInt64()
	case form == formInt:
		u, err := d.m.DecodeUint64()
		if err == nil && u > math.MaxInt64 {
			err = misfit(u, t)
		}
		return int64(u), err
	case form == formFloat:
		f, err := d.m.DecodeFloat64()
		if err == nil && (f != math.Trunc(f) || f < -1<<63 || f >= 1<<63) {
			err = misfit(f, t)
		}
		return int64(f), err
	}
	return 0, d.mismatch(t)
}

// unsigned reads a number that is an integer of the uint64 range.
func (d *Decoder) unsigned(t reflect.Type) (uint64, error) {
	switch form := d.form(); {
	case form == formInt && d.code() == msgpcode.Uint64:
		return d.m.DecodeUint64()
	case form == formInt:
		n, err := d.m.DecodeInt64()
		if err == nil && n < 0 {
			err = misfit(n, t)
		}
		return uint64(n), err
	case form == formFloat:
		f, err := d.m.DecodeFloat64()
		if err == nil && (f != math.Trunc(f) || f < 0 || f >= 1<<64) {
			err = misfit(f, t)
		}
		return uint64(f), err
	}
	return 0, d.mismatch(t)
}

// float reads a number that float64 holds exactly; NaN and the infinities are such numbers.
func (d *Decoder) float(t reflect.Type) (float64, error) {
	switch form := d.form(); {
	case form == formFloat:
		return d.m.DecodeFloat64()
	case form == formInt && d.code() == msgpcode.Uint64:
		u, err := d.m.DecodeUint64()
		f := float64(u)
		if err == nil && (f >= 1<<64 || uint64(f) != u) {
			err = misfit(u, t)
		}
		return f, err
	case form == formInt:
		n, err := d.m.DecodeInt64()
		f := float64(n)
		if err == nil && (f >= 1<<63 || int64(f) != n) {
			err = misfit(n, t)
		}
		return f, err
	}
	return 0, d.mismatch(t)
}

func decodeInt(d *Decoder, v reflect.Value) error {
	n, err := d.signed(v.Type())
	if err == nil && v.OverflowInt(n) {
		err = misfit(n, v.Type())
	}
	if err == nil {
		v.SetInt(n)
	}
	return err
}

func decodeUint(d *Decoder, v reflect.Value) error {
	n, err := d.unsigned(v.Type())
	if err == nil && v.OverflowUint(n) {
		err = misfit(n, v.Type())
	}
	if err == nil {
		v.SetUint(n)
	}
	return err
}

func decodeFloat(d *Decoder, v reflect.Value) error {
	isFloat := d.form() == formFloat
	f, err := d.float(v.Type())
	if err == nil && v.Kind() == reflect.Float32 && !fitsFloat32(f, isFloat) {
		err = misfit(f, v.Type())
	}
	if err == nil {
		v.SetFloat(f)
	}
	return err
}

// fitsFloat32 reports whether a float32 holds f, or may stand for it if that came as a float, as NaN and the infinities
// do.
func fitsFloat32(f float64, isFloat bool) bool {
	if isFloat {
		return math.Abs(f) <= math.MaxFloat32 || math.IsNaN(f) || math.IsInf(f, 0)
	}
	return float64(float32(f)) == f
}

func misfit(number any, t reflect.Type) error {
	return fmt.Errorf("%v does not fit %s", number, TypeName(t))
}
