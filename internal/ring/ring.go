// Package ring is the one first-in first-out queue of broach: of jobs that wait for a worker, of lines that wait for
// the Logger, of fragments that are under way. It is a slice used in a circle, for a list would allocate for each item,
// and a slice that is cut at its front would allocate for each few.
//
// It never bounds itself and never shrinks. Whoever pushes knows what a stranger could make it hold, and says so there.
// It takes no lock: each of its users has one already. A channel would not do in its place, for its room is allocated
// at once, and who waits in it cannot be looked at, nor taken from the back.
//
// There is one file, with one type. What was taken out is forgotten at once: a ring that kept it would keep what hangs
// on it from being collected.
package ring

// A Ring is a first-in first-out queue that reuses its memory, of which the last one in can be had too. It doubles when
// it is full and never shrinks; whoever pushes bounds it. Its zero value is empty. It has no lock of its own.
type Ring[T any] struct {
	items []T // their length is zero or a power of two
	head  int // position of the first
	n     int // 0 <= n <= len(items)
}

func (r *Ring[T]) Len() int { return r.n }

// At returns the i-th item, counted from the first. It stays valid until the next push.
func (r *Ring[T]) At(i int) *T { return &r.items[(r.head+i)&(len(r.items)-1)] }

// Push adds an item behind the last.
func (r *Ring[T]) Push(v T) {
	if r.n == len(r.items) {
		r.grow()
	}
	r.n++
	*r.At(r.n - 1) = v
}

// Pop takes the first item out of a ring that is not empty, and forgets what it points to.
func (r *Ring[T]) Pop() T {
	v := r.take(0)
	r.head = (r.head + 1) & (len(r.items) - 1)
	r.n--
	return v
}

// PopNewest takes the last item out of a ring that is not empty.
func (r *Ring[T]) PopNewest() T {
	r.n--
	return r.take(r.n)
}

// take empties the place of an item, or the ring would keep alive what the item points to.
func (r *Ring[T]) take(i int) (v T) {
	var zero T
	v, *r.At(i) = *r.At(i), zero
	return v
}

// firstRing is small because most rings never hold more, and a process may have a thousand nodes in a test.
const firstRing = 16

func (r *Ring[T]) grow() {
	items := make([]T, max(firstRing, 2*len(r.items)))
	for i := range r.n {
		items[i] = *r.At(i)
	}
	r.items, r.head = items, 0
}
