package link

import (
	"math/rand/v2"
	"testing"
	"time"

	"broach/internal/pace"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

const testRTO = 10 * time.Millisecond

// testPath is a way to a peer, who answers each probe that arrives after a millisecond.
type testPath struct {
	t      *testing.T
	p      pathSize
	now    time.Time
	mtu    int
	loss   float64 // of probes and of their answers
	silent bool    // nothing comes from the peer
	rng    *rand.Rand
	probes []int // sizes of those sent
}

func newTestPath(t *testing.T, limit, mtu int) *testPath {
	w := &testPath{t: t, mtu: mtu, now: epoch, rng: rand.New(rand.NewPCG(1, 2))}
	w.p.init(w.now, limit)
	return w
}

func (w *testPath) isLost() bool { return w.rng.Float64() < w.loss }

// answer answers a probe, if it passes.
func (w *testPath) answer(id uint32, size int) {
	if size <= w.mtu && !w.silent && !w.isLost() && !w.isLost() {
		w.now = w.now.Add(time.Millisecond)
		w.p.ack(w.now, id)
	}
}

// step does what is due, and reports whether there is more to wait for.
func (w *testPath) step() bool {
	if m, ok := w.p.next(w.now, testRTO); ok {
		size := len(m.Append(make([]byte, wire.HeaderSize)))
		w.probes = append(w.probes, size)
		w.answer(0, 100)
		w.answer(m.ID, size)
	}
	at := w.p.nextTimeout()
	if at.IsZero() {
		return false
	}
	w.now = pace.Later(w.now, at)
	return true
}

// settle steps until nothing is due, and returns how long that took.
func (w *testPath) settle() time.Duration {
	start := w.now
	for steps := 0; w.step(); steps++ {
		require.Less(w.t, steps, 1000, "the search does not end")
		require.LessOrEqual(w.t, w.p.size, w.p.limit)
	}
	return w.now.Sub(start)
}

// [PATH-1] The packet size is 1,200 bytes at first.
// [PATH-3] A search begins when a datagram was filled to the packet size
func TestPathIsNotProbedWithoutAReason(t *testing.T) {
	w := newTestPath(t, 8972, 8972)
	w.p.suspect(w.now)
	require.False(t, w.step())
	require.Empty(t, w.probes)
	require.Equal(t, 1200, w.p.size)

	w.p.filled()
	require.Equal(t, w.now, w.p.nextTimeout())
	w.settle()
	require.Equal(t, []int{8972}, w.probes, "the limit is tried first")
	require.Equal(t, 8972, w.p.size)
	w.p.filled()
	require.False(t, w.step(), "there is nothing above the limit")
}

// [PATH-1] It MUST NOT exceed the sender's packet limit (1,400 bytes unless configured), nor rise to a size of which no
// Probe was answered.
func TestPathOfTheSmallestLimitIsNeverProbed(t *testing.T) {
	w := newTestPath(t, 1200, 8972)
	w.p.filled()
	w.p.sent(1200)
	w.p.suspect(w.now)
	require.False(t, w.step())
	require.Empty(t, w.probes)
}

// [PATH-3] It tries the limit, then the middle between the largest size known to pass and the smallest known not to,
// until these are at most 16 bytes apart.
func TestPathSizeIsFoundWithinAStep(t *testing.T) {
	for _, limit := range []int{1201, 1210, 1216, 1217, 1400, 1472, 8972} {
		for mtu := 1200; mtu <= limit; mtu += 7 {
			w := newTestPath(t, limit, mtu)
			w.p.filled()
			took := w.settle()
			require.LessOrEqual(t, w.p.size, mtu)
			require.Less(t, mtu-w.p.size, searchStep, "limit %d, mtu %d", limit, mtu)
			require.LessOrEqual(t, len(w.probes), 10*probeTries)
			require.Less(t, took, time.Second)
		}
	}
}

// [PATH-3] but not within 10 minutes of the one before
func TestPathIsSearchedAgainAfterTenMinutes(t *testing.T) {
	w := newTestPath(t, 8972, 1300)
	w.p.filled()
	w.settle()
	found := w.now
	w.mtu, w.probes = 8972, nil
	w.p.filled()
	require.Equal(t, found.Add(10*time.Minute), w.p.nextTimeout())
	w.now = found.Add(10*time.Minute - 1)
	w.step()
	require.Empty(t, w.probes)
	w.settle()
	require.Equal(t, []int{8972}, w.probes)
	require.Equal(t, 8972, w.p.size)
}

// [PATH-4] A Probe that is not answered within the retransmission time of [CALL-9], doubled as there, is sent again. It
// counts as lost when the one with id 0 was answered; a size of which 3 Probes were lost is too large.
func TestPathProbesAreCountedOnlyWhileSmallOnesPass(t *testing.T) {
	w := newTestPath(t, 8972, 8972)
	w.silent = true
	w.p.filled()
	start := w.now
	for range 10 {
		w.step()
	}
	require.Equal(t, 8972, w.p.probed, "who is silent has not said that the size is too large")
	require.Greater(t, w.now.Sub(start), 5*maxPace, "nor is he asked ever more")
	require.LessOrEqual(t, w.p.pace, maxPace)
	w.silent = false
	w.settle()
	require.Equal(t, 8972, w.p.size)

	w = newTestPath(t, 8972, 1200)
	w.p.filled()
	start = w.now
	for range probeTries {
		w.step()
		require.Equal(t, 8972, w.p.probed)
	}
	require.Equal(t, 7*testRTO, w.now.Sub(start))
	w.step()
	require.Equal(t, []int{8972, 8972, 8972, (8972 + 1200) / 2}, w.probes)
}

// [PATH-5] When a Request or Reply is repeated [...], and datagrams above 1,200 bytes were sent since the packet size
// was last known to pass, a Probe of that size is sent.
func TestPathIsSuspectedOnlyForLargeDatagrams(t *testing.T) {
	w := newTestPath(t, 8972, 8972)
	w.p.filled()
	w.settle()
	w.probes = nil
	w.p.sent(1200)
	w.p.suspect(w.now)
	w.settle()
	require.Empty(t, w.probes)

	w.p.sent(1201)
	w.p.suspect(w.now)
	w.p.suspect(w.now)
	w.settle()
	w.p.suspect(w.now)
	w.settle()
	require.Equal(t, []int{8972}, w.probes, "its answer ends the suspicion")
	require.Equal(t, 8972, w.p.size)
}

// [PATH-5] A Fragment in a datagram of that size that is acknowledged is as good as its answer.
func TestPathIsNotSuspectedWhileFragmentsArrive(t *testing.T) {
	w := newTestPath(t, 8972, 8972)
	w.p.passed(w.now, 9000)
	require.Equal(t, 1200, w.p.size, "nobody asked")
	w.p.filled()
	w.settle()
	w.mtu, w.probes = 1200, nil // of the probes
	for range 10 {
		w.p.sent(8972)
		w.p.suspect(w.now)
		w.step()
		w.p.passed(w.now, 8971)
		require.Equal(t, 8972, w.p.probed)
		w.p.passed(w.now, 8972)
		require.Zero(t, w.p.probed)
	}
	require.Equal(t, 8972, w.p.size)
}

// [PATH-5] When it is too large by now, the packet size is 1,200 bytes at once, and a search below the size that was
// lost begins.
func TestPathThatShrinksFallsBack(t *testing.T) {
	w := newTestPath(t, 8972, 8972)
	w.p.filled()
	w.settle()
	w.mtu, w.probes = 1250, nil
	w.p.sent(8972)
	w.p.suspect(w.now)
	start := w.now
	for range probeTries {
		w.step()
		require.Equal(t, 8972, w.p.size)
	}
	require.Equal(t, 7*testRTO, w.now.Sub(start))
	w.step()
	require.Equal(t, BasePacket, w.p.size)
	w.p.sent(8972) // it had waited in the outbox
	w.p.suspect(w.now)
	w.settle()
	require.Less(t, 1250-w.p.size, searchStep)
	require.Equal(t, []int{8972, 8972, 8972, (8972 + 1200) / 2}, w.probes[:4])
}

// A path that shrinks while a larger size is searched is found out before the search goes on.
func TestPathMayShrinkDuringASearch(t *testing.T) {
	w := newTestPath(t, 8972, 2000)
	w.p.filled()
	for w.p.size < 1600 {
		w.step()
	}
	require.True(t, w.p.searching)
	before := w.p.size
	w.mtu, w.probes = 1300, nil
	w.p.sent(before)
	w.p.suspect(w.now)
	for w.p.size == before {
		w.step()
	}
	require.Equal(t, []int{before, before, before}, w.probes[:3])
	w.settle()
	require.LessOrEqual(t, w.p.size, 1300)
	require.Less(t, 1300-w.p.size, searchStep)
}

// Loss is mistaken for a size that does not pass only when three probes or their answers are lost, and none of the
// small ones.
func TestPathThroughLoss(t *testing.T) {
	const suspicions = 10_000
	for _, test := range []struct {
		loss  float64
		falls int // at most
	}{{0, 0}, {0.05, 20}, {0.20, 250}} {
		w := newTestPath(t, 1400, 1400)
		w.p.init(w.now, 1400)
		w.p.size, w.loss = 1400, test.loss
		falls := 0
		for range suspicions {
			w.p.sent(1400)
			w.p.suspect(w.now)
			for w.p.probed == w.p.size {
				w.step()
			}
			if w.p.size == BasePacket {
				falls++
				w.settle()
				w.p.size = 1400
			}
		}
		t.Logf("loss %v: %d of %d suspicions were false alarms", test.loss, falls, suspicions)
		require.LessOrEqual(t, falls, test.falls)
		require.True(t, test.loss == 0 || falls > 0, "no alarm at all: nothing was tested")
	}
}

// A peer that cannot be reached is left alone.
func TestPathOfALostPeer(t *testing.T) {
	w := newTestPath(t, 8972, 8972)
	w.silent = true
	w.p.filled()
	w.step()
	w.p.stop()
	require.False(t, w.step())
	w.silent = false
	w.p.filled()
	w.settle()
	require.Equal(t, 8972, w.p.size, "it came back, and is searched at once")
}

// An answer to an earlier probe says nothing about the present one.
func TestPathIgnoresOtherAnswers(t *testing.T) {
	w := newTestPath(t, 8972, 1200)
	w.p.id = 1<<32 - 2
	w.p.ack(w.now, 1)
	w.p.filled()
	w.step()
	require.Equal(t, uint32(1<<32-1), w.p.id)
	for _, id := range []uint32{0, 1, 1<<32 - 2} {
		w.p.ack(w.now, id)
	}
	require.Equal(t, BasePacket, w.p.size)
	for w.p.probed == 8972 {
		w.step()
	}
	require.EqualValues(t, 1, w.p.id, "0 is not used")
	w.p.ack(w.now, 1<<32-1)
	require.Equal(t, BasePacket, w.p.size)
}
