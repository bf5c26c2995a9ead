package broach

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [MEM-27] A node that is going to leave sends Drain to every peer, and to those that come later: again after 30 ms, then ever more
// slowly up to 250 ms, until the peer answers.
func TestDraining(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	leaver := all[0]
	asked := 0
	s.spy = func(_ *citizen, _ netip.AddrPort, msg wire.Message, _ int) {
		if d, ok := msg.(wire.Drain); ok && !d.Answer {
			asked++
		}
	}
	leaver.drain(s.now)
	s.collect(leaver)
	s.run(29 * time.Millisecond)
	require.Equal(t, 3, asked)
	s.run(2 * time.Millisecond)
	require.Equal(t, 6, asked)
	s.run(10 * time.Second)
	before := asked
	s.run(10 * time.Second)
	require.InDelta(t, 3*40, asked-before, 3)
	for _, c := range all[1:] {
		require.True(t, c.of(leaver).draining)
		require.Equal(t, stateAlive, c.of(leaver).state)
	}

	late := s.join(4, 1)
	s.run(50 * time.Millisecond)
	require.True(t, late.of(leaver).draining)
	answer := func(c *citizen) {
		s.forge(leaver, leaver.linkTo(c), wire.Drain{Answer: true})
	}
	for _, c := range all[1:3] {
		answer(c)
	}
	answer(late)
	require.False(t, leaver.isDrained())
	all[3].dead = true
	s.until(3*time.Second, "who is dead is not waited for", leaver.isDrained)
	before = asked
	s.run(time.Second)
	require.Equal(t, before, asked)
}

// [MEM-27] From the first on the peer begins no call to it; it answers when none of its calls to it is in flight any more. When all
// peers have answered, the node refuses what comes as Draining.
func TestDrainingIsAnswered(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		provider, caller := c.start(0), c.start(1, 0)
		require.NoError(t, provider.Register("f", func() { time.Sleep(time.Second) }))
		require.NoError(t, caller.WaitFor(context.Background(), "f", 1))
		c.settle(time.Second)
		l := caller.linkWith(provider)
		l.inflight.Add(1)
		require.NoError(t, provider.do(func(now time.Time) { provider.members.drain(now) }))
		time.Sleep(time.Second)
		require.False(t, provider.refusing.Load())
		require.True(t, l.draining.Load())
		call, start := caller.Caller("f"), time.Now()
		_, err := call.remote(context.Background(), start, &route{alive: []candidate{{link: l}}}, outCall{deadline: start.Add(5 * time.Second)})
		require.Equal(t, Draining, err.Code, "a call that chose it before")
		require.Zero(t, time.Since(start), "it was not even sent")
		l.inflight.Add(-1)
		time.Sleep(time.Second)
		require.True(t, provider.refusing.Load())

		l.draining.Store(false) // a caller that breaks the rule
		_, err = call.remote(context.Background(), time.Now(), &route{alive: []candidate{{link: l}}}, outCall{deadline: time.Now().Add(time.Second)})
		require.Equal(t, Draining, err.Code)
		require.Equal(t, No, err.Executed)
	})
}
