package wire

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// [FRAG-1] A fragment MUST be dropped when its data is not as long as total, size and index demand
func TestFragmentsThatDoNotFitTheirTransferAreRejected(t *testing.T) {
	for _, c := range []struct {
		what  string
		total uint32
		size  uint16
		index uint32
		data  int
		fits  bool
	}{
		{"first of two and a bit", 515, 256, 0, 256, true},
		{"one byte short", 515, 256, 0, 255, false},
		{"one byte long", 515, 256, 0, 257, false},
		{"empty", 515, 256, 0, 0, false},
		{"second of two and a bit", 515, 256, 1, 256, true},
		{"last", 515, 256, 2, 3, true},
		{"last as long as the others", 515, 256, 2, 256, false},
		{"last empty", 515, 256, 2, 0, false},
		{"past the last", 515, 256, 3, 0, false},
		{"last of a multiple of the size", 512, 256, 1, 256, true},
		{"past the last of a multiple of the size", 512, 256, 2, 0, false},
		{"all in one", 100, 256, 0, 100, true},
		{"one byte in all", 1, 256, 0, 1, true},
		{"nothing in all", 0, 256, 0, 0, false},
		{"size below 256", 515, 255, 0, 255, false},
		{"size 0", 515, 0, 0, 0, false},
		{"largest of all", math.MaxUint32, 32768, 131071, 32767, true},
		{"index times size is 2^32", 256, 256, 1 << 24, 256, false},
		{"index times size is over 2^32", 257, 256, 1<<24 + 1, 1, false},
	} {
		f := Fragment{Transfer: 1, Total: c.total, Size: c.size, Index: c.index, Data: make([]byte, c.data)}
		got, err := ConsumeFragment(f.Append(nil)[FrameSize:])
		if !c.fits {
			require.ErrorIs(t, err, ErrField, c.what)
			continue
		}
		require.NoError(t, err, c.what)
		require.Equal(t, f, got, c.what)
	}
}
