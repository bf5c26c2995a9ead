package broach

import "context"

// Future is a call that is in flight. It may be used by many goroutines at once.
type Future[R any] struct {
	donec chan struct{} // closed when v and err are set
	v     R
	err   error
}

// Go is Call without waiting. The arguments must not be changed before the Future is done. To give the call up, cancel ctx.
func Go[R any](ctx context.Context, c *Caller, args ...any) *Future[R] {
	f := &Future[R]{donec: make(chan struct{})}
	go func() { // which owns v and err until it closes donec
		ended := false
		defer func() {
			if !ended {
				f.err = c.cutShort()
			}
			close(f.donec)
		}()
		f.v, f.err = Call[R](ctx, c, args...)
		ended = true
	}()
	return f
}

// Done returns a channel that is closed when the call is over.
func (f *Future[R]) Done() <-chan struct{} { return f.donec }

// Wait waits until the call is over and returns its outcome, as often as it is asked.
func (f *Future[R]) Wait() (R, error) {
	<-f.donec
	return f.v, f.err
}
