// Package causes finds the errors of a program that others know by the same name, in what a function returned, and
// makes them again where that arrives: the causes in a Reply, PROTOCOL.md 2.2 and [CALL-15].
//
// A Table has the errors of one program with their names. An error is known by which it is, as a sentinel, or by its
// type: then its fields travel as a value does, and a copy arrives. Those of a call within one process are encoded,
// too: a caller never gets hold of a value that belongs to the function.
//
// What a stranger wrote is read or ignored, and never an error of its own: a name that is not known here, details that
// cannot be read, more than the memory that all of them together may take. Only user code is run for that, the methods
// of the errors themselves; who calls Of or Read bears their panics.
//
// A Table knows neither calls nor the error of one. What a name may be is not its affair.
package causes

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

// knownMost bounds how many errors each error of a function is compared with.
const knownMost = 1000

// A knownError is an error that this program and others know by the same name.
type knownError struct {
	name     string
	sentinel error // found with errors.Is; nil if the error is known by its type
	// found with errors.As: a struct or a pointer to one, whose fields travel; nil if it is a sentinel
	typ reflect.Type
}

// A Table has the errors that a program knows. It may be used by many goroutines at once; the zero Table has none.
type Table struct {
	// Sentinels are a type whose values are told from each other, though it has fields: nil if there is none. It is
	// set before the Table is used
	Sentinels reflect.Type
	// in byte order of their names. A list is never changed: Add puts another in its place, so that calls read it
	// without a lock
	list atomic.Pointer[[]knownError]
}

// Add takes up an error under a name. If its type is a struct with exported fields, or a pointer to one, the type has
// the name; else this one value has. To add the same again does nothing. The error that Add returns says why it cannot
// be known; nothing has changed then.
func (t *Table) Add(name string, sentinel error) error {
	k, err := t.newKnownError(name, sentinel)
	for err == nil {
		old := t.list.Load()
		var next []knownError
		if next, err = withError(t.known(), k); err == nil && t.list.CompareAndSwap(old, &next) {
			return nil
		}
	}
	return err
}

// known lists the errors that are registered. It is not written to.
func (t *Table) known() []knownError {
	if list := t.list.Load(); list != nil {
		return *list
	}
	return nil
}

func (t *Table) newKnownError(name string, sentinel error) (knownError, error) {
	k := knownError{name: name}
	switch is := reflect.TypeOf(sentinel); {
	case sentinel == nil:
		return k, errors.New("the error is nil")
	case t.isDetailed(is):
		k.typ = is
		if err := codec.CheckParameter(is); err != nil {
			return k, err
		}
		if err := codec.CheckResult(is); err != nil {
			return k, err
		}
	case !reflect.ValueOf(sentinel).Comparable():
		return k, fmt.Errorf("errors.Is cannot find a %s: it is not comparable", codec.TypeName(is))
	default:
		k.sentinel = sentinel
	}
	return k, nil
}

// isDetailed reports whether errors of a type differ in what they say, and not in which they are.
func (t *Table) isDetailed(is reflect.Type) bool {
	if is == t.Sentinels {
		return false
	}
	if is.Kind() == reflect.Pointer {
		is = is.Elem()
	}
	return codec.HasContent(is)
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
	if len(list) == knownMost {
		return nil, fmt.Errorf("%d errors are registered, no more are allowed", knownMost)
	}
	i, _ := slices.BinarySearchFunc(list, []byte(k.name), knownError.compare)
	return slices.Insert(slices.Clone(list), i, k), nil
}

// compare orders errors by name.
func (k knownError) compare(name []byte) int { return strings.Compare(k.name, string(name)) }

// A cause is a known error within another, as it travels.
type cause struct {
	name    string
	details []byte // a msgpack value; of a sentinel none
}

// size is what a cause takes in a Reply.
func (c cause) size() int { return 3 + len(c.name) + len(c.details) }

// Of encodes the known errors within err, nil if there are none. It runs the methods of err, which are the user's.
func (t *Table) Of(err error) (b []byte) {
	if err == nil {
		return nil
	}
	var found []cause
	for _, k := range t.known() {
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

// Read returns the errors that this program knows of the causes in a Reply, joined, or nil. It ignores all others,
// [CALL-15].
func (t *Table) Read(b []byte) error {
	var causes []error
	// one bound for all causes together: a Reply may hold a thousand, each of which makes a map of a few bytes
	list, memory := t.known(), int64(errorMemory)
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
