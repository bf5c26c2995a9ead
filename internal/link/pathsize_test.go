package link

import (
	"math/rand/v2"
	"net/netip"
	"slices"
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

	refuses bool // our own system knows the mtu
	rng     *rand.Rand
	probes  []int // sizes of those sent
}

func newTestPath(t *testing.T, limit, mtu int) *testPath {
	w := &testPath{t: t, mtu: mtu, now: epoch, rng: rand.New(rand.NewPCG(1, 2))}
	w.p.init(w.now, netip.AddrFrom4([4]byte{10, 0, 0, 1}), limit, 0)
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
		if w.refuses && size > w.mtu {
			w.p.refused(w.now, size)
			return true
		}
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
// [PATH-3] A search begins when 8 KiB came that did not fit their datagrams
func TestPathIsNotProbedWithoutAReason(t *testing.T) {
	w := newTestPath(t, 8972, 8972)
	w.p.suspect(w.now)
	require.False(t, w.step())
	require.Empty(t, w.probes)
	require.Equal(t, 1200, w.p.size)

	w.p.filled(searchFrom - 1)
	require.False(t, w.step(), "an answer of a few KiB is not worth a search")
	w.p.filled(1)
	require.Equal(t, w.now, w.p.nextTimeout())
	w.settle()
	require.Equal(t, []int{1400, 1472, 8972}, w.probes)
	require.Equal(t, 8972, w.p.size)
	w.p.filled(searchFrom)
	require.False(t, w.step(), "there is nothing above the limit")
}

// [PATH-1] It MUST NOT exceed the sender's packet limit (21,829 bytes unless configured, the tag of 1.4 among them),
// nor rise to a size of which no Probe was answered.
func TestPathOfTheSmallestLimitIsNeverProbed(t *testing.T) {
	w := newTestPath(t, 1200, 8972)
	w.p.filled(searchFrom)
	w.p.sent(1200)
	w.p.suspect(w.now)
	require.False(t, w.step())
	require.Empty(t, w.probes)
}

// [PATH-3] It goes up from the packet size by 1,400, 1,472, 8,972 and 21,829 bytes, or over IPv6 1,400, 1,452, 8,952
// and 21,829, the tag among them, no farther than the limit, and ends at the first that is too large.
func TestPathSizeIsFoundStepByStep(t *testing.T) {
	four, six := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
	for _, test := range []struct {
		name            string
		peer            netip.Addr
		limit, tag, mtu int // sizes without the tag, but for mtu
		found           int
		tried           []int
	}{
		{"a small tunnel", four, 21829, 0, 1399, 1200, []int{1400}},
		{"a tunnel", four, 21829, 0, 1400, 1400, []int{1400, 1472}},
		{"an Ethernet", four, 21829, 0, 1472, 1472, []int{1400, 1472, 8972}},
		{"an Ethernet over IPv6", six, 21829, 0, 1452, 1452, []int{1400, 1452, 8952}},
		{"jumbo frames", four, 21829, 0, 8972, 8972, []int{1400, 1472, 8972, 21829}},
		{"jumbo frames over IPv6", six, 21829, 0, 8952, 8952, []int{1400, 1452, 8952, 21829}},
		{"loopback", four, 21829, 0, 65507, 21829, []int{1400, 1472, 8972, 21829}},
		{"a limit", four, 1300, 0, 65507, 1300, []int{1300}},
		{"a limit between", four, 9000, 0, 65507, 9000, []int{1400, 1472, 8972, 9000}},
		{"sealed on an Ethernet", four, 21829 - 16, 16, 1472, 1456, []int{1384, 1456, 8956}},
		{"sealed on loopback", four, 21829 - 16, 16, 65507, 21813, []int{1384, 1456, 8956, 21813}},
		{"sealed with the least limit", four, 1200, 16, 65507, 1200, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newTestPath(t, test.limit, test.mtu-test.tag)
			w.p.init(w.now, test.peer, test.limit, test.tag)
			w.p.filled(searchFrom)
			took := w.settle()
			require.Equal(t, test.found, w.p.size)
			require.Equal(t, test.tried, slices.Compact(w.probes))
			require.LessOrEqual(t, len(w.probes), len(test.tried)+probeTries-1, "only the last is too large")
			require.Less(t, took, 200*time.Millisecond)
		})
	}
}

// [PATH-4] a size of which 3 Probes were lost is too large, as is one that the sender's own system refuses to send as
// too long.
func TestARefusedProbeIsNotWaitedFor(t *testing.T) {
	w := newTestPath(t, 21829, 1472)
	w.refuses = true
	w.p.filled(searchFrom)
	require.Equal(t, 4*time.Millisecond, w.settle(), "two passed, and a small one with each")
	require.Equal(t, []int{1400, 1472, 8972}, w.probes)
	require.Equal(t, 1472, w.p.size)

	w.p.refused(w.now, 8972) // a datagram of before
	require.Equal(t, 1472, w.p.size)
}

// [PATH-5] so it is when the sender's own system refuses to send a datagram above 1,200 bytes as too long.
func TestARefusedDatagramEndsItsSize(t *testing.T) {
	w := newTestPath(t, 21829, 21829)
	w.refuses = true
	w.p.filled(searchFrom)
	w.settle()
	w.mtu, w.probes = 1472, nil
	w.p.refused(w.now, 1200)
	require.Equal(t, 21829, w.p.size, "nor would a smaller one pass")
	w.p.refused(w.now, 1473)
	require.Equal(t, 1200, w.p.size)
	w.settle()
	require.Equal(t, []int{1400, 1472}, w.probes)
	require.Equal(t, 1472, w.p.size)
}

// [PATH-9] the packet size is 1,400 bytes, the tag among them, if it was larger, until the search that may begin 10
// minutes later.
func TestLossThatIsBorneMakesDatagramsSmaller(t *testing.T) {
	w := newTestPath(t, 21829-16, 21829)
	w.p.init(w.now, netip.AddrFrom4([4]byte{10, 0, 0, 1}), 21829-16, 16)
	w.p.lossy(w.now)
	require.Equal(t, 1200, w.p.size)
	w.p.filled(searchFrom)
	w.settle()
	w.p.sent(21813)
	w.p.suspect(w.now) // a probe is under way
	w.p.lossy(w.now)
	require.Equal(t, 1384, w.p.size)
	w.p.filled(searchFrom)
	require.Equal(t, w.now.Add(10*time.Minute), w.p.nextTimeout())
	w.settle()
	require.Equal(t, 21813, w.p.size)
}

// [PATH-3] but not within 10 minutes of the one before
func TestPathIsSearchedAgainAfterTenMinutes(t *testing.T) {
	w := newTestPath(t, 8972, 1300)
	w.p.filled(searchFrom)
	w.settle()
	found := w.now
	w.mtu, w.probes = 8972, nil
	w.p.filled(searchFrom)
	require.Equal(t, found.Add(10*time.Minute), w.p.nextTimeout())
	w.now = found.Add(10*time.Minute - 1)
	w.step()
	require.Empty(t, w.probes)
	w.settle()
	require.Equal(t, []int{1400, 1472, 8972}, w.probes)
	require.Equal(t, 8972, w.p.size)
}

// [PATH-4] A Probe that is not answered within the retransmission time of [CALL-9], doubled as there, is sent again. It
// counts as lost when the one with id 0 was answered; a size of which 3 Probes were lost is too large.
func TestPathProbesAreCountedOnlyWhileSmallOnesPass(t *testing.T) {
	w := newTestPath(t, 8972, 8972)
	w.silent = true
	w.p.filled(searchFrom)
	start := w.now
	for range 10 {
		w.step()
	}
	require.Equal(t, 1400, w.p.probed, "who is silent has not said that the size is too large")
	require.Greater(t, w.now.Sub(start), 5*maxPace, "nor is he asked ever more")
	require.LessOrEqual(t, w.p.pace, maxPace)
	w.silent = false
	w.settle()
	require.Equal(t, 8972, w.p.size)

	w = newTestPath(t, 8972, 1200)
	w.p.filled(searchFrom)
	start = w.now
	for range probeTries {
		w.step()
		require.Equal(t, 1400, w.p.probed)
	}
	require.Equal(t, 7*testRTO, w.now.Sub(start))
	w.step()
	require.Equal(t, []int{1400, 1400, 1400}, w.probes)
	require.Zero(t, w.p.probed)
}

// [PATH-5] When a Request or Reply is repeated [...], and datagrams above 1,200 bytes were sent since the packet size
// was last known to pass, a Probe of that size is sent.
func TestPathIsSuspectedOnlyForLargeDatagrams(t *testing.T) {
	w := newTestPath(t, 8972, 8972)
	w.p.filled(searchFrom)
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
	w.p.filled(searchFrom)
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
	w.p.filled(searchFrom)
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
	require.Equal(t, 1200, w.p.size)
	require.Equal(t, []int{8972, 8972, 8972, 1400, 1400, 1400}, w.probes)
}

// A path that shrinks while a larger size is searched is found out before the search goes on.
func TestPathMayShrinkDuringASearch(t *testing.T) {
	w := newTestPath(t, 21829, 2000)
	w.p.filled(searchFrom)
	for w.p.size < 1472 {
		w.step()
	}
	require.True(t, w.p.searching)
	before := w.p.size
	w.mtu, w.probes = 1400, nil
	w.p.sent(before)
	w.p.suspect(w.now)
	for w.p.size == before {
		w.step()
	}
	require.Equal(t, []int{before, before, before}, w.probes[:3])
	w.settle()
	require.Equal(t, 1400, w.p.size)
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
		w.p.init(w.now, netip.AddrFrom4([4]byte{10, 0, 0, 1}), 1400, 0)
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
	w.p.filled(searchFrom)
	w.step()
	w.p.stop()
	require.False(t, w.step())
	w.silent = false
	w.p.filled(searchFrom)
	w.settle()
	require.Equal(t, 8972, w.p.size, "it came back, and is searched at once")
}

// An answer to an earlier probe says nothing about the present one.
func TestPathIgnoresOtherAnswers(t *testing.T) {
	w := newTestPath(t, 8972, 1200)
	w.p.id = 1<<32 - 2
	w.p.ack(w.now, 1)
	w.p.filled(searchFrom)
	w.step()
	require.Equal(t, uint32(1<<32-1), w.p.id)
	for _, id := range []uint32{0, 1, 1<<32 - 2} {
		w.p.ack(w.now, id)
	}
	require.Equal(t, BasePacket, w.p.size)
	for w.p.probed == 1400 {
		w.step()
	}
	w.p.again = w.now
	w.p.filled(searchFrom)
	w.step()
	require.EqualValues(t, 1, w.p.id, "0 is not used")
	w.p.ack(w.now, 1<<32-1)
	require.Equal(t, BasePacket, w.p.size)
}
