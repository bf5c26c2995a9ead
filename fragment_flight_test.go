package broach

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// [FRAG-5] A fragment is taken as lost when one sent at least 3 fragments later has been acknowledged, [...]; it is sent again.
func TestFlightLossByOrder(t *testing.T) {
	s := newSenderTest(t)
	id := s.start(100)
	require.Len(t, s.send(10), 10)
	s.ack(id, 0, 1, 2)
	require.Equal(t, []uint32{10}, s.send(1), "2 was sent 2 later than 0")
	s.ack(id, 0, 1, 2, 3)
	require.Equal(t, []uint32{0, 11}, s.send(2), "3 was sent 3 later than 0")
	s.ack(id, 0, 1, 2, 3, 9)
	require.Equal(t, []uint32{4, 5, 6, 12}, s.send(4), "9 was sent 3 later than 6")
}

// The order of sending is one over all transfers of the link.
func TestFlightLossAcrossTransfers(t *testing.T) {
	s := newSenderTest(t)
	first, second := s.start(2), s.start(8)
	s.sendAll() // 0 of first, 0 of second, 1 of first, 1 to 7 of second
	s.ack(second, 3)
	f, ok := s.out.next(s.now)
	require.True(t, ok)
	require.Equal(t, []uint32{first, 0}, []uint32{f.Transfer, f.Index}, "2 of second was sent 4 later")
	require.Empty(t, s.sendAll(), "and 2 later than 1 of first")
}

// [FRAG-5] or when no acknowledgement came for the retransmission time; it is sent again.
func TestFlightLossByTime(t *testing.T) {
	const rto = 20 * time.Millisecond
	s := newSenderTest(t)
	id := s.start(100)
	require.Zero(t, s.out.nextTimeout(rto), "nothing is in flight")
	s.send(2)
	s.advance(15 * time.Millisecond)
	s.send(2)
	s.advance(4 * time.Millisecond)
	s.ack(id, 1)
	require.Equal(t, s.now.Add(rto), s.out.nextTimeout(rto), "an acknowledgement came")

	s.advance(rto - 1)
	s.out.timeout(s.now, rto)
	require.Equal(t, []uint32{4}, s.send(1), "nothing is lost yet")
	s.advance(1)
	s.out.timeout(s.now, rto)
	require.Equal(t, []uint32{1, 2, 3}, s.send(3), "sent more than the retransmission time ago")
	checkSender(t, &s.out)

	s.advance(1)
	s.ack(id, 4)
	require.Equal(t, s.now.Add(rto), s.out.nextTimeout(rto))
}

// The silence is broken by a few fragments, at a doubled time up to 200 ms.
func TestFlightBackoff(t *testing.T) {
	const rto = 20 * time.Millisecond
	s := newSenderTest(t)
	id := s.start(100)
	s.sendAll()
	for _, wait := range []time.Duration{20, 40, 80, 160, 200, 200} {
		require.Equal(t, s.now.Add(wait*time.Millisecond), s.out.nextTimeout(rto))
		s.now = s.out.nextTimeout(rto)
		s.out.timeout(s.now, rto)
		require.Equal(t, afterTimeout, len(s.sendAll()), "after %d ms", wait)
	}
	s.ack(id, 1)
	require.Equal(t, s.now.Add(rto), s.out.nextTimeout(rto), "an acknowledgement ends the doubling")
	s.sendAll()
	require.Equal(t, s.out.flight.window.size, s.out.flight.count, "and opens the window")
}

// A retransmission time that is longer than 200 ms is not shortened by its doubling.
func TestFlightSlowNetwork(t *testing.T) {
	s := newSenderTest(t)
	s.start(1)
	for range 3 {
		s.sendAll()
		require.Equal(t, s.now.Add(time.Second), s.out.nextTimeout(time.Second))
		s.advance(time.Second)
		s.out.timeout(s.now, time.Second)
	}
}

func TestFlightLostButArrived(t *testing.T) {
	s := newSenderTest(t)
	id := s.start(100)
	s.send(20)
	s.ack(id, 0, 10)
	s.ack(id, 5, 10)
	require.Equal(t, []uint32{5, 6, 7, 20}, s.send(4), "0 to 4 were late, and are not sent again")
}

// An acknowledgement of the first sending, late, must not make all look lost that was sent before the second.
func TestFlightLateAcknowledgement(t *testing.T) {
	const roundTrip = 10 * time.Millisecond
	s := newSenderTest(t)
	id := s.start(1000)
	s.send(32)
	s.advance(roundTrip)
	_, rtt := s.ack(id, 0, indexes(1, 32)...)
	require.Equal(t, roundTrip, rtt)
	resent := s.sendAll()
	require.Equal(t, uint32(0), resent[0])
	window := s.out.flight.window.size

	t.Log("0 arrives after 31 and before what was sent with its second sending")
	s.advance(time.Millisecond)
	s.ack(id, 32)
	s.advance(roundTrip - 2*time.Millisecond)
	require.Equal(t, resent[len(resent)-1]+1, s.sendAll()[0], "nothing is sent again")
	require.GreaterOrEqual(t, s.out.flight.window.size, window)

	t.Log("a second sending that comes as late as a round trip demands is believed")
	s = newSenderTest(t)
	id = s.start(1000)
	s.send(8)
	s.advance(roundTrip)
	s.ack(id, 0, 1, 2, 3)
	s.send(4) // 8 to 10 have gone before 0 goes again
	s.ack(id, 0, 1, 2, 3, 4, 5, 6, 7)
	require.Equal(t, indexes(11, 13), s.send(2))
}

// The measurement is that of the newest fragment which was sent once.
func TestFlightRoundTrip(t *testing.T) {
	s := newSenderTest(t)
	id := s.start(100)
	s.send(1)
	s.advance(time.Millisecond)
	s.send(7)
	s.advance(2 * time.Millisecond)
	_, rtt := s.ack(id, 0, 1, 5)
	require.Equal(t, 2*time.Millisecond, rtt, "of 5")
	s.advance(time.Millisecond)
	_, rtt = s.ack(id, 5)
	require.Zero(t, rtt, "0 and 2 to 4 are older than 5")
	_, rtt = s.ack(id, 7)
	require.Equal(t, 3*time.Millisecond, rtt, "of 6")

	s.advance(time.Second)
	s.out.timeout(s.now, time.Millisecond)
	require.Equal(t, []uint32{7}, s.send(1))
	s.advance(time.Millisecond)
	_, rtt = s.ack(id, 8)
	require.Zero(t, rtt, "7 was sent twice")
}

// [FRAG-6] A sender has at most a window of fragments in flight per link: 32 at first, one more for each that is acknowledged until
// the first loss, then one more per window;
func TestFlightWindowGrows(t *testing.T) {
	s := newSenderTest(t)
	first, second := s.start(5000), s.start(5000)
	require.Len(t, s.sendAll(), 32, "over both transfers")
	s.ack(first, 1)
	s.ack(second, 1)
	require.Len(t, s.sendAll(), 4)
	s.wantWindow(34, "2 were acknowledged")
	s.out.stop(second)
	s.sendAll()
	s.ackAll()
	s.wantWindow(68, "34 more")

	s.sendAll()
	base := s.out.find(first).base
	s.ack(first, base, base+3)
	s.wantWindow(34, "69, before base was lost")
	s.ackAll()
	s.wantWindow(34, "what was sent before the loss does not count")
	for want := 35; want < 40; want++ {
		s.sendAll()
		s.ackAll()
		s.wantWindow(want, "one more per window")
	}
}

// ackAll acknowledges all that was sent.
func (s *senderTest) ackAll() {
	for _, t := range slices.Clone(s.out.active) {
		s.ack(t.id, t.high)
	}
}

func TestFlightWindowCeiling(t *testing.T) {
	s := newSenderTest(t)
	s.start(5000)
	for range 10 {
		s.sendAll()
		s.ackAll()
	}
	s.wantWindow(maxWindow, "1,024")
}

// [FRAG-6] halved, to no less than 16, when fragments are lost, at most once per round trip.
func TestFlightWindowShrinks(t *testing.T) {
	s := newSenderTest(t)
	id := s.start(5000)
	s.sendAll()
	s.ackAll()
	s.sendAll()
	s.wantWindow(64, "before the loss")
	s.ack(id, 32, 36)
	s.wantWindow(32, "32 and 33 are lost")
	s.ack(id, 32, 36, 40, 50, 60, 80, 95)
	s.wantWindow(32, "more of the same flight are lost")

	t.Log("a loss among those that were sent since is another")
	s.ack(id, 96)
	require.Equal(t, indexes(96, 128), s.sendAll())
	s.ack(id, 96, 99)
	s.wantWindow(minWindow, "halved again")
	s.ack(id, 128)
	require.Len(t, s.sendAll(), minWindow)
	s.ack(id, 128, 131)
	s.wantWindow(minWindow, "no less than 16")
}

// [FRAG-6] halved, to no less than 16, when fragments are lost
func TestFlightWindowAfterTimeouts(t *testing.T) {
	s := newSenderTest(t)
	id := s.start(5000)
	for range 3 {
		s.sendAll()
		s.ackAll()
	}
	s.sendAll()
	s.wantWindow(256, "before")
	s.advance(time.Second)
	s.out.timeout(s.now, 10*time.Millisecond)
	s.wantWindow(128, "after one time-out")
	s.sendAll()
	s.advance(time.Second)
	s.out.timeout(s.now, 10*time.Millisecond)
	s.wantWindow(minWindow, "after the second in a row")
	s.sendAll()
	s.ack(id, s.out.find(id).high)
	s.wantWindow(260, "it grows again")
	require.Len(t, s.sendAll(), reachLeast, "one transfer reaches no further")
	s.start(5000)
	require.Len(t, s.sendAll(), 260-reachLeast)
}

// [FRAG-6] halved, [...], at most once per round trip.
func TestFlightWindowAfterTimeoutAndLoss(t *testing.T) {
	s := newSenderTest(t)
	id := s.start(5000)
	for range 3 {
		s.sendAll()
		s.ackAll()
	}
	base := s.out.find(id).base
	s.send(100)
	s.advance(10 * time.Millisecond)
	s.send(100)
	s.out.timeout(s.now, 10*time.Millisecond)
	s.wantWindow(128, "the first hundred are lost")
	s.ack(id, base, base+150)
	s.wantWindow(128, "of the second hundred, sent before the time-out, 47 are lost")
}

// [FRAG-6] What is lost is decided when all acknowledgements of a batch were taken.
func TestFlightJudgesABatchAsAWhole(t *testing.T) {
	s := newSenderTest(t)
	first, second := s.start(16), s.start(16)
	require.Len(t, s.sendAll(), 32)
	s.out.ack(s.now, ackOf(second, 12, 1000)) // those of the first, sent between them, come in the same batch
	s.out.ack(s.now, ackOf(first, 12, 1000))
	s.out.judge()
	s.wantWindow(firstWindow+24, "nothing was lost")
	require.Empty(t, s.sendAll(), "nothing is sent again")
	checkSender(t, &s.out)
}

// [FRAG-6] A halving after silence is taken back when a fragment that was not sent again turns out to have arrived.
func TestFlightTakesBackTheAnswerToSilence(t *testing.T) {
	const rto = 20 * time.Millisecond
	s := newSenderTest(t)
	id := s.start(100)
	s.sendAll()
	s.advance(rto)
	s.out.timeout(s.now, rto)
	s.wantWindow(firstWindow/2, "silence")
	require.Len(t, s.send(2), 2)
	s.ack(id, 1)
	s.wantWindow(firstWindow/2, "this one was sent again")
	s.ack(id, 32)
	require.GreaterOrEqual(t, s.out.flight.window.size, firstWindow, "all had arrived")
	checkSender(t, &s.out)
}

// [FRAG-13] One transfer is at most 192 fragments ahead of its first unacknowledged one, for each millisecond of the shortest round trip
// but no fewer than 192.
func TestReach(t *testing.T) {
	var r reach
	require.EqualValues(t, 192, r.fragments(), "nothing is known")
	for _, c := range []struct {
		roundTrip time.Duration
		want      uint32
	}{{50 * time.Millisecond, 1024}, {4 * time.Millisecond, 768}, {10 * time.Millisecond, 768}, {2 * time.Millisecond, 384}, {time.Microsecond, 192}} {
		r.measure(c.roundTrip)
		require.InDelta(t, c.want, r.fragments(), 2, "%v", c.roundTrip)
	}
	for range 20_000 {
		r.measure(8 * time.Millisecond)
	}
	require.EqualValues(t, 1024, r.fragments(), "the path has become longer")
}
