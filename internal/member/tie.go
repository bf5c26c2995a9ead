package member

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"broach/internal/handshake"
	"broach/internal/pace"
	"broach/internal/wire"
)

// tie is a link to a peer as the membership knows it.
type tie struct {
	token uint64 // by which we receive on it; 0: none
	order handshake.Order
	born  moment // when it was made, or confirmed if we began it
	beats beats
}

// beats are those that went and came on a link. They are counted by link: who has forgotten the other begins anew with
// it.
type beats struct {
	in     uint32 // highest seq of the peer's; 0: none came
	out    uint32 // seq of ours; 0: none went
	sentAt uint32 // when the latest of ours with an odd seq was sent, as microseconds
	cameAt uint32 // and when the latest of the peer's came
}

// isHigher reports whether a link is preferred to another, [LNK-6].
func (t tie) isHigher(other tie) bool { return t.order.Compare(other.order) > 0 }

const (
	// how long we say Confirm: the other end takes it for 5 s, which began earlier, [LNK-4]
	provingFor   = 6 * time.Second
	provingFirst = 5 * time.Millisecond   // between two Confirms at least
	provingAgain = 500 * time.Millisecond // until we open again beside it: who offered the link may be gone
	askAllEvery  = time.Second            // between two times that all are asked whether they hold our links, at least
	// Offers of a peer that holds our link, without anything accepted on it, until another is made, [LNK-9]
	doubtsEnough = 2
)

// proving is a link that we began and on which nothing has come yet.
type proving struct {
	tie
	wire.Process
	asked   time.Time     // when the contact began that led to it
	held    uint32        // the highest rank that the peer held then
	origin  origin        // of the contact
	told    uint32        // the version of our table that we have said
	trip    time.Duration // from the Open to the Offer; 0: not known
	hellos  uint8
	at      time.Time // of the next hello
	again   time.Time // when we open beside it; zero: we have
	until   time.Time
	goAhead goAhead
}

// Answered is an Offer that an opening of ours got.
type Answered struct {
	wire.Offer
	From    netip.AddrPort
	Crossed bool // who sent it has opened to us as well, just now
}

// Offered takes an Offer. What counts is made a link, [LNK-2].
func (m *Membership) Offered(now time.Time, o Answered) {
	if m.cfg.Guest && m.IsLeaving() {
		return // nobody would end the link
	}
	if m.learner.hears(o.Echo) {
		m.observed(now, o)
		return
	}
	c := m.contacts.byToken[o.Echo]
	if c == nil {
		return
	}
	boot, p := handshake.BootID(o.Key), m.peers.byAddr[c.addr]
	m.unmask(c.addr, o.Addr)
	switch {
	case o.Rank == 0 && o.Addr == c.addr:
		m.endContact(c)
		m.noteDeclined(now, wire.Process{Boot: boot, Addr: c.addr})
	case o.Token == 0, o.Addr.Addr().IsUnspecified(), o.Rank == 0, boot == m.cfg.Boot:
		m.endContact(c)
	case o.Addr == m.cfg.Self, o.Addr != c.addr && !IsUsable(o.From, o.Addr):
		m.out.Unusable++
		m.endContact(c)
	case o.Addr != c.addr:
		m.contactOther(now, c, o)
	case p != nil && p.Boot == boot && !m.isRenewed(now, p, c, o):
		m.endContact(c)
	case p == nil && o.Crossed && boot > m.cfg.Boot:
		m.yield(now, c, o)
	default:
		m.begin(now, c, o, boot)
	}
}

// yield lets the other go on of two that opened to each other at once: one link is enough, [LNK-12]. The Offer is kept,
// in case that nothing comes of that.
func (m *Membership) yield(now time.Time, c *contact, o Answered) {
	c.kept, c.at = &o, now.Add(yieldFor)
	m.contacts.at = pace.Earliest(m.contacts.at, c.at)
}

// isRenewed reports whether a link is to be made beside those that we have with a peer, [LNK-9]. While one works that
// the peer holds too nothing else than our own doubt is a reason, and that only when it goes on.
func (m *Membership) isRenewed(now time.Time, p *peer, c *contact, o Answered) bool {
	switch {
	case p.tie.token == 0, p.state() == Offline, p.state() == Left:
		return true
	case p.older != nil && m.areBusy(now, p):
		return false
	case o.Held < p.tie.order.Rank && m.time(p.tie.born).Before(c.began):
		return true
	case !c.doubt:
		return false
	}
	p.doubts++
	return p.doubts >= doubtsEnough
}

// doubtLink opens to a peer that does not answer a Ping: another process may be there, or one that does not know our
// link.
func (m *Membership) doubtLink(now time.Time, p *peer) {
	if c := m.contact(now, p.Addr); c != nil {
		c.doubt = true
	}
}

// begin makes a link of an Offer.
func (m *Membership) begin(now time.Time, c *contact, o Answered, boot uint64) {
	terms := m.cfg.Terms(&o.Offer, m.cfg.Self, c.addr)
	pr := &proving{
		tie: tie{token: c.token, order: terms.Order()}, Process: wire.Process{Boot: boot, Addr: c.addr},
		asked: c.began, held: o.Held, origin: c.origin, at: now, again: now.Add(provingAgain),
		until: now.Add(provingFor),
	}
	if c.tries == 1 && c.kept == nil {
		pr.trip = now.Sub(c.last)
	}
	c.token = 0 // it is the link's now
	m.endContact(c)
	m.provings = append(m.provings, pr)
	m.out.Begin = append(m.out.Begin, terms)
	m.sayHello(now, pr)
	m.askList(now, pr.Addr, pr.token)
}

// sayHello introduces us on a link that the peer may not know yet.
func (m *Membership) sayHello(now time.Time, pr *proving) {
	pr.hellos = min(pr.hellos+1, math.MaxUint8-1)
	pr.at = now.Add(m.provingGap(pr, m.crowd()))
	seen := uint32(0)
	if p := m.peers.byAddr[pr.Addr]; p != nil && p.Boot == pr.Boot {
		seen = p.tver
	}
	pr.told = m.tver
	if m.cfg.Guest {
		m.send(pr.token, wire.Ping{Nonce: m.rng.Uint64()})
		return
	}
	m.send(pr.token, wire.Announce{Hello: m.hello(seen, helloMax-wire.ConfirmMore)})
}

// provingGap is the wait until we introduce ourselves again. It begins with two round trips, as the Offer has shown
// them.
func (m *Membership) provingGap(pr *proving, crowd int) time.Duration {
	gap := m.helloGap(pr.hellos, crowd)
	if pr.trip == 0 || crowd > 0 || m.strain.isOn() {
		return gap
	}
	return min(gap, max(2*pr.trip, provingFirst)<<min(pr.hellos-1, 8))
}

// tickProving goes on with the links that are not confirmed, and gives up those that will not be.
func (m *Membership) tickProving(now time.Time) {
	kept := m.provings[:0]
	for _, pr := range m.provings {
		switch {
		case !now.Before(pr.until):
			m.dropProving(now, pr)
			continue
		case !pr.again.IsZero() && !now.Before(pr.again):
			pr.again = time.Time{}
			if p := m.peers.byAddr[pr.Addr]; p == nil || p.tie.token == 0 {
				m.contact(now, pr.Addr)
			}
		case !now.Before(pr.at):
			if pr.at = pr.goAhead.wait(now, &m.strain, byPlan); pr.at.IsZero() {
				m.sayHello(now, pr)
			}
		}
		kept = append(kept, pr)
	}
	clear(m.provings[len(kept):])
	m.provings = kept
}

// dropProving ends a link on which nothing ever came. The other end may hold it, and wait for us: who is there is asked
// for again.
func (m *Membership) dropProving(now time.Time, pr *proving) {
	m.out.Close = append(m.out.Close, pr.token)
	m.out.Changed = true
	if p := m.peers.byAddr[pr.Addr]; p == nil && !m.cfg.Guest {
		m.miss(now, pr.Addr)
		m.planAsking(now)
	}
}

// provingAt is when tickProving has something to do; zero: never.
func (m *Membership) provingAt() (at time.Time) {
	for _, pr := range m.provings {
		at = pace.Earliest(at, pace.Earliest(pace.Earliest(pr.at, pr.again), pr.until))
	}
	return at
}

// proven takes up the link that a datagram has come on, if we began it and it is the first.
func (m *Membership) proven(now time.Time, token uint64) {
	for i, pr := range m.provings {
		if pr.token != token {
			continue
		}
		m.provings = slices.Delete(m.provings, i, i+1)
		pr.born = m.moment(now)
		if m.dropHeldBelow(pr) {
			m.askAll(now)
		}
		isNew := m.peers.byAddr[pr.Addr] == nil
		m.acceptTie(now, pr.Process, pr.tie, true)
		if p := m.peers.byLink[token]; p != nil {
			if isNew && !m.cfg.Guest {
				m.tellNew(now, p, pr.origin)
			}
			p.told = max(p.told, pr.told)
			m.noteFirstTrip(p, now.Sub(pr.until.Add(-provingFor)))
		}
		return
	}
}

// dropHeldBelow closes the links that a peer has said it does not hold any more, now that it has shown that it was the
// peer who said so, [LNK-8]. It reports whether none is left.
func (m *Membership) dropHeldBelow(pr *proving) bool {
	p := m.peers.byAddr[pr.Addr]
	if p == nil || p.Boot != pr.Boot {
		return false
	}
	isLost := func(t tie) bool { return t.order.Rank > pr.held && m.time(t.born).Before(pr.asked) }
	for i, t := range slices.Backward(p.others()) {
		if isLost(t) {
			m.cutOlder(p, i)
		}
	}
	if p.tie.token != 0 && isLost(p.tie) {
		m.cutBest(p)
		return p.tie.token == 0
	}
	return false
}

// noteForgotten sees from a hello that a peer knows us no more, though it had our table: it begins anew, [LNK-8].
func (m *Membership) noteForgotten(now time.Time, p *peer, h wire.Hello) {
	if p.anew && h.Seen == 0 && p.seen > 0 {
		m.askAll(now)
	}
	p.anew = false
}

// askAll opens to all that are there, or may be: when one has let us go, because another process was at our address for
// a while, others have too. A member turned bad may let us go again and again: so the next time is the later, the more
// Opens that took.
func (m *Membership) askAll(now time.Time) {
	if now.Before(m.askAllAt) {
		return
	}
	opens := contactTries * m.contactAll(now, func(p *peer) bool { return p.state() != Left && p.tie.token != 0 })
	m.askAllAt = now.Add(max(askAllEvery, time.Duration(opens)*healEach))
}

// Made takes up a link that the other end began. It is served already.
func (m *Membership) Made(now time.Time, id wire.Process, token uint64, order handshake.Order) {
	t := tie{token: token, order: order, born: m.moment(now)}
	if m.IsLeaving() || m.isLearning() || m.cfg.Guest {
		m.refuse(t)
		return
	}
	m.dropGuestAt(id.Addr)
	m.acceptTie(now, id, t, false)
}

// acceptTie makes a link that both ends know one of a peer's. began says that we began it.
func (m *Membership) acceptTie(now time.Time, id wire.Process, t tie, began bool) {
	switch p := m.peers.byAddr[id.Addr]; {
	case id.Addr == m.cfg.Self || id.Boot == m.cfg.Boot:
		m.refuse(t)
	case m.cfg.Guest:
		m.stayWith(now, id, t)
	case p == nil && !m.makeRoom(now):
		m.refuse(t)
	case p == nil:
		m.dropProvings(id)
		m.admit(now, id, t, nil)
	case p.Boot != id.Boot:
		m.dropProvings(id)
		m.succeed(now, id, t, p)
	case p.state() == Left && !began && int32(t.order.Stamp-m.stamp(p.since)) <= 0:
		m.refuse(t) // it was on its way when the peer left
	case p.state() == Left:
		m.unbind(p)
		m.peers.bindOnly(p, t)
		m.revive(now, p)
	default:
		p.anew = !began && p.tie.token != 0 && int32(t.order.Stamp-m.stamp(p.tie.born)) > 0
		m.addTie(now, p, t)
		m.noteDatagram(now, t.token, 0)
		m.reachBy(now, p, t)
	}
	if c := m.contacts.byAddr[id.Addr]; c != nil {
		m.endContact(c)
	}
}

// dropProvings closes the links that other processes at an address have offered: one has shown that it is there.
func (m *Membership) dropProvings(id wire.Process) {
	m.provings = slices.DeleteFunc(m.provings, func(pr *proving) bool {
		isOther := pr.Addr == id.Addr && pr.Boot != id.Boot
		if isOther {
			m.out.Close = append(m.out.Close, pr.token)
		}
		return isOther
	})
}

// stamp is a time as our Offers say it.
func (m *Membership) stamp(at moment) uint32 { return uint32(time.Duration(at).Milliseconds()) }

// refuse closes a link that another has begun and says so: it need not try again.
func (m *Membership) refuse(t tie) {
	m.send(t.token, wire.Leave{})
	m.out.Close = append(m.out.Close, t.token)
}

// Unmade hears that the link of an Offer could not be made.
func (m *Membership) Unmade(token uint64) {
	for i, pr := range m.provings {
		if pr.token == token {
			m.provings = slices.Delete(m.provings, i, i+1)
			return
		}
	}
}
