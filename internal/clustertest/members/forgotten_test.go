package members

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

// forgotten is a caller with calls in flight to a provider of two, that is cut off from it.
type forgotten struct {
	*clustertest.Cluster
	caller, provider, other *broach.Node

	mu  sync.Mutex // protects what functions count
	ran map[int]int
}

// inFlight is how many calls are, of a function that runs only once.
const inFlight = 39

// impatient is who misses others within 400 ms.
var impatient = broach.Heartbeat{
	Interval: 50 * time.Millisecond, Budget: 1000, Margin: 10 * time.Millisecond, Tick: 2 * time.Millisecond,
	ProbeEvery: 5 * time.Millisecond, Probes: 6, Grace: 20 * time.Millisecond,
}

// work is the function: it takes long, and its results are large where the call asks for that.
func (f *forgotten) work(id, size int, _ []byte) []byte {
	f.mu.Lock()
	f.ran[id]++
	f.mu.Unlock()
	time.Sleep(time.Duration(id) * 250 * time.Millisecond)
	return make([]byte, size)
}

// begin starts the calls, most of which go to the provider that the caller is to be cut off from. How they end comes by
// the channel.
func (f *forgotten) begin(size, reply int) <-chan toldOf39 {
	endc := make(chan toldOf39, inFlight)
	toFirst := clustertest.PickFunc(func(_ broach.CallInfo, from []broach.Provider) int {
		for i, p := range from {
			if p.Addr == f.provider.Addr() {
				return i
			}
		}
		return 0
	})
	for id := range inFlight {
		go func() {
			caller := f.caller.Caller("work", broach.Balance(toFirst), broach.Timeout(time.Minute))
			_, err := caller.Call(context.Background(), id, reply, make([]byte, size))
			endc <- toldOf39{id, err}
		}()
	}
	return endc
}

// toldOf39 is how one of these calls ended.
type toldOf39 struct {
	id  int
	err error
}

// cutOff cuts the caller off for a while, at whose end those forget who do: they have missed the other by now.
func (f *forgotten) cutOff(d time.Duration, who []int) {
	pair := []netip.AddrPort{f.caller.Addr(), f.provider.Addr()}
	f.Net.Cut(pair[:1], []netip.AddrPort{f.provider.Addr(), f.other.Addr()})
	time.Sleep(d)
	for _, i := range who {
		for _, addr := range pair {
			if n := f.Nodes[i]; addr != n.Addr() {
				require.NoError(f.T, n.Forget(addr))
			}
		}
	}
	f.Net.Heal()
}

// judge waits for the calls, and requires of each that it ran as often as its caller was told.
func (f *forgotten) judge(endc <-chan toldOf39) (said map[string]int) {
	said = make(map[string]int)
	for range inFlight {
		told := <-endc
		f.mu.Lock()
		ran := f.ran[told.id]
		f.mu.Unlock()
		executed, text := broach.Yes, "done"
		if told.err != nil {
			e := told.err.(*broach.Error)
			executed, text = e.Executed, e.Code.String()+", "+e.Executed.String()
		}
		said[text]++
		require.LessOrEqual(f.T, ran, 1, "call %d: %v", told.id, told.err)
		isLie := executed == broach.No && ran != 0 || executed == broach.Yes && ran != 1
		require.False(f.T, isLie, "call %d ran %d times: %v", told.id, ran, told.err)
	}
	return said
}

// Who forgets a caller, or a provider, that was cut off with calls in flight, runs none of them twice and says nothing
// of them that is not so: the links of before are gone, and a call never moves to another.
// [LNK-7] A call never moves to another link.
// [LNK-8] A closes it when the new one is confirmed. Its calls fail: Unreachable, executed maybe.
func TestCallsInFlightToWhoForgets(t *testing.T) {
	t.Parallel()
	for what, sizes := range map[string][2]int{
		"functions that run": {10, 10}, "requests under way": {300 << 10, 10}, "replies under way": {10, 300 << 10},
	} {
		for who, forget := range map[string][]int{
			"the provider": {2}, "the caller": {1}, "both": {2, 1}, "by itself": nil,
		} {
			for with, keys := range map[string][][]byte{"": nil, ", with keys": {clustertest.KeyOf(1)}} {
				isSample := who == "both" || who == "by itself" && what == "requests under way"
				if race.Sampled && (keys == nil || !isSample) {
					continue
				}
				t.Run(what+", "+who+with, func(t *testing.T) {
					clustertest.Run(t, 1, func(c *clustertest.Cluster) { forgetInFlight(c, keys, sizes, forget) })
				})
			}
		}
	}
}

// forgetInFlight has some nodes forget, by their numbers; nobody: they do by themselves, and soon. Who is to forget
// misses others long before they do, and asks them anew while they still hold the link of before.
func forgetInFlight(c *clustertest.Cluster, keys [][]byte, sizes [2]int, forget []int) {
	defer time.Sleep(inFlight * time.Second / 4) // until no function runs any more
	for i := range 3 {
		c.StartWith(i, func(cfg *broach.Config) {
			cfg.Keys, cfg.Heartbeat.Interval, cfg.Heartbeat.Budget = keys, impatient.Interval, impatient.Budget
			if forget == nil {
				cfg.Heartbeat.Forget = 100 * time.Millisecond
			}
			if slices.Contains(forget, i) {
				cfg.Heartbeat = impatient
			}
		}, 0) // a seed is never forgotten
	}
	f := &forgotten{Cluster: c, other: c.Nodes[0], caller: c.Nodes[1], provider: c.Nodes[2], ran: make(map[int]int)}
	for _, n := range []*broach.Node{f.provider, f.other} {
		require.NoError(c.T, n.Register("work", f.work))
	}
	require.NoError(c.T, f.caller.WaitFor(c.T.Context(), "work", 2))
	for _, d := range []time.Duration{400 * time.Millisecond, 6 * time.Second} {
		clear(f.ran)
		endc := f.begin(sizes[0], sizes[1])
		time.Sleep(3 * time.Millisecond)
		f.cutOff(d, forget)
		c.T.Log("cut off for", d, f.judge(endc))
		c.Until(20*time.Second, "the caller calls the provider again", func() bool {
			_, err := f.caller.Caller("work", broach.On(f.provider.Addr())).Call(context.Background(), 0, 1, []byte{})
			return err == nil
		})
	}
}
