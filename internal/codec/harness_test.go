package codec

import (
	"encoding/hex"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// most is more than any value of these tests takes.
const most = 1 << 30

// Types that the tests pass around.
type (
	word string
	day  uint8

	place struct {
		Street string `json:"street"`
		City   string `msgpack:"town" json:"city"`
	}

	// grade is a number that travels as text.
	grade int

	tenant struct {
		Name string `json:"name"`
		Age  int8   `json:"age,omitempty"`
		Home *place
		Tags map[string][]int16 `json:"tags,omitempty"`
	}
)

func (g grade) MarshalText() ([]byte, error) { return []byte(strings.Repeat("!", int(g))), nil }
func (g *grade) UnmarshalText(b []byte) error {
	*g = grade(len(b))
	return nil
}

func fromHex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// taken returns how many bytes f allocates.
func taken(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// resultOf returns what a function without parameters sends back.
func resultOf(t testing.TB, fn any) []byte {
	out := reflect.ValueOf(fn).Call(nil)
	b := []byte{byte(len(out))}
	for _, v := range out {
		b = AppendKind(b, v.Type())
	}
	e := NewEncoder(b, most)
	for _, v := range out {
		require.NoError(t, PlanOf(v.Type()).Encode(e, v))
	}
	return e.Finish()
}

// received reads the one argument in b as a P.
func received[P any](b []byte) (p P, _ error) {
	d, _, err := OpenArguments(b)
	if err != nil {
		return p, err
	}
	defer d.Close()
	return p, PlanOf(reflect.TypeFor[P]()).Decode(d, reflect.ValueOf(&p).Elem())
}

// carried is what an argument is to a function that takes a P.
func carried[P any](t testing.TB, argument any) P {
	b, err := appendArguments(nil, most, []any{argument})
	require.NoError(t, err)
	p, err := received[P](b)
	require.NoError(t, err)
	return p
}

// requireFailure holds err to one that says the handler ran.
func requireFailure(t *testing.T, err error, code wire.Code, text string) {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, e.Text)
	require.Equal(t, wire.ExecutedYes, e.Executed)
	require.Contains(t, e.Text, text)
}

// appendArguments appends a list of arguments.
func appendArguments(dst []byte, most int, args []any) ([]byte, error) {
	return Arguments{List: args}.Append(dst, most)
}
