package skew

import (
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	servicesMost  = 1024 // functions whose calls are compared,
	usesMost      = 16   // and ways to call each of them; others are not kept
	ArgsMost      = 8    // arguments of each that are to be looked at
	ProvidersMost = 4096 // that are remembered for each Use: as many as a cluster has
)

// Uses are the ways in which a program calls functions, by their names, and what came of comparing them. They may be
// used by many goroutines at once; who finds one does not allocate. The zero Uses has none.
type Uses struct {
	all atomic.Pointer[map[string][]*Use] // by service; not written to, but replaced
	mu  sync.Mutex                        // is held while all is replaced: any caller may find what is new
}

// Find finds the Use that a call is one of, by its first arguments and what it wants. If there is none, it reports
// whether there is room for another.
func (s *Uses) Find(service string, args []any, results []reflect.Type) (u *Use, hasRoom bool) {
	all := s.all.Load()
	if all == nil {
		return nil, true
	}
	list, isKnown := (*all)[service]
	for _, u := range list {
		if u.fits(args, results) {
			return u, false
		}
	}
	return nil, len(list) < usesMost && (isKnown || len(*all) < servicesMost)
}

// Add adds a Use to a copy of them all, unless another goroutine was faster.
func (s *Uses) Add(service string, u *Use) *Use {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := map[string][]*Use{}
	if all := s.all.Load(); all != nil {
		next = maps.Clone(*all)
	}
	for _, other := range next[service] {
		if slices.Equal(u.args, other.args) && slices.Equal(u.results, other.results) {
			return other
		}
	}
	next[service] = append(slices.Clip(next[service]), u)
	s.all.Store(&next)
	return u
}

// A Use is one way in which a program calls a function: with arguments of these types, for results of those.
type Use struct {
	args     []reflect.Type // the first; nil for a nil
	results  []reflect.Type
	Own      *Outline   // what the program says of it
	mu       sync.Mutex // is held while verdicts are replaced: callers, and the goroutine of the background, reach one
	verdicts atomic.Pointer[map[Edition]*Verdict]
}

// A Verdict is what came of the comparison with one provider. It does not change.
type Verdict struct {
	Difference string        // empty: there is none
	Failed     error         // why it is not known; it is asked again, but where IsLasting
	IsLasting  bool          // the provider will not say it another time
	donec      chan struct{} // somebody asks now; closed when there is another verdict. Else nil
}

// Waiting is the Verdict while a question waits its turn.
var Waiting = new(Verdict)

// IsOpen reports that somebody who needs the verdict is to ask for it.
func (v *Verdict) IsOpen() bool { return v == nil || v == Waiting || v.Failed != nil && !v.IsLasting }

// NewUse returns a Use of which nothing is known but how it is described.
func NewUse(args []any, results []reflect.Type, own *Outline) *Use {
	u := &Use{results: slices.Clone(results), Own: own}
	for _, x := range args {
		u.args = append(u.args, reflect.TypeOf(x))
	}
	return u
}

// Asked is closed when there is another Verdict; nil: nobody asks for one now.
func (v *Verdict) Asked() <-chan struct{} { return v.donec }

// fits reports whether a call is one of these.
func (u *Use) fits(args []any, results []reflect.Type) bool {
	if len(args) != len(u.args) || !slices.Equal(results, u.results) {
		return false
	}
	for i, t := range u.args {
		if reflect.TypeOf(args[i]) != t {
			return false
		}
	}
	return true
}

// Verdict is that on a provider; nil: there is none.
func (u *Use) Verdict(by Edition) *Verdict {
	if all := u.verdicts.Load(); all != nil {
		return (*all)[by]
	}
	return nil
}

// Put notes a Verdict on a provider.
func (u *Use) Put(by Edition, v *Verdict) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.replace(by, v)
}

// Claim is how one gets to ask: by a verdict that says so. Without that it returns the one there is.
func (u *Use) Claim(by Edition) (v *Verdict, isMine bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if v = u.Verdict(by); !v.IsOpen() {
		return v, false
	}
	v = &Verdict{donec: make(chan struct{})}
	u.replace(by, v)
	return v, true
}

// Settle is what came of a Claim: it ends that. Who waits for it finds the Verdict.
func (u *Use) Settle(by Edition, claimed, v *Verdict) {
	u.Put(by, v)
	close(claimed.donec)
}

// replace makes a copy of the verdicts with another one. If there are too many all are forgotten: to ask again costs
// little.
func (u *Use) replace(by Edition, v *Verdict) {
	next := map[Edition]*Verdict{}
	if all := u.verdicts.Load(); all != nil && len(*all) < ProvidersMost {
		next = maps.Clone(*all)
	}
	next[by] = v
	u.verdicts.Store(&next)
}
