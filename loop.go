package broach

import (
	"context"
	"log/slog"
	"math"
	"time"
)

const idleWake = time.Minute // how long the loop sleeps when nothing at all is due

// loop owns what we believe of the cluster. Messages, commands and the passing of time go in; datagrams, links opened and
// closed, and published views come out. It never waits for anybody.
func (n *Node) loop() {
	defer n.running.Done()
	now := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	closing := n.provider.ctx.Done()
	for !n.hasLeft(now) {
		timer.Reset(n.step(now).Sub(now))
		select {
		case in := <-n.inbox:
			now = time.Now()
			n.receive(now, in)
			n.drain(now)
		case command := <-n.commands:
			now = time.Now()
			command(now)
		case <-n.timers.wakec:
			now = time.Now()
		case <-timer.C:
			now = time.Now() // not the timer's: after a stall that one is old
		case <-closing:
			closing = nil
			now = time.Now()
			n.leave(now)
		}
	}
	n.takeDown(now)
}

// drain takes what else has come, so that one step serves many messages.
func (n *Node) drain(now time.Time) {
	for range inboxMax {
		select {
		case in := <-n.inbox:
			n.receive(now, in)
		default:
			return
		}
	}
}

// receive gives a message to the membership.
func (n *Node) receive(now time.Time, in inbound) {
	switch {
	case in.msg != nil:
		n.members.receive(now, in.source, in.msg)
	case n.members.isLeaving():
	case in.linked:
		n.members.heard(now, in.boot, in.tver)
	default:
		n.members.stranger(now, in.source)
	}
}

// step does all that is due and returns when to step next.
func (n *Node) step(now time.Time) time.Time {
	n.timers.wake.Store(math.MaxInt64) // a link that becomes due from here on wakes the loop
	due, silent := n.timers.run(now)
	for _, id := range silent {
		n.members.unanswered(now, id.boot)
	}
	if !n.tableAt.IsZero() && !now.Before(n.tableAt) {
		n.carryOut(now) // what says the table of before goes under its version
		n.tellTable(now)
	}
	n.members.tick(now)
	n.carryOut(now)
	n.noteDrained()
	n.noteCircuits(now)
	if !n.publishAt.IsZero() && !now.Before(n.publishAt) {
		n.publish(now)
	}
	n.reresolve(now)
	n.watchIdle(now)
	next := earliest(due, n.members.nextTimeout())
	next = earliest(earliest(next, n.publishAt), earliest(n.tableAt, earliest(earliest(n.seeds.at, n.idle.at), n.circuitsAt)))
	if next.IsZero() {
		next = now.Add(idleWake)
	}
	n.timers.settle(n.timers.stamp(next))
	return next
}

// carryOut does what the membership asks for.
func (n *Node) carryOut(now time.Time) {
	e := n.members.take()
	for _, o := range e.open {
		l := newLink(now, &n.carrier, o.linkID, n.rng.Uint64())
		l.begin(o.number)
		n.links.add(l)
	}
	n.fail(e.offline, textOffline)
	n.fail(e.cut, textCut)
	n.send(e.send)
	for _, id := range e.drain {
		n.answerDrain(id)
	}
	for _, id := range e.close {
		if l := n.links.remove(id.boot); l != nil {
			l.sendAll()
			l.close(outcome{code: Unreachable, gone: true, body: textRestart})
		}
	}
	for _, id := range e.pull {
		n.pull(now, id)
	}
	for _, r := range e.refused {
		n.refused(now, r)
	}
	for _, ev := range e.events {
		n.logEvent(now, ev)
	}
	if e.changed {
		n.publishSoon()
	}
}

// fail ends the calls to peers that were found to be away.
func (n *Node) fail(peers []linkID, text []byte) {
	for _, id := range peers {
		if l := n.links.get(id.boot); l != nil {
			l.fail(outcome{code: Unreachable, gone: true, body: text})
		}
	}
}

// publishSoon has the view made anew, as soon as the pace allows.
func (n *Node) publishSoon() {
	if n.publishAt.IsZero() {
		n.publishAt = n.published.Add(time.Duration(len(n.view.Load().peers)) * publishPace)
	}
}

// send puts messages on their way: on the link of a believed peer, else as a datagram of their own. Each link flushes once.
func (n *Node) send(out []memberMessage) {
	for _, o := range out {
		if o.boot == 0 {
			sendOutside(&n.carrier, o.to, o.msg)
		} else if l := n.links.get(o.boot); l != nil && l.queue(o.msg) {
			n.touched = append(n.touched, l)
		}
	}
	for i, l := range n.touched {
		l.flushQueue()
		n.touched[i] = nil
	}
	n.touched = n.touched[:0]
}

// leave ends the calls in flight and begins to tell the peers.
func (n *Node) leave(now time.Time) {
	for _, l := range n.links.all() {
		l.fail(outcome{code: Closed, body: textClosed})
	}
	n.members.leave(now)
	n.carryOut(now)
}

// hasLeft reports that all is said, or that nobody would hear it.
func (n *Node) hasLeft(now time.Time) bool {
	return n.members.hasLeft(now) || n.members.isLeaving() && n.deaf.Load()
}

// takeDown is the end.
func (n *Node) takeDown(now time.Time) {
	for _, l := range n.links.all() {
		l.sendAll() // also where the reader or a flusher has it in hand: they may not get to it any more
		l.close(outcome{code: Closed, body: textClosed})
	}
	n.publish(now)
	if err := n.transport.close(); err != nil {
		n.log.Warn("broach: closing the socket", "err", err)
	}
}

// publish makes the view right.
func (n *Node) publish(now time.Time) {
	old := n.view.Load()
	v := &view{
		self: n.members.cfg.self, began: n.members.began, peers: n.members.view(), joined: n.members.joined(), isolated: n.members.pulse.isolated,
		heartbeats: n.members.rotation.perSecond(), nextc: make(chan struct{}),
	}
	n.showCircuits(now, v.peers)
	v.routes = routesOf(v.peers, n.links.get)
	n.view.Store(v)
	n.published, n.publishAt = now, time.Time{}
	if old != nil {
		n.logIsolation(old.isolated, v.isolated)
		if old.self != v.self {
			n.log.Info("broach: a seed has seen this node's address", "addr", v.self)
		}
		close(old.nextc)
	}
	n.timetable.look()
}

// refused counts an introduction with an address that is of no use, and tells the operator.
func (n *Node) refused(now time.Time, r refusal) {
	n.stats.unusable.Add(1)
	if suppressed, ok := n.refusals.allow(now); ok {
		n.log.Warn("broach: a node advertises an address that cannot be reached from here: it needs Advertise",
			"from", r.from, "advertised", r.advertised, "suppressed", suppressed)
	}
}

// logIsolation tells the operator that it is this node that is cut off, or that it no longer is.
func (n *Node) logIsolation(was, is bool) {
	switch {
	case is && !was:
		n.log.Warn("broach: most of the peers that should be heard are silent: this node is cut off", "addr", n.Addr())
	case was && !is:
		n.log.Info("broach: peers are heard again", "addr", n.Addr())
	}
}

// level is how urgently the log tells of an event.
func (k EventKind) level() slog.Level {
	if k == MemberSuspect || k == MemberUnreachable || k == CircuitOpened {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// logEvent tells the operator what changed in the cluster.
func (n *Node) logEvent(now time.Time, e memberEvent) {
	if suppressed, ok := n.memberLines.allowOf(now, memberBurst); ok {
		n.log.Log(context.Background(), e.kind.level(), "broach: "+e.kind.String(), "addr", e.addr, "name", e.name, "suppressed", suppressed)
	}
}
