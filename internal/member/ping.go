package member

import (
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"broach/internal/wire"
)

const (
	// to so many of the latest Pings to a peer an answer counts: those of 0.6 s at least
	pingsKept     = 32
	leastPatience = 100 * time.Millisecond // what a peer has to answer before another is believed that it does not
	grownFor      = 10 * time.Second       // so long others may have grown, not measured yet; 100 nodes take that
)

// inquiry is what is remembered of the latest questions about a peer. One that was never asked about has none.
type inquiry struct {
	pings     [pingsKept]ping // a ring
	sent      int             // Pings of all time
	first     moment          // the first Ping of the probe
	until     moment          // others' claims are looked at until then, if probe.heedsOthers
	doubted   moment          // when we last told others of our doubt
	witnesses []*peer         // who were asked during the probe: 3 for every other of Heartbeat.Probes at most
	looked    moment          // when a claim of others was last looked into
	helped    moment          // when one that counts no more was last answered as Help
}

// ping is one that may be answered.
type ping struct {
	nonce uint64
	at    moment
}

// inquire returns what is remembered of a peer, to be added to.
func (p *peer) inquire() *inquiry {
	if p.inquiry == nil {
		p.inquiry = &inquiry{}
	}
	return p.inquiry
}

// answered takes out the Ping that a Pong answers, and returns when it was sent; 0: it answers none.
func (q *inquiry) answered(nonce uint64) moment {
	if q == nil {
		return 0
	}
	i := slices.IndexFunc(q.pings[:], func(g ping) bool { return g.nonce == nonce && g.at != 0 })
	if i < 0 {
		return 0
	}
	at := q.pings[i].at
	q.pings[i] = ping{}
	return at
}

// ask sends a Ping of the present probe.
func (m *Membership) ask(now time.Time, p *peer) {
	q, g := p.inquire(), ping{nonce: m.rng.Uint64(), at: m.moment(now)}
	if p.probe.tries == 0 {
		q.first, q.witnesses = g.at, q.witnesses[:0]
	}
	p.probe.tries++
	q.pings[q.sent%pingsKept] = g
	q.sent++
	m.tell(p, wire.Ping{Nonce: g.nonce})
}

// isInVain reports that a probe has had so many Pings at least, the first of them longer ago than an answer takes, and
// no answer.
func (m *Membership) isInVain(now time.Time, p *peer, tries int) bool {
	return int(p.probe.tries) >= tries && !p.probe.lives() && m.moment(now) >= m.answerBy(p)
}

// patience is how long that takes: two round trips. It is no more than what our own probes take to decide, which is
// also what counts while none was measured: nobody's word makes that verdict come sooner for a peer whose answers are
// under way. That bounds, too, what one that was measured by a busy process can do.
func (m *Membership) patience(p *peer) time.Duration {
	if !p.trip.isMeasured() {
		return m.longestPatience()
	}
	return min(max(2*p.roundTrip(), leastPatience)+m.strain.slack(), m.longestPatience())
}

// longestPatience is how long our own probes take to decide.
func (m *Membership) longestPatience() time.Duration {
	h := m.cfg.Heartbeat
	return time.Duration(h.Probes)*h.ProbeEvery + h.Grace + m.strain.slack()
}

// measure takes a round trip that was measured, and sees from it whether the ways have grown. One that is no longer
// than half the least patience leaves time for a second answer.
func (m *Membership) measure(now time.Time, p *peer, d time.Duration) {
	if d > leastPatience/2 && p.trip.isMeasured() && d > 2*p.roundTrip() {
		m.grown = m.moment(now)
		m.noteAlarm(now, p)
	}
	p.noteTrip(d)
}

// haveGrown reports that a way has become much longer lately. What we know of the others may be from before.
func (m *Membership) haveGrown(now time.Time) bool {
	return m.grown != 0 && m.moment(now) < m.grown+moment(grownFor)
}

// noteTrip takes a measured round trip. A longer one counts at once, a shorter one by half: silence is read from it.
func (p *peer) noteTrip(d time.Duration) {
	d = max(d, (p.roundTrip()+d)/2)
	p.trip = trip(min(max(d.Microseconds(), 1), int64(time.Hour/time.Microsecond)))
}

// noteFirstTrip takes how long a peer took for the first answer, to what began its link. Later ones answer nothing
// whose time is known. Too long a time says that it was busy, or a datagram lost.
func (m *Membership) noteFirstTrip(p *peer, d time.Duration) {
	switch {
	case p.trip != untimed:
	case d <= m.cfg.Heartbeat.Grace/2:
		p.noteTrip(d)
	default:
		p.trip = mistimed
	}
}

// A trip is the round trip to a peer, as microseconds, or one of these.
type trip uint32

const (
	untimed  trip = 0              // nothing has been answered
	mistimed trip = math.MaxUint32 // the first answer took too long to tell anything, and none was measured since
)

func (t trip) isMeasured() bool { return t != untimed && t != mistimed }

// roundTrip is that of a peer; 0: it is not measured.
func (p *peer) roundTrip() time.Duration {
	if !p.trip.isMeasured() {
		return 0
	}
	return time.Duration(p.trip) * time.Microsecond
}

// onPong takes the answer to a probe: the path is good in both directions. While we are strained the time it took is
// more ours than the path's.
func (m *Membership) onPong(now time.Time, p *peer, msg wire.Pong) {
	at := p.inquiry.answered(msg.Nonce)
	if at == 0 {
		return
	}
	if !m.strain.isOn() {
		m.measure(now, p, time.Duration(m.moment(now)-at))
	}
	p.probe = probe{}
	if p.unreachable {
		p.unreachable = false
		m.tellOf(NewsUp, p)
	}
	m.schedule(p)
}

// An alarm says that ways may be longer than was measured: who gives it calls this node suspect or offline, or its own
// way has become much longer. For a moment no short round trip is trusted then, of nobody, [MEM-30].

const (
	alarmFor   = time.Second      // how long that lasts
	alarmAgain = 10 * time.Second // who gives an alarm is not listened to sooner: it may lie
)

// alarms are the addresses of those who gave an alarm of late, and when last. Who begins anew at its address, or was
// offline meanwhile, is no other.
type alarms map[netip.AddrPort]moment

// noteGiver notes an alarm, and reports whether it is the first from an address for a while. What finds no room is not.
func (a alarms) noteGiver(at moment, addr netip.AddrPort) bool {
	isOver := func(last moment) bool { return at >= last+moment(alarmAgain) }
	last, isKnown := a[addr]
	if len(a) >= alarmsMax && !isKnown {
		maps.DeleteFunc(a, func(_ netip.AddrPort, last moment) bool { return isOver(last) })
	}
	if len(a) >= alarmsMax && !isKnown {
		return false
	}
	a[addr] = at
	return !isKnown || isOver(last)
}

// noteAlarm notes one. Who goes on to call this node suspect, though it was answered, lies, or does not hear us.
func (m *Membership) noteAlarm(now time.Time, from *peer) {
	if m.alarms == nil {
		m.alarms = make(alarms)
	}
	if at := m.moment(now); m.alarms.noteGiver(at, from.Addr) {
		m.alarmed = at
	}
}

// answerBy is when the first Ping of a probe should have been answered. Who cannot reach us may not reach the peer that
// it gives up either: then it is the ways that are broken, and may be longer than they were once they are whole.
func (m *Membership) answerBy(p *peer) moment {
	first := p.inquiry.first
	if m.alarmed != 0 && m.alarmed+moment(alarmFor) > first {
		return first + moment(m.longestPatience())
	}
	return first + moment(m.patience(p))
}
