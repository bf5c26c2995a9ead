package intruder

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Datagram is one that was seen on its way.
type Datagram struct {
	At       time.Time
	From, To netip.AddrPort
	Bytes    []byte
}

// Tape keeps what went over a network. The zero value is ready, and its methods are safe for concurrent use.
type Tape struct {
	mu   sync.Mutex // guards list
	list []Datagram
}

// Record takes a copy of a datagram. It fits the tap of simnet.
func (t *Tape) Record(now time.Time, from, to netip.AddrPort, b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, Datagram{now, from, to, slices.Clone(b)})
}

// Cut returns what was recorded, and begins anew.
func (t *Tape) Cut() []Datagram {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.list
	t.list = nil
	return list
}

// All is what was recorded up to now.
func (t *Tape) All() []Datagram {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.list)
}

// OfForm are the datagrams of a form.
func OfForm(list []Datagram, form byte) []Datagram {
	return slices.DeleteFunc(slices.Clone(list), func(d Datagram) bool { return Form(d.Bytes) != form })
}

// Between are the datagrams of two processes to each other.
func Between(list []Datagram, a, b netip.AddrPort) []Datagram {
	return slices.DeleteFunc(slices.Clone(list), func(d Datagram) bool {
		return (d.From != a || d.To != b) && (d.From != b || d.To != a)
	})
}
