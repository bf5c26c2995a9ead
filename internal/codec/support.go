package codec

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
)

// What Register refuses, with the reason: PlanOf makes a plan for every type, and this is told before the first call.

var (
	errContextPlace = errors.New("context.Context can only be the first parameter")
	errErrorPlace   = errors.New("error can only be the last result")
)

// What CheckParameter and CheckResult found. A node asks for its own functions when it starts, and a program for the
// same types wherever it binds or registers; to look through a struct takes far longer. They grow with the types of the
// program, as plans does.
var receivable, sendable sync.Map // reflect.Type to error, or nil

// CheckParameter reports why values of type t cannot be received, if they cannot.
func CheckParameter(t reflect.Type) error {
	return once(&receivable, t, func(t reflect.Type) bool { return ownDecode(t) != nil })
}

// CheckResult reports why values of type t cannot be sent, if they cannot.
func CheckResult(t reflect.Type) error {
	return once(&sendable, t, func(t reflect.Type) bool { return ownEncode(t) != nil })
}

// CheckWanted is CheckParameter for who asks at each call: most types need no look at what was found.
func CheckWanted(t reflect.Type) error {
	if k := t.Kind(); k <= reflect.Uint64 || k == reflect.Float64 || k == reflect.String || t == anyType {
		return nil
	}
	return CheckParameter(t)
}

// once checks a type that no other call has checked, and else says what that found.
func once(found *sync.Map, t reflect.Type, own func(reflect.Type) bool) error {
	verdict, ok := found.Load(t)
	if !ok {
		verdict, _ = found.LoadOrStore(t, typeCheck{seen: map[reflect.Type]bool{}, own: own}.check(t))
	}
	err, _ := verdict.(error)
	return err
}

// A typeCheck looks for a type that cannot travel within another.
type typeCheck struct {
	seen map[reflect.Type]bool
	own  func(reflect.Type) bool // whether a type sees to itself
}

func (c typeCheck) check(t reflect.Type) error {
	if t == timeType || c.seen[t] || c.own(t) || IsLent(t) {
		return nil
	}
	if err := lentWithin(t); err != nil {
		return err
	}
	c.seen[t] = true
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.Uintptr, reflect.UnsafePointer:
		return fmt.Errorf("%s cannot be sent", TypeName(t))
	case reflect.Interface:
		return checkInterface(t)
	case reflect.Slice, reflect.Array:
		return c.check(t.Elem())
	case reflect.Pointer:
		return c.checkPointer(t)
	case reflect.Map:
		return errors.Join(c.check(t.Key()), c.check(t.Elem()))
	case reflect.Struct:
		return c.checkFields(t)
	}
	return nil
}

func checkInterface(t reflect.Type) error {
	switch {
	case t == reflect.TypeFor[context.Context]():
		return errContextPlace
	case t == reflect.TypeFor[error]():
		return errErrorPlace
	case t.NumMethod() > 0:
		return fmt.Errorf("%s cannot be sent: of interfaces, only any can", TypeName(t))
	}
	return nil
}

func (c typeCheck) checkPointer(t reflect.Type) error {
	if isPointerLoop(t) {
		return fmt.Errorf("%s points to nothing but pointers", TypeName(t))
	}
	return c.check(t.Elem())
}

func (c typeCheck) checkFields(t reflect.Type) error {
	if err := loss(t); err != nil {
		return err
	}
	fields, _ := fieldsOf(t)
	for _, f := range fields {
		if err := c.check(f.typ); err != nil {
			return fmt.Errorf("field %s of %s: %w", f.name, TypeName(t), err)
		}
	}
	return nil
}

// HasContent reports whether a struct type has anything to send: fields, or methods that encode and decode it.
func HasContent(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	fields, _ := fieldsOf(t)
	return len(fields) > 0 || ownEncode(t) != nil && ownDecode(t) != nil
}
