package codec

import (
	"fmt"
	"reflect"
	"runtime"
	"sync"
)

// What would be lost without a word is refused: a struct that arrives empty looks like one that was empty. Unexported
// fields beside exported ones are left out, as everywhere in Go; a type that has nothing else cannot have meant that.

// loss reports what values of the struct type t would lose on the way, if they lose something.
func loss(t reflect.Type) error {
	for _, w := range ways {
		for _, methods := range [][]reflect.Type{w.sends, w.reads} {
			if from, other, ok := borrowed(t, methods); ok && !from.isTagged {
				return fmt.Errorf("%s is sent by methods of the embedded %s, which leave field %s out: a tag that "+
					"names it makes it a field", TypeName(t), TypeName(from.typ), other)
			}
		}
	}
	fields, lost := fieldsOf(t)
	switch {
	case lost != nil:
		return fmt.Errorf("%s: %w", TypeName(t), lost)
	case len(fields) == 0 && holdsData(t):
		return fmt.Errorf("%s has no exported fields, so that nothing of it would be sent", TypeName(t))
	}
	return nil
}

// lostWithin reports what is lost of a field that embeds something, or that a tag names.
func lostWithin(sf reflect.StructField, isTagged bool) error {
	t, isPointer := sf.Type, sf.Type.Kind() == reflect.Pointer
	if isPointer {
		t = t.Elem()
	}
	switch {
	case isTagged && !sf.IsExported() && sf.Name != "_":
		return fmt.Errorf("field %s is named by its tag, and not exported, so that it would not be sent", sf.Name)
	case !sf.Anonymous || isTagged || t.Kind() != reflect.Struct:
		return nil
	case isPointer && !sf.IsExported() && mayPromote(t):
		return fmt.Errorf("a receiver cannot set the embedded %s, which is not exported", TypeName(sf.Type))
	}
	if inner, ok := embedded(sf); !ok || !sf.IsExported() || mayPromote(inner) || !holdsData(inner) {
		return nil
	}
	return fmt.Errorf("the embedded %s has no exported fields, so that nothing of it would be sent", TypeName(sf.Type))
}

// mayPromote reports whether a struct type has fields that count as those of what embeds it.
func mayPromote(t reflect.Type) bool {
	for i := range t.NumField() {
		if sf := t.Field(i); sf.IsExported() || sf.Anonymous {
			return true
		}
	}
	return false
}

// holdsData reports whether a value of t has something in it that could be sent. A lock has none, nor has what is there
// to be aligned or not copied; fields with the tag "-" are not meant to be sent.
func holdsData(t reflect.Type) bool {
	if isLock(t) || t.Kind() != reflect.Struct {
		return !isLock(t) && t.Size() > 0
	}
	for i := range t.NumField() {
		sf := t.Field(i)
		var f field
		if skip := f.readTag(sf.Tag); !skip && sf.Name != "_" && holdsData(sf.Type) {
			return true
		}
	}
	return false
}

var (
	mutex   = reflect.TypeFor[sync.Mutex]()
	rwMutex = reflect.TypeFor[sync.RWMutex]()
)

// isLock reports whether t is a lock of the standard library, or a pointer to one. What else can be locked may have
// data beside its lock.
func isLock(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t == mutex || t == rwMutex
}

// borrowed reports that a struct has one of these methods from a field that it embeds, and another field beside that,
// of which such a method knows nothing: the MarshalBinary of `struct { time.Time; Room int }` is that of the time.
func borrowed(t reflect.Type, methods []reflect.Type) (from field, other string, ok bool) {
	if t.Kind() != reflect.Struct || !has(t, methods) {
		return from, "", false
	}
	for i := range t.NumField() {
		sf := t.Field(i)
		if !sf.Anonymous || !provides(sf.Type, methods) {
			continue
		}
		if other, ok := beside(t, i); ok && isPromoted(t, methods) {
			from.typ = sf.Type
			from.readTag(sf.Tag)
			return from, other, true
		}
	}
	return from, "", false
}

// isBorrowed reports whether t has a method that is borrowed.
func isBorrowed(t reflect.Type, methods []reflect.Type) bool {
	_, _, ok := borrowed(t, methods)
	return ok
}

// provides reports whether what embeds t has one of these methods from it.
func provides(t reflect.Type, methods []reflect.Type) bool {
	for _, m := range methods {
		if t.Implements(m) || reflect.PointerTo(t).Implements(m) {
			return true
		}
	}
	return false
}

// beside names a field of t that would be sent, other than the i-th.
func beside(t reflect.Type, i int) (name string, ok bool) {
	for j := range t.NumField() {
		sf := t.Field(j)
		var f field
		skip := f.readTag(sf.Tag)
		if j != i && !skip && (sf.IsExported() || sf.Anonymous) && holdsData(sf.Type) {
			return sf.Name, true
		}
	}
	return "", false
}

// lookups find the methods of types. The names are constants, by which the linker knows which methods it may leave out.
var lookups = map[reflect.Type]func(reflect.Type) (reflect.Method, bool){
	customEncoder:     func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("EncodeMsgpack") },
	customDecoder:     func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("DecodeMsgpack") },
	marshaler:         func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("MarshalMsgpack") },
	unmarshaler:       func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("UnmarshalMsgpack") },
	bigFloat:          func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("GobEncode") },
	binaryMarshaler:   func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("MarshalBinary") },
	binaryUnmarshaler: func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("UnmarshalBinary") },
	textMarshaler:     func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("MarshalText") },
	textUnmarshaler:   func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("UnmarshalText") },
}

// isPromoted reports whether t, which has these methods, did not declare one of them: its code is then the compiler's.
// Where t has a method with a value receiver it is asked for itself, as that of the pointer is the compiler's, too.
func isPromoted(t reflect.Type, methods []reflect.Type) bool {
	for _, m := range methods {
		found, ok := lookups[m](t)
		if !ok {
			found, ok = lookups[m](reflect.PointerTo(t))
		}
		if !ok {
			continue
		}
		f := runtime.FuncForPC(found.Func.Pointer())
		if file, _ := f.FileLine(f.Entry()); file == "<autogenerated>" {
			return true
		}
	}
	return false
}
