package page

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestATableIsAlignedInItsSource(t *testing.T) {
	require.Equal(t, `| what |     é |
| ---- | ----: |
| one  | 1,234 |
| x    |    12 |
`, Table([]string{"what", "é"}, [][]string{{"one", Count(1234)}, {"x", Count(12)}}))
}

func TestGroupsOfThreeDigits(t *testing.T) {
	require.Equal(t, []string{"0", "999", "1,000", "1,234,567"},
		[]string{Count(0), Count(999), Count(1000), Count(1234567)})
}
