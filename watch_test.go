package broach

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"broach/internal/member"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// watched is what a reader of events has seen, as words.
func watched(e Event) string {
	if e.Service != "" {
		return fmt.Sprintf("%v: %s %s", e.Kind, e.Member.Name, e.Service)
	}
	return fmt.Sprintf("%v: %s", e.Kind, e.Member.Name)
}

// follow reads events into a channel, which it closes when Watch has ended.
func follow(ctx context.Context, n *Node) <-chan string {
	eventc := make(chan string, 100)
	go func() {
		defer close(eventc)
		for e := range n.Watch(ctx) {
			eventc <- watched(e)
		}
	}()
	return eventc
}

// take reads all events that have come.
func take(eventc <-chan string) []string {
	var list []string
	for len(eventc) > 0 {
		list = append(list, <-eventc)
	}
	return list
}

func TestWatchTellsTheStateThenTheChanges(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n, first := c.start(0), c.start(1, 0)
		require.NoError(c.t, first.Register("b", func() {}))
		require.NoError(c.t, first.Register("a", func() {}))
		require.NoError(c.t, n.WaitFor(c.t.Context(), "a", 1))
		ctx, cancel := context.WithCancel(c.t.Context())
		defer cancel()
		eventc := follow(ctx, n)
		time.Sleep(time.Millisecond)
		require.Equal(c.t, []string{"member up: node1", "service added: node1 a", "service added: node1 b"}, take(eventc))

		require.NoError(c.t, first.Unregister("a"))
		time.Sleep(time.Second)
		require.Equal(c.t, []string{"service removed: node1 a"}, take(eventc))

		c.net.Pause(first.Addr())
		time.Sleep(5 * time.Second)
		c.net.Resume(first.Addr())
		time.Sleep(5 * time.Second)
		require.Equal(c.t, []string{"member suspect: node1", "member offline: node1", "member up: node1", "service added: node1 b"}, take(eventc))

		first.Close()
		time.Sleep(time.Second)
		require.Equal(c.t, []string{"member left: node1"}, take(eventc))

		cancel()
		_, more := <-eventc
		require.False(c.t, more, "the end of ctx ends Watch")
	})
}

// A process that takes the place of another is another member.
func TestWatchTellsOfARestart(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n, old := c.start(0), c.start(1, 0)
		c.until(5*time.Second, "they meet", func() bool { return allSee(c.nodes, 1) })
		eventc := follow(c.t.Context(), n)
		time.Sleep(time.Millisecond)
		take(eventc)
		c.kill(old)
		c.edit = func(cfg *Config) { cfg.RandSeed, cfg.Name = 99, "successor" }
		c.start(1, 0)
		time.Sleep(time.Second)
		require.Equal(c.t, []string{"member offline: node1", "member up: successor"}, take(eventc))
		n.Close()
		for e := range eventc {
			require.Fail(c.t, "after Close", e)
		}
	})
}

// "A member that begins to drain offers none any more: there is a ServiceRemoved for each." Who begins to watch then is
// told of none.
func TestWatchTellsOfADrain(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n, leaving := c.start(0), c.start(1, 0)
		require.NoError(c.t, leaving.Register("slow", func() { time.Sleep(time.Minute) }))
		require.NoError(c.t, leaving.Register("paused", func() {}))
		require.NoError(c.t, leaving.SetServing("paused", false))
		require.NoError(c.t, n.WaitFor(c.t.Context(), "slow", 1))
		ctx, cancel := context.WithCancel(c.t.Context())
		defer cancel()
		go func() { _ = n.Caller("slow").Send(ctx) }()
		time.Sleep(time.Second)
		eventc := follow(ctx, n)
		time.Sleep(time.Millisecond)
		take(eventc)
		go func() { _ = leaving.Leave(ctx) }()
		time.Sleep(time.Second)
		require.Equal(c.t, []string{"service removed: node1 paused", "service removed: node1 slow"}, take(eventc))
		late := follow(ctx, n)
		time.Sleep(time.Millisecond)
		require.Equal(c.t, []string{"member up: node1"}, take(late))
		for _, s := range n.Services() {
			require.Empty(c.t, s.Providers)
		}
		time.Sleep(time.Minute)
		require.Equal(c.t, []string{"member left: node1"}, take(eventc))
	})
}

// A reader that is slow gets what has changed since it last looked, merged, and delays nobody.
func TestASlowReaderGetsMergedChanges(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n, other := c.start(0), c.start(1, 0)
		require.NoError(c.t, other.Register("last", func() {}))
		require.NoError(c.t, n.WaitFor(c.t.Context(), "last", 1))
		var seen []string
		for e := range n.Watch(c.t.Context()) {
			if e.Service == "end" {
				break
			}
			if seen = append(seen, watched(e)); e.Service != "last" {
				continue
			}
			for i := range 10 {
				name := fmt.Sprint("service", i)
				require.NoError(c.t, other.Register(name, func() {}))
				require.NoError(c.t, n.WaitFor(c.t.Context(), name, 1))
				if i < 9 {
					require.NoError(c.t, other.Unregister(name))
				}
			}
			require.NoError(c.t, other.Register("zz", func() {}))
			require.NoError(c.t, other.Register("end", func() {}))
			require.NoError(c.t, n.WaitFor(c.t.Context(), "end", 1))
		}
		require.Equal(c.t, []string{"member up: node1", "service added: node1 last"}, seen, "of nine that came and went, nothing")
	})
}

// Events lead from one view to the next: whoever applies them has what Members and Services say.
func TestEventsAddUp(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.startAll(4)
		n, members, services := c.nodes[0], map[netip.AddrPort]State{}, map[netip.AddrPort][]string{}
		ctx, cancel := context.WithCancel(c.t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for e := range n.Watch(ctx) {
				switch e.Kind {
				case ServiceAdded:
					require.Contains(c.t, members, e.Member.Addr, "a member comes before its services")
					require.NotContains(c.t, services[e.Member.Addr], e.Service, "it is added once")
					services[e.Member.Addr] = append(services[e.Member.Addr], e.Service)
				case ServiceRemoved:
					services[e.Member.Addr] = slices.DeleteFunc(services[e.Member.Addr], func(s string) bool { return s == e.Service })
				case MemberOffline, MemberLeft:
					delete(services, e.Member.Addr)
					members[e.Member.Addr] = e.Member.State
				default:
					members[e.Member.Addr] = e.Member.State
				}
			}
		}()
		for i, p := range c.nodes[1:] {
			require.NoError(c.t, p.Register("all", func() {}))
			require.NoError(c.t, p.Register(fmt.Sprint("own", i), func() {}))
		}
		require.NoError(c.t, c.nodes[2].Unregister("own1"))
		time.Sleep(time.Second)
		c.nodes[3].Close()
		c.net.Cut(addrsOf(c.nodes[:1]), addrsOf(c.nodes[1:]))
		time.Sleep(5 * time.Second)
		require.NoError(c.t, c.nodes[1].Unregister("own0"))
		require.NoError(c.t, c.nodes[1].Register("new0", func() {}))
		c.net.Heal()
		time.Sleep(2 * time.Second)
		cancel()
		<-ended
		require.Equal(c.t, map[netip.AddrPort]State{addrOf(1): Alive, addrOf(2): Alive, addrOf(3): Left}, members)
		for _, list := range services {
			slices.Sort(list)
		}
		require.Equal(c.t, map[netip.AddrPort][]string{addrOf(1): {"all", "new0"}, addrOf(2): {"all"}}, services)
	})
}

func TestWaitFor(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n, other := c.start(0), c.start(1, 0)
		require.NoError(c.t, n.WaitFor(c.t.Context(), "none", 0))
		done := make(chan time.Time, 1)
		go func() {
			require.NoError(c.t, n.WaitFor(c.t.Context(), "work", 2))
			done <- time.Now()
		}()
		require.NoError(c.t, n.Register("work", func() {}))
		time.Sleep(time.Second)
		require.Empty(c.t, done, "there is one")
		require.NoError(c.t, other.Register("work", func() {}))
		start := time.Now()
		require.Less(c.t, (<-done).Sub(start), 100*time.Millisecond)

		ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(c.t, n.WaitFor(ctx, "work", 3), context.DeadlineExceeded)
	})
}

func TestMembersAndServices(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.edit = func(cfg *Config) { cfg.Version, cfg.Tags = "v1", map[string]string{"rack": cfg.Name} }
		c.startAll(3)
		for _, n := range c.nodes[:2] {
			require.NoError(c.t, n.Register("work01", func(x, y int) int { return x + y }))
		}
		require.NoError(c.t, c.nodes[2].Register("Gruß", func() {}))
		n := c.nodes[1]
		require.Len(c.t, n.Services(), 1, "Register is seen at once")
		require.NoError(c.t, n.WaitFor(c.t.Context(), "work01", 2))
		require.NoError(c.t, n.WaitFor(c.t.Context(), "Gruß", 1))

		_, err := n.Caller("Gruß").Call(c.t.Context())
		require.NoError(c.t, err)
		members := n.Members()
		require.Len(c.t, members, 3)
		for i, m := range members {
			name := fmt.Sprint("node", i)
			require.Positive(c.t, m.RTT+map[bool]time.Duration{true: 1}[i != 2], "measured by the call")
			m.RTT = 0
			require.Equal(c.t, Member{Addr: addrOf(i), Name: name, Version: "v1", State: Alive, Self: i == 1, Tags: map[string]string{"rack": name}}, m)
		}
		require.Equal(c.t, []Service{
			{Name: "Gruß", Signature: "Gruß()", Providers: []netip.AddrPort{addrOf(2)}},
			{Name: "work01", Signature: "work01(int, int) int", Providers: []netip.AddrPort{addrOf(0), addrOf(1)}},
		}, n.Services())
	})
}

func TestStats(t *testing.T) {
	inPair(t, map[string]any{"add": func(x, y int) int { return x + y }, "panics": func() { panic(1) }}, func(c *cluster, provider, caller *Node) {
		for range 10 {
			_, err := caller.Caller("add").Call(c.t.Context(), 1, 2)
			require.NoError(c.t, err)
		}
		_, err := caller.Caller("panics").Call(c.t.Context())
		require.Error(c.t, err)
		time.Sleep(time.Millisecond)
		s := provider.Stats()
		require.EqualValues(c.t, 11, s.Done)
		require.EqualValues(c.t, 1, s.Panics)
		require.Zero(c.t, s.Running+s.Queued)
		require.Positive(c.t, s.DatagramsIn)
		require.Greater(c.t, s.BytesOut, s.DatagramsOut)
		require.Zero(c.t, s.Malformed+s.Strangers+s.OtherCluster+s.Replayed+s.ForeignVersion)

		s = caller.Stats()
		require.Len(c.t, s.Peers, 1)
		p := s.Peers[0]
		require.Equal(c.t, provider.Addr(), p.Addr)
		require.Equal(c.t, Alive, p.State)
		require.Positive(c.t, p.RTT)
		require.Zero(c.t, p.InFlight)
		require.Zero(c.t, p.Retransmits)
		require.Positive(c.t, p.BytesIn)
		require.Less(c.t, p.LastHeard, time.Second)
	})
}

// The words of states and kinds are part of logs and pages.
func TestNamesOfStatesAndKinds(t *testing.T) {
	require.Equal(t, []string{"alive", "suspect", "offline", "left", "unknown"},
		[]string{Alive.String(), Suspect.String(), Offline.String(), Left.String(), State(99).String()})
	require.Equal(t, "member up", MemberUp.String())
	require.Equal(t, "unknown", EventKind(99).String())
	tags := map[string]string{"b": "2", "a": "1"}
	require.Equal(t, tags, tagMap(wireTags(tags)))
	require.Equal(t, slices.Sorted(maps.Keys(tags))[0], wireTags(tags)[0].Key)
}

// What is told of a member adds up to what Members says of it: who is out of reach is not told as up, but for a moment
// when it comes.
func TestEventsSayWhatAMemberIs(t *testing.T) {
	n := new(Node)
	n.linking.tokens.init(rand.Uint64)
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
