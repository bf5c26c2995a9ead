package broachtest_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"broach"
	"broach/broachtest"

	"github.com/stretchr/testify/require"
)

// A guest is no node that others know, or join by: Settle does not wait for it.
func TestGuestsAreNotWaitedFor(t *testing.T) {
	inBoth(t, func(t *testing.T, c *broachtest.Cluster) {
		a := c.Start("a")
		broachtest.Stub(a, "seven", 7)
		guest := c.Start("tool", func(cfg *broach.Config) { cfg.Guest = true })
		b := c.Start("b")
		c.Settle()
		require.Len(t, a.Members(), 2)
		v, err := broach.Call[int](t.Context(), guest.Caller("seven"))
		require.NoError(t, err)
		require.Equal(t, 7, v)
		c.Kill(a)
		c.Settle()
		other := c.Start("c")
		c.Settle()
		require.Len(t, b.Members(), 3, "and one of them is offline")
		require.NoError(t, guest.Close())
		require.Len(t, other.Members(), 2)
	})
}

// "Each holds exactly the others to be alive and reaches them, and each knows what each offers and has subscribed
// to."
func TestAfterSettleAllIsKnown(t *testing.T) {
	inBoth(t, func(t *testing.T, c *broachtest.Cluster) {
		nodes := []*broach.Node{c.Start("a"), c.Start("b"), c.Start("c")}
		require.NoError(t, nodes[1].Register("__private", seven))
		require.NoError(t, nodes[1].Register("seven", seven))
		_, err := nodes[2].Subscribe("sold", func(string) {})
		require.NoError(t, err)
		c.Settle()
		for _, n := range nodes {
			require.Len(t, n.Members(), 3)
			delivery, err := n.Publish(t.Context(), "sold", "milk")
			require.NoError(t, err)
			require.Len(t, delivery.Nodes, 1)
			v, err := broach.Call[int](t.Context(), n.Caller("seven"))
			require.NoError(t, err)
			require.Equal(t, 7, v)
		}
		require.NoError(t, nodes[1].SetServing("seven", false))
		_, err = nodes[2].Subscribe("bought", func(string) {})
		require.NoError(t, err)
		c.Settle()
		_, err = nodes[0].Caller("seven").Call(t.Context())
		require.ErrorIs(t, err, broach.ErrUnavailable)
		delivery, err := nodes[0].Publish(t.Context(), "bought", "milk")
		require.NoError(t, err)
		require.Len(t, delivery.Nodes, 1)
		require.NoError(t, nodes[1].Unregister("seven"))
		c.Settle()
		require.Empty(t, nodes[0].Services())
	})
}

// Versions of a program offer a function with several signatures, which Services lists one by one.
func TestSettleOfTwoVersions(t *testing.T) {
	inBoth(t, func(t *testing.T, c *broachtest.Cluster) {
		first, second, third := c.Start("v1"), c.Start("v2"), c.Start("v1")
		require.NoError(t, first.Register("price", func(string) int { return 1 }))
		require.NoError(t, second.Register("price", func(string, int) int { return 2 }))
		require.NoError(t, third.Register("price", func(string) int { return 1 }))
		c.Settle()
		require.Len(t, first.Services(), 2)
	})
}

// Topics and functions that come one after the other are told of together, a while later. Settle waits for them.
func TestSettleWaitsForWhatIsAboutToBeTold(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		a, b := c.Start(""), c.Start("")
		for range 20 {
			c.Settle()
			_, err := b.Subscribe("early", func(string) {})
			require.NoError(t, err)
			time.Sleep(time.Millisecond)
			late, err := b.Subscribe("late", func(string) {})
			require.NoError(t, err)
			c.Settle()
			delivery, err := a.Publish(t.Context(), "late", "")
			require.NoError(t, err)
			require.Len(t, delivery.Nodes, 1)
			require.NoError(t, late.Close())
		}
	})
}

// Settle does not take the process that was at an address for the one that is there, also where both say the same of
// themselves.
func TestSettleTellsProcessesApart(t *testing.T) {
	for seed := range uint64(20) {
		inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
			a, b := c.Start("a"), c.Start("b")
			broachtest.Stub(b, "price", 1)
			c.Settle()
			time.Sleep(time.Duration(seed) * 37 * time.Millisecond)
			b = c.Restart(b)
			calls := broachtest.Stub(b, "price", 2)
			c.Settle()
			price, err := broach.Call[int](t.Context(), a.Caller("price", broach.NoRetry()))
			require.NoError(t, err)
			require.Equal(t, 2, price)
			require.Len(t, calls.Calls(), 1)
		}, broachtest.Seed(seed))
	}
}

// "Fails the test after 30 s with who disagrees about whom; that time is virtual in a bubble."
func TestSettleTellsWhoDisagrees(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *broachtest.Cluster) {
		f := newFake(t)
		c := broachtest.New(f)
		a, b := c.Start("a"), c.Start("b")
		c.Settle()
		c.Cut(nodesOf(a), nodesOf(b))
		c.Settle() // nobody has noticed
		time.Sleep(5 * time.Second)
		start := time.Now()
		got := f.failureOf(c.Settle)
		require.Contains(t, got, "broachtest: Settle: after 30s the nodes do not agree:\n"+
			"\ta (10.0.0.1:7000) says that b (10.0.0.2:7000) is offline\n")
		require.Contains(t, got, "\n\tb (10.0.0.2:7000) says that a (10.0.0.1:7000) is offline")
		require.Equal(t, 30*time.Second, time.Since(start).Truncate(time.Second))
		f.end()
	})
}

// What is wrong is told in words that help, and not without end.
func TestWhatSettleTells(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *broachtest.Cluster) {
		f := newFake(t)
		c := broachtest.New(f)
		a, b := c.Start("a"), c.Start("b")
		c.Settle()
		c.Drop(func(d broachtest.Datagram) bool {
			return d.Size > 0 && strings.Contains(strings.Join(d.Kinds, " "), "Delta")
		})
		require.NoError(t, b.Register("seven", seven))
		c.Link(broachtest.Link{Loss: 1})
		got := c.Wrongs()
		require.Contains(t, got, "a (10.0.0.1:7000) says that seven is offered by [], and it is by [10.0.0.2:7000]")
		require.NoError(t, b.Unregister("seven"))
		c.Link(broachtest.Link{})
		c.Drop(nil)
		c.Settle()
		c.Kill(b)
		require.Contains(t, c.Wrongs(), "says that b (10.0.0.2:7000) is alive, and it has ended or is paused")
		c.Settle()
		for range 6 {
			c.Start("", func(cfg *broach.Config) { cfg.Join = nil })
		}
		require.Contains(t, c.Wrongs(), "is not known")
		c.Start("lost", func(cfg *broach.Config) { cfg.Join = []string{"10.9.9.9:7000"} })
		time.Sleep(5 * time.Second)
		require.Contains(t, c.Wrongs(), "says: this node has not joined its cluster: 10.9.9.9:7000")
		require.Contains(t, c.Wrongs(), "\n\tand ")
		require.NotNil(t, a)
		f.end()
	})
}

// Who has not heard yet that there is another process, or what a node has subscribed to, is not at rest.
func TestSettleSeesWhatNoListShows(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		_, b := c.Start("a"), c.Start("b")
		c.Settle()
		require.Equal(t, "\n\t", c.Wrongs())
		c.Drop(func(broachtest.Datagram) bool { return true })
		_, err := b.Subscribe("sold", func(string) {})
		require.NoError(t, err)
		time.Sleep(20 * time.Millisecond)
		const behind = "says that b (10.0.0.2:7000) offers what version 1 of its table says, and it is at 2"
		require.Contains(t, c.Wrongs(), behind)
		c.Drop(nil)
		c.Settle()
		c.Restart(b)
		require.Contains(t, c.Wrongs(), "says that b (10.0.0.2:7000) is the process that was there before")
		c.Settle()
	})
}

// A cluster without nodes, or with one, is at rest.
func TestSettleOfFewNodes(t *testing.T) {
	inBoth(t, func(t *testing.T, c *broachtest.Cluster) {
		c.Settle()
		c.Start("")
		c.Settle()
	})
}

// "What is so already counts as told."
func TestWaitEvent(t *testing.T) {
	inBoth(t, func(t *testing.T, c *broachtest.Cluster) {
		a, b := c.Start("a"), c.Start("b")
		e := broachtest.WaitEvent(t, a, broach.MemberUp, 5*time.Second)
		require.Equal(t, b.Addr(), e.Member.Addr)
		require.Equal(t, b.Addr(), broachtest.WaitEvent(t, a, broach.MemberUp, 0).Member.Addr)
		require.NoError(t, b.Register("seven", seven))
		require.Equal(t, "seven", broachtest.WaitEvent(t, a, broach.ServiceAdded, 5*time.Second).Service)
		c.Kill(b)
		require.Equal(t, b.Addr(), broachtest.WaitEvent(t, a, broach.MemberOffline, 5*time.Second).Member.Addr)
	})
}

// "That time includes its end": whether an event counts is not left to chance.
func TestTheTimeOfWaitEventIncludesItsEnd(t *testing.T) {
	took := func(within time.Duration) (at time.Duration, failed string) {
		inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
			a, b := c.Start(""), c.Start("")
			c.Settle()
			start, f := time.Now(), newFake(t)
			c.Kill(b)
			failed = f.failureOf(func() { broachtest.WaitEvent(f, a, broach.MemberOffline, within) })
			at = time.Since(start)
		})
		return at, failed
	}
	exactly, failed := took(time.Minute)
	require.Empty(t, failed)
	for range 20 {
		at, failed := took(exactly)
		require.Empty(t, failed)
		require.Equal(t, exactly, at)
	}
	_, failed = took(exactly - 2)
	require.Contains(t, failed, `has not told of "member offline"`)
}

// "t must be the bubble's own": with that of outside the nodes would live on in a bubble that never ends.
func TestTheTOfOutsideIsRefusedInABubble(t *testing.T) {
	synctest.Test(t, func(*testing.T) { require.True(t, broachtest.IsForeign(t)) })
	synctest.Test(t, func(t *testing.T) { require.False(t, broachtest.IsForeign(t)) })
	require.False(t, broachtest.IsForeign(t))
	require.False(t, broachtest.IsForeign(&fakeT{}))
}

// "New was called in another bubble than this, or outside of it."
func TestAClusterStaysInItsBubble(t *testing.T) {
	f := newFake(t)
	outside := broachtest.New(f)
	n := outside.Start("")
	synctest.Test(t, func(t *testing.T) {
		got := f.failureOf(func() { outside.Start("") })
		require.Contains(t, got, "broachtest: Start: New was called in another bubble")
		for name, do := range map[string]func(){
			"Kill": func() { outside.Kill(n) }, "Restart": func() { outside.Restart(n) },
			"Pause": func() { outside.Pause(n) }, "Resume": func() { outside.Resume(n) }, "Settle": outside.Settle,
			"Cut":  func() { outside.Cut(nodesOf(n), nodesOf(n)) },
			"Link": func() { outside.Link(broachtest.Link{}) }, "Heal": outside.Heal,
			"Drop":        func() { outside.Drop(nil) },
			"LinkBetween": func() { outside.LinkBetween(n, n, broachtest.Link{}) },
		} {
			require.Contains(t, f.failureOf(do), "broachtest: "+name+": New was called in another bubble")
		}
	})
}

// A function may hurt the cluster that it is called in.
func TestFaultsFromWithinAFunction(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		a, b := c.Start(""), c.Start("")
		require.NoError(t, b.Register("die", func(context.Context) { c.Kill(b) }))
		c.Settle()
		_, err := a.Caller("die", broach.NoRetry()).Call(t.Context())
		require.ErrorIs(t, err, broach.ErrUnreachable)
		c.Settle()
	})
}
