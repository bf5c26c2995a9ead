package broach

import (
	"math/bits"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// A simulation of a thousand nodes has a million links, and the allocator rounds up: one more field may cost 32 MiB.
func TestALinkIsSmall(t *testing.T) {
	if bits.UintSize != 64 {
		t.Skip("its pointers are smaller here")
	}
	const class = 352 // bytes, one of the allocator's
	require.LessOrEqual(t, unsafe.Sizeof(conn{}), uintptr(class))
}
