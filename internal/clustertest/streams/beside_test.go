package streams

import (
	"context"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// floods are streams at full rate, until ctx ends.
var floods = map[string]func(ctx context.Context, caller *broach.Node, s *source){
	"results": func(ctx context.Context, caller *broach.Node, _ *source) {
		for range broach.Stream[item](ctx, caller.Caller("numbers"), 0) {
		}
	},
	"input": func(ctx context.Context, caller *broach.Node, s *source) {
		_, _ = caller.Caller("drain").Call(ctx, s.numbers(ctx, 0))
	},
	"both": func(ctx context.Context, caller *broach.Node, s *source) {
		for range broach.Stream[item](ctx, caller.Caller("echo"), s.numbers(ctx, 0)) {
		}
	},
}

func drain(in iter.Seq2[item, error]) error {
	for range in {
	}
	return nil
}

func echoItems(in iter.Seq2[item, error]) iter.Seq2[item, error] { return in }

// [STR-8] Chunks obey FRAG-6 and FRAG-7: small calls beside streams at full rate wait for what may queue on the path,
// be it one stream or many, and none fails.
func TestSmallCallsBesideStreams(t *testing.T) {
	for name, net := range map[string]struct {
		link simnet.Link
		rate int           // bytes a second each way; 0: any
		most time.Duration // that 99 of 100 calls take
	}{
		"quick": {simnet.Link{}, 0, time.Millisecond},
		"lossy": {simnet.Link{Loss: 0.01}, 0, 50 * time.Millisecond}, // some are sent again, and few of these again
		"thin":  {simnet.Link{}, 10 << 20, 25 * time.Millisecond},
	} {
		for way, run := range floods {
			for _, streams := range []int{1, 4} {
				inPair(t, 1000, func(c *clustertest.Cluster, s *source, provider, caller *broach.Node) {
					clustertest.Offer(c, provider, caller, "drain", drain)
					clustertest.Offer(c, provider, caller, "echo", echoItems)
					clustertest.Offer(c, provider, caller, "plain", func(n int) int { return n })
					there, back := net.link, net.link
					if net.rate > 0 {
						there.Bucket = simnet.NewBucket(net.rate, 64<<10, 200*time.Millisecond)
						back.Bucket = simnet.NewBucket(net.rate, 64<<10, 200*time.Millisecond)
					}
					c.Net.SetLink(caller.Addr(), provider.Addr(), there)
					c.Net.SetLink(provider.Addr(), caller.Addr(), back)
					ctx, cancel := context.WithCancel(c.T.Context())
					var floods sync.WaitGroup
					for range streams {
						floods.Go(func() { run(ctx, caller, s) })
					}
					time.Sleep(30 * time.Millisecond)
					took := smallCalls(c.T, caller, 5, 20)
					require.Greater(c.T, s.yielded.Load(), int64(1000))
					cancel()
					floods.Wait()
					last := len(took) - 1 // of 100 the longest, which may take what it likes
					c.T.Logf("%s, %s, %d streams: median %v, 99th of 100 %v, longest %v", name, way, streams,
						took[last/2], took[last-1], took[last])
					require.Less(c.T, took[last-1], net.most)
				})
			}
		}
	}
}

// smallCalls makes calls, so many at once and each of them so often, and returns the times that they took, in order.
func smallCalls(t *testing.T, caller *broach.Node, atOnce, each int) (took []time.Duration) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for i := range each {
				began := time.Now()
				n, err := broach.Call[int](t.Context(), caller.Caller("plain"), i)
				if err != nil || n != i {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	return took
}
