package members

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// How often a name is looked up, docs/membership.md, and how long a node waits for that.
const (
	lookUpFirst = 500 * time.Millisecond // after a look-up of one that has led nowhere yet
	lookUpLost  = 5 * time.Second        // while nobody is met where it leads
	lookUpSlow  = 5 * time.Second        // after which a first look-up counts as failed
)

// joinTime is how long a node takes to join node 0 by seeds of which a server knows.
func joinTime(t *testing.T, hosts map[string]clustertest.Host, seeds ...string) (took time.Duration) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		s := c.NewNames()
		s.PutAll(hosts)
		c.Start(0)
		n := s.Start(1, seeds...)
		took = c.Until(30*time.Second, "joined", func() bool { return hasMet(n, 1) && clustertest.IsJoined(n) })
	})
	return took
}

// hasMet reports whether a node believes so many others to be alive.
func hasMet(n *broach.Node, others int) bool { return clustertest.Count(n, broach.Alive) == others }

// ipsOf are the IP addresses of nodes.
func ipsOf(nodes ...int) (list []netip.Addr) {
	for _, addr := range clustertest.AddrsAt(nodes) {
		list = append(list, addr.Addr())
	}
	return list
}

// Each name is looked up by itself: those that lead nowhere, or whose server does not answer, keep nobody waiting,
// whatever the order.
func TestDeadNamesKeepNobodyWaiting(t *testing.T) {
	hosts := map[string]clustertest.Host{
		"good":  {After: 2 * time.Millisecond, Addrs: ipsOf(0)},
		"stale": {Addrs: ipsOf(50, 51, 52, 53, 54, 55, 56, 57, 58, 59)},
		"dead":  {Dead: true},
	}
	alone := joinTime(t, hosts, "good")
	for _, seeds := range [][]string{
		{"dead", "good"}, {"good", "dead"}, {"unknown", "good"}, {"good", "unknown"}, {"dead", "unknown", "good"},
		{"dead:1", "dead:2", "dead:3", "good"},
	} {
		require.LessOrEqual(t, joinTime(t, hosts, seeds...), alone+2*time.Millisecond, seeds)
	}
	const first = 50 * time.Millisecond // [MEM-6] between two seeds at first
	took := joinTime(t, hosts, "stale", "good")
	require.LessOrEqual(t, took, alone+first+2*time.Millisecond, "the first of each, then the second")
	t.Log("joined after", alone)
}

// Many names are looked up side by side, but not more than 128 at once.
func TestManyNamesAreLookedUp(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		s, seeds := c.NewNames(), []string{}
		for i := range 400 {
			host := fmt.Sprint("h", i)
			s.Set(host, 10*time.Millisecond, 100+i)
			seeds = append(seeds, host)
		}
		s.Set("good", 10*time.Millisecond, 0)
		n := s.Start(1, append(seeds, "good")...)
		c.Until(100*time.Millisecond, "all are answered", func() bool { return s.Answered() == 2*401 })
		require.Equal(t, 128, s.Most())
		time.Sleep(200 * time.Millisecond) // what is told of seeds may be that old
		require.Regexp(t, `cluster: (10\.[^;]*; ){4}and 397 more$`, troubleOf(n), "all are known")
		c.Start(0)
		c.Until(30*time.Second, "joined", func() bool { return clustertest.IsJoined(n) })
	})
}

// A name may lead to many addresses, of which some are of no use.
func TestANameOfManyAddresses(t *testing.T) {
	var ips []netip.Addr
	for i := range 3 * 1024 {
		ips = append(ips, netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}))
	}
	useless := []netip.Addr{netip.IPv4Unspecified(), netip.MustParseAddr("224.0.0.1"), netip.MustParseAddr("fe80::1")}
	hosts := map[string]clustertest.Host{"many": {Addrs: ips}, "some": {Addrs: append(useless, ipsOf(0)...)}}
	require.Less(t, joinTime(t, hosts, "many", "some"), time.Second)
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		s := c.NewNames()
		s.PutAll(hosts)
		n := s.Start(1, "many", "some")
		time.Sleep(200 * time.Millisecond)
		require.Regexp(t, fmt.Sprint("and ", 1024+1-4, " more$"), troubleOf(n))
	})
}

// A look-up that fails takes no seed away, and never undoes a join.
func TestAFailedLookUpUndoesNothing(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		s := c.NewNames()
		s.Set("good", 0, 0)
		seed := c.Start(0)
		n := s.Start(1, "good", "unknown")
		c.Until(time.Second, "joined", func() bool { return clustertest.IsJoined(n) })
		for _, h := range []clustertest.Host{{}, {Dead: true}, {Addrs: []netip.Addr{netip.IPv6Loopback()}}} {
			s.Put("good", h)
			for range 300 {
				time.Sleep(time.Second)
				require.True(t, clustertest.IsJoined(n))
			}
		}
		require.Greater(t, s.Asked("good", "ip4"), 10)
		_, err := n.Caller("nobody offers it").Call(context.Background())
		require.ErrorIs(t, err, broach.ErrNotFound)
		c.Kill(seed)
		time.Sleep(time.Minute)
		require.True(t, clustertest.IsJoined(n))
		require.NoError(t, n.Forget(seed.Addr()), "it is known by its name alone")
		again := c.Start(0)
		c.Until(time.Second, "what was found last is asked, every 500 ms [MEM-18]",
			func() bool { return clustertest.AllSee([]*broach.Node{n, again}, 1) })
	})
}

// A resolver may take its time, answer one family and not the other, or answer only after the node has joined by
// another seed.
func TestASlowResolver(t *testing.T) {
	for after, why := range map[time.Duration]string{
		4 * time.Second:  "it is slow",
		20 * time.Second: "as where the first name servers are dead",
	} {
		hosts := map[string]clustertest.Host{"slow": {After: after, Addrs: ipsOf(0)}}
		require.InDelta(t, after.Seconds(), joinTime(t, hosts, "slow").Seconds(), 0.01, why)
	}
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		s := c.NewNames()
		s.Set("slow", 8*time.Second, 1)
		c.Start(0)
		other := c.Start(1)
		n := s.Start(2, clustertest.AddrOf(0).String(), "slow")
		c.Until(100*time.Millisecond, "joined", func() bool { return clustertest.IsJoined(n) })
		took := c.Until(12*time.Second, "both clusters are one", func() bool { return hasMet(other, 2) })
		t.Log("met by the late name after", took)
		require.True(t, clustertest.IsJoined(n))
	})
}

// A name that is not known yet is looked up soon again, and asked as soon as it leads somewhere.
func TestANameThatComesLate(t *testing.T) {
	for _, late := range []time.Duration{400 * time.Millisecond, 3 * time.Second, time.Minute} {
		clustertest.Run(t, 1, func(c *clustertest.Cluster) {
			s := c.NewNames()
			c.Start(0)
			n := s.Start(1, clustertest.AddrOf(50).String(), "late")
			time.Sleep(late)
			require.False(t, clustertest.IsJoined(n))
			s.Set("late", 0, 0)
			took := c.Until(lookUpLost+10*time.Millisecond, "joined", func() bool { return clustertest.IsJoined(n) })
			require.LessOrEqual(t, took, max(late, lookUpFirst)+10*time.Millisecond)
			t.Log("after", late, "joined in", took)
		})
	}
}

// A process comes back elsewhere, and its name leads there soon: as a restarted pod of a StatefulSet does. It knows
// nobody, its own name being its only seed; the others find it.
func TestANameMovesWithItsProcess(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		s := c.NewNames()
		s.Set("pod-0", 0, 0)
		first := s.Start(0, "pod-0")
		others := []*broach.Node{s.Start(1, "pod-0"), s.Start(2, "pod-0")}
		c.Until(time.Second, "all meet", func() bool { return clustertest.AllSee(c.Nodes, 2) })
		for i := range 3 {
			time.Sleep(3 * time.Minute)
			c.Kill(first)
			s.Set("pod-0", 0, 10+i)
			first = s.Start(10+i, "pod-0")
			const contacted = 500 * time.Millisecond // [MEM-18] how often those that are offline are
			took := c.Until(lookUpLost+contacted+2*time.Second, "all meet again",
				func() bool { return clustertest.AllSee([]*broach.Node{first, others[0], others[1]}, 2) })
			t.Log("all meet after", took)
		}
	})
}

// A name may lead to the node itself: alone, it has joined; another name that leads nowhere changes that only until
// this is known.
func TestANameThatLeadsToOneself(t *testing.T) {
	for _, test := range []struct {
		seeds []string
		after time.Duration
	}{
		{[]string{"self"}, 10 * time.Millisecond},
		{[]string{"self", "unknown"}, 10 * time.Millisecond},
		{[]string{"self", "dead"}, lookUpSlow},
	} {
		clustertest.Run(t, 1, func(c *clustertest.Cluster) {
			s := c.NewNames()
			s.Set("self", 10*time.Millisecond, 0)
			s.Put("dead", clustertest.Host{Dead: true})
			n := s.Start(0, test.seeds...)
			took := c.Until(30*time.Second, "joined", func() bool { return clustertest.IsJoined(n) })
			require.InDelta(t, test.after.Seconds(), took.Seconds(), 0.02, test.seeds)
			for range 100 {
				time.Sleep(time.Second)
				require.True(t, clustertest.IsJoined(n))
			}
		})
	}
}

// All addresses that the family of the socket can reach are used, and no others. Where none can the log says so.
func TestNamesOfBothFamilies(t *testing.T) {
	v4, v6 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		var log clustertest.SharedLog
		c.Edit = func(cfg *broach.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
		s := c.NewNames()
		s.Put("both", clustertest.Host{Addrs: []netip.Addr{v6, v4}})
		s.Put("only6", clustertest.Host{Addrs: []netip.Addr{v6}})
		n := s.Start(1, "both", "only6", "unknown", "[2001:db8::1]:7000")
		time.Sleep(time.Second)
		require.Regexp(t, `cluster: \[2001:db8::1\]:7000: this node's socket[^;]*; only6[^;]*; unknown[^;]*; `+
			`10\.0\.0\.1:7000: [^;]*$`, troubleOf(n))
		c.Kill(n)
		text := log.String()
		require.Regexp(t, `leads to no address.*seed=only6\.\S*:7000.*unfit=1`, text)
		require.Regexp(t, `leads to no address.*seed=unknown\.\S*:7000.*no such host`, text)
		require.NotRegexp(t, `leads to no address.*seed=both\.`, text)
		require.Regexp(t, `of a family.*seeds=\[\[2001:db8::1\]:7000\]`, text)
		require.Equal(t, 2, strings.Count(text, "leads to no address"))
	})
}
