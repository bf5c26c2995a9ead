package broachtest

import (
	"strconv"
	"testing"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// NameOfKind is the name of the kind with a number.
func NameOfKind(t *testing.T, number string) string {
	n, err := strconv.Atoi(number)
	require.NoError(t, err)
	return nameOf(wire.Kind(n))
}

// Wrongs is what Settle would tell now.
func (c *Cluster) Wrongs() string { return c.look().all() }

var IsForeign = isForeign
