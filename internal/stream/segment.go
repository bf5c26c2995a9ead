package stream

import "broach/internal/buffer"

// segments are bytes in the order in which they were appended, in slices of at most segmentMost bytes. A small stream
// takes little memory, and one that goes on takes none anew: what was read is written to again.
type segments struct {
	list  [][]byte // none of them empty
	begun int      // bytes of the first that were taken
	size  int      // of all that was not
	lent  []byte   // what cut has returned last; nil: nothing
	spare []byte   // empty, to be written to
}

// segmentMost is what a reader gets at a time. With one in its hands, the rest of the room is left to be written to.
const segmentMost = 64 << 10

// append copies b.
func (s *segments) append(b []byte) {
	s.size += len(b)
	for len(b) > 0 {
		last := s.last()
		n := min(len(b), segmentMost-len(*last))
		*last = append(*last, b[:n]...)
		b = b[n:]
	}
}

// last is the segment to be written to.
func (s *segments) last() *[]byte {
	if n := len(s.list); n == 0 || len(s.list[n-1]) == segmentMost {
		s.list = append(s.list, s.fresh())
	}
	return &s.list[len(s.list)-1]
}

// fresh is an empty segment. Behind one that is full it has its whole size at once: the stream is no small one.
func (s *segments) fresh() []byte {
	b := s.spare
	s.spare = nil
	if b == nil && len(s.list) > 0 {
		return buffer.Bytes(segmentMost)[:0]
	}
	return b
}

// cut takes out the first segment, or what is left of it, and lends it until recycle. There must be one.
func (s *segments) cut() []byte {
	s.lent = s.list[0]
	b := s.lent[s.begun:]
	s.size -= len(b)
	s.drop()
	return b
}

// drop takes the first segment off the list.
func (s *segments) drop() {
	n := copy(s.list, s.list[1:])
	s.list[n] = nil
	s.list, s.begun = s.list[:n], 0
}

// recycle takes back what cut has lent.
func (s *segments) recycle() {
	s.reuse(s.lent)
	s.lent = nil
}

// reuse keeps the memory of a segment, the larger of two: others may have the other.
func (s *segments) reuse(b []byte) {
	if cap(b) > cap(s.spare) {
		b, s.spare = s.spare, b[:0]
	}
	if b != nil {
		buffer.Recycle(b)
	}
}

// take appends at most most bytes to dst, and takes them out.
func (s *segments) take(dst []byte, most int) []byte {
	for most > 0 && s.size > 0 {
		first := s.list[0]
		n := min(most, len(first)-s.begun)
		dst = append(dst, first[s.begun:s.begun+n]...)
		most, s.begun, s.size = most-n, s.begun+n, s.size-n
		if s.begun == len(first) {
			s.drop()
			s.reuse(first)
		}
	}
	return dst
}
