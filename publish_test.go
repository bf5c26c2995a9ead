package broach

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// The error of Publish is that of everyone who missed the event.
func TestTheErrorOfPublishHoldsAll(t *testing.T) {
	n := new(Node)
	d, err := n.delivery("sold", []handing{
		{node: addrOf(2)}, {failed: &Error{Code: Overloaded, Executed: No, Service: "\x00asold"}}, {node: addrOf(1)}, {node: addrOf(2)},
		{failed: &Error{Code: Unreachable, Service: "\x00asold"}}, {failed: &Error{Code: NotFound, Executed: No}},
	})
	require.Equal(t, []int{2, 3}, ports(d.Nodes))
	require.Len(t, d.Missed, 2)
	require.True(t, errors.Is(err, ErrOverloaded) && errors.Is(err, ErrUnreachable))
	require.False(t, errors.Is(err, ErrNotFound))
	require.NotContains(t, err.Error(), "\x00")
}
