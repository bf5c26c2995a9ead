package link

import (
	"iter"
	"time"

	"broach/internal/buffer"
	"broach/internal/pace"
)

// The caller's half of at-most-once calls, PROTOCOL.md 2.5. The provider's half is in served.go.

// Between a sign that a call runs and the question how it is going, [CALL-10].
const (
	pollFirst = 100 * time.Millisecond
	pollEvery = time.Second
)

// callState is how far a call has come.
type callState uint8

const (
	callFree   callState = iota // no call in the slot
	callSent                    // the Request was sent, nothing was heard of it
	callMoving                  // the Request is under way as a transfer
	callTaken                   // the provider has it
)

// callSlot carries one call at a time.
type callSlot struct {
	state   callState
	resends uint8 // after the first sending; if any, the reply is no measure of the round trip
	polls   uint8 // that were answered
	asked   bool  // one was not answered yet
	// as a datagram, or as a transfer that was begun anew: the provider may have it, whatever becomes of a transfer
	went     bool
	seq      uint32        // rises with each call of the slot
	transfer uint32        // while moving
	pace     time.Duration // until the next resend or poll
	call     *Call
	request  *buffer.Buffer // the Request, kept to be sent again or until its transfer is over
	sentAt   time.Time      // first
	due      time.Time
	deadline time.Time
}

// callSlots holds the calls made to one peer.
// Invariant: no slot is due before next; a zero next says that none is.
type callSlots struct {
	slots []callSlot
	free  []uint16 // used as a stack, so that few slots stay warm
	next  time.Time
}

// takeSlot takes a slot for a call. It fails when all are in use.
func (s *callSlots) takeSlot(now, deadline time.Time, call *Call) (uint16, *callSlot, bool) {
	if len(s.free) == 0 && !s.grow() {
		return 0, nil, false
	}
	n := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	c := &s.slots[n]
	*c = callSlot{seq: c.seq + 1, state: callSent, call: call, sentAt: now, deadline: deadline}
	return n, c, true
}

// grow doubles the slots.
func (s *callSlots) grow() bool {
	old := len(s.slots)
	size := min(max(2*old, 4), maxSlots)
	s.slots = append(s.slots, make([]callSlot, size-old)...)
	for n := size - 1; n >= old; n-- {
		s.free = append(s.free, uint16(n))
	}
	return size > old
}

// inUse is how many calls wait for their replies.
func (s *callSlots) inUse() int { return len(s.slots) - len(s.free) }

// waiting returns the call that the request id names, or nil if it is not waited for any more.
func (s *callSlots) waiting(slot uint16, seq uint32) *callSlot {
	if int(slot) >= len(s.slots) {
		return nil
	}
	c := &s.slots[slot]
	if c.state == callFree || c.seq != seq {
		return nil
	}
	return c
}

// freeSlot frees a slot and gives back its call.
func (s *callSlots) freeSlot(slot uint16) *Call {
	c := &s.slots[slot]
	call := c.call
	c.request.Release()
	*c = callSlot{seq: c.seq}
	s.free = append(s.free, slot)
	return call
}

// arm says when the slot wants attention next: at its pace, its deadline, or when the peer has been silent for too
// long.
func (s *callSlots) arm(c *callSlot, now, silentAt time.Time) {
	c.due = pace.Earliest(pace.Earliest(now.Add(c.pace), c.deadline), silentAt)
	s.next = pace.Earliest(s.next, c.due)
}

// taken notes that the provider has the request, by its word or because the whole transfer was acknowledged. The
// transfer is over. It returns a measured round trip if this is one: Karn's algorithm counts only what was sent once.
func (s *callSlots) taken(c *callSlot, now, silentAt time.Time) (sample time.Duration, ok bool) {
	if c.state == callSent && c.resends == 0 {
		sample, ok = now.Sub(c.sentAt), true
	}
	c.request.Release()
	if c.asked {
		c.polls = min(c.polls+1, 10)
	}
	c.request, c.state, c.asked, c.pace = nil, callTaken, false, min(pollFirst<<c.polls, pollEvery)
	s.arm(c, now, silentAt)
	return sample, ok
}

// overdue yields the slots that are due. Their handler must arm or end each; next is right again afterwards.
func (s *callSlots) overdue(now time.Time) iter.Seq2[uint16, *callSlot] {
	return func(yield func(uint16, *callSlot) bool) {
		if s.next.IsZero() || now.Before(s.next) {
			return
		}
		for i := range s.slots {
			if c := &s.slots[i]; c.state != callFree && !now.Before(c.due) && !yield(uint16(i), c) {
				break
			}
		}
		s.next = time.Time{}
		for i := range s.slots {
			if c := &s.slots[i]; c.state != callFree {
				s.next = pace.Earliest(s.next, c.due)
			}
		}
	}
}

// all yields the calls in flight.
func (s *callSlots) all() iter.Seq2[uint16, *callSlot] {
	return func(yield func(uint16, *callSlot) bool) {
		for i := range s.slots {
			if c := &s.slots[i]; c.state != callFree && !yield(uint16(i), c) {
				return
			}
		}
	}
}
