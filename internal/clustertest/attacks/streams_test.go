package attacks

import (
	"context"
	"encoding/binary"
	"iter"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/intruder"

	"github.com/stretchr/testify/require"
)

// streamsMost is how many streams a peer may have.
const streamsMost = 1024

// babble is a function that yields as long as it may and does not read what comes.
type babble struct{ running, yielded atomic.Int64 }

func (b *babble) serve(_ context.Context, _ iter.Seq2[[]byte, error]) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		b.running.Add(1)
		defer b.running.Add(-1)
		for item := make([]byte, 1000); yield(item, nil); b.yielded.Add(1) {
		}
	}
}

// [STR-1] ... beyond the limit of section 7 Overloaded. A peer that opens streams without end, says that all is welcome
// and acknowledges nothing, and sends chunks of every kind, costs a node no more than its streams may: 256 KiB each
// way, and what is under way. Nobody else's calls and streams fail for it.
func TestStreamsOfAnIntruder(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		f.startAll(2)
		provider, caller := f.nodes[0], f.nodes[1]
		var b babble
		require.NoError(t, provider.Register("babble", b.serve))
		require.NoError(t, caller.WaitFor(context.Background(), "babble", 1))
		var overloaded, stopped atomic.Int64
		bad := f.member(0, provider, func(i *intruder.Intruder) {
			i.Hear = func(_ *intruder.Link, m intruder.Message) ([]intruder.Message, bool) {
				switch {
				case m.Kind == intruder.KindReply && binary.BigEndian.Uint32(m.Body[6:]) == uint32(broach.Overloaded):
					overloaded.Add(1)
				case m.Kind == intruder.KindStop:
					stopped.Add(1)
				}
				return nil, m.Kind == intruder.KindChunk
			}
		})
		calls := f.callOn(caller, provider)
		before := clustertest.LiveMemory()
		for slot := range uint16(2 * streamsMost) {
			bad.Say(provider.Addr(), intruder.Streaming(slot, 1, uint32(slot)+1, 1<<30, "babble"))
			if slot%32 == 31 {
				time.Sleep(time.Millisecond)
			}
		}
		time.Sleep(time.Second)
		require.Equal(t, int64(streamsMost), b.running.Load())
		require.Equal(t, int64(streamsMost), overloaded.Load())
		f.throwChunks(bad, provider)
		time.Sleep(time.Second)
		grown := clustertest.LiveMemory() - before
		t.Logf("%d MiB live, %d items yielded, %d Stops", grown>>20, b.yielded.Load(), stopped.Load())
		require.Less(t, b.yielded.Load()*1000, int64(streamsMost*(600<<10)))
		require.NotZero(t, stopped.Load())

		items := 0
		for _, err := range broach.Stream[[]byte](context.Background(), caller.Caller("babble"), none) {
			require.NoError(t, err)
			if items++; items == 1000 {
				break
			}
		}
		calls.stop(t)
		f.drop(0)
		provider.Close()
		time.Sleep(time.Second)
		require.Zero(t, b.running.Load())
	})
}

func none(func([]byte, error) bool) {}

// throwChunks throws chunks of all kinds at a node: of calls that there are and are not, of any transfer and index, and
// acknowledgements of what was never sent.
func (f *field) throwChunks(bad *intruder.Intruder, n *broach.Node) {
	random := rand.New(rand.NewPCG(7, 7))
	pick := func(of ...uint32) uint32 { return of[random.IntN(len(of))] }
	for i := range 20_000 {
		slot := uint16(random.IntN(3 * streamsMost))
		seq := pick(1, 1, 1, 0, 2, 1<<31)
		transfer := pick(uint32(slot)+1, uint32(slot)+1, 0, 1, random.Uint32())
		index := pick(0, 1, 2, uint32(random.IntN(1100)), random.Uint32())
		data := make([]byte, pick(0, 1, 8, uint32(random.IntN(1100))))
		bad.Say(n.Addr(),
			intruder.Chunk(transfer, slot, seq, index, byte(random.IntN(8)), data),
			intruder.FragmentAck(pick(uint32(i%2000), random.Uint32()), pick(0, 1, random.Uint32()), random.Uint32()))
		if i%64 == 63 {
			time.Sleep(time.Millisecond)
		}
	}
}

// A caller whose provider is an intruder gets what that says of its own call, and nothing else: chunks of other calls,
// beyond what is welcome, or after the last, are none.
func TestAProviderThatLiesAboutStreams(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		caller := f.start(0)
		item := []byte{2, 0xc4, 0}
		f.member(0, caller, func(i *intruder.Intruder) {
			i.Table = intruder.Table("lie")
			i.Hear = func(_ *intruder.Link, m intruder.Message) ([]intruder.Message, bool) {
				if m.Kind != intruder.KindRequest || binary.BigEndian.Uint16(m.Body) > streamsMost {
					return nil, false
				}
				slot, seq := binary.BigEndian.Uint16(m.Body), binary.BigEndian.Uint32(m.Body[2:])
				return []intruder.Message{
					intruder.Chunk(9, slot, seq, 900, 0, make([]byte, 800)), // with a hole before it
					intruder.Chunk(9, slot, seq+1, 0, 0, item),
					intruder.Chunk(9, slot+1, seq, 0, 0, item),
					intruder.Chunk(9, slot, seq, 0, intruder.ChunkFromCaller, item),
					intruder.Chunk(9, slot, seq, 1024, 0, item),
					intruder.Chunk(9, slot, seq, 0, 0, item),
					intruder.Chunk(8, slot, seq, 1, 0, item),
					intruder.Chunk(9, slot, seq, 1, intruder.ChunkLast, item),
					intruder.Chunk(9, slot, seq, 2, 0, item),
					intruder.Reply(slot, seq, 0, 2|8, []byte{0}),
				}, true
			}
		})
		require.NoError(t, caller.WaitFor(context.Background(), "lie", 1))
		items := 0
		for v, err := range broach.Stream[[]byte](context.Background(), caller.Caller("lie")) {
			require.NoError(t, err)
			require.Empty(t, v)
			items++
		}
		require.Equal(t, 2, items)
	})
}
