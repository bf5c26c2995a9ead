package wire

import (
	"bytes"
	"encoding/binary"
	"iter"
	"math"
)

// MaxPairs is how long all metadata of a call, or all causes of an error, may be, in bytes.
const MaxPairs = 8192

// Pairs are names with values: the metadata of a call, the causes of an error. They are in byte order of their names,
// none twice.

// AppendPair appends a name of 1 to 255 bytes of UTF-8 and its value.
func AppendPair(b []byte, name string, value []byte) []byte {
	if len(value) > math.MaxUint16 {
		panic("broach: internal error: value longer than its length field can say")
	}
	b = appendString(b, name)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

// EachPair yields what AppendPair appended and a consumer has checked. Names and values alias b.
func EachPair(b []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for f := (fields{b: b}); len(f.b) > 0; {
			name := f.string()
			if value := f.bytes(int(f.uint16())); f.err != nil || !yield(name, value) {
				return
			}
		}
	}
}

// appendPairs appends a list of pairs with its length.
func appendPairs(b, pairs []byte) []byte {
	if len(pairs) > MaxPairs {
		panic("broach: internal error: more metadata or causes than can travel")
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(pairs)))
	return append(b, pairs...)
}

// cutPairs takes a list of pairs with its length off b, and checks it. No pairs are nil.
func cutPairs(b []byte) (pairs, rest []byte, err error) {
	if len(b) < 2 {
		return nil, nil, ErrShort
	}
	n := int(binary.BigEndian.Uint16(b))
	switch b = b[2:]; {
	case n > MaxPairs:
		return nil, nil, ErrLimit
	case len(b) < n:
		return nil, nil, ErrShort
	case n == 0:
		return nil, b, nil
	}
	return b[:n:n], b[n:], checkPairs(b[:n])
}

// checkPairs finds out whether b is pairs and nothing else.
func checkPairs(b []byte) error {
	f, before := fields{b: b}, []byte(nil)
	for len(f.b) > 0 && f.err == nil {
		name := f.string()
		f.bytes(int(f.uint16()))
		switch {
		case f.err != nil:
		case len(name) == 0:
			return ErrField
		case bytes.Compare(name, before) <= 0:
			return ErrOrder
		}
		before = name
	}
	return f.err
}
