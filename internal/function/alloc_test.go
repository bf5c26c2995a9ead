//go:build !race

package function

import (
	"testing"

	"broach/internal/codec"

	"github.com/stretchr/testify/require"
)

// Not under the race detector, which makes sync.Pool forget.

// No allocation is made to run add(int, int).
func TestPlainFunctionsDoNotAllocate(t *testing.T) {
	f, err := New("add", func(x, y int) int { return x + y })
	require.NoError(t, err)
	sent, err := codec.Arguments{List: []any{1, 2}}.Append(nil, mostBytes)
	require.NoError(t, err)
	var result []byte
	invoke := func() { result, _ = f.Invoke(t.Context(), sent, result[:0], nil) }
	require.Zero(t, testing.AllocsPerRun(100, invoke), "running")

	type sum func(x, y int) int // a named type is called by reflection
	f, err = New("add", sum(func(x, y int) int { return x + y }))
	require.NoError(t, err)
	require.LessOrEqual(t, testing.AllocsPerRun(100, invoke), 2.0, "running by reflection")
}
