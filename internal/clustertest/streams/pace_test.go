package streams

import (
	"context"
	"iter"
	"net/netip"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// asks notes how long each question of a sender comes after its last chunk, or the question before.
type asks struct {
	mu    sync.Mutex // protects what follows
	last  time.Time
	waits []time.Duration
}

func (a *asks) tap(now time.Time, _, _ netip.AddrPort, payload []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range clustertest.BodiesIn(payload, wire.KindChunk) {
		if m, err := wire.ConsumeChunk(b); err == nil && len(m.Data) == 0 && !m.Last {
			a.waits = append(a.waits, now.Sub(a.last))
		}
		a.last = now
	}
}

// requirePace takes the waits so far, which must be those of [STR-3] from the first on. The first may be shorter: it
// counts from when nothing was welcome before, if that was less than 10 ms ago.
func (a *asks) requirePace(t *testing.T, atLeast int) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	require.GreaterOrEqual(t, len(a.waits), atLeast)
	require.Less(t, a.waits[0], 11*time.Millisecond)
	want := 10 * time.Millisecond
	for _, wait := range a.waits[1:] {
		want = min(2*want, time.Second)
		require.InDelta(t, want, wait, float64(time.Millisecond), "%v", a.waits)
	}
	a.waits = nil
}

// [STR-3] A sender whose next bytes are not welcome ... asks after 10 ms. It asks again after 20 ms, and then after
// twice as long each time, up to 1 s. When more has become welcome it begins with 10 ms anew.
func TestPaceOfAsksWhileAReaderStandsStill(t *testing.T) {
	inPair(t, 1000, func(c *clustertest.Cluster, _ *source, _, caller *broach.Node) {
		var heard asks
		c.Net.Tap(heard.tap)
		read := 0
		for _, err := range broach.Stream[item](c.T.Context(), caller.Caller("numbers"), 0) {
			require.NoError(t, err)
			switch read++; read {
			case 1, 1000: // by then more than the room was read, and all of it has gone anew
				time.Sleep(6 * time.Second)
				heard.requirePace(t, 10)
			case 1001:
				return
			}
		}
	})
}

// The same for the input of a function that reads one item and then none.
func TestPaceOfAsksWhileAFunctionStandsStill(t *testing.T) {
	first := func(ctx context.Context, in iter.Seq2[[]byte, error]) error {
		for range in {
			<-ctx.Done()
		}
		return nil
	}
	clustertest.InPair(t, map[string]any{"first": first}, func(c *clustertest.Cluster, _, caller *broach.Node) {
		var heard asks
		c.Net.Tap(heard.tap)
		var fill iter.Seq2[[]byte, error] = func(yield func([]byte, error) bool) {
			for yield(make([]byte, 1000), nil) {
			}
		}
		_, err := caller.Caller("first", broach.Timeout(6*time.Second)).Call(c.T.Context(), fill)
		clustertest.RequireError(t, err, broach.DeadlineExceeded, broach.Maybe)
		heard.requirePace(t, 10)
	})
}
