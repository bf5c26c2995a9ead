package pace

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The zero time means never: it is earlier than no other, and never later.
func TestNeverIsNoTime(t *testing.T) {
	never, soon, late := time.Time{}, time.Unix(1, 0), time.Unix(2, 0)
	require.Equal(t, soon, Earliest(late, soon))
	require.Equal(t, soon, Earliest(never, soon))
	require.Equal(t, soon, Earliest(soon, never))
	require.Equal(t, late, Later(soon, late))
	require.Equal(t, soon, Later(soon, never))
	require.Equal(t, soon, First(never, late, soon, never))
	require.Zero(t, First())
	require.Zero(t, First(never, never))
}
