package dashboard

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"broach"
	"broach/broachtest"
)

// screen is what a browser makes of what it is told.
type screen struct {
	sections map[string]map[string]json.RawMessage
	messages int
}

func (s *screen) take(t *testing.T, m []byte) {
	t.Helper()
	var parts map[string]patch
	require.NoError(t, json.Unmarshal(m, &parts), "%s", m)
	s.messages++
	for name, p := range parts {
		if p.Full || s.sections[name] == nil {
			if s.sections == nil {
				s.sections = map[string]map[string]json.RawMessage{}
			}
			require.True(t, p.Full, "the first message has all rows")
			s.sections[name] = map[string]json.RawMessage{}
		}
		for key, row := range p.Set {
			s.sections[name][key] = row
		}
		for _, key := range p.Del {
			delete(s.sections[name], key)
		}
	}
}

func (s *screen) node(t *testing.T, addr netip.AddrPort) (r nodeRow) {
	t.Helper()
	require.Contains(t, s.sections["nodes"], addr.String())
	require.NoError(t, json.Unmarshal(s.sections["nodes"][addr.String()], &r))
	return r
}

// watchFor takes what comes within a time.
func (s *screen) watchFor(t *testing.T, v *viewer, d time.Duration) {
	t.Helper()
	for end := time.After(d); ; {
		select {
		case m := <-v.messages:
			s.take(t, m)
		case <-end:
			return
		}
	}
}

// inspections counts the Requests that a node sends to others, which are its questions where nobody calls.
func inspections(c *broachtest.Cluster, of *broach.Node) *atomic.Int64 {
	var n atomic.Int64
	c.Drop(func(d broachtest.Datagram) bool {
		if d.From == of.Addr() && slices.Contains(d.Kinds, "Request") {
			n.Add(1)
		}
		return false
	})
	return &n
}

func startAll(c *broachtest.Cluster, n int) (nodes []*broach.Node) {
	for i := range n {
		nodes = append(nodes, c.Start(fmt.Sprintf("app%d", i%4)))
	}
	c.Settle()
	return nodes
}

// "It learns all that only while somebody looks: one poller asks for all viewers, 20 times a second at most, and ends
// 10 s after the last of them has gone."
func TestItAsksOnlyWhileSomebodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		nodes := startAll(c, 40)
		asked := inspections(c, nodes[0])
		p := newPoller(nodes[0], time.Second, func(string) bool { return false })
		time.Sleep(time.Minute)
		require.Zero(t, asked.Load(), "nobody looks")

		var viewers []*viewer
		for i := range 5 {
			v, err := p.look(fmt.Sprint("viewer ", i), []string{"nodes"})
			require.NoError(t, err)
			viewers = append(viewers, v)
		}
		var s screen
		for range 1000 { // as many events
			p.wake()
			s.watchFor(t, viewers[0], 10*time.Millisecond)
		}
		require.InDelta(t, 200, asked.Load(), 5, "20 a second, however many look, whatever happens")
		for _, n := range nodes {
			require.True(t, s.node(t, n.Addr()).Answered, "all have been asked in turn")
		}
		for _, v := range viewers {
			p.leave(v)
		}
		synctest.Wait()
		before := asked.Load()
		time.Sleep(lingers + time.Second)
		require.Equal(t, before, asked.Load(), "nobody looks any more")
		p.mu.Lock()
		isRunning, known := p.isRunning, p.cluster
		p.mu.Unlock()
		require.False(t, isRunning)
		require.Nil(t, known)

		v, err := p.look("who comes back", []string{"nodes"})
		require.NoError(t, err)
		s = screen{}
		s.watchFor(t, v, time.Second)
		require.Len(t, s.sections["nodes"], 40)
		p.leave(v)
	})
}

func TestRowsInSightComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		nodes := startAll(c, 100)
		p := newPoller(nodes[0], 2*time.Second, func(string) bool { return false })
		v, err := p.look("a viewer", []string{"nodes"})
		require.NoError(t, err)
		var sight []netip.AddrPort
		for _, n := range nodes[90:] {
			sight = append(sight, n.Addr())
		}
		require.True(t, p.see("a viewer", sight))
		require.False(t, p.see("nobody", sight))
		var s screen
		s.watchFor(t, v, 1500*time.Millisecond)
		for _, addr := range sight {
			require.True(t, s.node(t, addr).Answered)
		}
		require.False(t, s.node(t, nodes[80].Addr()).Answered, "others wait")
		p.leave(v)
	})
}

func TestAKilledNodeIsShownWithinThreeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		nodes := startAll(c, 5)
		p := newPoller(nodes[0], 10*time.Second, func(string) bool { return false })
		v, err := p.look("a viewer", []string{"nodes", "events"})
		require.NoError(t, err)
		var s screen
		s.watchFor(t, v, 15*time.Second)
		require.Equal(t, alive, s.node(t, nodes[3].Addr()).Mark)
		c.Kill(nodes[3])
		s.watchFor(t, v, 3*time.Second)
		require.Equal(t, offline, s.node(t, nodes[3].Addr()).Mark, "sooner than the next round")
		found := false
		for _, e := range s.sections["events"] {
			row := string(e)
			found = found || strings.Contains(row, "offline") && strings.Contains(row, nodes[3].Addr().String())
		}
		require.True(t, found, "%s", s.sections["events"])
		p.leave(v)
	})
}

// What happened before anybody looked is there.
func TestEventsAreKeptFromTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		nodes := startAll(c, 3)
		p := newPoller(nodes[0], 2*time.Second, func(string) bool { return false })
		c.Kill(nodes[2])
		time.Sleep(time.Minute)
		for i := range 2 * eventsMost {
			require.NoError(t, nodes[1].Register(fmt.Sprint("f", i), func() {}))
			time.Sleep(100 * time.Millisecond)
		}
		v, err := p.look("a viewer", []string{"events"})
		require.NoError(t, err)
		var s screen
		s.watchFor(t, v, time.Second)
		require.Len(t, s.sections["events"], eventsMost, "the newest of them")
		require.Contains(t, string(s.sections["events"][fmt.Sprint(p.eventSeq-1)]), fmt.Sprint("f", 2*eventsMost-1))
		p.leave(v)
	})
}

// Who does not read gets all rows again, and holds up nobody.
func TestAViewerThatIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		nodes := startAll(c, 3)
		p := newPoller(nodes[0], 200*time.Millisecond, func(string) bool { return false })
		v, err := p.look("a viewer", []string{"history", "nodes"})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		c.Kill(nodes[2])
		time.Sleep(time.Minute)
		var s screen
		s.watchFor(t, v, 5*time.Second)
		require.Equal(t, offline, s.node(t, nodes[2].Addr()).Mark)
		require.LessOrEqual(t, len(s.sections["history"]), momentsMost)
		p.leave(v)
	})
}

func TestNoMoreViewersThanThereIsRoomFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := broachtest.New(t).Start("shop")
		p := newPoller(n, 2*time.Second, func(string) bool { return false })
		for i := range viewersMost {
			_, err := p.look(fmt.Sprint("viewer ", i), []string{"sum"})
			require.NoError(t, err)
		}
		_, err := p.look("one more", []string{"sum"})
		require.ErrorIs(t, err, errCrowded)
		require.NoError(t, n.Close()) // the poller ends with the node, whoever looks
	})
}

// Where two believe different things of a third, the page says who.
func TestWhoBelievesWhat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		nodes := startAll(c, 5)
		p := newPoller(nodes[0], time.Second, func(string) bool { return false })
		v, err := p.look("a viewer", []string{"beliefs", "odd", "beliefs:net", "beliefs:"})
		require.NoError(t, err)
		var s screen
		s.watchFor(t, v, 5*time.Second)
		require.Len(t, s.sections["beliefs"], 5)
		require.Empty(t, s.sections["odd"])
		require.Contains(t, s.sections["beliefs:net"], "10.0.0.0/24")

		c.Cut(nodes[1:2], nodes[2:3])
		s.watchFor(t, v, 20*time.Second)
		var odd oddRow
		require.Contains(t, s.sections["odd"], nodes[2].Addr().String())
		require.NoError(t, json.Unmarshal(s.sections["odd"][nodes[2].Addr().String()], &odd))
		require.Equal(t, 3, odd.Alive)
		require.Equal(t, []string{nodes[1].Addr().String()}, odd.Says[unreachable])
		p.leave(v)
	})
}

// A guest may have the page: no member hears of it, and it sees them all.
func TestThePageOfAGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		nodes := startAll(c, 4)
		broachtest.Stub(nodes[1], "price", 7)
		guest := c.Start("", func(cfg *broach.Config) { cfg.Guest = true })
		time.Sleep(time.Second)
		p := newPoller(guest, time.Second, func(string) bool { return false })
		v, err := p.look("a viewer", []string{"nodes", "functions", "sum"})
		require.NoError(t, err)
		var s screen
		s.watchFor(t, v, 10*time.Second)
		for _, n := range nodes {
			require.True(t, s.node(t, n.Addr()).Answered, "%s", s.sections["nodes"])
		}
		require.Contains(t, s.sections["functions"], "price")
		c.Kill(nodes[3])
		s.watchFor(t, v, 4*time.Second)
		require.Equal(t, offline, s.node(t, nodes[3].Addr()).Mark)
		p.leave(v)
	})
}

// A member that does not want to be inspected is a row like others, which says so.
func TestASilentMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		n := c.Start("shop")
		silent := c.Start("vault", func(cfg *broach.Config) { cfg.Silent = true })
		c.Settle()
		p := newPoller(n, time.Second, func(string) bool { return false })
		v, err := p.look("a viewer", []string{"nodes"})
		require.NoError(t, err)
		var s screen
		s.watchFor(t, v, 5*time.Second)
		r := s.node(t, silent.Addr())
		require.Equal(t, "Unauthenticated", r.Why)
		require.Equal(t, alive, r.Mark)
		p.leave(v)
	})
}
