package broach

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// strangerAddr is where attacks come from.
var strangerAddr = netip.MustParseAddrPort("10.9.9.9:9")

// besieged is a provider and a caller that know each other, and what went over the wire between them.
type besieged struct {
	*cluster
	provider, caller *Node
	ran              atomic.Int64
	mu               sync.Mutex
	recorded         []recording
}

type recording struct {
	from, to netip.AddrPort
	payload  []byte
}

// underAttack lets two nodes make some calls, records all they say, runs the attack, and checks that it changed nothing: both
// see each other, no call ran again, and an honest one is answered.
func underAttack(t *testing.T, attack func(b *besieged)) {
	inCluster(t, 11, func(c *cluster) {
		b := &besieged{cluster: c}
		c.net.Tap(func(_ time.Time, from, to netip.AddrPort, payload []byte) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.recorded = append(b.recorded, recording{from, to, slices.Clone(payload)})
		})
		b.provider, b.caller = c.pair(simnet.Link{})
		require.NoError(t, b.provider.Register("count", func() int64 { return b.ran.Add(1) }))
		require.NoError(t, b.caller.WaitFor(context.Background(), "count", 1))
		b.call()
		time.Sleep(3 * time.Second)
		c.net.Tap(nil)
		b.mu.Lock() // for what the last writers did
		defer b.mu.Unlock()
		before := b.ran.Load()
		attack(b)
		time.Sleep(100 * time.Millisecond)
		require.Equal(t, before, b.ran.Load(), "a call ran that nobody made")
		b.call()
		require.True(t, allSee(c.nodes, 1))
		for _, n := range c.nodes {
			require.Len(t, n.Members(), 2)
		}
	})
}

func (b *besieged) call() {
	v, err := Call[int64](context.Background(), b.caller.Caller("count"))
	require.NoError(b.t, err)
	require.Equal(b.t, b.ran.Load(), v)
}

// throw sends a datagram to both nodes.
func (b *besieged) throw(payload []byte) {
	for _, n := range []*Node{b.provider, b.caller} {
		b.net.Inject(strangerAddr, n.Addr(), payload)
	}
}

// [HDR-1] A receiver MUST drop a datagram that is shorter than its header, or has another magic, version or key id.
func TestGarbageIsCountedAndChangesNothing(t *testing.T) {
	underAttack(t, func(b *besieged) {
		rng := rand.New(rand.NewPCG(1, 1))
		for range 2000 {
			junk := make([]byte, rng.IntN(1400))
			for i := range junk {
				junk[i] = byte(rng.Uint32())
			}
			b.throw(junk)
		}
		time.Sleep(time.Second)
		stats := b.provider.Stats()
		require.EqualValues(b.t, 2000, stats.Malformed+stats.ForeignVersion) // a few have the magic byte by chance
		version := slices.Clone(b.recorded[0].payload)
		version[1]++
		b.throw(version)
		time.Sleep(time.Second)
		require.Equal(b.t, stats.ForeignVersion+1, b.provider.Stats().ForeignVersion)
	})
}

// [HDR-2] A receiver MUST drop a datagram of another cluster, without an answer.
func TestOtherClusterIsDroppedWithoutAnAnswer(t *testing.T) {
	underAttack(t, func(b *besieged) {
		stranger := wire.Header{TableVersion: 1, Cluster: wire.ClusterID("other"), Sender: 99}
		join := wire.Join{Nonce: 1, Addr: strangerAddr}.Append(wire.AppendHeader(nil, stranger))
		b.throw(join)
		time.Sleep(time.Second)
		require.EqualValues(b.t, 1, b.provider.Stats().OtherCluster)
		require.Zero(b.t, sentTo(b.cluster, strangerAddr))
	})
}

// sentTo counts the datagrams that went to an address where nobody listens.
func sentTo(c *cluster, addr netip.AddrPort) uint64 {
	require.Equal(c.t, strangerAddr, addr)
	return c.net.Stats().Unheard
}

// [HDR-5] On a link, a number that was seen before, or lies 4,096 or more below the highest seen, MUST be dropped: the datagram is
// a replay.
func TestReplaysChangeNothing(t *testing.T) {
	underAttack(t, func(b *besieged) {
		require.NotEmpty(b.t, b.recorded)
		for _, r := range b.recorded {
			b.net.Inject(r.from, r.to, r.payload)       // as it was
			b.net.Inject(strangerAddr, r.to, r.payload) // from elsewhere
			b.net.Inject(r.to, r.from, r.payload)       // to whom it was not meant for
		}
		time.Sleep(time.Second)
		require.Greater(b.t, b.provider.Stats().Replayed, uint64(5))
		require.Greater(b.t, b.caller.Stats().Replayed, uint64(5))
	})
}

// [MSG-3] A message that is cut off [...] MUST be dropped and counted, with the rest of its datagram
func TestTruncatedDatagramsChangeNothing(t *testing.T) {
	underAttack(t, func(b *besieged) {
		for _, r := range b.recorded {
			if h, _, err := wire.ConsumeHeader(r.payload); err != nil || h.Receiver != 0 {
				continue // of a link: whole or not, it is a replay
			}
			for n := range r.payload {
				b.net.Inject(r.from, r.to, r.payload[:n])
			}
		}
		time.Sleep(time.Second)
		require.NotZero(b.t, b.provider.Stats().Malformed+b.caller.Stats().Malformed)
	})
}

// [HDR-3] A receiver MUST ignore a datagram whose sender is its own boot id.
// [HDR-6] Outside of a link only Stale (2.6) and messages of section 4 are taken.
func TestForgedSenders(t *testing.T) {
	underAttack(t, func(b *besieged) {
		request := wire.Request{Slot: 0, Seq: 1000, Service: []byte("count"), Args: []byte{0x90}}
		for _, h := range []wire.Header{
			{Sender: b.provider.boot, Receiver: b.provider.boot, Number: 1 << 40}, // itself
			{Sender: 77, Receiver: b.provider.boot, Number: 1},                    // nobody
			{Sender: b.caller.boot},                                // a peer, outside of the link
			{Sender: b.caller.boot, Receiver: 78, Number: 1 << 40}, // meant for another process
		} {
			h.Cluster, h.TableVersion = b.provider.cluster, 1
			b.throw(request.Append(wire.AppendHeader(nil, h)))
		}
	})
}

// Who knows one boot id of a link and guesses the other, or both, from the right address, has not even made anybody suspect.
func TestGuessedBootIDs(t *testing.T) {
	underAttack(t, func(b *besieged) {
		rng, began := rand.New(rand.NewPCG(1, 2)), time.Now()
		messages := []appendable{
			wire.Request{Slot: 0, Seq: 1000, Service: []byte("count"), Args: []byte{0x90}}, wire.Reply{Seq: 2}, wire.Leave{}, wire.Drain{},
			wire.Announce{Hello: wire.Hello{Nonce: 1, Inc: 99, Addr: b.caller.Addr()}}, wire.Offline{Target: wire.Target{Addr: b.caller.Addr(), Boot: b.caller.boot, Inc: 99}},
		}
		for i := range 1000 {
			off := rng.Uint64()
			if i < 64 {
				off = 1 << i
			}
			for _, h := range []wire.Header{
				{Sender: b.caller.boot ^ off, Receiver: b.provider.boot}, {Sender: b.caller.boot, Receiver: b.provider.boot ^ off}, {Sender: off, Receiver: off ^ 1},
			} {
				h.Cluster, h.TableVersion, h.Number = b.provider.cluster, 1, 1<<40
				for _, m := range messages {
					b.net.Inject(b.caller.Addr(), b.provider.Addr(), m.Append(wire.AppendHeader(nil, h)))
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		require.Greater(b.t, b.provider.Stats().Peers[0].Since, time.Since(began), "its state has not changed")
	})
}

// [HDR-4] it is answered with Stale (2.6), at most 100 times a second in all.
func TestMisdirectedFloodIsAnsweredSparingly(t *testing.T) {
	underAttack(t, func(b *besieged) {
		h := wire.Header{TableVersion: 1, Cluster: b.provider.cluster, Sender: 77, Receiver: 78}
		for i := range 5000 {
			h.Sender = 1000 + uint64(i)
			b.net.Inject(strangerAddr, b.provider.Addr(), wire.AppendHeader(nil, h))
		}
		time.Sleep(time.Second)
		require.EqualValues(b.t, 5000, b.provider.Stats().Misdirected)
		require.LessOrEqual(b.t, sentTo(b.cluster, strangerAddr), uint64(stalePerSec))
	})
}

// What thousands of strangers can make a node remember is bounded, and what it sends them is at most three times what came.
// [MEM-5] What is sent to an address that has not echoed a nonce MUST NOT exceed 3 times the size of the datagram that it answers.
func TestStrangersCostLittle(t *testing.T) {
	underAttack(t, func(b *besieged) {
		var old runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&old)
		sent, came := b.provider.Stats().BytesOut, 0
		strangers := 10_000
		if raceEnabled {
			strangers = 2000
		}
		for i := range strangers {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 8, byte(i >> 8), byte(i)}), 9)
			h := wire.Header{TableVersion: 1, Cluster: b.provider.cluster, Sender: 1000 + uint64(i)}
			hello := wire.Hello{Nonce: 1, Inc: 1, Addr: from}
			for _, msg := range []wire.Message{
				wire.Announce{Hello: hello}, wire.Welcome{Hello: hello}, wire.Join{Nonce: 2, Addr: from}, wire.Ack{Echo: 3},
				wire.Ping{Nonce: 4}, wire.List{Count: 1, Entries: []wire.Entry{{Addr: from, Boot: 5}}}, wire.Leave{},
			} {
				datagram := msg.Append(wire.AppendHeader(nil, h))
				came += len(datagram)
				b.net.Inject(from, b.provider.Addr(), datagram)
			}
			if i%100 == 0 {
				time.Sleep(10 * time.Millisecond)
			}
		}
		time.Sleep(10 * time.Second)
		require.Less(b.t, b.provider.Stats().BytesOut-sent, uint64(3*came))
		looked := make(chan struct{})
		require.NoError(b.t, b.provider.do(func(time.Time) {
			defer close(looked)
			assert.LessOrEqual(b.t, len(b.provider.members.pending.byBoot), pendingMax)
			assert.Empty(b.t, b.provider.members.contacts.byAddr)
		}))
		<-looked
		var now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&now)
		require.Less(b.t, int64(now.HeapAlloc)-int64(old.HeapAlloc), int64(32<<20))
	})
}
