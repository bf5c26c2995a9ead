package broach

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	"broach/internal/codec"
	"broach/internal/wire"
)

// maxKnownErrors bounds how many errors each error of a function is compared with.
const maxKnownErrors = 1000

// A knownError is an error that this program and others know by the same name.
type knownError struct {
	name     string
	sentinel error // found with errors.Is; nil if the error is known by its type
	// found with errors.As: a struct or a pointer to one, whose fields travel; nil if it is a sentinel
	typ reflect.Type
}

// knownErrors are those of this program, in byte order of their names. A list is never changed: RegisterError puts
// another in its place, so that calls read it without a lock.
var knownErrors atomic.Pointer[[]knownError]

// RegisterError makes an error known by name: when a function returns it, errors.Is and errors.As find it in the error
// of the call. Provider and caller both register it under the same name, best when they start:
//
//	var ErrSoldOut = errors.New("sold out")
//
//	func init() { broach.RegisterError("shop: sold out", ErrSoldOut) }
//
// An error whose type is a struct with exported fields, or a pointer to one, is known by its type, of which sentinel is
// any value, such as (*SoldOut)(nil): where errors.As finds the type in what the function returned, these fields travel
// as they would in an argument, and errors.As finds a copy at the caller. They are no secret from the caller. A field
// that must not travel, or cannot, as one that is itself an error, has the tag `msgpack:"-"`. All other errors, and
// every *Error, are known by errors.Is, and the caller finds the value that it has registered.
//
// All registered errors within the one that was returned travel, also those of a call that the function made itself.
// What is not registered at both ends is just part of the text. Names and fields together have at most 8,192 bytes,
// with 3 more for each error: what is above that is left out, beginning with the error that takes most.
//
// RegisterError panics if the name is none, if sentinel is nil or cannot travel, if the name is that of another error
// or the error has another name, and when there are 1,000 already. The same again does nothing. It may be called by
// many goroutines at once.
func RegisterError(name string, sentinel error) {
	k, err := newKnownError(name, sentinel)
	for err == nil {
		old := knownErrors.Load()
		var next []knownError
		if next, err = withError(known(), k); err == nil && knownErrors.CompareAndSwap(old, &next) {
			return
		}
	}
	panic(fmt.Sprintf("broach: RegisterError(%.200q): %v", name, err))
}

// known lists the errors that are registered. It is not written to.
func known() []knownError {
	if list := knownErrors.Load(); list != nil {
		return *list
	}
	return nil
}

func newKnownError(name string, sentinel error) (knownError, error) {
	k := knownError{name: name}
	switch t := reflect.TypeOf(sentinel); {
	case sentinel == nil:
		return k, errors.New("the error is nil")
	case isDetailed(t):
		k.typ = t
		if err := codec.CheckParameter(t); err != nil {
			return k, err
		}
		if err := codec.CheckResult(t); err != nil {
			return k, err
		}
	case !reflect.ValueOf(sentinel).Comparable():
		return k, fmt.Errorf("errors.Is cannot find a %s: it is not comparable", codec.TypeName(t))
	default:
		k.sentinel = sentinel
	}
	return k, checkName("error", name)
}

// isDetailed reports whether errors of type t differ in what they say, and not in which they are.
func isDetailed(t reflect.Type) bool {
	if t == reflect.TypeFor[*Error]() {
		return false
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return codec.HasContent(t)
}

// withError returns a list that has k, too.
func withError(list []knownError, k knownError) ([]knownError, error) {
	for _, other := range list {
		switch {
		case other == k:
			return list, nil
		case other.name == k.name:
			return nil, errors.New("the name is that of another error")
		case other.sentinel == k.sentinel && other.typ == k.typ:
			return nil, fmt.Errorf("the error is registered as %q", other.name)
		}
	}
	if len(list) == maxKnownErrors {
		return nil, fmt.Errorf("%d errors are registered, no more are allowed", maxKnownErrors)
	}
	i, _ := slices.BinarySearchFunc(list, []byte(k.name), knownError.compare)
	return slices.Insert(slices.Clone(list), i, k), nil
}

// compare orders errors by name.
func (k knownError) compare(name []byte) int { return strings.Compare(k.name, string(name)) }

// The causes of an error are the known errors within it, as they travel in a Reply, PROTOCOL.md 2.2. Those of a call
// within one process are encoded, too: a caller never gets hold of a value that belongs to the function.

// A cause is one of them.
type cause struct {
	name    string
	details []byte // a msgpack value; of a sentinel none
}

// size is what a cause takes in a Reply.
func (c cause) size() int { return 3 + len(c.name) + len(c.details) }

// causesOf encodes the known errors within err. It runs the methods of err, which are the user's.
func causesOf(err error) (b []byte) {
	if err == nil {
		return nil
	}
	var found []cause
	for _, k := range known() {
		if details, ok := k.find(err); ok {
			found = append(found, cause{k.name, details})
		}
	}
	for _, c := range fitting(found) {
		b = wire.AppendPair(b, c.name, c.details)
	}
	return b
}

// find reports whether k is in err, and encodes its details. An error whose details cannot be encoded, or are longer
// than all causes may be, is not found: without them it would not be the same.
func (k knownError) find(err error) (details []byte, ok bool) {
	if k.typ == nil {
		return nil, errors.Is(err, k.sentinel)
	}
	v := reflect.New(k.typ)
	if !errors.As(err, v.Interface()) {
		return nil, false
	}
	details, failed := codec.AppendValue(nil, wire.MaxPairs, v.Elem())
	return details, failed == nil
}

// fitting leaves out the largest causes until the others fit a Reply.
func fitting(causes []cause) []cause {
	size := 0
	for _, c := range causes {
		size += c.size()
	}
	for size > wire.MaxPairs {
		largest := 0
		for i, c := range causes {
			if c.size() > causes[largest].size() {
				largest = i
			}
		}
		size -= causes[largest].size()
		causes = slices.Delete(causes, largest, largest+1)
	}
	return causes
}

// errorMemory is what the details of all causes of an error may take here, in bytes.
const errorMemory = 1 << 20

// readCauses returns the errors that this program knows of the causes in a Reply, joined, or nil. It ignores all
// others, [CALL-15].
func readCauses(b []byte) error {
	var causes []error
	// for all of them together: there may be a thousand, and each an empty map to make much of
	list, memory := known(), int64(errorMemory)
	for name, details := range wire.EachPair(b) {
		if i, ok := slices.BinarySearchFunc(list, name, knownError.compare); ok {
			causes = append(causes, list[i].read(details, &memory))
		}
	}
	return errors.Join(causes...)
}

// read makes the error that the details describe, or returns nil if they do not. A sentinel has none to read.
func (k knownError) read(details []byte, memory *int64) error {
	if k.typ == nil {
		return k.sentinel
	}
	v := reflect.New(k.typ).Elem()
	if err := codec.ReadValue(details, v, memory); err != nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil
	}
	return v.Interface().(error)
}
