package broach

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	"broach/internal/codec"
)

// maxKnownErrors bounds how many errors each error of a function is compared with.
const maxKnownErrors = 1000

// A knownError is an error that this program and others know by the same name.
type knownError struct {
	name     string
	sentinel error        // found with errors.Is; nil if the error is known by its type
	typ      reflect.Type // found with errors.As: a struct or a pointer to one, whose fields travel; nil if it is a sentinel
}

// knownErrors are those of this program, in byte order of their names. A list is never changed: RegisterError puts another in its
// place, so that calls read it without a lock.
var knownErrors atomic.Pointer[[]knownError]

// RegisterError makes an error known by name: when a function returns it, errors.Is and errors.As find it in the error of the call.
// Provider and caller both register it under the same name, best when they start:
//
//	var ErrSoldOut = errors.New("sold out")
//
//	func init() { broach.RegisterError("shop: sold out", ErrSoldOut) }
//
// An error whose type is a struct with exported fields, or a pointer to one, is known by its type, of which sentinel is any value, such
// as (*SoldOut)(nil): where errors.As finds the type in what the function returned, these fields travel as they would in an argument, and
// errors.As finds a copy at the caller. They are no secret from the caller. A field that must not travel, or cannot, as one that is
// itself an error, has the tag `msgpack:"-"`. All other errors, and every *Error, are known by errors.Is, and the caller finds the value
// that it has registered.
//
// All registered errors within the one that was returned travel, also those of a call that the function made itself. What is not
// registered at both ends is just part of the text. Names and fields together have at most 8,192 bytes, with 3 more for each error: what is
// above that is left out, beginning with the error that takes most.
//
// A name has 1 to 200 bytes of UTF-8 without control characters. RegisterError panics if it has not, if sentinel is nil or cannot travel,
// if the name is that of another error or the error has another name, and when there are 1,000 already. The same again does
// nothing. It may be called by many goroutines at once.
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
