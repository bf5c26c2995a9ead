package link

import (
	"slices"
	"time"
	"unsafe"

	"broach/internal/buffer"
	"broach/internal/pace"
	"broach/internal/wire"
)

// The provider's half of at-most-once calls, PROTOCOL.md 2.4. The caller's half is in slots.go.

// servedState is what became of the last request of a slot.
type servedState uint8

const (
	servedNone    servedState = iota // nothing came yet
	servedNew                        // it runs, and its caller does not know yet that it came
	servedRunning                    // it runs, and its caller was told
	servedMoving                     // it was answered and the reply is under way as a transfer
	servedDone                       // it was answered and the reply is kept
	servedDropped                    // it was answered and the reply is kept no longer
)

// servedSlot remembers the last request of one slot of the peer.
type servedSlot struct {
	state      servedState
	executed   wire.Executed // of the function, by the reply: so long as the slot has none, maybe
	id         uint16
	seq        uint32
	request    *Request       // while it runs: a worker's, here to be found and given up, by share
	reply      []byte         // the Reply as framed: when done, and while moving, when the transfer borrows it
	lent       *buffer.Buffer // a transfer, and the part of it that the reply goes on with while moving; nil: none
	transfer   uint32         // while moving
	at         time.Time
	prev, next *servedSlot // in the list of its state
}

// share returns the request of a slot, or nil, to one who will give it up later, without the link's mutex.
func (v *servedSlot) share() *Request {
	if v.request != nil {
		v.request.shared = true
	}
	return v.request
}

// slotList is a doubly linked list of slots, oldest first. A slot is in at most one.
type slotList struct{ head, tail *servedSlot }

func (l *slotList) push(s *servedSlot) {
	s.prev, s.next = l.tail, nil
	if l.tail == nil {
		l.head = s
	} else {
		l.tail.next = s
	}
	l.tail = s
}

func (l *slotList) remove(s *servedSlot) {
	if s.prev == nil {
		l.head = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		l.tail = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
}

// Slots are set aside in pages: a stranger who names the highest slot first costs no more than one. Most peers have few
// calls at once, and use the lowest slots: these have a smaller page.
const (
	servedPage = 64
	firstPage  = 8
)

// servedSlots holds the calls that one peer makes to us.
type servedSlots struct {
	first  *[firstPage]servedSlot // of the slots below firstPage
	pages  []*[servedPage]servedSlot
	fresh  slotList // servedNew, by arrival
	moving slotList // servedMoving
	stored slotList // servedDone, by time of the reply

	movingBytes buffer.Share // of replies under way
	storedBytes buffer.Share // of stored replies

	lent []*byte // the first bytes of replies of which parts are just being sent from where they are, once for each
}

// init says what of the node's memory may be taken.
func (s *servedSlots) init(owner *exchange, moving, stored *buffer.Budget) {
	s.movingBytes.Of, s.movingBytes.Owner = moving, owner
	s.storedBytes.Of, s.storedBytes.Free, s.storedBytes.Most = stored, replyKeepMin, replyKeepMax
	moving.Join(&s.movingBytes)
}

// sizeOf is the memory that a reply takes up: a message of 2^n bytes, with what is around it, a quarter more than it
// has.
func sizeOf(reply []byte) int64 { return int64(cap(reply)) }

// moves is the memory of a reply under way.
func (v *servedSlot) moves() int64 {
	if v.lent == nil {
		return sizeOf(v.reply)
	}
	return sizeOf(v.reply) + sizeOf(v.lent.B)
}

// slot returns the state of a slot, made on demand.
func (s *servedSlots) slot(id uint16) *servedSlot {
	v := s.place(id)
	v.id = id
	return v
}

// place is where the state of a slot lies.
func (s *servedSlots) place(id uint16) *servedSlot {
	if id < firstPage {
		if s.first == nil {
			s.first = new([firstPage]servedSlot)
		}
		return &s.first[id]
	}
	page := int(id) / servedPage
	for page >= len(s.pages) {
		s.pages = append(s.pages, nil)
	}
	if s.pages[page] == nil {
		s.pages[page] = new([servedPage]servedSlot)
	}
	return &s.pages[page][id%servedPage]
}

// peek returns the state of a slot, or nil if that was not made.
func (s *servedSlots) peek(id uint16) *servedSlot {
	page := int(id) / servedPage
	switch {
	case id < firstPage && s.first != nil:
		return &s.first[id]
	case id < firstPage || page >= len(s.pages) || s.pages[page] == nil:
		return nil
	}
	return &s.pages[page][id%servedPage]
}

// made yields the slots that were set aside.
func (s *servedSlots) made(yield func(*servedSlot) bool) {
	if s.first != nil && !each(s.first[:], yield) {
		return
	}
	for _, page := range s.pages {
		if page != nil && !each(page[:], yield) {
			return
		}
	}
}

// each yields the slots of a page, and reports whether more are wanted.
func each(page []servedSlot, yield func(*servedSlot) bool) bool {
	for i := range page {
		if !yield(&page[i]) {
			return false
		}
	}
	return true
}

// servedVerdict says what a Request, Poll or Cancel is to its slot.
type servedVerdict uint8

const (
	requestNew       servedVerdict = iota // not seen before
	requestRunning                        // it runs, or its reply is under way
	requestDone                           // its reply is there
	requestForgotten                      // its reply is gone
	requestOld                            // a newer one has come
)

// look says what a message with seq is to its slot.
func (v *servedSlot) look(seq uint32) servedVerdict {
	switch {
	case v.state == servedNone || int32(seq-v.seq) > 0:
		return requestNew
	case seq != v.seq:
		return requestOld
	case v.state == servedDone:
		return requestDone
	case v.state == servedDropped:
		return requestForgotten
	}
	return requestRunning
}

// begin puts a new request into its slot. What the slot held before is over: the caller has its reply or gave it up.
func (s *servedSlots) begin(now time.Time, v *servedSlot, seq uint32, r *Request) {
	s.clear(v)
	v.state, v.seq, v.executed, v.request, v.at = servedNew, seq, wire.ExecutedMaybe, r, now
	s.fresh.push(v)
}

// forget undoes begin for a request that found no room and was not answered, [CALL-7].
func (s *servedSlots) forget(v *servedSlot) {
	s.drop(v)
	v.seq--
	v.executed = wire.ExecutedMaybe // of the call before nothing is known any more
}

// tell notes that the caller knows its request came.
func (s *servedSlots) tell(v *servedSlot) {
	if v.state == servedNew {
		s.fresh.remove(v)
		v.state = servedRunning
	}
}

// reserve takes memory for a reply that is to be under way, or returns false. moveReply must follow.
func (s *servedSlots) reserve(size int64) bool { return s.movingBytes.Take(size) }

// moveReply notes that the reply of the running request is under way. It is not among the stored ones: who drops it
// stops the transfer first.
func (s *servedSlots) moveReply(now time.Time, v *servedSlot, reply []byte, transfer uint32) {
	s.unlist(v)
	v.state, v.request, v.reply, v.transfer, v.at = servedMoving, nil, reply, transfer, now
	s.moving.push(v)
}

// storeReply stores the reply, in place of the oldest ones if need be. Where even that makes no room it is dropped.
func (s *servedSlots) storeReply(now time.Time, v *servedSlot, reply []byte) {
	s.clear(v)
	v.state, v.reply = servedDropped, reply
	for !s.storedBytes.Take(sizeOf(reply)) {
		if s.stored.head == nil {
			s.drop(v)
			return
		}
		s.drop(s.stored.head)
	}
	v.state, v.at = servedDone, now
	s.stored.push(v)
}

// drop gives up what a slot holds. That its last request came is not forgotten.
func (s *servedSlots) drop(v *servedSlot) {
	s.clear(v)
	v.state = servedDropped
}

// clear takes a slot out of its list and lets go of what it held. If its reply was moving, that transfer is over or was
// stopped.
func (s *servedSlots) clear(v *servedSlot) {
	s.unlist(v)
	if !s.isLent(v) {
		buffer.Recycle(v.reply)
		if v.lent != nil {
			buffer.Recycle(v.lent.B)
		}
	}
	v.request, v.reply, v.lent, v.transfer = nil, nil, nil, 0
}

// lend notes that a part of a reply under way, of that body, is sent from where it is: until takeBack, its memory is
// not used again.
func (s *servedSlots) lend(body []byte) *byte {
	first := unsafe.SliceData(body)
	s.lent = append(s.lent, first)
	return first
}

func (s *servedSlots) takeBack(first *byte) {
	i := slices.Index(s.lent, first)
	s.lent = slices.Delete(s.lent, i, i+1)
}

// isLent reports whether a part of the reply of a slot is being sent. If it is, who lets go of the reply leaves it to
// the collector.
func (s *servedSlots) isLent(v *servedSlot) bool {
	if len(s.lent) == 0 || v.reply == nil {
		return false
	}
	return slices.Contains(s.lent, unsafe.SliceData(wire.Unframe(v.reply)))
}

// unlist takes a slot out of its list.
func (s *servedSlots) unlist(v *servedSlot) {
	switch v.state {
	case servedNew:
		s.fresh.remove(v)
	case servedMoving:
		s.moving.remove(v)
		s.movingBytes.Give(v.moves())
	case servedDone:
		s.stored.remove(v)
		s.storedBytes.Give(sizeOf(v.reply))
	}
}

// unacknowledged returns the oldest request whose caller must be told by now that it came, or nil.
func (s *servedSlots) unacknowledged(now time.Time) *servedSlot {
	if v := s.fresh.head; v != nil && now.Sub(v.at) >= ackDelay {
		return v
	}
	return nil
}

// expire drops the replies that were kept long enough.
func (s *servedSlots) expire(now time.Time) {
	for v := s.stored.head; v != nil && now.Sub(v.at) >= replyKept; v = s.stored.head {
		s.drop(v)
	}
}

// answeredSince reports whether a call was answered after a time.
func (s *servedSlots) answeredSince(t time.Time) bool {
	return s.stored.tail != nil && s.stored.tail.at.After(t)
}

// close gives all memory back: the link is over.
func (s *servedSlots) close() {
	for _, l := range []*slotList{&s.moving, &s.stored} {
		for l.head != nil {
			s.drop(l.head)
		}
	}
	s.movingBytes.Of.Leave(&s.movingBytes)
}

// nextTimeout is when unacknowledged or expire has something to do; zero: never.
func (s *servedSlots) nextTimeout() time.Time {
	var t time.Time
	if s.fresh.head != nil {
		t = s.fresh.head.at.Add(ackDelay)
	}
	if s.stored.head != nil {
		t = pace.Earliest(t, s.stored.head.at.Add(replyKept))
	}
	return t
}
