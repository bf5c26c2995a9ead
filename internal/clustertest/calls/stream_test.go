package calls

import (
	"errors"
	"testing"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/functiontest"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// A stream means the same wherever the function runs: here ...
func TestSemanticsOfLocalStreams(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n := c.Start(0)
		functiontest.RunStreams(c.T, functiontest.Streams, streamAcross(c, n, n))
		functiontest.Run(c.T, functiontest.Uploads, across(c, n, n))
	})
}

// streamAcross ranges over streams of one node at another.
func streamAcross(c *clustertest.Cluster, provider, caller *broach.Node) functiontest.StreamCall {
	return func(t *testing.T, name string, fn any, args []any, most int) (items []any, _ *functiontest.Failure) {
		defer withdraw(c, provider, caller, name)
		clustertest.Offer(c, provider, caller, name, fn)
		for v, err := range broach.Stream[any](t.Context(), caller.Caller(name), args...) {
			if err != nil {
				require.Nil(t, v)
				e, ok := errors.AsType[*broach.Error](err)
				require.True(t, ok, "%T: %v", err, err)
				return items, &functiontest.Failure{
					Code: wire.Code(e.Code), Executed: wire.Executed(e.Executed), Text: e.Message,
				}
			}
			if items = append(items, v); len(items) == most {
				break
			}
		}
		return items, nil
	}
}
