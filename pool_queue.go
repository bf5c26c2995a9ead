package broach

// jobQueue is a first-in, first-out ring of jobs, of which the last one in can be had too. It starts empty, doubles
// when full and never shrinks; whoever pushes bounds its length. It has no
// lock of its own.
type jobQueue struct {
	ring []job // its length is zero or a power of two
	head int   // index of the oldest job
	n    int   // jobs held; 0 <= n <= len(ring)
}

// firstRing is small because most nodes never have more jobs waiting, and a
// process may hold a thousand nodes in a test.
const firstRing = 16

func (q *jobQueue) len() int { return q.n }

// push adds j at the tail. It allocates only when the ring doubles.
func (q *jobQueue) push(j job) {
	if q.n == len(q.ring) {
		q.grow()
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = j
	q.n++
}

// peek returns the oldest job and leaves it in, or nil from an empty queue.
func (q *jobQueue) peek() job {
	if q.n == 0 {
		return nil
	}
	return q.ring[q.head]
}

// pop removes and returns the oldest job, or nil from an empty queue.
func (q *jobQueue) pop() job {
	j := q.peek()
	if j == nil {
		return nil
	}
	q.ring[q.head] = nil // or the ring would keep a finished job alive
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	return j
}

// popNewest removes and returns the newest job of a queue that is not empty.
func (q *jobQueue) popNewest() job {
	q.n--
	at := (q.head + q.n) & (len(q.ring) - 1)
	j := q.ring[at]
	q.ring[at] = nil
	return j
}

func (q *jobQueue) grow() {
	ring := make([]job, max(firstRing, 2*len(q.ring)))
	k := copy(ring, q.ring[q.head:])
	copy(ring[k:], q.ring[:q.head])
	q.ring, q.head = ring, 0
}
