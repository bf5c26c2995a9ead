package broach

import "time"

// newLink makes a link. Its datagrams are numbered from the time since start on, in microseconds, or from higher up: more than any earlier link
// to the same process has used, so that the peer takes none of them for a replay, [HDR-7], [SEAL-3].
func newLink(now time.Time, c *carrier, id linkID, seed uint64) *link {
	number, _, _ := c.floors.get()
	l := &link{carrier: c, id: id, number: max(number, uint64(now.Sub(c.timers.start).Microseconds()))}
	l.rng.Seed(seed, id.boot)
	if c.ring.Load() != nil {
		l.sealed = new(linkSeals)
	}
	l.heard.Store(c.timers.stamp(now))
	return l
}

// raiseFloors sees to it that another link to the same process does not begin with the numbers of this one.
func (l *link) raiseFloors() {
	if l.exchange == nil {
		l.floors.raise(l.number, 0, 0)
		return
	}
	l.floors.raise(l.number, l.calls.highest(), l.sending.lastID)
}

// accept notes that a datagram has come, and reports whether it is new. The reader calls it.
func (l *link) accept(now time.Time, number uint64, size int) bool {
	before := l.window.highest
	if !l.window.accept(number) {
		return false
	}
	if before == 0 || number > before+replaySpan { // a link that was made anew numbers on from higher up
		l.skipped += number - before - 1
	}
	l.heard.Store(l.timers.stamp(now))
	l.arrived.Add(1)
	l.bytesIn.Add(uint64(size))
	l.numbered.Store(l.window.highest - l.skipped)
	return true
}

// begin makes the peer's numbers up to one count as seen.
func (l *link) begin(number uint64) {
	l.window.begin(number)
	l.skipped = number
}
