package broach

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// That an earlier attempt may have run is not forgotten when the last one surely did not.
func TestTheOutcomeOfSeveralAttempts(t *testing.T) {
	before, last := &Error{Code: Unreachable, Executed: Maybe}, &Error{Code: Overloaded, Executed: No}
	require.Equal(t, Maybe, last.after(before).Executed)
	require.Equal(t, No, last.Executed, "errors are not changed")
	require.Same(t, last, last.after(nil))
	require.Same(t, last, last.after(&Error{Executed: No}))
	ran := &Error{Code: Internal, Executed: Yes}
	require.Same(t, ran, ran.after(before))
}
