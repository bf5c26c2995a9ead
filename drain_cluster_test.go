package broach

import (
	"context"
	"testing"
	"time"

	"broach/internal/balance"

	"github.com/stretchr/testify/require"
)

// [MEM-27] From the first on the peer begins no call to it; it answers when none of its calls to it is in flight any
// more. When all peers have answered, the node refuses what comes as Draining.
func TestDrainingIsAnswered(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		provider, caller := c.start(0), c.start(1, 0)
		require.NoError(t, provider.Register("f", func() { time.Sleep(time.Second) }))
		require.NoError(t, caller.WaitFor(context.Background(), "f", 1))
		c.settle(time.Second)
		l := caller.linkWith(provider)
		l.record.Inflight.Add(1)
		require.NoError(t, provider.do(func(now time.Time) { provider.loop.members.Drain(now) }))
		time.Sleep(time.Second)
		require.False(t, provider.serving.refusing.Load())
		require.True(t, l.record.Draining.Load())
		call, start := caller.Caller("f"), time.Now()
		_, err := call.remote(context.Background(), start, &route{alive: []balance.Candidate{{Link: &l.Link, Record: l.record}}}, outCall{deadline: start.Add(5 * time.Second)})
		require.Equal(t, Draining, err.Code, "a call that chose it before")
		require.Zero(t, time.Since(start), "it was not even sent")
		l.record.Inflight.Add(-1)
		time.Sleep(time.Second)
		require.True(t, provider.serving.refusing.Load())

		l.record.Draining.Store(false) // a caller that breaks the rule
		_, err = call.remote(context.Background(), time.Now(), &route{alive: []balance.Candidate{{Link: &l.Link, Record: l.record}}}, outCall{deadline: time.Now().Add(time.Second)})
		require.Equal(t, Draining, err.Code)
		require.Equal(t, No, err.Executed)
	})
}
