package jsonfile

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// DecodeStrictly decodes a value as encoding/json does, but takes no key that the type of into has no field for. The
// Mistakes name such keys, and a value of another type, which is not shown: what stands there may be a secret. What
// else hinders is the error: into is no pointer, or a type that decodes itself fails.
func DecodeStrictly(path string, raw json.RawMessage, into any) ([]Mistake, error) {
	mistakes := unknownKeys(path, raw, reflect.TypeOf(into))
	dec := json.NewDecoder(bytes.NewReader(raw))
	if len(mistakes) == 0 { // or one of them would be the error; what is a field is for encoding/json to say
		dec.DisallowUnknownFields()
	}
	err := dec.Decode(into)
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		return append(mistakes, typeMistake(path, wrong)), nil
	}
	return mistakes, err
}

func typeMistake(path string, err *json.UnmarshalTypeError) Mistake {
	if err.Field != "" {
		path += "." + Shortened(err.Field)
	}
	kind, _, _ := strings.Cut(err.Value, " ") // behind it is the number
	return Mistake{path, kind + " " + Hidden, "must be what Go's type " + err.Type.String() + " can hold"}
}

// unknownKeys lists the keys within a value that a type has no field for. Values of other types are not its matter.
func unknownKeys(path string, raw json.RawMessage, t reflect.Type) (list []Mistake) {
	for t != nil && t.Kind() == reflect.Pointer && !decodesItself(t) {
		t = t.Elem()
	}
	switch {
	case t == nil || decodesItself(t):
	case t.Kind() == reflect.Struct:
		return unknownFields(path, raw, t)
	case t.Kind() == reflect.Map:
		for name, inner := range sorted(raw) {
			list = append(list, unknownKeys(within.join(path, name), inner, t.Elem())...)
		}
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Array:
		values, _ := Decode[[]json.RawMessage](raw)
		for i, inner := range values {
			list = append(list, unknownKeys(fmt.Sprintf("%s[%d]", path, i), inner, t.Elem())...)
		}
	}
	return list
}

// within joins paths of values that are not the schema's.
var within Schema

func unknownFields(path string, raw json.RawMessage, t reflect.Type) (list []Mistake) {
	fields := fieldsOf(t)
	for name, inner := range sorted(raw) {
		at := within.join(path, name)
		if f, ok := fieldNamed(fields, name); ok {
			list = append(list, unknownKeys(at, inner, f)...)
			continue
		}
		list = append(list, Mistake{at, "unknown key", nearestField(path, name, fields)})
	}
	return list
}

func nearestField(path, name string, fields map[string]reflect.Type) string {
	var s Schema
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		s.Keys = append(s.Keys, Key{Path: field})
	}
	if len(s.Keys) == 0 {
		return "no key is known here"
	}
	return "the nearest known key is " + within.join(path, s.Nearest("", name))
}

// fieldNamed finds a field as encoding/json does: in any case if none has just that name.
func fieldNamed(fields map[string]reflect.Type, name string) (reflect.Type, bool) {
	if f, ok := fields[name]; ok {
		return f, true
	}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if strings.EqualFold(field, name) {
			return fields[field], true
		}
	}
	return nil, false
}

// fieldsOf returns the fields of a struct, by the names that encoding/json has for them.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := make(map[string]reflect.Type)
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		name, _, _ := strings.Cut(tag, ",")
		isEmbedded := f.Anonymous && name == "" && isStruct(f.Type) // its fields are listed themselves
		if tag == "-" || isEmbedded || !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		fields[name] = f.Type
	}
	return fields
}

func isStruct(t reflect.Type) bool {
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct
}

// decodesItself reports whether encoding/json leaves values of a type to the type.
func decodesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Unmarshaler]()) ||
		p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// sorted yields the members of an object by name; another value has none.
func sorted(raw json.RawMessage) func(yield func(string, json.RawMessage) bool) {
	members, _ := Decode[map[string]json.RawMessage](raw)
	return func(yield func(string, json.RawMessage) bool) {
		for _, name := range slices.Sorted(maps.Keys(members)) {
			if !yield(name, members[name]) {
				return
			}
		}
	}
}
