package member

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"broach/internal/handshake"
	"broach/internal/pace"
	"broach/internal/wire"
)

// A guest calls and is no member, [GST-1]. Of one nothing is kept but its links: no peer is made of it, nobody is told
// of it, and what it says of others is not listened to.

const (
	guestsMax    = 256              // more would be members
	guestsTies   = 2                // links of one of them, [LNK-7]
	guestSilence = 10 * time.Second // after which it is gone
)

// guest is one of them.
type guest struct {
	wire.Process
	ties  []tie
	heard moment // when a datagram of it came
	left  bool   // it has said so; its links stay for as long as it may say it again
}

// guests are all of them.
type guests struct {
	byAddr map[netip.AddrPort]*guest
	byLink map[uint64]*guest
	list   []*guest  // in the order in which they came
	at     time.Time // when the first may have been silent for too long, or earlier; zero: there is none
	left   int       // of them
}

// Guests is how many there are.
func (m *Membership) Guests() int { return len(m.guests.list) - m.guests.left }

// MadeGuest takes up a link that a guest began.
func (m *Membership) MadeGuest(now time.Time, id wire.Process, token uint64, order handshake.Order) {
	t := tie{token: token, order: order, born: m.moment(now)}
	if m.IsLeaving() || m.isLearning() || m.cfg.Guest || id.Addr == m.cfg.Self || id.Boot == m.cfg.Boot {
		m.refuse(t)
		return
	}
	g := m.guests.byAddr[id.Addr]
	if g != nil && (g.left || g.Boot != id.Boot) {
		m.dropGuest(g)
		g = nil
	}
	if g == nil {
		g = m.admitGuest(id)
	}
	g.heard = m.moment(now)
	m.bindGuest(g, t)
	m.guests.at = pace.Earliest(m.guests.at, now.Add(guestSilence))
}

// admitGuest adds a guest. Where there are as many as may be, the one goes that has been silent for the longest time.
func (m *Membership) admitGuest(id wire.Process) *guest {
	s := &m.guests
	if s.byAddr == nil {
		s.byAddr, s.byLink = make(map[netip.AddrPort]*guest), make(map[uint64]*guest)
	}
	if len(s.list) >= guestsMax {
		m.dropGuest(slices.MinFunc(s.list, func(a, b *guest) int { return cmp.Compare(a.heard, b.heard) }))
	}
	g := &guest{Process: id}
	s.byAddr[id.Addr], s.list = g, append(s.list, g)
	return g
}

// bindGuest gives a guest another link. Of three the lowest of the older goes.
func (m *Membership) bindGuest(g *guest, t tie) {
	if len(g.ties) == guestsTies {
		low := 0
		if g.ties[0].isHigher(g.ties[1]) {
			low = 1
		}
		m.cutGuest(g.ties[low])
		g.ties = slices.Delete(g.ties, low, low+1)
	}
	g.ties = append(g.ties, t)
	m.guests.byLink[t.token] = g
}

// cutGuest closes a link of a guest, and says so: it need not wait for answers.
func (m *Membership) cutGuest(t tie) {
	delete(m.guests.byLink, t.token)
	m.refuse(t)
}

// dropGuest ends a guest.
func (m *Membership) dropGuest(g *guest) {
	for _, t := range g.ties {
		if delete(m.guests.byLink, t.token); g.left {
			m.out.Close = append(m.out.Close, t.token)
		} else {
			m.refuse(t)
		}
	}
	if g.left {
		m.guests.left--
	}
	delete(m.guests.byAddr, g.Addr)
	i := slices.Index(m.guests.list, g)
	m.guests.list = slices.Delete(m.guests.list, i, i+1)
}

// dropGuestAt ends the guest at an address, where a member is now.
func (m *Membership) dropGuestAt(addr netip.AddrPort) {
	if g := m.guests.byAddr[addr]; g != nil {
		m.dropGuest(g)
	}
}

// dropGuests ends all of them.
func (m *Membership) dropGuests() {
	for _, g := range slices.Clone(m.guests.list) {
		m.dropGuest(g)
	}
}

// IsWelcome reports whether a guest may say something of section 4: only that it is there, and that it goes.
func IsWelcome(kind wire.Kind) bool { return kind == wire.KindPing || kind == wire.KindLeave }

// onGuest takes a message of a guest, or with a nil one the news that something came.
func (m *Membership) onGuest(now time.Time, g *guest, link uint64, msg wire.Message) {
	if !g.left {
		g.heard = m.moment(now)
	}
	switch msg := msg.(type) {
	case wire.Ping:
		m.send(link, wire.Pong(msg))
	case wire.Leave:
		m.send(link, wire.Leave{})
		if !g.left {
			g.left = true
			m.guests.left++
			m.guests.at = pace.Earliest(m.guests.at, now.Add(leaveFor))
		}
	}
}

// goneAt is when a guest is gone if it stays silent, or has left.
func (m *Membership) goneAt(g *guest) time.Time {
	if g.left {
		return m.time(g.heard).Add(leaveFor)
	}
	return m.time(g.heard).Add(guestSilence)
}

// tickGuests ends those that are gone.
func (m *Membership) tickGuests(now time.Time) {
	s := &m.guests
	if s.at.IsZero() || now.Before(s.at) {
		return
	}
	s.at = time.Time{}
	for _, g := range slices.Clone(s.list) {
		if at := m.goneAt(g); !now.Before(at) {
			m.dropGuest(g)
		} else {
			s.at = pace.Earliest(s.at, at)
		}
	}
}
