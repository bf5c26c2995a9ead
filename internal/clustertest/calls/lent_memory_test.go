package calls

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// A second Release, be it of a copy, does not take the memory from whoever has it by then.
func TestReleasedTwiceIsReleasedOnce(t *testing.T) {
	withLent(t, map[string]any{"echo": func(b broach.Lent) broach.Lent { return b }},
		func(_ *clustertest.Cluster, _, caller *broach.Node) {
			for _, n := range lentSizes[1:] {
				for _, f := range everywhere(caller, "echo") {
					first, err := broach.Call[broach.Lent](context.Background(), f, filled(n, 1))
					require.NoError(t, err)
					again := first
					first.Release()
					second, err := broach.Call[broach.Lent](context.Background(), f, filled(n, 2))
					require.NoError(t, err)
					first.Release()
					again.Release()
					third, err := broach.Call[broach.Lent](context.Background(), f, filled(n, 3))
					require.NoError(t, err)
					require.Equal(t, filled(n, 2), second.Bytes)
					require.Equal(t, filled(n, 3), third.Bytes)
					var all sync.WaitGroup
					for range 4 {
						all.Go(third.Release)
					}
					all.Wait()
				}
			}
			broach.Lent{}.Release()
			broach.Lent{Bytes: []byte("mine")}.Release()
		})
}

// Under the race detector what is read too late is nothing that was ever sent.
func TestLentBytesAreOverwritten(t *testing.T) {
	if !race.Enabled {
		t.Skip("it costs time")
	}
	var kept []byte
	withLent(t, map[string]any{"echo": func(b broach.Lent) broach.Lent { kept = b.Bytes; return b }},
		func(_ *clustertest.Cluster, _, caller *broach.Node) {
			for _, n := range lentSizes[1:] {
				for _, f := range everywhere(caller, "echo") {
					got, err := broach.Call[broach.Lent](context.Background(), f, filled(n, 1))
					require.NoError(t, err)
					time.Sleep(10 * time.Millisecond) // the last of a large reply is acknowledged
					require.False(t, bytes.Contains(kept, []byte{1}), "a function has kept its argument")
					got.Release()
					require.False(t, bytes.Contains(got.Bytes, []byte{1}), "the result was released")
				}
			}
		})
}

// A function that does not return gives nothing back: what it has begun may read its argument yet.
func TestWhoDoesNotReturnKeepsWhatWasLent(t *testing.T) {
	var kept [][]byte
	withLent(t, map[string]any{
		"panics": func(b broach.Lent) { kept = append(kept, b.Bytes); panic("no") },
		"exits":  func(b broach.Lent) { kept = append(kept, b.Bytes); runtime.Goexit() },
		"echo":   func(b []byte) []byte { return b },
	}, func(c *clustertest.Cluster, _, caller *broach.Node) {
		for _, n := range lentSizes[1:] {
			for _, name := range []string{"panics", "exits"} {
				for _, f := range everywhere(caller, name) {
					_, err := f.Call(context.Background(), filled(n, 1))
					require.ErrorContains(t, err, "panicked")
				}
			}
			for range 10 {
				for _, f := range everywhere(caller, "echo") {
					_, err := f.Call(context.Background(), filled(n, 2))
					require.NoError(t, err)
				}
			}
			for _, b := range kept {
				require.Equal(t, filled(n, 1), b)
			}
			kept = nil
		}
		requireNothingLeft(c)
	})
}

// A function may read what it was lent until it returns, however long ago its caller has given up.
func TestLentUntilTheFunctionReturns(t *testing.T) {
	var goOn chan struct{}
	var seen chan []byte
	withLent(t, map[string]any{
		"slow": func(b broach.Lent) broach.Lent { <-goOn; seen <- bytes.Clone(b.Bytes); return b },
		"echo": func(b []byte) []byte { return b },
	}, func(c *clustertest.Cluster, _, caller *broach.Node) {
		goOn, seen = make(chan struct{}), make(chan []byte, 8)
		sent := 0
		for _, n := range lentSizes[1:] {
			for _, f := range everywhere(caller, "slow") {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				_, err := broach.Call[broach.Lent](ctx, f, filled(n, 1))
				cancel()
				clustertest.RequireError(t, err, broach.DeadlineExceeded, broach.Maybe)
				sent++
			}
		}
		for _, n := range lentSizes {
			for range 5 {
				_, err := everywhere(caller, "echo")[1].Call(context.Background(), filled(n, 2))
				require.NoError(t, err)
			}
		}
		close(goOn)
		for range sent {
			b := <-seen
			require.Equal(t, filled(len(b), 1), b)
		}
		requireNothingLeft(c)
	})
}

// Large arguments are sent from where they are, until the call has returned: then they are the caller's again, however
// it ended, and nobody gets what he writes there.
func TestArgumentsAreTheCallersAgain(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider, caller := c.Pair(simnet.Link{Loss: 0.05, Delay: 2 * time.Millisecond})
		whole := func(b broach.Lent) (broach.Lent, error) {
			for _, x := range b.Bytes {
				if x != b.Bytes[0] {
					return b, fmt.Errorf("%d and %d in one argument", b.Bytes[0], x)
				}
			}
			return b, nil
		}
		require.NoError(t, provider.Register("whole", whole))
		require.NoError(t, caller.WaitFor(context.Background(), "whole", 1))
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				arg, ended := make([]byte, 200_000), 0
				for k := range 30 {
					for j := range arg {
						arg[j] = byte(k)
					}
					patience := time.Duration(1+(i+k)%20) * 5 * time.Millisecond
					ctx, cancel := context.WithTimeout(context.Background(), patience)
					got, err := broach.Call[broach.Lent](ctx, caller.Caller("whole"), arg)
					cancel()
					if err == nil {
						ended++
						require.Equal(t, arg, got.Bytes)
					} else {
						require.NotContains(t, err.Error(), "in one argument")
					}
					got.Release()
				}
				require.NotZero(t, ended)
				require.Less(t, ended, 30, "some were given up")
			})
		}
		all.Wait()
		requireNothingLeft(c)
	})
}
