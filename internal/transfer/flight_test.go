package transfer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// [FRAG-5] A fragment is taken as lost when one sent at least 3 fragments later has been acknowledged, [...]; it is
// sent again.
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
	f, ok := s.next()
	require.True(t, ok)
	require.Equal(t, []uint32{first, 0}, []uint32{f.Transfer, f.Index}, "2 of second was sent 4 later")
	require.Empty(t, s.sendAll(), "and 2 later than 1 of first")
}

// [FRAG-5] or when no acknowledgement came for the retransmission time; it is sent again.
func TestFlightLossByTime(t *testing.T) {
	const rto = 20 * time.Millisecond
	s := newSenderTest(t)
	id := s.start(100)
	require.Zero(t, s.out.flight.deadline(rto), "nothing is in flight")
	s.send(2)
	s.advance(15 * time.Millisecond)
	s.send(2)
	s.advance(4 * time.Millisecond)
	s.ack(id, 1)
	require.Equal(t, s.now.Add(rto), s.out.flight.deadline(rto), "an acknowledgement came")

	s.advance(rto - 1)
	s.out.Timeout(s.now, rto)
	require.Equal(t, []uint32{4}, s.send(1), "nothing is lost yet")
	s.advance(1)
	s.out.Timeout(s.now, rto)
	require.Equal(t, []uint32{1, 2}, s.sendAll(), "the two oldest, and nothing else until something is heard")
	checkSender(t, &s.out)

	s.advance(1)
	s.ack(id, 4)
	require.Equal(t, s.now.Add(rto), s.out.flight.deadline(rto))
}

// The silence is broken by a few fragments, at a doubled time up to 200 ms.
func TestFlightBackoff(t *testing.T) {
	const rto = 20 * time.Millisecond
	s := newSenderTest(t)
	id := s.start(100)
	s.sendAll()
	for _, wait := range []time.Duration{20, 40, 80, 160, 200, 200} {
		require.Equal(t, s.now.Add(wait*time.Millisecond), s.out.NextTimeout(rto))
		s.now = s.out.NextTimeout(rto)
		s.out.Timeout(s.now, rto)
		require.Equal(t, afterTimeout, len(s.sendAll()), "after %d ms", wait)
	}
	s.ack(id, 1)
	require.Equal(t, s.now.Add(rto), s.out.NextTimeout(rto), "an acknowledgement ends the doubling")
	s.sendAll()
	require.Greater(t, s.out.flight.count, burstFragments, "and opens the window")
}

// A retransmission time that is longer than 200 ms is not shortened by its doubling.
func TestFlightSlowNetwork(t *testing.T) {
	s := newSenderTest(t)
	s.start(1)
	for range 3 {
		s.sendAll()
		require.Equal(t, s.now.Add(time.Second), s.out.NextTimeout(time.Second))
		s.advance(time.Second)
		s.out.Timeout(s.now, time.Second)
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

// [FRAG-4] newest names the sending that is measured, be it the first of its fragment or another.
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
	s.out.Timeout(s.now, time.Millisecond)
	first := s.sent[[2]uint32{id, 7}]
	require.Equal(t, []uint32{7}, s.send(1))
	s.advance(time.Millisecond)
	late := ackOf(id, 8, 8+fragmentSpan)
	late.Newest = first
	threshold := s.out.flight.threshold
	_, _, rtt = s.take(late)
	require.Equal(t, time.Second+4*time.Millisecond, rtt, "the first sending of 7 was not lost, but late")
	require.Equal(t, 2*threshold, s.out.flight.threshold)
}

// [FRAG-4] the second sending is measured where it is the newest that has come.
func TestFlightRoundTripOfASecondSending(t *testing.T) {
	s := newSenderTest(t)
	id := s.start(100)
	s.send(1)
	s.advance(time.Second)
	s.out.Timeout(s.now, time.Millisecond)
	require.Equal(t, []uint32{0}, s.send(1))
	s.advance(3 * time.Millisecond)
	_, rtt := s.ack(id, 1)
	require.Equal(t, 3*time.Millisecond, rtt)
}

// [FRAG-5] Where fragments that were sent again turn out to have been overtaken only, it is twice as many, up to 48.
func TestFlightLearnsHowMuchIsOvertaken(t *testing.T) {
	s := newSenderTest(t)
	id := s.start(1000)
	s.send(60)
	for _, threshold := range []uint32{3, 6, 12, 24, 48, 48} {
		require.EqualValues(t, threshold, s.out.flight.threshold)
		base := s.out.find(id).base
		s.send(60)
		s.ack(id, base, base+threshold-1)
		require.NotEqual(t, notInFlight, *s.out.find(id).order(base), "not yet")
		s.ack(id, base, base+threshold)
		require.Equal(t, notInFlight, *s.out.find(id).order(base))
		s.ack(id, base+1)
		s.ackAll()
	}
}

// [PATH-9] of Fragments in larger datagrams 8 more were lost a second time than a thirty-second of those that arrived
// [...] What a silence of more than two time-outs has cost does not count.
func TestLargeFragmentsThatAreLostAgainAreToldOf(t *testing.T) {
	for _, play := range []struct {
		size, timeouts, acks int
		unharmed             int // transfers between two that suffer
		isLossy              bool
	}{
		{8900, 2, 5, 0, true}, {8900, 2, 4, 0, false}, {8900, 2, 30, 31, false}, {8900, 1, 30, 0, false},
		{8900, 100, 4, 0, false}, {1300, 2, 30, 0, false},
	} {
		s := newSenderTest(t)
		s.out.Init(s.now, play.size)
		isLossy := false
		for range play.acks {
			for range play.unharmed {
				s.out.Start(Body{Head: make([]byte, 2*play.size)}, 1)
				s.sendAll()
				s.ackAll()
			}
			s.out.Start(Body{Head: make([]byte, 2*play.size)}, 1)
			s.sendAll()
			for range play.timeouts {
				s.advance(time.Second)
				s.out.Timeout(s.now, 50*time.Millisecond)
				s.sendAll()
			}
			s.ackAll()
			isLossy = isLossy || s.out.Lossy()
		}
		require.Equal(t, play.isLossy, isLossy, "%+v", play)
	}
}
