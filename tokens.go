package broach

import (
	"hash/maphash"
	"iter"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/handshake"
	"broach/internal/wire"
)

// spentFor is for how long the token of a link that the other end began makes no link again: the Confirms that it was
// made by are too old by then. It is a second longer than they are taken, so that nothing hangs on which of two clocks
// was looked at first.
const spentFor = handshake.Fresh + time.Second

// tokenTable finds what a datagram is for by the token in it, which its receiver chose. The reader looks up every
// datagram; it and the loop add, the loop removes.
//
// Look-ups take no lock: they walk a chain of immutable entries. Writers make a chain anew and store its head, so that
// at no moment a token that is known is not found.
type tokenTable struct {
	chains atomic.Pointer[tokenChains]

	mu     sync.Mutex // protects all below, and the making of chains: it has two writers, the reader and the loop
	count  int
	spent  []spentToken // the oldest first
	byAddr addrChains
	random func() uint64
}

// tokenChains are the entries. Who asks for a link is told a token, and could choose those whose low bits are the same:
// so a secret number scatters them.
type tokenChains struct {
	mix   uint64 // odd
	shift uint8
	heads []atomic.Pointer[tokenEntry]
}

// tokenEntry says what a token stands for: a link; an opening, which an Offer answers; or neither, when it is spent.
type tokenEntry struct {
	token   uint64
	link    *conn
	opening *opening
	next    *tokenEntry
}

// opening is what an Offer answers.
type opening struct{ left atomic.Int32 } // Offers that are still looked at

// spentToken is to be forgotten at a time.
type spentToken struct {
	token uint64
	at    time.Time
}

const firstChains = 4 // bits of the number of chains

func (t *tokenTable) init(random func() uint64) {
	t.random = random
	t.byAddr.init()
	t.chains.Store(newChains(random()|1, firstChains))
}

func newChains(mix uint64, bits uint8) *tokenChains {
	return &tokenChains{mix: mix, shift: 64 - bits, heads: make([]atomic.Pointer[tokenEntry], 1<<bits)}
}

func (c *tokenChains) of(token uint64) *atomic.Pointer[tokenEntry] {
	return &c.heads[token*c.mix>>c.shift]
}

// get returns the entry of a token, or nil.
func (t *tokenTable) get(token uint64) *tokenEntry {
	for e := t.chains.Load().of(token).Load(); e != nil; e = e.next {
		if e.token == token {
			return e
		}
	}
	return nil
}

// link returns the link with a token, or nil.
func (t *tokenTable) link(token uint64) *conn {
	if e := t.get(token); e != nil {
		return e.link
	}
	return nil
}

// open draws a token for an opening to which so many Offers count, and adds it.
func (t *tokenTable) open(offers int32) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	token := t.random()
	for token == 0 || t.get(token) != nil {
		token = t.random()
	}
	o := new(opening)
	o.left.Store(offers)
	t.put(tokenEntry{token: token, opening: o})
	return token
}

// draw draws a number that is not 0.
func (t *tokenTable) draw() uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		if n := uint32(t.random()); n != 0 {
			return n
		}
	}
}

// add takes up a link, in place of the opening if it has its token. It takes none whose token means something else
// already.
func (t *tokenTable) add(l *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.get(l.Token); e != nil && e.opening == nil {
		return false
	}
	t.put(tokenEntry{token: l.Token, link: l})
	t.byAddr.add(l)
	return true
}

// close takes a link out. If the other end could have it made again, its token is spent, in the same store.
func (t *tokenTable) close(now time.Time, l *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.link(l.Token) != l {
		return
	}
	if age := now.Sub(l.BornAt()); !l.Began && age <= spentFor {
		t.put(tokenEntry{token: l.Token})
		t.spent = append(t.spent, spentToken{l.Token, now.Add(spentFor)})
	} else {
		t.remove(l.Token)
	}
	t.byAddr.remove(l)
}

// forget takes an opening out.
func (t *tokenTable) forget(token uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.get(token); e != nil && e.opening != nil {
		t.remove(token)
	}
}

// sweep forgets spent tokens whose time is over, and returns when the next is; zero: there are none.
func (t *tokenTable) sweep(now time.Time) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.spent) > 0 {
		if s := t.spent[0]; now.Before(s.at) {
			return s.at
		}
		t.remove(t.spent[0].token)
		t.spent = t.spent[1:]
	}
	t.spent = nil
	return time.Time{}
}

// put adds or replaces an entry. mu is held.
func (t *tokenTable) put(e tokenEntry) {
	c := t.chains.Load()
	if t.get(e.token) == nil {
		t.count++
		if t.count > len(c.heads) {
			c = t.double(c)
		}
	}
	c.put(e)
}

func (c *tokenChains) put(e tokenEntry) {
	head := c.of(e.token)
	e.next = without(head.Load(), e.token)
	head.Store(&e)
}

// double makes twice as many chains of the same entries.
func (t *tokenTable) double(old *tokenChains) *tokenChains {
	c := newChains(old.mix, 64-old.shift+1)
	for i := range old.heads {
		for e := old.heads[i].Load(); e != nil; e = e.next {
			c.put(tokenEntry{token: e.token, link: e.link, opening: e.opening})
		}
	}
	t.chains.Store(c)
	return c
}

// remove takes an entry out. mu is held.
func (t *tokenTable) remove(token uint64) {
	head := t.chains.Load().of(token)
	head.Store(without(head.Load(), token))
	t.count--
}

// without is a chain without a token: a copy of what goes before it.
func without(e *tokenEntry, token uint64) *tokenEntry {
	switch {
	case e == nil:
		return nil
	case e.token == token:
		return e.next
	}
	rest := without(e.next, token)
	if rest == e.next {
		return e
	}
	return &tokenEntry{token: e.token, link: e.link, opening: e.opening, next: rest}
}

// at lists the links with who advertises an address.
func (t *tokenTable) at(addr netip.AddrPort) (list []*conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for l := range t.byAddr.at(addr) {
		list = append(list, l)
	}
	return list
}

// held is the highest rank of the links that we hold with a process at an address; 0: none.
func (t *tokenTable) held(key wire.PublicKey, addr netip.AddrPort) (rank uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for l := range t.byAddr.at(addr) {
		if l.Key == key {
			rank = max(rank, l.Order().Rank)
		}
	}
	return rank
}

// isKnown reports whether there is a link with somebody at an address.
func (t *tokenTable) isKnown(addr netip.AddrPort) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for range t.byAddr.at(addr) {
		return true
	}
	return false
}

// all lists the links, in no order.
func (t *tokenTable) all() (list []*conn) {
	c := t.chains.Load()
	for i := range c.heads {
		for e := c.heads[i].Load(); e != nil; e = e.next {
			if e.link != nil {
				list = append(list, e.link)
			}
		}
	}
	return list
}

// addrChains finds links by the address of their peer. A map would take as much memory as all else that a node keeps of
// a peer which it never calls.
type addrChains struct {
	seed  maphash.Seed // nobody else can tell which addresses have the same chain
	heads []*conn      // the chains go on by conn.beside; their number is a power of 2
	count int
}

func (c *addrChains) init() { c.seed, c.heads = maphash.MakeSeed(), make([]*conn, 1<<firstChains) }

// of is the chain of an address.
func (c *addrChains) of(addr netip.AddrPort) **conn {
	return &c.heads[maphash.Comparable(c.seed, addr)&uint64(len(c.heads)-1)]
}

// at yields the links to an address, in no order.
func (c *addrChains) at(addr netip.AddrPort) iter.Seq[*conn] {
	return func(yield func(*conn) bool) {
		for l := *c.of(addr); l != nil; l = l.beside {
			if l.ID.Addr == addr && !yield(l) {
				return
			}
		}
	}
}

// add takes up a link.
func (c *addrChains) add(l *conn) {
	if c.count++; c.count > len(c.heads) {
		c.double()
	}
	head := c.of(l.ID.Addr)
	l.beside, *head = *head, l
}

// double makes twice as many chains of the same links.
func (c *addrChains) double() {
	old := c.heads
	c.heads = make([]*conn, 2*len(old))
	for _, l := range old {
		for l != nil {
			next, head := l.beside, c.of(l.ID.Addr)
			l.beside, *head = *head, l
			l = next
		}
	}
}

// remove takes a link out.
func (c *addrChains) remove(l *conn) {
	for at := c.of(l.ID.Addr); *at != nil; at = &(*at).beside {
		if *at == l {
			*at, l.beside = l.beside, nil
			c.count--
			return
		}
	}
}
