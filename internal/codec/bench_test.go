package codec

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func BenchmarkGuard(b *testing.B) {
	args, err := appendArguments(nil, most, []any{1, 2})
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_ = checkMsgpack(args, 1)
	}
}

func BenchmarkAppendArgs(b *testing.B) {
	for name, args := range map[string][]any{
		"add":    {1, 2},
		"struct": {tenant{Name: "Ann", Age: 41, Home: &place{}}},
		"1KiB":   {make([]byte, 1<<10)},
	} {
		b.Run(name, func(b *testing.B) {
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst, _ = appendArguments(dst[:0], most, args)
			}
		})
	}
}

func BenchmarkDecodeResult(b *testing.B) {
	result := resultOf(b, func() int { return 1000 })
	b.Run("as int", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = DecodeAs[int](result)
		}
	})
	b.Run("any", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = decodeAny(result)
		}
	})
}
