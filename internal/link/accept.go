package link

import (
	"time"

	"broach/internal/seal"
)

// numberSpan is by how much a number may lie above the highest accepted, [LNK-13]: 16 s of a million lost datagrams a
// second, which windows do not allow.
const numberSpan = 1 << 24

// farPerSec is how many datagrams a second are tried for which keys have to be made anew each, [SEC-3].
const farPerSec = 16

// MayTake reports whether a datagram with a number may be looked at: it is new, and no key has to be made for it, or
// not too many were. The reader calls it, before anything is opened.
func (l *Link) MayTake(now time.Time, number uint64) bool {
	if number > l.window.highest+numberSpan || !l.window.isNew(number) {
		return false
	}
	return l.sealed == nil || !seal.IsFar(seal.Epoch(number), seal.Epoch(l.window.highest)) ||
		l.sealed.far.Take(now, farPerSec)
}

// Take notes that a datagram has come that MayTake let in, and that was opened. The reader calls it.
func (l *Link) Take(now time.Time, number uint64, size int) {
	before := l.window.highest
	l.window.accept(number)
	l.heard.Store(l.carrier.Timers.Stamp(now))
	l.traffic.Arrived.Add(1)
	l.traffic.BytesIn.Add(uint64(size))
	l.traffic.Numbered.Add(l.window.highest - before)
}

// Best is the link on which calls to the peer begin: this one, or the one that has taken its place.
func (l *Link) Best() *Link {
	for next := l.successor.Load(); next != nil; next = l.successor.Load() {
		l = next
	}
	return l
}

// SucceedBy lets calls begin on another link to the same process from now on; nil: here again.
func (l *Link) SucceedBy(next *Link) { l.successor.Store(next) }

// IsQuiet reports that a link which has a better one beside it may be closed: no call of ours is in flight on it, and
// nothing has come on it for long.
func (l *Link) IsQuiet(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.Sub(l.LastHeard()) >= drainFor && l.soFar().calls.inUse() == 0
}

// IsBusy reports that calls are in flight on the link, ours or the peer's, and that it works. One that was answered
// lately is the peer's still: it may not have got the reply, or have sent the next.
func (l *Link) IsBusy(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.soFar()
	return now.Sub(l.LastHeard()) < drainFor && (x.calls.inUse() > 0 || len(x.running()) > 0 || x.hasServedFlows() ||
		x.served.answeredSince(now.Add(-drainFor)))
}

// drainFor is how long nothing has come on a link that is replaced, until it is closed, [LNK-7].
const drainFor = 5 * time.Second
