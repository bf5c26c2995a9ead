package balance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRetriesHaveABudget(t *testing.T) {
	var b Budget
	now := time.Now()
	spend := func(calls uint64) (k int) {
		for b.Spend(now, calls) {
			k++
		}
		return k
	}
	require.Equal(t, budgetFloor, spend(1000), "of calls before nothing is known")
	require.Equal(t, 200, spend(2000))
	require.Zero(t, spend(2000))
	now = now.Add(time.Second)
	require.Equal(t, budgetFloor, spend(2000))
}
