package broach

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A seed that has too much to do is not asked again with each call, and calls go on by what it said before, up to 10 s;
// then they fail, until it says something again.
func TestASeedThatDoesNotSayIsAskedSeldom(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		seed := c.start(0)
		require.NoError(t, seed.Register("f", func() {}))
		c.edit = func(cfg *Config) { cfg.Guest = true }
		caller := c.start(1, 0).Caller("f")
		_, err := caller.Call(context.Background())
		require.NoError(t, err)

		var asked atomic.Int64
		says := seed.serving.finds
		refuse := func([]byte) ([]byte, error) { return nil, failure(Overloaded, No, "busy") }
		seed.serving.finds = answering(&asked, refuse)
		for began := time.Now(); time.Since(began) < 12*time.Second; time.Sleep(time.Millisecond) {
			_, err = caller.Call(context.Background())
			if time.Since(began) < 9*time.Second {
				require.NoError(t, err)
			}
		}
		require.ErrorContains(t, err, textUnsaid)
		require.ErrorIs(t, err, ErrUnavailable)
		require.InDelta(t, 120, asked.Load(), 10, "ten times a second")

		seed.serving.finds = says
		time.Sleep(findNone)
		_, err = caller.Call(context.Background())
		require.NoError(t, err)
	})
}
