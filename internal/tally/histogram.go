package tally

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"
)

// Bounds are those of the classes of a Histogram: a class has what is not longer than its bound.
var Bounds = [20]time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	1 * time.Millisecond, 2500 * time.Microsecond,
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 75 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, 750 * time.Millisecond,
	1 * time.Second, 2500 * time.Millisecond, 5 * time.Second, 7500 * time.Millisecond, 10 * time.Second,
}

// classes are those of a Histogram: the last has what is longer than all Bounds.
const classes = len(Bounds) + 1

// Histogram is how many times fell into each class, and what they are together.
type Histogram struct {
	Counts [classes]uint64
	Sum    time.Duration
}

// classOf is the class of a time. It looks from the shortest on: most calls are short.
func classOf(d time.Duration) int {
	for i := range Bounds {
		if d <= Bounds[i] {
			return i
		}
	}
	return len(Bounds)
}

// total is how many times there are.
func (h Histogram) total() (n uint64) {
	for _, count := range h.Counts {
		n += count
	}
	return n
}

// stripe is a share of what has been counted. It fills three cache lines, of which short times touch the first alone.
type stripe struct {
	begun  atomic.Uint64 // calls of which nobody said that they waited, without those withdrawn
	sum    atomic.Uint64 // ns
	counts [classes]atomic.Uint64
	_      [8]byte
}

const (
	// a name that has been called so often gets a stripe for each processor
	stripesFrom = 1024
	// but no more than this: 10,000 names that all are called often have 31 MB of them, twice where they are served
	stripesMost = 1 << stripeBits
	stripeBits  = 4
)

// stripes is how many a Cell has that is called often: a power of two.
var stripes = stripesFor(runtime.GOMAXPROCS(0))

func stripesFor(processors int) int {
	return min(1<<bits.Len(uint(processors-1)), stripesMost)
}

// striped is a Histogram that many processors add to. The zero value is empty.
type striped struct {
	first stripe
	more  atomic.Pointer[[]stripe] // nil: there is only the first; else that is not added to any more
}

// at is the stripe of a call that says something at a time. The last digits of a time are as good as drawn, and cost
// nothing; since clocks tick in steps, they are mixed first.
func (h *striped) at(now time.Duration) *stripe {
	more := h.more.Load()
	if more == nil {
		return &h.first
	}
	mixed := uint64(now) * 0x9e3779b97f4a7c15 >> (64 - stripeBits)
	return &(*more)[int(mixed)&(len(*more)-1)]
}

// begin reports whether there is to be more than one stripe.
func (h *striped) begin(now time.Duration) (often bool) {
	s := h.at(now)
	return s.begun.Add(1) == stripesFrom && s == &h.first
}

func (h *striped) withdraw(now time.Duration) { h.at(now).begun.Add(^uint64(0)) }

// add reports whether there is to be more than one stripe.
func (h *striped) add(now, took time.Duration) (often bool) {
	s := h.at(now)
	took = max(took, 0)
	s.sum.Add(uint64(took))
	return s.counts[classOf(took)].Add(1) == stripesFrom && s == &h.first
}

// widen makes more stripes, once.
func (h *striped) widen() {
	if stripes > 1 && h.more.Load() == nil {
		more := make([]stripe, stripes)
		h.more.CompareAndSwap(nil, &more)
	}
}

// each visits all stripes.
func (h *striped) each(visit func(s *stripe)) {
	visit(&h.first)
	if more := h.more.Load(); more != nil {
		for i := range *more {
			visit(&(*more)[i])
		}
	}
}

// snapshot is what has been added so far.
func (h *striped) snapshot() (sum Histogram) {
	h.each(func(s *stripe) {
		for i := range s.counts {
			sum.Counts[i] += s.counts[i].Load()
		}
		sum.Sum += time.Duration(s.sum.Load())
	})
	return sum
}

// begun is how many have begun so far, as begin and withdraw say. A call may do so at one stripe and end at another.
func (h *striped) begun() (n uint64) {
	h.each(func(s *stripe) { n += s.begun.Load() })
	return n
}
