package codec

import (
	"fmt"
	"reflect"
	"sync"
	"time"
)

type (
	encodeFunc func(e *Encoder, v reflect.Value) error
	decodeFunc func(d *Decoder, v reflect.Value) error
)

// A Plan is how the values of one type travel. It is made once per type; plans refer to each other by pointer,
// so that a recursive type is a cycle of plans.
type Plan struct {
	Type   reflect.Type
	Encode encodeFunc // a value that contains itself fails at maxDepth
	Decode decodeFunc // v is settable and overwritten; a struct must be zero before
}

var (
	plans sync.Map // reflect.Type to *plan; grows with the types of the program, and see maxKinds

	anyType      = reflect.TypeFor[any]()
	intType      = reflect.TypeFor[int]()
	boolType     = reflect.TypeFor[bool]()
	float64Type  = reflect.TypeFor[float64]()
	stringType   = reflect.TypeFor[string]()
	bytesType    = reflect.TypeFor[[]byte]()
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
)

// PlanOf returns the plan of t. It always succeeds: what cannot travel has a plan that says so when it is used.
func PlanOf(t reflect.Type) *Plan {
	if p, ok := plans.Load(t); ok {
		return p.(*Plan)
	}
	fresh := planner{}
	p := fresh.of(t)
	for t, p := range fresh {
		plans.LoadOrStore(t, p) // another goroutine may have made an equal one; either serves
	}
	return p
}

// A planner holds the plans under way, which recursive types refer to before they are complete.
type planner map[reflect.Type]*Plan

func (m planner) of(t reflect.Type) *Plan {
	if p, ok := plans.Load(t); ok {
		return p.(*Plan)
	}
	if p := m[t]; p != nil {
		return p
	}
	p := &Plan{Type: t}
	m[t] = p
	p.Encode, p.Decode = m.build(t)
	if own := ownEncode(t); own != nil {
		p.Encode = own
	}
	if own := ownDecode(t); own != nil {
		p.Decode = own
	}
	return p
}

func (m planner) build(t reflect.Type) (encodeFunc, decodeFunc) {
	switch {
	case t == timeType:
		return encodeTime, decodeTime
	case IsLent(t):
		return encodeLent, decodeLent
	}
	switch t.Kind() {
	case reflect.Bool:
		return encodeBool, decodeBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return encodeInt, decodeInt
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return encodeUint, decodeUint
	case reflect.Float32:
		return encodeFloat32, decodeFloat
	case reflect.Float64:
		return encodeFloat64, decodeFloat
	case reflect.String:
		return encodeString, decodeString
	}
	return m.buildNested(t)
}

func (m planner) buildNested(t reflect.Type) (encodeFunc, decodeFunc) {
	if err := lentWithin(t); err != nil {
		return refuseBecause(err)
	}
	switch k := t.Kind(); {
	case k == reflect.Interface && t.NumMethod() == 0:
		return encodeAny, decodeInterface
	case k == reflect.Interface:
		return encodeAny, refuseDecode
	case k == reflect.Struct:
		return m.structure(t)
	case k == reflect.Map:
		key, elem := m.of(t.Key()), m.of(t.Elem())
		return encodeMap(key, elem), decodeMap(key, elem)
	case k == reflect.Slice || k == reflect.Array || k == reflect.Pointer && !isPointerLoop(t):
		return buildElements(t, m.of(t.Elem()))
	}
	return refuseEncode, refuseDecode
}

func buildElements(t reflect.Type, elem *Plan) (encodeFunc, decodeFunc) {
	switch k := t.Kind(); {
	case k == reflect.Pointer:
		return encodePointer(elem), decodePointer(elem)
	case k == reflect.Slice && isByte(elem.Type):
		return encodeByteSlice, decodeByteSlice(elem)
	case k == reflect.Slice:
		return encodeSlice(elem), decodeSlice(elem)
	case isByte(elem.Type):
		return encodeByteArray, decodeByteArray(elem)
	}
	return encodeArray(elem), decodeArray(elem)
}

// isByte reports whether slices and arrays of t travel as one byte string.
func isByte(t reflect.Type) bool {
	return t.Kind() == reflect.Uint8 && ownEncode(t) == nil
}

// isPointerLoop reports whether t is a pointer type that leads to pointers only, as `type P *P`.
func isPointerLoop(t reflect.Type) bool {
	for range maxDepth {
		if t.Kind() != reflect.Pointer {
			return false
		}
		t = t.Elem()
	}
	return true
}

func refuseBecause(err error) (encodeFunc, decodeFunc) {
	return func(*Encoder, reflect.Value) error { return err }, func(*Decoder, reflect.Value) error { return err }
}

func refuseEncode(_ *Encoder, v reflect.Value) error {
	return fmt.Errorf("%s cannot be sent", TypeName(v.Type()))
}

func refuseDecode(_ *Decoder, v reflect.Value) error {
	return fmt.Errorf("%s cannot be received", TypeName(v.Type()))
}
