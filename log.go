package broach

import (
	"context"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/member"
	"broach/internal/ring"
	"broach/internal/wire"
)

const (
	logRoom  = 256         // lines that wait for a Logger that is slower than they come
	logGrace = time.Second // how long Close waits for them
	logAsk   = time.Second // between two questions to the Logger whether it wants debug lines
)

// logQueue is the log of a node. Whoever has something to say leaves a line here and goes on: a Logger is user code,
// which may block, panic, or call the node. One goroutine at a time gives it the lines, in their order, and ends when
// there are none. Those for which there is no room are counted, and the Logger is told how many.
type logQueue struct {
	handler slog.Handler
	least   slog.Level // what is below is not said, whatever the handler wants
	loudly  func() (slog.Handler, slog.Level)
	debug   atomic.Bool   // the handler wants debug lines, as far as is known
	missing atomic.Uint64 // lines that were not written, for Stats
	askedAt time.Time     // the loop's

	mu      sync.Mutex // protects all below: every goroutine of a node may have something to say
	waiting ring.Ring[logLine]
	lost    int           // lines since the last that found room
	isBusy  bool          // somebody writes, or is about to
	idlec   chan struct{} // closed when nobody does any more; nil: nobody waits for that
}

// logLine is a line that waits.
type logLine struct {
	record slog.Record
	lost   int  // lines before it that found no room
	isLoud bool // no LogLevel may hide it
}

func newLogQueue(c Config) *logQueue {
	q := &logQueue{handler: c.logger().Handler(), least: c.leastLevel(), loudly: c.loudest}
	q.debug.Store(true) // until it was asked, so that no line of the first moments is missed
	return q
}

// Debug says a line, as Info, Warn and Error do. They take keys and values as slog does.
func (q *logQueue) Debug(text string, args ...any)                 { q.say(slog.LevelDebug, text, args) }
func (q *logQueue) Info(text string, args ...any)                  { q.say(slog.LevelInfo, text, args) }
func (q *logQueue) Warn(text string, args ...any)                  { q.say(slog.LevelWarn, text, args) }
func (q *logQueue) Error(text string, args ...any)                 { q.say(slog.LevelError, text, args) }
func (q *logQueue) Log(level slog.Level, text string, args ...any) { q.say(level, text, args) }

// Missing is how many lines were not written so far.
func (q *logQueue) Missing() uint64 { return q.missing.Load() }

// Loudly says what no LogLevel may hide.
func (q *logQueue) Loudly(text string, args ...any) {
	q.put(logLine{record: newRecord(3, slog.LevelWarn, text, args), isLoud: true})
}

// say leaves a line if its level is wanted.
func (q *logQueue) say(level slog.Level, text string, args []any) {
	if q.Wants(level) {
		q.put(logLine{record: newRecord(4, level, text, args)})
	}
}

// Wants reports whether lines of a level are worth making. What the Logger makes of those above debug it is asked when
// they are written.
func (q *logQueue) Wants(level slog.Level) bool {
	return level >= q.least && (level > slog.LevelDebug || q.debug.Load())
}

// newRecord is a line as a Logger gets it, without what says nothing. Its source is that many callers above.
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
func (q *logQueue) put(l logLine) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting.Len() >= logRoom {
		q.lost++
		q.missing.Add(1)
		return
	}
	l.lost, q.lost = q.lost, 0
	q.waiting.Push(l)
	q.wake()
}

// wake sees to it that somebody writes. mu is held.
func (q *logQueue) wake() {
	if !q.isBusy {
		q.isBusy = true
		go q.write()
	}
}

// Ask has the Logger asked again whether it wants debug lines: its level may have been changed. The loop calls it.
func (q *logQueue) Ask(now time.Time) {
	if q.least > slog.LevelDebug || now.Sub(q.askedAt) < logAsk {
		return
	}
	q.askedAt = now
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wake()
}

// write gives the Logger what waits, until nothing does. Where it ends this goroutine another goes on.
func (q *logQueue) write() {
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
func (q *logQueue) next() (l logLine, ok bool) {
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
func (q *logQueue) guard(call func()) {
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
func (q *logQueue) askDebug() {
	q.debug.Store(q.least <= slog.LevelDebug && q.handler.Enabled(context.Background(), slog.LevelDebug))
}

// writeLine gives the Logger a line, after the number of those that are missing before it.
func (q *logQueue) writeLine(l logLine) {
	if l.lost > 0 {
		r := newRecord(2, slog.LevelWarn, "broach: lines are missing here: the Logger takes longer for a line than they come apart", []any{"lines", l.lost})
		handle(q.handler, r)
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
func (q *logQueue) Flush(wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-q.idle():
	case <-timer.C:
	}
}

// idle returns a channel that is closed when nobody writes.
func (q *logQueue) idle() <-chan struct{} {
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

// What the log tells at debug: what becomes of contacts and calls, one by one. Never arguments or results.

// detailBurst is how many such lines a second are said.
const detailBurst = 100

// isDebugging reports whether the log takes such lines. It is asked before one is made.
func (n *Node) isDebugging() bool { return n.log.Wants(slog.LevelDebug) }

// detail says one, if the log takes them and there were not too many.
func (n *Node) detail(now time.Time, text string, args ...any) {
	if !n.isDebugging() {
		return
	}
	if suppressed, ok := n.details.AllowOf(now, detailBurst); ok {
		n.log.Debug(text, append(args, "suppressed", suppressed)...)
	}
}

// noteSize tells of another packet size.
func (n *Node) noteSize(now time.Time, peer netip.AddrPort, size int) {
	n.detail(now, "broach: the packet size of a path has changed", "addr", peer, "bytes", size)
}

// noteOpens tells whom Opens go to.
func (n *Node) noteOpens(now time.Time, opens []member.Open) {
	if !n.isDebugging() {
		return
	}
	for _, o := range opens {
		n.detail(now, "broach: an address is contacted", "addr", o.To)
	}
}

// noteArrival tells of an answer to that, and of links that others began.
func (n *Node) noteArrival(now time.Time, a arrival) {
	switch {
	case !n.isDebugging():
	case a.made != nil:
		n.detail(now, "broach: a process has made a link", "addr", a.made.ID.Addr)
	case a.offer != nil:
		n.detail(now, "broach: an address answers, and offers a link", "addr", a.offer.Addr, "from", a.offer.From)
	}
}

// noteSilent tells of requests that were sent again and again with nothing heard.
func (n *Node) noteSilent(now time.Time, peer netip.AddrPort) {
	if n.isDebugging() {
		n.detail(now, "broach: requests were sent again, and nothing says that they arrive: the peer is probed", "addr", peer)
	}
}

// noteRetry tells of a call that is made again at another provider.
func (c *Caller) noteRetry(now time.Time, failed *Error) {
	if c.node.isDebugging() && !wire.IsOwn(c.name) {
		c.node.detail(now, "broach: a call is made at another provider", "service", c.name, "failed", failed.Node, "code", failed.Code, "err", failed.Message)
	}
}

// noteFailed tells what a call failed with that this node was to run, or has run.
func (p *provider) noteFailed(r *request, err *Error, code Code) {
	if r.function == nil || !p.log.Wants(slog.LevelDebug) {
		return
	}
	if suppressed, ok := p.failures.AllowOf(time.Now(), detailBurst); ok {
		p.log.Debug("broach: a call failed here", "service", r.function.name, "from", r.from(), "code", code, "executed", err.Executed,
			"err", withoutArguments(err), "suppressed", suppressed)
	}
}

// withoutArguments is the text of an error for the log. That of a refused argument may quote it: only which one it was
// is said.
func withoutArguments(err *Error) string {
	if err.Code == InvalidArgument && err.Executed == No && strings.HasPrefix(err.Message, "argument ") {
		which, _, _ := strings.Cut(err.Message, ": ")
		return which + " does not fit"
	}
	return wire.Shortened(err.Message)
}

// noteUnknown tells of a call of a function that this node does not offer.
func (n *Node) noteUnknown(from netip.AddrPort, service []byte) {
	if n.isDebugging() {
		n.detail(time.Now(), "broach: a function is called that this node does not offer", "service", wire.Shortened(string(service)), "from", from)
	}
}
