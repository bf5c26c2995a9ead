package broach

import (
	"bytes"
	"encoding/hex"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"time"

	"broach/internal/codec"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// allocated returns the bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Bytes that are not an array of values are no arguments, and the function does not run.
//
// [VAL-1] Before any decoding the bytes are walked once: every declared length is satisfied by bytes present, nesting is at most 64,
// elements are at most 8,388,608, and the value ends exactly at the end; else the call is answered InvalidArgument.
func TestMalformedArguments(t *testing.T) {
	f, err := newService("f", func(...any) { t.Error("the function ran") })
	require.NoError(t, err)
	for b, text := range map[string]string{
		"":       "goes beyond the message",
		"01":     "got integer, want []any",
		"8101c0": "got map, want []any",
		"c0":     "got nil, want []any",
		"9201":   "goes beyond the message",
		"9101c0": "bytes after the last value",
		"91c1":   "0xc1",
	} {
		_, refusal := f.invoke(t.Context(), unhex(t, b), nil)
		require.NotNil(t, refusal, b)
		require.Equal(t, InvalidArgument, refusal.Code)
		require.Equal(t, No, refusal.Executed)
		require.Contains(t, refusal.Message, "f(...any): malformed arguments: ")
		require.Contains(t, refusal.Message, text)
	}
}

// The messages that end, or nearly end, a process that hands them to the msgpack package.
//
// [VAL-1] Before any decoding the bytes are walked once: every declared length is satisfied by bytes present, nesting is at most 64,
// elements are at most 8,388,608, and the value ends exactly at the end; else the call is answered InvalidArgument.
func TestHostileMessagesAreRefusedCheaply(t *testing.T) {
	nested := bytes.Repeat([]byte{0xdc, 0xff, 0xff}, 466) // each level claims 65,535 elements: 450 MB in one datagram
	for name, b := range map[string][]byte{
		"an array of 2^31 elements in 6 bytes": unhex(t, "91dd80000000"),
		"a map of 2^31 pairs in 6 bytes":       unhex(t, "91df80000000"),
		"a string of 4 GiB in 6 bytes":         unhex(t, "91dbffffffff"),
		"an extension of 4 GiB":                unhex(t, "91c9ffffffffff"),
		"arrays within arrays in a datagram":   nested,
		"a million levels":                     bytes.Repeat([]byte{0x91}, 1<<20),
		"a million levels of maps":             bytes.Repeat([]byte{0x81}, 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			for _, fn := range []any{func(any) {}, func([]any) {}, func(map[string]any) {}, func([][]int) {}, func(string) {}, func([]byte) {}} {
				f, err := newService("f", fn)
				require.NoError(t, err)
				require.Less(t, allocated(func() {
					_, refusal := f.invoke(t.Context(), b, nil)
					require.NotNil(t, refusal)
					require.Equal(t, InvalidArgument, refusal.Code)
				}), uint64(64<<10))
			}
		})
	}
}

// What the arguments of a variadic function take is bounded as one argument is.
func TestMemoryOfVariadicFunctionsIsBounded(t *testing.T) {
	type big struct{ A [128]int64 }
	for name, fn := range map[string]any{"values": func(...big) {}, "slices": func(...[]big) {}} {
		f, err := newService("f", fn)
		require.NoError(t, err)
		const n = 1 << 17
		args := append([]byte{0xdd, 0, 2, 0, 0}, bytes.Repeat([]byte{0x80}, n)...)
		if name == "slices" {
			args = append([]byte{0x91}, args...)
		}
		require.Less(t, allocated(func() {
			_, refusal := f.invoke(t.Context(), args, nil)
			require.NotNil(t, refusal, name)
			require.Contains(t, refusal.Message, "memory", name)
		}), uint64(1<<20+64*2*n), name)
	}
}

// Error texts quote what was sent, however long; they are cut to what a reply has room for.
func TestErrorTextOfAFunctionIsBounded(t *testing.T) {
	f, err := newService("f", func(point) {})
	require.NoError(t, err)
	args, err := codec.Arguments{List: []any{[]any{strings.Repeat("世", wire.MaxText)}}}.Append(nil, maxMessageMost)
	require.NoError(t, err)
	_, refusal := f.invoke(t.Context(), args, nil)
	require.NotNil(t, refusal)
	require.LessOrEqual(t, len(refusal.Message), wire.MaxText+len("…"))
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
	for _, c := range semanticCases {
		if args, err := (codec.Arguments{List: c.args}).Append(nil, maxMessageMost); err == nil {
			f.Add(args)
		}
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0x91}, 100))
	f.Add([]byte{0x91, 0xdd, 0x80, 0, 0, 0})
	f.Add(append([]byte{0xdc, 1, 0}, bytes.Repeat([]byte{0x80}, 256)...))
	var functions []*service
	for _, fn := range fuzzed {
		fun, err := newService("f", fn)
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
			_, err := codec.DecodeAs[any](result)
			require.NoError(t, err, fun.sig)
		}
	})
}

func BenchmarkInvoke(b *testing.B) {
	type sum func(x, y int) int
	for _, c := range []struct {
		name string
		fn   any
		args []any
	}{
		{"add typed", addInts, []any{1, 2}},
		{"add reflected", sum(addInts), []any{1, 2}},
		{"echo 1KiB typed", func(b []byte) []byte { return b }, []any{make([]byte, 1<<10)}},
		{"echo struct", func(p person) person { return p }, []any{person{Name: "Ann", Age: 41, Home: &address{}}}},
		{"echo any", echoAny, []any{map[string]any{"a": []any{1, "b"}}}},
		{"sum 1000 ints", func(x []int) int { return len(x) }, []any{make([]int, 1000)}},
	} {
		b.Run(c.name, func(b *testing.B) {
			f, err := newService("f", c.fn)
			require.NoError(b, err)
			args, err := codec.Arguments{List: c.args}.Append(nil, maxMessageMost)
			require.NoError(b, err)
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst, _ = f.invoke(b.Context(), args, dst[:0])
			}
		})
	}
}
