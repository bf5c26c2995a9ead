package members

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// blind is a peer that proved its address, gave it up, and goes on from elsewhere: it hears nothing, but knows its
// link, and guesses all numbers right.
type blind struct {
	*clustertest.Cluster
	victim *broach.Node
	at     netip.AddrPort
	header wire.Header
	seq    uint32 // of its requests, and of its beats
	bytes  atomic.Int64
	mu     sync.Mutex
	next   map[uint32]uint32 // by transfer, the first fragment that was not sent to it
}

// goesBlind kills a node and speaks on in its place.
func goesBlind(c *clustertest.Cluster, n, victim *broach.Node) *blind {
	b := &blind{Cluster: c, victim: victim, at: n.Addr(), seq: 1 << 20, next: map[uint32]uint32{}}
	token := latestOf(c, n, victim)
	c.Until(5*time.Second, "it says something", func() bool { return token() > 0 })
	highest := sentTo(c, token())
	c.Until(5*time.Second, "it says more", func() bool { return highest() > 0 })
	c.Kill(n)
	b.header = wire.Header{TableVersion: 1, Token: token(), Number: highest()}
	c.Net.Tap(func(_ time.Time, _, to netip.AddrPort, payload []byte) {
		if to == b.at {
			b.bytes.Add(int64(len(payload)))
			b.guess(payload)
		}
	})
	return b
}

// latestOf is the token of the link on which a node speaks to another; 0: it has said nothing since.
func latestOf(c *clustertest.Cluster, n, to *broach.Node) (token func() uint64) {
	var last atomic.Uint64
	c.Net.Tap(func(_ time.Time, from, at netip.AddrPort, b []byte) {
		h, _, err := wire.ConsumeHeader(b)
		if err == nil && h.Form == wire.FormLink && from == n.Addr() && at == to.Addr() {
			last.Store(h.Token)
		}
	})
	return last.Load
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
	b.Net.Inject(clustertest.StrangerAddr, b.victim.Addr(), d)
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
		get := wire.Request{Slot: uint16(b.seq % 64), Seq: b.seq, Service: []byte("get"), Remaining: 60_000}
		b.say(blindMessage{emptyRequest{get}})
		b.say(wire.Join{Nonce: uint64(b.seq)})
	}
	return b.bytes.Load() - before
}

// emptyRequest is a Request without arguments.
type emptyRequest struct{ wire.Request }

func (r emptyRequest) Append(b []byte) []byte {
	return append(b, wire.SetLength(append(r.Request.Append(nil), 0x90))...)
}

// [LNK-11] Beyond 1 MiB unproven nothing but Probes, ProbeAcks, Pings, Pongs and Beats goes on the link. Instead of 1
// MiB it is four times what was sent from a Probe to its answer
func TestAnAddressThatWasGivenUpGetsLittleMore(t *testing.T) {
	for name, test := range map[string]struct {
		took  int // bytes that it takes as long as it is there
		delay time.Duration
		most  int64
	}{
		"a peer that took nothing":                  {0, time.Millisecond, 1<<20 + 5_000},
		"a peer that took much on a short way":      {16 << 20, time.Millisecond, 2 << 20},
		"a peer that took much on a long, fast way": {32 << 20, 50 * time.Millisecond, 6 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				victim, peer := c.Pair(simnet.Link{})
				result := make([]byte, test.took)
				require.NoError(t, victim.Register("get", func() []byte { return result }))
				require.NoError(t, peer.Register("nop", func() {}))
				require.NoError(t, peer.WaitFor(context.Background(), "get", 1))
				require.NoError(t, victim.WaitFor(context.Background(), "nop", 1))
				c.Net.SetDefault(simnet.Link{Delay: test.delay})
				_, err := victim.Caller("nop").Call(context.Background()) // it knows the round trip now
				require.NoError(t, err)
				_, err = broach.Call[[]byte](context.Background(), peer.Caller("get"))
				require.NoError(t, err)

				result = make([]byte, 1<<20)
				b := goesBlind(c, peer, victim)
				first := b.attack(5 * time.Second)
				require.LessOrEqual(t, first, test.most)
				require.Greater(t, first, int64(1<<19), "nothing was attacked")
				then := b.attack(5 * time.Second)
				require.Less(t, then, int64(5_000), "Probes and Beats")
				require.Equal(t, 1, clustertest.Count(victim, broach.Alive), "the blind one keeps itself alive")
				t.Logf("%d bytes, then %d in as long", first, then)
			})
		})
	}
}
