package transfer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Transfers under way keep their size, for it must not differ within one, [FRAG-1]; those that wait were never seen.
func TestResizeTellsWhichTransfersAreTooLarge(t *testing.T) {
	s := newSenderTest(t)
	s.out.Resize(s.now, 2*minFragment)
	for range maxTransfers {
		s.start(8)
	}
	waiting := s.start(8)
	stopped := s.start(8)
	s.out.Stop(stopped)
	require.Empty(t, s.out.Resize(s.now, 4*minFragment), "they may go on in smaller ones")

	larger := s.out.Resize(s.now, minFragment)
	require.Len(t, larger, maxTransfers)
	require.EqualValues(t, 1, larger[0].Id)
	for _, v := range larger {
		s.out.Stop(v.Id)
	}
	require.Equal(t, indexes(0, 8), s.sendAll(), "the one that waited is cut anew")
	finished, _ := s.ack(waiting, 8)
	require.True(t, finished)
}

func TestStartCutTakesAnotherSize(t *testing.T) {
	s := newSenderTest(t)
	s.out.Resize(s.now, 4*minFragment)
	s.out.StartCut(Body{Head: make([]byte, 4*minFragment)}, 1, minFragment)
	require.Equal(t, indexes(0, 4), s.sendAll())
	require.Empty(t, s.out.Resize(s.now, minFragment))
}

// The last fragment of a transfer is shorter: that it arrives says nothing about the others.
func TestOnlyWholeFragmentsAreSaidToPass(t *testing.T) {
	s := newSenderTest(t)
	id := s.start(3)
	s.sendAll()
	s.ack(id, 0, 2)
	require.Zero(t, s.out.Passed())
	s.ack(id, 1, 2)
	require.Equal(t, minFragment, s.out.Passed())
	require.Zero(t, s.out.Passed(), "it is said once")
}

// A fragment that is lost once has met a bad moment. One that is lost again may be too large.
func TestOnlyTheSecondLossOfAFragmentIsReported(t *testing.T) {
	const rto = 20 * time.Millisecond
	s := newSenderTest(t)
	id := s.start(100)
	s.send(10)
	s.ack(id, 0, 9)
	require.False(t, s.out.LostAgain(), "all but 9 were lost, once")
	require.Equal(t, indexes(0, 7), s.send(7))
	require.Equal(t, []uint32{10, 11, 12}, s.send(3))

	s.advance(rto)
	s.ack(id, 0, 9, 12)
	require.True(t, s.out.LostAgain(), "by order")
	require.False(t, s.out.LostAgain(), "it is said once")
}

func TestTwoTimeoutsInARowAreReported(t *testing.T) {
	const rto = 20 * time.Millisecond
	s := newSenderTest(t)
	s.start(2)
	s.send(1)
	s.advance(rto / 2)
	s.send(1)
	s.advance(rto / 2)
	s.out.Timeout(s.now, rto)
	require.False(t, s.out.LostAgain())
	s.sendAll()
	s.advance(2 * rto)
	s.out.Timeout(s.now, rto)
	require.True(t, s.out.LostAgain())
}
