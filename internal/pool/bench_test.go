package pool

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// jobBatch is a set of jobs that tells when the last of them has run.
type jobBatch struct {
	jobs  []step
	left  atomic.Int64
	donec chan struct{} // one value for each pass
}

// step is the least a job can be.
type step struct{ of *jobBatch }

func (s *step) Run(time.Time) (ended time.Time) {
	if s.of.left.Add(-1) == 0 {
		s.of.donec <- struct{}{}
	}
	return ended
}

func (s *step) Expired(time.Time) bool { return false }
func (s *step) Shed()                  {}
func (s *step) Failed(any, []byte)     {}
func (s *step) Reject()                {}

func newJobBatch(n int) *jobBatch {
	b := &jobBatch{jobs: make([]step, n), donec: make(chan struct{}, 1)}
	for i := range b.jobs {
		b.jobs[i].of = b
	}
	return b
}

// start hands the jobs over in one go, wait waits until all have run.
func (b *jobBatch) start(p *Pool) {
	b.left.Store(int64(len(b.jobs)))
	for i := range b.jobs {
		p.Offer(&b.jobs[i])
	}
	p.Kick()
}

func (b *jobBatch) wait() { <-b.donec }

// BenchmarkPool is the cost of a job, from offer to the end of run, when one
// producer hands over batches and has ahead of it so many as it says.
func BenchmarkPool(b *testing.B) {
	for _, growAt := range []int{1000, 5} {
		for _, size := range []int{1, 16, 64} {
			for _, ahead := range []int{1, 4} {
				b.Run(fmt.Sprintf("growAt=%d/jobBatch=%d/ahead=%d", growAt, size, ahead), func(b *testing.B) {
					p := New(Limits{Core: 2, Max: 4096, Queue: 1024, GrowAt: growAt, KeepAlive: time.Minute})
					defer p.Close(time.Minute)
					produce(b, p, size, ahead)
				})
			}
		}
	}
}

func produce(b *testing.B, p *Pool, size, ahead int) {
	flight := make([]*jobBatch, ahead)
	for i := range flight {
		flight[i] = newJobBatch(size)
		flight[i].start(p)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += size {
		next := flight[i/size%ahead]
		next.wait()
		next.start(p)
	}
	b.StopTimer()
	for _, last := range flight {
		last.wait()
	}
}
