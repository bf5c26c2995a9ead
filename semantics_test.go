package broach

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A call means the same wherever the function runs: here ...
func TestSemanticsOfLocalCalls(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n := c.start(0)
		runSemanticCases(c.t, callAcross(n, n))
	})
}

// ... and elsewhere.
func TestSemanticsOfRemoteCalls(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		provider, caller := c.start(0), c.start(1, 0)
		runSemanticCases(c.t, callAcross(provider, caller))
	})
}

// callAcross offers the function at one node for one call of another.
func callAcross(provider, caller *Node) semanticCall {
	return func(t *testing.T, name string, fn any, args []any) (any, error) {
		require.NoError(t, provider.Register(name, fn))
		require.NoError(t, caller.WaitFor(t.Context(), name, 1))
		v, err := caller.Caller(name).Call(t.Context(), args...)
		require.NoError(t, provider.Unregister(name))
		require.NoError(t, caller.await(t.Context(), func(v *view) bool { return v.routes.get(name) == nil }))
		return v, err
	}
}

func TestErrorsReadTheSameHereAndElsewhere(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		provider, caller := c.start(0), c.start(1, 0)
		for _, s := range semanticCases {
			if s.code == 0 {
				continue
			}
			_, near := callAcross(provider, provider)(c.t, "f", s.fn, s.args)
			_, far := callAcross(provider, caller)(c.t, "f", s.fn, s.args)
			// where there is one: arguments that cannot be sent fail before a provider is chosen
			far.(*Error).Node = near.(*Error).Node
			require.Equal(c.t, near, far, s.name)
		}
	})
}
