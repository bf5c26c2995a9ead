package member

import (
	"math"
	"slices"
	"time"

	"broach/internal/wire"
)

// stalled is by how much a tick may be late before this process must have been stopped, [MEM-21]: far above any
// scheduling delay that a working node has, and below what makes others believe it dead.
const stalled = time.Second

// answersWithin is what peers have to answer the announcement that is made then. Who died meanwhile is found sooner
// than by the beat that it owes, which in a large cluster was promised for much later.
const answersWithin = time.Second

// rotation spreads the beats over the peers: to the one that has waited longest, at an even pace, [MEM-10]. The bunched
// beats of a first version cost three seconds of detection with 100 nodes.
type rotation struct {
	heartbeat Timing
	order     []*peer // the first has waited longest
	last      time.Time
}

func (r *rotation) init(now time.Time, h Timing) { r.heartbeat, r.last = h, now }

// enqueue puts a peer behind all others. One that went offline and came back in time has kept its place.
func (r *rotation) enqueue(p *peer) {
	if !p.rotates {
		p.rotates = true
		r.order = append(r.order, p)
	}
}

// spacing is the time between two beats.
func (r *rotation) spacing() time.Duration {
	n := max(len(r.order), 1)
	return max(r.heartbeat.Interval/time.Duration(n), time.Second/time.Duration(r.heartbeat.Budget))
}

// interval is the time between two beats to the same peer.
func (r *rotation) interval() time.Duration { return r.spacing() * time.Duration(max(len(r.order), 1)) }

// promise is what a peer that is put behind all others is told: a little more than the interval, so that a beat in time
// is never late. It is kept when the cluster grows: those who come later stand behind.
func (r *rotation) promise() time.Duration { return r.withSlack(r.interval()) }

// promiseTo is what a peer is told of its next beat, by where it stands: of a crowd that came at once some wait a
// moment, and some a whole interval.
func (r *rotation) promiseTo(p *peer) time.Duration {
	before := slices.Index(r.order, p)
	if before < 0 {
		before = len(r.order)
	}
	return r.withSlack(r.spacing() * time.Duration(before+1))
}

func (r *rotation) withSlack(d time.Duration) time.Duration { return d + d/50 + 2*r.heartbeat.Tick }

// promised is a promise as it travels.
func promised(d time.Duration) uint16 { return uint16(min(d.Milliseconds(), math.MaxUint16)) }

// perSecond is how many beats are sent in a second.
func (r *rotation) perSecond() float64 {
	if len(r.order) == 0 {
		return 0
	}
	return float64(time.Second) / float64(r.spacing())
}

// BeatsPerSecond is how many beats this node sends in a second.
func (m *Membership) BeatsPerSecond() float64 { return m.rotation.perSecond() }

// nextAt is when the next beat is due; zero: there is nobody to beat to.
func (r *rotation) nextAt() time.Time {
	if len(r.order) == 0 {
		return time.Time{}
	}
	return r.last.Add(r.spacing())
}

// next takes the peer whose turn it is. Peers that are gone drop out here.
func (r *rotation) next() *peer {
	for len(r.order) > 0 {
		p := r.order[0]
		r.order = r.order[1:]
		if p.isMember() {
			r.order = append(r.order, p)
			return p
		}
		p.rotates = false
	}
	return nil
}

// tickBeats sends the beats that are due. After a pause it does not make up for those missed.
func (m *Membership) tickBeats(now time.Time) {
	r := &m.rotation
	for at := r.nextAt(); !at.IsZero() && !now.Before(at); at = r.nextAt() {
		r.last = at
		if now.Sub(at) > r.heartbeat.Interval {
			r.last = now
		}
		if p := r.next(); p != nil {
			m.beat(now, p)
		}
	}
}

// beat sends one.
func (m *Membership) beat(now time.Time, p *peer) {
	b, at := &p.tie.beats, m.moment(now).micros()
	b.out++
	if isTimed(b.out) {
		b.sentAt = at
	}
	m.tell(p, wire.Beat{
		Seq: b.out, Promise: promised(m.rotation.promise()), Inc: m.inc, Digest: m.digest,
		Echo: b.in, Held: at - b.cameAt,
	})
}

// onBeat takes a peer's promise, and compares what it believes with what we do, [MEM-20].
func (m *Membership) onBeat(now time.Time, p *peer, link uint64, b wire.Beat) {
	beats := &p.tieOf(link).beats
	if b.Seq <= beats.in {
		return
	}
	beats.in, beats.cameAt = b.Seq, m.moment(now).micros()
	if !p.asked {
		m.expect(p, now.Add(time.Duration(b.Promise)*time.Millisecond))
	}
	if p.isIntroduced() {
		p.inc = max(p.inc, b.Inc)
	}
	m.noteEcho(now, p, *beats, b)
	again := p.differs
	if p.differs = b.Digest != m.digest; !p.differs {
		p.mended = 0
	}
	if p.differs && again && m.moment(now) >= p.mendAt && m.mayMend(now) {
		m.mend(now, p)
	}
}

// mayMend reports whether a peer may be sent the List because it believes in others than we do. Among many that are
// about to meet all do, and it is no use.
func (m *Membership) mayMend(now time.Time) bool {
	return !now.Before(m.listAt) && !m.isCrowded()
}

// isCrowded reports that this node is strained, and has many to meet.
func (m *Membership) isCrowded() bool { return m.strain.isOn() && len(m.joining.missing) > crowdFew }

// mend sends the List to a peer that believes in others than we do. While that does not help the next ones come ever
// more rarely, so that those whom it helps have their turn however many there are whom it does not.
func (m *Membership) mend(now time.Time, p *peer) {
	entries := m.entries()
	p.differs, p.mendAt = false, m.moment(now.Add(min(listEvery<<p.mended, listSlowest)))
	p.mended = min(p.mended+1, 8)
	pause := listPause
	if m.strain.goesOn() {
		pause = listStrained
	}
	m.listAt = now.Add(time.Duration(1+len(entries)/listEntries) * pause)
	m.tellChunks(now, p, 0, entries, payNone)
}

// lateAt is when a peer will be late. What comes from it meanwhile does not put its beat off: a node that said
// something to all and died would owe nobody anything for a whole rotation.
func (m *Membership) lateAt(p *peer) time.Time {
	return m.time(max(p.beatBy, p.heard)).Add(m.cfg.Heartbeat.Margin + m.strain.slack())
}

// isLate reports that it is.
func (m *Membership) isLate(now time.Time, p *peer) bool { return !now.Before(m.lateAt(p)) }

// noteAnswer gives a peer that answers after we were stopped until we would beat to it. What had waited in the socket
// is no answer.
func (m *Membership) noteAnswer(now time.Time, p *peer) {
	if p.asked {
		p.asked = false
		m.expect(p, now.Add(m.rotation.promise()))
	}
}

// excuse gives a peer that is there, though its beat is overdue, until we would beat to it: the beat is lost, and the
// next one is a rotation away.
func (m *Membership) excuse(now time.Time, p *peer) {
	if m.moment(now) > p.beatBy {
		p.asked = false
		m.expect(p, now.Add(m.rotation.promise()))
	}
}

// expect notes when the next beat of a peer is to come.
func (m *Membership) expect(p *peer, by time.Time) { p.beatBy = m.moment(by) }

// watchAt is when a peer that is alive or suspect must be looked at.
func (m *Membership) watchAt(p *peer) time.Time {
	switch {
	case p.isDoubted():
		return m.time(p.since).Add(m.cfg.Heartbeat.Grace + m.strain.slack())
	case p.probe.isOn() && !m.isPutOff(p):
		return m.time(p.probe.at)
	}
	return m.lateAt(p)
}

// isPutOff reports that a probe that others' words began may have to wait for its turn, however long. The peer can be
// late meanwhile.
func (m *Membership) isPutOff(p *peer) bool { return m.strain.isOn() && p.probe.isHearsay() }

// noticeStall makes good after this process stood still. It comes before anything that was said meanwhile is taken:
// what that begins is not to be put off.
func (m *Membership) noticeStall(now time.Time) {
	stood := now.Sub(m.wakeAt)
	if m.wakeAt.IsZero() || stood <= stalled || m.cfg.Guest {
		return
	}
	m.wakeAt, m.out.Stopped = now, stood
	m.recover(now, stood)
}

// recover makes good after this process stood still for a while: it was us who were silent, so nobody else is blamed,
// [MEM-21]. If it stands still again and again, because it gets too little of the processor, it does not ask all each
// time: that would take what is left.
func (m *Membership) recover(now time.Time, stood time.Duration) {
	m.helps = nil // whether they were answered is not read yet
	if m.strain.goesOn() {
		m.moveAll(stood)
		return
	}
	m.claims = nil
	m.inc = max(m.inc, m.inc+1) // which the answers to the new hellos say; there is none above the highest
	for _, p := range m.peers.list {
		p.heard, p.asked = m.moment(now), true
		m.endProbe(now, p)
		p.accuser = nil
		if p.state() == Suspect {
			m.revive(now, p)
		}
		m.expect(p, now.Add(m.rotation.promise())) // until it is asked
		m.schedule(p)
	}
	m.announceAll(now)
}

// moveAll puts off by the time that this process stood still what it waits for: nobody is given up any sooner for that,
// nor any later.
func (m *Membership) moveAll(stood time.Duration) {
	by := moment(stood)
	for _, p := range m.peers.list {
		p.beatBy += by
		if p.probe.isOn() {
			p.probe.at += by
		}
		if q := p.inquiry; q != nil {
			q.first, q.until = q.first+by, q.until+by
		}
		if p.state() == Suspect {
			p.since += by
		}
		m.schedule(p)
	}
}
