package broach

import (
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
	since   time.Time               // when the provider was first there to be called
	latency atomic.Int64            // moving average, ns; 0: none yet
	breaker atomic.Pointer[breaker] // nil: it did not fail since it last did well
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

// chooser chooses the providers of one call.
type chooser struct {
	service string
	now     time.Time
	random  func(n int) int
	tried   []*record
	shut    []*record // not called because of a breaker
	chosen  visit     // the last choice
}

// visit is a call's stay at one provider.
type visit struct {
	link   *link.Link  // nil: this node itself
	record *record     // of who is visited
	known  *experience // nil: none is kept
	permit permit
}

// enter reports whether the provider may be called.
func (v *visit) enter() (ok bool) {
	if v.known == nil {
		return true
	}
	v.permit, ok = v.known.enter()
	return ok
}

// leave takes up how the visit ended. news hears of a breaker that opens or closes by it.
func (v *visit) leave(began, now time.Time, ended ending, news *circuitNews) {
	if v.known == nil {
		return
	}
	if ended.code == 0 {
		v.known.note(now.Sub(began))
	}
	v.known.leave(tripping{v.record, news}, now, v.permit, ended)
}

// chance draws a number from 0 to 1.
func (c *chooser) chance() float64 { return float64(c.random(1<<20)) / (1 << 20) }

// pick chooses a provider by load, or nil if none is left. The doubtful are chosen only when nobody else is left; those that were tried never.
func (c *chooser) pick(alive, doubtful []candidate) *record {
	if found := c.among(c.left(alive)); found != nil {
		return found
	}
	return c.among(c.left(doubtful))
}

// left is a list without those that were tried. After a breaker has refused, others are looked at too.
func (c *chooser) left(list []candidate) []candidate {
	if len(c.tried)+len(c.shut) == 0 {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(d candidate) bool {
		return c.isOut(d.record) || len(c.shut) > 0 && d.isShut()
	})
}

// isOut reports whether a provider is not to be chosen by this call any more.
func (c *chooser) isOut(r *record) bool {
	return slices.Contains(c.tried, r) || slices.Contains(c.shut, r)
}

// among takes one of two random candidates.
func (c *chooser) among(list []candidate) *record {
	if len(list) == 0 {
		return nil
	}
	d := &list[0]
	if n := len(list); n > 1 {
		i := c.random(n)
		other := &list[(i+1+c.random(n-1))%n]
		if d = &list[i]; c.isBetter(other, d) {
			d = other
		}
	}
	return c.take(d)
}

// take makes a candidate the choice.
func (c *chooser) take(d *candidate) *record {
	c.chosen = visit{link: d.link, record: d.record, known: d.known}
	return d.record
}

// isBetter reports whether a is to be taken rather than b, which wins a tie: that is as random as the choice of it.
func (c *chooser) isBetter(a, b *candidate) bool {
	loadA, loadB := a.record.inflight.Load(), b.record.inflight.Load()
	if a.known == nil || b.known == nil {
		return loadA < loadB
	}
	if cold := a.known.warmth(c.now) / b.known.warmth(c.now); cold < 1 && c.chance() >= cold {
		return false
	} else if cold > 1 && c.chance() >= 1/cold {
		return true
	}
	slowA, slowB := float64(a.latency()), float64(b.latency())
	if slowA == 0 || slowB == 0 || max(slowA, slowB) < latencyMargin*min(slowA, slowB) {
		return loadA < loadB
	}
	costA, costB := slowA*float64(loadA+1), slowB*float64(loadB+1)
	return c.chance()*(costA+costB) < costB
}
