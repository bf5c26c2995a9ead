package balance

import (
	"sync"
	"time"
)

const (
	budgetFloor = 10 // retries a second that are always allowed
	budgetShare = 5  // and one for so many calls
)

// Budget keeps retries from adding to an overload. It is used by many calls at once.
type Budget struct {
	mu     sync.Mutex
	since  time.Time // of this second
	before uint64    // calls made until then
	spent  uint64
}

// Spend takes a retry from the budget. calls is how many were made in all.
func (b *Budget) Spend(now time.Time, calls uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.since) >= time.Second {
		b.since, b.before, b.spent = now, calls, 0
	}
	if b.spent >= budgetFloor+(calls-b.before)/budgetShare {
		return false
	}
	b.spent++
	return true
}
