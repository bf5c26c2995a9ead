package link

import (
	"math/rand/v2"
	"testing"
	"time"

	"broach/internal/buffer"

	"github.com/stretchr/testify/require"
)

// newServedSlots is a link's that has the node's memory to itself.
func newServedSlots() *servedSlots {
	s := &servedSlots{}
	s.init(nil, &buffer.Budget{Size: 1 << 30}, &buffer.Budget{Size: replyStored})
	return s
}

func moveReply(t *testing.T, s *servedSlots, now time.Time, v *servedSlot, reply []byte) {
	require.True(t, s.reserve(sizeOf(reply)))
	s.moveReply(now, v, reply, 1)
}

// [CALL-1] A Request newer than the slot's last seq is a new call
// [CALL-2] A Request with the slot's last seq is a duplicate and MUST NOT run again: it is answered with the stored
// Reply, or Progress while the call runs.
// [CALL-3] An older Request MUST be ignored.
func TestSlotTellsNewFromOld(t *testing.T) {
	for _, last := range []uint32{1, 1000, 1<<32 - 1} { // the numbers wrap around, RFC 1982
		s := newServedSlots()
		now := time.Unix(0, 0)
		v := s.slot(3)
		require.Equal(t, requestNew, v.look(last))
		s.begin(now, v, last, &Request{})
		require.Equal(t, requestRunning, v.look(last))
		require.Equal(t, requestNew, v.look(last+1))
		require.Equal(t, requestOld, v.look(last-1))
		s.storeReply(now, v, []byte("reply"))
		require.Equal(t, requestDone, v.look(last))
		require.Equal(t, requestOld, v.look(last-100))
		s.drop(v)
		require.Equal(t, requestForgotten, v.look(last))
		require.Equal(t, requestNew, v.look(last+100))
	}
}

// [CALL-4] A call that is not answered 5 ms after its Request came is acknowledged with Progress.
func TestUnansweredRequestsAreAcknowledgedInTime(t *testing.T) {
	s := newServedSlots()
	start := time.Unix(0, 0)
	first, second, quick := s.slot(0), s.slot(1), s.slot(2)
	s.begin(start, first, 1, &Request{})
	s.begin(start.Add(time.Millisecond), quick, 1, &Request{})
	s.begin(start.Add(2*time.Millisecond), second, 1, &Request{})
	s.storeReply(start.Add(2*time.Millisecond), quick, []byte("reply"))
	require.Equal(t, start.Add(ackDelay), s.nextTimeout())
	require.Nil(t, s.unacknowledged(start.Add(ackDelay-1)))
	require.Same(t, first, s.unacknowledged(start.Add(ackDelay)))
	s.tell(first)
	require.Nil(t, s.unacknowledged(start.Add(ackDelay)))
	require.Same(t, second, s.unacknowledged(start.Add(2*time.Millisecond+ackDelay)))
	s.tell(second)
	s.tell(second)
	require.Nil(t, s.unacknowledged(start.Add(time.Hour)))
}

// [CALL-7] A request that finds no room MUST NOT be remembered in its slot unless it is answered
func TestForgottenRequestMayComeAgain(t *testing.T) {
	s := newServedSlots()
	v := s.slot(0)
	for _, seq := range []uint32{7, 8, 100} {
		s.begin(time.Unix(0, 0), v, seq, &Request{})
		s.forget(v)
		require.Equal(t, requestNew, v.look(seq))
		require.True(t, s.nextTimeout().IsZero())
	}
}

// [CALL-8] A stored reply is kept for 60 s, or until its memory is wanted for newer ones of the link
func TestStoredRepliesAreBounded(t *testing.T) {
	s := newServedSlots()
	start := time.Unix(0, 0)
	mib := make([]byte, 1<<20)
	for id := range uint16(17) {
		v := s.slot(id)
		s.begin(start, v, 1, &Request{})
		s.storeReply(start.Add(time.Duration(id)), v, mib)
	}
	require.EqualValues(t, 16<<20, s.storedBytes.Used())
	require.Equal(t, requestForgotten, s.slot(0).look(1))
	require.Equal(t, requestDone, s.slot(1).look(1))

	s.expire(start.Add(replyKept))
	require.Equal(t, requestDone, s.slot(1).look(1))
	s.expire(start.Add(replyKept + 1))
	require.Equal(t, requestForgotten, s.slot(1).look(1))
	require.Equal(t, requestDone, s.slot(2).look(1))
	require.Equal(t, start.Add(replyKept+2), s.nextTimeout())
	s.expire(start.Add(time.Hour))
	require.Zero(t, s.storedBytes.Used())
	require.True(t, s.nextTimeout().IsZero())
}

// However many links store what they can, all together is bounded, and each keeps some of its newest: the oldest go.
// What was answered does not run again.
func TestStoredRepliesOfAllLinksAreBounded(t *testing.T) {
	stored, now := &buffer.Budget{Size: 1 << 20}, time.Unix(0, 0)
	var links []*servedSlots
	for range 64 {
		s := &servedSlots{}
		s.init(nil, &buffer.Budget{}, stored)
		links = append(links, s)
	}
	for id := range uint16(100) {
		for _, s := range links {
			v := s.slot(id)
			s.begin(now, v, 1, &Request{})
			s.storeReply(now, v, make([]byte, 1000))
			require.Less(t, stored.Used(), stored.Size)
		}
	}
	for _, s := range links {
		require.Equal(t, requestForgotten, s.slot(0).look(1))
		for id := range uint16(replyKeepMin / 1000) {
			require.Equal(t, requestDone, s.slot(99-id).look(1), "so much is its own")
		}
		s.close()
	}
	require.Zero(t, stored.Used())

	t.Log("a reply for which there is no room at all is not kept")
	s := links[0]
	stored.Size = 0
	s.begin(now, s.slot(0), 2, &Request{})
	s.storeReply(now, s.slot(0), make([]byte, replyKeepMin+1))
	require.Equal(t, requestForgotten, s.slot(0).look(2))
	require.Zero(t, stored.Used())
}

// A peer that begins with the highest slot makes us remember no more than one that begins with the lowest.
func TestSlotsAreMadeOnDemand(t *testing.T) {
	s := newServedSlots()
	s.slot(maxSlots - 1)
	require.Equal(t, servedPage, madeSlots(s))
	require.Len(t, s.pages, maxSlots/servedPage)

	s = newServedSlots()
	for id := range uint16(firstPage) {
		require.Same(t, s.slot(id), s.slot(id))
		require.Equal(t, firstPage, madeSlots(s), "a peer of few calls at once costs a small page")
	}
	s.slot(firstPage)
	require.Equal(t, firstPage+servedPage, madeSlots(s))
}

func madeSlots(s *servedSlots) (made int) {
	for range s.made {
		made++
	}
	return made
}

// Whatever happens to slots, the lists hold just those in their states, oldest first, and the bytes add up.
func TestSlotListsStayRight(t *testing.T) {
	t.Log("seed 3")
	rng := rand.New(rand.NewPCG(3, 3))
	s := newServedSlots()
	now := time.Unix(0, 0)
	for range 3000 {
		now = now.Add(time.Duration(rng.IntN(3)) * time.Second)
		v := s.slot(uint16(rng.IntN(10)))
		switch rng.IntN(7) {
		case 0, 1:
			s.begin(now, v, v.seq+1, &Request{})
		case 2:
			if v.request != nil {
				s.storeReply(now, v, make([]byte, rng.IntN(4<<20)))
			}
		case 3:
			s.tell(v)
		case 4:
			s.expire(now)
		case 5:
			s.drop(v)
		case 6:
			if v.request != nil {
				moveReply(t, s, now, v, make([]byte, 1<<20))
			}
		}
		checkLists(t, s)
	}
}

func checkLists(t *testing.T, s *servedSlots) {
	fresh, moving, stored, bytes := 0, 0, 0, 0
	for id := range uint16(10) {
		switch v := s.slot(id); v.state {
		case servedNew:
			fresh++
		case servedMoving:
			moving++
		case servedDone:
			stored++
			bytes += len(v.reply)
		}
	}
	require.EqualValues(t, bytes, s.storedBytes.Used())
	require.EqualValues(t, moving<<20, s.movingBytes.Used())
	require.Equal(t, fresh, lengthOf(t, s.fresh, servedNew))
	require.Equal(t, moving, lengthOf(t, s.moving, servedMoving))
	require.Equal(t, stored, lengthOf(t, s.stored, servedDone))
}

func lengthOf(t *testing.T, l slotList, state servedState) int {
	n := 0
	var last *servedSlot
	for v := l.head; v != nil; v = v.next {
		require.Equal(t, state, v.state)
		require.Same(t, last, v.prev)
		require.True(t, last == nil || state == servedMoving || !v.at.Before(last.at))
		last = v
		n++
	}
	require.Same(t, last, l.tail)
	return n
}

func TestReplyUnderWayIsNeitherStoredNorForgotten(t *testing.T) {
	s := newServedSlots()
	v := s.slot(0)
	s.begin(epoch, v, 1, &Request{})
	moveReply(t, s, epoch, v, make([]byte, 2*replyKeepMax))
	require.Equal(t, requestRunning, v.look(1), "who asks hears that it comes")
	for i := range uint16(20) {
		s.storeReply(epoch, s.slot(1+i), make([]byte, 1<<20))
	}
	s.expire(epoch.Add(time.Hour))
	require.Equal(t, servedMoving, v.state)
	require.EqualValues(t, 2*replyKeepMax, s.movingBytes.Used())
	s.drop(v)
	require.Zero(t, s.movingBytes.Used())
	require.Nil(t, s.moving.head)
}
