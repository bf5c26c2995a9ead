// Package deadline has contexts that end at a time and cost nearly nothing until somebody waits for that. Most
// functions and Interceptors never do.
//
// context.WithDeadline makes a timer and a place in its parent at once: several allocations for each call, of which few
// are ever looked at. A Context here is a part of what a call has anyway. It makes those when Done is first called, and
// answers Deadline, Err and Value without them.
//
// It keeps the promises of context.Context otherwise: Err never changes once it has said something, and a Context that
// has ended stays so. It starts no goroutine. Whoever begins one must end it, or the timer that Done made lives until
// its time.
//
// context.go holds Context. untimed.go holds what ends with one but not at its time, for what keeps to that by other
// means.
package deadline

import (
	"context"
	"sync/atomic"
	"time"
)

// A Context ends at a time, with its parent, or when End is called, whichever comes first. Its channel and its timer
// are made when Done is first called: Deadline, Err and Value need neither. Begin comes before anything else; then it
// may be used by many goroutines at once. The zero value can be ended only.
type Context struct {
	parent context.Context
	at     time.Time // zero: at no time

	timed atomic.Pointer[cancelable] // made by Done
	plain atomic.Pointer[cancelable] // made by withoutDeadline
	ended atomic.Bool                // by End
	err   atomic.Pointer[error]      // what Err has said once, it says for ever
}

// cancelable is a context of the standard library with what ends it.
type cancelable struct {
	context.Context
	cancel context.CancelFunc
}

// Begin says what the context ends with. A time that is zero is none.
func (c *Context) Begin(parent context.Context, at time.Time) { c.parent, c.at = parent, at }

// End ends the context, and gives back what it holds.
func (c *Context) End() {
	c.ended.Store(true)
	c.timed.Load().end()
	c.plain.Load().end()
}

func (c *cancelable) end() {
	if c != nil {
		c.cancel()
	}
}

// Deadline is that of a context.Context.
func (c *Context) Deadline() (time.Time, bool) { return c.at, !c.at.IsZero() }

// Done is that of a context.Context.
func (c *Context) Done() <-chan struct{} { return c.made(&c.timed, c.at).Done() }

// withoutDeadline ends as the context does, but not at its time, for Untimed.
func (c *Context) withoutDeadline() context.Context { return c.made(&c.plain, time.Time{}) }

// made is what p holds. It is made on demand; of two that are made at once, one counts.
func (c *Context) made(p *atomic.Pointer[cancelable], at time.Time) *cancelable {
	if m := p.Load(); m != nil {
		return m
	}
	m := new(cancelable)
	if at.IsZero() {
		m.Context, m.cancel = context.WithCancel(c.parent)
	} else {
		m.Context, m.cancel = context.WithDeadline(c.parent, at)
	}
	if !p.CompareAndSwap(nil, m) {
		m.cancel()
	}
	if c.ended.Load() {
		p.Load().cancel()
	}
	return p.Load()
}

// Err is that of a context.Context.
func (c *Context) Err() error {
	if said := c.err.Load(); said != nil {
		return *said
	}
	if err := c.look(); err != nil {
		return c.say(err)
	}
	return nil
}

// say settles what Err says, unless it has said something else meanwhile.
func (c *Context) say(err error) error {
	c.err.CompareAndSwap(nil, &err)
	return *c.err.Load()
}

// look finds out whether the context has ended, and why.
func (c *Context) look() error {
	if timed := c.timed.Load(); timed != nil {
		return timed.Err()
	}
	if err := c.parent.Err(); err != nil {
		return err
	}
	switch {
	case c.ended.Load():
		return context.Canceled
	case !c.at.IsZero() && !time.Now().Before(c.at):
		return context.DeadlineExceeded
	}
	return nil
}

// Value is that of a context.Context. It asks the timed one if there is one: by that the standard library knows whom to
// tell of the end, and starts no goroutine for each child.
func (c *Context) Value(key any) any {
	if timed := c.timed.Load(); timed != nil {
		return timed.Value(key)
	}
	return c.parent.Value(key)
}
