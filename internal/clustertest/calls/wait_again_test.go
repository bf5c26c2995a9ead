package calls

import (
	"context"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// dying runs a test with a call that its only provider, node 1, has taken up and does not answer before it is killed.
func dying(
	t *testing.T, offer []broach.RegisterOption, call []broach.CallOption,
	test func(c *clustertest.Cluster, one *broach.Node, called *broach.Future[int]),
) {
	whileWaiting(t, func(c *clustertest.Cluster, caller, one *broach.Node) {
		hang := func(ctx context.Context, _, _ int) (int, error) { return 0, clustertest.Hang(ctx) }
		clustertest.Offer(c, one, caller, "add", hang, offer...)
		f := caller.Caller("add", append(call, broach.Timeout(20*time.Second))...)
		called := broach.Go[int](context.Background(), f, 1, 2)
		time.Sleep(time.Second)
		test(c, one, called)
	})
}

// join starts another provider of what dying calls.
func join(c *clustertest.Cluster, i int) {
	c.Edit = func(cfg *broach.Config) { cfg.RandSeed = 99 }
	require.NoError(c.T, c.Start(i, 0).Register("add", add, broach.Idempotent()))
}

func requireThree(t *testing.T, called *broach.Future[int]) {
	v, err := called.Wait()
	require.NoError(t, err)
	require.Equal(t, 3, v)
}

// "Retries is how many more providers are asked": also such as have come when the call was under way already.
func TestCallsGoToProvidersThatHaveComeSince(t *testing.T) {
	idempotent := []broach.RegisterOption{broach.Idempotent()}
	dying(t, idempotent, nil, func(c *clustertest.Cluster, one *broach.Node, called *broach.Future[int]) {
		join(c, 2)
		time.Sleep(time.Second)
		c.Kill(one)
		requireThree(t, called)
	})
	dying(t, nil, nil, func(c *clustertest.Cluster, one *broach.Node, called *broach.Future[int]) {
		join(c, 2)
		time.Sleep(time.Second)
		c.Kill(one)
		_, err := called.Wait()
		clustertest.RequireError(t, err, broach.Unreachable, broach.Maybe)
	})
}

// "A call that was in flight to a provider which is Unreachable waits for another one, too, if the function is
// Idempotent": in the place of the old one, or elsewhere.
func TestCallsInFlightWaitForAnotherProvider(t *testing.T) {
	for name, opts := range map[string][]broach.CallOption{
		"plain":  {broach.WaitReady()},
		"hedged": {broach.WaitReady(), broach.Hedge(50 * time.Millisecond)},
	} {
		for i := 1; i <= 2; i++ {
			t.Run(name, func(t *testing.T) {
				idempotent := []broach.RegisterOption{broach.Idempotent()}
				dying(t, idempotent, opts, func(c *clustertest.Cluster, one *broach.Node, called *broach.Future[int]) {
					c.Kill(one)
					time.Sleep(5 * time.Second)
					join(c, i)
					requireThree(t, called)
				})
			})
		}
	}
}

// It is not made again without Idempotent, nor with NoRetry, and that it may have run is not forgotten.
func TestCallsInFlightThatDoNotWait(t *testing.T) {
	idempotent, wait := []broach.RegisterOption{broach.Idempotent()}, broach.WaitReady()
	for _, d := range []struct {
		offer []broach.RegisterOption
		call  []broach.CallOption
		code  broach.Code
	}{
		{nil, []broach.CallOption{wait}, broach.Unreachable},
		{idempotent, []broach.CallOption{wait, broach.NoRetry()}, broach.Unreachable},
		{idempotent, nil, broach.Unreachable},
		{idempotent, []broach.CallOption{wait}, broach.DeadlineExceeded},
	} {
		dying(t, d.offer, d.call, func(c *clustertest.Cluster, one *broach.Node, called *broach.Future[int]) {
			c.Kill(one)
			began := time.Now()
			_, err := called.Wait()
			clustertest.RequireError(t, err, d.code, broach.Maybe)
			require.Equal(t, d.code == broach.DeadlineExceeded, time.Since(began) > 10*time.Second)
		})
	}
}
