package link

import (
	"bytes"
	"cmp"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/stream"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [STR-1] one beyond the limit of section 7 Overloaded, executed no: 1,024 streams of a link
func TestSoManyStreams(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.streaming["feed"] = func(ctx context.Context, _ *stream.Pair) wire.Code { <-ctx.Done(); return wire.Canceled }
		for range streamsMost {
			a.stream("feed", false, true)
		}
		c := &aCall{Call: a.wires.NewCall()}
		c.Streams = &stream.Pair{Out: new(stream.Pipe)}
		_, _, err := a.link.Send(time.Now(), time.Now().Add(time.Hour), frameOf("feed", nil), c.Call)
		require.Equal(t, errStreams, err)
		converse(a, b, 10*time.Millisecond, nil)
		m := wire.Request{Slot: 2000, Seq: 1, Service: []byte("feed"),
			Meta: wire.Streams{HasOut: true}.AppendPairs(nil)}
		b.hear(a.utter(m.Append(nil)))
		replies := messages(b.tape.take(), wire.KindReply)
		require.Len(t, replies, 1)
		reply, err := wire.ConsumeReply(replies[0])
		require.NoError(t, err)
		require.Equal(t, wire.Overloaded, reply.Code)
		require.Equal(t, wire.ExecutedNo, reply.Executed)
		b.link.Close(Outcome{Code: wire.Unreachable})
		a.link.Close(Outcome{Code: wire.Unreachable})
		synctest.Wait()
	})
}

// [STR-1] metadata of the protocol's own; in a Send they mean nothing
func TestStreamsOfASend(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		m := wire.Send{Slot: 5, Seq: 1, Service: []byte("feed"), Meta: wire.Streams{HasOut: true}.AppendPairs(nil)}
		b.hear(a.utter(m.Append(nil)))
		require.Len(t, b.early, 1)
		require.Nil(t, b.early[0].Streams)
		b.hear(a.utter(wire.Request{Slot: 6, Seq: 1, Service: []byte("feed"),
			Meta: wire.AppendPair(nil, "\x00in", []byte("no transfer"))}.Append(nil)))
		require.Equal(t, 1, b.malformed)
	})
}

// [STR-2] One of a newer call than the slot's last MUST be ignored: its Request is to come. One of an older call, of
// one that is over, or of one that does not stream that way, is dropped and answered with Stop, Canceled.
func TestChunksOfOtherCalls(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.streaming["feed"] = func(ctx context.Context, _ *stream.Pair) wire.Code { <-ctx.Done(); return wire.Canceled }
		b.streaming["over"] = func(context.Context, *stream.Pair) wire.Code { return 0 }
		feed, over := a.stream("feed", true, false), a.stream("over", true, true)
		converse(a, b, 10*time.Millisecond, nil)
		id := b.link.exchange.flowOf(false, feed.slot, feed.seq).receiving.Transfer
		for name, c := range map[string]struct {
			chunk wire.Chunk
			stops int
		}{
			"its own": {wire.Chunk{Transfer: id, Slot: feed.slot, Seq: feed.seq, FromCaller: true}, 0},
			"beyond the limit": {wire.Chunk{Transfer: id, Slot: feed.slot, Seq: feed.seq, FromCaller: true,
				Index: 1025}, 1},
			"of a newer call":     {wire.Chunk{Transfer: 70, Slot: feed.slot, Seq: feed.seq + 1, FromCaller: true}, 0},
			"of a slot not known": {wire.Chunk{Transfer: 70, Slot: 60_000, Seq: 7, FromCaller: true}, 0},
			"of an older call":    {wire.Chunk{Transfer: 70, Slot: feed.slot, Seq: feed.seq - 1, FromCaller: true}, 1},
			"of one that is over": {wire.Chunk{Transfer: 70, Slot: over.slot, Seq: over.seq, FromCaller: true}, 1},
			"of results":          {wire.Chunk{Transfer: 70, Slot: feed.slot, Seq: feed.seq}, 1},
			"of another transfer": {wire.Chunk{Transfer: id + 70, Slot: feed.slot, Seq: feed.seq, FromCaller: true}, 1},
			"of one before":       {wire.Chunk{Transfer: id - 1, Slot: feed.slot, Seq: feed.seq, FromCaller: true}, 0},
		} {
			c.chunk.Data = []byte("data")
			b.hear(a.utter(c.chunk.Append(nil)))
			stops := messages(b.tape.take(), wire.KindStop)
			require.Len(t, stops, c.stops, name)
			for _, s := range stops {
				m, err := wire.ConsumeStop(s)
				require.NoError(t, err)
				require.Equal(t, wire.Stop{Transfer: c.chunk.Transfer, ByReceiver: true, Code: wire.Canceled}, m, name)
			}
		}
		require.Empty(t, b.link.exchange.served.pages, "a chunk makes no slot")
		require.True(t, a.link.Abandon(feed.slot, feed.seq))
		deliver(a, b)
	})
}

// [STR-8] Chunks obey ... [PATH-6] as fragments do
func TestStreamsGoOnWhenThePacketSizeFalls(t *testing.T) {
	onEnds(t, bounds{maxPacket: 9000}, func(t *testing.T, a, b *end) {
		want := bytes.Repeat([]byte("0123456789"), 200_000)
		b.streaming["rows"] = func(_ context.Context, s *stream.Pair) wire.Code {
			return codeIf(s.Out.Write(want, nil) != nil)
		}
		c := a.stream("rows", false, true)
		got, _ := collect(c.Streams.Out)
		largest, most := 0, 9000
		pass := func() {
			for i, from := range []*end{a, b} {
				to := []*end{b, a}[i]
				var heard [][]byte
				for _, d := range from.tape.take() {
					if largest = max(largest, len(d)); len(d) <= most {
						heard = append(heard, d)
					}
				}
				to.hear(heard...)
			}
			a.step(200 * time.Microsecond)
			b.wires.Timers.Run(time.Now())
			synctest.Wait()
		}
		for len(*got) < len(want)/2 {
			pass()
		}
		require.GreaterOrEqual(t, largest, 8972)
		most = 1200
		for until := time.Now().Add(10 * time.Second); time.Now().Before(until); {
			if pass(); c.over() && len(b.link.exchange.streams.served) == 0 {
				break
			}
		}
		require.True(t, bytes.Equal(want, *got), "%d bytes of %d", len(*got), len(want))
		c.require(t, 0, wire.ExecutedYes)
		requireNoStreams(t, a, b)
	})
}

// [STR-7] A stream without chunks is kept as long as its call runs ... so learns of a call that is over.
func TestStreamLearnsOfACancelThatWasLost(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		ended := false
		b.streaming["feed"] = func(ctx context.Context, s *stream.Pair) wire.Code {
			_ = s.Out.Write([]byte("one"), nil)
			<-ctx.Done()
			ended = true
			return wire.Canceled
		}
		c := a.stream("feed", false, true)
		converse(a, b, 30*time.Second, nil)
		require.False(t, ended)
		require.False(t, c.over())
		require.True(t, a.link.Abandon(c.slot, c.seq))
		require.NotEmpty(t, messages(a.tape.take(), wire.KindCancel), "it is lost")
		converse(a, b, 11*time.Second, nil)
		require.True(t, ended)
		requireNoStreams(t, a, b)
	})
}

// Calls beside a stream cost no more for it: what they take is cut down to nothing but streams.
func TestPlainCallsKnowNothingOfStreams(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.offer("add", func(x, y int) int { return x + y })
		c := a.call(time.Second, "add", 1, 2)
		deliver(a, b)
		c.require(t, 0, wire.ExecutedYes)
		require.Nil(t, cmp.Or(a.link.exchange.streams, b.link.exchange.streams))
	})
}

// What half-received messages may have bounds large items of streams, too: of one peer two of the largest.
func TestLargeItemsOfManyStreams(t *testing.T) {
	onEnds(t, bounds{maxMessage: 1 << 20}, func(t *testing.T, a, b *end) {
		refused := make(chan error, 4)
		b.streaming["upload"] = func(ctx context.Context, s *stream.Pair) wire.Code {
			items := stream.Items{Pipe: s.In, Most: 1 << 20}
			_, err := items.Next(ctx.Done())
			refused <- err
			return codeIf(err != nil)
		}
		begun := stream.Framed(make([]byte, stream.ItemHead+(700<<10)))[:400<<10]
		var calls []*aCall
		for range 4 {
			c := a.stream("upload", true, false)
			calls = append(calls, c)
			go func() { _ = c.Streams.In.Write(begun, nil) }()
			converse(a, b, 100*time.Millisecond, nil)
		}
		require.Len(t, refused, 2)
		require.Equal(t, stream.ErrRoom, <-refused)
		require.Equal(t, stream.ErrRoom, <-refused)
		require.Greater(t, b.link.exchange.receiving.Held.Used(), int64(1400<<10-1))
		require.Less(t, b.link.exchange.receiving.Held.Used(), int64(2<<20))
		for _, c := range calls[:2] {
			require.True(t, a.link.Abandon(c.slot, c.seq))
			c.Streams.In.Stop(nil)
		}
		converse(a, b, 100*time.Millisecond, nil)
		requireNoStreams(t, a, b)
	})
}
