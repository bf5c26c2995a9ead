package codec

import (
	"errors"
	"reflect"
	"sync"
)

// A kind is a byte that describes a result ahead of its value, because msgpack knows one integer where Go knows ten:
// a caller that asks for `any` gets the kind that the function declared.
// A description is one such byte; kindSlice is followed by that of the element, kindMap by the kind of the key and
// the description of the element.
type kind byte

const (
	kindAny kind = 1 + iota // also structs and types with their own encoding
	kindBool
	kindInt
	kindInt8
	kindInt16
	kindInt32
	kindInt64
	kindUint
	kindUint8
	kindUint16
	kindUint32
	kindUint64
	kindFloat32
	kindFloat64
	kindString
	kindDuration
	kindTime // the last that may be the key of a map
	kindBytes
	kindSlice // also arrays
	kindMap
)

const (
	// maxKindDepth bounds slices and maps within each other in a description; what lies deeper is described as any.
	maxKindDepth = 8
	// maxKinds bounds the composite kinds a node takes from its peers in its lifetime, as a Go type made from one
	// stays in memory for ever.
	maxKinds = 4096
)

var (
	errKind  = errors.New("the description of the result is malformed")
	errKinds = errors.New("more than 4096 composite kinds of results")
)

// kindTypes are the Go types of the kinds that are one byte.
var kindTypes = [...]reflect.Type{
	kindAny:      anyType,
	kindBool:     boolType,
	kindInt:      intType,
	kindInt8:     reflect.TypeFor[int8](),
	kindInt16:    reflect.TypeFor[int16](),
	kindInt32:    reflect.TypeFor[int32](),
	kindInt64:    reflect.TypeFor[int64](),
	kindUint:     reflect.TypeFor[uint](),
	kindUint8:    reflect.TypeFor[uint8](),
	kindUint16:   reflect.TypeFor[uint16](),
	kindUint32:   reflect.TypeFor[uint32](),
	kindUint64:   reflect.TypeFor[uint64](),
	kindFloat32:  reflect.TypeFor[float32](),
	kindFloat64:  float64Type,
	kindString:   stringType,
	kindDuration: durationType,
	kindTime:     timeType,
	kindBytes:    bytesType,
}

// AppendKind describes t, the type of a result; a pointer as what it points to.
func AppendKind(b []byte, t reflect.Type) []byte {
	for t.Kind() == reflect.Pointer && !isPointerLoop(t) {
		t = t.Elem()
	}
	return appendKindWithin(b, t, maxKindDepth)
}

func appendKindWithin(b []byte, t reflect.Type, depth int) []byte {
	k := plainKind(t)
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		if k == kindAny && depth > 0 && ownEncode(t) == nil {
			return appendKindWithin(append(b, byte(kindSlice)), t.Elem(), depth-1)
		}
	case reflect.Map:
		if key := plainKind(t.Key()); depth > 0 && isKey(key) && ownEncode(t) == nil {
			return appendKindWithin(append(b, byte(kindMap), byte(key)), t.Elem(), depth-1)
		}
	}
	return append(b, byte(k))
}

// plainKind returns the kind of one byte for t. That of a named type is that of its underlying type.
func plainKind(t reflect.Type) kind {
	switch {
	case IsLent(t):
		return kindBytes
	case t == timeType:
		return kindTime
	case t == durationType:
		return kindDuration
	case ownEncode(t) != nil:
		return kindAny
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Array:
		if isByte(t.Elem()) {
			return kindBytes
		}
	}
	for k := kindBool; k <= kindString; k++ {
		if kindTypes[k].Kind() == t.Kind() {
			return k
		}
	}
	return kindAny
}

func isKey(k kind) bool {
	return kindBool <= k && k <= kindTime
}

// cutKind splits the description that b begins with from the rest.
func cutKind(b []byte) (desc, rest []byte, err error) {
	i := 0
	for depth := 0; ; depth++ {
		switch {
		case i >= len(b) || depth > maxKindDepth:
			return nil, nil, errKind
		case kind(b[i]) == kindSlice:
			i++
		case kind(b[i]) == kindMap && i+1 < len(b) && isKey(kind(b[i+1])):
			i += 2
		case b[i] == 0 || kind(b[i]) > kindBytes:
			return nil, nil, errKind
		default:
			return b[:i+1], b[i+1:], nil
		}
	}
}

// kindPlans holds the plans of the composite kinds seen. The lock protects seen, which any caller's goroutine fills;
// it is held for a lookup or an insertion.
var kindPlans struct {
	sync.RWMutex
	seen map[string]*Plan
}

// planOfKind returns the plan of what desc, which cutKind has checked, describes.
func planOfKind(desc []byte) (*Plan, error) {
	if len(desc) == 1 {
		return PlanOf(kindTypes[desc[0]]), nil
	}
	kindPlans.RLock()
	p := kindPlans.seen[string(desc)]
	kindPlans.RUnlock()
	if p != nil {
		return p, nil
	}
	return addKind(desc)
}

func addKind(desc []byte) (*Plan, error) {
	kindPlans.Lock()
	defer kindPlans.Unlock()
	if len(kindPlans.seen) >= maxKinds {
		return nil, errKinds
	}
	if kindPlans.seen == nil {
		kindPlans.seen = map[string]*Plan{}
	}
	p := PlanOf(typeOfKind(desc))
	kindPlans.seen[string(desc)] = p
	return p, nil
}

func typeOfKind(desc []byte) reflect.Type {
	switch kind(desc[0]) {
	case kindSlice:
		return reflect.SliceOf(typeOfKind(desc[1:]))
	case kindMap:
		return reflect.MapOf(kindTypes[desc[1]], typeOfKind(desc[2:]))
	}
	return kindTypes[desc[0]]
}
