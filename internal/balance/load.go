// Package balance is which of the providers of a function gets a call, and which gets none for a while.
//
// What is known of a process is its Record, which outlives links and views: how many of our calls are in flight there,
// and for each function called how long it took lately and whether it fails. A Chooser makes the choices of one call:
// of two random candidates the one with less to do (Mitzenmacher 2001, "The power of two choices"), rather the faster
// one if one is twice as fast, and seldom one that has just come. A Visit is the call's stay at the one chosen; how it
// ended goes back into the Record. A Budget keeps what is tried again from adding to an overload.
//
// It never sends anything, and knows neither routes nor errors of users: an Ending has the codes of PROTOCOL.md 2.6. It
// is told the time. Many calls use a Record at once; a Chooser and a Visit are one call's.
//
// Files: load.go, the choice; candidate.go and record.go, of what and by what; misfits.go, whose signature does not
// fit; breaker.go, who gets no call, by which policy.go; circuits.go, who is told of that; budget.go; rendezvous.go,
// the same choice at all nodes without a word.
package balance

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"broach/internal/link"
)

const (
	warmUp        = 10 * time.Second // until a provider that has come gets its share
	coldest       = 0.1              // of that, at first
	latencyWeight = 16               // a new latency counts for a sixteenth of the average
	latencyMargin = 2                // times as slow is slow; less may be chance
)

// experience is what this node knows of one function at one provider. It outlives the views.
type experience struct {
	since    time.Time                // when the provider was first there to be called
	latency  atomic.Int64             // moving average, ns; 0: none yet
	breakers atomic.Pointer[breakers] // nil: it did not fail since it last did well
}

// note takes up how long a call took. Two at once may overwrite each other: it is an average.
func (e *experience) note(took time.Duration) {
	old := e.latency.Load()
	if old == 0 {
		e.latency.Store(max(int64(took), 1))
		return
	}
	e.latency.Store(max(old+(int64(took)-old)/latencyWeight, 1))
}

// warmth is what part of its share the provider is to get.
func (e *experience) warmth(now time.Time) float64 {
	return min(max(float64(now.Sub(e.since))/float64(warmUp), coldest), 1)
}

// Chooser chooses the providers of one call.
type Chooser struct {
	Service string
	Now     time.Time
	Random  func(n int) int // draws a number below n
	Policy  *Policy         // of its breakers; nil: Usual
	Heed    Heed            // which of them it heeds
	Tried   []*Record       // where the call has been
	Shut    []*Record       // not called because of a breaker
	Refused []string        // signatures that the arguments do not fit
	Misfits []string        // signatures that arguments like these did not fit lately: only where nobody else is left
	Chosen  Visit           // the last choice
}

// Visit is a call's stay at one provider.
type Visit struct {
	Link   *link.Link // nil: this node itself
	Record *Record    // of who is visited
	// of the function there
	Signature string
	Table     uint32      // as the Candidate has it
	known     *experience // nil: none is kept
	permit    permit
	// what comes of it is nothing to the breaker
	isUncounted bool
}

// Enter reports whether the provider of the choice may be called. One that may not is passed over from then on.
func (c *Chooser) Enter() (ok bool) {
	v := &c.Chosen
	if v.known == nil {
		return true
	}
	if c.Heed == HeedNone {
		v.isUncounted = true
		return true
	}
	if v.permit, ok = v.known.enter(c.policy(), c.Heed); !ok {
		c.Shut = append(c.Shut, v.Record)
	}
	return ok
}

// Relent has the call look again at those that were passed over: those that are only overloaded, then those whose
// signature did not fit lately. It reports whether there may be any.
func (c *Chooser) Relent(lists ...[]Candidate) bool {
	if c.Heed == HeedAll {
		c.Heed, c.Shut = HeedBroken, nil
		if c.hasAny(lists) {
			return true
		}
	}
	passed := len(c.Misfits) > 0
	c.Misfits = nil
	return passed
}

// hasAny reports whether somebody in the lists can be chosen.
func (c *Chooser) hasAny(lists [][]Candidate) bool {
	for _, list := range lists {
		for i := range list {
			if d := &list[i]; !c.IsOut(d) && !c.isShut(d) {
				return true
			}
		}
	}
	return false
}

// policy is that of its breakers.
func (c *Chooser) policy() *Policy { return cmp.Or(c.Policy, &Usual) }

// isShut reports whether a breaker lets the call not go to a provider now.
func (c *Chooser) isShut(d *Candidate) bool {
	if d.known == nil || c.Heed == HeedNone {
		return false
	}
	b := d.known.breaker(c.policy())
	return b != nil && b.isShut() && !c.Heed.lets(b)
}

// Leave takes up how the visit ended. news hears of a breaker that opens or closes by it.
func (v *Visit) Leave(began, now time.Time, ended Ending, news *Circuits) {
	if v.known == nil {
		return
	}
	if ended.Code == 0 {
		v.known.note(now.Sub(began))
	}
	if v.isUncounted {
		return
	}
	v.known.leave(tripping{v.Record, news}, now, v.permit, ended)
}

// chance draws a number from 0 to 1.
func (c *Chooser) chance() float64 { return float64(c.Random(1<<20)) / (1 << 20) }

// Pick chooses a provider by load, or nil if none is left. The doubtful are chosen only when nobody else is left; those
// that were tried never.
func (c *Chooser) Pick(alive, doubtful []Candidate) *Record {
	if found := c.Among(c.left(alive)); found != nil {
		return found
	}
	return c.Among(c.left(doubtful))
}

// left is a list without those that were tried. After a breaker has refused, others are looked at too.
func (c *Chooser) left(list []Candidate) []Candidate {
	if len(c.Tried)+len(c.Shut)+len(c.Refused)+len(c.Misfits) == 0 {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(d Candidate) bool {
		return c.IsOut(&d) || len(c.Shut) > 0 && c.isShut(&d)
	})
}

// Open is a copy of a list, which is everybody's, without those that cannot be chosen.
func (c *Chooser) Open(list []Candidate) []Candidate {
	return slices.DeleteFunc(slices.Clone(list), func(d Candidate) bool {
		return c.IsOut(&d) || c.isShut(&d)
	})
}

// IsOut reports whether a provider is not to be chosen by this call any more, or not yet.
func (c *Chooser) IsOut(d *Candidate) bool {
	return slices.Contains(c.Tried, d.Record) || slices.Contains(c.Shut, d.Record) ||
		slices.Contains(c.Refused, d.Signature) || slices.Contains(c.Misfits, d.Signature)
}

// Among takes one of two random candidates.
func (c *Chooser) Among(list []Candidate) *Record {
	if len(list) == 0 {
		return nil
	}
	d := &list[0]
	if n := len(list); n > 1 {
		i := c.Random(n)
		other := &list[(i+1+c.Random(n-1))%n]
		if d = &list[i]; c.isBetter(other, d) {
			d = other
		}
	}
	return c.Take(d)
}

// Take makes a candidate the choice.
func (c *Chooser) Take(d *Candidate) *Record {
	c.Chosen = Visit{Link: d.Link, Record: d.Record, Signature: d.Signature, Table: d.Table, known: d.known}
	return d.Record
}

// isBetter reports whether a is to be taken rather than b, which wins a tie: that is as random as the choice of it.
func (c *Chooser) isBetter(a, b *Candidate) bool {
	loadA, loadB := a.Record.Inflight.Load(), b.Record.Inflight.Load()
	if a.known == nil || b.known == nil {
		return loadA < loadB
	}
	if cold := a.known.warmth(c.Now) / b.known.warmth(c.Now); cold < 1 && c.chance() >= cold {
		return false
	} else if cold > 1 && c.chance() >= 1/cold {
		return true
	}
	slowA, slowB := float64(a.Latency()), float64(b.Latency())
	if slowA == 0 || slowB == 0 || max(slowA, slowB) < latencyMargin*min(slowA, slowB) {
		return loadA < loadB
	}
	costA, costB := slowA*float64(loadA+1), slowB*float64(loadB+1)
	return c.chance()*(costA+costB) < costB
}
