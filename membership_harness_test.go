package broach

import (
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"broach/internal/handshake"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// society is a number of membership machines, and the network between them, in time of its own. It plays the node's part: it
// answers Opens, makes links, and delivers what the machines send on them.
type society struct {
	t       *testing.T
	now     time.Time
	loss    float64
	cut     func(from, to *citizen) bool
	drop    func(msg wire.Message) bool
	rng     *rand.Rand
	members []*citizen
	most    int // peers of those that join from now on
	mail    mail
	count   int
	spy     func(from *citizen, to netip.AddrPort, msg wire.Message, size int)
	opened  func(from *citizen, to netip.AddrPort) // called for each Open
	after   []func(c *citizen)                     // called after each step of a machine
}

// citizen is one process.
type citizen struct {
	*membership
	process  *handshake.Process
	boot     uint64
	place    netip.AddrPort   // where it gets what is sent to it
	alias    netip.AddrPort   // another such address
	local    netip.AddrPort   // what it has on the loopback of host; its datagrams to those come from there
	host     int              // where it runs
	links    map[uint64]*bond // by the token by which it receives
	openings map[uint64]bool
	asks     allowance
	dead     bool
	stopped  bool
	events   []memberEvent
	pulls    int
	wake     time.Time // when it ticks next, as of its last step
}

// bond is an end of a link.
type bond struct {
	terms   *handshake.Terms
	began   bool
	confirm bool // what goes on it are Confirms
	spent   bool
}

// to is where and by which token the other end receives.
func (b *bond) to() (netip.AddrPort, uint64) {
	if b.began {
		return b.terms.AddrB, b.terms.TokenB
	}
	return b.terms.AddrA, b.terms.TokenA
}

// key is the other end's.
func (b *bond) key() wire.PublicKey {
	if b.began {
		return b.terms.KeyB
	}
	return b.terms.KeyA
}

// letter is a datagram on its way: an Open, an Offer, or a message on a link.
type letter struct {
	at      time.Time
	n       int
	from    *citizen
	source  netip.AddrPort
	to      netip.AddrPort
	open    *wire.Open
	offer   *wire.Offer
	token   uint64
	confirm *handshake.Terms
	msg     wire.Message
	size    int
	tver    uint32
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
	return &society{t: t, now: time.Unix(0, 0), rng: rand.New(rand.NewPCG(5, 5)), most: maxPeers}
}

// join starts a process at address i, with the seeds.
func (s *society) join(i int, seeds ...int) *citizen { return s.joinAs(addrOf(i), addrOf(i), seeds...) }

// joinAs starts a process that is at a place, and believes to be at self.
func (s *society) joinAs(place, self netip.AddrPort, seeds ...int) *citizen {
	c := &citizen{place: place, links: map[uint64]*bond{}, openings: map[uint64]bool{}}
	secrets := make([]byte, handshake.RandomSize)
	for i := range secrets {
		secrets[i] = byte(s.rng.Uint32())
	}
	c.process = handshake.NewProcess(secrets, false, s.now)
	c.boot = c.process.Boot
	c.membership = newMembership(memberConfig{
		self: self, boot: c.boot, name: "app", heartbeat: Config{}.heartbeat(), maxPeers: s.most,
		open: func(int32) uint64 {
			token := s.rng.Uint64() | 1
			c.openings[token] = true
			return token
		},
		terms:  func(o *wire.Offer, self, addr netip.AddrPort) *handshake.Terms { return c.terms(o, self, addr) },
		isBusy: func(time.Time, uint64) bool { return false },
	}, s.now, rand.New(rand.NewPCG(c.boot, c.boot)))
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

func (c *citizen) terms(o *wire.Offer, self, addr netip.AddrPort) *handshake.Terms {
	return &handshake.Terms{
		Rank: o.Rank, Stamp: o.Stamp, TokenA: o.Echo, KeyA: c.process.Key, AddrA: self, TokenB: o.Token, KeyB: o.Key, AddrB: addr,
	}
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
func (c *citizen) of(other *citizen) *peer {
	if p := c.peers.byAddr[other.cfg.self]; p != nil && p.boot == other.boot {
		return p
	}
	return nil
}

// linkTo is how what another says on its link comes to a process.
func (c *citizen) linkTo(other *citizen) source {
	return source{addr: other.cfg.self, link: c.of(other).tie.token, tver: other.tver}
}

// collect takes the effects of a machine.
func (s *society) collect(c *citizen) {
	e := c.take()
	for _, terms := range e.begin {
		delete(c.openings, terms.TokenA)
		c.links[terms.TokenA] = &bond{terms: terms, began: true, confirm: true}
	}
	for _, o := range e.opens {
		s.postOpen(c, o)
	}
	for _, o := range e.send {
		s.post(c, o)
	}
	for _, token := range e.forget {
		delete(c.openings, token)
	}
	for _, token := range e.close {
		if b := c.links[token]; b != nil {
			b.spent = true
		}
	}
	c.events = append(c.events, e.events...)
	for _, p := range e.pull {
		c.pulls++
		s.answerPull(c, p.linkID)
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
			c.pulled(s.now, id, other.tver, other.table, true)
			return
		}
	}
	c.pulled(s.now, id, 0, nil, false)
}

// postOpen puts an Open on its way, or loses it.
func (s *society) postOpen(c *citizen, o openTo) {
	if s.opened != nil {
		s.opened(c, o.to)
	}
	m := &wire.Open{Rank: o.rank, Token: o.token, Key: c.process.Key, Addr: o.self, Number: uint64(s.count + 1)}
	c.noteAsked(m.Number, o)
	if !s.loses(nil) {
		s.send(letter{from: c, to: o.to, open: m, size: wire.OpenSize})
	}
}

// post puts a message on its way, or loses it.
func (s *society) post(c *citizen, o memberMessage) {
	b := c.links[o.link]
	if b == nil || b.spent {
		return
	}
	l := letter{from: c, msg: o.msg, size: wire.HeaderSize + len(o.msg.Append(nil)), tver: c.tver}
	if b.confirm {
		l.confirm, l.size = b.terms, l.size+confirmMore
	}
	l.to, l.token = b.to()
	require.LessOrEqual(s.t, l.size, controlPacket)
	if s.spy != nil {
		s.spy(c, l.to, o.msg, l.size)
	}
	if !s.loses(o.msg) {
		s.send(l)
	}
}

// loses decides about a datagram. A message of nil is that of an Open or Offer.
func (s *society) loses(msg wire.Message) bool {
	s.count++
	return msg != nil && s.drop != nil && s.drop(msg) || s.rng.Float64() < s.loss
}

func (s *society) send(l letter) {
	s.count++
	l.n, l.source = s.count, l.from.sourceTo(l.to)
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

// sourceTo is where what a process sends to an address is seen to come from.
func (c *citizen) sourceTo(to netip.AddrPort) netip.AddrPort {
	if to.Addr().IsLoopback() {
		return c.local
	}
	return c.place
}

func (s *society) at(addr netip.AddrPort) *citizen {
	for _, c := range s.members {
		if (c.place == addr || c.alias == addr) && !c.dead {
			return c
		}
	}
	return nil
}

// reached is who gets a letter. The loopback leads to nobody elsewhere.
func (s *society) reached(l letter) *citizen {
	if !l.to.Addr().IsLoopback() {
		return s.at(l.to)
	}
	for _, c := range s.members {
		if c.local == l.to && c.host == l.from.host && !c.dead {
			return c
		}
	}
	return nil
}

// deliver gives a letter to the process at its address.
func (s *society) deliver(l letter) {
	c := s.reached(l)
	switch {
	case c == nil || s.cut != nil && s.cut(l.from, c):
		return
	case c.stopped:
		l.at = s.now.Add(10 * time.Millisecond) // it waits in the socket
		heap.Push(&s.mail, l)
		return
	case l.open != nil:
		s.answer(c, l)
		return
	case l.offer != nil:
		if !c.openings[l.offer.Echo] {
			return
		}
		c.offered(s.now, answered{Offer: *l.offer, from: l.source})
	case !s.take(c, l):
		return
	}
	s.collect(c)
}

// answer is what the reader of a node does with an Open.
func (s *society) answer(c *citizen, l letter) {
	m, self := *l.open, c.cfg.self
	if m.Key == c.process.Key {
		c.cameBack(s.now, cameBack{token: m.Token, number: m.Number})
		s.collect(c)
		return
	}
	if !m.Addr.Addr().IsUnspecified() && !isUsable(l.source, m.Addr) {
		return
	}
	if c.learner.on && asksBack(s.now, self, m.Addr, c.isUnheard(s.now), &c.asks) {
		s.postOpen(c, openTo{to: m.Addr, token: c.learner.tokens[0], self: nowhere(self)})
		return
	}
	var held uint32
	for _, b := range c.links {
		if at, _ := b.to(); at == m.Addr && b.key() == m.Key && !b.spent {
			held = max(held, b.terms.Rank)
		}
	}
	o := c.process.Answer(s.now, m, self, l.source, held)
	to := m.Addr
	if to.Addr().IsUnspecified() {
		to = l.source
	}
	if !s.loses(nil) {
		s.send(letter{from: c, to: to, offer: &o, size: wire.OpenSize})
	}
}

// take gives a machine a message on a link, which a Confirm may make.
func (s *society) take(c *citizen, l letter) bool {
	b := c.links[l.token]
	if b == nil && l.confirm != nil && !s.makeLink(c, l.confirm) {
		return false
	}
	b = c.links[l.token]
	if b == nil || b.spent {
		return false
	}
	b.confirm = false
	c.receive(s.now, source{addr: l.from.cfg.self, link: l.token, tver: l.tver, size: l.size}, l.msg)
	return true
}

// makeLink is what the reader of a node does with a Confirm.
func (s *society) makeLink(c *citizen, terms *handshake.Terms) bool {
	confirm := wire.Confirm{Echo: terms.TokenA, Key: terms.KeyA, Addr: terms.AddrA, Rank: terms.Rank, Stamp: terms.Stamp}
	confirm.Token = terms.TokenB
	if !c.process.IsOurs(s.now, confirm) {
		return false
	}
	c.links[terms.TokenB] = &bond{terms: terms}
	c.made(s.now, linkID{boot: handshake.BootID(terms.KeyA), addr: terms.AddrA}, tie{token: terms.TokenB, order: terms.Order()})
	return true
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
