package codec

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// "the same for the same types however they come", and, as far as chance allows, for no others.
func TestShapesAreOfTypes(t *testing.T) {
	shape := func(args ...any) uint64 { return Arguments{List: args}.Shape() }
	two := Arguments{Typed: NewTwos(WriteInt, WriteInt).Of(1, 2)}
	require.Equal(t, shape(3, 4), two.Shape())
	require.Equal(t, shape(3), Arguments{Typed: NewOnes(WriteInt).Of(1)}.Shape())
	require.Equal(t, shape(map[string]any{"a": 1}, nil), shape(map[string]any{}, nil))
	seen := map[uint64][]any{}
	for _, args := range [][]any{
		{}, {nil}, {nil, nil}, {nil, 1}, {1, nil}, {1}, {1, 2}, {int8(1)}, {"a"}, {"a", 1}, {1, "a"},
		{[]any{}}, {[]int{}}, {new(int)}, {(*int)(nil)}, {struct{}{}}, {func() {}},
	} {
		require.Empty(t, seen[shape(args...)])
		seen[shape(args...)] = append(args, "seen")
	}
	require.Zero(t, Arguments{Encoded: []byte{0x90}}.Shape())
}
