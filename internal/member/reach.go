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

// afterSign is what a probe becomes when its peer is heard of. Whether we reach it as well, only an answer can tell.
func (q probe) afterSign() probe {
	if q.path {
		q.find(foundAlive)
		return q
	}
	return probe{}
}

// Unanswered hears that a peer leaves calls unanswered: it is probed, as if it were late.
func (m *Membership) Unanswered(now time.Time, link uint64) {
	switch p := m.peers.byLink[link]; {
	case p == nil || p.tie.token != link:
	case m.cfg.Guest:
		m.unansweredAsGuest(now, p)
	default:
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
	if !p.probe.own || p.probe.lives() {
		p.probe = probe{at: m.moment(now), path: true}
		m.schedule(p)
	}
}

// reachBy begins a round of probes by another link, if that is the best now, to a peer that is unreachable: a round
// that is under way has gone by one that may lead nowhere.
func (m *Membership) reachBy(now time.Time, p *peer, t tie) {
	if p.unreachable && p.tie.token == t.token {
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

// When most of those that should be heard fall silent at once, it is this node that is cut off, not they. It says so in
// Stats and in the log, [MEM-23]. It would make no claims about them in any case: no witness supports it, [MEM-13].

const (
	pulseEvery  = time.Second
	isolatedMin = 2 // peers that must be late: of a single one nothing can be said
)

// pulse counts peers that were heard and peers that were found late, in this second and the one before: each for what
// was seen of it last. Not all need be heard in that time: in a large cluster each one's beat comes every N/20 s.
type pulse struct {
	began       time.Time // of this second
	turn        uint32    // its number
	heard, late [2]int    // now and before
	isolated    bool
}

// at begins another second if it is time.
func (u *pulse) at(now time.Time) {
	switch gone := now.Sub(u.began); {
	case gone >= 2*pulseEvery:
		u.heard, u.late = [2]int{}, [2]int{}
		u.began = now
		u.turn += 2
	case gone >= pulseEvery:
		u.heard, u.late = [2]int{0, u.heard[0]}, [2]int{0, u.late[0]}
		u.began = u.began.Add(pulseEvery)
		u.turn++
	}
}

// noteHeard counts a peer once in a second.
func (m *Membership) noteHeard(now time.Time, p *peer) {
	u := &m.pulse
	u.at(now)
	if p.heardIn == u.turn {
		return
	}
	u.uncount(&u.late, &p.lateIn)
	u.count(&u.heard, &p.heardIn)
	m.judgeIsolation(u.isolated && u.heard[0]+u.heard[1] <= u.late[0]+u.late[1])
}

// noteLate counts a peer that is not heard when it should be.
func (m *Membership) noteLate(now time.Time, p *peer) {
	u := &m.pulse
	u.at(now)
	u.uncount(&u.heard, &p.heardIn)
	u.count(&u.late, &p.lateIn)
	late := u.late[0] + u.late[1]
	m.judgeIsolation(u.isolated || late >= isolatedMin && late > u.heard[0]+u.heard[1])
}

// count counts a peer in this second. in is the second in which it was counted last.
func (u *pulse) count(count *[2]int, in *uint32) {
	u.uncount(count, in)
	count[0]++
	*in = u.turn
}

// uncount counts a peer no more.
func (u *pulse) uncount(count *[2]int, in *uint32) {
	if ago := u.turn - *in; *in != 0 && ago < 2 {
		count[ago]--
	}
	*in = 0
}

// IsIsolated reports that it is this node that is cut off, [MEM-23].
func (m *Membership) IsIsolated() bool { return m.pulse.isolated }

func (m *Membership) judgeIsolation(isolated bool) {
	if m.pulse.isolated != isolated {
		m.pulse.isolated, m.out.Changed = isolated, true
	}
}
