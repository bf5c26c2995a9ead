package member

import "time"

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
	u.take(&u.late, &p.lateIn)
	u.put(&u.heard, &p.heardIn)
	m.judgeIsolation(u.isolated && u.heard[0]+u.heard[1] <= u.late[0]+u.late[1])
}

// noteLate counts a peer that is not heard when it should be.
func (m *Membership) noteLate(now time.Time, p *peer) {
	u := &m.pulse
	u.at(now)
	u.take(&u.heard, &p.heardIn)
	u.put(&u.late, &p.lateIn)
	late := u.late[0] + u.late[1]
	m.judgeIsolation(u.isolated || late >= isolatedMin && late > u.heard[0]+u.heard[1])
}

// put counts a peer in this second. in is the second in which it was counted last.
func (u *pulse) put(count *[2]int, in *uint32) {
	u.take(count, in)
	count[0]++
	*in = u.turn
}

// take counts a peer no more.
func (u *pulse) take(count *[2]int, in *uint32) {
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
