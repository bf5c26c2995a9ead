package broach

import (
	"cmp"
	"log/slog"
	"time"

	"broach/internal/buffer"
	"broach/internal/link"
	"broach/internal/member"
	"broach/internal/pace"
	"broach/internal/wire"
)

// Heartbeat holds the timers by which peers are watched. The defaults find a dead peer in about a second at any cluster
// size and were measured together: change them together. Zero fields are the defaults.
type Heartbeat struct {
	Interval   time.Duration // least time between two beats to the same peer; 0 is 1 s
	Budget     int           // beats a second, to all peers together, up to 10,000; 0 is 20
	Tick       time.Duration // how often the node looks at its clocks, 1 ms to 1 s; 0 is 30 ms
	Margin     time.Duration // how far a beat may be later than promised before the peer is probed; 0 is 150 ms
	ProbeEvery time.Duration // time between two probes of a late peer; 0 is 60 ms
	Probes     int           // unanswered probes before the peer is suspected, up to 100; 0 is 6
	Grace      time.Duration // how long a suspected peer may refute before it counts as offline; 0 is 300 ms
	// Forget is how long an offline peer is still contacted; 0 is 24 h; addresses in Join are never forgotten
	Forget time.Duration
}

// heartbeat is Heartbeat with its defaults.
func (c Config) heartbeat() Heartbeat {
	h := c.Heartbeat
	h.Interval = cmp.Or(h.Interval, time.Second)
	h.Budget = cmp.Or(h.Budget, 20)
	h.Tick = cmp.Or(h.Tick, 30*time.Millisecond)
	h.Margin = cmp.Or(h.Margin, 150*time.Millisecond)
	h.ProbeEvery = cmp.Or(h.ProbeEvery, 60*time.Millisecond)
	h.Probes = cmp.Or(h.Probes, 6)
	h.Grace = cmp.Or(h.Grace, 300*time.Millisecond)
	h.Forget = cmp.Or(h.Forget, 24*time.Hour)
	return h
}

// memberBurst is how many lines a second tell what became of other nodes: a cut of the network can cause any number.
const memberBurst = 20

const idleWake = time.Minute // how long the loop sleeps when nothing at all is due

// beat is the loop of the node: it owns what we believe of the cluster. Messages, commands and the passing of time go
// in; datagrams, links opened and closed, and published views come out. It never waits for anybody.
func (n *Node) beat() {
	defer n.running.Done()
	now := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	closing := n.serving.provider.ctx.Done()
	for !n.hasLeft(now) {
		next := pace.Later(n.step(now), now) // what a message has made overdue was not planned before
		timer.Reset(next.Sub(now))
		select {
		case in := <-n.loop.inbox:
			now = time.Now()
			n.receive(now, in)
			n.drain(now)
		case a := <-n.loop.arrivals:
			now = time.Now()
			n.arrive(now, a)
			n.drain(now)
		case command := <-n.loop.commands:
			command(time.Now())
			// whatever it took, or if the process was stopped meanwhile: what is due is judged by the present
			now = time.Now()
		case <-n.linking.wires.Timers.Woken():
			now = time.Now()
		case <-timer.C:
			now = time.Now() // not the timer's: after a stall that one is old
		case <-closing:
			closing = nil
			now = time.Now()
			n.leave(now)
		}
		n.loop.members.Observe(now, now.Sub(next), n.stats.inboxFull.Load())
	}
	n.takeDown(now)
}

// drain takes what else has come, so that one step serves many messages.
func (n *Node) drain(now time.Time) {
	for range inboxMax {
		select {
		case a := <-n.loop.arrivals:
			n.arrive(now, a)
		case in := <-n.loop.inbox:
			n.receive(now, in)
		default:
			return
		}
	}
}

// receive gives a message to the membership, which has to know the link first: that is told before it.
func (n *Node) receive(now time.Time, in *inbound) {
	in.from.told.Add(-1)
	for !in.from.known {
		select {
		case a := <-n.loop.arrivals:
			n.arrive(now, a)
		default:
			return // the link was refused
		}
	}
	n.loop.members.Receive(now, in.Source, in.msg)
}

// step does all that is due and returns when to step next.
func (n *Node) step(now time.Time) time.Time {
	n.log.Ask(now)
	n.linking.wires.Timers.Watch() // a link that becomes due from here on wakes the loop
	due, silent := n.linking.wires.Timers.Run(now)
	for _, l := range silent {
		n.log.noteSilent(now, l.ID.Addr)
		n.loop.members.Unanswered(now, l.Token)
	}
	if !n.loop.tableAt.IsZero() && !now.Before(n.loop.tableAt) {
		n.carryOut(now) // what says the table of before goes under its version
		n.tellTable(now)
	}
	n.lookUpNames(now)
	n.loop.members.Tick(now)
	n.carryOut(now)
	n.noteDrained()
	n.tendLinks(now)
	n.noteCircuits(now)
	if !n.loop.publishAt.IsZero() && !now.Before(n.loop.publishAt) {
		n.publish(now)
	}
	if n.loop.idle.IsOver(now) {
		n.background.TryGo(buffer.GiveBack)
	}
	n.noteSilence(now)
	n.noteTrouble(now)
	next := n.loop.nextTimeout(due)
	if next.IsZero() {
		next = now.Add(idleWake)
	}
	n.linking.wires.Timers.Settle(n.linking.wires.Timers.Stamp(next))
	return next
}

// nextTimeout is when the loop has something to do: links are due at a time, and everything else when it says so.
func (l *loop) nextTimeout(due time.Time) time.Time {
	return pace.First(due, l.members.NextTimeout(), l.tendAt, l.publishAt, l.tableAt, l.circuitsAt,
		l.idle.Next(), l.seeds.next())
}

// carryOut does what the membership asks for.
func (n *Node) carryOut(now time.Time) {
	e := n.loop.members.Take()
	n.noteSelf(now)
	for _, terms := range e.Begin {
		n.beginLink(now, terms)
	}
	for _, s := range e.Succeed {
		n.succeedLink(now, s)
	}
	isShown := n.endCallsToAway(now, e)
	n.log.noteOpens(now, e.Opens)
	n.sendOpens(e.Opens)
	n.send(e.Send)
	for _, token := range e.Forget {
		n.linking.tokens.Forget(token)
	}
	for _, token := range e.Drain {
		n.answerDrain(token)
	}
	for _, token := range e.Close {
		n.closeLink(now, token)
	}
	for _, p := range e.Pull {
		n.pull(now, p)
	}
	for _, id := range e.Crowded {
		n.crowded(now, id)
	}
	for _, id := range e.Spoilt {
		n.spoilt(now, id)
	}
	for _, ev := range e.Events {
		n.logEvent(now, ev)
	}
	n.noteStopped(e.Stopped)
	n.stats.unusable.Add(e.Unusable)
	n.stats.guests.Store(int64(n.loop.members.Guests()))
	if e.Changed && !isShown {
		n.publishSoon()
	}
}

// send puts messages on their way. Each link flushes once.
func (n *Node) send(out []member.Message) {
	for _, o := range out {
		if l := n.linking.tokens.Link(o.Link); l != nil && l.Queue(o.Msg) {
			n.loop.touched = append(n.loop.touched, l)
		}
	}
	for i, l := range n.loop.touched {
		l.FlushQueue()
		n.loop.touched[i] = nil
	}
	n.loop.touched = n.loop.touched[:0]
}

// leave ends the calls in flight and begins to tell the peers.
func (n *Node) leave(now time.Time) {
	for _, l := range n.linking.tokens.All() {
		l.Fail(link.Outcome{Code: wire.Closed, Body: []byte(textClosed)})
	}
	n.loop.members.Leave(now)
	n.carryOut(now)
}

// hasLeft reports that all is said, or that nobody would hear it.
func (n *Node) hasLeft(now time.Time) bool {
	return n.loop.members.HasLeft(now) || n.loop.members.IsLeaving() && n.deaf.Load()
}

// takeDown is the end.
func (n *Node) takeDown(now time.Time) {
	for _, l := range n.linking.tokens.All() {
		l.SendAll() // also where the reader or a flusher has it in hand: they may not get to it any more
		l.Close(link.Outcome{Code: wire.Closed, Body: []byte(textClosed)})
	}
	n.publish(now)
	if err := n.linking.transport.Close(); err != nil {
		n.log.Warn("broach: closing the socket", "err", err)
	}
}

// crowded counts a table that finds no room, and tells the operator.
func (n *Node) crowded(now time.Time, id wire.Process) {
	n.stats.crowded.Add(1)
	if suppressed, ok := n.loop.crowdedLines.Allow(now); ok {
		n.log.Warn("broach: the service tables of all members together are too large, so functions of this one"+
			" are not called:"+
			" offer fewer functions, or divide the cluster",
			"addr", id.Addr, "functions", member.RowsMax, "bytes", member.RowBytesMax, "suppressed", suppressed)
	}
}

// spoilt counts a table that cannot be decoded, and tells the operator.
func (n *Node) spoilt(now time.Time, id wire.Process) {
	n.stats.crowded.Add(1)
	if suppressed, ok := n.loop.crowdedLines.Allow(now); ok {
		n.log.Warn("broach: the service table of a member cannot be read, so its functions are not called:"+
			" does it run a broach of this version?",
			"addr", id.Addr, "suppressed", suppressed)
	}
}

// noteStopped tells the operator that this process stood still.
func (n *Node) noteStopped(long time.Duration) {
	if long > 0 {
		n.log.Warn("broach: this process did not run for a while, and others took it for dead:"+
			" was it stopped, or does it want for processor or memory?",
			"for", long)
	}
}

// logIsolation tells the operator that it is this node that is cut off, or that it no longer is.
func (n *Node) logIsolation(was, is bool) {
	switch {
	case is && !was:
		n.log.Warn("broach: most of the peers that should be heard are silent: this node is cut off",
			"addr", n.Addr(), "check", "its network, rather than theirs")
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

// remedy is what the log tells to look at because of an event.
func (k EventKind) remedy() string {
	switch k {
	case MemberOffline:
		return "does the process run? If several nodes say it of each other, the network"
	case MemberUnreachable:
		return "a firewall or a route between it and this node, for others reach it"
	case CircuitOpened:
		return "why the function fails there: the log of that node, at debug, tells"
	}
	return ""
}

// logEvent tells the operator what changed in the cluster.
func (n *Node) logEvent(now time.Time, e member.Event) {
	if suppressed, ok := n.loop.memberLines.AllowOf(now, memberBurst); ok {
		kind := eventOf(e.News)
		n.log.Log(kind.level(), "broach: "+kind.String(),
			"addr", e.Addr, "name", e.Name, "check", kind.remedy(), "suppressed", suppressed)
	}
}

const (
	// between two published views, for each peer: a mass join must not make them all the time
	publishPace  = 10 * time.Microsecond
	publishShare = 10          // and so many times what the last one took: it may take a tenth of a processor
	publishLate  = time.Second // but no longer
)

// publishSoon has the view made anew, as soon as the pace allows.
func (n *Node) publishSoon() {
	if n.loop.publishAt.IsZero() {
		n.loop.publishAt = n.loop.published.Add(publishGap(len(n.calling.view.Load().peers), n.loop.viewTook))
	}
}

// publishGap is the time between two views of so many peers, the former of which took so long to make.
func publishGap(peers int, took time.Duration) time.Duration {
	return max(time.Duration(peers)*publishPace, min(took*publishShare, publishLate))
}

// publish makes the view right.
func (n *Node) publish(now time.Time) {
	began, old := time.Now(), n.calling.view.Load()
	if old == nil {
		old = &view{self: n.addr, nextc: make(chan struct{})}
	}
	n.calling.view.Store(n.nextView(now, old))
	n.loop.viewTook, n.loop.published, n.loop.publishAt = time.Since(began), now, time.Time{}
	n.logView(old, n.calling.view.Load())
	n.failCallsToAway()
	close(old.nextc)
	n.serving.timetable.look()
}

// nextView is the view of now. It shares with the one before what has not changed.
func (n *Node) nextView(now time.Time, old *view) *view {
	m := n.loop.members
	v := &view{
		self: m.Self(), began: m.BeganAt(), peers: m.View(), joined: m.Joined(), isolated: m.IsIsolated(),
		heartbeats: m.BeatsPerSecond(), host: m.Host(), nextc: make(chan struct{}),
	}
	v.joinedAt = old.joinedAt
	if v.joined != old.joined || v.joinedAt.IsZero() {
		v.joinedAt = now
	}
	v.open = n.findCircuits(now, v.peers, old.open)
	v.routes = old.routes.follow(old.peers, v.peers, n.linking.tokens.Link)
	return v
}

// logView tells the operator how this node's own place has changed.
func (n *Node) logView(was, is *view) {
	n.logIsolation(was.isolated, is.isolated)
	switch isNew := is.joined && !was.joined && !was.joinedAt.IsZero(); {
	case isNew && n.cfg.Guest:
		n.log.Info("broach: a seed tells this guest where functions are", "after", is.joinedAt.Sub(was.joinedAt))
	case isNew:
		n.log.Info("broach: joined the cluster", "members", len(is.peers)+1, "after", is.joinedAt.Sub(was.joinedAt))
	}
	if was.self != is.self {
		n.log.Info("broach: a seed has seen this node's address", "addr", is.self)
	}
}
