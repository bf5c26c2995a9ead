package transfer

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"broach/internal/buffer"
	"broach/internal/pace"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	testFragment = 1359 // fragmentSize(1400)
	testMessage  = 64 << 20
)

// conditions is how the simulated network between a pair treats each datagram.
type conditions struct {
	loss      float64       // share that is lost, each way
	duplicate float64       // share that arrives twice
	delay     time.Duration // one way
	jitter    time.Duration // added to delay, up to: more than a gap between datagrams changes their order
	gap       time.Duration // between two fragments on the way to the receiver: 0 is no limit of speed
	queue     int           // fragments that wait for the gap at most
	burst     int           // fragments that pass at once after a pause
}

var (
	lan     = conditions{delay: 100 * time.Microsecond}
	gigabit = conditions{delay: 200 * time.Microsecond, gap: 12 * time.Microsecond, queue: 100}
)

// A fragmentPair is a sender and a receiver with a network between them, in virtual time.
type fragmentPair struct {
	t    *testing.T
	now  time.Time
	rng  *rand.Rand
	net  conditions
	busy time.Time // until then the way to the receiver is taken
	wire inTransit

	out Out
	in  In

	trip         trip
	finished     []uint64          // tags given back by ack
	bodies       map[uint32][]byte // delivered
	keep         bool              // messages stay reserved after delivery
	refused      []uint32
	sent, needed int // fragments
	steps        int
	halvings     int
	scratch      []byte
}

func newFragmentPair(t *testing.T, seed uint64, net conditions) *fragmentPair {
	t.Logf("seed %d", seed)
	p := &fragmentPair{t: t, now: epoch, rng: rand.New(rand.NewPCG(seed, 1)), net: net, bodies: map[uint32][]byte{}}
	p.out.Init(p.now, testFragment)
	p.in.Init(testMessage, testMessage, &buffer.Budget{Size: 4 * testMessage})
	return p
}

// start sends a message of n random bytes, whose tag is its length.
func (p *fragmentPair) start(n int) (id uint32, body []byte) {
	body = randomBytes(p.rng, n)
	p.needed += (n + testFragment - 1) / testFragment
	head := 1 + p.rng.IntN(n) // the rest lies apart
	return p.out.Start(Body{body[:head:head], slices.Clone(body[head:])}, uint64(n)), body
}

// run goes on until the sender has nothing unfinished.
func (p *fragmentPair) run() {
	p.t.Helper()
	p.runUntil(func() bool { return len(p.out.active) == 0 })
}

func (p *fragmentPair) runUntil(done func() bool) {
	p.t.Helper()
	for still := 0; !done(); still++ {
		require.Less(p.t, p.now.Sub(epoch), 10*time.Minute, "virtual time: the transfers stand still")
		require.Less(p.t, still, 100, "steps at one time: nextTimeout lies in the past")
		before := p.now
		if p.step(); p.now.After(before) {
			still = 0
		}
	}
}

func (p *fragmentPair) runFor(d time.Duration) {
	p.t.Helper()
	end := p.now.Add(d)
	p.runUntil(func() bool {
		p.sendFragments()
		return !p.nextEvent().Before(end)
	})
	p.now = end
}

// step sends what may be sent, goes to the time of the next event, and lets both sides take what has arrived by then.
func (p *fragmentPair) step() {
	p.sendFragments()
	if at := p.nextEvent(); at.After(p.now) {
		p.now = at
	}
	p.deliver()
	p.out.Timeout(p.now, p.rto())
	p.in.Expire(p.now)
	if p.steps++; p.steps%64 == 0 {
		checkSender(p.t, &p.out)
		checkReceiver(p.t, &p.in, p.kept())
	}
}

func (p *fragmentPair) sendFragments() {
	for {
		ready := p.out.Ready(p.now)
		f, ok := p.out.Next(p.now, uint32(p.sent+1))
		require.Equal(p.t, ready, ok, "ready and next agree")
		if !ok {
			return
		}
		p.sent++
		at := p.now
		if p.net.gap > 0 {
			p.busy = pace.Later(p.busy, p.now.Add(-time.Duration(p.net.burst)*p.net.gap)).Add(p.net.gap)
			if p.busy.Sub(p.now) > time.Duration(p.net.queue)*p.net.gap {
				p.busy = p.busy.Add(-p.net.gap)
				continue
			}
			at = pace.Later(p.busy, p.now)
		}
		p.transmit(at, numberedFragment{uint32(p.sent), f.Fragment})
	}
}

func (p *fragmentPair) transmit(at time.Time, m any) {
	copies := 1
	if p.rng.Float64() < p.net.duplicate {
		copies = 2
	}
	for range copies {
		if p.rng.Float64() < p.net.loss {
			continue
		}
		d := p.net.delay
		if p.net.jitter > 0 {
			d += time.Duration(p.rng.Int64N(int64(p.net.jitter)))
		}
		// A reader finds what came within 20 us as one batch.
		p.wire.add(at.Add(d).Truncate(20*time.Microsecond).Add(20*time.Microsecond), m)
	}
}

// nextEvent returns when something happens next: a far time when nothing ever does.
func (p *fragmentPair) nextEvent() time.Time {
	next := epoch.Add(time.Hour)
	if len(p.wire.queue) > 0 {
		next = p.wire.queue[0].at
	}
	for _, at := range []time.Time{p.out.NextTimeout(p.rto()), p.in.NextTimeout()} {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	return next
}

func (p *fragmentPair) deliver() {
	for len(p.wire.queue) > 0 && !p.wire.queue[0].at.After(p.now) {
		switch m := heap.Pop(&p.wire).(inFlightMessage).m.(type) {
		case numberedFragment:
			p.receive(m.number, m.Fragment)
		case wire.FragmentAck:
			p.ack(m)
		}
	}
	for a, ok := p.in.NextAck(); ok; a, ok = p.in.NextAck() {
		a.Bitmap = bytes.Clone(a.Bitmap)
		p.transmit(p.now, a)
	}
}

// receive hands a fragment over in a buffer that is overwritten afterwards, as the reader's is.
func (p *fragmentPair) receive(number uint32, f wire.Fragment) {
	p.scratch = append(append(p.scratch[:0], f.Data...), f.Rest...)
	f.Data, f.Rest = p.scratch, nil
	body, code := p.in.Fragment(p.now, number, f)
	clear(p.scratch)
	if code != 0 {
		p.refused = append(p.refused, f.Transfer)
		p.out.Stop(f.Transfer)
	}
	if body == nil {
		return
	}
	require.NotContains(p.t, p.bodies, f.Transfer, "delivered once")
	p.bodies[f.Transfer] = body
	if !p.keep {
		p.in.Release(len(body))
	}
}

func (p *fragmentPair) ack(a wire.FragmentAck) {
	before := p.out.flight.window.size
	tag, finished, rtt := p.out.Ack(p.now, a)
	p.out.Judge()
	if p.out.flight.window.size < before {
		p.halvings++
	}
	if finished {
		p.finished = append(p.finished, tag)
	}
	if rtt > 0 {
		p.trip.sample(rtt)
	}
}

func (p *fragmentPair) rto() time.Duration { return p.trip.timeout() }

// A trip estimates the round trip, as RFC 6298 section 2 does.
type trip struct{ smoothed, variation time.Duration }

func (r *trip) sample(d time.Duration) {
	if r.smoothed == 0 {
		r.smoothed, r.variation = d, d/2
		return
	}
	r.variation += ((r.smoothed - d).Abs() - r.variation) / 4
	r.smoothed += (d - r.smoothed) / 8
}

func (r *trip) timeout() time.Duration {
	if r.smoothed == 0 {
		return 50 * time.Millisecond
	}
	return min(max(r.smoothed+4*max(r.variation, time.Millisecond), 2*time.Millisecond), time.Second)
}

// kept returns the bytes that stay reserved for delivered messages.
func (p *fragmentPair) kept() (n int64) {
	for _, b := range p.bodies {
		if p.keep {
			n += int64(len(b))
		}
	}
	return n
}

func (p *fragmentPair) overhead() float64 { return float64(p.sent) / float64(p.needed) }

// A numberedFragment is a datagram.
type numberedFragment struct {
	number uint32
	wire.Fragment
}

// inTransit is what is on its way, by time and then in order of sending.
type inTransit struct {
	queue []inFlightMessage
	n     int
}

type inFlightMessage struct {
	at time.Time
	n  int
	m  any
}

func (q *inTransit) add(at time.Time, m any) {
	q.n++
	heap.Push(q, inFlightMessage{at, q.n, m})
}

func (q *inTransit) Len() int      { return len(q.queue) }
func (q *inTransit) Swap(i, j int) { q.queue[i], q.queue[j] = q.queue[j], q.queue[i] }
func (q *inTransit) Push(x any)    { q.queue = append(q.queue, x.(inFlightMessage)) }
func (q *inTransit) Less(i, j int) bool {
	a, b := q.queue[i], q.queue[j]
	return a.at.Before(b.at) || a.at.Equal(b.at) && a.n < b.n
}

func (q *inTransit) Pop() any {
	last := q.queue[len(q.queue)-1]
	q.queue = q.queue[:len(q.queue)-1]
	return last
}

// checkSender recomputes what Out keeps account of.
func checkSender(t *testing.T, o *Out) {
	t.Helper()
	count, bytes := 0, 0
	for _, out := range o.active {
		if out.base > out.next || out.next > out.high || out.high > out.count || out.next-out.base > fragmentSpan {
			require.Fail(t, "out of bounds", "base %d, next %d, high %d, count %d", out.base, out.next, out.high,
				out.count)
		}
		for i := out.base; i < out.next; i++ {
			if out.order(i).inFlight() {
				count++
				bytes += out.length(i)
			}
		}
	}
	require.Equal(t, count, o.flight.count, "fragments in flight")
	require.LessOrEqual(t, len(o.active), maxTransfers)
	require.Equal(t, bytes, o.flight.bytes, "bytes in flight")
	require.LessOrEqual(t, o.flight.window.size, maxWindowFar)
}

// checkReceiver recomputes what In keeps account of, but for the bytes kept by messages that were not released.
func checkReceiver(t *testing.T, in *In, kept int64) {
	t.Helper()
	reserved := kept
	for _, i := range in.transfers {
		reserved += int64(i.total)
		if setAside(i) > 2*hasArrived(i) {
			require.Fail(t, "memory set aside", "%d bytes, %d arrived", setAside(i), hasArrived(i))
		}
	}
	require.Equal(t, reserved, in.Held.Used(), "bytes reserved")
	require.LessOrEqual(t, in.Held.Used(), in.Held.Most)
	require.LessOrEqual(t, len(in.transfers), maxTransfers)
}

func setAside(t *incoming) int64 {
	n := int64(cap(t.body))
	for _, a := range t.apart {
		n += int64(len(a.data))
	}
	return n
}

func hasArrived(t *incoming) int64 {
	n := t.placed
	for _, a := range t.apart {
		n += int64(len(a.data))
	}
	return n
}

func randomBytes(rng *rand.Rand, n int) []byte {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], rng.Uint64())
	b := make([]byte, n)
	rand.NewChaCha8(seed).Read(b)
	return b
}
