package transfer

import (
	"fmt"
	"testing"
	"time"

	"broach/internal/buffer"

	"github.com/stretchr/testify/require"
)

func TestFragmentSize(t *testing.T) {
	require.Equal(t, testFragment, FragmentSize(1400))
	require.Equal(t, maxFragment, FragmentSize(1<<20), "a message's length has 16 bits")
}

// [FRAG-8] A finished transfer [...] MUST NOT be delivered again.
func TestFragmentDelivery(t *testing.T) {
	sizes := []int{1, 255, 256, 1342, 1343, 1344, 2 * 1343, 10_000, 64 << 10, 1 << 20, 3<<20 + 7}
	for _, c := range []struct {
		loss     float64
		overhead float64 // fragments sent over fragments needed, at most, for the largest
	}{
		{0, 1}, {0.01, 1.03}, {0.05, 1.1}, {0.20, 1.35},
	} {
		for i, size := range sizes {
			t.Run(fmt.Sprintf("loss=%v/size=%d", c.loss, size), func(t *testing.T) {
				net := lan
				net.loss = c.loss
				p := newFragmentPair(t, uint64(i)+1, net)
				id, body := p.start(size)
				p.run()
				require.Equal(t, []uint64{uint64(size)}, p.finished, "the tag comes back once")
				require.True(t, string(body) == string(p.bodies[id]), "the bytes arrive as they were")
				t.Logf("%.3f fragments sent per fragment needed, in %v", p.overhead(), p.now.Sub(epoch))
				if size == sizes[len(sizes)-1] {
					require.LessOrEqual(t, p.overhead(), c.overhead)
				}
			})
		}
	}
}

// [FRAG-8] A finished transfer is remembered: its fragments are answered with the final FragmentAck
func TestFragmentDeliveryDisordered(t *testing.T) {
	for seed := range uint64(5) {
		net := conditions{loss: 0.02, duplicate: 0.05, delay: 100 * time.Microsecond, jitter: 300 * time.Microsecond}
		p := newFragmentPair(t, seed, net)
		want := map[uint32][]byte{}
		for _, size := range []int{300_000, 1, 5000, 40_000, 1343, 700} {
			id, body := p.start(size)
			want[id] = body
		}
		p.run()
		require.Len(t, p.finished, len(want))
		for id, body := range want {
			require.True(t, string(body) == string(p.bodies[id]), "transfer %d", id)
		}
		require.Zero(t, p.in.Held.Used())
		t.Logf("%.3f fragments sent per fragment needed", p.overhead())
	}
}

func TestFragmentDeliveryLargest(t *testing.T) {
	net := lan
	net.loss = 0.01
	p := newFragmentPair(t, 1, net)
	id, body := p.start(testMessage)
	p.run()
	require.True(t, string(body) == string(p.bodies[id]))
	t.Logf("%.3f fragments sent per fragment needed, in %v", p.overhead(), p.now.Sub(epoch))
}

// A network that is slower than the sender, with a queue that overflows, is filled and little is sent in vain.
func TestFragmentBottleneck(t *testing.T) {
	p := newFragmentPair(t, 1, gigabit)
	p.start(16 << 20)
	p.run()
	took := p.now.Sub(epoch)
	best := time.Duration(p.needed) * gigabit.gap
	t.Logf("%.3f fragments sent per fragment needed, %v, at best %v, window halved %d times", p.overhead(), took, best,
		p.halvings)
	require.Less(t, p.overhead(), 1.06)
	require.Less(t, took, best*12/10)
}

func TestFragmentTransfersShareTheLink(t *testing.T) {
	p := newFragmentPair(t, 1, conditions{delay: 100 * time.Microsecond, gap: 5 * time.Microsecond, queue: 2000})
	for range 4 {
		p.start(1 << 20)
	}
	p.runUntil(func() bool { return len(p.finished) > 0 })
	first := p.now.Sub(epoch)
	p.run()
	last := p.now.Sub(epoch)
	require.Less(t, last-first, last/20, "equal messages end together: the first after %v, the last after %v", first,
		last)

	p.start(8 << 20)
	p.runFor(5 * time.Millisecond)
	began := p.now
	id, _ := p.start(20_000)
	p.runUntil(func() bool { return p.bodies[id] != nil })
	require.Less(t, p.now.Sub(began), 8*time.Millisecond, "a small message does not wait for a large one")
	p.run()
}

// Messages that together exceed the budget arrive one after the other, whatever is lost: none waits for another
// half-received one.
func TestFragmentBackpressure(t *testing.T) {
	for _, loss := range []float64{0, 0.05, 0.20} {
		net := lan
		net.loss = loss
		p := newFragmentPair(t, 7, net)
		p.in.Init(1<<20, 1<<20, &buffer.Budget{Size: 3 << 20})
		want := map[uint32][]byte{}
		for _, size := range []int{700_000, 600_000, 500_000, 1 << 20, 20_000, 900_000, 1, 1 << 20} {
			id, body := p.start(size)
			want[id] = body
		}
		p.run()
		require.Len(t, p.bodies, len(want))
		for id, body := range want {
			require.True(t, string(body) == string(p.bodies[id]), "transfer %d", id)
		}
		t.Logf("loss %v: %.3f fragments sent per fragment needed, in %v", loss, p.overhead(), p.now.Sub(epoch))
	}
}

// While delivered messages are not released, the sender asks now and then. It goes on soon after.
func TestFragmentBackpressureEnds(t *testing.T) {
	p := newFragmentPair(t, 1, lan)
	p.in.Init(1<<20, 1<<20, &buffer.Budget{Size: 2 << 20})
	p.keep = true
	first, _ := p.start(1 << 20)
	second, _ := p.start(1 << 20)
	p.runUntil(func() bool { return p.bodies[first] != nil })
	p.runFor(time.Second)
	p.sent = 0
	p.runFor(10 * time.Second)
	require.Nil(t, p.bodies[second])
	require.InDelta(t, 50, p.sent, 2, "a fragment each 200 ms")

	p.in.Release(1 << 20)
	released := p.now
	p.keep = false
	p.runUntil(func() bool { return p.bodies[second] != nil })
	require.Less(t, p.now.Sub(released), slowestRetry+20*time.Millisecond)
	p.run()
}

func TestFragmentManyTransfers(t *testing.T) {
	net := lan
	net.loss = 0.05
	p := newFragmentPair(t, 3, net)
	p.out.lastID = 1<<32 - 100
	want := map[uint32][]byte{}
	for range 1000 {
		id, body := p.start(1 + p.rng.IntN(20_000))
		want[id] = body
	}
	p.run()
	require.Len(t, p.bodies, 1000)
	for id, body := range want {
		require.True(t, string(body) == string(p.bodies[id]), "transfer %d", id)
	}
}

// A transfer that is given up ends on both sides, and what it held is free.
func TestFragmentStop(t *testing.T) {
	p := newFragmentPair(t, 1, gigabit)
	stopped, _ := p.start(10 << 20)
	other, _ := p.start(1 << 20)
	p.runFor(5 * time.Millisecond)
	require.Equal(t, int64(11<<20), p.in.Held.Used())
	_, ok := p.out.Stop(stopped)
	require.True(t, ok)
	p.in.Stop(stopped)
	require.Equal(t, int64(1<<20), p.in.Held.Used())
	p.run()
	require.Contains(t, p.bodies, other)
	require.NotContains(t, p.bodies, stopped)
	require.Zero(t, p.in.Held.Used())
	require.Empty(t, p.wire.queue)
}

// [FRAG-3] A total above the receiver's message limit is refused with Stop, TooLarge
func TestFragmentTooLarge(t *testing.T) {
	p := newFragmentPair(t, 1, gigabit)
	p.in.Init(1<<20, 1<<20, &buffer.Budget{Size: 2 << 20})
	large, _ := p.start(1<<20 + 1)
	small, _ := p.start(1 << 20)
	p.run()
	require.Contains(t, p.refused, large)
	require.NotContains(t, p.refused, small)
	require.Contains(t, p.bodies, small)
}

// [FRAG-9] An unfinished transfer that got no new fragment for 10 s is dropped.
func TestFragmentSenderStoppedForTooLong(t *testing.T) {
	p := newFragmentPair(t, 1, gigabit)
	id, _ := p.start(4 << 20)
	p.runFor(5 * time.Millisecond)
	p.net.loss = 1 // cut
	p.runFor(11 * time.Second)
	require.Zero(t, p.in.Held.Used())
	p.net.loss = 0
	p.run()
	require.Contains(t, p.refused, id, "the sender learns it")
	require.Empty(t, p.bodies)
}

// A short cut of the network costs a transfer no more than the cut and a retry.
func TestFragmentNetworkCut(t *testing.T) {
	p := newFragmentPair(t, 1, gigabit)
	id, _ := p.start(4 << 20)
	p.runFor(5 * time.Millisecond)
	p.net.loss = 1 // cut
	p.runFor(5 * time.Second)
	p.net.loss = 0
	healed := p.now
	p.run()
	require.Contains(t, p.bodies, id)
	require.Less(t, p.now.Sub(healed), slowestRetry+200*time.Millisecond)
}
