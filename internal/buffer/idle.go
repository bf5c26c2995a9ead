package buffer

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// What large messages took goes back to the system when they have ended and the process is idle.
//
// A library does not lightly collect a program's garbage. But in an idle process nobody else does: collections come as
// memory is asked for, or after two minutes, and it takes three until the pools are empty, their size has no part in
// the next goal, and the system has it all: after four calls with 64 MiB at once, 1.2 GiB stayed for minutes. A process
// that works collects by itself and is left alone; one that does not is disturbed once for each burst, and for at most
// a hundredth of the time.
const (
	bulkLeast = 64 << 10        // bytes of a buffer that counts
	bulkWorth = 64 << 20        // bytes of them in the pools that are worth a collection
	bulkIdle  = 3 * time.Second // without any of them, or a collection of the program's own
	bulkShare = 100             // the pause after a collection is so many times as long as it
)

// bulk counts the large buffers of all nodes of the process, which share the pools and the garbage.
var bulk struct {
	spare atomic.Int64 // bytes that went to the pools and were not asked for again, since they were last emptied
	uses  atomic.Int64 // how often one was asked for or came back
	pause atomic.Int64 // until the next collection, as a time.Duration
}

// An Idle finds out that large messages have ended. Its zero value is ready. It is not safe for concurrent use.
type Idle struct {
	at   time.Time // when to look next; zero: nothing is worth it
	last activity
}

// Next is when to look again; zero: nothing is worth it.
func (w *Idle) Next() time.Time { return w.at }

// IsOver reports that large messages have ended, so that it is time to give their memory back.
func (w *Idle) IsOver(now time.Time) bool {
	if bulk.spare.Load() < bulkWorth {
		w.at = time.Time{}
		return false
	}
	if now.Before(w.at) {
		return false
	}
	return w.look(now, time.Duration(bulk.pause.Load()), activity{bulk.uses.Load(), collections()})
}

// activity is what an idle process does not do.
type activity struct {
	uses        int64  // of large buffers
	collections uint64 // of garbage
}

// look reports whether nothing went on since the look before.
func (w *Idle) look(now time.Time, pause time.Duration, a activity) bool {
	idle := !w.at.IsZero() && a == w.last
	w.at, w.last = now.Add(max(pause, bulkIdle)), a
	return idle
}

// collections is how many there have been.
func collections() uint64 {
	s := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// GiveBack gives the system what large messages took and nobody uses. It collects twice, for a sync.Pool keeps what it
// has through one collection.
func GiveBack() error {
	if bulk.spare.Swap(0) < bulkWorth {
		return nil // another node has done it
	}
	start := time.Now()
	runtime.GC()
	debug.FreeOSMemory()
	bulk.pause.Store(int64(bulkShare * time.Since(start)))
	return nil
}
