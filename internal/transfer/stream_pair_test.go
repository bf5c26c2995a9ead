package transfer

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"broach/internal/buffer"
	"broach/internal/pace"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// A spring is a Source that has all its bytes from the beginning, or as they are added.
type spring struct {
	bytes []byte
	end   error
}

func (s *spring) Take(dst []byte, most int) ([]byte, bool) {
	n := min(most, len(s.bytes))
	dst = append(dst, s.bytes[:n]...)
	s.bytes = s.bytes[n:]
	return dst, s.end != nil && len(s.bytes) == 0
}

func (s *spring) Want(n int) bool { return s.end != nil || len(s.bytes) >= n }
func (s *spring) Waiting() int    { return len(s.bytes) }
func (s *spring) End() error      { return s.end }

// A basin is a Sink that is read from time to time.
type basin struct{ all, waiting []byte }

func (b *basin) Put(chunk []byte) { b.waiting = append(b.waiting, chunk...) }
func (b *basin) Free() int        { return max(streamRoom-len(b.waiting), 0) }

func (b *basin) read() {
	b.all = append(b.all, b.waiting...)
	b.waiting = nil
}

// A streamPair is the sender and the receiver of one stream with a network between them, in virtual time.
type streamPair struct {
	t   *testing.T
	now time.Time
	rng *rand.Rand
	net conditions

	out    Out
	in     In
	handle *Stream
	from   spring
	to     basin
	r      *Receiving

	number   uint32
	chunks   int
	asks     int
	finished bool
	transit  []streamDatagram
	readEach time.Duration // 0: what comes is read at once
	readAt   time.Time
}

type streamDatagram struct {
	at     time.Time
	number uint32
	chunk  *wire.Chunk
	ack    *wire.FragmentAck
}

func newStreamPair(t *testing.T, net conditions, welcome uint32) *streamPair {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	p := &streamPair{t: t, now: epoch, rng: rand.New(rand.NewPCG(seed, 1)), net: net}
	p.out.Init(p.now, testFragment)
	p.in.Init(testMessage, testMessage, &buffer.Budget{Size: 4 * testMessage})
	p.r = p.in.Receive(0, &p.to)
	p.r.Welcome()
	p.handle = p.out.Open(p.now, &p.from, wire.Chunk{Slot: 5, Seq: 9}, welcome, 7)
	return p
}

// write adds bytes to the stream.
func (p *streamPair) write(b []byte) {
	p.from.bytes = append(p.from.bytes, b...)
	p.out.Wake(p.now, p.handle)
}

func (p *streamPair) end() {
	p.from.end = io.EOF
	p.out.Wake(p.now, p.handle)
}

// run goes on until the sender knows that all has come.
func (p *streamPair) run() {
	p.t.Helper()
	for steps := 0; !p.finished; steps++ {
		require.Less(p.t, steps, 2_000_000, "the stream stands still")
		p.step()
	}
}

func (p *streamPair) step() {
	p.send()
	at := p.out.NextTimeout(p.rto())
	for i := range p.transit {
		at = pace.Earliest(at, p.transit[i].at)
	}
	if p.readEach > 0 {
		at = pace.Earliest(at, p.readAt)
	}
	p.now = pace.Later(p.now, at)
	p.arrive()
	if p.readEach == 0 || !p.now.Before(p.readAt) {
		p.readAt = p.now.Add(p.readEach)
		p.to.read()
		p.r.Settle()
		p.r.IsDue = p.r.IsDue || p.r.HasNews()
	}
	if p.r.IsDue {
		p.r.IsDue = false
		a := p.r.Ack(nil)
		p.transmit(streamDatagram{ack: &a})
	}
	p.out.Timeout(p.now, p.rto())
	for _, c := range p.out.Asks(p.now) {
		p.asks++
		p.number++
		p.transmit(streamDatagram{number: p.number, chunk: &c})
	}
}

func (p *streamPair) rto() time.Duration {
	return max(4*p.net.delay+4*p.net.jitter, 5*time.Millisecond)
}

func (p *streamPair) send() {
	for {
		ready := p.out.Ready(p.now)
		part, ok := p.out.Next(p.now, p.number+1)
		require.Equal(p.t, ready, ok, "ready and next agree")
		if !ok {
			return
		}
		p.number++
		p.chunks++
		c := *part.Chunk
		require.LessOrEqual(p.t, part.Size()+wire.HeaderSize, int(p.out.size)+Overhead, "it fits a datagram")
		c.Data = bytes.Clone(c.Data)
		p.transmit(streamDatagram{number: p.number, chunk: &c})
	}
}

func (p *streamPair) transmit(d streamDatagram) {
	for range 1 + p.chance(p.net.duplicate) {
		d.at = p.now.Add(p.net.delay + time.Duration(p.rng.Float64()*float64(p.net.jitter)))
		if p.chance(p.net.loss) == 0 {
			p.transit = append(p.transit, d)
		}
	}
}

func (p *streamPair) chance(share float64) int {
	if p.rng.Float64() < share {
		return 1
	}
	return 0
}

func (p *streamPair) arrive() {
	var come []streamDatagram
	p.transit = slices.DeleteFunc(p.transit, func(d streamDatagram) bool {
		if d.at.After(p.now) {
			return false
		}
		come = append(come, d)
		return true
	})
	for _, d := range come {
		if d.chunk != nil {
			require.True(p.t, p.r.Chunk(d.number, *d.chunk), "chunk %+v is not welcome", d.chunk.Index)
			continue
		}
		tag, finished, _ := p.out.Ack(p.now, *d.ack)
		if finished {
			require.Equal(p.t, uint64(7), tag)
			p.finished = true
		}
	}
	p.out.Judge()
}

func (p *streamPair) requireAll(want []byte) {
	p.t.Helper()
	p.to.read()
	require.True(p.t, bytes.Equal(want, p.to.all), "%d bytes of %d", len(p.to.all), len(want))
	require.True(p.t, p.r.IsWhole)
	p.r.Close()
	require.Zero(p.t, p.in.Held.Used())
	require.Empty(p.t, p.out.streams)
	require.Empty(p.t, p.out.opened)
}
