package broach

import (
	"slices"
	"sync"
	"sync/atomic"
)

// A memory is what all links together may hold of one kind of bytes. It is safe for concurrent use: each link takes and gives under
// its own mutex, so nobody owns it, and a counter makes no link wait for another.
//
// One link may take as much as it leaves free for the others: alone half of all, and the next one half of what is left.
type memory struct {
	size   int64 // bytes that may be taken
	used   atomic.Int64
	atOnce int64 // bytes set aside for a message at its first fragment, if it is so large

	mu     sync.Mutex // protects shares, which links join and leave that do not know of each other
	shares []*share   // of which the largest gives way
}

// fits says whether who has that many bytes may take n more.
func (m *memory) fits(has, n int64) bool { return has+n <= m.size-m.used.Load()-n }

// take reserves n bytes for who has that many. It returns false, and takes nothing, when that is more than would be left.
func (m *memory) take(has, n int64) bool {
	for {
		used := m.used.Load()
		if has+n > m.size-used-n {
			return false
		}
		if m.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// give returns what was taken.
func (m *memory) give(n int64) { m.used.Add(-n) }

// join makes a share one of those that give way.
func (m *memory) join(s *share) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shares = append(m.shares, s)
}

func (m *memory) leave(s *share) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.Index(m.shares, s); i >= 0 {
		m.shares = slices.Delete(m.shares, i, i+1)
	}
}

// richest returns the largest share that is larger than so many bytes, or nil.
func (m *memory) richest(than int64) (rich *share) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.shares {
		if used := s.used.Load(); used > than {
			rich, than = s, used
		}
	}
	return rich
}

// A share is what one link has of a memory. The link changes it under its mutex, others look how much it is.
//
//	of.used = the sum of used, less what is free, over all shares
type share struct {
	of    *memory
	owner *link
	free  int64 // bytes that do not count: as many as may be there for each link that there can be
	most  int64 // bytes at most, however much is left; 0: no limit
	used  atomic.Int64
}

// fits says whether the share may grow by n bytes, if there is room in the memory.
func (s *share) fits(n int64) bool { return s.most == 0 || s.used.Load()+n <= s.most }

// take reserves n bytes, or nothing.
func (s *share) take(n int64) bool {
	used := s.used.Load()
	if !s.fits(n) || used+n > s.free && !s.of.take(s.counted(used), s.counted(used+n)-s.counted(used)) {
		return false
	}
	s.used.Add(n)
	return true
}

// give returns what was taken.
func (s *share) give(n int64) {
	used := s.used.Add(-n)
	if used+n > s.free {
		s.of.give(s.counted(used+n) - s.counted(used))
	}
}

// settle makes all count that the share has, which is given back to the memory itself from now on: the link is over.
func (s *share) settle() {
	used := s.used.Load()
	s.of.used.Add(used - s.counted(used))
	s.free = 0
}

// counted is what counts of so many bytes.
func (s *share) counted(n int64) int64 { return max(n-s.free, 0) }

// richer returns the link that is to give way before n bytes more can be taken here; nil: none, or there is no need. It has more
// than this one is going to have, so that the two cannot take from each other in turn (longest queue drop, as in a switch).
func (s *share) richer(n int64) *link {
	used := s.used.Load()
	if s.of.fits(used, n) {
		return nil
	}
	if rich := s.of.richest(used + n); rich != nil {
		return rich.owner
	}
	return nil
}
