package broach

import (
	"errors"
	"net/netip"
	"time"

	"broach/internal/codec"
	"broach/internal/gate"
	"broach/internal/link"
	"broach/internal/member"
	"broach/internal/pool"
	"broach/internal/seedbook"
	"broach/internal/strangers"
	"broach/internal/udp"
	"broach/internal/wire"
)

const (
	// datagrams handled at once: some bursts of a large message, acknowledged together
	readMax   = 256
	noteEvery = 30 * time.Millisecond // between two notes to the loop that a link is busy: one tick of the heartbeats
)

// What waits for the loop is bounded.
const (
	arrivalsMax = 1024 // links made and Offers that wait for the loop
	inboxMax    = 1024 // membership messages, of all links together
	inboxEach   = 64   // and of one
)

// inbound is a membership message, or with a nil message the news that a link carries traffic. The loop may keep it: it
// aliases nothing of the reader's.
type inbound struct {
	member.Source
	from *conn
	msg  wire.Message
}

// reader takes datagrams from the socket to where they belong: replies wake callers, requests go to the pool, fragments
// and acknowledgements step their link, membership messages go to the loop. It never waits for any of them. Of the node
// it has what links and requests need, and the two channels to the loop.
type reader struct {
	linking   *linking
	serving   *serving
	stats     *counters
	log       *journal
	seedNotes *seedbook.Notes
	inbox     chan<- *inbound // to the loop, as are arrivals
	arrivals  chan<- arrival
	stopped   func(error) // the socket is closed

	in        []udp.Datagram
	held      []*link.Link  // flush at the end of the batch
	spare     *request      // for the next call
	arrival   link.Arrival  // of the present message
	requests  []*request    // new in this datagram
	quick     []*request    // to be run by the reader at the end of the batch
	ran       int           // how many of those have been taken up
	spent     time.Duration // what they will take
	pressure  pressure
	takeover  takeover
	abandoned []*link.Request     // given up by their callers in this datagram
	toKick    bool                // the pool has new work
	soon      bool                // calls go on: the next datagram is expected at once
	came      gate.Arrival[*conn] // of the present datagram
	arrived   []arrival           // for the loop, at the end of the batch
	heard     []*inbound          // and then these
	answers   []udp.Datagram      // to strangers; they go at the end of the batch
	told      strangers.Told      // whom the log was told of
	finds     finds               // of questions where a function is
}

// datagram takes in a datagram: what it is and what becomes of it the gate says.
func (r *reader) datagram(now time.Time, d udp.Datagram) {
	a := &r.came
	r.linking.gate.Take(now, d, r.hasRoom(), a)
	if a.Verdict != gate.Fine {
		r.noteVerdict(now, d.Addr, a)
	}
	switch {
	case a.Answer.B != nil:
		r.answers = append(r.answers, a.Answer)
	case a.Offer != nil || a.Back != nil:
		r.arrive(arrival{offer: a.Offer, back: a.Back})
	case a.IsNew:
		a.Link.isGuest = a.Table == 0
		r.arrive(arrival{made: a.Link})
	}
	if a.Head > 0 {
		r.onLink(now, a.Link, member.Source{Addr: d.Addr, Link: a.Link.Token, Tver: a.Table, Size: a.Head})
	}
}

// noteVerdict counts a datagram by what the gate has found out of it, and tells of its sender.
func (r *reader) noteVerdict(now time.Time, from netip.AddrPort, a *gate.Arrival[*conn]) {
	switch s := r.stats; a.Verdict {
	case gate.Malformed:
		s.malformed.Add(1)
	case gate.Replayed:
		s.replayed.Add(1)
	case gate.Stranger:
		s.stranger.Add(1)
	case gate.Unanswered:
		s.unanswered.Add(1)
	case gate.Unopened:
		s.unopened.Add(1)
		r.noteSeed(from, seedbook.CameUnopened)
		r.tellOf(now, from, r.textUnopened())
	case gate.OtherCluster:
		s.otherCluster.Add(1)
		r.noteSeed(from, seedbook.CameOtherCluster)
		r.tellOf(now, from,
			"broach: a node of another cluster asks for a link: give both the same Cluster, or it other seeds")
	case gate.OtherVersion:
		s.foreignVersion.Add(1)
		r.noteSeed(from, seedbook.CameOtherVersion)
		r.tellOf(now, from,
			"broach: datagrams of another version of the protocol: bring both sides to the same version of broach")
	case gate.Doubled:
		s.unusable.Add(1)
		r.tellOf(now, from, "broach: another node advertises the address of this one: what is sent to either comes to"+
			" one of them, so give each its own Advertise")
	case gate.Useless:
		s.unusable.Add(1)
		r.tellOfBoth(now, from, a.Advertised,
			"broach: a node advertises an address that cannot be reached from here: it needs Advertise")
	case gate.Full:
		if a.Answer.B == nil { // a Confirm; an Open is told by an Offer
			s.unanswered.Add(1)
		}
		r.tellOf(now, a.Advertised,
			"broach: a node is not let in, for it knows as many members as it can: divide the cluster")
	case gate.Refused:
		r.noteSeed(from, seedbook.CameNoRoom)
	case gate.InVain:
		r.tellUnheard(now, from, a.Advertised)
	}
}

// arrival is the news of a link that the gate has made, or of an Offer, or of an Open of ours that came to ourselves.
type arrival struct {
	made  *conn
	offer *member.Answered
	back  *member.CameBack
}

// onLink takes what is in a datagram of a link, which the gate has opened.
func (r *reader) onLink(now time.Time, l *conn, src member.Source) {
	r.messages(now, l, uint32(r.came.Number), src, r.came.Messages)
	r.noteHeard(now, l, src)
	r.takeUpCalls(now)
}

// noteHeard tells the loop that a peer was heard on a link, or has another table, unless it was told so just now. That
// comes behind the messages: a Leave that refuses the link must not find it taken.
func (r *reader) noteHeard(now time.Time, l *conn, src member.Source) {
	if src.Tver > l.tableSeen || r.linking.wires.Timers.Stamp(now)-l.noted >= int64(noteEvery) {
		l.tableSeen, l.noted = max(l.tableSeen, src.Tver), r.linking.wires.Timers.Stamp(now)
		r.tell(l, &inbound{Source: src})
	}
}

// messages steps the link with each message of a datagram with that number.
func (r *reader) messages(now time.Time, l *conn, number uint32, src member.Source, rest []byte) {
	if l.Lock(now, number) {
		r.held = append(r.held, &l.Link)
	}
	for len(rest) > 0 {
		kind, body, after, err := wire.ConsumeMessage(rest)
		if err == nil && kind < wire.KindJoin {
			err = r.step(now, l, kind, body)
		} else if err == nil {
			src.Size += wire.FrameSize + len(body)
			err = r.membership(l, src, kind, body)
			src.Size = 0
		}
		if err != nil {
			r.stats.malformed.Add(1)
			break
		}
		rest = after
	}
	l.Unlock()
}

// step gives one message of section 2 or 3 to its link, and takes what comes of it.
func (r *reader) step(now time.Time, l *conn, kind wire.Kind, body []byte) error {
	if r.spare == nil {
		r.spare = requests.Get().(*request)
	}
	a := &r.arrival
	*a = link.Arrival{Spare: &r.spare.Request}
	err := l.Step(now, kind, body, a)
	if a.IsUnknown {
		r.stats.unknownKind.Add(1)
	}
	r.soon = r.soon || a.GoesOn
	r.abandon(a.Abandoned)
	if a.IsNew {
		r.request(now, l, a)
	}
	return err
}

// request notes a new call, which the link has made of the spare request.
func (r *reader) request(now time.Time, l *conn, a *link.Arrival) {
	req := r.spare
	r.spare = nil
	req.provider, req.origin = &r.serving.provider, fromPeer{&l.Link}
	req.came = req.provider.at(now)
	switch req.function = r.serving.functionFor(a.Service); {
	case req.isUnknown():
		r.log.noteUnknown(l.ID.Addr, a.Service)
	case req.function.needsRequest() || req.provider.tracing != nil:
		req.meta = decodeMeta(a.Meta)
	}
	r.requests = append(r.requests, req)
}

// abandon notes a call that nobody waits for any more.
func (r *reader) abandon(req *link.Request) {
	if req != nil {
		r.abandoned = append(r.abandoned, req)
	}
}

// takeUpCalls hands the new calls of a datagram to the pool. It takes no lock of a link meanwhile: the pool may answer
// expired calls to make room, on any link.
func (r *reader) takeUpCalls(now time.Time) {
	for i, req := range r.abandoned {
		req.GiveUp()
		r.abandoned[i] = nil
	}
	for i, req := range r.requests {
		r.admit(now, req)
		r.requests[i] = nil
	}
	r.abandoned, r.requests = r.abandoned[:0], r.requests[:0]
}

// admit decides what becomes of a new call: it is refused, run at once, kept for the end of the batch, or the pool's.
func (r *reader) admit(now time.Time, req *request) {
	if req.isUnknown() {
		req.answerCode(NotFound, No, "the node does not offer this function")
		return
	}
	switch req.function {
	case r.serving.tables:
		req.Run(now) // ours, and quick: membership does not wait for the pool
		return
	case r.serving.finds:
		r.find(now, req)
		return
	}
	if r.serving.refusing.Load() {
		req.answerCode(Draining, No, textDraining)
		return
	}
	switch {
	case req.function == r.serving.views.function:
		r.admitView(now, req)
	case len(req.Args.B) > r.linking.wires.MaxMessage: // [CALL-17]
		req.answerError(ownError(codec.TooLarge(wire.ExecutedNo, "arguments", r.linking.wires.MaxMessage)))
	case req.function.paused.Load():
		req.answerCode(Unavailable, No, textPaused) // [TAB-7]
	case req.Way == link.OneWay && req.function.Streams():
		req.answerCode(InvalidArgument, No, textOneWay)
	case req.Way == link.OneWay && req.function.takeEvent != nil:
		req.function.takeEvent(req)
	case req.Way == link.OneWay:
		r.toPoolOneWay(req)
	case !r.keep(req):
		r.toPool(req)
	}
}

// toPoolOneWay hands a call to the workers that is answered as soon as they have it.
func (r *reader) toPoolOneWay(req *request) {
	if !req.function.enter() {
		req.answerCode(Overloaded, No, textMost)
		return
	}
	req.stage = accepted
	v := r.serving.pool.Offer(req)
	if v == pool.Accepted {
		r.toKick = true
		req.accept() // it may have run already; what this reads of it never changes
		return
	}
	req.stage = awaited
	req.function.leave()
	if v == pool.Overloaded {
		req.answerCode(Overloaded, No, link.TextBusy)
	} else {
		req.postpone()
	}
}

// toPool hands a call to the workers, who are woken at the end of the batch.
func (r *reader) toPool(req *request) {
	if req.enqueue(r.serving.pool) {
		r.toKick = true
	}
}

// membership decodes a message for the loop.
func (r *reader) membership(l *conn, src member.Source, kind wire.Kind, body []byte) error {
	if l.isGuest && !member.IsWelcome(kind) {
		r.stats.uninvited.Add(1)
		return nil
	}
	msg, err := wire.ConsumeMembership(kind, body)
	if errors.Is(err, wire.ErrKind) {
		r.stats.unknownKind.Add(1)
		return nil
	}
	if err == nil {
		r.tell(l, &inbound{Source: src, msg: msg})
	}
	return err
}

// arrive keeps the news of a link or an Offer for the loop. An Offer for which there is no room is lost, as a datagram
// may be; that there is room for a link was seen before.
func (r *reader) arrive(a arrival) {
	if !r.hasRoom() {
		r.stats.inboxFull.Add(1)
		return
	}
	r.arrived = append(r.arrived, a)
}

// hasRoom reports whether the loop can be told of one more link.
func (r *reader) hasRoom() bool { return len(r.arrivals)+len(r.arrived) < cap(r.arrivals) }

// tell keeps something for the loop. A flood that it cannot follow is cut off here: first what one link brings, so that
// others have room.
func (r *reader) tell(l *conn, in *inbound) {
	switch {
	case l.told.Load() >= inboxEach:
		r.stats.tooMany.Add(1)
	case len(r.inbox)+len(r.heard) == cap(r.inbox):
		r.stats.inboxFull.Add(1)
	default:
		in.from = l
		l.told.Add(1)
		r.heard = append(r.heard, in)
	}
}

// passOn tells the loop, which is fast, what the batch was about; that there is room was seen before. It comes when all
// is sent that the reader had to say: what the loop answers then goes after that, and never along with it by chance,
// which would make each simulation another.
func (r *reader) passOn() {
	for i, a := range r.arrived {
		r.arrivals <- a
		r.arrived[i] = arrival{}
	}
	for i, in := range r.heard {
		r.inbox <- in
		r.heard[i] = nil
	}
	r.arrived, r.heard = r.arrived[:0], r.heard[:0]
}
