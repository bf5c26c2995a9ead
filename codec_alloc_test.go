//go:build !race

package broach

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Not under the race detector, which makes sync.Pool forget.

// No allocation is made on the way of add(int, int), at either end.
func TestPlainCallsDoNotAllocate(t *testing.T) {
	f, err := newFunction("add", func(x, y int) int { return x + y })
	require.NoError(t, err)
	args := []any{1, 2}
	var sent, result []byte
	require.Zero(t, testing.AllocsPerRun(100, func() { sent, _ = appendArgs(sent[:0], maxMessageMost, args) }), "encoding arguments")
	require.Zero(t, testing.AllocsPerRun(100, func() { result, _ = f.invoke(t.Context(), sent, result[:0]) }), "running")
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = decodeAs[int](result) }), "decoding the result as int")
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = decodeAny(result) }), 1.0, "decoding the result as any")

	type sum func(x, y int) int // a named type is called by reflection
	f, err = newFunction("add", sum(func(x, y int) int { return x + y }))
	require.NoError(t, err)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { result, _ = f.invoke(t.Context(), sent, result[:0]) }), 2.0, "running by reflection")
}
