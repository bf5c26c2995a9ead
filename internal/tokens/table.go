// Package tokens finds what a datagram is for by the token in its header, which its receiver chose (PROTOCOL.md 2,
// LNK-1 to LNK-4): a link, an opening that an Offer answers, or neither, where a link has ended whose other end could
// have it made again.
//
// A Table sends nothing, reads no clock and ends no link: it is told.
//
// Its reader takes no lock, for it looks something up for each datagram. Its two writers take one. Strangers choose
// when tokens are added and cannot choose where: a secret number scatters them. How many there may be is bounded by who
// adds them.
//
// There is one file. It begins with what a token may stand for and goes on with the table; the links by the addresses
// of their peers come last.
package tokens

import (
	"hash/maphash"
	"iter"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/handshake"
	"broach/internal/link"
	"broach/internal/wire"
)

// SpentFor is for how long the token of a link that the other end began makes no link again: the Confirms that it was
// made by are too old by then. It is a second longer than they are taken, so that nothing hangs on which of two clocks
// was looked at first.
const SpentFor = handshake.Fresh + time.Second

// A Holder is a link as its node holds it.
type Holder[H any] interface {
	comparable
	Base() *link.Link
	Beside() *H // where the table keeps the next whose peer's address has the same chain
}

// A Table knows the tokens of a node. The reader looks up every datagram; it and the loop add, the loop removes.
//
// Look-ups take no lock: they walk a chain of immutable entries. Writers make a chain anew and store its head, so that
// at no moment a token that is known is not found.
type Table[H Holder[H]] struct {
	chains atomic.Pointer[chains[H]]

	mu     sync.Mutex // protects all below, and the making of chains: it has two writers, the reader and the loop
	count  int
	spent  []spentToken // the oldest first
	byAddr addrChains[H]
	random func() uint64
}

// chains are the entries. Who asks for a link is told a token, and could choose those whose low bits are the same:
// so a secret number scatters them.
type chains[H Holder[H]] struct {
	mix   uint64 // odd
	shift uint8
	heads []atomic.Pointer[Entry[H]]
}

// An Entry says what a token stands for: a link; an opening, which an Offer answers; or neither, when it is spent.
type Entry[H Holder[H]] struct {
	Link    H // the zero value: there is none
	token   uint64
	opening *opening
	next    *Entry[H]
}

// opening is what an Offer answers.
type opening struct{ left atomic.Int32 } // Offers that are still looked at

// IsOpening reports whether the token is that of an opening.
func (e *Entry[H]) IsOpening() bool { return e != nil && e.opening != nil }

// Answers counts an Offer to an opening, and reports whether it is one of those that are looked at.
func (e *Entry[H]) Answers() bool { return e.opening.left.Add(-1) >= 0 }

// spentToken is to be forgotten at a time.
type spentToken struct {
	token uint64
	at    time.Time
}

const firstChains = 4 // bits of the number of chains

func (t *Table[H]) Init(random func() uint64) {
	t.random = random
	t.byAddr.init()
	t.chains.Store(newChains[H](random()|1, firstChains))
}

func newChains[H Holder[H]](mix uint64, bits uint8) *chains[H] {
	return &chains[H]{mix: mix, shift: 64 - bits, heads: make([]atomic.Pointer[Entry[H]], 1<<bits)}
}

func (c *chains[H]) of(token uint64) *atomic.Pointer[Entry[H]] {
	return &c.heads[token*c.mix>>c.shift]
}

// Get returns the entry of a token, or nil.
func (t *Table[H]) Get(token uint64) *Entry[H] {
	for e := t.chains.Load().of(token).Load(); e != nil; e = e.next {
		if e.token == token {
			return e
		}
	}
	return nil
}

// Link returns the link with a token, or the zero value.
func (t *Table[H]) Link(token uint64) (l H) {
	if e := t.Get(token); e != nil {
		l = e.Link
	}
	return l
}

// Open draws a token for an opening to which so many Offers count, and adds it.
func (t *Table[H]) Open(offers int32) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	token := t.random()
	for token == 0 || t.Get(token) != nil {
		token = t.random()
	}
	o := new(opening)
	o.left.Store(offers)
	t.put(Entry[H]{token: token, opening: o})
	return token
}

// Draw draws a number that is not 0.
func (t *Table[H]) Draw() uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		if n := uint32(t.random()); n != 0 {
			return n
		}
	}
}

// Add takes up a link, in place of the opening if it has its token. It takes none whose token means something else
// already.
func (t *Table[H]) Add(l H) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	token := l.Base().Token
	if e := t.Get(token); e != nil && e.opening == nil {
		return false
	}
	t.put(Entry[H]{token: token, Link: l})
	t.byAddr.add(l)
	return true
}

// Close takes a link out. If the other end could have it made again, its token is spent, in the same store.
func (t *Table[H]) Close(now time.Time, l H) {
	t.mu.Lock()
	defer t.mu.Unlock()
	token := l.Base().Token
	if t.Link(token) != l {
		return
	}
	if age := now.Sub(l.Base().BornAt()); !l.Base().Began && age <= SpentFor {
		t.put(Entry[H]{token: token})
		t.spent = append(t.spent, spentToken{token, now.Add(SpentFor)})
	} else {
		t.remove(token)
	}
	t.byAddr.remove(l)
}

// Forget takes an opening out.
func (t *Table[H]) Forget(token uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.Get(token); e != nil && e.opening != nil {
		t.remove(token)
	}
}

// Sweep forgets spent tokens whose time is over, and returns when the next is; zero: there are none.
func (t *Table[H]) Sweep(now time.Time) time.Time {
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
func (t *Table[H]) put(e Entry[H]) {
	c := t.chains.Load()
	if t.Get(e.token) == nil {
		t.count++
		if t.count > len(c.heads) {
			c = t.double(c)
		}
	}
	c.put(e)
}

func (c *chains[H]) put(e Entry[H]) {
	head := c.of(e.token)
	e.next = without(head.Load(), e.token)
	head.Store(&e)
}

// double makes twice as many chains of the same entries.
func (t *Table[H]) double(old *chains[H]) *chains[H] {
	c := newChains[H](old.mix, 64-old.shift+1)
	for i := range old.heads {
		for e := old.heads[i].Load(); e != nil; e = e.next {
			c.put(Entry[H]{token: e.token, Link: e.Link, opening: e.opening})
		}
	}
	t.chains.Store(c)
	return c
}

// remove takes an entry out. mu is held.
func (t *Table[H]) remove(token uint64) {
	head := t.chains.Load().of(token)
	head.Store(without(head.Load(), token))
	t.count--
}

// without is a chain without a token: a copy of what goes before it.
func without[H Holder[H]](e *Entry[H], token uint64) *Entry[H] {
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
	return &Entry[H]{token: e.token, Link: e.Link, opening: e.opening, next: rest}
}

// At lists the links with who advertises an address.
func (t *Table[H]) At(addr netip.AddrPort) (list []H) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for l := range t.byAddr.at(addr) {
		list = append(list, l)
	}
	return list
}

// Held is the highest rank of the links that we hold with a process at an address; 0: none.
func (t *Table[H]) Held(key wire.PublicKey, addr netip.AddrPort) (rank uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for l := range t.byAddr.at(addr) {
		if b := l.Base(); b.Key == key {
			rank = max(rank, b.Order().Rank)
		}
	}
	return rank
}

// IsKnown reports whether there is a link with somebody at an address.
func (t *Table[H]) IsKnown(addr netip.AddrPort) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for range t.byAddr.at(addr) {
		return true
	}
	return false
}

// Len is how many tokens are known.
func (t *Table[H]) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// All lists the links, in no order.
func (t *Table[H]) All() (list []H) {
	var none H
	c := t.chains.Load()
	for i := range c.heads {
		for e := c.heads[i].Load(); e != nil; e = e.next {
			if e.Link != none {
				list = append(list, e.Link)
			}
		}
	}
	return list
}

// addrChains finds links by the address of their peer. A map would take as much memory as all else that a node keeps of
// a peer which it never calls.
type addrChains[H Holder[H]] struct {
	seed  maphash.Seed // nobody else can tell which addresses have the same chain
	heads []H          // the chains go on by Beside; their number is a power of 2
	count int
}

func (c *addrChains[H]) init() { c.seed, c.heads = maphash.MakeSeed(), make([]H, 1<<firstChains) }

// of is the chain of an address.
func (c *addrChains[H]) of(addr netip.AddrPort) *H {
	return &c.heads[maphash.Comparable(c.seed, addr)&uint64(len(c.heads)-1)]
}

// At yields the links to an address, in no order.
func (c *addrChains[H]) at(addr netip.AddrPort) iter.Seq[H] {
	return func(yield func(H) bool) {
		var none H
		for l := *c.of(addr); l != none; l = *l.Beside() {
			if l.Base().ID.Addr == addr && !yield(l) {
				return
			}
		}
	}
}

// Add takes up a link.
func (c *addrChains[H]) add(l H) {
	if c.count++; c.count > len(c.heads) {
		c.double()
	}
	head := c.of(l.Base().ID.Addr)
	*l.Beside(), *head = *head, l
}

// double makes twice as many chains of the same links.
func (c *addrChains[H]) double() {
	var none H
	old := c.heads
	c.heads = make([]H, 2*len(old))
	for _, l := range old {
		for l != none {
			next, head := *l.Beside(), c.of(l.Base().ID.Addr)
			*l.Beside(), *head = *head, l
			l = next
		}
	}
}

// remove takes a link out.
func (c *addrChains[H]) remove(l H) {
	var none H
	for at := c.of(l.Base().ID.Addr); *at != none; at = (*at).Beside() {
		if *at == l {
			*at, *l.Beside() = *l.Beside(), none
			c.count--
			return
		}
	}
}
