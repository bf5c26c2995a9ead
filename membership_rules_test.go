package broach

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// history is what the rules remember of one process.
type history struct {
	inc  uint32
	at   map[netip.AddrPort]uint64 // which process it last believed to be at an address
	gone map[uint64]bool           // those that it has seen leave, or replaced
}

func newHistory() *history {
	return &history{at: map[netip.AddrPort]uint64{}, gone: map[uint64]bool{}}
}

// keepRules checks after each step of each process what holds whatever happens to processes and networks.
func keepRules(s *society) {
	records := map[*citizen]*history{}
	s.after = append(s.after, func(c *citizen) {
		r := records[c]
		if r == nil {
			r = newHistory()
			records[c] = r
		}
		if err := r.check(c); err != nil {
			require.NoError(s.t, err, "%v at %v", c.cfg.self, s.now.UTC())
		}
	})
}

func (r *history) check(c *citizen) error {
	if c.inc < r.inc {
		return fmt.Errorf("its incarnation fell from %d to %d", r.inc, c.inc)
	}
	r.inc = c.inc
	for _, p := range c.peers.list {
		if p.boot == c.boot || p.addr == c.cfg.self {
			return fmt.Errorf("it has itself as a peer, %v", p.state)
		}
		if err := r.checkPeer(p); err != nil {
			return err
		}
	}
	return nil
}

// checkPeer sees to it that who left or was replaced never comes back. The record is its own: the machine's memory of them is
// what is being tested.
func (r *history) checkPeer(p *peer) error {
	if before := r.at[p.addr]; before != p.boot {
		r.gone[before] = true
	}
	r.at[p.addr] = p.boot
	if p.state == Left {
		r.gone[p.boot] = true
	}
	if r.gone[p.boot] && p.state != Left {
		return fmt.Errorf("%v is %v again, of a process that was gone", p.addr, p.state)
	}
	return nil
}

// requireOneView checks what holds once the network is whole and has been for a while: everybody sees exactly the live
// processes, alive and reached, with the tables that they offer now.
func requireOneView(s *society) {
	s.t.Helper()
	live := s.live()
	for _, c := range live {
		want := []string{}
		for _, other := range live {
			if other != c {
				want = append(want, sight(other.cfg.self, other.boot, Alive, false, other.tver))
			}
		}
		slices.Sort(want)
		require.Equal(s.t, want, c.sights(live), "what %v sees", c.cfg.self)
		require.Equal(s.t, live[0].digest, c.digest, "digest of %v", c.cfg.self)
	}
}

// live lists the processes that run.
func (s *society) live() (list []*citizen) {
	for _, c := range s.members {
		if !c.dead && !c.stopped {
			list = append(list, c)
		}
	}
	return list
}

// sights lists what a process believes of the live ones, and whom it takes for live besides.
func (c *citizen) sights(live []*citizen) []string {
	list := []string{}
	for _, p := range c.peers.list {
		if p.isMember() || slices.ContainsFunc(live, func(l *citizen) bool { return l.boot == p.boot }) {
			list = append(list, sight(p.addr, p.boot, p.state, p.unreachable, p.tver))
		}
	}
	slices.Sort(list)
	return list
}

func sight(addr netip.AddrPort, boot uint64, state State, unreachable bool, tver uint32) string {
	return fmt.Sprintf("%v, process %x: %v, unreachable %v, table %d", addr, boot, state, unreachable, tver)
}

// The rules see what breaks them.
func TestRulesAreKept(t *testing.T) {
	s := newSociety(t)
	all := s.grow(3)
	requireOneView(s)
	a, b := all[0], all[1]
	used := func() *history {
		r := newHistory()
		require.NoError(t, r.check(a))
		return r
	}

	fallen := used()
	fallen.inc++
	require.ErrorContains(t, fallen.check(a), "incarnation fell")

	left := used()
	a.of(b).state = Left
	require.NoError(t, left.check(a))
	a.of(b).state = Offline
	require.ErrorContains(t, left.check(a), "offline again")

	replaced := used()
	a.of(b).boot++
	require.NoError(t, replaced.check(a))
	a.peers.sorted()[0].boot--
	require.ErrorContains(t, replaced.check(a), "process that was gone")

	a.peers.sorted()[0].boot = a.boot
	require.ErrorContains(t, newHistory().check(a), "itself as a peer")
}
