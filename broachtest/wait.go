package broachtest

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"broach"
)

const (
	settleLimit = 30 * time.Second
	// a node tells of what it offers 5 ms after it did so last at the earliest: it may be about to do so
	settleFirst = 6 * time.Millisecond
	settleEvery = time.Millisecond
	wrongsMost  = 20 // that are told of
)

// Settle waits until all nodes that live agree, but for guests: each holds exactly the others to be alive and reaches
// them, nobody holds one that has ended or is paused to be there, and each knows what each offers and has subscribed
// to. It takes 6 ms at least, and fails the test after 30 s with who disagrees about whom; that time, as all here, is
// virtual in a bubble. Nodes that have not noticed a cut yet still agree; those that have do not until it is healed.
// Outside of a bubble a node that had no processor for some milliseconds may not have told yet of a topic that it has
// just subscribed to.
func (c *Cluster) Settle() {
	c.enter("Settle")
	c.t.Helper()
	time.Sleep(settleFirst)
	end, last := time.Now().Add(settleLimit), 0
	for {
		rest() // what happens at this instant counts, always or never
		s := c.look()
		wrong, at := s.first(last)
		if wrong == "" {
			return
		}
		if last = at; time.Now().After(end) {
			c.fail("Settle: after %v the nodes do not agree:%s", settleLimit, s.all())
		}
		time.Sleep(settleEvery)
	}
}

// sight is how things are, for comparison with what nodes believe.
type sight struct {
	known []*process                  // the last one of each address, in the order of their starts
	live  []*process                  // those that are to be there
	by    map[netip.AddrPort]*process // the known ones, by what they advertise

	offers map[string][]netip.AddrPort // who can be called, by function; made when it is first needed
}

// look is how things are now.
func (c *Cluster) look() *sight {
	s := &sight{by: map[netip.AddrPort]*process{}}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.processes {
		n := p.node.Load()
		if n == nil || p.isReplaced || p.guest.Load() {
			continue
		}
		s.known = append(s.known, p)
		s.by[n.Addr()] = p
		if p.isAlive() && !p.isPaused {
			s.live = append(s.live, p)
		}
	}
	return s
}

// first is the first thing that is wrong, and at which node; "": nothing is. It begins with the node at which
// something was wrong before: a cluster is asked often, and mostly in vain.
func (s *sight) first(last int) (wrong string, at int) {
	for i := range s.live {
		at = (last + i) % len(s.live)
		for wrong = range s.wrongs(s.live[at]) {
			return wrong, at
		}
	}
	return "", 0
}

// all is all that is wrong, a line each, behind why some have not joined.
func (s *sight) all() string {
	var lines []string
	for _, p := range s.live {
		if text := wrongJoin(p.node.Load()); text != "" {
			lines = append(lines, fmt.Sprintf("%v says: %s", p, text))
		}
	}
	for _, p := range s.live {
		lines = slices.AppendSeq(lines, s.wrongs(p))
	}
	if more := len(lines) - wrongsMost; more > 0 {
		lines = append(lines[:wrongsMost], fmt.Sprintf("and %d more", more))
	}
	return "\n\t" + strings.Join(lines, "\n\t")
}

// wrongs yields what is wrong with what a node believes.
func (s *sight) wrongs(p *process) iter.Seq[string] {
	return func(yield func(string) bool) {
		n := p.node.Load()
		members, stats := s.membersOf(n), statsOf(n)
		for _, other := range s.known {
			if other == p {
				continue
			}
			text := s.wrongOf(other, members[other], stats[other.node.Load().Addr()])
			if text != "" && !yield(fmt.Sprintf("%v says that %v %s", p, other, text)) {
				return
			}
		}
		if text := s.wrongOffers(n); text != "" {
			yield(fmt.Sprintf("%v says that %s", p, text))
		}
	}
}

// wrongJoin is why a node has not joined, as it says itself; "": it has.
func wrongJoin(n *broach.Node) string {
	if n.Stats().Joined {
		return ""
	}
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_, why, _ := strings.Cut(fmt.Sprint(n.WaitJoined(now)), "; ")
	return why
}

// membersOf is what a node says of others.
func (s *sight) membersOf(n *broach.Node) map[*process][]broach.Member {
	members := map[*process][]broach.Member{}
	for _, m := range n.Members() {
		if p := s.by[m.Addr]; p != nil && !m.Self {
			members[p] = append(members[p], m)
		}
	}
	return members
}

// statsOf is what a node counts of others.
func statsOf(n *broach.Node) map[netip.AddrPort]broach.PeerStats {
	stats := map[netip.AddrPort]broach.PeerStats{}
	for _, p := range n.Stats().Peers {
		stats[p.Addr] = p
	}
	return stats
}

// wrongOf is what is wrong with what a node believes of another; "": nothing is.
func (s *sight) wrongOf(other *process, said []broach.Member, stats broach.PeerStats) string {
	if len(said) > 1 {
		return "is there twice"
	}
	m := broach.Member{State: broach.Offline}
	if len(said) == 1 {
		m = said[0]
	}
	isThere := m.State == broach.Alive || m.State == broach.Suspect
	switch isLive := slices.Contains(s.live, other); {
	case !isLive && isThere:
		return fmt.Sprintf("is %v, and it has ended or is paused", m.State)
	case !isLive:
		return ""
	case len(said) == 0:
		return "is not known"
	case m.State != broach.Alive:
		return "is " + m.State.String()
	case m.Unreachable:
		return "is unreachable"
	case m.Draining:
		return "is leaving"
	}
	return wrongStats(other, stats)
}

// wrongStats is what is wrong with what a node has of another that is alive.
func wrongStats(other *process, stats broach.PeerStats) string {
	if stats.Since > time.Since(other.born) { // it was so before this process was there
		return "is the process that was there before"
	}
	if is := other.table.Load(); stats.TableVersion != is {
		return fmt.Sprintf("offers what version %d of its table says, and it is at %d", stats.TableVersion, is)
	}
	return ""
}

// wrongOffers is what is wrong with who a node would call. It knows all tables; but a change may not have been told
// yet.
func (s *sight) wrongOffers(n *broach.Node) string {
	if s.offers == nil {
		s.offers = s.ownOffers()
	}
	known := map[string][]netip.AddrPort{}
	for _, f := range n.Services() { // one for each signature
		known[f.Name] = append(known[f.Name], s.ofLive(f.Providers)...)
	}
	sortAll(known)
	for name, providers := range s.offers {
		if !slices.Equal(known[name], providers) {
			return fmt.Sprintf("%s is offered by %v, and it is by %v", name, known[name], providers)
		}
	}
	for name, providers := range known {
		if len(providers) > 0 && s.offers[name] == nil {
			return fmt.Sprintf("%s is offered by %v, and it is by nobody", name, providers)
		}
	}
	return ""
}

// ownOffers is who offers what, as the providers themselves say.
func (s *sight) ownOffers() map[string][]netip.AddrPort {
	offers := map[string][]netip.AddrPort{}
	for _, p := range s.live {
		n := p.node.Load()
		for _, f := range n.Services() {
			if self := n.Addr(); slices.Contains(f.Providers, self) {
				offers[f.Name] = append(offers[f.Name], self)
			}
		}
	}
	sortAll(offers)
	return offers
}

func sortAll(offers map[string][]netip.AddrPort) {
	for _, providers := range offers {
		slices.SortFunc(providers, netip.AddrPort.Compare)
	}
}

// ofLive leaves out who is not of this cluster.
func (s *sight) ofLive(addrs []netip.AddrPort) []netip.AddrPort {
	return slices.DeleteFunc(addrs, func(a netip.AddrPort) bool { return s.by[a] == nil })
}

// WaitEvent waits until a node tells, as by its Watch, of an event of a kind, and returns the first. Watch begins
// with how things are: what is so already counts as told, such as a MemberUp for who is alive, and a MemberOffline
// for who is known to be gone. It fails t if none comes within a time, or if the node is closed before. That time,
// which is virtual in a bubble, includes its end; 0 asks for what is so already. The node need not be one of a
// Cluster.
func WaitEvent(t testing.TB, n *broach.Node, kind broach.EventKind, within time.Duration) broach.Event {
	t.Helper()
	if n == nil {
		t.Fatal("broachtest: WaitEvent: the node is nil")
	}
	// nothing happens a nanosecond later than what happens at its end
	ctx, cancel := context.WithTimeout(context.Background(), max(within, within+time.Nanosecond))
	defer cancel()
	var told []string
	for e := range n.Watch(ctx) {
		if e.Kind == kind {
			return e
		}
		told = append(told, strings.TrimSpace(fmt.Sprintf("%v: %v %s", e.Kind, e.Member.Addr, e.Service)))
	}
	what := "it told of " + strings.Join(told, ", ")
	if len(told) == 0 {
		what = "it told of nothing"
	}
	if ctx.Err() == nil {
		what += ", and then was closed"
	}
	t.Fatalf("broachtest: WaitEvent: %v has not told of %q within %v: %s", n.Addr(), kind, within, what)
	return broach.Event{}
}
