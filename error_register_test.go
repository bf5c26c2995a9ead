package broach

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"

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
	Item   string
	Left   int
	Notes  []string
	secret string
	Inner  error `msgpack:"-"`
}

func (s *shortage) Error() string { return fmt.Sprintf("only %d %s left", s.Left, s.Item) }
func (s *shortage) Unwrap() error { return s.Inner }

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
		"sold out": errSoldOut, "code": &Error{Code: 1001}, "shortage": (*shortage)(nil), "price": price{}, "choosy": &choosy{}, "not there": fs.ErrNotExist,
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
	require.Contains(t, panicText(func() { RegisterError("one more", errSoldOut) }), `("one more"): 1000 errors are registered, no more are allowed`)
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
