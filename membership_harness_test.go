package broach

import (
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// society is a number of membership machines, and the network between them, in time of its own. It plays the node's part: it
// delivers what the machines send, and says whether it came on a link.
type society struct {
	t       *testing.T
	now     time.Time
	loss    float64
	cut     func(from, to *citizen) bool
	drop    func(msg wire.Message) bool
	rng     *rand.Rand
	members []*citizen
	mail    mail
	count   int
	spy     func(from *citizen, to netip.AddrPort, msg wire.Message, size int)
	after   []func(c *citizen) // called after each step of a machine
}

// citizen is one process.
type citizen struct {
	*membership
	boot    uint64
	links   map[uint64]bool
	dead    bool
	stopped bool
	events  []memberEvent
	pulls   int
	wake    time.Time // when it ticks next, as of its last step
}

// letter is a datagram on its way.
type letter struct {
	at    time.Time
	n     int
	from  *citizen
	to    netip.AddrPort
	boot  uint64
	msg   wire.Message
	stale uint64 // not 0: a Stale answer that names this boot id
	size  int
	tver  uint32
}

type mail []letter

func (m mail) Len() int { return len(m) }
func (m mail) Less(i, j int) bool {
	return m[i].at.Before(m[j].at) || m[i].at.Equal(m[j].at) && m[i].n < m[j].n
}
func (m mail) Swap(i, j int) { m[i], m[j] = m[j], m[i] }
func (m *mail) Push(v any)   { *m = append(*m, v.(letter)) }
func (m *mail) Pop() any {
	old := *m
	l := old[len(old)-1]
	*m = old[:len(old)-1]
	return l
}

func newSociety(t *testing.T) *society {
	t.Log("seed 5")
	return &society{t: t, now: time.Unix(0, 0), rng: rand.New(rand.NewPCG(5, 5))}
}

// join starts a process at address i, with the seeds.
func (s *society) join(i int, seeds ...int) *citizen {
	boot := s.rng.Uint64() | 1
	heartbeat := Config{}.heartbeat()
	c := &citizen{boot: boot, links: map[uint64]bool{}}
	c.membership = newMembership(memberConfig{
		self: addrOf(i), boot: boot, name: "app", heartbeat: heartbeat, maxPeers: maxPeers,
	}, s.now, rand.New(rand.NewPCG(boot, boot)))
	c.setTable(s.now, 1, wire.AppendTable(nil, nil))
	var addrs []netip.AddrPort
	for _, j := range seeds {
		addrs = append(addrs, addrOf(j))
	}
	c.setSeeds(s.now, addrs, false)
	s.members = append(s.members, c)
	c.tick(s.now)
	s.collect(c)
	return c
}

// grow starts k processes, the first being the seed of all, and lets them find each other.
func (s *society) grow(k int) []*citizen {
	for i := range k {
		s.join(i, 0)
	}
	s.run(2 * time.Second)
	for _, c := range s.members {
		require.Equal(s.t, k-1, c.in(Alive))
	}
	return s.members
}

// in counts the peers in a state.
func (c *citizen) in(state State) int {
	n := 0
	for _, p := range c.peers.list {
		if p.state == state {
			n++
		}
	}
	return n
}

// of is what a process believes of another.
func (c *citizen) of(other *citizen) *peer { return c.peers.byBoot[other.boot] }

// collect takes the effects of a machine.
func (s *society) collect(c *citizen) {
	e := c.take()
	for _, id := range e.open {
		c.links[id.boot] = true
	}
	for _, o := range e.send {
		s.post(c, o)
	}
	for _, id := range e.close {
		delete(c.links, id.boot)
	}
	c.events = append(c.events, e.events...)
	for _, id := range e.pull {
		c.pulls++
		s.answerPull(c, id)
	}
	c.wake = c.nextTimeout()
	c.dead = c.dead || c.hasLeft(s.now)
	for _, look := range s.after {
		look(c)
	}
}

func (s *society) answerPull(c *citizen, id linkID) {
	for _, other := range s.members {
		if other.boot == id.boot && !other.dead {
			c.pulled(s.now, id.boot, other.tver, other.table, true)
			return
		}
	}
	c.pulled(s.now, id.boot, 0, nil, false)
}

// post puts a message on its way, or loses it.
func (s *society) post(c *citizen, o memberMessage) {
	size := wire.HeaderSize + len(o.msg.Append(nil))
	require.LessOrEqual(s.t, size, controlPacket)
	if s.spy != nil {
		s.spy(c, o.to, o.msg, size)
	}
	s.count++
	if s.drop != nil && s.drop(o.msg) || s.rng.Float64() < s.loss {
		return
	}
	s.send(letter{from: c, to: o.to, boot: o.boot, msg: o.msg, size: size, tver: c.tver})
}

func (s *society) send(l letter) {
	s.count++
	l.n = s.count
	l.at = s.now.Add(100*time.Microsecond + time.Duration(s.rng.IntN(50))*time.Microsecond)
	heap.Push(&s.mail, l)
}

// run lets time pass.
func (s *society) run(d time.Duration) {
	end := s.now.Add(d)
	for {
		next, c := s.next()
		if next.IsZero() || next.After(end) {
			s.now = end
			return
		}
		s.now = next
		if c != nil {
			c.tick(s.now)
			s.collect(c)
			continue
		}
		s.deliver(heap.Pop(&s.mail).(letter))
	}
}

// next is what happens next: a tick of a machine, or with nil the arrival of a letter.
func (s *society) next() (at time.Time, who *citizen) {
	if len(s.mail) > 0 {
		at = s.mail[0].at
	}
	for _, c := range s.members {
		if !c.dead && !c.stopped && !c.wake.IsZero() && (at.IsZero() || c.wake.Before(at)) {
			at, who = c.wake, c
		}
	}
	if who != nil && at.Before(s.now) {
		at = s.now
	}
	return at, who
}

func (s *society) at(addr netip.AddrPort) *citizen {
	for _, c := range s.members {
		if c.cfg.self == addr && !c.dead {
			return c
		}
	}
	return nil
}

// deliver gives a letter to the process at its address.
func (s *society) deliver(l letter) {
	c := s.at(l.to)
	switch {
	case c == nil || s.cut != nil && s.cut(l.from, c):
		return
	case c.stopped:
		l.at = s.now.Add(10 * time.Millisecond) // it waits in the socket
		heap.Push(&s.mail, l)
		return
	case l.stale != 0:
		c.stale(s.now, l.from.cfg.self, l.stale)
	case l.boot != 0 && l.boot != c.boot:
		s.send(letter{from: c, to: l.from.cfg.self, stale: l.boot})
		return
	default:
		linked := l.boot != 0 && c.links[l.from.boot]
		c.receive(s.now, source{addr: l.from.cfg.self, boot: l.from.boot, tver: l.tver, size: l.size, linked: linked, toUs: l.boot != 0}, l.msg)
	}
	s.collect(c)
}

// until runs until a condition holds, and returns how long that took.
func (s *society) until(limit time.Duration, what string, holds func() bool) time.Duration {
	s.t.Helper()
	start := s.now
	for !holds() {
		require.Less(s.t, s.now.Sub(start), limit, "%s", what)
		s.run(time.Millisecond)
	}
	return s.now.Sub(start)
}

// forge gives a machine a message that no process of the society sent.
func (s *society) forge(to *citizen, src source, msg wire.Message) {
	to.receive(s.now, src, msg)
	s.collect(to)
}

// watch collects what one process sends.
func (s *society) watch(who *citizen) *[]wire.Message {
	var sent []wire.Message
	s.spy = func(from *citizen, _ netip.AddrPort, msg wire.Message, _ int) {
		if from == who {
			sent = append(sent, msg)
		}
	}
	return &sent
}

// kindsOf counts messages by kind.
func kindsOf(msgs []wire.Message) map[wire.Kind]int {
	m := map[wire.Kind]int{}
	for _, msg := range msgs {
		m[msg.Kind()]++
	}
	return m
}
