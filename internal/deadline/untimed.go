package deadline

import (
	"context"
	"time"
)

// Untimed ends as a Context does, but not at its time: for what keeps to that by other means. Who waits for its end and
// something else takes Ends, which costs one channel; Done costs a context of the standard library. Begin comes before
// anything else; then it may be used by many goroutines at once.
type Untimed struct {
	of   *Context
	endc chan struct{} // closed by End
}

// Begin says of which context it is.
func (u *Untimed) Begin(c *Context) { u.of, u.endc = c, make(chan struct{}) }

// End ends it together with the Context, once.
func (u *Untimed) End() {
	u.of.End() // first: who waits asks Err then
	close(u.endc)
}

// Ends are two channels. As soon as one is closed it has ended: either with the parent of the Context or by End.
func (u *Untimed) Ends() (parent, own <-chan struct{}) { return u.of.parent.Done(), u.endc }

// Deadline is that of a context.Context.
func (u *Untimed) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done is that of a context.Context.
func (u *Untimed) Done() <-chan struct{} { return u.of.withoutDeadline().Done() }

// Err is that of a context.Context.
func (u *Untimed) Err() error {
	if made := u.of.plain.Load(); made != nil {
		return made.Err()
	}
	if err := u.of.parent.Err(); err != nil {
		return err
	}
	if u.of.ended.Load() {
		return context.Canceled
	}
	return nil
}

// Value is that of a context.Context, see Context.Value.
func (u *Untimed) Value(key any) any {
	if made := u.of.plain.Load(); made != nil {
		return made.Value(key)
	}
	return u.of.parent.Value(key)
}
