package codec

import "errors"

// maxDepth is how many arrays and maps may lie within each other, in one argument or result.
// It bounds the stack of everything that recurses over a value, here and at the peer: a megabyte or so.
const maxDepth = 1000

var (
	errTruncated = errors.New("a declared length goes beyond the message")
	errTrailing  = errors.New("bytes after the last value")
	errCode      = errors.New("0xc1 is not a msgpack code")
	errDepth     = errors.New("nested deeper than 1000 levels")
)

// checkMsgpack reports whether b is exactly that many msgpack values, with every declared length satisfied by bytes
// that are present, within maxDepth. It must pass before anything is decoded: the msgpack package
// allocates what a header declares and recurses as deep as the input says.
func checkMsgpack(b []byte, values int) error {
	g := guard{b: b}
	return g.all(values, maxDepth)
}

// A guard walks over encoded values once, without decoding or allocating.
type guard struct {
	b []byte
	i int // next byte to read; i <= len(b)
}

func (g *guard) all(values, depth int) error {
	if err := g.values(uint64(values), depth); err != nil {
		return err
	}
	if g.i != len(g.b) {
		return errTrailing
	}
	return nil
}

func (g *guard) values(n uint64, depth int) error {
	if n > uint64(len(g.b)-g.i) {
		return errTruncated // each takes a byte at least
	}
	for ; n > 0; n-- {
		if err := g.value(depth); err != nil {
			return err
		}
	}
	return nil
}

func (g *guard) value(depth int) error {
	if g.i >= len(g.b) {
		return errTruncated
	}
	l := &leads[g.b[g.i]]
	g.i++
	n, ok := g.length(l)
	switch {
	case !ok:
		return errTruncated
	case l.form == formArray:
		return g.nested(n, depth)
	case l.form == formMap:
		return g.nested(2*n, depth)
	case l.form == formInvalid:
		return errCode
	}
	return g.skip(n)
}

func (g *guard) nested(n uint64, depth int) error {
	if depth == 0 {
		return errDepth
	}
	return g.values(n, depth-1)
}

// length returns what the lead declares to follow: elements, pairs or bytes.
func (g *guard) length(l *lead) (n uint64, ok bool) {
	if l.size == 0 {
		return uint64(l.fixed), true
	}
	end := g.i + int(l.size)
	if end > len(g.b) {
		return 0, false
	}
	for _, digit := range g.b[g.i:end] {
		n = n<<8 | uint64(digit)
	}
	g.i = end
	return n + uint64(l.fixed), true
}

func (g *guard) skip(n uint64) error {
	if n > uint64(len(g.b)-g.i) {
		return errTruncated
	}
	g.i += int(n)
	return nil
}

// A form is what a first byte begins.
type form uint8

const (
	formInvalid form = iota
	formNil
	formBool
	formInt
	formFloat
	formString
	formBytes
	formArray
	formMap
	formExt
)

func (f form) String() string {
	return [...]string{"an invalid code", "nil", "bool", "integer", "float", "string", "bytes", "array", "map",
		"extension"}[f]
}

// inGo says in words of Go what was sent as a form. A number may have had any width, and is told as the commonest.
func (f form) inGo() string {
	return [...]string{"an invalid code", "nil", "a bool", "an int", "a float64", "a string", "a []byte", "a slice",
		"a map or struct", "an extension of msgpack"}[f]
}

// A lead describes a first byte: what it declares is fixed plus the big-endian number of size bytes that follows.
type lead struct {
	form  form
	size  uint8
	fixed uint8
}

var leads = leadTable()

func leadTable() (t [256]lead) {
	for c := range t {
		switch {
		case c < 0x80 || c >= 0xe0:
			t[c] = lead{form: formInt}
		case c < 0x90:
			t[c] = lead{form: formMap, fixed: uint8(c & 0x0f)}
		case c < 0xa0:
			t[c] = lead{form: formArray, fixed: uint8(c & 0x0f)}
		case c < 0xc0:
			t[c] = lead{form: formString, fixed: uint8(c & 0x1f)}
		}
	}
	copy(t[0xc0:], []lead{
		{form: formNil}, {form: formInvalid}, {form: formBool}, {form: formBool},
		{formBytes, 1, 0}, {formBytes, 2, 0}, {formBytes, 4, 0},
		{formExt, 1, 1}, {formExt, 2, 1}, {formExt, 4, 1}, // the 1 is the type byte
		{formFloat, 0, 4}, {formFloat, 0, 8},
		{formInt, 0, 1}, {formInt, 0, 2}, {formInt, 0, 4}, {formInt, 0, 8}, // unsigned
		{formInt, 0, 1}, {formInt, 0, 2}, {formInt, 0, 4}, {formInt, 0, 8}, // signed
		{formExt, 0, 2}, {formExt, 0, 3}, {formExt, 0, 5}, {formExt, 0, 9}, {formExt, 0, 17},
		{formString, 1, 0}, {formString, 2, 0}, {formString, 4, 0},
		{formArray, 2, 0}, {formArray, 4, 0},
		{formMap, 2, 0}, {formMap, 4, 0},
	})
	return t
}
