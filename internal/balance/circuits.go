package balance

import (
	"cmp"
	"slices"
	"sort"
	"sync/atomic"
	"time"
)

// Forgiven is how long after its last failure a breaker that nobody tries any more counts as closed, or longer if its
// pause is long.
const Forgiven = time.Minute

// Circuits tells the loop of breakers that opened or closed, which it is to publish.
type Circuits struct {
	Changed atomic.Bool // since it was last set to false
	Wake    func()      // wakes the loop; it never blocks
}

// tripping is who is told of a breaker that opens or closes.
type tripping struct {
	record *Record // of the provider
	news   *Circuits
}

// note says that it did. It never blocks: the breaker is locked.
func (t tripping) note() {
	t.record.tripped.Store(true)
	t.news.Changed.Store(true)
	t.news.Wake()
}

// OpenCircuits lists the functions with a breaker at the peer that is not closed, sorted.
func (r *Record) OpenCircuits(now time.Time) (names []string) {
	if !r.tripped.Swap(false) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, e := range r.experiences {
		if e.isOpen(now) {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		r.tripped.Store(true)
	}
	slices.Sort(names)
	return names
}

// BreakerState is one breaker, as users see it.
type BreakerState struct {
	Service  string
	Policy   Policy
	Failures int           // since the last success
	IsOpen   bool          // it is, or lets one call try
	IsBusy   bool          // nothing but overload has opened it, or would
	Rest     time.Duration // until one may try
}

// BreakersShown is how many breakers of one peer are shown.
const BreakersShown = 100

// Breakers lists the breakers at the peer, the open ones first, by service and policy.
func (r *Record) Breakers(now time.Time) (list []BreakerState) {
	r.mu.Lock()
	for name, e := range r.experiences {
		list = e.breakers.Load().states(list, now, name)
	}
	r.mu.Unlock()
	sort.Slice(list, func(i, j int) bool {
		a, b := &list[i], &list[j]
		if a.IsOpen != b.IsOpen {
			return a.IsOpen
		}
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Policy.Failures, b.Policy.Failures),
			cmp.Compare(a.Policy.Window, b.Policy.Window), cmp.Compare(a.Policy.Pause, b.Policy.Pause)) < 0
	})
	return list[:min(len(list), BreakersShown)]
}

// states appends those of a function to a list, without those that are forgiven.
func (list *breakers) states(to []BreakerState, now time.Time, service string) []BreakerState {
	if list == nil {
		return to
	}
	for _, b := range *list {
		if s := b.state(now, service); !s.IsOpen || now.Sub(b.lastFailure()) < b.policy.forgivenAfter() {
			to = append(to, s)
		}
	}
	return to
}

// state is what users see of one.
func (b *breaker) state(now time.Time, service string) BreakerState {
	s := BreakerState{Service: service, Policy: b.policy, Failures: int(b.failures.Load()), IsOpen: !b.isClosed(),
		IsBusy: b.isOverloaded()}
	if s.IsOpen {
		s.Rest = max(b.lastFailure().Add(b.policy.Pause).Sub(now), 0)
	}
	return s
}

// isOpen reports whether there is a breaker that is not closed. Those that are forgiven are dropped.
func (e *experience) isOpen(now time.Time) (open bool) {
	list := e.breakers.Load()
	if list == nil {
		return false
	}
	for _, b := range *list {
		switch {
		case b.isClosed():
		case now.Sub(b.lastFailure()) < b.policy.forgivenAfter():
			open = true
		default:
			e.drop(b)
		}
	}
	return open
}

// Forgive drops the breakers of a peer that the membership has found to be away: that explains the failures.
func (r *Record) Forgive(news *Circuits) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.experiences {
		e.breakers.Store(nil)
	}
	if r.tripped.Load() {
		tripping{r, news}.note()
	}
}
