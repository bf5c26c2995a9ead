package guests

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// What only members do is an InvalidArgument that says why.
func TestGuestsOfferNothing(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		cluster(c, 2)
		g := guest(c, 0, 0)
		ctx := c.T.Context()
		refused := map[string]error{
			"register f":                g.Register("f", func() {}),
			"register s":                g.RegisterAll("s", new(store)),
			"register which":            broach.RegisterFunc(g, which),
			"wait for subscribers of t": g.WaitForSubscribers(ctx, "t", 1),
		}
		_, refused["subscribe t"] = g.Subscribe("t", func(int) {})
		_, refused["every 1s"] = g.Every(time.Second, func() {})
		_, refused["publish t"] = g.Publish(ctx, "t", 1)
		for what, err := range refused {
			require.ErrorIs(c.T, err, broach.ErrInvalidArgument, what)
			require.EqualError(c.T, err, "broach: InvalidArgument: "+what+
				": the node is a guest, which only calls: start it without Config.Guest", what)
		}
	})
}

type store struct{}

func (*store) Add(int) {}

func which() {}

// Each form of a call does what it does at a member.
func TestFormsOfCallsOfGuests(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		members := cluster(c, 5)
		require.NoError(c.T, members[2].Register("double", func(i int) int { return 2 * i }, broach.Doc("double(i)")))
		ran := make(chan int, 10)
		require.NoError(c.T, members[3].Register("note", func(i int) { ran <- i }))
		time.Sleep(time.Second)
		g, ctx := guest(c, 0, 1), c.T.Context()

		double := broach.Bind[func(context.Context, int) (int, error)](g, "double")
		v, err := double(ctx, 21)
		require.NoError(c.T, err)
		require.Equal(c.T, 42, v)

		require.NoError(c.T, g.Caller("note").Send(ctx, 7))
		require.Equal(c.T, 7, <-ran)

		d, err := g.Describe(ctx, "double")
		require.NoError(c.T, err)
		require.Equal(c.T, "i", d.Params[0].Name)

		seen := map[int]bool{}
		for reply := range broach.All[int](ctx, g.Caller("which")) {
			require.NoError(c.T, reply.Err)
			seen[reply.Value] = true
		}
		require.Len(c.T, seen, 5)

		for i, n := range members {
			got, err := broach.Call[int](ctx, g.Caller("which", broach.On(n.Addr())))
			require.NoError(c.T, err)
			require.Equal(c.T, i, got)
		}
		_, err = g.Caller("double", broach.On(members[0].Addr())).Call(ctx, 1)
		clustertest.RequireError(c.T, err, broach.Unavailable, broach.No)
		_, err = g.Caller("nothing").Call(ctx)
		clustertest.RequireError(c.T, err, broach.NotFound, broach.No)
		_, err = double(ctx, 1<<30)
		require.NoError(c.T, err)
		_, err = g.Caller("double").Call(ctx, "no number")
		clustertest.RequireError(c.T, err, broach.InvalidArgument, broach.No)

		hedged := g.Caller("which", broach.Hedge(time.Millisecond))
		_, err = hedged.Call(ctx)
		require.NoError(c.T, err)
		for range members {
			_, err = g.Caller("which", broach.Balance(broach.RoundRobin())).Call(ctx)
			require.NoError(c.T, err)
		}
	})
}

// Calls with a key go where those of a member go.
func TestKeysOfGuestsLeadWhereThoseOfMembersDo(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		members := cluster(c, 6)
		for i := range 20 {
			key := broach.Key(fmt.Sprint("key", i))
			member := members[5].Caller("which", key, broach.Local(broach.LocalEqual))
			want, err := broach.Call[int](c.T.Context(), member)
			require.NoError(c.T, err)
			g := guest(c, i%3, i%6)
			got, err := broach.Call[int](c.T.Context(), g.Caller("which", key))
			require.NoError(c.T, err)
			require.Equal(c.T, want, got)
			require.NoError(c.T, g.Close())
		}
	})
}

// Many calls are spread over the providers, as those of a member are.
func TestCallsOfAGuestAreSpread(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		cluster(c, 8)
		g := guest(c, 0, 0)
		_, err := g.Caller("which").Call(c.T.Context())
		require.NoError(c.T, err)
		for range 20 { // those that come one by one make links with all
			_, err := g.Caller("which").Call(c.T.Context())
			require.NoError(c.T, err)
			time.Sleep(20 * time.Millisecond)
		}
		got := clustertest.Tally(c, g, 1600)
		c.T.Log(got)
		require.Len(c.T, got, 8)
		for _, k := range got {
			require.Greater(c.T, k, 100)
		}
	})
}

// WaitFor and WaitReady wait for what comes later.
func TestGuestsWaitForProviders(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		members := cluster(c, 3)
		g := guest(c, 0, 0)
		ctx, cancel := context.WithTimeout(c.T.Context(), time.Second)
		defer cancel()
		err := g.WaitFor(ctx, "later", 2)
		require.ErrorIs(c.T, err, context.DeadlineExceeded)
		require.ErrorContains(c.T, err, `WaitFor "later": 0 of 2 providers`)

		var all sync.WaitGroup
		all.Go(func() { require.NoError(c.T, g.WaitFor(c.T.Context(), "later", 2)) })
		all.Go(func() {
			_, err := g.Caller("later", broach.WaitReady()).Call(c.T.Context())
			require.NoError(c.T, err)
		})
		time.Sleep(2 * time.Second)
		for _, n := range members[1:] {
			require.NoError(c.T, n.Register("later", func() {}))
		}
		all.Wait()
		require.NoError(c.T, g.WaitFor(c.T.Context(), "which", 3))
	})
}

// [GST-4] and a second where one provider is to be among those listed: of 80 providers a guest is told of 64, and can
// call each.
func TestAGuestCallsOneOfMany(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		members := cluster(c, 80)
		g := guest(c, 0, 0)
		for i, n := range members {
			got, err := broach.Call[int](c.T.Context(), g.Caller("which", broach.On(n.Addr())))
			require.NoError(c.T, err, i)
			require.Equal(c.T, i, got)
		}
		require.NoError(c.T, g.WaitFor(c.T.Context(), "which", 80))
		count := 0
		for reply := range g.Caller("which").All(c.T.Context()) {
			require.NoError(c.T, reply.Err)
			count++
		}
		require.GreaterOrEqual(c.T, count, 64)
	})
}

// A function that its only provider has paused is Unavailable, not NotFound; one that was taken back is not known.
func TestGuestsTellPausedFromUnknown(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		members := cluster(c, 2)
		require.NoError(c.T, members[1].Register("f", func() {}))
		time.Sleep(time.Second)
		g := guest(c, 0, 0)
		_, err := g.Caller("f").Call(c.T.Context())
		require.NoError(c.T, err)
		require.NoError(c.T, members[1].SetServing("f", false))
		_, err = g.Caller("f").Call(c.T.Context())
		clustertest.RequireError(c.T, err, broach.Unavailable, broach.No)
		time.Sleep(1100 * time.Millisecond)
		_, err = g.Caller("f").Call(c.T.Context())
		clustertest.RequireError(c.T, err, broach.Unavailable, broach.No)
		require.NoError(c.T, members[1].Unregister("f"))
		time.Sleep(1100 * time.Millisecond)
		_, err = g.Caller("f").Call(c.T.Context())
		clustertest.RequireError(c.T, err, broach.NotFound, broach.No)
	})
}
