package tally

import (
	"sync"
	"sync/atomic"
)

const (
	known = 15 // codes below have a place of their own
	// others a Cell keeps so many of; the rest counts as the code of those that have none of their own
	othersMost = 32
	unnamed    = 1 // PROTOCOL.md 2.2, Application
)

// failures count codes. Strangers choose them, so only so many are kept apart. The zero value is empty.
type failures struct {
	known  [known]atomic.Uint64
	mu     sync.Mutex // protects others: calls that fail with a code of the application meet here
	others []failure  // at most othersMost
}

// failure is how often there was a code.
type failure struct {
	code  uint32
	count uint64
}

func (f *failures) add(code uint32) {
	if code >= known && f.addOther(code) {
		return
	}
	if code >= known {
		code = unnamed
	}
	f.known[code].Add(1)
}

// addOther reports false if there is no room for one more code.
func (f *failures) addOther(code uint32) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.others {
		if f.others[i].code == code {
			f.others[i].count++
			return true
		}
	}
	if len(f.others) == othersMost {
		return false
	}
	f.others = append(f.others, failure{code, 1})
	return true
}

// snapshot is how often there was each code; nil: there was none.
func (f *failures) snapshot() (counts map[uint32]uint64) {
	note := func(code uint32, count uint64) {
		if counts == nil {
			counts = make(map[uint32]uint64)
		}
		counts[code] = count
	}
	for code := range f.known {
		if n := f.known[code].Load(); n > 0 {
			note(uint32(code), n)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range f.others {
		note(o.code, o.count)
	}
	return counts
}
