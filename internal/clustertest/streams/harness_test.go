package streams

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// A place is a cluster whose caller finds functions in its own process or at another node.
type place struct {
	*clustertest.Cluster
	provider, caller *broach.Node
}

// anywhere runs a test in each place.
func anywhere(t *testing.T, test func(p place), edit ...func(*broach.Config)) {
	for _, isHere := range []bool{true, false} {
		name := "elsewhere"
		if isHere {
			name = "here"
		}
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				for _, e := range edit {
					c.Edit = e
				}
				p := place{Cluster: c, provider: c.Start(0)}
				if p.caller = p.provider; !isHere {
					p.caller = c.Start(1, 0)
				}
				test(p)
			})
		})
	}
}

// offer has the caller know a function.
func (p place) offer(name string, fn any, opts ...broach.RegisterOption) {
	p.T.Helper()
	clustertest.Offer(p.Cluster, p.provider, p.caller, name, fn, opts...)
}

// count yields numbers from 1 on, until nobody wants them.
func count(yield func(int, error) bool) {
	for n := 1; yield(n, nil); n++ {
	}
}

// countTo yields the first of them.
func countTo(most int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for n := 1; n <= most && yield(n, nil); n++ {
		}
	}
}

// all reads a stream to its end.
func all[T any](s iter.Seq2[T, error]) (items []T, err error) {
	for v, err := range s {
		if err != nil {
			return items, err
		}
		items = append(items, v)
	}
	return items, nil
}

// sum adds up what it is sent.
func sum(in iter.Seq2[int, error]) (total int, _ error) {
	for n, err := range in {
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

// A watched function tells when it ends, and with which cause its ctx has.
type watched struct {
	ended chan error // gets context.Cause
}

func newWatched() watched { return watched{make(chan error, 1)} }

// feed yields one item, and waits for the end of its ctx.
func (w watched) feed(ctx context.Context) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		yield(1, nil)
		<-ctx.Done()
		if yield(2, nil) {
			w.ended <- errors.New("there is room, but nobody to read")
		}
		w.ended <- context.Cause(ctx)
	}
}

// count yields until nobody wants more.
func (w watched) count(ctx context.Context) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		count(yield)
		<-ctx.Done()
		w.ended <- context.Cause(ctx)
	}
}

// requireEnd waits for the end.
func (w watched) requireEnd(t *testing.T, within time.Duration) error {
	t.Helper()
	select {
	case err := <-w.ended:
		return err
	case <-time.After(within):
		require.Fail(t, "the function goes on")
		return nil
	}
}
