package broach

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// An execution is what is sure of all calls that were made: one that ran is enough for Yes, one that may have for
// Maybe.
func TestExecutionsAddUp(t *testing.T) {
	for _, c := range []struct {
		ended []Executed
		want  Executed
	}{{nil, No}, {[]Executed{No, No}, No}, {[]Executed{No, Maybe}, Maybe}, {[]Executed{Maybe, Yes, No}, Yes}} {
		var x execution
		for _, e := range c.ended {
			x.begin()
			require.NotEqual(t, No, x.outcome(), "one is under way")
			x.end(e)
		}
		require.Equal(t, c.want, x.outcome())
	}
}
