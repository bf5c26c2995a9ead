package broach

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"broach/internal/link"
	"broach/internal/tally"
	"broach/internal/wire"
)

// FunctionStats is what one end has counted under one name, since the node started. Only Running falls.
type FunctionStats struct {
	// Name is the function's, the topic's, a timer's. "" is all others together: names that nobody has offered, timers
	// without a name, and what came after the first 10,000 names
	Name    string          `msgpack:"n"`
	Calls   uint64          `msgpack:"c,omitempty"` // that have ended here: the sum of Latency.Counts
	Errors  map[Code]uint64 `msgpack:"e,omitempty"` // of them, those that failed, by code; nil: none
	Retries uint64          `msgpack:"r,omitempty"` // of calls made: attempts beyond the first, hedges among them
	Running int             `msgpack:"q,omitempty"` // that have begun and have not ended
	// Latency of calls made: until Call returns, with all attempts. Of those served: from arrival to answer, or, if
	// nobody waits for one, until the function has returned
	Latency Histogram `msgpack:"l,omitempty"`
	Waiting Histogram `msgpack:"w,omitempty"` // of what was served and did run: for a worker, or events before it
}

// Histogram counts times by class: HistogramBounds. The zero value has none.
type Histogram struct {
	// Counts[i] is of times longer than HistogramBounds[i-1], and not longer than HistogramBounds[i] where there is one
	Counts [21]uint64    `msgpack:"b"`
	Sum    time.Duration `msgpack:"s"` // of all times
}

// HistogramBounds are the longest times of the classes of a Histogram but the last: 50, 100, 250 and 500 µs; 1, 2.5, 5,
// 10, 25, 50, 75, 100, 250, 500 and 750 ms; 1, 2.5, 5, 7.5 and 10 s. To change them changes nothing.
var HistogramBounds = tally.Bounds

// tallies are what a node counts by name.
type tallies struct{ called, served, topics, timers *tally.Table }

func newTallies() tallies {
	return tallies{called: tally.NewTable(false), served: tally.NewTable(true),
		topics: tally.NewTable(true), timers: tally.NewTable(true)}
}

// functionStats is what a table has counted, sorted by name.
func functionStats(t *tally.Table) (list []FunctionStats) {
	if n := t.Len(); n > 1 { // most nodes have neither topics nor timers
		list = make([]FunctionStats, 0, n)
	}
	for name, s := range t.All() {
		f := FunctionStats{Name: name, Calls: s.Calls, Retries: s.Retries, Running: s.Running,
			Latency: Histogram{s.Latency.Counts, s.Latency.Sum}, Waiting: Histogram{s.Waiting.Counts, s.Waiting.Sum}}
		for code, n := range s.Errors {
			if f.Errors == nil {
				f.Errors = make(map[Code]uint64, len(s.Errors))
			}
			f.Errors[Code(code)] = n
		}
		list = append(list, f)
	}
	return list
}

// code is what a call is counted with that ended with this error; nil: well.
func (e *Error) code() uint32 {
	if e == nil {
		return 0
	}
	return uint32(e.Code)
}

// At the caller: a call is counted where it begins and ends as a whole, around its Interceptors and all attempts.

// counting returns a Caller whose calls are counted. Both are made in one piece.
func counting(c Caller) *Caller {
	of := new(struct {
		Caller
		counts atomic.Pointer[tally.Cell]
	})
	of.Caller = c
	of.Caller.counts = &of.counts
	return &of.Caller
}

// cell is where the calls of a name are counted. It gets one of its own when somebody has offered the name: what is
// called that nobody offers is counted together, for who calls may have such names from anywhere.
func (c *Caller) cell() *tally.Cell {
	if c.counts == nil {
		return nil
	}
	if cell := c.counts.Load(); cell != nil {
		return cell
	}
	t := c.node.tallies.called
	cell := t.Find(c.name)
	if cell == nil && c.isOffered() {
		cell = t.Cell(c.name)
	}
	if cell == nil {
		return t.Rest()
	}
	c.counts.Store(cell)
	return cell
}

// isOffered reports whether anybody offers the name, as far as this node knows.
func (c *Caller) isOffered() bool {
	return c.node.serving.offered.get(c.name) != nil || c.node.calling.view.Load().routes.get(c.name) != nil
}

// counted is a call that is being counted.
type counted struct {
	cell  *tally.Cell   // nil: it is not
	began time.Duration // by the clock of the provider
}

// errCallCutShort is what a call is counted with whose goroutine has ended, see cutShort.
var errCallCutShort = &Error{Code: Internal, Message: "an argument or an Interceptor ended the goroutine of the call"}

// beginCount counts a call that begins.
func (c *Caller) beginCount(now time.Time) counted {
	n := counted{c.cell(), c.node.serving.provider.at(now)}
	n.cell.Begin(n.began)
	return n
}

// endCount counts how a call has ended. It may have waited for somebody to offer the name.
func (c *Caller) endCount(n counted, now time.Time, failed *Error) {
	at, cell := c.node.serving.provider.at(now), c.cell()
	if cell != n.cell {
		n.cell.Withdraw(n.began)
		cell.Begin(n.began)
	}
	cell.End(n.began, at-n.began, failed.code())
}

// endOf is when a call has ended: as the attempt said that was the last, or, if the call failed, now.
func endOf(p *link.Call) time.Time {
	if p != nil {
		return p.At
	}
	return time.Now()
}

// unusable is an error as that of a call that was counted as one that has ended well.
func (c *Caller) unusable(e *Error) *Error {
	c.cell().Fail(uint32(e.Code))
	return e
}

// countEverybody is everybodyReady. If nobody is there, the call of all has ended; else those to each count.
func (c *Caller) countEverybody(ctx context.Context) ([]netip.AddrPort, *Error) {
	n := c.beginCount(time.Now())
	nodes, failed := c.everybodyReady(ctx)
	if failed != nil {
		c.endCount(n, time.Now(), failed)
	} else {
		n.cell.Withdraw(n.began)
	}
	return nodes, failed
}

// At the provider: a request is counted when it runs, and when it is answered, or would be if somebody waited for that.

// cell is where a request is counted; nil: it is not, for it is made by the nodes for themselves.
func (r *request) cell() *tally.Cell {
	if r.isUnknown() {
		return r.provider.unknown
	}
	return r.function.counts
}

// beginCount counts a request that runs now.
func (r *request) beginCount(now time.Time) {
	at := r.provider.at(now)
	r.isServed = true
	r.cell().Serve(at, at-r.came)
}

// endCount counts how a request has ended, which may not have run.
func (r *request) endCount(now time.Time, code wire.Code) {
	r.ended = r.provider.at(now)
	if r.isServed {
		r.cell().End(r.ended, r.ended-r.came, uint32(code))
	} else {
		r.cell().Refuse(r.ended, r.ended-r.came, uint32(code))
	}
}

// endedAt is when a request was answered.
func (r *request) endedAt() time.Time { return r.provider.began.Add(r.ended) }
