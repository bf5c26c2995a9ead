package intruder

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// Conn is what an intruder needs of a socket; *net.UDPConn and the conns of simnet have it.
type Conn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	LocalAddr() net.Addr
	Close() error
}

const (
	// promise is when the next Beat comes, in milliseconds: as late as one can say, so that a member has little to do.
	promise = 60_000

	openEvery = 50 * time.Millisecond
	openTries = 100
)

// Intruder is a process with a socket. It says what a member says of itself, so that others take it for one; what else
// it does is up to the test. Its fields must not be changed after Start. Its methods are safe for concurrent use.
type Intruder struct {
	*Process
	Name  string
	Table []byte // of its functions

	// IsGuest has it say what a guest says of itself, in place of what a member does, and answer no Open.
	IsGuest bool

	// Hear sees each message that was accepted on a link before it is answered, and reports whether that was all. It is
	// called under the intruder's mutex and answers by what it returns.
	Hear func(l *Link, m Message) (answers []Message, done bool)

	// Observe is what an Offer says of the source of its Open; nil is the truth.
	Observe func(source netip.AddrPort) netip.AddrPort

	conn  Conn
	born  time.Time
	ended sync.WaitGroup

	mu        sync.Mutex // guards what follows
	number    uint64     // of the last Open
	beats     uint32
	transfers uint32
	sent      uint64               // bytes
	openings  map[uint64]Open      // by our token
	offers    map[uint64]proposal  // by our token
	links     map[uint64]*Link     // by our token
	newc      map[uint64]chan bool // closed when the opening of a token has become a confirmed link
	heard     map[netip.AddrPort]Entry
}

// proposal is an Offer of ours that was not confirmed yet.
type proposal struct {
	open  Open
	offer Offer
}

// Start makes a process an intruder: it answers from then on, until Close. An edit comes before anybody can ask it.
func Start(conn Conn, p *Process, edit ...func(*Intruder)) *Intruder {
	i := &Intruder{
		Process: p, Name: "intruder", Table: Table(), conn: conn, born: time.Now(), openings: map[uint64]Open{},
		offers: map[uint64]proposal{}, links: map[uint64]*Link{}, newc: map[uint64]chan bool{},
		heard: map[netip.AddrPort]Entry{},
	}
	for _, e := range edit {
		e(i)
	}
	i.ended.Go(i.listen)
	return i
}

// Close closes the socket and waits for the end of what the intruder does, without a word to anybody.
func (i *Intruder) Close() {
	i.conn.Close()
	i.ended.Wait()
}

func (i *Intruder) listen() {
	b := make([]byte, 1<<16)
	for {
		n, from, err := i.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		i.mu.Lock()
		i.take(from, b[:n])
		i.mu.Unlock()
	}
}

// Throw sends any bytes.
func (i *Intruder) Throw(to netip.AddrPort, b []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.write(to, b)
}

// write sends with the mutex held.
func (i *Intruder) write(to netip.AddrPort, b []byte) {
	i.sent += uint64(len(b))
	i.conn.WriteToUDPAddrPort(b, to) // what is lost, is lost
}

// Sent is how many bytes the intruder has sent.
func (i *Intruder) Sent() uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.sent
}

// Link opens a link to a process, unless there is one, and waits until it is confirmed. It is false if nothing comes of
// it.
func (i *Intruder) Link(to netip.AddrPort) (*Link, bool) {
	if l := i.LinkTo(to); l != nil {
		return l, true
	}
	token, linked := i.begin(to)
	for range openTries {
		i.open(to, token)
		select {
		case <-linked:
			return i.LinkTo(to), true
		case <-time.After(openEvery):
		}
	}
	return nil, false
}

// begin makes room for the answer to an Open.
func (i *Intruder) begin(to netip.AddrPort) (token uint64, linked chan bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	o := Open{Key: i.Key, Process: *i.Process, Token: i.Token(), Rank: i.held(to)}
	i.openings[o.Token], i.newc[o.Token] = o, make(chan bool)
	return o.Token, i.newc[o.Token]
}

// open sends an Open, or what the link has to say once it was answered.
func (i *Intruder) open(to netip.AddrPort, token uint64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if l := i.links[token]; l != nil {
		i.write(to, l.Next(Announce(i.hello(0))))
		return
	}
	i.number++
	o := i.openings[token]
	o.Number = i.number
	i.write(to, o.Bytes())
}

// LinkTo is the preferred link to the process at an address, or nil.
func (i *Intruder) LinkTo(to netip.AddrPort) *Link {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.best(to)
}

func (i *Intruder) best(to netip.AddrPort) (best *Link) {
	for _, l := range i.links {
		if l.Peer == to && l.confirmed && (best == nil || best.IsBefore(l)) {
			best = l
		}
	}
	return best
}

func (i *Intruder) held(to netip.AddrPort) uint32 {
	if l := i.best(to); l != nil {
		return l.Rank
	}
	return 0
}

// Say sends messages in one datagram on the link to a process; it is false if there is no link.
func (i *Intruder) Say(to netip.AddrPort, messages ...Message) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	l := i.best(to)
	if l != nil {
		i.write(to, l.Next(messages...))
	}
	return l != nil
}

// Write makes a datagram of the link to a process with f, and sends it; it is false if there is no link.
func (i *Intruder) Write(to netip.AddrPort, f func(l *Link) []byte) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	l := i.best(to)
	if l != nil {
		i.write(to, f(l))
	}
	return l != nil
}

// Read opens what was sent to the intruder on any of its links, as one that sits where it is not expected has to.
func (i *Intruder) Read(b []byte) ([]Message, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(b) < LinkHead || i.links[be.Uint64(b[8:])] == nil {
		return nil, false
	}
	return i.links[be.Uint64(b[8:])].Read(b)
}

// Heard are the members that lists have named to the intruder.
func (i *Intruder) Heard() map[netip.AddrPort]Entry {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := make(map[netip.AddrPort]Entry, len(i.heard))
	for addr, e := range i.heard {
		all[addr] = e
	}
	return all
}
