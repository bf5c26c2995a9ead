package broach

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func BenchmarkGuard(b *testing.B) {
	args, err := appendArgs(nil, maxMessageMost, []any{1, 2})
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_ = checkMsgpack(args, 1)
	}
}

func BenchmarkAppendArgs(b *testing.B) {
	for name, args := range map[string][]any{
		"add":    {1, 2},
		"struct": {person{Name: "Ann", Age: 41, Home: &address{}}},
		"1KiB":   {make([]byte, 1<<10)},
	} {
		b.Run(name, func(b *testing.B) {
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst, _ = appendArgs(dst[:0], maxMessageMost, args)
			}
		})
	}
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
			f, err := newFunction("f", c.fn)
			require.NoError(b, err)
			args, err := appendArgs(nil, maxMessageMost, c.args)
			require.NoError(b, err)
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst, _ = f.invoke(b.Context(), args, dst[:0])
			}
		})
	}
}

func BenchmarkDecodeResult(b *testing.B) {
	result := resultOf(b, func() int { return 1000 })
	b.Run("as int", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = decodeAs[int](result)
		}
	})
	b.Run("any", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = decodeAny(result)
		}
	})
}
