package calls

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/functiontest"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// semantics are the cases of functions alone, and those of functions that return errors of broach.
var semantics = slices.Concat(functiontest.Cases, []functiontest.Case{
	{
		Name:    "error of the user's code",
		Fn:      func(int) error { return fmt.Errorf("at the shop: %w", broach.Errorf(1042, "no %s", "milk")) },
		Args:    []any{1},
		Failure: functiontest.Failure{Code: 1042, Executed: wire.ExecutedYes, Text: "at the shop: no milk"},
	},
	{
		Name: "error of a call of the function's own",
		Fn: func() error {
			return &broach.Error{Code: broach.Unreachable, Message: "gone", Service: "other", Executed: broach.No}
		},
		Failure: functiontest.Failure{Code: wire.Unreachable, Executed: wire.ExecutedYes, Text: "gone"},
	},
	{
		Name:    "error of broach that panics",
		Fn:      func() error { return (*broach.Error)(nil) },
		Failure: functiontest.Failure{Code: wire.Internal, Executed: wire.ExecutedYes, Text: "the function panicked"},
	},
})

// A call means the same wherever the function runs: here ...
func TestSemanticsOfLocalCalls(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n := c.Start(0)
		functiontest.Run(c.T, semantics, across(c, n, n))
	})
}

// ... and elsewhere.
func TestSemanticsOfRemoteCalls(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider, caller := c.Start(0), c.Start(1, 0)
		functiontest.Run(c.T, semantics, across(c, provider, caller))
	})
}

func TestErrorsReadTheSameHereAndElsewhere(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider, caller := c.Start(0), c.Start(1, 0)
		for _, s := range semantics {
			if !s.Fails() {
				continue
			}
			_, near := callAcross(c, provider, provider, "f", s.Fn, s.Args)
			_, far := callAcross(c, provider, caller, "f", s.Fn, s.Args)
			// where there is one: arguments that cannot be sent fail before a provider is chosen
			far.(*broach.Error).Node = near.(*broach.Error).Node
			require.Equal(c.T, near, far, s.Name)
		}
	})
}

// across calls functions of one node from another.
func across(c *clustertest.Cluster, provider, caller *broach.Node) functiontest.Call {
	return func(t *testing.T, name string, fn any, args []any) (any, *functiontest.Failure) {
		v, err := callAcross(c, provider, caller, name, fn, args)
		if err == nil {
			return v, nil
		}
		e, ok := errors.AsType[*broach.Error](err)
		require.True(t, ok, "%T: %v", err, err)
		return v, &functiontest.Failure{Code: wire.Code(e.Code), Executed: wire.Executed(e.Executed), Text: e.Message}
	}
}

// callAcross offers the function at one node for one call of another.
func callAcross(c *clustertest.Cluster, provider, caller *broach.Node, name string, fn any, args []any) (any, error) {
	defer withdraw(c, provider, caller, name)
	clustertest.Offer(c, provider, caller, name, fn)
	return caller.Caller(name).Call(c.T.Context(), args...)
}

// withdraw takes a function back that was offered to another node.
func withdraw(c *clustertest.Cluster, provider, caller *broach.Node, name string) {
	require.NoError(c.T, provider.Unregister(name))
	c.Until(time.Second, "the caller has heard that it is gone", func() bool { return !knows(caller, name) })
}

// knows reports whether a node has heard of a function.
func knows(n *broach.Node, name string) bool {
	return slices.ContainsFunc(n.Services(), func(s broach.Service) bool { return s.Name == name })
}
