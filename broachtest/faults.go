package broachtest

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"broach"
	"broach/internal/simnet"
	"broach/internal/wire"
)

// Link says what happens to datagrams on their way in one direction. The zero Link delivers all of them, in order,
// after 100 µs. Chances are from 0 to 1, times are not negative; anything else is bad use.
type Link struct {
	Loss      float64       // chance that a datagram is lost
	Duplicate float64       // chance that it arrives a second time, up to Delay+Jitter after the first
	Reorder   float64       // chance that it is held back for one to three times Delay+Jitter, while others overtake it
	Delay     time.Duration // that every datagram takes; 0 is 100 µs
	Jitter    time.Duration // the most that is added to Delay, evenly distributed; it does not reorder
	MTU       int           // the largest payload in bytes; larger ones vanish. 0: no limit. Below 1200 no node joins
}

// Link sets what all links are like that LinkBetween has not set, from now on: datagrams that are under way stay as
// they are. Link(Link{}) is a network without faults again.
func (c *Cluster) Link(l Link) {
	c.enter("Link")
	c.t.Helper()
	c.check("Link", l)
	rest()
	c.net.SetDefault(simnetLink(l))
}

// LinkBetween sets what the link from one node to another is like, in this direction only, from now on. Later calls
// of Link do not change it. It is of their addresses: it holds for who is started there next, and may be set while
// nobody is.
func (c *Cluster) LinkBetween(from, to *broach.Node, l Link) {
	c.enter("LinkBetween")
	c.t.Helper()
	c.check("LinkBetween", l)
	a, b := c.processOf("LinkBetween", from), c.processOf("LinkBetween", to)
	if a.addr == b.addr {
		c.fail("LinkBetween: both ends are %v", a)
	}
	rest()
	c.net.SetLink(a.addr, b.addr, simnetLink(l))
}

func simnetLink(l Link) simnet.Link {
	return simnet.Link{
		Loss: l.Loss, Duplicate: l.Duplicate, Reorder: l.Reorder, Delay: l.Delay, Jitter: l.Jitter, MTU: l.MTU,
	}
}

// check fails the test if there can be no such link.
func (c *Cluster) check(op string, l Link) {
	c.t.Helper()
	for _, chance := range []struct {
		name string
		is   float64
	}{{"Loss", l.Loss}, {"Duplicate", l.Duplicate}, {"Reorder", l.Reorder}} {
		if !(chance.is >= 0 && chance.is <= 1) { // NaN is neither
			c.fail("%s: the %s is %v, must be from 0 to 1", op, chance.name, chance.is)
		}
	}
	if l.Delay < 0 || l.Jitter < 0 || l.MTU < 0 {
		c.fail("%s: Delay %v, Jitter %v, MTU %d: none may be negative", op, l.Delay, l.Jitter, l.MTU)
	}
}

// Cut stops all datagrams between the nodes of a and those of b, both ways, until Heal. Those that are under way
// still arrive. Cuts add up. A cut is of addresses: it also holds for who is started there next. It is bad use if a
// side has no nodes, or both have the same.
func (c *Cluster) Cut(a, b []*broach.Node) {
	c.t.Helper()
	from, to := c.sides("Cut", a, b)
	rest()
	c.net.Cut(from, to)
}

// CutOneWay is Cut in one direction: nothing gets from a node of from to one of to any more.
func (c *Cluster) CutOneWay(from, to []*broach.Node) {
	c.t.Helper()
	a, b := c.sides("CutOneWay", from, to)
	rest()
	c.net.CutOneWay(a, b)
}

// sides are the addresses of the two sides of a cut.
func (c *Cluster) sides(op string, a, b []*broach.Node) (from, to []netip.AddrPort) {
	c.enter(op)
	c.t.Helper()
	if len(a) == 0 || len(b) == 0 {
		c.fail("%s: a side has no nodes", op)
	}
	isIn := map[netip.AddrPort]bool{}
	for _, n := range a {
		p := c.processOf(op, n)
		isIn[p.addr] = true
		from = append(from, p.addr)
	}
	for _, n := range b {
		p := c.processOf(op, n)
		if isIn[p.addr] {
			c.fail("%s: %v is on both sides", op, p)
		}
		to = append(to, p.addr)
	}
	return from, to
}

// Heal undoes all cuts; without any it does nothing. What was sent meanwhile stays lost. Links, and what Drop picks,
// are as before.
func (c *Cluster) Heal() {
	c.enter("Heal")
	rest()
	c.net.Heal()
}

// Pause makes a node seem a process that was stopped, as by SIGSTOP, until Resume or Kill: it hears nothing, and its
// goroutines stand still as soon as they send something. What comes for it waits, up to 4,096 datagrams. What the
// test asks of a paused node may wait as well, whatever its deadline: a call or Close until Resume. So a pause that
// lasts for an hour is bad use: it fails the test, and ends. It is bad use to pause a node that is paused or has ended.
func (c *Cluster) Pause(n *broach.Node) {
	c.enter("Pause")
	c.t.Helper()
	p := c.living("Pause", n)
	if !c.setPaused(p, true) {
		c.fail("Pause: %v is paused already", p)
	}
	rest()
	c.net.Pause(p.addr)
}

// pauseMost is how long a node is paused at most. Who waits for a node that nobody resumes would do so for ever: while
// the others beat, virtual time goes on.
const pauseMost = time.Hour

// endPause ends a pause that nobody has ended.
func (c *Cluster) endPause(p *process) {
	if c.setPaused(p, false) {
		c.t.Errorf("broachtest: %v has been paused for %v: Resume or Kill it before something waits for it", p,
			pauseMost)
		c.net.Resume(p.addr)
	}
}

// pause notes that a process is paused, or no longer; the mutex of its cluster is held.
func (p *process) pause(is bool) {
	p.isPaused = is
	if !is && p.overdue != nil {
		p.overdue.Stop()
	}
}

// Resume ends a pause: the node goes on with what has waited for it. It is bad use to resume a node that is not
// paused.
func (c *Cluster) Resume(n *broach.Node) {
	c.enter("Resume")
	c.t.Helper()
	p := c.living("Resume", n)
	if !c.setPaused(p, false) {
		c.fail("Resume: %v is not paused", p)
	}
	rest()
	c.net.Resume(p.addr)
}

// setPaused notes that a process is paused, or no longer. It reports false if that is so already.
func (c *Cluster) setPaused(p *process, is bool) (changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed = p.isPaused != is
	p.pause(is)
	if is && changed {
		p.overdue = time.AfterFunc(pauseMost, func() { c.endPause(p) })
	}
	return changed
}

// Datagram is what Drop looks at.
type Datagram struct {
	From, To netip.AddrPort // of the sockets, as Node.Addr where Config.Advertise is not set
	// Kinds names the messages in it, as PROTOCOL.md does and in their order, such as "Request" or "Beat"; a message
	// of more than a datagram is of kind "Fragment". Before the messages of a Confirm stands "Confirm", and an "Open"
	// or an "Offer" is alone. It is empty for a datagram that is sealed with keys, and for one that is not of broach.
	Kinds []string
	Size  int // bytes of payload
}

// Drop loses the datagrams that match is true of, before a link may lose them, from now on. It is asked of each
// datagram that a node sends, of one at a time, by the goroutine that sends it: it must not block, fail the test at
// once, nor use a node or the cluster. What several nodes send at one instant comes in any order. It takes the place
// of the function of an earlier call; Drop(nil) loses nothing any more.
func (c *Cluster) Drop(match func(Datagram) bool) {
	c.enter("Drop")
	rest()
	c.match.set(match)
}

// matching is the function of Drop.
type matching struct {
	mu sync.Mutex // protects f, and what it keeps
	f  func(Datagram) bool
}

func (m *matching) set(f func(Datagram) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.f = f
}

// wants reports whether a datagram is to be lost.
func (m *matching) wants(from, to netip.AddrPort, b []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.f != nil && m.f(Datagram{From: from, To: to, Kinds: kindsOf(b), Size: len(b)})
}

// picks sees each datagram on its way. It keeps what the sender says of its table, and reports whether the datagram
// is to be lost.
func (c *Cluster) picks(from, to netip.AddrPort, b []byte) bool {
	if h, _, err := wire.ConsumeHeader(b); err == nil && (h.Form == wire.FormLink || h.Form == wire.FormConfirm) {
		if p, ok := c.senders.Load(from); ok {
			p.(*process).offers(h.TableVersion)
		}
	}
	return c.match.wants(from, to, b)
}

// offers notes that a process has said which version its table has. Versions rise; datagrams may be sent in any
// order.
func (p *process) offers(version uint32) {
	for was := p.table.Load(); version > was && !p.table.CompareAndSwap(was, version); {
		was = p.table.Load()
	}
}

var kindNames = map[wire.Kind]string{
	wire.KindRequest: "Request", wire.KindReply: "Reply", wire.KindProgress: "Progress", wire.KindPoll: "Poll",
	wire.KindCancel: "Cancel", wire.KindSend: "Send", wire.KindChunk: "Chunk",
	wire.KindFragment: "Fragment", wire.KindFragmentAck: "FragmentAck", wire.KindStop: "Stop",
	wire.KindProbe: "Probe", wire.KindProbeAck: "ProbeAck",
	wire.KindJoin: "Join", wire.KindList: "List", wire.KindAnnounce: "Announce", wire.KindWelcome: "Welcome",
	wire.KindAck: "Ack", wire.KindBeat: "Beat", wire.KindPing: "Ping", wire.KindPong: "Pong",
	wire.KindHelp: "Help", wire.KindVouch: "Vouch", wire.KindNack: "Nack",
	wire.KindSuspect: "Suspect", wire.KindOffline: "Offline", wire.KindLeave: "Leave",
	wire.KindDelta: "Delta", wire.KindDrain: "Drain",
}

// kindsOf names what is in a datagram.
func kindsOf(b []byte) (names []string) {
	h, rest, err := wire.ConsumeHeader(b)
	if err != nil || h.KeyID != 0 {
		return nil
	}
	switch h.Form {
	case wire.FormOpen:
		return []string{"Open"}
	case wire.FormOffer:
		return []string{"Offer"}
	case wire.FormConfirm:
		names = []string{"Confirm"}
		_, rest, err = wire.ConsumeConfirm(b)
	}
	for err == nil && len(rest) > 0 {
		var kind wire.Kind
		if kind, _, rest, err = wire.ConsumeMessage(rest); err == nil {
			names = append(names, nameOf(kind))
		}
	}
	return names
}

// nameOf is the name of a kind; one that a later protocol has is its number.
func nameOf(k wire.Kind) string {
	if name, ok := kindNames[k]; ok {
		return name
	}
	return fmt.Sprintf("kind %d", k)
}
