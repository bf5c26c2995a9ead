package function

import (
	"bytes"
	"strings"
	"testing"

	"broach/internal/codec"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// Bytes that are not an array of values are no arguments, and the function does not run.
//
// [VAL-1] Before any decoding the bytes are walked once: every declared length is satisfied by bytes present, nesting
// is at most 1,000, and the value ends exactly at the end; else the call is answered InvalidArgument.
func TestMalformedArguments(t *testing.T) {
	f, err := New("f", func(...any) { t.Error("the function ran") })
	require.NoError(t, err)
	for b, text := range map[string]string{
		"":       "goes beyond the message",
		"01":     "an int does not fit []any",
		"8101c0": "a map or struct does not fit []any",
		"c0":     "nil does not fit []any",
		"9201":   "goes beyond the message",
		"9101c0": "bytes after the last value",
		"91c1":   "0xc1",
	} {
		_, refusal := f.Invoke(t.Context(), fromDigits(t, b), nil, nil)
		requireRefusal(t, refusal, "f(...any): malformed arguments: ")
		requireRefusal(t, refusal, text)
	}
}

// The messages that end, or nearly end, a process that hands them to the msgpack package.
//
// [VAL-1] Before any decoding the bytes are walked once: every declared length is satisfied by bytes present, nesting
// is at most 1,000, and the value ends exactly at the end; else the call is answered InvalidArgument.
func TestHostileMessagesAreRefusedCheaply(t *testing.T) {
	nested := bytes.Repeat([]byte{0xdc, 0xff, 0xff}, 466) // each level claims 65,535 elements: 450 MB in one datagram
	for name, b := range map[string][]byte{
		"an array of 2^31 elements in 6 bytes": fromDigits(t, "91dd80000000"),
		"a map of 2^31 pairs in 6 bytes":       fromDigits(t, "91df80000000"),
		"a string of 4 GiB in 6 bytes":         fromDigits(t, "91dbffffffff"),
		"an extension of 4 GiB":                fromDigits(t, "91c9ffffffffff"),
		"arrays within arrays in a datagram":   nested,
		"a million levels":                     bytes.Repeat([]byte{0x91}, 1<<20),
		"a million levels of maps":             bytes.Repeat([]byte{0x81}, 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			for _, fn := range []any{
				func(any) {}, func([]any) {}, func(map[string]any) {}, func([][]int) {}, func(string) {},
				func([]byte) {},
			} {
				f, err := New("f", fn)
				require.NoError(t, err)
				require.Less(t, spent(func() {
					_, refusal := f.Invoke(t.Context(), b, nil, nil)
					requireRefusal(t, refusal, "")
				}), uint64(64<<10))
			}
		})
	}
}

// What the arguments of a variadic function take is bounded as one argument is.
func TestMemoryOfVariadicFunctionsIsBounded(t *testing.T) {
	type big struct{ A [128]int64 }
	for name, fn := range map[string]any{"values": func(...big) {}, "slices": func(...[]big) {}} {
		f, err := New("f", fn)
		require.NoError(t, err)
		const n = 1 << 17
		args := append([]byte{0xdd, 0, 2, 0, 0}, bytes.Repeat([]byte{0x80}, n)...)
		if name == "slices" {
			args = append([]byte{0x91}, args...)
		}
		require.Less(t, spent(func() {
			_, refusal := f.Invoke(t.Context(), args, nil, nil)
			requireRefusal(t, refusal, "memory")
		}), uint64(1<<20+64*2*n), name)
	}
}

// Error texts quote what was sent, however long; they are cut to what a reply has room for.
func TestErrorTextOfAFunctionIsBounded(t *testing.T) {
	f, err := New("f", func(spot) {})
	require.NoError(t, err)
	args, err := codec.Arguments{List: []any{[]any{strings.Repeat("世", wire.MaxText)}}}.Append(nil, mostBytes)
	require.NoError(t, err)
	_, refusal := f.Invoke(t.Context(), args, nil, nil)
	requireRefusal(t, refusal, "argument 1 of f(function.spot)")
	require.LessOrEqual(t, len(refusal.Error()), wire.MaxText+len("…"))
}

func BenchmarkInvoke(b *testing.B) {
	type sum func(x, y int) int
	for _, c := range []struct {
		name string
		fn   any
		args []any
	}{
		{"add typed", plus, []any{1, 2}},
		{"add reflected", sum(plus), []any{1, 2}},
		{"echo 1KiB typed", func(b []byte) []byte { return b }, []any{make([]byte, 1<<10)}},
		{"echo struct", func(p staff) staff { return p }, []any{staff{Name: "Ann", Age: 41, Boss: &staff{}}}},
		{"echo any", func(x any) any { return x }, []any{map[string]any{"a": []any{1, "b"}}}},
		{"sum 1000 ints", func(x []int) int { return len(x) }, []any{make([]int, 1000)}},
	} {
		b.Run(c.name, func(b *testing.B) {
			f, err := New("f", c.fn)
			require.NoError(b, err)
			args, err := codec.Arguments{List: c.args}.Append(nil, mostBytes)
			require.NoError(b, err)
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst, _ = f.Invoke(b.Context(), args, dst[:0], nil)
			}
		})
	}
}
