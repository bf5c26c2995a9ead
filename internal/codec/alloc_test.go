//go:build !race

package codec

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Not under the race detector, which makes sync.Pool forget.

// No allocation is made for plain arguments and results, at either end.
func TestPlainValuesDoNotAllocate(t *testing.T) {
	args, result := []any{1, 2}, resultOf(t, func() int { return 1000 })
	var sent []byte
	require.Zero(t, testing.AllocsPerRun(100, func() { sent, _ = appendArguments(sent[:0], most, args) }),
		"encoding arguments")
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = DecodeAs[int](result) }), "decoding the result as int")
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = decodeAny(result) }), 1.0,
		"decoding the result as any")
}
