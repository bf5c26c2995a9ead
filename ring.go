package broach

// A ring is a first-in first-out queue that reuses its memory. Its zero value is empty.
type ring[T any] struct {
	items []T // a power of two of them
	head  int // position of the first
	n     int
}

func (r *ring[T]) len() int { return r.n }

// at returns the i-th item, counted from the first. It stays valid until the next push.
func (r *ring[T]) at(i int) *T { return &r.items[(r.head+i)&(len(r.items)-1)] }

// push adds an item behind the last.
func (r *ring[T]) push(v T) {
	if r.n == len(r.items) {
		r.grow()
	}
	r.n++
	*r.at(r.n - 1) = v
}

// pop takes the first item out, and forgets what it points to.
func (r *ring[T]) pop() T {
	var zero T
	v := *r.at(0)
	*r.at(0) = zero
	r.head = (r.head + 1) & (len(r.items) - 1)
	r.n--
	return v
}

func (r *ring[T]) grow() {
	items := make([]T, max(16, 2*len(r.items)))
	for i := range r.n {
		items[i] = *r.at(i)
	}
	r.items, r.head = items, 0
}
