package broach

import (
	"bytes"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

// addArguments seeds f with the arguments of every semantic case and with what is hostile.
func addArguments(f *testing.F) {
	for _, c := range semanticCases {
		if args, err := appendArgs(nil, maxMessageMost, c.args); err == nil {
			f.Add(args)
		}
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0x91}, 100))
	f.Add([]byte{0x91, 0xdd, 0x80, 0, 0, 0})
	f.Add(append([]byte{0xdc, 1, 0}, bytes.Repeat([]byte{0x80}, 256)...))
}

// What the guard lets through, the msgpack package reads to its end.
func FuzzGuard(f *testing.F) {
	addArguments(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if checkMsgpack(b, 1) != nil {
			return
		}
		r := bytes.NewReader(b)
		require.NoError(t, msgpack.NewDecoder(r).Skip())
		require.Zero(t, r.Len())
	})
}

// fuzzed are functions of every kind of parameter.
var fuzzed = []any{
	func(int, int) int { return 0 },
	func(int8, uint16, float32, float64) {},
	func(bool, string, []byte, [4]byte, time.Time, time.Duration) {},
	func(person) {},
	func(*listNode, tree) {},
	func(any) any { return nil },
	func(map[any]any) {},
	func(map[string][]map[int8]*float32, [2][]any) {},
	func(...[]string) {},
	func(point, packed, level, *big.Int, msgpack.RawMessage, half) {},
	func(x any) any { return x },
	func(s string) string { return s },
	func(b []byte) []byte { return b },
}

// Arguments are taken or refused; nothing else happens.
func FuzzDecodeArgs(f *testing.F) {
	addArguments(f)
	var functions []*function
	for _, fn := range fuzzed {
		fun, err := newFunction("f", fn)
		require.NoError(f, err)
		functions = append(functions, fun)
	}
	f.Fuzz(func(t *testing.T, args []byte) {
		for _, fun := range functions {
			result, refusal := fun.invoke(t.Context(), args, nil)
			if refusal != nil {
				require.Equal(t, InvalidArgument, refusal.Code, "%s: %s", fun.sig, refusal.Message)
				require.Equal(t, No, refusal.Executed)
				continue
			}
			_, err := decodeAny(result)
			require.NoError(t, err, fun.sig)
		}
	})
}

// Results are taken or refused, whatever the caller wants them to be.
func FuzzResult(f *testing.F) {
	for _, fn := range []any{
		func() {}, func() (int, string) { return 1, "a" }, func() []int8 { return []int8{1} },
		func() map[string][]time.Time { return map[string][]time.Time{"a": {{}}} },
		func() person { return person{} }, func() any { return nil }, func() []byte { return []byte{1} },
	} {
		f.Add(resultOf(f, fn))
	}
	types := []reflect.Type{reflect.TypeFor[int](), reflect.TypeFor[any](), reflect.TypeFor[*person](), reflect.TypeFor[map[string]int]()}
	f.Fuzz(func(t *testing.T, b []byte) {
		kindPlans.seen = nil // as in a node that is new
		_, _ = decodeAny(b)
		_, _ = decodeAs[int](b)
		_, _ = decodeAs[person](b)
		_, _ = decodeAs[[]byte](b)
		for n := range types {
			_, err := decodeResults(b, types[:n+1])
			if err != nil {
				var e *Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, Yes, e.Executed)
			}
		}
	})
}
