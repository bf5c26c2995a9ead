package broach

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"broach/internal/link"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// inPair runs a test on a provider of some functions and a caller that knows them.
func inPair(t *testing.T, functions map[string]any, test func(c *cluster, provider, caller *Node), edit ...func(*Config)) {
	inCluster(t, 1, func(c *cluster) {
		for _, e := range edit {
			c.edit = e
		}
		provider, caller := c.start(0), c.start(1, 0)
		for name, fn := range functions {
			offer(c, provider, caller, name, fn)
		}
		test(c, provider, caller)
	})
}

// offer registers a function and waits until the caller knows.
func offer(c *cluster, provider, caller *Node, name string, fn any, opts ...RegisterOption) {
	require.NoError(c.t, provider.Register(name, fn, opts...))
	require.NoError(c.t, caller.WaitFor(c.t.Context(), name, 1))
}

// requireError holds the error of a call to its code and to what it says of the function.
func requireError(t *testing.T, err error, code Code, executed Executed) *Error {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, e.Message)
	require.Equal(t, executed, e.Executed, e.Message)
	require.ErrorIs(t, err, &Error{Code: code})
	return e
}

// pickFunc is a Balancer made of a function.
type pickFunc func(call CallInfo, providers []Provider) int

func (f pickFunc) Pick(call CallInfo, providers []Provider) int { return f(call, providers) }

// memberAt is what a node says of another.
func memberAt(n *Node, addr netip.AddrPort) Member {
	list := n.Members()
	return list[slices.IndexFunc(list, func(m Member) bool { return m.Addr == addr })]
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

// The loop looks at breakers while one is open, and not once that which nobody tries is closed, too.
func TestNobodyLooksAtClosedBreakers(t *testing.T) {
	inPair(t, map[string]any{"f": func() { panic("ill") }}, func(c *cluster, _, caller *Node) {
		isOpen := func() bool { return len(caller.Stats().Peers[0].Open) == 1 }
		for range 5 {
			_, _ = caller.Caller("f").Call(c.t.Context())
		}
		c.until(time.Second, "it is open", isOpen)
		require.False(c.t, caller.loop.circuitsAt.IsZero())
		c.until(3*time.Minute, "it is forgiven", func() bool { return !isOpen() })
		require.True(c.t, caller.loop.circuitsAt.IsZero())
	})
}
