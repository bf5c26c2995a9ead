package broach

import (
	"net/netip"
	"time"

	"broach/internal/wire"
)

// A node that listens on all addresses of its host, and was not told which of them to advertise, takes the one that a seed
// sees it at, [MEM-25]. Until then it is nobody's peer.

// isLearning reports that our address is not known yet.
func (m *membership) isLearning() bool { return m.cfg.self.Addr().IsUnspecified() }

// learn takes the messages that count meanwhile: the answer to our Join, and what others in our position ask.
func (m *membership) learn(now time.Time, src source, msg wire.Message) {
	switch msg := msg.(type) {
	case wire.Observed:
		if m.joining.isAnswer(msg.Nonce) && isUsable(src, msg.Addr) {
			m.adopt(now, msg.Addr)
		}
	case wire.Join:
		if msg.Addr.Addr().IsUnspecified() {
			m.answer(now, src.addr, wire.Observed{Nonce: msg.Nonce, Addr: src.addr})
		}
	}
}

// adopt makes an address ours, and joins with it at once.
func (m *membership) adopt(now time.Time, self netip.AddrPort) {
	m.cfg.self, m.out.changed = self, true
	m.digest = wire.Digest(wire.Entry{Addr: self, Boot: m.cfg.boot})
	m.joining.at = now
	m.setSeeds(now, m.joining.seeds, m.joining.hoped)
}

// isUsable reports whether an address that somebody advertises is one that we, and others like us, can send to.
func isUsable(src source, addr netip.AddrPort) bool {
	ip := addr.Addr()
	return !ip.IsUnspecified() && !ip.IsMulticast() && (!ip.IsLoopback() || src.addr.Addr().IsLoopback())
}

// refuses notes that somebody advertises an address that is of no use, [MEM-26].
func (m *membership) refuses(src source, addr netip.AddrPort) bool {
	if isUsable(src, addr) {
		return false
	}
	m.out.refused = append(m.out.refused, refusal{from: src.addr, advertised: addr})
	return true
}

// refusal is an advertised address that is of no use.
type refusal struct{ from, advertised netip.AddrPort }
