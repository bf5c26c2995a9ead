package attacks

import (
	"bytes"
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/intruder"

	"github.com/stretchr/testify/require"
)

// viewer is an intruder that asks for views and counts what comes back, by code.
type viewer struct {
	*intruder.Intruder
	mu    sync.Mutex // protects codes and last
	codes map[byte]int
	last  []byte // the reply that came last
}

// viewer starts the i-th intruder and makes it a member of the node, or a guest.
func (f *field) viewer(i int, n *broach.Node, edit ...func(*intruder.Intruder)) *viewer {
	v := &viewer{codes: map[byte]int{}}
	v.Intruder = f.member(i, n, append(edit, func(i *intruder.Intruder) {
		i.Hear = func(_ *intruder.Link, m intruder.Message) ([]intruder.Message, bool) {
			if m.Kind == intruder.KindReply {
				v.note(m.Body)
			}
			return nil, false
		}
	})...)
	return v
}

// note takes a reply: slot 2, number 4, code 4, and what follows.
func (v *viewer) note(body []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.codes[body[9]]++
	v.last = bytes.Clone(body)
}

// counted is how many replies of each code came since it was last asked.
func (v *viewer) counted() map[byte]int {
	v.mu.Lock()
	defer v.mu.Unlock()
	was := v.codes
	v.codes = map[byte]int{}
	return was
}

const (
	codeInvalid    = byte(broach.InvalidArgument)
	codeOverloaded = byte(broach.Overloaded)
	codeTooLarge   = byte(broach.TooLarge)
)

// askSettings is the argument by which settings are asked for.
var askSettings = []byte{0x91, 8}

// [VIEW-2] 10,000 Requests of one peer: 10 a second are answered, calls go on, and nothing is kept. [VIEW-3]
func TestAFloodOfQuestionsForViews(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		f.startAll(2)
		v := f.viewer(0, f.nodes[0])
		time.Sleep(2 * time.Second)
		calls := f.callOn(f.nodes[1], f.nodes[0])
		before := clustertest.LiveMemory()
		began := time.Now()
		count := fewer(10_000)
		for i := range count {
			v.Say(nodeAddr(0), intruder.Request(uint16(i), 1, 0, "\x00view", askSettings))
			time.Sleep(time.Second / 4000)
		}
		seconds := int(time.Since(began)/time.Second) + 2
		time.Sleep(time.Second)
		codes := v.counted()
		t.Logf("%v", codes)
		require.LessOrEqual(t, codes[0], 10*seconds)
		require.GreaterOrEqual(t, codes[0], 10)
		require.Equal(t, count, codes[0]+codes[codeOverloaded])
		_, err := f.nodes[1].Inspect(t.Context(), f.nodes[0].Addr())
		require.NoError(t, err, "others are answered")
		calls.stop(t)
		require.Less(t, clustertest.LiveMemory()-before, int64(8<<20))
	})
}

// A process that begins anew at its address is the same peer.
func TestAnotherProcessAsksNoMore(t *testing.T) {
	t.Parallel()
	besiege(t, 1, func(t *testing.T, f *field) {
		f.startAll(1)
		views := 0
		for k := range 3 {
			v := f.viewer(0, f.nodes[0])
			for i := range 50 {
				v.Say(nodeAddr(0), intruder.Request(uint16(i), 1, 0, "\x00view", askSettings))
			}
			time.Sleep(50 * time.Millisecond)
			views += v.counted()[0]
			f.bad[0].Close()
			f.bad = nil
			if k < 2 {
				time.Sleep(250 * time.Millisecond) // the pause between links at an address
			}
		}
		require.Equal(t, 10, views, "in less than a second")
	})
}

// Arguments that are none, one-way calls and repetitions are answered, and change nothing.
func TestOddQuestionsForViews(t *testing.T) {
	t.Parallel()
	besiege(t, 1, func(t *testing.T, f *field) {
		f.startAll(1)
		v := f.viewer(0, f.nodes[0])
		for i, is := range []struct {
			args []byte
			code byte
		}{
			{nil, codeInvalid}, {[]byte{0x90}, codeInvalid}, {[]byte{0x92, 1, 2}, codeInvalid},
			{[]byte{0xc1}, codeInvalid}, {[]byte{0x91, 0xff}, codeInvalid}, {[]byte{0x91, 0xa1, '1'}, codeInvalid},
			{[]byte{0x91, 0xc0}, codeInvalid},
			{append([]byte{0x91, 0xb0}, make([]byte, 16)...), codeTooLarge}, {make([]byte, 900), codeTooLarge},
			{[]byte{0x91, 0}, 0}, {[]byte{0x91, 0xce, 0xff, 0xff, 0xff, 0xf0}, 0},
		} {
			if i%9 == 0 {
				time.Sleep(2 * time.Second)
			}
			for range 2 {
				v.Say(nodeAddr(0), intruder.Request(uint16(i), 1, 0, "\x00view", is.args))
			}
			time.Sleep(50 * time.Millisecond)
			codes := v.counted()
			require.NotZero(t, codes[is.code], "%x: %v", is.args, codes)
			require.Len(t, codes, 1, "%x", is.args)
		}
		time.Sleep(2 * time.Second)
		v.Say(nodeAddr(0), intruder.Send(100, 1, 0, "\x00view", askSettings))
		time.Sleep(50 * time.Millisecond)
		require.NotEmpty(t, v.counted(), "a Send is answered somehow")
		f.call(f.start(1, 0), f.nodes[0])
	})
}

// [VIEW-3] addresses of guests MUST NOT be in a view; guests get one like members.
func TestViewsDoNotTellOfGuests(t *testing.T) {
	t.Parallel()
	besiege(t, 1, func(t *testing.T, f *field) {
		f.startAll(2)
		g := f.viewer(0, f.nodes[0], asGuest)
		g.Say(nodeAddr(0), intruder.Request(1, 1, 0, "\x00view", []byte{0x91, 1}))
		time.Sleep(50 * time.Millisecond)
		require.Equal(t, map[byte]int{0: 1}, g.counted())
		require.Contains(t, string(g.last), "a\xc4\x06\x0a\x00\x00\x02\x58\x1b", "the other member, as bytes")

		v, err := f.nodes[1].Inspect(context.Background(), f.nodes[0].Addr())
		require.NoError(t, err)
		require.Equal(t, 1, v.Stats.Guests)
		require.Len(t, v.Members, 2)
		require.Len(t, v.Stats.Peers, 1)
		for _, m := range v.Members {
			require.NotEqual(t, badAddr(0), m.Addr)
		}
		_, err = f.nodes[0].Inspect(context.Background(), badAddr(0))
		require.ErrorIs(t, err, broach.ErrNotFound, "and nobody asks them")
		_, err = f.nodes[0].Inspect(context.Background(), netip.AddrPort{})
		require.ErrorIs(t, err, broach.ErrNotFound)
	})
}

// [VIEW-2] What one peer asks more than 10 times in a second is answered Overloaded.
func TestOnePeerMayAskSoOften(t *testing.T) {
	const each = 10 // a second
	add := map[string]any{"add": func(x, y int) int { return x + y }}
	clustertest.InPair(t, add, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		third := c.Start(2, 0)
		c.Settle(10 * time.Second)
		ask := func(n *broach.Node, times int) (views int) {
			outcomes := make(chan error, times)
			for range times {
				go func() {
					_, err := n.Inspect(c.T.Context(), provider.Addr(), broach.ViewSettings)
					outcomes <- err
				}()
			}
			for range times {
				if err := <-outcomes; err != nil {
					clustertest.RequireError(t, err, broach.Overloaded, broach.No)
					continue
				}
				views++
			}
			return views
		}
		for range 3 {
			require.Equal(t, each, ask(caller, 10_000))
			require.Equal(t, each, ask(third, 20), "others have their own")
			sum, err := broach.Call[int](c.T.Context(), caller.Caller("add"), 1, 2)
			require.NoError(t, err)
			require.Equal(t, 3, sum)
			time.Sleep(time.Second)
		}
		require.Equal(t, 100, ask(provider, 100), "itself, as often as it likes")
	})
}
