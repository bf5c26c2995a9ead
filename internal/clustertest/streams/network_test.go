package streams

import (
	"context"
	"errors"
	"flag"
	"iter"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

var items = flag.Int("items", 30_000, "how many items go through a bad network; a million take some seconds")

// bad is a network of which each way loses, doubles and disorders.
var bad = simnet.Link{Loss: 0.05, Duplicate: 0.02, Reorder: 0.02, Jitter: 100 * time.Microsecond}

// [STR-3] Chunks are taken in the order of their index, each once.
func TestItemsThroughABadNetwork(t *testing.T) {
	for name, edit := range map[string]func(*broach.Config){
		"open":   func(*broach.Config) {},
		"sealed": func(cfg *broach.Config) { cfg.Keys = [][]byte{clustertest.KeyOf(1)} },
	} {
		t.Run(name, func(t *testing.T) {
			inPair(t, 8, func(c *clustertest.Cluster, s *source, _, caller *broach.Node) {
				c.Net.SetDefault(bad)
				began := time.Now()
				n, err := readAll(c.T.Context(), caller.Caller("numbers"), *items)
				require.NoError(t, err)
				require.Equal(t, *items, n)
				require.Equal(t, int64(*items), s.yielded.Load())
				t.Logf("%d items in %v", n, time.Since(began))
			}, edit)
		})
	}
}

// The same for what a caller sends.
func TestInputThroughABadNetwork(t *testing.T) {
	sum := func(_ context.Context, in iter.Seq2[int, error]) (int, error) {
		total, next := 0, 0
		for n, err := range in {
			if err != nil {
				return 0, err
			}
			if n != next {
				return 0, errors.New("an item is missing, or came twice")
			}
			next++
			total += n
		}
		return total, nil
	}
	clustertest.InPair(t, map[string]any{"sum": sum}, func(c *clustertest.Cluster, _, caller *broach.Node) {
		c.Net.SetDefault(bad)
		total, err := broach.Call[int](c.T.Context(), caller.Caller("sum"), upTo(*items))
		require.NoError(t, err)
		require.Equal(t, *items*(*items-1)/2, total)
	})
}

func upTo(n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
	}
}

// And for both at once: what goes comes back.
func TestTalkThroughABadNetwork(t *testing.T) {
	echo := func(_ context.Context, in iter.Seq2[int, error]) iter.Seq2[int, error] { return in }
	clustertest.InPair(t, map[string]any{"echo": echo}, func(c *clustertest.Cluster, _, caller *broach.Node) {
		c.Net.SetDefault(bad)
		n := 0
		for v, err := range broach.Stream[int](c.T.Context(), caller.Caller("echo"), upTo(*items/3)) {
			require.NoError(t, err)
			require.Equal(t, n, v)
			n++
		}
		require.Equal(t, *items/3, n)
	})
}

// An item larger than what waits goes through in parts.
func TestLargeItems(t *testing.T) {
	inPair(t, 3<<20, func(c *clustertest.Cluster, s *source, _, caller *broach.Node) {
		c.Net.SetDefault(bad)
		n, err := readAll(c.T.Context(), caller.Caller("numbers"), 3)
		require.NoError(t, err)
		require.Equal(t, 3, n)
	})
}

// On a far path a stream is as fast as the path, and single items do not wait for each other.
func TestStreamsOnAFarPath(t *testing.T) {
	inPair(t, 1000, func(c *clustertest.Cluster, s *source, _, caller *broach.Node) {
		c.Net.SetDefault(simnet.Link{Delay: 50 * time.Millisecond, MTU: 1472})
		began := time.Now()
		n, err := readAll(c.T.Context(), caller.Caller("numbers"), 2000)
		require.NoError(t, err)
		require.Equal(t, 2000, n)
		took := time.Since(began)
		t.Logf("2 MB in %v", took)
		require.Less(t, took, 3*time.Second)
	})
	tick := func(ctx context.Context) iter.Seq2[time.Time, error] {
		return func(yield func(time.Time, error) bool) {
			for range 200 {
				if time.Sleep(5 * time.Millisecond); !yield(time.Now(), nil) {
					return
				}
			}
		}
	}
	clustertest.InPair(t, map[string]any{"tick": tick}, func(c *clustertest.Cluster, _, caller *broach.Node) {
		c.Net.SetDefault(simnet.Link{Delay: 50 * time.Millisecond})
		latest, n := time.Duration(0), 0
		for at, err := range broach.Stream[time.Time](c.T.Context(), caller.Caller("tick")) {
			require.NoError(t, err)
			if n++; n > 30 { // by then it is known that the path has become a far one
				latest = max(latest, time.Since(at))
			}
		}
		require.Equal(t, 200, n)
		require.Less(t, latest, 60*time.Millisecond)
	})
}
