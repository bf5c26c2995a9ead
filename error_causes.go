package broach

import (
	"errors"
	"reflect"
	"slices"

	"broach/internal/codec"
	"broach/internal/wire"
)

// The causes of an error are the known errors within it, as they travel in a Reply, PROTOCOL.md 2.2. Those of a call within one
// process are encoded, too: a caller never gets hold of a value that belongs to the function.

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

// find reports whether k is in err, and encodes its details. An error whose details cannot be encoded, or are longer than all causes may be, is not found: without them it
// would not be the same.
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

// readCauses returns the errors that this program knows of the causes in a Reply, joined, or nil. It ignores all others, [CALL-15].
func readCauses(b []byte) error {
	var causes []error
	list, memory := known(), int64(codec.MemoryFloor) // for all of them together: there may be a thousand, and each an empty map to make much of
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
