// Package logqueue stands between a node and the Logger of its user. Whoever has something to say leaves a line in a
// Queue and goes on. A Logger is user code: it may block, panic, end its goroutine, or call the node that logs.
//
// The lines come to the Logger one at a time and in their order, each with the time and the place at which it was said.
// A few hundred of them wait. Those beyond are counted, and where they are missing a line says how many.
//
// One goroutine writes. It ends when nothing is left, and the next line starts another: who says nothing keeps none.
//
// A Queue never calls the Logger on the goroutine of who says something. It never waits for the Logger, except in
// Flush, and there no longer than it is told to. It has no opinion on what is said, or how often: the LogLimit of
// internal/pace keeps lines of one sort few. What levels a Config asks for is the node's to know.
package logqueue

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/ring"
)

const (
	room   = 256         // lines that wait for a Logger that is slower than they come
	askGap = time.Second // between two questions to the Logger whether it wants debug lines
)

// Queue is the log of a node. Any number of goroutines may use it. One at a time gives the Logger the lines, in their
// order. Those for which there is no room are counted, and the Logger is told how many.
type Queue struct {
	handler slog.Handler
	least   slog.Level // what is below is not said, whatever the handler wants
	loudly  func() (slog.Handler, slog.Level)
	debug   atomic.Bool   // the handler wants debug lines, as far as is known
	missing atomic.Uint64 // lines that were not written, for Stats
	askedAt time.Time     // of the goroutine that calls Ask

	mu      sync.Mutex // protects all below: every goroutine of a node may have something to say
	waiting ring.Ring[line]
	lost    int           // lines since the last that found room
	isBusy  bool          // somebody writes, or is about to
	idlec   chan struct{} // closed when nobody does any more; nil: nobody waits for that
}

// line is a line that waits.
type line struct {
	record slog.Record
	lost   int  // lines before it that found no room
	isLoud bool // no level may hide it
}

// New makes a queue for a handler, of lines of a level and above. loudly names the handler and the level for a line
// that no level may hide; it is called for each such line.
func New(handler slog.Handler, least slog.Level, loudly func() (slog.Handler, slog.Level)) *Queue {
	q := &Queue{handler: handler, least: least, loudly: loudly}
	q.debug.Store(true) // until it was asked, so that no line of the first moments is missed
	return q
}

// Debug says a line, as Info, Warn and Error do. They take keys and values as slog does.
func (q *Queue) Debug(text string, args ...any)                 { q.say(slog.LevelDebug, text, args) }
func (q *Queue) Info(text string, args ...any)                  { q.say(slog.LevelInfo, text, args) }
func (q *Queue) Warn(text string, args ...any)                  { q.say(slog.LevelWarn, text, args) }
func (q *Queue) Error(text string, args ...any)                 { q.say(slog.LevelError, text, args) }
func (q *Queue) Log(level slog.Level, text string, args ...any) { q.say(level, text, args) }

// Missing is how many lines were not written so far.
func (q *Queue) Missing() uint64 { return q.missing.Load() }

// Loudly says what no level may hide.
func (q *Queue) Loudly(text string, args ...any) {
	q.put(line{record: newRecord(3, slog.LevelWarn, text, args), isLoud: true})
}

// say leaves a line if its level is wanted.
func (q *Queue) say(level slog.Level, text string, args []any) {
	if q.Wants(level) {
		q.put(line{record: newRecord(4, level, text, args)})
	}
}

// Wants reports whether lines of a level are worth making. Those above debug are always made: the Logger is asked about
// them when they are written, for its level may have changed by then.
func (q *Queue) Wants(level slog.Level) bool {
	return level >= q.least && (level > slog.LevelDebug || q.debug.Load())
}

// newRecord is a line as a Logger gets it, without attributes that say nothing. Its source is the caller so many frames
// above.
func newRecord(skip int, level slog.Level, text string, args []any) slog.Record {
	var pc [1]uintptr
	runtime.Callers(skip, pc[:])
	r := slog.NewRecord(time.Now(), level, text, pc[0])
	for i := 0; i < len(args); i += 2 {
		if a := slog.Any(args[i].(string), args[i+1]); !saysNothing(a) {
			r.AddAttrs(a)
		}
	}
	return r
}

// saysNothing reports whether a line reads better without an attribute: a name that was not given, or that no line was
// suppressed.
func saysNothing(a slog.Attr) bool {
	switch a.Value.Kind() {
	case slog.KindString:
		return a.Value.String() == ""
	case slog.KindInt64:
		return a.Key == "suppressed" && a.Value.Int64() == 0
	}
	return false
}

// put leaves a line, if there is room.
func (q *Queue) put(l line) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting.Len() >= room {
		q.lost++
		q.missing.Add(1)
		return
	}
	l.lost, q.lost = q.lost, 0
	q.waiting.Push(l)
	q.wake()
}

// wake sees to it that somebody writes. mu is held.
func (q *Queue) wake() {
	if !q.isBusy {
		q.isBusy = true
		go q.write()
	}
}

// Ask has the Logger asked again whether it wants debug lines: its level may have been changed. One goroutine calls
// it, as often as it likes.
func (q *Queue) Ask(now time.Time) {
	if q.least > slog.LevelDebug || now.Sub(q.askedAt) < askGap {
		return
	}
	q.askedAt = now
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wake()
}

// write gives the Logger what waits, until nothing does. Where it ends this goroutine another goes on.
func (q *Queue) write() {
	isDone := false
	defer func() {
		if !isDone {
			go q.write()
		}
	}()
	q.guard(q.askDebug)
	for l, ok := q.next(); ok; l, ok = q.next() {
		q.guard(func() { q.writeLine(l) })
	}
	isDone = true
}

// next takes out what is to be written next. If there is nothing, the writer has come to its end.
func (q *Queue) next() (l line, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.waiting.Len() > 0:
		return q.waiting.Pop(), true
	case q.lost > 0:
		l.lost, q.lost = q.lost, 0
		return l, true
	}
	q.isBusy = false
	if q.idlec != nil {
		close(q.idlec)
		q.idlec = nil
	}
	return l, false
}

// guard runs what calls the Logger. If it does not return, for a panic or because it ended the goroutine, that counts
// as a line not written.
func (q *Queue) guard(call func()) {
	returned := false
	defer func() {
		if !returned {
			q.missing.Add(1)
			_ = recover()
		}
	}()
	call()
	returned = true
}

// askDebug asks the Logger whether it wants debug lines.
func (q *Queue) askDebug() {
	q.debug.Store(q.least <= slog.LevelDebug && q.handler.Enabled(context.Background(), slog.LevelDebug))
}

// writeLine gives the Logger a line, after the number of those that are missing before it.
func (q *Queue) writeLine(l line) {
	if l.lost > 0 {
		const text = "broach: lines are missing here: the Logger takes longer for a line than they come apart"
		handle(q.handler, newRecord(2, slog.LevelWarn, text, []any{"lines", l.lost}))
	}
	h := q.handler
	if l.isLoud {
		h, l.record.Level = q.loudly()
	}
	if l.record.Message != "" {
		handle(h, l.record)
	}
}

// handle gives a handler a line if it wants it.
func handle(h slog.Handler, r slog.Record) {
	if ctx := context.Background(); h.Enabled(ctx, r.Level) {
		_ = h.Handle(ctx, r) // there is nowhere to say that it failed
	}
}

// Flush waits until what was said is written, but no longer than a while. What waits then is written when the Logger
// goes on.
func (q *Queue) Flush(wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-q.idle():
	case <-timer.C:
	}
}

// idle returns a channel that is closed when nobody writes.
func (q *Queue) idle() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.idlec != nil {
		return q.idlec
	}
	idlec := make(chan struct{})
	if q.isBusy {
		q.idlec = idlec
	} else {
		close(idlec)
	}
	return idlec
}
