// Package streams tests streams between nodes: what arrives of them over bad networks, who waits for whom, and what
// becomes of them when one side ends.
package streams

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"

	"broach"
	"broach/internal/clustertest"

	"go.uber.org/goleak"
)

// ants keeps a pool of its own from import on, whose goroutines are there before any test.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

// A source is a function that yields numbers, and is told what becomes of it.
type source struct {
	yielded atomic.Int64
	running atomic.Int64
	ended   atomic.Int64 // by a yield that reported false
	size    int          // bytes of an item, besides the number
}

// item is what it yields.
type item struct {
	N    int
	Fill []byte
}

// numbers yields the numbers below n; without end if n is 0.
func (s *source) numbers(_ context.Context, n int) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		s.running.Add(1)
		defer s.running.Add(-1)
		fill := make([]byte, s.size)
		for i := 0; n == 0 || i < n; i++ {
			if !yield(item{i, fill}, nil) {
				s.ended.Add(1)
				return
			}
			s.yielded.Add(1)
		}
	}
}

// feed yields one number and then waits until nobody reads any more.
func (s *source) feed(ctx context.Context, n int) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		s.running.Add(1)
		defer s.running.Add(-1)
		if yield(item{N: n}, nil) {
			<-ctx.Done()
		}
	}
}

// readAll ranges over a stream of numbers and checks that none is missing, or comes twice, or before another.
func readAll(ctx context.Context, c *broach.Caller, n int) (count int, err error) {
	for v, err := range broach.Stream[item](ctx, c, n) {
		if err != nil {
			return count, err
		}
		if v.N != count {
			return count, fmt.Errorf("got %d in place of %d", v.N, count)
		}
		count++
	}
	return count, nil
}

// inPair runs a test on a provider of both functions of a source, and a caller.
func inPair(
	t *testing.T, size int, test func(c *clustertest.Cluster, s *source, provider, caller *broach.Node),
	edit ...func(*broach.Config),
) {
	s := &source{size: size}
	clustertest.InPair(t, map[string]any{"numbers": s.numbers, "feed": s.feed},
		func(c *clustertest.Cluster, provider, caller *broach.Node) { test(c, s, provider, caller) }, edit...)
}
