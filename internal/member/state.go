package member

import (
	"time"
)

// A State is what we believe of a peer, [MEM-13] to [MEM-19]. A process that nobody has met has none.
//
//	alive -> suspect     it answered no probe, nor a witness for it [MEM-13]
//	suspect -> alive     it was heard [MEM-17]
//	suspect -> offline   it was not heard until its time to refute was over [MEM-14]
//	alive -> offline     another process is at its address [LNK-10], or Offline was said of it and Pings are
//	                     in vain [MEM-30]
//	offline -> alive     it was heard [MEM-17]
//	any -> left          it said Leave [MEM-19]
type State uint8

const (
	Alive   State = iota // it answers
	Suspect              // it answers neither us nor a witness
	Offline              // it is contacted now and then
	Left                 // it is not, and is soon forgotten
)

// A belief is a State, and of a suspect peer also why it is suspect: so only that one has a reason. believe changes it.
//
//	believedAlive -> accused          another says so, and our first Pings are in vain [MEM-30]
//	accused -> doubted, doubtedAlone  so are all of them: the time to refute begins
type belief uint8

// Those of members come first.
const (
	believedAlive belief = iota
	accused              // suspect by another's word
	doubted              // suspect by our own probes, which all are told
	doubtedAlone         // likewise, though no witness says so: the others are not told [MEM-13]
	believedOffline
	hasLeft
)

// states are those that the beliefs amount to.
var states = [...]State{
	believedAlive:   Alive,
	accused:         Suspect,
	doubted:         Suspect,
	doubtedAlone:    Suspect,
	believedOffline: Offline,
	hasLeft:         Left,
}

func (p *peer) state() State { return states[p.belief] }

// News is what may become of a peer, for those who are told.
type News uint8

const (
	NewsUp News = iota // it was found, or is alive or reachable again
	NewsSuspect
	NewsOffline
	NewsLeft
	NewsUnreachable // by us, though it lives
)

func (n News) String() string {
	return [...]string{"up", "suspect", "offline", "left", "unreachable"}[n]
}

// News is what a state is to those who are told of it, of a peer that is reached.
func (s State) News() News {
	return [...]News{Alive: NewsUp, Suspect: NewsSuspect, Offline: NewsOffline, Left: NewsLeft}[s]
}

// news is what a peer is to those who are told of it. One that is alive may be out of reach from here.
func (p *peer) news() News {
	if p.state() == Alive && p.unreachable {
		return NewsUnreachable
	}
	return p.state().News()
}

// News is what is told of the peer.
func (v *View) News() News {
	if v.State == Alive && v.Unreachable {
		return NewsUnreachable
	}
	return v.State.News()
}

func (s State) String() string { return [...]string{"alive", "suspect", "offline", "left"}[s] }

// A member that goes and comes back again and again, because its processor is starved or its network is, is in use
// whenever it happens to be there: each time some calls are lost with it. So it is shown as unsteady and called last,
// [MEM-24].

const (
	flapsMax    = 3
	flapsWithin = time.Minute
	steadyAfter = 30 * time.Second
)

// flaps are what is remembered of a peer that went offline, and of the process before it at its address.
type flaps struct {
	at       [flapsMax]time.Time // the last times, the latest first
	unsteady bool                // they were too many, and steadyAfter is not over
}

// tooMany reports whether they make a peer unsteady.
func (f *flaps) tooMany() bool {
	first := f.at[flapsMax-1]
	return !first.IsZero() && f.at[0].Sub(first) <= flapsWithin
}

// isUnsteady reports that a peer is called last, [MEM-24].
func (p *peer) isUnsteady() bool { return p.flaps != nil && p.flaps.unsteady }

// steadyAt is when an unsteady peer may be trusted again; zero: it is steady.
func (p *peer) steadyAt() time.Time {
	if !p.isUnsteady() {
		return time.Time{}
	}
	return p.flaps.at[0].Add(steadyAfter)
}

// flap notes that a peer went offline.
func (p *peer) flap(now time.Time) {
	if p.flaps == nil {
		p.flaps = new(flaps)
	}
	f := p.flaps
	copy(f.at[1:], f.at[:])
	f.at[0] = now
	f.unsteady = f.tooMany()
}
