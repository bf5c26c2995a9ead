package broach

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach/internal/race"
	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// never is so far below what is to be proven that a link asks for nothing and withholds nothing.
const never = -1 << 50

// measured lets a node know the round trip to another, and with or without proofs.
func (n *Node) measured(other *Node, roundTrip time.Duration, proofs bool) {
	l := n.linkWith(other)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.talk(time.Now())
	l.rtt.sample(time.Now(), roundTrip)
	if !proofs {
		l.proof.unproven = never
	}
}

// transferTwice sends a large message on a way, and after a pause another. It returns how long both took, and how many Probes went.
func transferTwice(t *testing.T, seed uint64, way simnet.Link, size int, proofs bool) (took time.Duration, probes int64) {
	inCluster(t, seed, func(c *cluster) {
		c.edit = func(cfg *Config) { cfg.CallTimeout = time.Hour }
		provider, caller := c.pair(simnet.Link{})
		require.NoError(t, provider.Register("size", func(b []byte) int { return len(b) }))
		require.NoError(t, caller.WaitFor(context.Background(), "size", 1))
		c.net.SetDefault(way)
		caller.measured(provider, 2*way.Delay, proofs)
		provider.measured(caller, 2*way.Delay, proofs)
		var count atomic.Int64
		c.net.Tap(func(_ time.Time, from, _ netip.AddrPort, b []byte) {
			for _, kind := range kindsIn(b) {
				if kind == wire.KindProbe && from == caller.Addr() {
					count.Add(1)
				}
			}
		})
		for range 2 {
			start := time.Now()
			n, err := Call[int](context.Background(), caller.Caller("size"), make([]byte, size))
			took += time.Since(start)
			require.NoError(t, err)
			require.Equal(t, size, n)
			time.Sleep(5 * time.Second)
		}
		probes = count.Load()
	})
	return took, probes
}

// kindsIn lists the messages in a datagram of a link that is not sealed.
func kindsIn(b []byte) (kinds []wire.Kind) {
	h, rest, err := wire.ConsumeHeader(b)
	if err != nil || h.Form != wire.FormLink {
		return nil
	}
	for len(rest) > 0 {
		kind, _, after, err := wire.ConsumeMessage(rest)
		if err != nil {
			return kinds
		}
		kinds, rest = append(kinds, kind), after
	}
	return kinds
}

// [LNK-11] who has sent 64 KiB on a link that the peer has not proven to get sends it a Probe [...]. That slows no transfer, however long the way is
// and whatever is lost on it.
func TestProofsSlowNoTransfer(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		way  simnet.Link
		size int
		runs uint64
		most float64 // times as long as without
	}{
		{simnet.Link{Delay: ms / 2}, 16 << 20, 1, 1.001},
		{simnet.Link{Delay: 25 * ms}, 60 << 20, 1, 1.001},
		{simnet.Link{Delay: 150 * ms}, 16 << 20, 1, 1.001},
		{simnet.Link{Delay: ms / 2, Loss: 0.05}, 2 << 20, 40, 1.20},
		{simnet.Link{Delay: 25 * ms, Loss: 0.05}, 2 << 20, 40, 1.10},
		{simnet.Link{Delay: 150 * ms, Loss: 0.05}, 2 << 20, 40, 1.10},
	} {
		if race.Enabled && test.runs > 1 {
			continue
		}
		t.Run(fmt.Sprint(2*test.way.Delay, " loss ", test.way.Loss), func(t *testing.T) {
			t.Parallel()
			var with, without time.Duration
			var probes, others int64
			for seed := range test.runs {
				took, n := transferTwice(t, seed+1, test.way, test.size, true)
				tookWithout, nWithout := transferTwice(t, seed+1, test.way, test.size, false)
				with, without, probes, others = with+took, without+tookWithout, probes+n, others+nWithout
			}
			t.Logf("%v, without %v; %d probes, without %d", with, without, probes, others)
			require.LessOrEqual(t, float64(with), test.most*float64(without))
			bytes := float64(test.runs) * 2 * float64(test.size) * 1.1 * (1 + 3*test.way.Loss) // with headers, and what is sent again
			require.Less(t, float64(probes-others), bytes/proveAfter)
			require.Greater(t, probes, others)
		})
	}
}

// blind is a peer that proved its address, gave it up, and goes on from elsewhere: it hears nothing, but knows its link, and guesses all numbers right.
type blind struct {
	*cluster
	victim *Node
	at     netip.AddrPort
	header wire.Header
	seq    uint32 // of its requests, and of its beats
	bytes  atomic.Int64
	mu     sync.Mutex
	next   map[uint32]uint32 // by transfer, the first fragment that was not sent to it
}

// goesBlind kills a node and speaks on in its place.
func (c *cluster) goesBlind(n, victim *Node) *blind {
	own := n.linkWith(victim)
	own.mu.Lock()
	b := &blind{cluster: c, victim: victim, at: n.Addr(), seq: 1 << 20, next: map[uint32]uint32{}}
	b.header = wire.Header{TableVersion: 1, Token: own.toToken, Number: own.number}
	own.mu.Unlock()
	c.kill(n)
	c.net.Tap(func(_ time.Time, _, to netip.AddrPort, payload []byte) {
		if to == b.at {
			b.bytes.Add(int64(len(payload)))
			b.guess(payload)
		}
	})
	return b
}

// guess notes which fragments it should have got.
func (b *blind) guess(payload []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, rest, err := wire.ConsumeHeader(payload)
	for err == nil && len(rest) > 0 {
		var kind wire.Kind
		var body []byte
		if kind, body, rest, err = wire.ConsumeMessage(rest); kind != wire.KindFragment {
			continue
		}
		if f, err := wire.ConsumeFragment(body); err == nil {
			b.next[f.Transfer] = max(b.next[f.Transfer], f.Index+1)
		}
	}
}

// say sends messages to the victim.
func (b *blind) say(messages ...wire.Message) {
	b.header.Number++
	d := wire.AppendHeader(nil, b.header)
	for _, m := range messages {
		d = m.Append(d)
	}
	b.net.Inject(strangerAddr, b.victim.Addr(), d)
}

// acks are acknowledgements of all fragments that were sent.
func (b *blind) acks() (all []wire.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, next := range b.next {
		all = append(all, blindMessage{wire.FragmentAck{Transfer: id, Base: next, Limit: next + 1024}})
	}
	return all
}

// blindMessage is any message of a link.
type blindMessage struct{ appender }

type appender interface{ Append([]byte) []byte }

func (blindMessage) Kind() wire.Kind { return 0 }

// attack goes on for a time: it acknowledges what it does not get, asks for more, and says that it is there.
func (b *blind) attack(d time.Duration) (bytes int64) {
	before := b.bytes.Load()
	for start := time.Now(); time.Since(start) < d; time.Sleep(5 * time.Millisecond) {
		b.seq++
		b.say(b.acks()...)
		b.say(blindMessage{wire.ProbeAck{ID: b.seq - 1<<20}}, wire.Beat{Seq: b.seq, Promise: 1000, Inc: 1})
		b.say(blindMessage{emptyRequest{wire.Request{Slot: uint16(b.seq % 64), Seq: b.seq, Service: []byte("get"), Remaining: 60_000}}})
		b.say(wire.Join{Nonce: uint64(b.seq)})
	}
	return b.bytes.Load() - before
}

// emptyRequest is a Request without arguments.
type emptyRequest struct{ wire.Request }

func (r emptyRequest) Append(b []byte) []byte {
	return append(b, wire.SetLength(append(r.Request.Append(nil), 0x90))...)
}

// [LNK-11] Beyond 1 MiB unproven nothing but Probes, ProbeAcks, Pings, Pongs and Beats goes on the link. Instead of 1 MiB it is four times what was sent
// from a Probe to its answer
func TestAnAddressThatWasGivenUpGetsLittleMore(t *testing.T) {
	for name, test := range map[string]struct {
		took  int // bytes that it takes as long as it is there
		delay time.Duration
		most  int64
	}{
		"a peer that took nothing":                  {0, time.Millisecond, unprovenLeast + 5_000},
		"a peer that took much on a short way":      {16 << 20, time.Millisecond, 2 * unprovenLeast},
		"a peer that took much on a long, fast way": {32 << 20, 50 * time.Millisecond, 6 * unprovenLeast},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inCluster(t, 1, func(c *cluster) {
				victim, peer := c.pair(simnet.Link{})
				result := make([]byte, test.took)
				require.NoError(t, victim.Register("get", func() []byte { return result }))
				require.NoError(t, peer.WaitFor(context.Background(), "get", 1))
				c.net.SetDefault(simnet.Link{Delay: test.delay})
				victim.measured(peer, 2*test.delay, true)
				_, err := Call[[]byte](context.Background(), peer.Caller("get"))
				require.NoError(t, err)

				result = make([]byte, 1<<20)
				b := c.goesBlind(peer, victim)
				first := b.attack(5 * time.Second)
				require.LessOrEqual(t, first, test.most)
				require.Greater(t, first, int64(unprovenLeast)/2, "nothing was attacked")
				then := b.attack(5 * time.Second)
				require.Less(t, then, int64(5_000), "Probes and Beats")
				require.Equal(t, 1, count(victim, Alive), "the blind one keeps itself alive")
				t.Logf("%d bytes, then %d in as long", first, then)
			})
		})
	}
}
