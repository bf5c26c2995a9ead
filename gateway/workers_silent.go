package gateway

import "time"

// A process that was killed says nothing, and neither does one that works in a single thread and does not ask for more
// meanwhile. So who has not polled for a short time is not gone yet, but calls go to others first, also those that wait
// for it: a caller would have to wait until it counts as gone, or until the deadline.

const workerQuiet = 2 * time.Second // without a poll

func (w *worker) isQuiet(now time.Time) bool { return w.polls == 0 && now.Sub(w.seen) > workerQuiet }

// choose returns a worker with a free slot, one that is quiet only where there is no other; nil: there is none.
func (o *offer) choose(now time.Time) (chosen *worker) {
	for range o.workers {
		w := o.workers[o.next%len(o.workers)]
		o.next++
		switch {
		case len(w.waiting)+len(w.running) >= w.slots:
		case !w.isQuiet(now):
			return w
		case chosen == nil:
			chosen = w
		}
	}
	return chosen
}

// moveWaiting has the calls that wait for quiet workers look for another one, if there is one with room.
func (ws *workers) moveWaiting(now time.Time) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, w := range ws.byID {
		if !w.isQuiet(now) {
			continue
		}
		for _, j := range w.waiting {
			if ws.offers[j.function].hasOther(now) {
				j.move()
			}
		}
	}
}

func (o *offer) hasOther(now time.Time) bool {
	if o == nil {
		return false
	}
	w := o.choose(now)
	return w != nil && !w.isQuiet(now)
}

// move has who waits for the call look for another worker; several times at once is once.
func (j *job) move() {
	select {
	case j.movec <- struct{}{}:
	default:
	}
}
