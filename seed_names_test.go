package broach

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/udp"

	"github.com/stretchr/testify/require"
)

// nameServer answers look-ups as a test wants.
type nameServer struct {
	mu      sync.Mutex // protects all below: look-ups come side by side
	hosts   map[string]nameEntry
	asked   map[string]int // by host and family
	waiting int            // look-ups without an answer yet
	most    int            // of them at once
}

// nameEntry is what is known of a host.
type nameEntry struct {
	after time.Duration // before the answer
	addrs []netip.Addr  // none: there is no such host
	dead  bool          // no answer ever
}

var errNoHost = errors.New("no such host")

func newNameServer() *nameServer {
	return &nameServer{hosts: map[string]nameEntry{}, asked: map[string]int{}}
}

// set makes a host lead to the places of nodes, after a while.
func (s *nameServer) set(host string, after time.Duration, nodes ...int) {
	e := nameEntry{after: after}
	for _, i := range nodes {
		e.addrs = append(e.addrs, addrOf(i).Addr())
	}
	s.put(host, e)
}

func (s *nameServer) put(host string, e nameEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts[host] = e
}

// count is how often a host was asked for in a family.
func (s *nameServer) count(host, family string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[host+" "+family]
}

func (s *nameServer) begin(family, host string) nameEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[host+" "+family]++
	s.waiting++
	s.most = max(s.most, s.waiting)
	return s.hosts[host]
}

func (s *nameServer) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting--
}

// lookUp is what a resolver does.
func (s *nameServer) lookUp(ctx context.Context, family, host string) ([]netip.Addr, error) {
	e := s.begin(family, host)
	defer s.end()
	if e.dead {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	select {
	case <-time.After(e.after):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	found := slices.DeleteFunc(slices.Clone(e.addrs), func(ip netip.Addr) bool { return ip.Is4() != (family == "ip4") })
	if len(found) == 0 {
		return nil, errNoHost
	}
	return found, nil
}

// startNamed starts node i, which looks names up at a server. Its seeds are in words; hosts without a port get that of
// all nodes.
func (c *cluster) startNamed(i int, s *nameServer, seeds ...string) *Node {
	c.t.Helper()
	conn, err := c.net.Listen(addrOf(i))
	require.NoError(c.t, err)
	cfg := Config{Name: fmt.Sprint("node", i), Conn: conn, RandSeed: uint64(len(c.nodes) + 1), Logger: slog.New(slog.DiscardHandler)}
	for _, seed := range seeds {
		if _, _, err := net.SplitHostPort(seed); err != nil {
			seed = net.JoinHostPort(seed, "7000")
		}
		cfg.Join = append(cfg.Join, seed)
	}
	c.edit(&cfg)
	require.NoError(c.t, cfg.validate())
	n := newNode(cfg, udp.Over(conn), newLogQueue(cfg))
	n.loop.seeds.lookUp = s.lookUp
	n.serve()
	c.nodes = append(c.nodes, n)
	return n
}

// isJoined reports whether a node counts as having joined.
func isJoined(n *Node) bool { return n.calling.view.Load().joined }

// joinTime is how long a node takes to join node 0 by seeds of which a server knows.
func joinTime(t *testing.T, s *nameServer, seeds ...string) (took time.Duration) {
	inCluster(t, 1, func(c *cluster) {
		c.start(0)
		n := c.startNamed(1, s, seeds...)
		took = c.until(30*time.Second, "joined", func() bool { return count(n, Alive) == 1 && isJoined(n) })
	})
	return took
}

// Each name is looked up by itself: those that lead nowhere, or whose server does not answer, keep nobody waiting,
// whatever the order.
func TestDeadNamesKeepNobodyWaiting(t *testing.T) {
	s := newNameServer()
	s.set("good", 2*time.Millisecond, 0)
	s.set("stale", 0, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59)
	s.put("dead", nameEntry{dead: true})
	alone := joinTime(t, s, "good")
	for _, seeds := range [][]string{
		{"dead", "good"}, {"good", "dead"}, {"unknown", "good"}, {"good", "unknown"}, {"dead", "unknown", "good"}, {"dead:1", "dead:2", "dead:3", "good"},
	} {
		require.LessOrEqual(t, joinTime(t, s, seeds...), alone+2*time.Millisecond, seeds)
	}
	const first = 50 * time.Millisecond // [MEM-6] between two seeds at first
	require.LessOrEqual(t, joinTime(t, s, "stale", "good"), alone+first+2*time.Millisecond, "the first of each, then the second")
	t.Log("joined after", alone)
}

// Many names are looked up side by side, but not more than lookUpsMax at once.
func TestManyNamesAreLookedUp(t *testing.T) {
	s := newNameServer()
	seeds := []string{}
	for i := range 400 {
		host := fmt.Sprint("h", i)
		s.set(host, 10*time.Millisecond, 100+i)
		seeds = append(seeds, host)
	}
	s.set("good", 10*time.Millisecond, 0)
	inCluster(t, 1, func(c *cluster) {
		c.start(0)
		n := c.startNamed(1, s, append(seeds, "good")...)
		c.until(100*time.Millisecond, "all are known", func() bool { return len(*n.linking.seedAddrs.Load()) == 401 })
		require.Equal(t, lookUpsMax, s.most)
		c.until(30*time.Second, "joined", func() bool { return isJoined(n) })
	})
}

// A name may lead to many addresses, of which some are of no use.
func TestANameOfManyAddresses(t *testing.T) {
	s := newNameServer()
	var ips []netip.Addr
	for i := range 3 * seedAddrsMax {
		ips = append(ips, netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}))
	}
	s.put("many", nameEntry{addrs: ips})
	useless := []netip.Addr{netip.IPv4Unspecified(), netip.MustParseAddr("224.0.0.1"), netip.MustParseAddr("fe80::1%eth0"), addrOf(0).Addr()}
	s.put("some", nameEntry{addrs: useless})
	inCluster(t, 1, func(c *cluster) {
		c.start(0)
		n := c.startNamed(1, s, "many", "some")
		c.until(time.Second, "joined", func() bool { return isJoined(n) })
		require.Len(t, *n.linking.seedAddrs.Load(), seedAddrsMax+1)
	})
}

// A look-up that fails takes no seed away, and never undoes a join.
func TestAFailedLookUpUndoesNothing(t *testing.T) {
	s := newNameServer()
	s.set("good", 0, 0)
	inCluster(t, 1, func(c *cluster) {
		seed := c.start(0)
		n := c.startNamed(1, s, "good", "unknown")
		c.until(time.Second, "joined", func() bool { return isJoined(n) })
		for _, e := range []nameEntry{{}, {dead: true}, {addrs: []netip.Addr{netip.IPv6Loopback()}}} {
			s.put("good", e)
			for range 300 {
				time.Sleep(time.Second)
				require.True(t, isJoined(n))
			}
		}
		require.Greater(t, s.count("good", "ip4"), 10)
		_, err := n.Caller("nobody offers it").Call(context.Background())
		require.ErrorIs(t, err, ErrNotFound)
		c.kill(seed)
		time.Sleep(time.Minute)
		require.True(t, isJoined(n))
		again := c.start(0)
		c.until(time.Second, "what was found last is asked, every 500 ms [MEM-18]", func() bool { return count(n, Alive) == 1 && count(again, Alive) == 1 })
	})
}

// A resolver may take its time, answer one family and not the other, or answer only after the node has joined by
// another seed.
func TestASlowResolver(t *testing.T) {
	s := newNameServer()
	s.set("slow", 4*time.Second, 0)
	require.InDelta(t, 4, joinTime(t, s, "slow").Seconds(), 0.01)
	s.set("slow", 20*time.Second, 0)
	require.InDelta(t, 20, joinTime(t, s, "slow").Seconds(), 0.01, "as where the first name servers are dead")
	s.set("slow", 8*time.Second, 1)
	inCluster(t, 1, func(c *cluster) {
		c.start(0)
		other := c.start(1)
		n := c.startNamed(2, s, addrOf(0).String(), "slow")
		c.until(100*time.Millisecond, "joined", func() bool { return isJoined(n) })
		took := c.until(12*time.Second, "both clusters are one", func() bool { return count(other, Alive) == 2 })
		t.Log("met by the late name after", took)
		require.True(t, isJoined(n))
	})
}

// A name that is not known yet is looked up soon again, and asked as soon as it leads somewhere.
func TestANameThatComesLate(t *testing.T) {
	for _, late := range []time.Duration{400 * time.Millisecond, 3 * time.Second, time.Minute} {
		s := newNameServer()
		inCluster(t, 1, func(c *cluster) {
			c.start(0)
			n := c.startNamed(1, s, addrOf(50).String(), "late")
			time.Sleep(late)
			require.False(t, isJoined(n))
			s.set("late", 0, 0)
			took := c.until(lookUpLost+10*time.Millisecond, "joined", func() bool { return isJoined(n) })
			require.LessOrEqual(t, took, max(late, lookUpFirst)+10*time.Millisecond)
			t.Log("after", late, "joined in", took)
		})
	}
}

// A process comes back elsewhere, and its name leads there soon: as a restarted pod of a StatefulSet does. It knows
// nobody, its own name being its only seed; the others find it.
func TestANameMovesWithItsProcess(t *testing.T) {
	s := newNameServer()
	s.set("pod-0", 0, 0)
	inCluster(t, 1, func(c *cluster) {
		first := c.startNamed(0, s, "pod-0")
		others := []*Node{c.startNamed(1, s, "pod-0"), c.startNamed(2, s, "pod-0")}
		c.until(time.Second, "all meet", func() bool { return allSee(c.nodes, 2) })
		for i := range 3 {
			time.Sleep(3 * time.Minute)
			c.kill(first)
			s.set("pod-0", 0, 10+i)
			first = c.startNamed(10+i, s, "pod-0")
			const contacted = 500 * time.Millisecond // [MEM-18] how often those that are offline are
			took := c.until(lookUpLost+contacted+2*time.Second, "all meet again", func() bool { return allSee([]*Node{first, others[0], others[1]}, 2) })
			t.Log("all meet after", took)
		}
	})
}

// A name may lead to the node itself: alone, it has joined; another name that leads nowhere changes that only until
// this is known.
func TestANameThatLeadsToOneself(t *testing.T) {
	s := newNameServer()
	s.set("self", 10*time.Millisecond, 0)
	s.put("dead", nameEntry{dead: true})
	for _, test := range []struct {
		seeds []string
		after time.Duration
	}{{[]string{"self"}, 10 * time.Millisecond}, {[]string{"self", "unknown"}, 10 * time.Millisecond}, {[]string{"self", "dead"}, lookUpSlow}} {
		inCluster(t, 1, func(c *cluster) {
			n := c.startNamed(0, s, test.seeds...)
			took := c.until(30*time.Second, "joined", func() bool { return isJoined(n) })
			require.InDelta(t, test.after.Seconds(), took.Seconds(), 0.02, test.seeds)
			for range 100 {
				time.Sleep(time.Second)
				require.True(t, isJoined(n))
			}
		})
	}
}

// All addresses that the family of the socket can reach are used, and no others. Where none can the log says so.
func TestNamesOfBothFamilies(t *testing.T) {
	v4, v6 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
	for _, test := range []struct {
		bound string
		want  []netip.Addr
	}{
		{"0.0.0.0", []netip.Addr{v4}}, {"192.0.2.1", []netip.Addr{v4}},
		{"::", []netip.Addr{v4, v6}}, {"::1", []netip.Addr{v6}}, {"2001:db8::7", []netip.Addr{v6}},
	} {
		for _, ip := range []netip.Addr{v4, v6} {
			require.Equal(t, slices.Contains(test.want, ip), isOfFamily(netip.MustParseAddr(test.bound), ip), "%s to %s", test.bound, ip)
		}
	}
	s := newNameServer()
	s.put("both", nameEntry{addrs: []netip.Addr{v6, v4}})
	s.put("only6", nameEntry{addrs: []netip.Addr{v6}})
	inCluster(t, 1, func(c *cluster) {
		log := c.loggedBy()
		n := c.startNamed(1, s, "both", "only6", "unknown", "[2001:db8::1]:7000")
		time.Sleep(time.Second)
		require.Equal(t, []netip.AddrPort{netip.AddrPortFrom(v4, 7000)}, *n.linking.seedAddrs.Load())
		c.kill(n)
		require.Regexp(t, `leads to no address.*seed=only6:7000.*unfit=1`, log.String())
		require.Regexp(t, `leads to no address.*seed=unknown:7000.*no such host`, log.String())
		require.NotRegexp(t, `leads to no address.*seed=both:7000`, log.String())
		require.Regexp(t, `of a family.*seeds=\[\[2001:db8::1\]:7000\]`, log.String())
	})
}

// What leads nowhere is told of once, and then ever more rarely.
func TestNamesThatLeadNowhereAreToldOfRarely(t *testing.T) {
	s := &seedName{}
	now, told := time.Unix(0, 0), 0
	for i := range s.lookUps {
		require.False(t, s.IsTold(now), "not all is known yet")
		s.lookUps[i].end(nil, 0, errNoHost)
	}
	for range 24 * 60 * 12 {
		if s.IsTold(now) {
			told++
		}
		now = now.Add(5 * time.Second)
	}
	require.Equal(t, 29, told, "in a day: at 0, 1, 3, 7, 15, 31 and 63 minutes, then each hour, which is 22 times")
}

// A node that is closed waits for its look-ups, which end at once.
func TestLookUpsEndWithTheNode(t *testing.T) {
	s := newNameServer()
	s.put("dead", nameEntry{dead: true})
	inCluster(t, 1, func(c *cluster) {
		n := c.startNamed(0, s, "dead")
		synctest.Wait()
		require.Equal(t, 2, s.waiting)
		start := time.Now()
		require.NoError(t, n.Close())
		require.Zero(t, s.waiting)
		require.Zero(t, time.Since(start))
	})
}
