package member

import (
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"broach/internal/handshake"
	"broach/internal/pace"
	"broach/internal/race"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// society is a number of membership machines, and the network between them, in time of its own. It plays the node's
// part: it answers Opens, makes links, and delivers what the machines send on them. The network is in mail_test.go.
type society struct {
	t     *testing.T
	now   time.Time
	loss  float64
	delay time.Duration // of every datagram, beside 0.1 ms
	cut   func(from, to *citizen) bool
	drop  func(msg wire.Message) bool
	// of each datagram that is sent or taken, on the one processor that all share; 0: they have no end of them
	cost    time.Duration
	rng     *rand.Rand
	members []*citizen
	most    int  // peers of those that join from now on
	guest   bool // those are guests
	mail    mail
	count   int
	spy     func(from *citizen, to netip.AddrPort, msg wire.Message, size int)
	opened  func(from *citizen, to netip.AddrPort) // called for each Open
	said    func(Message)                          // called for each message on a link
	after   []func(c *citizen)                     // called after each step of a machine
}

// citizen is one process.
type citizen struct {
	*Membership
	process  *handshake.Process
	boot     uint64
	place    netip.AddrPort   // where it gets what is sent to it
	alias    netip.AddrPort   // another such address
	local    netip.AddrPort   // what it has on the loopback of host; its datagrams to those come from there
	host     int              // where it runs
	links    map[uint64]*bond // by the token by which it receives
	openings map[uint64]bool
	asks     pace.Allowance
	dead     bool
	stopped  bool
	events   []Event
	pulls    int
	wake     time.Time // when it ticks next, as of its last step
	planned  time.Time // when it became known
}

const msec = time.Millisecond

// siteOf is the address of the i-th process.
func siteOf(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i%250 + 1)}), 7000)
}

// usual is the timing of PROTOCOL.md 4.3.
var usual = Timing{
	Interval: time.Second, Budget: 20, Tick: 30 * time.Millisecond, Margin: 150 * time.Millisecond,
	ProbeEvery: 60 * time.Millisecond, Probes: 6,
	Grace: 300 * time.Millisecond, Forget: 24 * time.Hour,
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

// newSociety begins an empty one. It runs in one goroutine: the race detector, which makes it ten times as slow, finds
// nothing there.
func newSociety(t *testing.T) *society {
	if race.Enabled {
		t.Skip("one goroutine has no races")
	}
	t.Log("seed 5")
	return &society{t: t, now: time.Unix(0, 0), rng: rand.New(rand.NewPCG(5, 5)), most: PeersMax}
}

// join starts a process at address i, with the seeds.
func (s *society) join(i int, seeds ...int) *citizen { return s.joinAs(siteOf(i), siteOf(i), seeds...) }

// joinAs starts a process that is at a place, and believes to be at self.
func (s *society) joinAs(place, self netip.AddrPort, seeds ...int) *citizen {
	c := &citizen{place: place, links: map[uint64]*bond{}, openings: map[uint64]bool{}}
	secrets := make([]byte, handshake.RandomSize)
	for i := range secrets {
		secrets[i] = byte(s.rng.Uint32())
	}
	c.process = handshake.NewProcess(secrets, false, s.now)
	c.boot = c.process.Boot
	c.Membership = New(Config{
		Self: self, Boot: c.boot, Name: "app", Heartbeat: usual, MaxPeers: s.most,
		Guest: s.guest, Silence: 3 * time.Second,
		Open: func(int32) uint64 {
			token := s.rng.Uint64() | 1
			c.openings[token] = true
			return token
		},
		Terms:  func(o *wire.Offer, self, addr netip.AddrPort) *handshake.Terms { return c.terms(o, self, addr) },
		IsBusy: func(time.Time, uint64) bool { return false },
	}, s.now, rand.New(rand.NewPCG(c.boot, c.boot)))
	if !s.guest {
		c.SetTable(s.now, 1, wire.AppendTable(nil, nil))
	}
	var addrs []netip.AddrPort
	for _, j := range seeds {
		addrs = append(addrs, siteOf(j))
	}
	c.SetSeeds(s.now, addrs, false)
	s.members = append(s.members, c)
	c.Tick(s.now)
	s.collect(c)
	return c
}

func (c *citizen) terms(o *wire.Offer, self, addr netip.AddrPort) *handshake.Terms {
	return &handshake.Terms{
		Rank: o.Rank, Stamp: o.Stamp, TokenA: o.Echo, KeyA: c.process.Key, AddrA: self, TokenB: o.Token, KeyB: o.Key,
		AddrB: addr,
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
		if p.state() == state {
			n++
		}
	}
	return n
}

// of is what a process believes of another.
func (c *citizen) of(other *citizen) *peer {
	if p := c.peers.byAddr[other.cfg.Self]; p != nil && p.Boot == other.boot {
		return p
	}
	return nil
}

// linkTo is how what another says on its link comes to a process.
func (c *citizen) linkTo(other *citizen) Source {
	return Source{Addr: other.cfg.Self, Link: c.of(other).tie.token, Tver: other.tver}
}

// collect takes the effects of a machine.
func (s *society) collect(c *citizen) {
	e := c.Take()
	for _, terms := range e.Begin {
		delete(c.openings, terms.TokenA)
		c.links[terms.TokenA] = &bond{terms: terms, began: true, confirm: true}
	}
	for _, o := range e.Opens {
		s.postOpen(c, o)
	}
	for _, o := range e.Send {
		if s.said != nil {
			s.said(o)
		}
		s.post(c, o)
	}
	for _, token := range e.Forget {
		delete(c.openings, token)
	}
	for _, token := range e.Close {
		if b := c.links[token]; b != nil {
			b.spent = true
		}
	}
	c.events = append(c.events, e.Events...)
	for _, p := range e.Pull {
		c.pulls++
		s.answerPull(c, p.Process)
	}
	if wake := c.NextTimeout(); !wake.Equal(c.wake) {
		c.wake, c.planned = wake, s.now
	}
	c.dead = c.dead || c.HasLeft(s.now)
	for _, look := range s.after {
		look(c)
	}
}

func (s *society) answerPull(c *citizen, id wire.Process) {
	for _, other := range s.members {
		if other.boot == id.Boot && !other.dead {
			c.Pulled(s.now, id, other.tver, other.table, true)
			return
		}
	}
	c.Pulled(s.now, id, 0, nil, false)
}

// run lets time pass.
func (s *society) run(d time.Duration) {
	end := s.now.Add(d)
	for {
		next, c := s.next()
		if next.IsZero() || pace.Later(s.now, next).After(end) {
			s.now = pace.Later(s.now, end)
			return
		}
		s.now = pace.Later(s.now, next)
		before := len(s.mail)
		if c != nil {
			c.Observe(s.now, s.now.Sub(pace.Later(next, c.planned)), 0)
			c.Tick(s.now)
			s.collect(c)
		} else {
			s.deliver(heap.Pop(&s.mail).(*letter))
		}
		s.now = s.now.Add(time.Duration(max(len(s.mail)-before, 0)+1) * s.cost)
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
func (s *society) forge(to *citizen, src Source, msg wire.Message) {
	to.Receive(s.now, src, msg)
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
