package broach

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// [LNK-7] The other link *drains*: what is in flight on it ends on it, and it is closed when no own call is in flight
// and nothing came for 5 s.
func TestTheOtherLinkDrains(t *testing.T) {
	inCluster(t, 3, func(c *cluster) {
		c.edit = makeDeaf
		a, b := c.start(0), c.start(1, 0)
		end := make(chan struct{})
		require.NoError(t, b.Register("f", func() { <-end }))
		require.NoError(t, a.WaitFor(context.Background(), "f", 1))
		c.renew(a, b)
		c.until(time.Second, "two links", func() bool { return len(a.linking.tokens.All()) == 2 && len(b.linking.tokens.All()) == 2 })
		require.NoError(t, a.WaitFor(context.Background(), "f", 1))
		other := a.linkWith(b)
		for _, l := range a.linking.tokens.All() {
			if l != a.linkWith(b) {
				other = l
			}
		}
		require.Equal(t, &a.linkWith(b).Link, other.Best())

		call := beginCall(t, a, &other.Link, time.Minute) // as one that began before the better link was there
		time.Sleep(20 * time.Second)
		require.Equal(t, other, a.linking.tokens.Link(other.Token), "it has a call")
		require.False(t, other.IsQuiet(time.Now().Add(5*time.Second)), "even if nothing came on it")
		close(end)
		<-call.Done
		require.Zero(t, call.Code, "%s", call.Body)
		time.Sleep(4500 * time.Millisecond)
		require.Len(t, a.linking.tokens.All(), 2, "it was heard within 5 s")
		time.Sleep(8 * time.Second)
		require.Equal(t, []*conn{a.linkWith(b)}, a.linking.tokens.All())
		require.Len(t, b.linking.tokens.All(), 1)
	})
}
