package goals

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"
	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// stream makes calls at a steady pace for a while, each on a goroutine of its own, whether or not earlier ones are
// answered.
func stream(pause, lasting time.Duration, call func(begun time.Time)) *sync.WaitGroup {
	var calls sync.WaitGroup
	for end := time.Now().Add(lasting); time.Now().Before(end); time.Sleep(pause) {
		begun := time.Now()
		calls.Go(func() { call(begun) })
	}
	return &calls
}

// requestsOf counts the requests that a node sends, each once however often it is repeated.
func requestsOf(c *clustertest.Cluster, n *broach.Node) (sent func() int) {
	type request struct {
		token uint64
		slot  uint16
		seq   uint32
	}
	var mu sync.Mutex
	seen := map[request]bool{}
	c.Net.Tap(func(_ time.Time, from, _ netip.AddrPort, b []byte) {
		h, _, err := wire.ConsumeHeader(b)
		if err != nil || from != n.Addr() {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, body := range clustertest.BodiesIn(b, wire.KindRequest) {
			if m, err := wire.ConsumeRequest(body); err == nil {
				seen[request{h.Token, m.Slot, m.Seq}] = true
			}
		}
	})
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(seen)
	}
}

// "Retry storm test: all providers slow, offered load 3 x capacity: attempts per call stay under 1.3, goodput at least
// 80 % of capacity."
func TestRetryStorm(t *testing.T) {
	t.Parallel()
	const (
		providers, workers = 3, 2
		takes              = 10 * time.Millisecond
		lasting            = 2 * time.Second
		// a second; where nothing is refused the dispatchers add to it
		capacity = providers * workers * int(time.Second/takes)
	)
	for name, test := range map[string]struct {
		pool  broach.Pool
		calls []broach.CallOption
	}{
		"refusing": {broach.Pool{Core: workers, Max: workers, Queue: 8, RejectWhenFull: true}, nil},
		"refusing, hedged": {broach.Pool{Core: workers, Max: workers, Queue: 8, RejectWhenFull: true},
			[]broach.CallOption{broach.Hedge(50 * time.Millisecond)}},
		"slowing down": {broach.Pool{Core: workers, Max: workers, Queue: 8},
			[]broach.CallOption{broach.Timeout(500 * time.Millisecond)}},
		"slowing down, hedged": {broach.Pool{Core: workers, Max: workers, Queue: 8},
			[]broach.CallOption{broach.Timeout(500 * time.Millisecond), broach.Hedge(50 * time.Millisecond)}},
		"with the default queue": {broach.Pool{Core: workers, Max: workers},
			[]broach.CallOption{broach.Timeout(500 * time.Millisecond)}},
	} {
		if race.Sampled && test.calls == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				c.Edit = func(cfg *broach.Config) { cfg.Pool = test.pool }
				c.StartAll(1 + providers)
				caller := c.Nodes[0]
				for _, n := range c.Nodes[1:] {
					require.NoError(t, n.Register("slow", func() { time.Sleep(takes) }, broach.Idempotent()))
				}
				require.NoError(t, caller.WaitFor(context.Background(), "slow", providers))
				c.Settle(time.Second)
				c.Net.SetDefault(simnet.Link{Delay: 200 * time.Microsecond, Jitter: 100 * time.Microsecond})

				slow := caller.Caller("slow", test.calls...)
				sent := requestsOf(c, caller)
				var made, done, after, refused, late atomic.Int64
				start := time.Now()
				calls := stream(time.Second/time.Duration(3*capacity), lasting, func(time.Time) {
					made.Add(1)
					switch _, err := slow.Call(context.Background()); {
					case err == nil && time.Since(start) > lasting: // what the queue still held
						after.Add(1)
					case err == nil:
						done.Add(1)
					case errors.Is(err, broach.ErrOverloaded):
						refused.Add(1)
					case errors.Is(err, broach.ErrDeadlineExceeded):
						late.Add(1)
					default:
						t.Errorf("an overloaded cluster answers: %v", err)
					}
				})
				calls.Wait()
				attempts := sent()
				perCall, goodput := float64(attempts)/float64(made.Load()),
					float64(done.Load())/lasting.Seconds()/float64(capacity)
				t.Logf("%d calls: %d done, and %d when no more came, %d refused, %d late; "+
					"%.2f attempts for each, goodput %.0f %% of the capacity",
					made.Load(), done.Load(), after.Load(), refused.Load(), late.Load(), perCall, 100*goodput)
				require.Less(t, perCall, 1.3)
				require.GreaterOrEqual(t, goodput, 0.8)
			})
		})
	}
}
