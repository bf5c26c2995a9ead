// Package turn knows when a timer is due and, of one that several nodes have, whose turn it is, PROTOCOL.md 5.2.
//
// It is pure: it has no clock and sends nothing. Nodes are numbers here, and the order in which they come is an
// argument, for it follows from who is alive just now. Who has the turn tells the next few of the order of its run,
// News, and these take over when it is silent for longer than it may be. That no run is missed goes before that none is
// made twice: where the network is cut, each side has an owner.
//
// A timer keeps its grid, whatever the lateness of single runs; runs that were missed are left out.
//
// Plan is all that a node knows of a timer: At says when to run, Take that it ran, Hear what another has told of its
// run. There is one file.
package turn

import (
	"slices"
	"time"
)

const (
	heirs = 3 // how many others are told of a run: that many may die at once
	// what who has the turn may be late, and its message under way, before the owner takes it
	grace = 500 * time.Millisecond
)

// Plan knows when a timer is due and, of one that several nodes have, whose turn it is, PROTOCOL.md 5.2. Nodes are
// numbers, by which this one tells them apart. The order is that of all who have the timer now, the owner first; of a
// timer without others it is this node alone.
type Plan struct {
	Self   uint64
	Every  time.Duration
	Jitter time.Duration // a run is late by less than this
	Shared bool          // others may have the timer too
	Due    time.Time     // of the next run, but for its lateness
	Late   time.Duration // of the next run
	Line   []uint64      // the first of these that is still in the order has the next turn; nil: no run is known of
}

// At is when this node runs next, as far as that can be said now; zero: it is another's turn.
func (p *Plan) At(order []uint64) time.Time {
	switch {
	case len(order) == 1 || p.heir(order) == p.Self:
		return p.Due.Add(p.Late)
	case order[0] == p.Self: // [TMR-4]
		return p.Due.Add(p.Jitter + grace)
	}
	return time.Time{}
}

// heir is who has the next turn, [TMR-1]; 0: that is not known.
func (p *Plan) heir(order []uint64) uint64 {
	for _, boot := range p.Line {
		if slices.Contains(order, boot) {
			return boot
		}
	}
	return 0
}

// Take uses this node's turn and plans the next, which is late by late. A run that comes half a period late or more
// does not have the next on its heels: those that were missed are left out, and where there are several nodes, which
// have no grid in common, a period passes.
func (p *Plan) Take(now time.Time, late time.Duration, order []uint64) {
	behind := now.Sub(p.Due.Add(p.Late))
	missed := (behind + p.Every/2) / p.Every
	if p.Shared && missed > 0 {
		p.Due = now.Add(p.Every)
	} else {
		p.Due = p.Due.Add(p.Every * (1 + missed))
	}
	p.Late = late
	p.Line = lineOf(p.Self, order)
}

// holds reports that this node ran last.
func (p *Plan) holds() bool { return len(p.Line) > 0 && p.Line[0] == p.Self }

// HandOver gives the next turn to the owner, if this node ran last and is not the owner. It reports whether that is so.
func (p *Plan) HandOver(order []uint64) bool {
	if !p.holds() || order[0] == p.Self {
		return false
	}
	p.Line = lineOf(0, order)
	return true
}

// Hear takes the news that another ran, [TMR-3]. It reports whether that changes anything.
func (p *Plan) Hear(now time.Time, from uint64, news News, order []uint64) bool {
	if !slices.Contains(order, from) || order[0] == p.Self && p.holds() {
		return false
	}
	p.Due = now.Add(p.Every - min(max(news.Since, 0), p.Every))
	if news.Over {
		from = 0
	}
	p.Line = lineOf(from, order)
	return true
}

// News says that a run was due, and whether it is over and the next is the owner's.
type News struct {
	Since time.Duration
	Over  bool
}

// lineOf is the order as far as those go who are told of a run, after who ran; 0: after nobody.
func lineOf(ran uint64, order []uint64) []uint64 {
	line := make([]uint64, 0, heirs+1)
	if ran != 0 {
		line = append(line, ran)
	}
	for _, boot := range order {
		if boot != ran && len(line) <= heirs {
			line = append(line, boot)
		}
	}
	return line
}
