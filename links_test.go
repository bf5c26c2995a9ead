package broach

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"broach/internal/race"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// forgotten is a caller with calls in flight to a provider of two, that is cut off from it.
type forgotten struct {
	*cluster
	caller, provider, other *Node

	mu  sync.Mutex // protects what functions count
	ran map[int]int
}

// inFlight is how many calls are, of a function that runs only once.
const inFlight = 39

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
	toFirst := pickFunc(func(_ CallInfo, from []Provider) int {
		for i, p := range from {
			if p.Addr == f.provider.Addr() {
				return i
			}
		}
		return 0
	})
	for id := range inFlight {
		go func() {
			caller := f.caller.Caller("work", Balance(toFirst), Timeout(time.Minute))
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

// cutOff cuts the caller off for a while, at whose end those forget who do.
func (f *forgotten) cutOff(d time.Duration, who ...*Node) {
	pair := []netip.AddrPort{f.caller.Addr(), f.provider.Addr()}
	f.net.Cut(pair[:1], []netip.AddrPort{f.provider.Addr(), f.other.Addr()})
	time.Sleep(d)
	for _, n := range who {
		for _, addr := range pair {
			if addr != n.Addr() {
				f.forget(n, addr, d < time.Second)
			}
		}
	}
	f.net.Heal()
}

// forget makes a node forget another, which it has missed by now; soon, before it can, because it takes the other for
// one that leaves. The other knows of neither, and asks on.
func (f *forgotten) forget(n *Node, addr netip.AddrPort, soon bool) {
	if soon {
		l := n.linking.tokens.Link(n.tokenTo(addr))
		require.NoError(f.t, n.do(func(now time.Time) { n.says(now, l, 0, wire.Leave{}) }))
	}
	require.NoError(f.t, n.Forget(addr))
}

// judge waits for the calls, and requires of each that it ran as often as its caller was told.
func (f *forgotten) judge(endc <-chan toldOf39) (said map[string]int) {
	said = make(map[string]int)
	for range inFlight {
		told := <-endc
		f.mu.Lock()
		ran := f.ran[told.id]
		f.mu.Unlock()
		executed, text := Yes, "done"
		if told.err != nil {
			e := told.err.(*Error)
			executed, text = e.Executed, e.Code.String()+", "+e.Executed.String()
		}
		said[text]++
		require.LessOrEqual(f.t, ran, 1, "call %d: %v", told.id, told.err)
		isLie := executed == No && ran != 0 || executed == Yes && ran != 1
		require.False(f.t, isLie, "call %d ran %d times: %v", told.id, ran, told.err)
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
		for who, forget := range map[string]func(f *forgotten) []*Node{
			"the provider": func(f *forgotten) []*Node { return []*Node{f.provider} },
			"the caller":   func(f *forgotten) []*Node { return []*Node{f.caller} },
			"both":         func(f *forgotten) []*Node { return []*Node{f.provider, f.caller} },
			"by itself":    func(*forgotten) []*Node { return nil },
		} {
			for with, keys := range map[string][][]byte{"": nil, ", with keys": {keyOf(1)}} {
				if race.Enabled && (keys == nil || who != "both" && what != "requests under way") {
					continue
				}
				t.Run(what+", "+who+with, func(t *testing.T) {
					inCluster(t, 1, func(c *cluster) { forgetInFlight(c, who == "by itself", keys, sizes, forget) })
				})
			}
		}
	}
}

func forgetInFlight(c *cluster, soon bool, keys [][]byte, sizes [2]int, forget func(f *forgotten) []*Node) {
	c.edit = func(cfg *Config) {
		if cfg.Keys = keys; soon {
			cfg.Heartbeat.Forget = 100 * time.Millisecond
		}
	}
	defer time.Sleep(inFlight * time.Second / 4) // until no function runs any more
	for i := range 3 {
		c.start(i, 0) // a seed is never forgotten
	}
	f := &forgotten{cluster: c, other: c.nodes[0], caller: c.nodes[1], provider: c.nodes[2], ran: make(map[int]int)}
	for _, n := range []*Node{f.provider, f.other} {
		require.NoError(c.t, n.Register("work", f.work))
	}
	require.NoError(c.t, f.caller.WaitFor(c.t.Context(), "work", 2))
	for _, d := range []time.Duration{50 * time.Millisecond, 6 * time.Second} {
		clear(f.ran)
		endc := f.begin(sizes[0], sizes[1])
		time.Sleep(3 * time.Millisecond)
		f.cutOff(d, forget(f)...)
		c.t.Log("cut off for", d, f.judge(endc))
		c.until(20*time.Second, "the caller calls the provider again", func() bool {
			_, err := f.caller.Caller("work", On(f.provider.Addr())).Call(context.Background(), 0, 1, []byte{})
			return err == nil
		})
	}
}

// bodiesIn lists the bodies of the messages of one kind in a datagram of a link that is not sealed.
func bodiesIn(b []byte, of wire.Kind) (bodies [][]byte) {
	h, rest, err := wire.ConsumeHeader(b)
	for err == nil && h.Form == wire.FormLink && len(rest) > 0 {
		var kind wire.Kind
		var body []byte
		if kind, body, rest, err = wire.ConsumeMessage(rest); err == nil && kind == of {
			bodies = append(bodies, body)
		}
	}
	return bodies
}
