package member

import (
	"time"

	"broach/internal/wire"
)

const (
	// unanswered by a peer that lives: at a loss of a quarter each way, 2 in a million are false
	pathProbes = 16
	pathEvery  = time.Second // between two rounds of probes to one that is unreachable
	echoBehind = 3           // beats of ours that a peer may not have heard
)

// heard is what a probe becomes when its peer is heard of. Whether we reach it as well, only an answer can tell.
func (q probe) heard() probe {
	if q.path {
		q.lives, q.given = true, false
		return q
	}
	return probe{}
}

// Unanswered hears that a peer leaves calls unanswered: it is probed, as if it were late.
func (m *Membership) Unanswered(now time.Time, link uint64) {
	if p := m.peers.byLink[link]; p != nil && p.tie.token == link {
		m.probePath(now, p)
	}
}

// noteEcho sees from the echo in its Beat whether a peer hears us, and how long the way is.
func (m *Membership) noteEcho(now time.Time, p *peer, own beats, b wire.Beat) {
	switch {
	case own.out >= b.Echo+echoBehind:
		m.probePath(now, p)
	case isTimed(b.Echo) && b.Echo <= own.out && own.out <= b.Echo+1 && !m.strain.isOn():
		// else it held that one for longer than there was one
		if took := int32(m.moment(now).micros() - own.sentAt - b.Held); took > 0 {
			m.measure(now, p, time.Duration(took)*time.Microsecond)
		}
	}
}

// isTimed reports whether a node keeps the time of its Beat with this seq. It keeps that of every other Beat, until the
// next but one goes: where the way is long, the Beats of both may always cross, and an echo is then of the one before
// the latest.
func isTimed(seq uint32) bool { return seq%2 == 1 }

// probePath finds out whether we reach a peer. What others say of it meanwhile does not put that off.
func (m *Membership) probePath(now time.Time, p *peer) {
	if !p.isMember() || p.probe.isOn() && !p.probe.isHearsay() {
		return
	}
	p.probe.path = true
	m.ping(now, p)
	m.schedule(p)
}

// reachAgain begins the next round of probes to a peer that is unreachable now, unless one is under way that has had no
// sign of life yet.
func (m *Membership) reachAgain(now time.Time, p *peer) {
	if !p.probe.own || p.probe.lives {
		p.probe = probe{at: m.moment(now), path: true}
		m.schedule(p)
	}
}

// endProbe ends a probe without an answer to it. Where the path was found broken, the next round is due.
func (m *Membership) endProbe(now time.Time, p *peer) {
	p.probe = probe{}
	if p.unreachable {
		p.probe = probe{at: m.moment(now.Add(pathEvery)), path: true}
	}
}

// cutOff notes that we do not reach a peer that lives. The next round of probes is as short as those of a peer that is
// late: should it die, nobody vouches for it any more.
func (m *Membership) cutOff(now time.Time, p *peer) {
	known := p.unreachable
	p.unreachable = true
	m.endProbe(now, p)
	if known {
		return
	}
	m.out.Cut = p.links(m.out.Cut)
	m.tellOf(NewsUnreachable, p)
}
