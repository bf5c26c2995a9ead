package transfer

import (
	"io"
	"testing"
	"time"

	"broach/internal/buffer"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

var rough = conditions{loss: 0.05, duplicate: 0.02, delay: 100 * time.Microsecond, jitter: 300 * time.Microsecond}

// [STR-3] Chunks are taken in the order of their index, each once.
func TestStreamThroughARoughNetwork(t *testing.T) {
	for _, slow := range []time.Duration{0, 5 * time.Millisecond} {
		p := newStreamPair(t, rough, 256)
		p.readEach = slow
		want := randomBytes(p.rng, 3<<20)
		for rest := want; len(rest) > 0; {
			n := min(len(rest), p.rng.IntN(20_000)+1)
			p.write(rest[:n])
			rest = rest[n:]
			for range p.rng.IntN(5) {
				p.step()
			}
		}
		p.end()
		p.run()
		p.requireAll(want)
	}
}

// [STR-8] A transfer that is begun anew, because its chunks are larger than the packet size allows ..., has bit 4 in
// each chunk. Its receiver passes over the bytes that it has.
func TestStreamGoesOnInSmallerChunks(t *testing.T) {
	p := newStreamPair(t, rough, 256)
	want := randomBytes(p.rng, 4<<20)
	p.write(want)
	p.end()
	first := p.handle.ID()
	for range 8 {
		for range p.rng.IntN(200) {
			p.step()
		}
		p.out.Resize(p.now, []int{400, 1000, testFragment, 20_000}[p.rng.IntN(4)])
	}
	p.out.Resize(p.now, 20_000)
	for range 100 {
		p.step()
	}
	p.out.Resize(p.now, 300)
	p.run()
	require.NotEqual(t, first, p.handle.ID())
	p.requireAll(want)
}

// [STR-8] ... also where the last was sent already, with bytes or without.
func TestTheLastChunkGoesAgain(t *testing.T) {
	for _, n := range []int{1000, testFragment - 1} {
		p := newStreamPair(t, lan, 256)
		want := randomBytes(p.rng, n)
		p.write(want)
		p.send()
		p.end()
		p.send()
		require.Equal(t, 2, p.chunks)
		p.transit = nil // they are lost
		p.out.Resize(p.now, 400)
		p.run()
		p.requireAll(want)
	}
	p := newStreamPair(t, lan, 256)
	want := randomBytes(p.rng, 1000)
	p.from.bytes, p.from.end = want, io.EOF
	p.out.Wake(p.now, p.handle)
	p.send()
	require.Equal(t, 1, p.chunks)
	p.transit = nil
	p.out.Resize(p.now, 400)
	p.run()
	p.requireAll(want)
}

// [STR-8] ... or 2^31 of them were sent
func TestStreamGoesOnAfterSoManyChunks(t *testing.T) {
	p := newStreamPair(t, lan, 256)
	p.handle.t.base, p.handle.t.next, p.handle.t.high = mostChunks-3, mostChunks-3, mostChunks-3
	p.r.base, p.r.high, p.r.Transfer = mostChunks-3, mostChunks-3, p.handle.ID()
	want := randomBytes(p.rng, 1<<20)
	p.write(want)
	p.end()
	first := p.handle.ID()
	p.run()
	require.NotEqual(t, first, p.handle.ID())
	p.requireAll(want)
}

// [STR-3] Of an input nothing is welcome until a FragmentAck says so ... A sender whose next bytes are not welcome ...
// asks after 10 ms. It asks again after 20 ms, and then after twice as long each time, up to 1 s.
func TestStreamAsksWhetherMoreIsWelcome(t *testing.T) {
	p := newStreamPair(t, lan, 0)
	p.write([]byte("abc"))
	p.net.loss = 1
	for p.now.Before(epoch.Add(10 * time.Second)) {
		p.step()
	}
	require.Zero(t, p.chunks, "nothing was welcome")
	require.Greater(t, p.asks, 10)
	require.Less(t, p.asks, 20)
	p.net.loss = 0
	p.end()
	p.run()
	p.requireAll([]byte("abc"))
}

// [STR-7] Who has sent nothing of it for 10 s asks
func TestStreamAsksWhenIdle(t *testing.T) {
	p := newStreamPair(t, lan, 256)
	p.write([]byte("abc"))
	for p.now.Before(epoch.Add(55 * time.Second)) {
		p.step()
	}
	require.Equal(t, 1, p.chunks)
	require.Equal(t, 6, p.asks)
	require.Equal(t, "abc", string(p.to.all))
}

// [STR-3] The room is 256 KiB: a reader who does not read is sent no more, and the sender is quiet.
func TestStreamWaitsForItsReader(t *testing.T) {
	p := newStreamPair(t, lan, 256)
	p.readEach = time.Hour
	p.readAt = epoch.Add(time.Hour)
	want := randomBytes(p.rng, 1<<20)
	p.write(want)
	p.end()
	for p.now.Before(epoch.Add(10 * time.Second)) {
		p.step()
	}
	require.Len(t, p.to.waiting, streamRoom)
	require.Equal(t, int64(streamRoom), p.in.Held.Used())
	require.Less(t, p.asks, 20)
	p.readEach = 0
	p.run()
	p.requireAll(want)
}

// [STR-4] A chunk goes when it is full or the last, when nothing of its transfer is unacknowledged, or when the round
// trip is 2 ms or longer.
func TestSmallItemsArePacked(t *testing.T) {
	for _, c := range []struct {
		delay, each time.Duration
		least, most int
	}{
		{100 * time.Microsecond, time.Microsecond, 1, 40},
		{10 * time.Millisecond, time.Millisecond, 950, 1001},
	} {
		p := newStreamPair(t, conditions{delay: c.delay}, 256)
		p.out.Expect(2 * c.delay)
		for range 1000 {
			p.write(make([]byte, 16))
			p.send()
			p.now = p.now.Add(c.each)
			p.arrive()
			if p.r.IsDue {
				p.r.IsDue = false
				a := p.r.Ack(nil)
				p.transmit(streamDatagram{ack: &a})
			}
			p.to.read()
		}
		p.end()
		p.run()
		require.GreaterOrEqual(t, p.chunks, c.least, c.delay)
		require.LessOrEqual(t, p.chunks, c.most, c.delay)
		p.requireAll(make([]byte, 16_000))
	}
}

// [STR-2] So is one with bytes beyond the limit.
func TestChunksBeyondTheLimit(t *testing.T) {
	var in In
	budget := &buffer.Budget{Size: 4 * testMessage}
	in.Init(testMessage, testMessage, budget)
	var to basin
	r := in.Receive(3, &to)
	require.Equal(t, uint32(256), r.Welcome())
	chunk := func(index uint32, n int) wire.Chunk {
		return wire.Chunk{Transfer: 3, Slot: 5, Seq: 9, Index: index, Data: make([]byte, n)}
	}
	require.False(t, r.Chunk(1, chunk(0, streamRoom+1)))
	require.False(t, r.Chunk(2, chunk(fragmentSpan, 1)), "too far ahead")
	for i := range uint32(100) {
		require.Equal(t, i < 4, r.Chunk(3+i, chunk(1+i, 64<<10)), "of those that wait for the first, too")
	}
	require.Equal(t, int64(4*(64<<10+chunkCost)), in.Held.Used())
	require.False(t, r.Chunk(200, wire.Chunk{Transfer: 4, Data: []byte("a")}), "another transfer that does not go on")
	later := wire.Chunk{Transfer: 4, GoesOn: true, From: 1, Data: []byte("a")}
	require.False(t, r.Chunk(200, later), "with what is not here")
	require.True(t, r.Chunk(201, wire.Chunk{Transfer: 2, Data: make([]byte, 100)}), "of before: dropped")
	require.Empty(t, to.waiting)
	require.True(t, r.Chunk(202, chunk(0, 0)), "a question")
	require.True(t, r.IsDue)
	a := r.Ack(nil)
	require.Equal(t, wire.FragmentAck{Transfer: 3, Base: 0, Limit: 256, Newest: 202, Bitmap: []byte{15}}, a)
	r.Close()
	require.Zero(t, budget.Used())
}

// While memory is short 16 KiB of each stream are welcome, and what finds no room is dropped as if lost; one
// chunk of each stream is taken in any case.
func TestStreamsWhileMemoryIsShort(t *testing.T) {
	var in In
	budget := &buffer.Budget{Size: 1 << 20}
	in.Init(1<<20, 1<<20, budget)
	var to basin
	r := in.Receive(3, &to)
	require.Equal(t, uint32(256), r.Welcome())
	require.True(t, in.Held.Take(500<<10))
	require.Equal(t, uint32(256), r.Welcome(), "what was said stands")
	for i := range uint32(20) {
		require.True(t, r.Chunk(i+1, wire.Chunk{Transfer: 3, Index: i, Data: make([]byte, 10_000)}))
	}
	require.Less(t, len(to.waiting), 40_000, "the others are as good as lost")
	late := in.Receive(4, new(basin))
	require.Equal(t, uint32(16), late.Welcome())
	require.True(t, late.Chunk(30, wire.Chunk{Transfer: 4, Data: make([]byte, 16<<10)}))
	require.Len(t, late.sink.(*basin).waiting, 16<<10, "one is taken in any case")
	require.True(t, r.Chunk(31, wire.Chunk{Transfer: 3, Index: r.base, Data: make([]byte, 10_000)}))
	in.Held.Give(500 << 10)
	to.read()
	r.Settle()
	late.sink.(*basin).read()
	late.Settle()
	require.True(t, late.HasNews())
	r.Close()
	late.Close()
	require.Zero(t, budget.Used())
}

// What waits for its reader takes no memory for each step, beside chunks that are kept to be sent again.
func TestMemoryOfAStreamThatGoesOn(t *testing.T) {
	p := newStreamPair(t, lan, 256)
	item := make([]byte, testFragment-9)
	step := func() {
		p.from.bytes = item
		p.out.Wake(p.now, p.handle)
		part, ok := p.out.Next(p.now, p.number+1)
		if !ok {
			return
		}
		p.number++
		p.r.Chunk(p.number, *part.Chunk)
		p.to.waiting = p.to.waiting[:0]
		p.r.Settle()
		p.out.Ack(p.now, p.r.Ack(nil))
		p.out.Judge()
		p.now = p.now.Add(time.Microsecond)
	}
	for range 100 {
		step()
	}
	require.Less(t, testing.AllocsPerRun(1000, step), 1.0)
}
