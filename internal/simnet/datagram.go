package simnet

import (
	"cmp"
	"net/netip"
	"sync"
)

// datagram is one on its way or in a receive queue.
type datagram struct {
	at      int64 // when it arrives
	from    netip.AddrPort
	count   uint64 // its number among those of its sender to this receiver
	kind    kind
	payload []byte    // its own copy
	next    *datagram // the one behind it in a queue
}

// kind tells datagrams apart that have the same sender and count.
type kind uint8

const (
	original kind = iota
	duplicate
	forged
)

// spare keeps used datagrams with their buffers.
var spare = sync.Pool{New: func() any { return new(datagram) }}

// newDatagram returns a datagram with a copy of payload.
func newDatagram(from netip.AddrPort, kind kind, count uint64, at int64, payload []byte) *datagram {
	d := spare.Get().(*datagram)
	d.at, d.from, d.count, d.kind, d.next = at, from, count, kind, nil
	d.payload = append(d.payload[:0], payload...)
	return d
}

// free gives d up for reuse.
func (d *datagram) free() { spare.Put(d) }

// isBefore is a total order of the datagrams to one receiver, in which chance and goroutines have no part.
func (d *datagram) isBefore(e *datagram) bool {
	if d.at != e.at {
		return d.at < e.at
	}
	return cmp.Or(d.from.Compare(e.from), cmp.Compare(d.count, e.count), cmp.Compare(d.kind, e.kind)) < 0
}

// queue holds datagrams first in, first out. The zero value is empty.
type queue struct {
	head, tail *datagram
	len        int
}

func (q *queue) push(d *datagram) {
	if q.head == nil {
		q.head = d
	} else {
		q.tail.next = d
	}
	q.tail = d
	q.len++
}

// pop removes the oldest datagram of a queue that is not empty.
func (q *queue) pop() *datagram {
	d := q.head
	q.head = d.next
	q.len--
	return d
}

// flight is a binary heap of datagrams on their way; the next to arrive is flight[0].
type flight []*datagram

func (f *flight) push(d *datagram) {
	*f = append(*f, d)
	h := *f
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !d.isBefore(h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = d
}

// pop removes the next datagram of a flight that is not empty.
func (f *flight) pop() *datagram {
	h := *f
	first, end := h[0], len(h)-1
	last := h[end]
	h[end] = nil
	*f = h[:end]
	if end > 0 {
		h[:end].sink(last)
	}
	return first
}

// sink puts d into the hole at the top of f.
func (f flight) sink(d *datagram) {
	i := 0
	for {
		child := 2*i + 1
		if child >= len(f) {
			break
		}
		if child+1 < len(f) && f[child+1].isBefore(f[child]) {
			child++
		}
		if !f[child].isBefore(d) {
			break
		}
		f[i] = f[child]
		i = child
	}
	f[i] = d
}
