package gateway

import (
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"time"
	"unicode/utf8"
)

// Bodies of msgpack, for clients that have bytes and times to send and no wish to write them as texts. Values are
// bounded as those of JSON, and a length counts only as far as there are bytes.

const (
	msgpackType = "application/msgpack"
	listAtOnce  = 16 // values that a list has room for before they are there
)

var (
	errPackedEnd   = errors.New("the msgpack ends too early")
	errPackedRest  = errors.New("something follows the msgpack")
	errPackedDepth = errors.New("the msgpack is nested more than 64 deep, or has more than 1,000,000 values")
	errPackedKind  = errors.New("the msgpack has an extension other than the timestamp, or a byte that means nothing")
	errPackedKey   = errors.New("the msgpack has a key twice, or one that is an array, a map, bytes or nil")
	errPackedText  = errors.New("a text in the msgpack is not UTF-8")
)

// unpacker reads one value.
type unpacker struct {
	text            string
	meter           *meter
	depth, elements int
}

func parseMsgpack(text string, m *meter) (any, error) {
	u := unpacker{text: text, meter: m}
	v, err := u.value()
	if err == nil && u.text != "" {
		err = errPackedRest
	}
	return v, err
}

// take takes bytes off the front.
func (u *unpacker) take(n uint64) (string, error) {
	if n > uint64(len(u.text)) {
		return "", errPackedEnd
	}
	s := u.text[:n]
	u.text = u.text[n:]
	return s, nil
}

// uint takes an integer of so many bytes.
func (u *unpacker) uint(size int) (n uint64, err error) {
	s, err := u.take(uint64(size))
	for i := range len(s) {
		n = n<<8 | uint64(s[i])
	}
	return n, err
}

func (u *unpacker) value() (any, error) {
	if u.elements++; u.elements > elementsMost || u.depth > depthMost {
		return nil, errPackedDepth
	}
	if err := u.meter.values(u.elements); err != nil {
		return nil, err
	}
	c, err := u.uint(1)
	if err != nil {
		return nil, err
	}
	switch {
	case c <= 0x7f:
		return int64(c), nil
	case c >= 0xe0:
		return int64(int8(c)), nil
	case c <= 0x8f:
		return u.mapOf(c & 15)
	case c <= 0x9f:
		return u.list(c & 15)
	case c <= 0xbf:
		return u.string(c & 31)
	}
	return u.long(c)
}

// long reads what has more than one byte of head, or none of value.
func (u *unpacker) long(c uint64) (any, error) {
	switch {
	case c == 0xc0:
		return nil, nil
	case c == 0xc2 || c == 0xc3:
		return c == 0xc3, nil
	case c >= 0xc4 && c <= 0xc6:
		return sized(u, 1<<(c-0xc4), u.bytes)
	case c == 0xca || c == 0xcb:
		return u.float(4 << (c - 0xca))
	case c >= 0xcc && c <= 0xcf:
		return u.unsigned(1 << (c - 0xcc))
	case c >= 0xd0 && c <= 0xd3:
		return u.signed(1 << (c - 0xd0))
	case c >= 0xd9 && c <= 0xdb:
		return sized(u, 1<<(c-0xd9), u.string)
	case c == 0xdc || c == 0xdd:
		return sized(u, 2<<(c-0xdc), u.list)
	case c == 0xde || c == 0xdf:
		return sized(u, 2<<(c-0xde), u.mapOf)
	case c == 0xd6 || c == 0xd7:
		return u.time(4 << (c - 0xd6))
	case c == 0xc7:
		return sized(u, 1, u.time)
	}
	return nil, errPackedKind
}

// sized reads a length of so many bytes, and then what is so long.
func sized(u *unpacker, size int, read func(uint64) (any, error)) (any, error) {
	n, err := u.uint(size)
	if err != nil {
		return nil, err
	}
	return read(n)
}

func (u *unpacker) bytes(n uint64) (any, error) {
	s, err := u.take(n)
	return []byte(s), err
}

func (u *unpacker) string(n uint64) (any, error) {
	s, err := u.take(n)
	if err == nil && !utf8.ValidString(s) {
		err = errPackedText
	}
	return s, err
}

func (u *unpacker) float(size int) (any, error) {
	n, err := u.uint(size)
	if size == 4 {
		return float64(math.Float32frombits(uint32(n))), err
	}
	return math.Float64frombits(n), err
}

func (u *unpacker) unsigned(size int) (any, error) {
	n, err := u.uint(size)
	if n > math.MaxInt64 {
		return n, err
	}
	return int64(n), err
}

func (u *unpacker) signed(size int) (any, error) {
	n, err := u.uint(size)
	shift := 64 - 8*size
	return int64(n<<shift) >> shift, err
}

// list grows with what is there, whatever its length says: 64 lists within each other may all say that they have as
// many values as there are bytes.
func (u *unpacker) list(n uint64) (any, error) {
	u.depth++
	defer func() { u.depth-- }()
	list := make([]any, 0, min(n, listAtOnce))
	for range n {
		v, err := u.value()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func (u *unpacker) mapOf(n uint64) (any, error) {
	u.depth++
	defer func() { u.depth-- }()
	m := map[any]any{}
	areTexts := true
	for range n {
		key, err := u.value()
		if err != nil {
			return nil, err
		}
		v, err := u.value()
		if err != nil {
			return nil, err
		}
		if key == nil || !reflect.TypeOf(key).Comparable() {
			return nil, errPackedKey
		}
		if _, isTwice := m[key]; isTwice {
			return nil, errPackedKey
		}
		m[key] = v
		_, isText := key.(string)
		areTexts = areTexts && isText
	}
	if areTexts {
		return byText(m), nil
	}
	return m, nil
}

func byText(m map[any]any) map[string]any {
	made := make(map[string]any, len(m))
	for key, v := range m {
		made[key.(string)] = v
	}
	return made
}

// time reads a timestamp of 4, 8 or 12 bytes, from its type on.
func (u *unpacker) time(size uint64) (any, error) {
	kind, err := u.uint(1)
	s, err2 := u.take(size)
	if err := errors.Join(err, err2); err != nil {
		return nil, errPackedEnd
	}
	b := []byte(s)
	var sec int64
	var nsec uint64
	switch {
	case kind != 0xff:
		return nil, errPackedKind
	case size == 4:
		sec = int64(binary.BigEndian.Uint32(b))
	case size == 8:
		n := binary.BigEndian.Uint64(b)
		sec, nsec = int64(n&(1<<34-1)), n>>34
	case size == 12:
		sec, nsec = int64(binary.BigEndian.Uint64(b[4:])), uint64(binary.BigEndian.Uint32(b))
	default:
		return nil, errPackedKind
	}
	if nsec > 999_999_999 {
		return nil, errPackedKind
	}
	return time.Unix(sec, int64(nsec)).UTC(), nil
}
