package codec

import "reflect"

// A Member is a field of a struct type as it travels.
type Member struct {
	Name       string // as sent
	Type       reflect.Type
	IsOptional bool // it is left out where it is empty, or lies in an embedded pointer that is nil
}

// MembersOf lists the fields of a struct type that travel, in the order in which they do.
func MembersOf(t reflect.Type) []Member {
	fields, _ := fieldsOf(t)
	list := make([]Member, len(fields))
	for i, f := range fields {
		list[i] = Member{f.name, f.typ, f.omitEmpty || len(f.index) > 1}
	}
	return list
}

// KindOf says how values of a type travel, in the words of Description: those of Go for what is not made of others,
// "bytes" for a slice of bytes, "pointer", and "any" also for a type whose own methods write what they like.
func KindOf(t reflect.Type) string {
	switch k := t.Kind(); {
	case t == timeType:
		return "time"
	case t == durationType:
		return "duration"
	case wayOut(t) != nil:
		return wayOut(t).kind
	case ownDecode(t) != nil: // it can only be received
		return "any"
	case k == reflect.Interface:
		return "any"
	case k == reflect.Slice && isByte(t.Elem()):
		return "bytes"
	case k == reflect.Pointer:
		return "pointer"
	}
	return t.Kind().String()
}
