package member

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [MEM-3] up to that, none sooner than after 2.5 ms for each address that is being contacted, or each peer.
func TestManyAreGreetedSlowly(t *testing.T) {
	s := newSociety(t)
	a := s.join(0)
	sent := s.watch(a)
	for i := range 80 {
		x := s.act(100+i, 0)
		a.contact(s.now, x.addr)
		x.offer(a, wire.Offer{})
	}
	for _, at := range []struct{ after, want int }{{39, 80}, {100, 120}, {200, 160}, {239, 160}, {240, 192}} {
		s.run(time.Duration(at.after)*time.Millisecond - s.now.Sub(time.Unix(0, 0)))
		require.Equal(t, at.want, len(*sent), "after %d ms", at.after)
	}
}

// [MEM-3] So do [...] Confirms that introduce, while more than 32 addresses have [...] not confirmed a link.
func TestACrowdIsIntroducedSlowly(t *testing.T) {
	for others, again := range map[int]time.Duration{31: 5 * time.Millisecond, 39: 100 * time.Millisecond} {
		s := newSociety(t)
		a, x := s.join(0), s.act(8, 0)
		for i := range others {
			y := s.act(100+i, 0)
			a.contact(s.now, y.addr)
			y.offer(a, wire.Offer{})
		}
		a.contact(s.now, x.addr)
		s.run(time.Millisecond)
		x.offer(a, wire.Offer{})
		greeted := 0
		s.spy = func(from *citizen, to netip.AddrPort, _ wire.Message, _ int) {
			if from == a && to == x.addr {
				greeted++
			}
		}
		s.run(again - 1)
		require.Zero(t, greeted, "beside %d", others)
		s.run(1)
		require.Equal(t, 1, greeted, "beside %d", others)
	}
}

// [MEM-3] So do [...] the first hello to a peer that began its link, while more than 32 addresses have not answered
func TestACrowdIsGreetedLate(t *testing.T) {
	for contacted, after := range map[int]time.Duration{32: 40 * time.Millisecond, 40: 100 * time.Millisecond} {
		s := newSociety(t)
		a, x := s.join(0), s.act(8, 0)
		for i := range contacted {
			a.contact(s.now, siteOf(100+i))
		}
		x.confirm(a, 1)
		sent := s.watch(a)
		s.run(after - 1)
		require.Empty(t, *sent, "beside %d", contacted)
		s.run(1)
		require.Equal(t, wire.KindAnnounce, (*sent)[0].Kind(), "beside %d", contacted)
	}
}

// [MEM-9] A hello is sent to each peer again, at the pace of MEM-3, until the peer has seen the present table version.
// [TAB-2] Tables are compared by (boot id, version) alone: another process's replaces, a higher version replaces, all
// else is dropped.
func TestTablesReachEverybodyThroughLoss(t *testing.T) {
	s := newSociety(t)
	all := s.grow(5)
	s.loss = 0.5
	version := func(n uint32) {
		all[2].SetTable(s.now, n, wire.AppendTable(nil,
			[]wire.Function{{Name: "f", Signature: strings.Repeat("x", int(n))}}))
		s.collect(all[2])
	}
	version(2)
	version(3)
	s.until(5*time.Second, "all have version 3", func() bool {
		for _, c := range all {
			if c != all[2] && c.of(all[2]).tver != 3 {
				return false
			}
		}
		return true
	})
	require.Equal(t, "xxx", all[0].of(all[2]).functions[0].Signature)
	s.loss = 0
	s.run(time.Second)
	p := all[0].of(all[2])
	all[0].takeTable(s.now, p, 2, wire.AppendTable(nil, nil))
	require.Len(t, p.functions, 1, "an older table was taken")
	for _, other := range all[2].peers.list {
		require.Zero(t, other.helloAt, "hellos go on")
	}
}

// [MEM-9] A table that changes while its node is being introduced reaches the other at once, whichever of the two it
// is.
func TestATableThatChangesDuringTheIntroduction(t *testing.T) {
	for after := time.Duration(0); after < time.Millisecond; after += 50 * time.Microsecond {
		for _, who := range []int{0, 1} {
			s := newSociety(t)
			both := []*citizen{s.join(0), s.join(1, 0)}
			s.run(after)
			both[who].SetTable(s.now, 2, wire.AppendTable(nil, []wire.Function{{Name: "f", Signature: "()"}}))
			s.collect(both[who])
			s.run(2 * time.Millisecond)
			p := both[1-who].of(both[who])
			require.NotNil(t, p)
			require.EqualValues(t, 2, p.tver, "after %v, by %d", after, who)
		}
	}
}

// [TAB-3] A peer whose header shows a higher table version than the one held is asked for its table, [...] one at a
// time per peer and 100 ms apart at least
func TestTableIsPulledWhenItIsNotPushed(t *testing.T) {
	s := newSociety(t)
	all := s.grow(2)
	var many []wire.Function
	for i := range 100 {
		many = append(many, wire.Function{Name: strings.Repeat("f", i+1), Signature: "()" + strings.Repeat("x", 20)})
	}
	table := wire.AppendTable(nil, many)
	require.Greater(t, len(table), helloMax)
	all[0].SetTable(s.now, 2, table)
	s.collect(all[0])
	s.run(time.Second)
	require.Len(t, all[1].of(all[0]).functions, 100)
	require.Equal(t, 1, all[1].pulls)

	p := all[1].of(all[0])
	for range 50 {
		all[1].noticeTable(s.now, p, 99)
		s.collect(all[1])
		s.run(time.Millisecond)
	}
	require.LessOrEqual(t, all[1].pulls, 2)
}

// [TAB-5] The table of an offline peer is kept and not used; it is in use again when the same (boot id, version) is
// alive.
func TestTableOfAnOfflinePeerIsKept(t *testing.T) {
	s := newSociety(t)
	all := s.grow(3)
	all[1].SetTable(s.now, 2, wire.AppendTable(nil, []wire.Function{{Name: "f", Signature: "()"}}))
	s.collect(all[1])
	s.run(time.Second)
	s.cut = func(from, to *citizen) bool { return from == all[1] || to == all[1] }
	s.run(5 * time.Second)
	p := all[0].of(all[1])
	require.Equal(t, Offline, p.state())
	require.Len(t, p.functions, 1)
	s.cut = nil
	s.until(3*time.Second, "back", func() bool { return p.state() == Alive })
	require.Len(t, p.functions, 1)
	require.Zero(t, all[0].pulls)
}

// [MEM-10] a new peer [...] is promised its first Beat by Ack, likewise by how many are to be beaten to before it [...]
// Ack also goes along with a Welcome to a peer that was sent no Beat yet.
func TestFirstBeatsArePromisedByTurn(t *testing.T) {
	t.Parallel()
	s := newSociety(t)
	for i := range 100 {
		s.join(i, 0)
	}
	s.run(100 * time.Millisecond)
	a := s.members[50]
	require.Equal(t, 99, a.in(Alive))
	early, late := 0, 0
	for _, c := range s.members {
		if c == a {
			continue
		}
		p := c.of(a)
		switch in := c.time(p.beatBy).Sub(s.now); {
		case p.tie.beats.in == 0 && in < time.Second:
			early++
		case p.tie.beats.in == 0 && in > 4*time.Second:
			late++
		}
	}
	require.Greater(t, early, 10, "of the beats that come in the first second")
	require.Greater(t, late, 10, "of those that come in the fifth")

	pings := 0
	s.drop = func(msg wire.Message) bool {
		if msg.Kind() == wire.KindPing {
			pings++
		}
		return false
	}
	s.run(12 * time.Second)
	require.Zero(t, pings, "no promise was broken")
	a.dead = true
	died := s.now
	s.until(time.Second, "somebody doubts", func() bool { return pings > 0 })
	t.Log("a death is noticed after", s.now.Sub(died))
}

// [MEM-9] A peer of which no hello has come is not shown to the program, nor told of; in all else it is a peer.
func TestWhoHasNotSaidWhoItIsIsNotShown(t *testing.T) {
	s := newSociety(t)
	a, x := s.grow(2)[0], s.act(7, 0)
	a.events = nil
	link := x.confirm(a, 1)
	x.say(a, link, wire.Beat{Seq: 1, Promise: 1000, Inc: 1, Digest: a.digest})
	require.Equal(t, Alive, a.peers.byAddr[x.addr].state())
	require.Len(t, a.View(), 1)
	require.Empty(t, a.events)
	x.introduce(a, link, "late")
	require.Equal(t, []Event{{x.entry(), "late", NewsUp}}, a.events)
	require.Equal(t, "late", a.View()[1].Name)
	x.introduce(a, link, "late")
	require.Len(t, a.events, 1, "it was up")

	silent := s.act(8, 0)
	from := silent.confirm(a, 1)
	a.peers.byAddr[x.addr].noteTrip(msec)
	silent.say(a, from, wire.Suspect{Target: a.peers.byAddr[x.addr].target()})
	s.run(200 * msec)
	require.Equal(t, Suspect, a.peers.byAddr[x.addr].state())
	require.Equal(t, netip.AddrPort{}, *a.View()[1].Accuser, "nor who made another suspect")
	s.run(10 * time.Second)
	require.Equal(t, Offline, a.peers.byAddr[silent.addr].state())
	require.Len(t, a.View(), 2, "who never says who it is is never shown, nor that it is gone")
	for _, e := range a.events {
		require.Equal(t, x.addr, e.Addr, "it is silent too, but it was shown")
	}
}

// [MEM-9] When its hello comes and it is unreachable (MEM-22), the program is told both.
func TestWhoIsOutOfReachWhenItSaysWhoItIsIsToldAsThat(t *testing.T) {
	s := newSociety(t)
	a, x := s.grow(3)[0], s.act(7, 0)
	a.events = nil
	link := x.confirm(a, 1)
	p := a.peers.byAddr[x.addr]
	a.Unanswered(s.now, p.tie.token)
	s.until(5*time.Second, "it is unreachable", func() bool {
		x.say(a, link, wire.Pong{}) // it is heard, and answers no Ping
		return p.unreachable
	})
	require.Empty(t, a.events)
	x.introduce(a, link, "late")
	require.Equal(t, []Event{{x.entry(), "late", NewsUp}, {x.entry(), "late", NewsUnreachable}}, a.events)
}
