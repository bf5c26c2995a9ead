package broach

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// bombs are msgpack values that are much more than they are long, or do not end.
var bombs = [][]byte{
	{0xdd, 0x7f, 0xff, 0xff, 0xff}, {0xdf, 0x7f, 0xff, 0xff, 0xff}, {0xdb, 0xff, 0xff, 0xff, 0xff}, {0xc6, 0xff, 0xff, 0xff, 0xff},
	bytes.Repeat([]byte{0x91}, 1000), bytes.Repeat([]byte{0x81, 0xa0}, 500), {0x91}, {0x92, 1}, {0xc1}, {},
	append([]byte{0x91, 0xdd, 0, 0x40, 0, 0}, bytes.Repeat([]byte{0xc0}, 900)...),
}

// badMember says what no honest node would, to one victim, under its own name and key.
type badMember struct {
	rng           *rand.Rand
	victim, other *Node
}

func (m *badMember) bomb() []byte   { return bombs[m.rng.IntN(len(bombs))] }
func (m *badMember) slot() uint16   { return uint16(1<<m.rng.IntN(17) - 1) }
func (m *badMember) number() uint32 { return m.rng.Uint32() >> m.rng.IntN(33) }

// lie is about another member, or one that there is not.
func (m *badMember) lie() wire.Target {
	t := wire.Target{Addr: m.other.Addr(), Boot: m.other.boot, Inc: m.number()}
	if m.rng.IntN(4) == 0 {
		t.Boot = m.rng.Uint64() | 1
	}
	return t
}

// crowd is a list of members that there are not.
func (m *badMember) crowd() (list []wire.Entry) {
	for range 40 {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 6, byte(m.rng.Uint32()), byte(m.rng.Uint32())}), 9)
		list = append(list, wire.Entry{Addr: addr, Boot: m.rng.Uint64() | 1})
	}
	return list
}

// says is the next of its messages.
func (m *badMember) says() appendable {
	kinds := []func() appendable{
		func() appendable {
			return wire.Request{Slot: m.slot(), Seq: m.number(), Remaining: m.number(), Service: []byte("count"), Args: m.bomb()}
		},
		func() appendable {
			return wire.Send{Slot: m.slot(), Seq: m.number(), Service: []byte("any"), Args: m.bomb(), Meta: wire.AppendPair(nil, "k", m.bomb())}
		},
		func() appendable {
			return wire.Reply{Slot: uint16(m.rng.IntN(4)), Seq: uint32(m.rng.IntN(50)), Executed: 2, Body: append([]byte{1, byte(m.rng.IntN(30))}, m.bomb()...)}
		},
		func() appendable {
			return wire.Reply{Slot: uint16(m.rng.IntN(4)), Seq: uint32(m.rng.IntN(50)), Code: m.number() | 1, Causes: wire.AppendPair(nil, "io: eof", m.bomb()), Body: m.bomb()}
		},
		func() appendable { return wire.Poll{Slot: m.slot(), Seq: m.number()} },
		func() appendable { return wire.Cancel{Slot: m.slot(), Seq: m.number()} },
		func() appendable { return wire.Progress{Slot: m.slot(), Seq: m.number()} },
		func() appendable { // overlapping, contradictory, never ending
			return wire.Fragment{
				Transfer: uint32(m.rng.IntN(200)), Total: m.number() | 1, Size: uint16(256 + m.rng.IntN(800)), Index: uint32(m.rng.IntN(40)), Data: make([]byte, m.rng.IntN(900)),
			}
		},
		func() appendable {
			return wire.FragmentAck{Transfer: uint32(m.rng.IntN(9)), Base: m.number(), Limit: m.number(), Bitmap: make([]byte, m.rng.IntN(wire.MaxBitmap))}
		},
		func() appendable { return wire.Stop{Transfer: uint32(m.rng.IntN(200)), ByReceiver: m.rng.IntN(2) == 0} },
		func() appendable { return wire.Suspect{Target: m.lie()} },
		func() appendable { return wire.Offline{Target: m.lie()} },
		func() appendable { return wire.Help{Target: m.lie()} },
		func() appendable { return wire.Vouch{Target: m.lie()} },
		func() appendable { return wire.List{Count: 1, Entries: m.crowd()} },
		func() appendable {
			return wire.Delta{Base: m.number(), Version: m.number(), Gone: m.bomb(), Added: wire.AppendTable(nil, []wire.Function{{Name: "count"}})}
		},
		func() appendable {
			return wire.Beat{Seq: m.number(), Promise: uint16(m.number()), Digest: m.rng.Uint64()}
		},
		func() appendable { return wire.Drain{Answer: m.rng.IntN(2) == 0} },
	}
	return kinds[m.rng.IntN(len(kinds))]()
}

// A member turned bad plays with slots and fragments, answers calls that were not made, sends bombs in arguments, results, errors, metadata and
// tables, and lies about others. What honest nodes believe of each other stays right, their calls are answered, nothing runs that they
// did not call, and it all costs no memory worth speaking of.
func TestAMemberTurnedBad(t *testing.T) {
	trials := uint64(3)
	if raceEnabled {
		trials = 1
	}
	for seed := range trials {
		inCluster(t, seed+1, func(c *cluster) {
			c.edit = func(cfg *Config) { cfg.Keys, cfg.MaxMessage = [][]byte{keyOf(1)}, 1<<20 }
			c.startAll(4)
			victim, other, bad := c.nodes[0], c.nodes[1], c.nodes[3]
			require.NoError(t, victim.Register("count", func(x int) int { return x }))
			require.NoError(t, victim.Register("any", func(any) {}))
			require.NoError(t, bad.Register("never", func(ctx context.Context) string { <-ctx.Done(); return "" }))
			require.NoError(t, other.WaitFor(context.Background(), "count", 1))
			require.NoError(t, victim.WaitFor(context.Background(), "never", 1))
			c.settle(5 * time.Second)
			before := liveMemory()
			m := &badMember{rand.New(rand.NewPCG(seed, 1)), victim, other}
			l := bad.links.get(victim.boot)
			for i := range 20_000 {
				message := m.says().Append(nil)
				l.mu.Lock()
				l.repeat(message)
				l.flush()
				if i%20 == 0 {
					time.Sleep(time.Millisecond)
				}
				if i%1000 == 0 {
					waiting := Go[string](context.Background(), victim.Caller("never", Timeout(100*time.Millisecond), NoRetry()))
					sum, err := Call[int](context.Background(), other.Caller("count"), i)
					require.NoError(t, err)
					require.Equal(t, i, sum)
					_, err = waiting.Wait()
					require.Error(t, err)
				}
			}
			grown := liveMemory() - before
			t.Logf("memory grew by %d KiB, %d goroutines", grown>>10, runtime.NumGoroutine())
			require.Less(t, grown, int64(24<<20), "half-received messages, of which two may have begun, slots, stored replies")
			for _, n := range c.nodes[:3] {
				for _, peer := range c.nodes[:3] {
					require.Equal(t, Alive, memberAt(n, peer.Addr()).State)
				}
				require.Len(t, n.Members(), 4, "nobody is there who was only talked of")
			}
			require.Zero(t, victim.Stats().Panics)
		})
	}
}
