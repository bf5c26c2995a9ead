package broach

import (
	"context"
	"testing"

	"broach/internal/link"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// Who a ctx is of that has ended is not said to have given up where somebody else has ended it: the function returned,
// or its node was closed.
func TestWhoEndedACall(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(provider, caller *Node, cancel func())
		code Code
		text string
	}{
		"the function returned": {func(_, _ *Node, _ func()) {}, Canceled, "the function that called had returned"},
		"its caller gave up":    {func(_, _ *Node, cancel func()) { cancel() }, Canceled, "the caller gave up"},
		"its node was closed":   {func(provider, _ *Node, _ func()) { provider.Close() }, Canceled, "the node was closed whose function called"},
		"the node was closed":   {func(_, caller *Node, _ func()) { caller.Close() }, Closed, textClosed},
	} {
		t.Run(name, func(t *testing.T) {
			inPair(t, nil, func(c *cluster, provider, caller *Node) {
				returned := name == "the function returned"
				asked, failed, over := make(chan struct{}), make(chan error, 1), make(chan struct{})
				defer close(over)
				offer(c, caller, provider, "hang", func() { close(asked); <-over })
				offer(c, provider, caller, "ask", func(ctx context.Context) error {
					call := func() error { _, err := caller.Caller("hang", On(caller.Addr())).Call(ctx); return err }
					if returned {
						go func() { failed <- call() }()
						<-asked
						return nil
					}
					failed <- call()
					return nil
				})
				ctx, cancel := context.WithCancel(c.t.Context())
				defer cancel()
				go func() { _, _ = caller.Caller("ask").Call(ctx) }()
				<-asked
				test.end(provider, caller, cancel)
				e := requireError(c.t, <-failed, test.code, Maybe)
				require.Contains(c.t, e.Message, test.text)
			})
		})
	}
}

// Where both nodes are closed at once, either may be the first.
func TestACallBetweenNodesThatAreClosedAtOnce(t *testing.T) {
	inPair(t, nil, func(c *cluster, provider, caller *Node) {
		asked, failed, over := make(chan struct{}), make(chan error, 1), make(chan struct{})
		defer close(over)
		offer(c, caller, provider, "hang", func() { close(asked); <-over })
		offer(c, provider, caller, "ask", func(ctx context.Context) {
			_, err := caller.Caller("hang", On(caller.Addr())).Call(ctx)
			failed <- err
		})
		go func() { _, _ = caller.Caller("ask").Call(c.t.Context()) }()
		<-asked
		go provider.Close()
		caller.Close()
		var e *Error
		require.ErrorAs(c.t, <-failed, &e)
		require.Contains(c.t, []Code{Closed, Canceled}, e.Code, e.Message)
		require.Equal(c.t, Maybe, e.Executed)
	})
}

// A call that has ended is told as it ended, whatever else has ended by the time that its caller looks.
func TestWhatHasEndedIsToldAsItEnded(t *testing.T) {
	inPair(t, nil, func(c *cluster, provider, _ *Node) {
		ctx, cancel := context.WithCancel(c.t.Context())
		cancel()
		p := provider.linking.wires.NewCall()
		p.EndOwned(link.Outcome{Executed: wire.ExecutedYes})
		_, failed := provider.Caller("here").unawaited(ctx, &request{pending: p})
		require.Nil(c.t, failed)

		_, failed = provider.Caller("here").unawaited(ctx, &request{pending: provider.linking.wires.NewCall()})
		requireError(c.t, failed, Canceled, Maybe)
	})
}

// The function's ctx ends with the call: it does not go on to make calls that nobody waits for.
func TestTheContextOfAFunctionEndsWithIt(t *testing.T) {
	inPair(t, nil, func(c *cluster, provider, caller *Node) {
		var kept context.Context
		offer(c, provider, caller, "keep", func(ctx context.Context) { kept = ctx })
		_, err := caller.Caller("keep").Call(c.t.Context())
		require.NoError(c.t, err)
		_, err = provider.Caller("keep").Call(kept)
		e := requireError(c.t, err, Canceled, No)
		require.Equal(c.t, "the function that called had returned", e.Message)
	})
}
