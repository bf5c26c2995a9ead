package member

import (
	"maps"
	"net/netip"
	"time"
)

// An alarm says that ways may be longer than was measured: who gives it calls this node suspect or offline, or its own
// way has become much longer. For a moment no short round trip is trusted then, of nobody, [MEM-30].

const (
	alarmFor   = time.Second      // how long that lasts
	alarmAgain = 10 * time.Second // who gives an alarm is not listened to sooner: it may lie
)

// alarms are the addresses of those who gave an alarm of late, and when last. Who begins anew at its address, or was
// offline meanwhile, is no other.
type alarms map[netip.AddrPort]moment

// note notes an alarm, and reports whether it is the first from an address for a while. What finds no room is not.
func (a alarms) note(at moment, addr netip.AddrPort) bool {
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
	if at := m.moment(now); m.alarms.note(at, from.Addr) {
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
