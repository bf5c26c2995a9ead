package broach

import "time"

const (
	publishPace  = 10 * time.Microsecond // between two published views, for each peer: a mass join must not make them all the time
	publishShare = 10                    // and so many times what the last one took: it may take a tenth of a processor
	publishLate  = time.Second           // but no longer
)

// publishSoon has the view made anew, as soon as the pace allows.
func (n *Node) publishSoon() {
	if n.publishAt.IsZero() {
		n.publishAt = n.published.Add(publishGap(len(n.view.Load().peers), n.viewTook))
	}
}

// publishGap is the time between two views of so many peers, the former of which took so long to make.
func publishGap(peers int, took time.Duration) time.Duration {
	return max(time.Duration(peers)*publishPace, min(took*publishShare, publishLate))
}

// publish makes the view right.
func (n *Node) publish(now time.Time) {
	began, old := time.Now(), n.view.Load()
	if old == nil {
		old = &view{self: n.addr, nextc: make(chan struct{})}
	}
	n.view.Store(n.nextView(now, old))
	n.viewTook, n.published, n.publishAt = time.Since(began), now, time.Time{}
	n.logView(old, n.view.Load())
	close(old.nextc)
	n.timetable.look()
}

// nextView is the view of now. It shares with the one before what has not changed.
func (n *Node) nextView(now time.Time, old *view) *view {
	m := n.members
	v := &view{
		self: m.Self(), began: m.BeganAt(), peers: m.View(), joined: m.Joined(), isolated: m.IsIsolated(),
		heartbeats: m.BeatsPerSecond(), nextc: make(chan struct{}),
	}
	v.joinedAt = old.joinedAt
	if v.joined != old.joined || v.joinedAt.IsZero() {
		v.joinedAt = now
	}
	v.open = n.findCircuits(now, v.peers, old.open)
	v.routes = old.routes.follow(old.peers, v.peers, n.tokens.link)
	return v
}

// logView tells the operator how this node's own place has changed.
func (n *Node) logView(was, is *view) {
	n.logIsolation(was.isolated, is.isolated)
	if is.joined && !was.joined && !was.joinedAt.IsZero() {
		n.log.Info("broach: joined the cluster", "members", len(is.peers)+1, "after", is.joinedAt.Sub(was.joinedAt))
	}
	if was.self != is.self {
		n.log.Info("broach: a seed has seen this node's address", "addr", is.self)
	}
}
