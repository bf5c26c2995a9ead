package broach

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"broach/internal/buffer"
	"broach/internal/link"
	"broach/internal/member"
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

// What is told of a member adds up to what Members says of it: who is out of reach is not told as up, but for a moment
// when it comes.
func TestEventsSayWhatAMemberIs(t *testing.T) {
	n := new(Node)
	n.linking.tokens.Init(rand.Uint64)
	view := func(s member.State, unreachable bool) *member.View {
		return &member.View{Facts: member.Facts{State: s, Unreachable: unreachable}, Functions: []wire.Function{{Name: "f"}}}
	}
	for name, test := range map[string]struct {
		was, is *member.View
		want    []EventKind
	}{
		"it comes":                        {nil, view(member.Alive, false), []EventKind{MemberUp, ServiceAdded}},
		"it comes out of reach":           {nil, view(member.Alive, true), []EventKind{MemberUp, MemberUnreachable, ServiceAdded}},
		"it is lost":                      {view(member.Alive, false), view(member.Alive, true), []EventKind{MemberUnreachable}},
		"it is reached again":             {view(member.Alive, true), view(member.Alive, false), []EventKind{MemberUp}},
		"a doubt about the unreachable":   {view(member.Alive, true), view(member.Suspect, true), []EventKind{MemberSuspect}},
		"that is over":                    {view(member.Suspect, true), view(member.Alive, true), []EventKind{MemberUnreachable}},
		"that is over, and it is reached": {view(member.Suspect, true), view(member.Alive, false), []EventKind{MemberUp}},
		"it dies":                         {view(member.Suspect, false), view(member.Offline, false), []EventKind{MemberOffline}},
		"it comes back":                   {view(member.Offline, false), view(member.Alive, false), []EventKind{MemberUp, ServiceAdded}},
		"it comes back out of reach":      {view(member.Left, true), view(member.Alive, true), []EventKind{MemberUp, MemberUnreachable, ServiceAdded}},
		"it leaves after it died":         {view(member.Offline, false), view(member.Left, false), []EventKind{MemberLeft}},
		"it has died before we look":      {nil, view(member.Offline, false), []EventKind{MemberOffline}},
		"nothing":                         {view(member.Offline, false), view(member.Offline, false), nil},
	} {
		var got []EventKind
		n.peerChanges(test.was, test.is, func(e Event) bool {
			got = append(got, e.Kind)
			return true
		})
		require.Equal(t, test.want, got, name)
	}
}

// A worker that finds its backlog empty has given it away: the next event may be in the hands of another one before it
// has returned, and panic there. Under the race detector this shows what the first does to it too late, whichever comes
// first.
func TestAnEmptyBacklogIsNotTouched(t *testing.T) {
	s := side(t, 1, Config{})
	f, err := subscriber("sold", func(panics bool) { panicIf(panics) })
	require.NoError(t, err)
	b := s.newBacklog(f, 1)
	const events = 100
	for range events {
		b.mu.Lock()
		b.inPool = true // in the hands of the worker below, which finds nothing
		b.mu.Unlock()
		var first sync.WaitGroup
		first.Go(b.Run)
		for !b.isFree() {
			runtime.Gosched()
		}
		event := &request{provider: &s.serving.provider}
		event.Args = &buffer.Buffer{B: []byte{0x91, 0xc3}}
		require.True(t, b.add(event))
		first.Wait()
		for !b.isFree() { // the second
			runtime.Gosched()
		}
	}
	require.Zero(t, s.serving.pool.Close(10*time.Second))
	require.EqualValues(t, events, s.serving.pool.Stats().Panics)
}

// isFree reports that no worker has the backlog.
func (b *backlog) isFree() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.inPool
}

// A process that was stopped for ten periods and a half makes one run when it goes on, and the next on its grid.
func TestEveryAfterAStall(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		var mu sync.Mutex
		var at []time.Duration
		start := time.Now()
		timer, err := c.start(0).Every(time.Second, func() {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Since(start).Round(100*time.Millisecond))
		}, Jitter(0))
		require.NoError(t, err)
		time.Sleep(2500 * time.Millisecond)
		timer.mu.Lock()
		timer.clock.Reset(10 * time.Second) // no clock calls while a process is stopped
		timer.mu.Unlock()
		time.Sleep(13 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		s := time.Second
		require.Equal(c.t, []time.Duration{s, 2 * s, 12*s + s/2, 14 * s, 15 * s}, at)
	})
}
