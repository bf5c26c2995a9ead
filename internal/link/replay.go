package link

// Sizes of the replay window, PROTOCOL.md [HDR-5].
const (
	replaySpan = 4096 // numbers told apart below the highest: 8 ms of the fastest transfer measured
	replayIdle = 256  // a link with fewer datagrams than this makes do with its last 64 numbers
)

// replayWindow remembers which datagram numbers of a link have come. The zero value has seen none.
// A thousand idle peers are common, so the wide window is made only for a link that has become busy.
type replayWindow struct {
	highest uint64
	count   uint32                   // of numbers accepted, up to replayIdle
	recent  uint64                   // bit i: highest-i has come
	wide    *[replaySpan / 64]uint64 // bit n%replaySpan: n has come, for n in (highest-replaySpan, highest]
}

// isNew reports whether accept would take a number.
func (w *replayWindow) isNew(number uint64) bool {
	if number > w.highest {
		return true
	}
	age := w.highest - number
	switch {
	case number == 0:
		return false
	case age < 64:
		return w.recent&(1<<age) == 0
	case w.wide == nil || age >= replaySpan:
		return false
	}
	return w.wide[number%replaySpan/64]&(1<<(number%64)) == 0
}

// accept reports whether number is new, and remembers it.
func (w *replayWindow) accept(number uint64) bool {
	if number > w.highest {
		w.advance(number)
		return true
	}
	age := w.highest - number
	switch {
	case number == 0:
		return false
	case age < 64:
		return w.mark(&w.recent, age, number)
	case w.wide == nil || age >= replaySpan:
		return false
	}
	return w.mark(&w.wide[number%replaySpan/64], number%64, number)
}

// mark sets a bit of word and reports whether it was clear; both maps learn of a recent number.
func (w *replayWindow) mark(word *uint64, bit, number uint64) bool {
	if *word&(1<<bit) != 0 {
		return false
	}
	*word |= 1 << bit
	if w.wide != nil {
		w.wide[number%replaySpan/64] |= 1 << (number % 64)
	}
	return true
}

// advance moves the window up to a number above the highest.
func (w *replayWindow) advance(number uint64) {
	gap := number - w.highest
	if w.wide != nil {
		w.forget(gap)
	}
	w.recent = w.recent<<min(gap, 64) | 1
	w.highest = number
	if w.wide == nil {
		if w.count++; w.count > replayIdle {
			w.widen()
		}
	}
	if w.wide != nil {
		w.wide[number%replaySpan/64] |= 1 << (number % 64)
	}
}

// forget clears the bits that the next gap numbers reuse.
func (w *replayWindow) forget(gap uint64) {
	if gap >= replaySpan {
		clear(w.wide[:])
		return
	}
	for n := w.highest + 1; n <= w.highest+gap; n++ {
		w.wide[n%replaySpan/64] &^= 1 << (n % 64)
	}
}

// widen makes the wide window. What is older than the recent 64 counts as seen: whether it came is not known any more,
// and refusing a datagram costs a resend, while taking a replay would break a promise.
func (w *replayWindow) widen() {
	w.wide = new([replaySpan / 64]uint64)
	for n := uint64(0); n < replaySpan; n++ {
		if n >= 64 || w.recent&(1<<n) != 0 {
			old := w.highest - n // wraps below zero only for numbers that no sender uses
			w.wide[old%replaySpan/64] |= 1 << (old % 64)
		}
	}
}
