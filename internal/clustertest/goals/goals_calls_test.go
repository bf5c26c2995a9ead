package goals

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

// callTraffic is calls without a pause, from two nodes to the four that offer add, and what became of each call.
type callTraffic struct {
	*clustertest.Cluster
	providers, callers []*broach.Node
	ran                [1 << 17]atomic.Int32 // how often, by call
	calls              atomic.Int64
	over               atomic.Bool
	wg                 sync.WaitGroup

	mu       sync.Mutex
	outcomes map[string]int
	claims   map[int]broach.Executed // of calls that failed
	longest  time.Duration
}

// offer lets a node offer add.
func (f *callTraffic) offer(n *broach.Node) {
	require.NoError(f.T, n.Register("add", func(call, y int) int {
		f.ran[call].Add(1)
		time.Sleep(200 * time.Microsecond)
		return call + y
	}))
}

// begin starts callers that do not pause: of three, the race detector takes the time of two.
func (f *callTraffic) begin() {
	each := 3
	if race.Sampled {
		each = 1
	}
	for _, n := range f.callers {
		for range each {
			f.wg.Go(func() {
				for !f.over.Load() {
					f.call(n)
				}
			})
		}
	}
}

// call makes one call, and notes what became of it.
func (f *callTraffic) call(n *broach.Node) error {
	call, start := int(f.calls.Add(1)), time.Now()
	sum, err := broach.Call[int](context.Background(), n.Caller("add"), call, 7)
	took := time.Since(start)
	if err == nil && sum != call+7 {
		f.T.Errorf("call %d: %d is a wrong answer", call, sum)
	}
	f.note(call, took, err)
	if err != nil {
		time.Sleep(time.Millisecond) // a call that fails at once takes no time
	}
	return err
}

func (f *callTraffic) note(call int, took time.Duration, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.longest = max(f.longest, took)
	if err == nil {
		f.outcomes["ok"]++
		return
	}
	e, ok := errors.AsType[*broach.Error](err)
	if !ok || !slices.Contains([]broach.Code{broach.Unreachable, broach.Unavailable, broach.DeadlineExceeded}, e.Code) {
		f.T.Errorf("call %d: %v", call, err)
		return
	}
	f.outcomes[fmt.Sprint(e.Code, "/", e.Executed)]++
	f.claims[call] = e.Executed
}

// end ends the calls, and checks what was said of those that failed: none ran twice, none ran that was said not to
// have.
func (f *callTraffic) end() {
	f.over.Store(true)
	f.wg.Wait()
	time.Sleep(time.Second)
	for call := 1; call <= int(f.calls.Load()); call++ {
		claim, failed := f.claims[call]
		switch ran := f.ran[call].Load(); {
		case !failed || claim == broach.Yes:
			require.EqualValues(f.T, 1, ran, "call %d ran", call)
		case claim == broach.No:
			require.Zero(f.T, ran, "call %d did not run, it was said", call)
		default:
			require.LessOrEqual(f.T, ran, int32(1), "call %d ran twice", call)
		}
	}
}

// String lists the outcomes.
func (f *callTraffic) String() string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(f.outcomes)) {
		parts = append(parts, fmt.Sprint(f.outcomes[what], " ", what))
	}
	return fmt.Sprintf("%s; the longest took %v", strings.Join(parts, ", "), f.longest)
}

// The troubles that befall a provider, or the network, while calls go on. Each lasts until what it did is undone.
var troubles = map[string]func(f *callTraffic){
	"a provider dies":   func(f *callTraffic) { f.Kill(f.providers[1]) },
	"a provider leaves": func(f *callTraffic) { require.NoError(f.T, f.providers[1].Close()) },
	"a provider restarts": func(f *callTraffic) {
		f.Kill(f.providers[1])
		f.offer(f.Start(1, 0))
	},
	"halves are cut off": func(f *callTraffic) {
		f.Net.Cut(f.half(0), f.half(1))
		time.Sleep(aMinute() / 6)
		f.Net.Heal()
	},
	"a provider does not hear a caller": func(f *callTraffic) {
		f.Net.CutOneWay(clustertest.AddrsOf(f.callers[:1]), clustertest.AddrsOf(f.providers[1:2]))
		time.Sleep(aMinute() / 6)
		f.Net.Heal()
	},
}

// half is every other node: two providers and one caller.
func (f *callTraffic) half(odd int) (addrs []netip.AddrPort) {
	for i, n := range f.Nodes {
		if i%2 == odd {
			addrs = append(addrs, n.Addr())
		}
	}
	return addrs
}

// Calls at full speed through whatever befalls a cluster: no wrong answer, no call that hangs, errors that say the
// truth of whether the function ran, and afterwards every call succeeds. [G6] [G7] [G8] [G20]
func TestCallsThroughTrouble(t *testing.T) {
	t.Parallel()
	for name, befall := range troubles {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				c.Gather(1, 8, 0)
				f := &callTraffic{Cluster: c, providers: c.Nodes[:4], callers: c.Nodes[6:8], outcomes: map[string]int{},
					claims: map[int]broach.Executed{}}
				for _, n := range f.providers {
					f.offer(n)
				}
				for _, n := range f.callers {
					require.NoError(t, n.WaitFor(context.Background(), "add", len(f.providers)))
				}
				f.begin()
				time.Sleep(time.Second)
				befall(f)
				time.Sleep(2 * time.Second)
				f.end()
				t.Log(f)
				require.Less(t, f.longest, 6*time.Second)
				for range 100 {
					for _, n := range f.callers {
						require.NoError(t, f.call(n))
					}
				}
			})
		})
	}
}
