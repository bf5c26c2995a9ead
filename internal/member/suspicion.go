package member

import (
	"time"

	"broach/internal/wire"
)

const (
	helpersEach = 3 // witnesses asked at the 2nd, 4th and 6th probe
	// before a peer is doubted when no witness answers at all: then the fault is likely ours
	lonelyProbes = 40
	askAgainEach = 4               // Pings between two questions to witnesses after that, while not one has answered
	doubtEach    = 8               // Pings of a long probe between two doubts that the peer holds the link
	pairDensity  = 3               // times as many probes in the same time between two who have no witness, [MEM-11]
	doubtAgain   = 5 * time.Second // between two Suspects about a peer that we do not reach, and others do
)

// probe is the questioning of a peer that is late, or that others doubt. The zero value is none.
type probe struct {
	at     moment // when the next Ping or the verdict is due; 0: there is no probe
	tries  int32  // Pings sent since anything was heard of it
	checks int8   // Pings left to find out for ourselves what another said
	before int8   // tries when we began to ask witnesses
	own    bool   // we ask witnesses, and decide
	path   bool   // the question is whether we reach it: only a Pong ends the probe
	found  finding

	hearsay hearsay
	goAhead goAhead // for a step by hearsay, [MEM-31]
}

// A hearsay is whether a probe looks into what another says of its peer, and how.
type hearsay uint8

const (
	noHearsay  hearsay = iota // since the probe began nobody who was listened to has said anything
	heeded                    // another said Suspect or Offline
	heededFast                // so it did, and our Pings follow each other closely: they began late, or it said Offline
)

// A finding is what others and the peer itself have told of whether a probed peer is there; our own Pings are counted
// apart. It only rises while the probe lasts: a sign of life outweighs what others say.
type finding uint8

const (
	foundNothing finding = iota
	foundDenied          // a witness does not reach it either
	foundGivenUp         // another gave it up: it counts as a witness that does not reach it
	foundAlive           // a witness reached it, or it was heard, [MEM-22]
)

// find takes a finding.
func (q *probe) find(f finding) { q.found = max(q.found, f) }

// lives reports that the peer was found to be there.
func (q *probe) lives() bool { return q.found == foundAlive }

func (q *probe) isOn() bool { return q.at != 0 }

// heedsOthers reports that another said Suspect or Offline since the probe began, and was listened to.
func (q *probe) heedsOthers() bool { return q.hearsay != noHearsay }

// isHearsay reports that the probe goes on only because of what others say.
func (q *probe) isHearsay() bool { return q.isOn() && q.heedsOthers() && !q.own }

// lane is where the next step of a probe waits if this node is strained.
func (q *probe) lane() lane {
	switch {
	case !q.isHearsay():
		return byPlan
	case q.tries == 0:
		return byHearsay
	}
	return bySilence
}

// isDoubted reports that our own probes made the peer suspect: it has the time of [MEM-14] to be heard of.
func (p *peer) isDoubted() bool { return p.belief == doubted || p.belief == doubtedAlone }

// watch looks at a peer that is late, or being probed, or suspect, [MEM-11].
func (m *Membership) watch(now time.Time, p *peer) {
	switch {
	case p.isDoubted():
		m.declareOffline(now, p)
	case p.probe.found == foundGivenUp && m.isInVain(now, p, checkTimes):
		m.takeOffline(now, p)
	case m.isPutOff(p) && m.isLate(now, p):
		m.lookOurselves(now, p)
	case m.isBeingChecked(now, p):
		m.check(now, p)
	case p.probe.isHearsay() && !p.probe.lives():
		m.lookOurselves(now, p)
	case int(p.probe.tries) < m.enough(p):
		m.ping(now, p)
	case p.probe.lives() || m.doubtedInVain(now, p):
		m.cutOff(now, p)
	default:
		m.doubt(now, p)
	}
}

// enough is how many unanswered probes decide, [MEM-13].
func (m *Membership) enough(p *peer) int {
	switch {
	case p.probe.lives() && !p.unreachable:
		return pathProbes * m.density(p)
	case m.isUnsupported(p):
		return int(p.probe.before) + lonelyProbes
	}
	return int(p.probe.before) + m.cfg.Heartbeat.Probes*m.density(p)
}

// density is by how much probes follow each other more closely than ProbeEvery.
func (m *Membership) density(p *peer) int {
	if m.peers.hasOther(p) {
		return 1
	}
	return pairDensity
}

// isUnsupported reports that there are witnesses, and none of them has said yet whether it reaches the peer.
func (m *Membership) isUnsupported(p *peer) bool {
	return p.probe.found == foundNothing && m.peers.hasOther(p)
}

// doubtedInVain reports that we said Suspect lately of a peer that we do not reach, and that somebody reached it.
func (m *Membership) doubtedInVain(now time.Time, p *peer) bool {
	return p.unreachable && p.inquiry.doubted != 0 && now.Before(m.time(p.inquiry.doubted).Add(doubtAgain))
}

// ping sends the next probe; with every other one, witnesses are asked.
func (m *Membership) ping(now time.Time, p *peer) {
	if p.probe.tries == 0 && !p.probe.path ||
		int(p.probe.tries) == m.cfg.Heartbeat.Probes-1 && p.probe.path && !p.probe.lives() {
		m.noteLate(now, p) // it counts as late: it owes answers to calls, and to these Pings
	}
	p.probe.own = true
	m.ask(now, p)
	p.probe.at = m.moment(now.Add(m.cfg.Heartbeat.ProbeEvery/time.Duration(m.density(p)) + m.strain.slack()/4))
	tries := int(p.probe.tries) - int(p.probe.before)
	if tries == 1 || tries == 3 || tries%doubtEach == 0 && p.heard < p.inquiry.first {
		m.doubtLink(now, p)
	}
	if m.isToAsk(p, tries) {
		m.askWitnesses(p)
	}
}

// isToAsk reports that witnesses are asked along with this Ping. They are asked again while none has answered: the
// question or the answers may have been lost.
func (m *Membership) isToAsk(p *peer, tries int) bool {
	if tries <= m.cfg.Heartbeat.Probes {
		return tries%2 == 0
	}
	return tries%askAgainEach == 0 && p.probe.found == foundNothing
}

// doubt makes a peer suspect whose probes were in vain. If not one witness answered, the claim is kept to ourselves.
func (m *Membership) doubt(now time.Time, p *peer) {
	if m.isUnsupported(p) {
		m.believe(now, p, doubtedAlone)
		return
	}
	m.believe(now, p, doubted)
	p.inquiry.doubted = m.moment(now)
	m.claim(now, p, wire.Suspect{Target: p.target()})
}

// declareOffline ends the time to refute.
func (m *Membership) declareOffline(now time.Time, p *peer) {
	if p.belief == doubted {
		m.claim(now, p, wire.Offline{Target: p.target()})
	}
	m.takeOffline(now, p)
}

// dropDoubts forgets what was asked about a peer that is not there any more, and what was found: it may come back.
func (p *peer) dropDoubts() {
	p.probe, p.accuser, p.unreachable, p.inquiry = probe{}, nil, false, nil
}

// takeOffline makes a peer offline: calls to it fail at once, [MEM-14].
func (m *Membership) takeOffline(now time.Time, p *peer) {
	p.dropDoubts()
	p.flap(now)
	m.believe(now, p, believedOffline)
	m.out.Offline = p.links(m.out.Offline)
	m.planHealing(now)
}
