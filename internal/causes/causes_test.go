package causes

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"sync"
	"testing"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// tableOf is a Table that knows these errors.
func tableOf(t testing.TB, errs map[string]error) *Table {
	table := &Table{Sentinels: reflect.TypeFor[*coded]()}
	for name, err := range errs {
		require.NoError(t, table.Add(name, err))
	}
	return table
}

// coded has an exported field, and is a sentinel though.
type coded struct{ Code int }

func (c *coded) Error() string { return fmt.Sprint("code ", c.Code) }

var (
	errSoldOut = errors.New("sold out")
	errClosed  = errors.New("closed on Sundays")
	errCoded   = &coded{1001}
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
	table := tableOf(t, map[string]error{
		"sold out": errSoldOut, "code": errCoded, "shortage": (*shortage)(nil), "price": price{},
		"choosy": &choosy{}, "not there": fs.ErrNotExist,
	})
	var byType []string
	for _, k := range table.known() {
		if k.typ != nil {
			byType = append(byType, k.name)
		}
	}
	require.Equal(t, []string{"choosy", "price", "shortage"}, byType, "in the order of their names")
	require.Len(t, table.known(), 6)
}

func TestErrorsThatCannotBeRegistered(t *testing.T) {
	table := tableOf(t, map[string]error{"sold out": errSoldOut, "price": price{}})
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"nil", nil, `the error is nil`},
		{"sold out", errClosed, `the name is that of another error`},
		{"sold out", &shortage{}, `the name is that of another error`},
		{"price", errClosed, `the name is that of another error`},
		{"gone", errSoldOut, `the error is registered as "sold out"`},
		{"cost", price{Cents: 7}, `the error is registered as "price"`},
		{"several", several{"a"}, `errors.Is cannot find a causes.several: it is not comparable`},
		{"held", &held{}, `field Done of causes.held: chan struct {} cannot be sent`},
		{"path", &fs.PathError{}, `field Err of fs.PathError: error`},
	} {
		before := table.known()
		require.ErrorContains(t, table.Add(tt.name, tt.err), tt.want)
		require.Equal(t, before, table.known(), "nothing has changed")
	}
}

func TestTheSameErrorIsRegisteredAgain(t *testing.T) {
	table := tableOf(t, nil)
	for range 3 {
		require.NoError(t, table.Add("sold out", errSoldOut))
		require.NoError(t, table.Add("price", price{Cents: 5}))
		require.NoError(t, table.Add("price", price{}))
	}
	require.Len(t, table.known(), 2)
}

// "and when there are 1,000 already"
func TestErrorsHaveALimit(t *testing.T) {
	table := tableOf(t, nil)
	for i := range knownMost {
		require.NoError(t, table.Add(fmt.Sprint(i), errors.New("some")))
	}
	require.NoError(t, table.Add(table.known()[7].name, table.known()[7].sentinel), "the same again")
	require.EqualError(t, table.Add("one more", errSoldOut), "1000 errors are registered, no more are allowed")
}

// "It may be called by many goroutines at once."
func TestErrorsAreRegisteredAtOnce(t *testing.T) {
	table := tableOf(t, nil)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for j := range 20 {
				require.NoError(t, table.Add(fmt.Sprint(i, " ", j), errors.New("some")))
				require.NoError(t, table.Add("sold out", errSoldOut))
				require.NotEmpty(t, table.Of(errSoldOut))
			}
		})
	}
	all.Wait()
	require.Len(t, table.known(), 16*20+1)
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
	table := tableOf(t, map[string]error{"sold out": errSoldOut, "shortage": &shortage{}, "price": price{},
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
		err := table.Read(pairsOf(c, cause{"sold out", nil}))
		require.Equal(t, errors.Join(errSoldOut), err, what)
		require.NoError(t, table.Read(pairsOf(c)), what)
	}
	require.Equal(t, errors.Join(errSoldOut), table.Read(pairsOf(cause{"sold out", []byte{0xc1}})),
		"a sentinel has no details to read")
}

// fields that need much more memory than they take on the wire.
type bulky struct{ Rows []struct{ Cells [100]int64 } }

func (*bulky) Error() string { return "bulky" }

type bulkier bulky

func (*bulkier) Error() string { return "bulkier" }

// A peer that describes much in few bytes gets a bounded amount of memory for it, however many such errors there are.
func TestDetailsAreBounded(t *testing.T) {
	table := tableOf(t, map[string]error{"bulky": &bulky{}, "bulkier": &bulkier{}})
	rows := func(n byte) []byte {
		b := append([]byte{0x81, 0xa4, 'R', 'o', 'w', 's', 0xdc, n, 0}, bytes.Repeat([]byte{0x80}, int(n)<<8)...)
		return b
	}
	one, most := pairsOf(cause{"bulky", rows(4)}), pairsOf(cause{"bulky", rows(8)})
	require.Error(t, table.Read(one), "1,024 rows of 800 bytes")
	require.NoError(t, table.Read(most), "twice as many are more than a MiB")
	both := table.Read(pairsOf(cause{"bulkier", rows(4)}, cause{"bulky", rows(4)}))
	require.ErrorAs(t, both, new(*bulkier))
	_, ok := errors.AsType[*bulky](both)
	require.False(t, ok, "together they are, too")
}

// Causes are read or ignored; nothing else happens, and what was read says the same when it is passed on.
func FuzzCauses(f *testing.F) {
	known := map[string]error{
		"sold out": errSoldOut, "shortage": &shortage{}, "price": price{}, "choosy": &choosy{}, "bulky": &bulky{},
		"code": errCoded,
	}
	table := tableOf(f, known)
	f.Add(table.Of(errors.Join(errSoldOut, errCoded, price{5},
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
		read := table.Read(m.Causes)
		again := table.Of(read)
		for name := range wire.EachPair(again) {
			require.Contains(t, known, string(name))
		}
		require.Equal(t, again, table.Of(table.Read(again)))
	})
}
