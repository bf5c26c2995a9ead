package dashboard

import (
	"maps"
	"net/netip"
	"slices"
	"time"
	"unicode/utf8"

	"broach"
)

// What is known of the cluster while somebody looks: what the own node believes, and the newest answer of each member.
// It is all thrown away when nobody looks any more.

// cluster is what is known. Whoever calls its methods says what time it is, and lets no other in meanwhile.
type cluster struct {
	self      netip.AddrPort
	instances map[netip.AddrPort]*instance
	places    []*instance // by place, which is where beliefs of it stand; nil: nobody's
	services  []broach.Service
	isolated  bool
	joined    bool
	history   []moment
	moments   int // how many there were, of which the newest are kept
}

// instance is one member.
type instance struct {
	member  broach.Member
	peer    broach.PeerStats
	since   anchor // in its state
	started anchor

	asked, answered time.Time
	isPending       bool   // it was asked, and has not answered
	fails           int    // questions since its last answer that came to nothing
	why             string // it does not answer; "": it does, or one question has come to nothing

	goVersion, library string
	heap               uint64
	goroutines         int
	processors         int
	queued, running    int
	guests             int
	panics, refused    uint64
	isolated           bool
	window             window
	called, served     pace // of all functions together, in the window
	place              int
	beliefs            []belief // of others, by their places; nil: not asked for
}

// belief is what one member believes of another, and has measured. Those of 1,000 members are a million: they name
// nobody, so that they are small, and the garbage collector has nothing to look for in them.
type belief struct {
	mark mark    // unknown: it says nothing of it
	rtt  float32 // µs; 0: not measured
	loss float32 // 0 to 1
}

// mark is a state as the page shows it, the worse the higher.
type mark uint8

const (
	unknown mark = iota
	alive
	draining
	unsteady
	left
	suspect
	unreachable
	offline
)

// markOf tells of a member in one word.
func markOf(m *broach.Member) mark {
	switch {
	case m.State == broach.Offline:
		return offline
	case m.State == broach.Left:
		return left
	case m.Unreachable:
		return unreachable
	case m.State == broach.Suspect:
		return suspect
	case m.Unsteady:
		return unsteady
	case m.Draining:
		return draining
	}
	return alive
}

// anchor is an instant, told again and again as an age. It stays the same while the ages fit it.
type anchor struct{ at time.Time }

func (a *anchor) set(now time.Time, age time.Duration) {
	if at := now.Add(-age); at.Sub(a.at).Abs() > time.Second {
		a.at = at
	}
}

// millis is for a browser; 0: not known.
func (a *anchor) millis() int64 {
	if a.at.IsZero() {
		return 0
	}
	return a.at.UnixMilli()
}

func newCluster(self netip.AddrPort) *cluster {
	return &cluster{self: self, instances: map[netip.AddrPort]*instance{}}
}

// learnOwn takes in what the own node believes.
func (c *cluster) learnOwn(now time.Time, members []broach.Member, services []broach.Service, s *broach.Stats) {
	peers := make(map[netip.AddrPort]broach.PeerStats, len(s.Peers))
	for _, p := range s.Peers {
		peers[p.Addr] = p
	}
	gone := maps.Clone(c.instances)
	for _, m := range members {
		delete(gone, m.Addr)
		x := c.instances[m.Addr]
		if x == nil {
			x = c.enter(m.Addr)
		}
		p, isLinked := peers[m.Addr]
		if isLinked {
			x.since.set(now, p.Since)
		}
		x.member, x.peer = m, p
		if m.Self {
			c.self = m.Addr
		}
	}
	for addr := range gone {
		c.remove(addr)
	}
	c.services, c.isolated, c.joined = services, s.Isolated, s.Joined
}

// enter gives a new member a place.
func (c *cluster) enter(addr netip.AddrPort) *instance {
	x := &instance{place: slices.Index(c.places, nil)}
	if x.place < 0 {
		x.place = len(c.places)
		c.places = append(c.places, nil)
	}
	c.places[x.place], c.instances[addr] = x, x
	return x
}

// remove forgets a member, and what the others believed of it: another one may have its place.
func (c *cluster) remove(addr netip.AddrPort) {
	place := c.instances[addr].place
	delete(c.instances, addr)
	c.places[place] = nil
	for _, x := range c.instances {
		if place < len(x.beliefs) {
			x.beliefs[place] = belief{}
		}
	}
}

// learn takes in the answer of a member.
func (c *cluster) learn(now time.Time, addr netip.AddrPort, v *broach.View, hasMembers bool) {
	x := c.instances[addr]
	if x == nil {
		return
	}
	x.isPending, x.answered, x.why, x.fails = false, now, "", 0
	x.started.set(now, v.Uptime)
	x.goVersion, x.library = short(v.GoVersion), short(v.Library)
	x.heap, x.goroutines, x.processors = v.HeapBytes, v.Goroutines, v.Processors
	s := &v.Stats
	x.queued, x.running, x.guests, x.isolated = s.Queued, s.Running, s.Guests, s.Isolated
	x.panics, x.refused = s.Panics, s.Rejected+s.Shed
	x.window.add(sample{now, v.CPU, s.Called, s.Served})
	x.called, x.served = x.window.paces()
	x.beliefs = nil
	if hasMembers {
		x.beliefs = c.beliefsOf(v)
	}
}

// beliefsOf leaves out those that the own node does not know: a member could name any number.
func (c *cluster) beliefsOf(v *broach.View) []belief {
	list := make([]belief, len(c.places))
	for i := range v.Members {
		m := &v.Members[i]
		if x := c.instances[m.Addr]; x != nil && !m.Self {
			list[x.place] = belief{markOf(&m.Member), float32(m.RTT.Microseconds()), float32(m.Peer.Loss)}
		}
	}
	return list
}

// failed takes in that a member has not answered. That is said if it refuses, or when it happens again: what a busy
// member did not come to is no news.
func (c *cluster) failed(addr netip.AddrPort, code broach.Code) {
	x := c.instances[addr]
	if x == nil {
		return
	}
	x.isPending = false
	if x.fails++; x.fails > 1 || code == broach.Unauthenticated || code == broach.NotFound {
		x.why, x.beliefs = code.String(), nil
	}
}

// next is whom to ask now: of those in sight who has not been asked for the longest time, and for a round at least, or
// has not said yet what is wanted; else of all others. The own node, whose answer takes no datagrams, is one of them.
func (c *cluster) next(now time.Time, every time.Duration, sight map[netip.AddrPort]bool, wantsBeliefs bool) (
	netip.AddrPort, bool,
) {
	var best netip.AddrPort
	var found *instance
	for addr, x := range c.instances {
		isDue := now.Sub(x.asked) >= every || wantsBeliefs && x.beliefs == nil && x.fails == 0
		if x.isPending || !isDue || isGone(x.member.State) || x.member.Unreachable {
			continue
		}
		if found == nil || isSooner(sight[addr], sight[best], x, found, addr, best) {
			best, found = addr, x
		}
	}
	if found != nil {
		found.asked, found.isPending = now, true
	}
	return best, found != nil
}

func isGone(s broach.State) bool { return s == broach.Offline || s == broach.Left }

func isSooner(seenA, seenB bool, a, b *instance, addrA, addrB netip.AddrPort) bool {
	if seenA != seenB {
		return seenA
	}
	if d := a.asked.Compare(b.asked); d != 0 {
		return d < 0
	}
	return addrA.Compare(addrB) < 0
}

// sorted are the addresses of all members.
func (c *cluster) sorted() []netip.AddrPort {
	return slices.SortedFunc(maps.Keys(c.instances), netip.AddrPort.Compare)
}

// moment is a point of the curves.
type moment struct {
	at            time.Time
	calls, errors float64
	p99           float64
}

const momentsMost = 120

// remember adds a point to the curves.
func (c *cluster) remember(now time.Time) {
	if !slices.ContainsFunc(c.live(), func(x *instance) bool { return x.window.seconds() > 0 }) {
		return // there are no rates yet
	}
	all := c.total()
	c.moments++
	c.history = append(c.history, moment{now, round(all.calls), round(all.errors), round(all.percentile(0.99))})
	if len(c.history) > momentsMost {
		c.history = slices.Delete(c.history, 0, 1)
	}
}

// total is the pace of all calls of the cluster, as those see them who make them.
func (c *cluster) total() *pace {
	sum := &pace{}
	for _, x := range c.live() {
		sum.add(&x.called)
	}
	return sum
}

// live are those whose counts go on.
func (c *cluster) live() (list []*instance) {
	for _, x := range c.instances {
		if !isGone(x.member.State) && x.why == "" {
			list = append(list, x)
		}
	}
	slices.SortFunc(list, func(a, b *instance) int { return a.member.Addr.Compare(b.member.Addr) })
	return list
}

// textMost is how much of a text is kept that a member says of itself.
const textMost = 256

// short cuts a text, and what is no UTF-8 in it.
func short(s string) string {
	if len(s) <= textMost && utf8.ValidString(s) {
		return s
	}
	s = s[:min(len(s), textMost)]
	valid := make([]rune, 0, len(s))
	for _, r := range s {
		valid = append(valid, r)
	}
	return string(valid)
}
