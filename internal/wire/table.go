package wire

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Function is one row of a service table.
type Function struct {
	// 1 to MaxName bytes of UTF-8 without control characters, but for a NUL byte at the beginning; that is not "__"
	Name      string
	Signature string // at most MaxSignature bytes of UTF-8
	Doc       string // at most MaxDoc bytes of UTF-8

	Weight     uint16 // what share of the calls it wants, beside other providers; 0 is none said
	Idempotent bool   // it may run twice for one call
	Paused     bool   // it is not to be called now
}

const (
	hashSize   = 8
	TableFloor = 2 + hashSize // a table without rows
	rowFloor   = 5            // a row whose strings are empty
)

// The bits of a row that say what follows its signature. Those between are ignored: later ones may say more of a
// function, as far as who does not know it can do without.
const (
	rowIdempotent = 1 << iota
	rowWeight     // the weight
	rowDoc        // the documentation, after the weight
	rowPaused

	rowMore = 1 << 7 // at the end of the row, bytes with their length that are passed over
)

// AppendTable appends a service table. The functions must be in byte order of their names, without duplicates, and
// within the limits of this package: receivers drop a table that is not.
func AppendTable(b []byte, fns []Function) []byte {
	if len(fns) > MaxFunctions {
		panic("broach: internal error: too many functions for a table")
	}
	start := len(b)
	b = binary.BigEndian.AppendUint16(b, uint16(len(fns)))
	before := ""
	for _, fn := range fns {
		b = appendRow(b, before, fn)
		before = fn.Name
	}
	return binary.BigEndian.AppendUint64(b, fnv1a(b[start:]))
}

// appendRow appends a function that follows the one named before.
func appendRow(b []byte, before string, fn Function) []byte {
	if len(fn.Name) > MaxName || len(fn.Signature) > MaxSignature || len(fn.Doc) > MaxDoc {
		panic("broach: internal error: function over the limits of a table")
	}
	n := shared(before, fn.Name)
	b = append(b, byte(n))
	b = appendString(b, fn.Name[n:])
	b = binary.BigEndian.AppendUint16(b, uint16(len(fn.Signature)))
	b = append(b, fn.Signature...)
	bits := fn.bits()
	b = append(b, bits)
	if bits&rowWeight != 0 {
		b = binary.BigEndian.AppendUint16(b, fn.Weight)
	}
	if bits&rowDoc != 0 {
		b = binary.BigEndian.AppendUint16(b, uint16(len(fn.Doc)))
		b = append(b, fn.Doc...)
	}
	return b
}

func (fn *Function) bits() (bits byte) {
	if fn.Idempotent {
		bits |= rowIdempotent
	}
	if fn.Weight != 0 {
		bits |= rowWeight
	}
	if fn.Doc != "" {
		bits |= rowDoc
	}
	if fn.Paused {
		bits |= rowPaused
	}
	return bits
}

// RowSize is what a function takes up in a table, at most: less if its name begins like that of the one before.
func RowSize(fn Function) int { return rowFloor + 4 + len(fn.Name) + len(fn.Signature) + len(fn.Doc) }

// shared is the number of bytes that name has in common with the one before, without the beginning of a character of
// which the end differs: what follows is a string, and strings are UTF-8.
func shared(before, name string) int {
	n := 0
	for n < min(len(before), len(name)) && before[n] == name[n] {
		n++
	}
	for n < len(name) && !utf8.RuneStart(name[n]) {
		n--
	}
	return n
}

// ConsumeTable decodes a service table, which takes all of b, as a copy. The errors are ErrShort, ErrHash, ErrOrder
// when the names do not rise, ErrField for a name or signature, or bytes between the last row and the hash, and
// ErrLimit for the size of b or the number of rows. A table with an error costs no allocation.
func ConsumeTable(b []byte) ([]Function, error) {
	body, err := checkHash(b)
	if err != nil {
		return nil, err
	}
	count := int(binary.BigEndian.Uint16(body))
	if err := checkRows(body[2:], count); err != nil {
		return nil, err
	}
	fns := make([]Function, 0, count)
	r := rows{fields: fields{b: body[2:]}}
	for range count {
		row := r.next()
		fns = append(fns, Function{
			Name: string(r.name()), Signature: string(row.signature), Doc: string(row.doc),
			Weight: row.weight, Idempotent: row.bits&rowIdempotent != 0, Paused: row.bits&rowPaused != 0,
		})
	}
	return fns, nil
}

// checkHash returns a table without its hash.
func checkHash(b []byte) ([]byte, error) {
	if len(b) < TableFloor {
		return nil, ErrShort
	}
	if len(b) > MaxTable {
		return nil, ErrLimit
	}
	body, hash := b[:len(b)-hashSize], b[len(b)-hashSize:]
	if binary.BigEndian.Uint64(hash) != fnv1a(body) {
		return nil, ErrHash
	}
	return body, nil
}

// checkRows finds out whether b is count rows and nothing else.
func checkRows(b []byte, count int) error {
	if count > MaxFunctions {
		return ErrLimit
	}
	if len(b) < count*rowFloor {
		return ErrShort
	}
	r := rows{fields: fields{b: b}}
	for range count {
		if r.next(); r.err != nil {
			return r.err
		}
	}
	if len(r.b) > 0 {
		return ErrField
	}
	return nil
}

// rows walks the rows of a table without allocating.
type rows struct {
	fields
	buf [MaxName]byte // the name of the present row, from which the next one takes its shared bytes
	n   int           // its length; 0 before the first row
}

// name is the name of the present row, until next is called again.
func (r *rows) name() []byte {
	return r.buf[:r.n]
}

// tableRow is what a row says besides the name.
type tableRow struct {
	signature, doc []byte
	weight         uint16
	bits           byte
}

// next goes to the next row.
func (r *rows) next() (row tableRow) {
	keep := int(r.uint8())
	tail := r.string()
	row.signature = r.bytes(int(r.uint16()))
	row.bits = r.uint8()
	if row.bits&rowWeight != 0 {
		row.weight = r.uint16()
	}
	if row.bits&rowDoc != 0 {
		row.doc = r.bytes(int(r.uint16()))
	}
	if row.bits&rowMore != 0 {
		r.bytes(int(r.uint16()))
	}
	if r.err == nil {
		r.err = r.setName(keep, tail)
	}
	if !row.isValid() {
		r.fail(ErrField)
	}
	return row
}

// isValid reports that a row says things in one way only.
func (row *tableRow) isValid() bool {
	return (row.weight != 0) == (row.bits&rowWeight != 0) && (len(row.doc) > 0) == (row.bits&rowDoc != 0) &&
		len(row.signature) <= MaxSignature && len(row.doc) <= MaxDoc && utf8.Valid(row.signature) && utf8.Valid(row.doc)
}

// ownMark is the length of what marks a name as the protocol's own: a NUL byte at its beginning.
func ownMark(keep int, tail []byte) int {
	if keep == 0 && tail[0] == 0 {
		return 1
	}
	return 0
}

// setName makes the next name of the bytes it keeps of the present one and a tail. It looks at no more than the tail,
// in which alone the two can differ: a stranger's table makes work in proportion to its size, not to that of its names.
func (r *rows) setName(keep int, tail []byte) error {
	switch {
	case keep > r.n || keep+len(tail) > MaxName:
		return ErrField
	case keep < r.n && !utf8.RuneStart(r.buf[keep]):
		return ErrField
	case bytes.Compare(tail, r.buf[keep:r.n]) <= 0: // which holds for an empty name, too
		return ErrOrder
	case bytes.ContainsFunc(tail[ownMark(keep, tail):], unicode.IsControl):
		return ErrField
	}
	r.n = keep + copy(r.buf[keep:], tail)
	if bytes.HasPrefix(r.name(), []byte("__")) {
		return ErrField
	}
	return nil
}

// IsOwn reports whether the name of a function is the protocol's own, which users are not shown.
func IsOwn(name string) bool { return strings.HasPrefix(name, "\x00") }
