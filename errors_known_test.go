package broach

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// knowOnly lets a test begin without known errors, and takes back what it registers.
func knowOnly(t testing.TB, errs map[string]error) {
	before := knownErrors.Swap(nil)
	t.Cleanup(func() { knownErrors.Store(before) })
	for name, err := range errs {
		RegisterError(name, err)
	}
}

var (
	errSoldOut = errors.New("sold out")
	errClosed  = errors.New("closed on Sundays")
)

// shortage is an error that is known by its type, as a pointer.
type shortage struct {
	Item  string
	Notes []string
}

func (s *shortage) Error() string { return "no " + s.Item }

// price is one that is known by its type, as a value.
type price struct{ Cents int }

func (p price) Error() string { return fmt.Sprint("costs ", p.Cents) }

// choosy encodes itself, and has no exported fields.
type choosy struct{ level byte }

func (c *choosy) Error() string                { return fmt.Sprint("not at level ", c.level) }
func (c *choosy) MarshalText() ([]byte, error) { return []byte{'0' + c.level}, nil }
func (c *choosy) UnmarshalText(b []byte) error { c.level = b[0] - '0'; return nil }

// several is an error that == cannot compare.
type several []string

func (s several) Error() string { return strings.Join(s, ", ") }

// held has a field that cannot travel.
type held struct{ Done chan struct{} }

func (h *held) Error() string { return "held" }

func TestErrorsAreKnownByIdentityOrByType(t *testing.T) {
	knowOnly(t, map[string]error{
		"sold out": errSoldOut, "code": &Error{Code: 1001}, "shortage": (*shortage)(nil), "price": price{},
		"choosy": &choosy{}, "not there": fs.ErrNotExist,
	})
	var byType []string
	for _, k := range known() {
		if k.typ != nil {
			byType = append(byType, k.name)
		}
	}
	require.Equal(t, []string{"choosy", "price", "shortage"}, byType, "in the order of their names")
	require.Len(t, known(), 6)
}

func TestErrorsThatCannotBeRegistered(t *testing.T) {
	knowOnly(t, map[string]error{"sold out": errSoldOut, "price": price{}})
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"", errClosed, `(""): the error name is empty`},
		{strings.Repeat("x", 201), errClosed, "has 201 bytes, at most 200 are allowed"},
		{"a\xff", errClosed, "is not UTF-8"},
		{"a\nb", errClosed, "contains a control character"},
		{"nil", nil, `("nil"): the error is nil`},
		{"sold out", errClosed, `("sold out"): the name is that of another error`},
		{"sold out", &shortage{}, `("sold out"): the name is that of another error`},
		{"price", errClosed, `("price"): the name is that of another error`},
		{"gone", errSoldOut, `("gone"): the error is registered as "sold out"`},
		{"cost", price{Cents: 7}, `("cost"): the error is registered as "price"`},
		{"several", several{"a"}, `("several"): errors.Is cannot find a broach.several: it is not comparable`},
		{"held", &held{}, `("held"): field Done of broach.held: chan struct {} cannot be sent`},
		{"path", &fs.PathError{}, `("path"): field Err of fs.PathError: error`},
	} {
		before := known()
		text := panicText(func() { RegisterError(tt.name, tt.err) })
		require.Contains(t, text, tt.want)
		require.True(t, strings.HasPrefix(text, "broach: RegisterError("), text)
		require.Equal(t, before, known(), "nothing has changed")
	}
}

// panicText is what f panics with.
func panicText(f func()) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	f()
	return ""
}

func TestTheSameErrorIsRegisteredAgain(t *testing.T) {
	knowOnly(t, nil)
	for range 3 {
		RegisterError("sold out", errSoldOut)
		RegisterError("price", price{Cents: 5})
		RegisterError("price", price{})
	}
	require.Len(t, known(), 2)
}

// "and when there are 1,000 already"
func TestErrorsHaveALimit(t *testing.T) {
	knowOnly(t, nil)
	for i := range maxKnownErrors {
		RegisterError(fmt.Sprint(i), errors.New("some"))
	}
	RegisterError(known()[7].name, known()[7].sentinel) // the same again
	require.Contains(t, panicText(func() { RegisterError("one more", errSoldOut) }),
		`("one more"): 1000 errors are registered, no more are allowed`)
}

// "It may be called by many goroutines at once."
func TestErrorsAreRegisteredAtOnce(t *testing.T) {
	knowOnly(t, nil)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for j := range 20 {
				RegisterError(fmt.Sprint(i, " ", j), errors.New("some"))
				RegisterError("sold out", errSoldOut)
				require.NotEmpty(t, causesOf(errSoldOut))
			}
		})
	}
	all.Wait()
	require.Len(t, known(), 16*20+1)
}

// pairsOf encodes causes.
func pairsOf(list ...cause) (b []byte) {
	for _, c := range list {
		b = wire.AppendPair(b, c.name, c.details)
	}
	return b
}

// [CALL-15] A cause whose name the receiver does not know, or whose details it cannot read, is ignored; the code and
// the text stand.
func TestCausesThatCannotBeReadAreIgnored(t *testing.T) {
	knowOnly(t, map[string]error{"sold out": errSoldOut, "shortage": &shortage{}, "price": price{},
		"choosy": &choosy{}})
	for what, c := range map[string]cause{
		"an unknown name":       {"bold", []byte{0x80}},
		"a longer name":         {"price ", []byte{0x81, 0xa5, 'C', 'e', 'n', 't', 's', 7}},
		"no details":            {"price", nil},
		"nil":                   {"shortage", []byte{0xc0}},
		"another kind":          {"price", []byte{7}},
		"half of the details":   {"price", []byte{0x81, 0xa5, 'C', 'e'}},
		"more than the details": {"price", []byte{0x80, 0x80}},
		"a value that is wrong": {"price", []byte{0x81, 0xa5, 'C', 'e', 'n', 't', 's', 0xa1, 'x'}},
		"a length that is a lie": {"shortage",
			[]byte{0x81, 0xa5, 'N', 'o', 't', 'e', 's', 0xdd, 0x7f, 0xff, 0xff, 0xff}},
		"far too deep":         {"shortage", bytes.Repeat([]byte{0x91}, 8000)},
		"a method that panics": {"choosy", []byte{0xa0}},
	} {
		err := readCauses(pairsOf(c, cause{"sold out", nil}))
		require.Equal(t, errors.Join(errSoldOut), err, what)
		require.NoError(t, readCauses(pairsOf(c)), what)
	}
	require.Equal(t, errors.Join(errSoldOut), readCauses(pairsOf(cause{"sold out", []byte{0xc1}})),
		"a sentinel has no details to read")
}

// fields that need much more memory than they take on the wire.
type bulky struct{ Rows []struct{ Cells [100]int64 } }

func (*bulky) Error() string { return "bulky" }

type bulkier bulky

func (*bulkier) Error() string { return "bulkier" }

// A peer that describes much in few bytes gets a bounded amount of memory for it, however many such errors there are.
func TestDetailsAreBounded(t *testing.T) {
	knowOnly(t, map[string]error{"bulky": &bulky{}, "bulkier": &bulkier{}})
	rows := func(n byte) []byte {
		b := append([]byte{0x81, 0xa4, 'R', 'o', 'w', 's', 0xdc, n, 0}, bytes.Repeat([]byte{0x80}, int(n)<<8)...)
		return b
	}
	one, most := pairsOf(cause{"bulky", rows(4)}), pairsOf(cause{"bulky", rows(8)})
	require.Error(t, readCauses(one), "1,024 rows of 800 bytes")
	require.NoError(t, readCauses(most), "twice as many are more than a MiB")
	both := readCauses(pairsOf(cause{"bulkier", rows(4)}, cause{"bulky", rows(4)}))
	require.ErrorAs(t, both, new(*bulkier))
	_, ok := errors.AsType[*bulky](both)
	require.False(t, ok, "together they are, too")
}

// Causes are read or ignored; nothing else happens, and what was read says the same when it is passed on.
func FuzzCauses(f *testing.F) {
	known := map[string]error{
		"sold out": errSoldOut, "shortage": &shortage{}, "price": price{}, "choosy": &choosy{}, "bulky": &bulky{},
		"code": &Error{Code: 1001},
	}
	knowOnly(f, known)
	f.Add(causesOf(errors.Join(errSoldOut, &Error{Code: 1001}, price{5},
		&shortage{Item: "milk", Notes: []string{"a"}})))
	f.Add(pairsOf(cause{"bold", nil}, cause{"price", []byte{0x80}}))
	f.Fuzz(func(t *testing.T, causes []byte) {
		if len(causes) > wire.MaxPairs {
			return
		}
		frame := wire.Reply{Code: 1, Causes: causes}.AppendBody(nil)
		m, err := wire.ConsumeReply(frame)
		if err != nil {
			return
		}
		read := readCauses(m.Causes)
		again := causesOf(read)
		for name := range wire.EachPair(again) {
			require.Contains(t, known, string(name))
		}
		require.Equal(t, again, causesOf(readCauses(again)))
	})
}
