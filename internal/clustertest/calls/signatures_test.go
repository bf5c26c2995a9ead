package calls

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// amongTwoSignatures runs a test on a caller, node 0, and so many old providers of "add", of two numbers, as new ones,
// of a text and a number.
func amongTwoSignatures(t *testing.T, each int, test func(c *clustertest.Cluster, caller *broach.Node)) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		caller := c.Start(0)
		for i := range each {
			require.NoError(t, c.Start(1+i, 0).Register("add", func(x, y int) int { return x + y },
				broach.Idempotent()))
			require.NoError(t, c.Start(11+i, 0).Register("add", func(s string, y int) string { return s },
				broach.Idempotent()))
		}
		require.NoError(t, caller.WaitFor(context.Background(), "add", 2*each))
		test(c, caller)
	})
}

// "a call whose arguments do not fit one is made again where they may"
func TestCallsFindTheSignatureThatFits(t *testing.T) {
	amongTwoSignatures(t, 3, func(c *clustertest.Cluster, caller *broach.Node) {
		for _, opts := range [][]broach.CallOption{
			nil, {broach.Retries(1)}, {broach.Balance(broach.RoundRobin())},
			{broach.Hedge(time.Second), broach.Retries(1)},
		} {
			old := broach.Bind[func(int, int) (int, error)](caller, "add", opts...)
			f := caller.Caller("add", opts...)
			for range 50 {
				v, err := f.Call(context.Background(), 1, 2)
				require.NoError(t, err)
				require.Equal(t, 3, v)
				s, err := broach.Call[string](context.Background(), f, "a", 2)
				require.NoError(t, err)
				require.Equal(t, "a", s)
				v, err = old(1, 2)
				require.NoError(t, err)
				require.Equal(t, 3, v)
			}
		}
	})
}

// [CALL-21] What fits none is asked once of each signature, not of each provider, and NoRetry asks once.
func TestCallsThatFitNoSignature(t *testing.T) {
	amongTwoSignatures(t, 3, func(c *clustertest.Cluster, caller *broach.Node) {
		sent := caller.Stats().DatagramsOut
		_, err := caller.Caller("add").Call(context.Background(), true)
		clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
		require.LessOrEqual(t, caller.Stats().DatagramsOut-sent, uint64(2))
		fails := 0
		for range 100 {
			_, err := caller.Caller("add", broach.NoRetry()).Call(context.Background(), 1, 2)
			if err != nil {
				require.True(t, errors.Is(err, broach.ErrInvalidArgument))
				fails++
			}
		}
		require.LessOrEqual(t, fails, 1, "then it is known where they fit")
	})
}

// "One that is offered with several signatures ... is listed with each".
func TestServicesShowEachSignature(t *testing.T) {
	amongTwoSignatures(t, 2, func(c *clustertest.Cluster, caller *broach.Node) {
		want := []broach.Service{
			{Name: "add", Signature: "add(int, int) int",
				Providers: []netip.AddrPort{clustertest.AddrOf(1), clustertest.AddrOf(2)}},
			{Name: "add", Signature: "add(string, int) string",
				Providers: []netip.AddrPort{clustertest.AddrOf(11), clustertest.AddrOf(12)}},
		}
		require.Equal(t, want, caller.Services())
		c.Settle(time.Second)
		require.Equal(t, want, c.Nodes[1].Services(), "a provider, too")
	})
}
