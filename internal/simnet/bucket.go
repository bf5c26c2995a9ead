package simnet

import (
	"sync"
	"time"
)

// Bucket is a token bucket: a thin part of the ways of all links that name it, such as the uplink of a site. Of a
// datagram its payload counts. It is safe for concurrent use; while several hosts write to one at the same instant,
// chance decides who comes first.
type Bucket struct {
	rate  float64 // bytes a nanosecond
	burst int64   // nanoseconds that it is ahead when it is full
	queue int64   // nanoseconds that a datagram waits at most

	mu   sync.Mutex // guards what follows; taken while that of an outbox is held, and never the other way round
	free int64      // when all that has passed has been paid for
}

// NewBucket returns a full bucket that lets so many bytes a second pass, burst of them at once. What finds it empty
// waits in order, for up to queue; what would wait longer is dropped. With a queue of 0 it is a policer, and nothing
// waits.
func NewBucket(bytesPerSecond, burst int, queue time.Duration) *Bucket {
	rate := float64(bytesPerSecond) / float64(time.Second)
	ahead := int64(float64(burst) / rate)
	return &Bucket{rate: rate, burst: ahead, queue: int64(queue), free: -ahead}
}

// pass says how long a datagram of size bytes waits, and whether it passes at all. No bucket is no hindrance.
func (b *Bucket) pass(now int64, size int) (wait int64, ok bool) {
	if b == nil {
		return 0, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	free := max(b.free, now-b.burst) + int64(float64(size)/b.rate)
	if free-now > b.queue {
		return 0, false
	}
	b.free = free
	return max(free-now, 0), true
}
