package member

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [LNK-4] What A says in Confirms goes again at the pace of [MEM-3], for 6 s; then A closes the link, and asks for the
// address by AMP-4 if no peer is there. If nothing was accepted 500 ms after the first, and A has no confirmed link to
// the address, A opens again beside it.
// [MEM-3] What must be answered goes again until it is, after 40 ms, then each time 20 ms later, up to 250 ms; after
// ten times each wait is twice as long, up to 4 s
func TestConfirmsGoAgainUntilTheyAreAnswered(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	sent := s.watch(a)
	a.contact(s.now, x.addr)
	link := x.offer(a, wire.Offer{})
	opens := s.opens(a, x.addr)
	start := s.now
	for i, wait := range []time.Duration{40, 60, 80, 100, 120, 140, 160, 180, 200, 220, 480, 1000, 2000} {
		s.run(wait*time.Millisecond - 1)
		require.Equal(t, i+1, len(*sent))
		s.run(1)
		require.Equal(t, i+2, len(*sent))
		require.Equal(t, s.now.Sub(start) >= 500*time.Millisecond, *opens == 1)
	}
	s.run(6*time.Second - 1 - s.now.Sub(start))
	require.True(t, a.isOpen(link))
	s.run(1)
	require.False(t, a.isOpen(link))
	require.Contains(t, a.joining.missing, x.addr, "it is asked for")
	said := len(*sent)
	s.run(10 * time.Second)
	require.Equal(t, said, len(*sent))
	require.Equal(t, 1, *opens)
}

// [LNK-4] and A has no confirmed link to the address
func TestAPeerIsNotOpenedToBesideAnUnconfirmedLink(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	a.contact(s.now, x.addr)
	x.offer(a, wire.Offer{})
	link := x.confirm(a, 1)
	opens := s.opens(a, x.addr)
	for range 6 {
		s.run(100 * time.Millisecond)
		x.say(a, link, wire.Ping{Nonce: 1})
	}
	require.Zero(t, *opens)
}

// [LNK-5] A believes B, and so has it as a peer, at the first datagram accepted on the link; B believes A at the
// Confirm.
func TestEitherEndBelievesWhenItIsShown(t *testing.T) {
	s := newSociety(t)
	b := s.join(0)
	s.cut = func(from, to *citizen) bool { return from == b && b.in(Alive) > 0 }
	a := s.join(1, 0)
	s.run(5 * time.Millisecond)
	require.Equal(t, Alive, b.of(a).state(), "its Confirm came")
	require.Nil(t, a.of(b), "nothing came of b but an Offer")
	s.cut = nil
	s.until(50*time.Millisecond, "a believes b", func() bool { return a.of(b) != nil })

	x := s.act(7, 0)
	a.contact(s.now, x.addr)
	link := x.offer(a, wire.Offer{})
	require.Nil(t, a.peers.byAddr[x.addr])
	a.Receive(s.now, x.source(link, wire.Pong{}), wire.Pong{}) // whatever it is
	require.Equal(t, x.boot(), a.peers.byAddr[x.addr].Boot)
}

// [LNK-5] Announce is answered with Welcome, that with Ack, all on the link.
// [LNK-6] What is new goes on the preferred link: calls, transfers, membership. What answers goes on the link that
// asked: [...] Pong, Welcome, Ack.
func TestAnswersGoOnTheLinkThatAsked(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	best, other := x.confirm(a, 2), x.confirm(a, 1)
	p := a.peers.byAddr[x.addr]
	require.Equal(t, best, p.tie.token)
	for _, link := range []uint64{best, other} {
		answer := func(msg wire.Message) Message {
			a.Receive(s.now, x.source(link, msg), msg)
			return a.Take().Send[0]
		}
		require.Equal(t, Message{link, wire.Pong{Nonce: 3}}, answer(wire.Ping{Nonce: 3}))
		welcome := answer(wire.Announce{Hello: wire.Hello{Inc: 4, Addr: x.addr}})
		require.Equal(t, link, welcome.Link)
		require.EqualValues(t, 4, welcome.Msg.(wire.Welcome).Answers)
		ack := answer(wire.Welcome{Answers: 1, Hello: wire.Hello{Inc: 4, Addr: x.addr}})
		require.Equal(t, link, ack.Link)
		require.Equal(t, wire.KindAck, ack.Msg.Kind())

		a.beat(s.now, p)
		require.Equal(t, best, a.Take().Send[0].Link)
	}
}

// [LNK-6] Links of a pair are ordered by rank, then by the greater public key of who began [...] A side *prefers* the
// highest that is confirmed, if there is one; for B it is so from birth.
func TestTwoWhoOpenAtOnceAgree(t *testing.T) {
	for _, loss := range []float64{0, 0.25} {
		pairs, two := 40, 0
		for i := range pairs {
			s := newSociety(t)
			s.rng = rand.New(rand.NewPCG(uint64(i), 1))
			s.loss = loss
			a, b := s.join(0, 1), s.join(1, 0)
			s.until(3*time.Second, "both believe", func() bool { return a.of(b) != nil && b.of(a) != nil })
			s.until(7*time.Second, "all links are known to both ends or to none",
				func() bool { return len(a.provings)+len(b.provings) == 0 })
			p, q := a.of(b), b.of(a)
			require.Equal(t, p.tie.order, q.tie.order, "pair %d prefers the same", i)
			require.Equal(t, p.older == nil, q.older == nil)
			if p.older != nil {
				two++
				require.Equal(t, p.others()[0].order, q.others()[0].order)
				require.True(t, p.tie.isHigher(p.others()[0]))
			}
		}
		t.Logf("loss %v: %d of %d pairs had two links", loss, two, pairs)
		require.Positive(t, two)
	}
}

// [LNK-7] When a third is confirmed, at B by the Confirm, the lowest other goes, but none with calls [...], and the
// preferred one only for a higher. What both ends have MUST stay [...]. Where none goes three stand
func TestOfThreeLinksOneGoes(t *testing.T) {
	for _, test := range []struct {
		what   string
		isBusy []int // of the links 0 and 1
		stay   []int // the highest first
	}{
		{"none has calls", nil, []int{2, 1}},
		{"the lowest has calls", []int{0}, []int{2, 0}},
		{"the preferred has calls", []int{1}, []int{2, 1}},
		// the reader has seen one without, and the peer may have its answer
		{"both have calls", []int{0, 1}, []int{2, 1, 0}},
	} {
		s := newSociety(t)
		a, x := s.join(0), s.act(7, 0)
		links := []uint64{x.confirm(a, 1), x.confirm(a, 2)}
		a.cfg.IsBusy = func(_ time.Time, link uint64) bool {
			i := slices.Index(links, link)
			return slices.Contains(test.isBusy, i)
		}
		links = append(links, x.confirm(a, 3))
		for i, link := range links {
			require.Equal(t, slices.Contains(test.stay, i), a.isOpen(link), "%s: link %d", test.what, i)
			require.Equal(t, a.isOpen(link), a.peers.byLink[link] != nil)
		}
		var stay []uint64
		for _, i := range test.stay {
			stay = append(stay, links[i])
		}
		require.Equal(t, stay, a.peers.byAddr[x.addr].links(nil), test.what)
	}
}

// [LNK-7] An Offer makes none beside two that both have calls
func TestNoLinkIsMadeBesideTwoWithCalls(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	x.confirm(a, 1)
	x.confirm(a, 2)
	a.cfg.IsBusy = func(time.Time, uint64) bool { return true }
	s.run(time.Second)
	a.contact(s.now, x.addr)
	x.offer(a, wire.Offer{Rank: 3, Held: 0})
	require.Empty(t, a.provings)
	require.Nil(t, a.contacts.byAddr[x.addr])
}

// [LNK-7] What both ends have MUST stay [...]. Where none goes three stand; of four the lowest other goes, whatever
// calls it has.
func TestALinkThatTheOtherEndHasTakenStays(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	links := []uint64{x.confirm(a, 2), x.confirm(a, 1)}
	p := a.peers.byAddr[x.addr]
	for rank := uint32(3); rank < 5; rank++ {
		a.cfg.IsBusy = func(time.Time, uint64) bool { return false }
		a.doubtLink(s.now, p)
		x.offer(a, wire.Offer{Rank: rank, Held: rank - 1})
		a.doubtLink(s.now, p)
		link := x.offer(a, wire.Offer{Rank: rank, Held: rank - 1})
		require.Len(t, a.provings, 1)
		a.cfg.IsBusy = func(_ time.Time, l uint64) bool { return l != link }
		x.say(a, link, wire.Pong{})
		links = append([]uint64{link}, links...)
		require.Equal(t, links[:3], p.links(nil))
	}
	require.False(t, a.isOpen(links[3]))
	for _, link := range links[:3] {
		require.True(t, a.isOpen(link))
		require.Equal(t, p, a.peers.byLink[link])
	}
}

// [LNK-7] the lowest other goes, but none with calls [...], and the preferred one only for a higher: the other end
// prefers that one too.
func TestALinkThatIsConfirmedLateDoesNotEndThePreferredOne(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	first := x.confirm(a, 1)
	var late uint64
	for range doubtsEnough {
		a.doubtLink(s.now, a.peers.byAddr[x.addr])
		late = x.offer(a, wire.Offer{Rank: 2, Held: 1})
	}
	best := x.confirm(a, 3)
	a.cfg.IsBusy = func(_ time.Time, link uint64) bool { return link == first }
	x.say(a, late, wire.Pong{})
	require.Equal(t, []uint64{best, late, first}, a.peers.byAddr[x.addr].links(nil))
	require.True(t, a.isOpen(best))
}

// [LNK-7] What both ends have MUST stay: the other may have let another go for it, and calls on it already.
//
// Two have two links each, and one of them, who has calls on both, makes a third: the other, who has none, lets one go
// for it. Then both must prefer the new one, or one of them calls on a link that the other has no more.
func TestBothEndsPreferTheSameOfThreeLinks(t *testing.T) {
	s := newSociety(t)
	a, b := s.join(0, 1), s.join(1)
	s.run(time.Second)
	for range 2 {
		before := a.of(b).links(nil)
		a.cfg.IsBusy = func(_ time.Time, link uint64) bool { // since the second Offer
			return a.of(b).doubts == doubtsEnough && slices.Contains(before, link)
		}
		for range doubtsEnough {
			a.doubtLink(s.now, a.of(b))
			s.collect(a)
			s.run(time.Millisecond)
		}
		s.run(time.Second)
		require.NotContains(t, before, a.of(b).tie.token)
		require.Equal(t, a.of(b).tie.order, b.of(a).tie.order)
	}
	require.Len(t, a.of(b).links(nil), 3)
	require.Len(t, b.of(a).links(nil), 2)
}

// [LNK-8] If held in the Offer of the process believed in is below the rank of a link that was confirmed before the
// contact's first Open, B has that link no more: A closes it when the new one is confirmed.
func TestALinkThatThePeerDoesNotHoldIsClosed(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	lost, held := x.confirm(a, 3), x.confirm(a, 2)
	s.run(time.Millisecond)
	a.contact(s.now, x.addr)
	link := x.offer(a, wire.Offer{Rank: 4, Held: 2})
	require.True(t, a.isOpen(lost), "anybody can send an Offer")
	x.say(a, link, wire.Ping{Nonce: 1})
	require.False(t, a.isOpen(lost))
	require.True(t, a.isOpen(held))
	require.Equal(t, []uint64{link, held}, a.peers.byAddr[x.addr].links(nil))
	require.Equal(t, Alive, a.peers.byAddr[x.addr].state())
}

// [LNK-8] confirmed before the contact's first Open: of a later one the Offer cannot know.
func TestALinkThatIsYoungerThanTheContactIsKept(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	a.contact(s.now, x.addr)
	s.run(time.Millisecond)
	token := a.contacts.byAddr[x.addr].token
	link := x.confirm(a, 3)
	x.give(a, wire.Offer{Rank: 4, Echo: token, Token: 5, Key: x.key, Addr: x.addr})
	require.Empty(t, a.provings)
	require.True(t, a.isOpen(link))
}

// [LNK-9] An Offer of the process believed in at the address of a peer that is not offline, with a held that does not
// bring LNK-8 about, makes no link, unless it is the second in a row that answers a doubt, and nothing was accepted on
// the preferred link since the first.
func TestOnlyADoubtRenewsALinkThatBothHold(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	link := x.confirm(a, 3)
	p := a.peers.byAddr[x.addr]
	s.run(time.Millisecond)
	held := wire.Offer{Rank: 4, Held: 3}
	doubted := func() bool {
		a.doubtLink(s.now, p)
		x.offer(a, held)
		return len(a.provings) > 0
	}

	for range 5 {
		a.contact(s.now, x.addr)
		x.offer(a, held)
		require.Empty(t, a.provings, "nobody doubts")
	}
	require.False(t, doubted(), "the first answer to a doubt")
	x.say(a, link, wire.Pong{})
	require.False(t, doubted(), "the link works")
	require.True(t, doubted(), "the second in a row")
}

// [LNK-9] of a peer that is not offline
func TestAnOfferOfAnOfflinePeerMakesALink(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	x.confirm(a, 3)
	a.takeOffline(s.now, a.peers.byAddr[x.addr])
	a.contact(s.now, x.addr)
	link := x.offer(a, wire.Offer{Rank: 4, Held: 3})
	require.Len(t, a.provings, 1)
	require.Equal(t, Offline, a.peers.byAddr[x.addr].state())
	x.say(a, link, wire.Ping{Nonce: 1})
	require.Equal(t, Alive, a.peers.byAddr[x.addr].state())
}

// [LNK-9] *Doubt*: with the first and third Ping of a probe ([MEM-11], [MEM-22]) goes an Open, if none goes there
// already.
func TestAProbeOpensTwice(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	a, victim := all[0], all[1]
	victim.dead = true
	s.run(10 * time.Millisecond)
	opens := s.opens(a, victim.cfg.Self)
	a.Unanswered(s.now, a.of(victim).tie.token)
	s.collect(a)
	require.Equal(t, 1, *opens)
	s.run(119 * time.Millisecond)
	require.Equal(t, 1, *opens)
	s.run(230 * time.Millisecond)
	require.Equal(t, 2, *opens)
	require.Equal(t, Alive, a.of(victim).state())
}

// [LNK-9] with each eighth while nothing comes from the peer: that others vouch for it says nothing of the link.
func TestALongProbeOpensAgain(t *testing.T) {
	s := newSociety(t)
	a, x, witness := s.join(0), s.act(7, 0), s.join(1, 0)
	link := x.confirm(a, 1)
	x.introduce(a, link, "x")
	s.until(time.Second, "they have met", func() bool { return a.of(witness) != nil && a.of(witness).isIntroduced() })
	var opened []int
	s.opened = func(from *citizen, _ netip.AddrPort) {
		if from == a {
			opened = append(opened, int(a.peers.byAddr[x.addr].probe.tries))
		}
	}
	a.Unanswered(s.now, link)
	s.collect(a)
	for range 16 {
		if c := a.contacts.byAddr[x.addr]; c != nil {
			a.endContact(c) // as if it had been answered, and nothing came of it
		}
		s.forge(a, a.linkTo(witness), wire.Vouch{Target: a.peers.byAddr[x.addr].target()})
		s.run(60 * time.Millisecond)
	}
	require.Equal(t, []int{1, 3, 8, 16}, opened)
}

// [LNK-9] A liar whose Lists name a peer, as what it is or as somebody else, makes nobody renew a link, nor believe in
// another.
func TestListsRenewNoLink(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	a, b, liar := all[0], all[1], all[2]
	before, links := a.of(b).tie, len(b.links)
	opens := s.opens(a, b.cfg.Self)
	from := a.linkTo(liar)
	from.Size = wire.ControlPacket
	for range 100 {
		for _, boot := range []uint64{b.boot, b.boot + 1} {
			s.forge(a, from, wire.List{Count: 1,
				Entries: slices.Repeat([]wire.Process{{Addr: b.cfg.Self, Boot: boot}}, 40)})
		}
		s.run(100 * time.Millisecond)
	}
	require.Positive(t, *opens)
	require.Equal(t, before.token, a.of(b).tie.token)
	require.Nil(t, a.of(b).older)
	require.Len(t, b.links, links)
}
