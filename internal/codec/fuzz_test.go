package codec

import (
	"bytes"
	"math/big"
	"reflect"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

// What the guard lets through, the msgpack package reads to its end.
func FuzzGuard(f *testing.F) {
	args, err := appendArguments(nil, most, []any{1, -2.5, "a", []byte{3}, time.Now(),
		map[string]any{"b": nil, "c": []any{true}}, tenant{Home: &place{}}, big.NewInt(1)})
	require.NoError(f, err)
	f.Add(args)
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0x91}, 100))
	f.Add([]byte{0x91, 0xdd, 0x80, 0, 0, 0})
	f.Add(append([]byte{0xdc, 1, 0}, bytes.Repeat([]byte{0x80}, 256)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if checkMsgpack(b, 1) != nil {
			return
		}
		r := bytes.NewReader(b)
		require.NoError(t, msgpack.NewDecoder(r).Skip())
		require.Zero(t, r.Len())
	})
}

// Results are taken or refused, whatever the caller wants them to be.
func FuzzResult(f *testing.F) {
	for _, fn := range []any{
		func() {}, func() (int, string) { return 1, "a" }, func() []int8 { return []int8{1} },
		func() map[string][]time.Time { return map[string][]time.Time{"a": {{}}} },
		func() tenant { return tenant{} }, func() any { return nil }, func() []byte { return []byte{1} },
	} {
		f.Add(resultOf(f, fn))
	}
	types := []reflect.Type{reflect.TypeFor[int](), reflect.TypeFor[any](), reflect.TypeFor[*tenant](),
		reflect.TypeFor[map[string]int]()}
	f.Fuzz(func(t *testing.T, b []byte) {
		kindPlans.seen = nil // as in a node that is new
		_, _ = decodeAny(b)
		_, _ = DecodeAs[int](b)
		_, _ = DecodeAs[tenant](b)
		_, _ = DecodeAs[[]byte](b)
		for n := range types {
			_, err := DecodeResults(b, types[:n+1], n%2 == 1)
			if err != nil {
				var e *Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, wire.ExecutedYes, e.Executed)
			}
		}
	})
}
