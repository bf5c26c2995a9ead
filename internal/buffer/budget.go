package buffer

import (
	"slices"
	"sync"
	"sync/atomic"
)

// A Budget is what all links together may hold of one kind of bytes. It is safe for concurrent use: each link takes and
// gives under its own mutex, so nobody owns it, and a counter makes no link wait for another.
//
// One link may take as much as it leaves free for the others: alone half of all, and the next one half of what is left.
type Budget struct {
	Size   int64 // bytes that may be taken
	taken  atomic.Int64
	AtOnce int64 // bytes set aside for a message at its first fragment, if it is so large

	mu     sync.Mutex // protects shares, which links join and leave that do not know of each other
	shares []*Share   // of which the largest gives way
}

// fits says whether who has that many bytes may take n more.
func (m *Budget) fits(has, n int64) bool { return has+n <= m.Size-m.Used()-n }

// take reserves n bytes for who has that many. It returns false, and takes nothing, when that is more than would be
// left.
func (m *Budget) take(has, n int64) bool {
	for {
		used := m.Used()
		if has+n > m.Size-used-n {
			return false
		}
		if m.taken.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// Used is how many bytes are taken.
func (m *Budget) Used() int64 { return m.taken.Load() }

// Give returns what was taken.
func (m *Budget) Give(n int64) { m.taken.Add(-n) }

// Join makes a share one of those that give way.
func (m *Budget) Join(s *Share) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shares = append(m.shares, s)
}

// Leave takes it out again, and reports whether it was one.
func (m *Budget) Leave(s *Share) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.Index(m.shares, s)
	if i >= 0 {
		m.shares = slices.Delete(m.shares, i, i+1)
	}
	return i >= 0
}

// richest returns the largest share that is larger than so many bytes, or nil.
func (m *Budget) richest(than int64) (rich *Share) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.shares {
		if used := s.Used(); used > than {
			rich, than = s, used
		}
	}
	return rich
}

// A Share is what one link has of a budget. The link changes it under its mutex, others look how much it is.
//
//	of.taken = the sum of has, less what is free, over all shares
type Share struct {
	Of    *Budget
	Owner any          // whom it belongs to, for who asks which share is to give way
	Free  int64        // bytes that do not count: as many as may be there for each link that there can be
	Most  int64        // bytes at most, however much is left; 0: no limit
	has   atomic.Int64 // bytes that are taken
}

// Used is how many bytes it has.
func (s *Share) Used() int64 { return s.has.Load() }

// Fits says whether the share may grow by n bytes, if there is room in the budget.
func (s *Share) Fits(n int64) bool { return s.Most == 0 || s.Used()+n <= s.Most }

// Take reserves n bytes, or nothing.
func (s *Share) Take(n int64) bool {
	used := s.Used()
	if !s.Fits(n) || used+n > s.Free && !s.Of.take(s.counted(used), s.counted(used+n)-s.counted(used)) {
		return false
	}
	s.has.Add(n)
	return true
}

// Give returns what was taken.
func (s *Share) Give(n int64) {
	used := s.has.Add(-n)
	if used+n > s.Free {
		s.Of.Give(s.counted(used+n) - s.counted(used))
	}
}

// Settle makes all count that the share has, which is given back to the budget itself from now on: the link is over.
func (s *Share) Settle() {
	used := s.Used()
	s.Of.taken.Add(used - s.counted(used))
	s.Free = 0
}

// counted is what counts of so many bytes.
func (s *Share) counted(n int64) int64 { return max(n-s.Free, 0) }

// Richer returns the share that is to give way before n bytes more can be taken here; nil: none, or there is no need.
// It has more than this one is going to have, so that the two cannot take from each other in turn (longest queue drop,
// as in a switch).
func (s *Share) Richer(n int64) *Share {
	used := s.Used()
	if s.Of.fits(used, n) {
		return nil
	}
	return s.Of.richest(used + n)
}
