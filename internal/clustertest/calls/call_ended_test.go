package calls

import (
	"context"
	"testing"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// Who a ctx is of that has ended is not said to have given up where somebody else has ended it: the function returned,
// or its node was closed.
func TestWhoEndedACall(t *testing.T) {
	type end func(provider, caller *broach.Node, cancel func())
	for name, test := range map[string]struct {
		end  end
		code broach.Code
		text string
	}{
		"the function returned": {
			func(_, _ *broach.Node, _ func()) {}, broach.Canceled, "the function that called had returned",
		},
		"its caller gave up": {
			func(_, _ *broach.Node, cancel func()) { cancel() }, broach.Canceled, "the caller gave up",
		},
		"its node was closed": {
			func(provider, _ *broach.Node, _ func()) { provider.Close() }, broach.Canceled,
			"the node was closed whose function called",
		},
		"the node was closed": {
			func(_, caller *broach.Node, _ func()) { caller.Close() }, broach.Closed, "this node was closed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
				returned := name == "the function returned"
				asked, failed, over := make(chan struct{}), make(chan error, 1), make(chan struct{})
				defer close(over)
				clustertest.Offer(c, caller, provider, "hang", func() { close(asked); <-over })
				clustertest.Offer(c, provider, caller, "ask", func(ctx context.Context) error {
					hang := caller.Caller("hang", broach.On(caller.Addr()))
					call := func() error { _, err := hang.Call(ctx); return err }
					if returned {
						go func() { failed <- call() }()
						<-asked
						return nil
					}
					failed <- call()
					return nil
				})
				ctx, cancel := context.WithCancel(c.T.Context())
				defer cancel()
				go func() { _, _ = caller.Caller("ask").Call(ctx) }()
				<-asked
				test.end(provider, caller, cancel)
				e := clustertest.RequireError(c.T, <-failed, test.code, broach.Maybe)
				require.Contains(c.T, e.Message, test.text)
			})
		})
	}
}

// Where both nodes are closed at once, either may be the first.
func TestACallBetweenNodesThatAreClosedAtOnce(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		asked, failed, over := make(chan struct{}), make(chan error, 1), make(chan struct{})
		defer close(over)
		clustertest.Offer(c, caller, provider, "hang", func() { close(asked); <-over })
		clustertest.Offer(c, provider, caller, "ask", func(ctx context.Context) {
			_, err := caller.Caller("hang", broach.On(caller.Addr())).Call(ctx)
			failed <- err
		})
		go func() { _, _ = caller.Caller("ask").Call(c.T.Context()) }()
		<-asked
		go provider.Close()
		caller.Close()
		var e *broach.Error
		require.ErrorAs(c.T, <-failed, &e)
		require.Contains(c.T, []broach.Code{broach.Closed, broach.Canceled}, e.Code, e.Message)
		require.Equal(c.T, broach.Maybe, e.Executed)
	})
}

// The function's ctx ends with the call: it does not go on to make calls that nobody waits for.
func TestTheContextOfAFunctionEndsWithIt(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		var kept context.Context
		clustertest.Offer(c, provider, caller, "keep", func(ctx context.Context) { kept = ctx })
		_, err := caller.Caller("keep").Call(c.T.Context())
		require.NoError(c.T, err)
		_, err = provider.Caller("keep").Call(kept)
		e := clustertest.RequireError(c.T, err, broach.Canceled, broach.No)
		require.Equal(c.T, "the function that called had returned", e.Message)
	})
}
