package simnet

import "sync"

// inbox is the receiving side of a host: what is on its way to the address, and who listens there.
//
// Nobody runs when a datagram arrives. Whoever touches the inbox later brings it up to date first (settle), which comes
// to the same, since a queue shrinks only by a read. So a datagram costs one wake-up, that of its reader, or none if
// that is busy.
type inbox struct {
	mu     sync.Mutex // guards everything, and the fields of conn that say so; never held together with another lock
	flying flight
	last   int64 // latest arrival; the next comes later
	conn   *Conn // who listens; nil: nobody

	delivered, overflowed, unheard uint64
}

// send puts d on its way.
func (in *inbox) send(d *datagram, now int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.settle(now)
	in.flying.push(d)
	if in.conn != nil && in.flying[0] == d {
		in.conn.arm(now)
	}
}

// settle does what the arrivals up to now have done; the caller holds in.mu.
func (in *inbox) settle(now int64) {
	for len(in.flying) > 0 && in.due() <= now {
		in.last = in.due()
		in.arrive(in.flying.pop())
	}
}

// due is when the next datagram arrives; one must be flying.
func (in *inbox) due() int64 { return max(in.flying[0].at, in.last+1) }

func (in *inbox) arrive(d *datagram) {
	switch {
	case in.conn == nil:
		in.unheard++
		d.free()
	case in.conn.queue.len >= in.conn.limit:
		in.overflowed++
		d.free()
	default:
		in.delivered++
		in.conn.queue.push(d)
	}
}

// attach makes c the listener, unless there is one.
func (in *inbox) attach(c *Conn) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.conn != nil {
		return false
	}
	in.settle(c.net.now())
	in.conn = c
	return true
}

// detach ends the listening of c, with what it has not read, and wakes its readers. It is false if that was done
// before.
func (in *inbox) detach(c *Conn) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.conn != c {
		return false
	}
	now := c.net.now()
	in.settle(now)
	in.conn = nil
	c.closed.Store(true)
	c.goOn()
	c.arm(now)
	return true
}

// pause stops the listener, if there is one, or lets it go on.
func (in *inbox) pause(paused bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	c := in.conn
	switch {
	case c == nil:
		return
	case !paused:
		c.goOn()
	case c.pause.Load() == nil:
		c.pause.Store(&pause{make(chan struct{})})
	}
	c.arm(c.net.now())
}

// goOn ends the pause of a conn, if it has one; the caller holds host.in.mu.
func (c *Conn) goOn() {
	if p := c.pause.Swap(nil); p != nil {
		close(p.overc)
	}
}

// listener returns the conn that listens, or nil.
func (in *inbox) listener() *Conn {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.conn
}
