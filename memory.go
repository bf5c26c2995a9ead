package broach

import "sync/atomic"

// A memory is what all links together may reserve for unfinished large messages. It is safe for concurrent use: each link
// takes and gives under its own mutex, so nobody owns it, and a counter makes no link wait for another.
type memory struct {
	size   int64 // bytes that may be taken
	used   atomic.Int64
	atOnce int64 // bytes set aside for a message at its first fragment, if it is so large
}

// take reserves n bytes. It returns false, and takes nothing, when fewer are left.
func (m *memory) take(n int64) bool {
	if m.used.Add(n) <= m.size {
		return true
	}
	m.used.Add(-n)
	return false
}

// give returns what was taken.
func (m *memory) give(n int64) { m.used.Add(-n) }
