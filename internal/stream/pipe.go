package stream

import (
	"cmp"
	"errors"
	"io"
	"sync"
)

// Room is how many bytes wait in a Pipe at most. An item that is larger goes through in parts.
const Room = 256 << 10

// quarter is what a reader takes before a writer that waits, or the transport, hears of it: to tell of each byte would
// cost more than to carry it.
const quarter = Room / 4

// The ends of a Pipe, besides those that its users give it.
var (
	ErrStopped = errors.New("nobody reads the stream any more")
	ErrOver    = errors.New("the stream is over for who waits for it")
	ErrRoom    = errors.New("there is no room for an item so large beside what else is under way")
)

// A Pipe is one direction of a stream. One goroutine at a time writes (Write or Put, CloseWrite), one reads (Next or
// Take); Stop, CloseWrite and what tells the state may be called by any. The zero value is an empty Pipe.
type Pipe struct {
	mu       sync.Mutex // protects all below: writer and reader are goroutines of two users
	filled   func()     // see Carry
	taken    func()     // likewise
	hold     func(int) bool
	waiting  segments
	inHand   int   // bytes that Next has returned last, which count as waiting
	gone     int   // bytes that were read since taken was called
	end      error // io.EOF: after what waits there is nothing more; nil: it is being written
	stopped  error // why nobody reads; nil: somebody does
	isTold   bool  // who Takes knows that there is as much as he wants
	wanted   int   // which is so many bytes, if more than one
	isLast   bool  // Take has said that nothing follows
	isBegun  bool  // something was read
	roomc    signal
	filledc  signal
	drainedc signal
}

// Carry puts a transport at an end of the Pipe, in place of the one before: filled where it Takes, taken where it Puts;
// nil: there is none. They are called under no lock, by who writes or reads, and must not wait.
//
// filled says to who Takes that there is something again after he has taken all, or as much as he Wants, or that the
// last was written. taken says to who Puts that the reader has taken a quarter of the room since it last did, or all
// there was, or has stopped.
func (p *Pipe) Carry(filled, taken func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.filled, p.taken, p.isTold, p.wanted = filled, taken, false, 0
}

// Bound puts the transport's account of large items at the end of the Pipe where it Puts: see Hold.
func (p *Pipe) Bound(hold func(n int) bool) {
	p.mu.Lock()
	p.hold = hold
	p.mu.Unlock()
}

// Hold is asked by a reader that is about to collect n bytes of one item, more than the room. It reports whether they
// may be; a negative n gives them back.
func (p *Pipe) Hold(n int) bool {
	p.mu.Lock()
	hold := p.hold
	p.mu.Unlock()
	return hold == nil || hold(n)
}

// A signal wakes the one goroutine that waits for something.
type signal struct {
	c         chan struct{} // with room for one; nil: nobody has ever waited
	isAwaited bool
}

// await is the channel to wait on, when the lock is released.
func (s *signal) await() <-chan struct{} {
	if s.c == nil {
		s.c = make(chan struct{}, 1)
	}
	s.isAwaited = true
	return s.c
}

// wake has who waits look again.
func (s *signal) wake() {
	if !s.isAwaited {
		return
	}
	s.isAwaited = false
	select {
	case s.c <- struct{}{}:
	default: // it has not yet seen the one before
	}
}

// Write appends all of b. It waits while there is no room. The error is ErrOver if done is closed, also if it was
// closed before; what Stop was given if nobody reads any more; and what CloseWrite was given after that.
func (p *Pipe) Write(b []byte, done <-chan struct{}) error {
	select {
	case <-done:
		return ErrOver
	default:
	}
	for {
		n, wait, err := p.write(b)
		if err != nil {
			return err
		}
		if b = b[n:]; wait == nil {
			return nil
		}
		select {
		case <-wait:
		case <-done:
			return ErrOver
		}
	}
}

// write appends as much as there is room for. wait is for more room; nil: all of it was written.
func (p *Pipe) write(b []byte) (n int, wait <-chan struct{}, err error) {
	p.mu.Lock()
	if err := cmp.Or(p.stopped, p.end); err != nil {
		p.mu.Unlock()
		return 0, nil, err
	}
	n = min(len(b), Room-p.held())
	if n < len(b) {
		wait = p.roomc.await()
	}
	tell := p.append(b[:max(n, 0)])
	p.mu.Unlock()
	if tell != nil {
		tell()
	}
	return max(n, 0), wait, nil
}

// append takes bytes up. It returns the function that tells who Takes of them, for the caller to call without the lock;
// nil: he need not hear of them.
func (p *Pipe) append(b []byte) (tell func()) {
	if len(b) == 0 {
		return nil
	}
	p.waiting.append(b)
	p.filledc.wake()
	if p.isTold || p.waiting.size < p.wanted {
		return nil
	}
	p.isTold = true
	return p.filled
}

// held is how many bytes count against the room.
func (p *Pipe) held() int { return p.waiting.size + p.inHand }

// Put appends what a transport has brought, and does not keep chunk. It never waits: a transport gives its sender no
// more credit than there is room. After a Stop it does nothing.
func (p *Pipe) Put(chunk []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped == nil && p.end == nil {
		p.append(chunk)
	}
}

// CloseWrite says that nothing follows what was written: with nil the stream is whole, else that is its end for the
// reader. Only the first call counts.
func (p *Pipe) CloseWrite(err error) {
	if err == nil {
		err = io.EOF
	}
	p.mu.Lock()
	isFirst, tell := p.end == nil, p.filled
	if isFirst {
		p.end = err
		p.filledc.wake()
	}
	p.mu.Unlock()
	if isFirst && tell != nil {
		tell()
	}
}

// Next returns what has come, at most a quarter of the room, for the reader to keep until it calls Next again. It waits
// for more until done is closed: then it is ErrOver. After all of it, it is what CloseWrite was given, or io.EOF; after
// a Stop what that was given.
func (p *Pipe) Next(done <-chan struct{}) ([]byte, error) {
	for {
		b, wait, tell, err := p.next()
		if tell != nil {
			tell()
		}
		if wait == nil {
			return b, err
		}
		select {
		case <-wait:
		case <-done:
			return nil, ErrOver
		}
	}
}

// next is Next without waiting. tell has the transport hear of what was read; nil: it need not.
func (p *Pipe) next() (b []byte, wait <-chan struct{}, tell func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release()
	switch {
	case p.stopped != nil:
		return nil, nil, nil, p.stopped
	case p.waiting.size > 0:
		b = p.waiting.cut()
		p.inHand, p.isBegun = len(b), true
	case p.end != nil:
		return nil, nil, nil, p.end
	default:
		wait = p.filledc.await()
	}
	return b, wait, p.tellTaken(wait != nil), nil
}

// release gives back what the reader had in hand.
func (p *Pipe) release() {
	p.gone += p.inHand
	p.inHand = 0
	p.waiting.recycle()
	if p.held() <= Room-quarter {
		p.roomc.wake()
	}
}

// tellTaken is what has the transport hear of what was read, when there is a quarter, or no more; else nil.
func (p *Pipe) tellTaken(isIdle bool) func() {
	if p.gone == 0 || p.gone < quarter && !isIdle {
		return nil
	}
	p.gone = 0
	return p.taken
}

// Take appends to dst what waits, at most most bytes, for a transport. last says that it is the end: nothing follows,
// and CloseWrite was called. That may be said of no bytes.
func (p *Pipe) Take(dst []byte, most int) (_ []byte, last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isBegun = p.isBegun || most > 0 && p.waiting.size > 0
	dst = p.waiting.take(dst, most)
	if p.held() <= Room-quarter {
		p.roomc.wake()
	}
	if p.waiting.size > 0 {
		return dst, false
	}
	p.isTold, p.wanted = false, 0
	if p.isLast = p.end != nil; p.isLast {
		p.drainedc.wake()
	}
	return dst, p.isLast
}

// Want has filled called as soon as at least n bytes wait, at most Room, or the last was written. It reports true if
// that is so already: then it is not called for that.
func (p *Pipe) Want(n int) (isThere bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted, p.isTold = n, p.end != nil || p.waiting.size >= n
	return p.isTold
}

// Drain waits, after CloseWrite, until the transport has taken all of it, and its end; without one there is nothing to
// wait for. It is ErrOver when done is closed before, and what Stop was given when nobody reads any more.
func (p *Pipe) Drain(done <-chan struct{}) error {
	for {
		wait, err := p.undrained()
		if wait == nil {
			return err
		}
		select {
		case <-wait:
		case <-done:
			return ErrOver
		}
	}
}

// undrained is what to wait on until all is taken; nil: it is, or never will be.
func (p *Pipe) undrained() (wait <-chan struct{}, _ error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped != nil || p.isLast || p.filled == nil {
		return nil, p.stopped
	}
	return p.drainedc.await(), nil
}

// Stop says that nobody reads any more, and why; nil is ErrStopped. What waits is dropped, and who writes, reads or
// drains hears of it. Only the first call counts.
func (p *Pipe) Stop(why error) {
	if why == nil {
		why = ErrStopped
	}
	p.mu.Lock()
	isFirst, tell := p.stopped == nil, p.taken
	if isFirst {
		p.stopped = why
		p.waiting = segments{}
		for _, s := range []*signal{&p.roomc, &p.filledc, &p.drainedc} {
			s.wake()
		}
	}
	p.mu.Unlock()
	if isFirst && tell != nil {
		tell()
	}
}

// Stopped is why nobody reads any more; nil: somebody does.
func (p *Pipe) Stopped() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopped
}

// End is what CloseWrite was given, io.EOF for nil; nil: it was not called.
func (p *Pipe) End() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end
}

// IsBegun reports whether anything was read or taken of it.
func (p *Pipe) IsBegun() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isBegun
}

// Free is how many bytes there is room for, at most Room and at least 0.
func (p *Pipe) Free() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, Room-p.held())
}

// Waiting is how many bytes there are to be taken.
func (p *Pipe) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting.size
}
