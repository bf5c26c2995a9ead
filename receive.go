package broach

import (
	"errors"
	"time"

	"broach/internal/wire"
)

const (
	readMax   = 256                   // datagrams handled at once: some bursts of a large message, acknowledged together
	noteEvery = 30 * time.Millisecond // between two notes to the loop that a link is busy: one tick of the heartbeats
)

// inbound is a membership message, or with a nil message the news that the sender's link carries traffic, or would if it were
// a peer.
type inbound struct {
	source
	msg wire.Message
}

// reader takes datagrams from the socket to where they belong: replies wake callers, requests go to the pool, fragments and
// acknowledgements step their link, membership messages go to the loop. It never waits for any of them.
type reader struct {
	*Node
	in        []datagram
	held      []*link       // flush at the end of the batch
	requests  []*request    // new in this datagram
	quick     []*request    // to be run by the reader at the end of the batch
	ran       int           // how many of those have been taken up
	spent     time.Duration // what they will take
	takeover  takeover
	abandoned []*request // given up by their callers in this datagram
	toKick    bool       // the pool has new work
	soon      bool       // calls go on: the next datagram is expected at once
	stales    allowance  // of answers to misdirected datagrams
	strangers strangers
}

// read runs until the socket is closed, or until another goroutine has taken the reader over.
func (r *reader) read() {
	for r.finish() {
		k, err := r.transport.receive(r.in, r.soon)
		if err != nil {
			r.stopped(err)
			return
		}
		now := time.Now()
		r.soon = false
		for i := range r.in[:k] {
			r.datagram(now, r.in[i])
		}
	}
}

// stopped ends the node if it was not closed but lost its socket.
func (r *reader) stopped(err error) {
	r.deaf.Store(true)
	r.suggest(func(time.Time) {}) // it need not say goodbye
	if !r.isClosed() {
		r.log.Error("broach: the socket failed; the node closes", "err", err)
		go r.Close()
	}
	r.running.Done()
}

// finish ends a batch: quick functions run, workers wake once, each link flushes once. It reports whether the reader is still
// this goroutine's.
func (r *reader) finish() bool {
	if !r.runQuick() {
		return false
	}
	if r.toKick {
		r.pool.kick()
		r.toKick = false
	}
	for i, l := range r.held {
		l.unhold()
		r.held[i] = nil
	}
	r.held = r.held[:0]
	return true
}

// datagram checks the header, PROTOCOL.md 1.1.
func (r *reader) datagram(now time.Time, d datagram) {
	h, rest, err := wire.ConsumeHeader(d.b)
	switch {
	case errors.Is(err, wire.ErrVersion):
		r.stats.foreignVersion.Add(1)
	case err != nil:
		r.stats.malformed.Add(1)
	case h.Cluster != r.cluster:
		r.stats.otherCluster.Add(1)
	case h.Sender == r.boot || h.Sender == 0:
		// ours, by way of a seed that is ourselves; or nobody's
	default:
		r.opened(now, d, h, rest)
	}
}

// opened handles a datagram of our cluster.
func (r *reader) opened(now time.Time, d datagram, h wire.Header, rest []byte) {
	rest, ok := r.open(d, h, rest)
	switch {
	case !ok:
		r.unopened(now, d)
	case h.Receiver == r.boot:
		r.toUs(now, d, h, rest)
	case h.Receiver == 0:
		r.outside(now, d, h, rest)
	default:
		r.misdirected(now, d, h)
	}
}

// toUs handles a datagram with our boot id: of a link, if its sender is known.
func (r *reader) toUs(now time.Time, d datagram, h wire.Header, rest []byte) {
	l := r.links.get(h.Sender)
	if l == nil {
		r.outside(now, d, h, rest)
		return
	}
	if !l.accept(now, h.Number, len(d.b)) {
		r.stats.replayed.Add(1)
		return
	}
	src := source{addr: d.addr, boot: h.Sender, tver: h.TableVersion, size: len(d.b), linked: true, toUs: true}
	if h.TableVersion > l.tableSeen || now.Sub(l.noted) >= noteEvery {
		l.tableSeen, l.noted = max(l.tableSeen, h.TableVersion), now
		r.tell(inbound{source: src})
	}
	r.onLink(now, l, src, rest)
}

// onLink steps the link with each message of a datagram, then hands on what came of it.
func (r *reader) onLink(now time.Time, l *link, src source, rest []byte) {
	l.mu.Lock()
	r.hold(l)
	for len(rest) > 0 {
		kind, body, after, err := wire.ConsumeMessage(rest)
		if err == nil && kind < wire.KindJoin {
			err = r.step(now, l, kind, body, nil)
		} else if err == nil {
			err = r.membership(src, kind, body)
		}
		if err != nil {
			r.stats.malformed.Add(1)
			break
		}
		rest = after
	}
	l.mu.Unlock()
	r.offer()
}

// hold makes the link wait with flushing until the batch is done. mu is held.
func (r *reader) hold(l *link) {
	if !l.held {
		l.held = true
		r.held = append(r.held, l)
	}
}

// request notes a new call, and the older one whose slot it takes.
func (r *reader) request(req *request, m wire.Request) {
	if req == nil {
		return
	}
	req.provider = &r.provider
	if req.function = r.functionFor(m.Service); req.function != nil && req.function.needsRequest() {
		req.meta = decodeMeta(m.Meta)
	}
	r.abandon(req.replaces)
	req.replaces = nil
	r.requests = append(r.requests, req)
}

// abandon notes a call that nobody waits for any more.
func (r *reader) abandon(req *request) {
	if req != nil {
		r.abandoned = append(r.abandoned, req)
	}
}

// offer hands the new calls of a datagram to the pool. It takes no lock of a link meanwhile: the pool may answer expired
// calls to make room, on any link.
func (r *reader) offer() {
	for i, req := range r.abandoned {
		req.giveUp()
		r.abandoned[i] = nil
	}
	for i, req := range r.requests {
		r.offerOne(req)
		r.requests[i] = nil
	}
	r.abandoned, r.requests = r.abandoned[:0], r.requests[:0]
}

func (r *reader) offerOne(req *request) {
	if req.function == nil {
		req.fail(NotFound, No, "the node does not offer this function")
		return
	}
	if req.function == r.tables {
		req.run() // ours, and quick: membership does not wait for the pool
		return
	}
	if r.refusing.Load() {
		req.fail(Draining, No, string(textDraining))
		return
	}
	switch {
	case req.function.paused.Load():
		req.fail(Unavailable, No, string(textPaused)) // [TAB-7]
	case req.oneWay && req.function.take != nil:
		req.function.take(req)
	case req.oneWay:
		r.offerOneWay(req)
	case !r.keep(req):
		r.toPool(req)
	}
}

// offerOneWay hands a call to the workers that is answered as soon as they have it.
func (r *reader) offerOneWay(req *request) {
	if !req.function.enter() {
		req.fail(Overloaded, No, string(textMost))
		return
	}
	req.accepted = true
	v := r.pool.offer(req)
	if v == accepted {
		r.toKick = true
		req.accept()
		return
	}
	req.accepted = false
	req.function.leave()
	if v == overloaded {
		req.fail(Overloaded, No, string(textBusy))
	} else {
		req.postpone()
	}
}

// toPool hands a call to the workers.
func (r *reader) toPool(req *request) {
	switch r.pool.offer(req) {
	case accepted:
		r.toKick = true
	case overloaded:
		req.fail(Overloaded, No, "the provider's queue is full")
	case busy:
		req.postpone()
	}
}

// outside handles a datagram that does not belong to a link: only membership messages count, [HDR-6].
func (r *reader) outside(now time.Time, d datagram, h wire.Header, rest []byte) {
	src := source{addr: d.addr, boot: h.Sender, tver: h.TableVersion, number: h.Number, size: len(d.b) - r.overhead(), toUs: h.Receiver != 0}
	calls := false
	for len(rest) > 0 {
		kind, body, after, err := wire.ConsumeMessage(rest)
		switch {
		case err != nil:
		case kind == wire.KindStale:
			err = r.stale(src, body)
		case kind < wire.KindJoin:
			calls = true
		default:
			err = r.membership(src, kind, body)
		}
		if err != nil {
			r.stats.malformed.Add(1)
			return
		}
		rest = after
	}
	if calls {
		r.stats.stranger.Add(1)
		r.tell(inbound{source: src})
	}
}

// membership decodes a message for the loop.
func (r *reader) membership(src source, kind wire.Kind, body []byte) error {
	msg, err := wire.ConsumeMembership(kind, body)
	if errors.Is(err, wire.ErrKind) {
		r.stats.unknownKind.Add(1)
		return nil
	}
	if err == nil {
		r.tell(inbound{source: src, msg: msg})
	}
	return err
}

// tell passes something on to the loop, which is fast; a flood that it cannot follow is cut off here.
func (r *reader) tell(in inbound) {
	select {
	case r.inbox <- in:
	default:
		r.stats.inboxFull.Add(1)
	}
}

// misdirected answers a datagram for another process, so that its sender learns of the restart.
func (r *reader) misdirected(now time.Time, d datagram, h wire.Header) {
	r.stats.misdirected.Add(1)
	if r.stales.take(now, stalePerSec) {
		sendOutside(&r.carrier, d.addr, wire.Stale{Boot: h.Receiver, Number: h.Number})
	}
}

// stale hears that a process we have a link with may be gone, [CALL-13].
func (r *reader) stale(src source, body []byte) error {
	m, err := wire.ConsumeStale(body)
	if err != nil {
		return err
	}
	if l := r.links.get(m.Boot); l != nil {
		r.suggest(func(now time.Time) { r.members.stale(now, l.id.addr, l.id.boot) })
	}
	return nil
}
