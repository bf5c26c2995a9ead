package members

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

func TestWatchTellsTheStateThenTheChanges(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n, first := c.Start(0), c.Start(1, 0)
		require.NoError(c.T, first.Register("b", func() {}))
		require.NoError(c.T, first.Register("a", func() {}))
		require.NoError(c.T, n.WaitFor(c.T.Context(), "a", 1))
		ctx, cancel := context.WithCancel(c.T.Context())
		defer cancel()
		eventc := clustertest.Follow(ctx, n)
		time.Sleep(time.Millisecond)
		require.Equal(c.T, []string{"member up: node1", "service added: node1 a", "service added: node1 b"},
			clustertest.Take(eventc))

		require.NoError(c.T, first.Unregister("a"))
		time.Sleep(time.Second)
		require.Equal(c.T, []string{"service removed: node1 a"}, clustertest.Take(eventc))

		c.Net.Pause(first.Addr())
		time.Sleep(5 * time.Second)
		c.Net.Resume(first.Addr())
		time.Sleep(5 * time.Second)
		require.Equal(c.T, []string{"member suspect: node1", "member offline: node1", "member up: node1",
			"service added: node1 b"}, clustertest.Take(eventc))

		first.Close()
		time.Sleep(time.Second)
		require.Equal(c.T, []string{"member left: node1"}, clustertest.Take(eventc))

		cancel()
		_, more := <-eventc
		require.False(c.T, more, "the end of ctx ends Watch")
	})
}

// A process that takes the place of another is another member.
func TestWatchTellsOfARestart(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n, old := c.Start(0), c.Start(1, 0)
		c.Until(5*time.Second, "they meet", func() bool { return clustertest.AllSee(c.Nodes, 1) })
		eventc := clustertest.Follow(c.T.Context(), n)
		time.Sleep(time.Millisecond)
		clustertest.Take(eventc)
		c.Kill(old)
		c.Edit = func(cfg *broach.Config) { cfg.RandSeed, cfg.Name = 99, "successor" }
		c.Start(1, 0)
		time.Sleep(time.Second)
		require.Equal(c.T, []string{"member offline: node1", "member up: successor"}, clustertest.Take(eventc))
		n.Close()
		for e := range eventc {
			require.Fail(c.T, "after Close", e)
		}
	})
}

// "A member that begins to drain offers none any more: there is a ServiceRemoved for each." Who begins to watch then is
// told of none.
func TestWatchTellsOfADrain(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n, leaving := c.Start(0), c.Start(1, 0)
		require.NoError(c.T, leaving.Register("slow", func() { time.Sleep(time.Minute) }))
		require.NoError(c.T, leaving.Register("paused", func() {}))
		require.NoError(c.T, leaving.SetServing("paused", false))
		require.NoError(c.T, n.WaitFor(c.T.Context(), "slow", 1))
		ctx, cancel := context.WithCancel(c.T.Context())
		defer cancel()
		go func() { _ = n.Caller("slow").Send(ctx) }()
		time.Sleep(time.Second)
		eventc := clustertest.Follow(ctx, n)
		time.Sleep(time.Millisecond)
		clustertest.Take(eventc)
		go func() { _ = leaving.Leave(ctx) }()
		time.Sleep(time.Second)
		require.Equal(c.T, []string{"service removed: node1 paused", "service removed: node1 slow"},
			clustertest.Take(eventc))
		late := clustertest.Follow(ctx, n)
		time.Sleep(time.Millisecond)
		require.Equal(c.T, []string{"member up: node1"}, clustertest.Take(late))
		for _, s := range n.Services() {
			require.Empty(c.T, s.Providers)
		}
		time.Sleep(time.Minute)
		require.Equal(c.T, []string{"member left: node1"}, clustertest.Take(eventc))
	})
}

// A reader that is slow gets what has changed since it last looked, merged, and delays nobody.
func TestASlowReaderGetsMergedChanges(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n, other := c.Start(0), c.Start(1, 0)
		require.NoError(c.T, other.Register("last", func() {}))
		require.NoError(c.T, n.WaitFor(c.T.Context(), "last", 1))
		var seen []string
		for e := range n.Watch(c.T.Context()) {
			if e.Service == "end" {
				break
			}
			if seen = append(seen, clustertest.Watched(e)); e.Service != "last" {
				continue
			}
			for i := range 10 {
				name := fmt.Sprint("service", i)
				require.NoError(c.T, other.Register(name, func() {}))
				require.NoError(c.T, n.WaitFor(c.T.Context(), name, 1))
				if i < 9 {
					require.NoError(c.T, other.Unregister(name))
				}
			}
			require.NoError(c.T, other.Register("zz", func() {}))
			require.NoError(c.T, other.Register("end", func() {}))
			require.NoError(c.T, n.WaitFor(c.T.Context(), "end", 1))
		}
		require.Equal(c.T, []string{"member up: node1", "service added: node1 last"}, seen,
			"of nine that came and went, nothing")
	})
}

// Events lead from one view to the next: whoever applies them has what Members and Services say.
func TestEventsAddUp(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(4)
		n, members, services := c.Nodes[0], map[netip.AddrPort]broach.State{}, map[netip.AddrPort][]string{}
		ctx, cancel := context.WithCancel(c.T.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for e := range n.Watch(ctx) {
				switch e.Kind {
				case broach.ServiceAdded:
					require.Contains(c.T, members, e.Member.Addr, "a member comes before its services")
					require.NotContains(c.T, services[e.Member.Addr], e.Service, "it is added once")
					services[e.Member.Addr] = append(services[e.Member.Addr], e.Service)
				case broach.ServiceRemoved:
					services[e.Member.Addr] = slices.DeleteFunc(services[e.Member.Addr],
						func(s string) bool { return s == e.Service })
				case broach.MemberOffline, broach.MemberLeft:
					delete(services, e.Member.Addr)
					members[e.Member.Addr] = e.Member.State
				default:
					members[e.Member.Addr] = e.Member.State
				}
			}
		}()
		for i, p := range c.Nodes[1:] {
			require.NoError(c.T, p.Register("all", func() {}))
			require.NoError(c.T, p.Register(fmt.Sprint("own", i), func() {}))
		}
		require.NoError(c.T, c.Nodes[2].Unregister("own1"))
		time.Sleep(time.Second)
		c.Nodes[3].Close()
		c.Net.Cut(clustertest.AddrsOf(c.Nodes[:1]), clustertest.AddrsOf(c.Nodes[1:]))
		time.Sleep(5 * time.Second)
		require.NoError(c.T, c.Nodes[1].Unregister("own0"))
		require.NoError(c.T, c.Nodes[1].Register("new0", func() {}))
		c.Net.Heal()
		time.Sleep(2 * time.Second)
		cancel()
		<-ended
		require.Equal(c.T, map[netip.AddrPort]broach.State{clustertest.AddrOf(1): broach.Alive,
			clustertest.AddrOf(2): broach.Alive, clustertest.AddrOf(3): broach.Left}, members)
		for _, list := range services {
			slices.Sort(list)
		}
		require.Equal(c.T, map[netip.AddrPort][]string{clustertest.AddrOf(1): {"all", "new0"},
			clustertest.AddrOf(2): {"all"}}, services)
	})
}

func TestWaitFor(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n, other := c.Start(0), c.Start(1, 0)
		require.NoError(c.T, n.WaitFor(c.T.Context(), "none", 0))
		done := make(chan time.Time, 1)
		go func() {
			require.NoError(c.T, n.WaitFor(c.T.Context(), "work", 2))
			done <- time.Now()
		}()
		require.NoError(c.T, n.Register("work", func() {}))
		time.Sleep(time.Second)
		require.Empty(c.T, done, "there is one")
		require.NoError(c.T, other.Register("work", func() {}))
		start := time.Now()
		require.Less(c.T, (<-done).Sub(start), 100*time.Millisecond)

		ctx, cancel := context.WithTimeout(c.T.Context(), time.Second)
		defer cancel()
		require.ErrorIs(c.T, n.WaitFor(ctx, "work", 3), context.DeadlineExceeded)
	})
}

func TestMembersAndServices(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Edit = func(cfg *broach.Config) { cfg.Version, cfg.Tags = "v1", map[string]string{"rack": cfg.Name} }
		c.StartAll(3)
		for _, n := range c.Nodes[:2] {
			require.NoError(c.T, n.Register("work01", func(x, y int) int { return x + y }))
		}
		require.NoError(c.T, c.Nodes[2].Register("Gruß", func() {}))
		n := c.Nodes[1]
		require.Len(c.T, n.Services(), 1, "Register is seen at once")
		require.NoError(c.T, n.WaitFor(c.T.Context(), "work01", 2))
		require.NoError(c.T, n.WaitFor(c.T.Context(), "Gruß", 1))

		_, err := n.Caller("Gruß").Call(c.T.Context())
		require.NoError(c.T, err)
		members := n.Members()
		require.Len(c.T, members, 3)
		for i, m := range members {
			name := fmt.Sprint("node", i)
			require.Positive(c.T, m.RTT+map[bool]time.Duration{true: 1}[i != 2], "measured by the call")
			m.RTT = 0
			require.Equal(c.T, broach.Member{Addr: clustertest.AddrOf(i), Name: name, Version: "v1",
				State: broach.Alive, Self: i == 1, Tags: map[string]string{"rack": name}}, m)
		}
		require.Equal(c.T, []broach.Service{
			{Name: "Gruß", Signature: "Gruß()", Providers: []netip.AddrPort{clustertest.AddrOf(2)}},
			{Name: "work01", Signature: "work01(int, int) int",
				Providers: []netip.AddrPort{clustertest.AddrOf(0), clustertest.AddrOf(1)}},
		}, n.Services())
	})
}

func TestStats(t *testing.T) {
	clustertest.InPair(t, map[string]any{
		"add": func(x, y int) int { return x + y }, "panics": func() { panic(1) },
	}, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for range 10 {
			_, err := caller.Caller("add").Call(c.T.Context(), 1, 2)
			require.NoError(c.T, err)
		}
		_, err := caller.Caller("panics").Call(c.T.Context())
		require.Error(c.T, err)
		time.Sleep(time.Millisecond)
		s := provider.Stats()
		require.EqualValues(c.T, 11, s.Done)
		require.EqualValues(c.T, 1, s.Panics)
		require.Zero(c.T, s.Running+s.Queued)
		require.Positive(c.T, s.DatagramsIn)
		require.Greater(c.T, s.BytesOut, s.DatagramsOut)
		require.Zero(c.T, s.Malformed+s.Strangers+s.OtherCluster+s.Replayed+s.ForeignVersion)

		s = caller.Stats()
		require.Len(c.T, s.Peers, 1)
		p := s.Peers[0]
		require.Equal(c.T, provider.Addr(), p.Addr)
		require.Equal(c.T, broach.Alive, p.State)
		require.Positive(c.T, p.RTT)
		require.Zero(c.T, p.InFlight)
		require.Zero(c.T, p.Retransmits)
		require.Positive(c.T, p.BytesIn)
		require.Less(c.T, p.LastHeard, time.Second)
	})
}

// The words of states and kinds are part of logs and pages. Tags are the member's own, in whatever order they travel:
// PROTOCOL.md 4.1 has them rise, and who says them otherwise meets nobody.
func TestNamesOfStatesAndKinds(t *testing.T) {
	states := []broach.State{broach.Alive, broach.Suspect, broach.Offline, broach.Left, 99}
	require.Equal(t, "[alive suspect offline left unknown]", fmt.Sprint(states))
	require.Equal(t, "member up", broach.MemberUp.String())
	require.Equal(t, "unknown", broach.EventKind(99).String())
	tags := map[string]string{}
	for letter := 'a'; letter <= 'z'; letter++ {
		tags[string(letter)] = string(letter + 1)
	}
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Edit = func(cfg *broach.Config) { cfg.Tags = tags }
		tagged, n := c.Start(0), c.Start(1, 0)
		c.Settle(2 * time.Second)
		require.Equal(t, tags, clustertest.MemberAt(n, tagged.Addr()).Tags)
	})
}
