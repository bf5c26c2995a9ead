package stream

// segments are bytes in the order in which they were appended, in slices of at most segmentMost bytes. A small stream
// takes little memory, and one that goes on takes none anew: what was read is written to again.
type segments struct {
	list  [][]byte // none of them empty
	begun int      // bytes of the first that were taken
	size  int      // of all that was not
	lent  []byte   // what cut has returned last; nil: nothing
	spare [][]byte // empty, to be written to: as many as there can be
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
	n := len(s.spare)
	switch {
	case n > 0:
		b := s.spare[n-1]
		s.spare[n-1] = nil
		s.spare = s.spare[:n-1]
		return b
	case len(s.list) > 0:
		return make([]byte, 0, segmentMost)
	}
	return nil
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

// reuse keeps the memory of a segment, while there are not so many.
func (s *segments) reuse(b []byte) {
	if cap(b) > 0 && len(s.spare) <= Room/segmentMost {
		s.spare = append(s.spare, b[:0])
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
