package broach

import (
	"slices"
	"time"
)

const (
	turnHeirs = 3                      // how many others are told of a run: that many may die at once
	turnGrace = 500 * time.Millisecond // what who has the turn may be late, and its message under way, before the owner takes it
)

// timerPlan knows when a timer is due and, of one that several nodes have, whose turn it is, PROTOCOL.md 5.2. Nodes are numbers, by which this one tells them apart.
// The order is that of all who have the timer now, the owner first; of a timer without others it is this node alone.
type timerPlan struct {
	self   uint64
	every  time.Duration
	jitter time.Duration // a run is late by less than this
	shared bool          // others may have the timer too
	due    time.Time     // of the next run, but for its lateness
	late   time.Duration // of the next run
	line   []uint64      // the first of these that is still in the order has the next turn; nil: no run is known of
}

// at is when this node runs next, as far as that can be said now; zero: it is another's turn.
func (p *timerPlan) at(order []uint64) time.Time {
	switch {
	case len(order) == 1 || p.heir(order) == p.self:
		return p.due.Add(p.late)
	case order[0] == p.self: // [TMR-4]
		return p.due.Add(p.jitter + turnGrace)
	}
	return time.Time{}
}

// heir is who has the next turn, [TMR-1]; 0: that is not known.
func (p *timerPlan) heir(order []uint64) uint64 {
	for _, boot := range p.line {
		if slices.Contains(order, boot) {
			return boot
		}
	}
	return 0
}

// take uses this node's turn and plans the next, which is late by late. A run that comes half a period late or more does not have the next
// on its heels: those that were missed are left out, and where there are several nodes, which have no grid in common, a period passes.
func (p *timerPlan) take(now time.Time, late time.Duration, order []uint64) {
	behind := now.Sub(p.due.Add(p.late))
	missed := (behind + p.every/2) / p.every
	if p.shared && missed > 0 {
		p.due = now.Add(p.every)
	} else {
		p.due = p.due.Add(p.every * (1 + missed))
	}
	p.late = late
	p.line = lineOf(p.self, order)
}

// holds reports that this node ran last.
func (p *timerPlan) holds() bool { return len(p.line) > 0 && p.line[0] == p.self }

// handOver gives the next turn to the owner, if this node ran last and is not the owner. It reports whether that is so.
func (p *timerPlan) handOver(order []uint64) bool {
	if !p.holds() || order[0] == p.self {
		return false
	}
	p.line = lineOf(0, order)
	return true
}

// hear takes the news that another ran, [TMR-3]. It reports whether that changes anything.
func (p *timerPlan) hear(now time.Time, from uint64, news turnNews, order []uint64) bool {
	if !slices.Contains(order, from) || order[0] == p.self && p.holds() {
		return false
	}
	p.due = now.Add(p.every - min(max(news.since, 0), p.every))
	if news.over {
		from = 0
	}
	p.line = lineOf(from, order)
	return true
}

// turnNews says that a run was due, and whether it is over and the next is the owner's.
type turnNews struct {
	since time.Duration
	over  bool
}

// lineOf is the order as far as those go who are told of a run, after who ran; 0: after nobody.
func lineOf(ran uint64, order []uint64) []uint64 {
	line := make([]uint64, 0, turnHeirs+1)
	if ran != 0 {
		line = append(line, ran)
	}
	for _, boot := range order {
		if boot != ran && len(line) <= turnHeirs {
			line = append(line, boot)
		}
	}
	return line
}
