package broach

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// outsider is somebody at an address where no process of a society is.
func outsider(size int) source { return source{addr: addrOf(200), boot: 77, tver: 1, size: size} }

// [MEM-1] Hearsay (List, Help, Suspect, Offline, the source address of a datagram) MUST NOT add or revive a peer, and never changes
// which process is at an address; it only makes the node contact the address.
// [MEM-7] Who receives a List contacts each address in it whose process it does not believe in already.
func TestHearsayOnlyMakesUsAsk(t *testing.T) {
	s := newSociety(t)
	all := s.grow(3)
	a, b := all[0], all[1]
	link := source{addr: b.cfg.self, boot: b.boot, tver: 1, linked: true, toUs: true}
	sent := s.watch(a)

	s.forge(a, link, wire.List{Count: 1, Entries: []wire.Entry{{Addr: addrOf(100), Boot: 5}, {Addr: b.cfg.self, Boot: b.boot}}})
	require.Equal(t, map[wire.Kind]int{wire.KindAnnounce: 1}, kindsOf(*sent))
	ghost := wire.Target{Addr: addrOf(101), Boot: 6, Inc: 1}
	for _, msg := range []wire.Message{wire.Help{Target: ghost}, wire.Suspect{Target: ghost}, wire.Offline{Target: ghost}, wire.Vouch{Target: ghost}} {
		s.forge(a, link, msg)
	}
	s.run(10 * time.Second)
	require.Len(t, a.view(), 2)
	require.Zero(t, a.contacts.waiting(), "contacted in vain for 5 s")
}

// [MEM-2] A process is believed only after it has echoed a nonce that was sent to its address
// [MEM-4] Announce is answered with Welcome. If the announcer is not believed yet, Welcome carries a nonce, goes outside of the link,
// and seen is 0; the Ack that echoes the nonce makes the announcer a peer, and is answered with Ack.
func TestAnnouncerMustEchoTheNonce(t *testing.T) {
	s := newSociety(t)
	a := s.join(0)
	sent := s.watch(a)
	s.forge(a, outsider(200), wire.Announce{Hello: wire.Hello{Nonce: 9, Inc: 1, Addr: addrOf(200), Name: "new"}})
	require.Empty(t, a.view())
	welcome := (*sent)[0].(wire.Welcome)
	require.EqualValues(t, 9, welcome.Echo)
	require.Zero(t, welcome.Seen)

	s.forge(a, outsider(60), wire.Ack{Echo: welcome.Nonce + 1})
	wrongBoot := outsider(60)
	wrongBoot.boot++
	s.forge(a, wrongBoot, wire.Ack{Echo: welcome.Nonce})
	require.Empty(t, a.view())

	s.forge(a, outsider(60), wire.Ack{Echo: welcome.Nonce})
	require.Len(t, a.view(), 1)
	require.Equal(t, "new", a.view()[0].name)
	require.Equal(t, wire.KindAck, (*sent)[1].Kind())
}

// [MEM-2] Another process at the address of a peer replaces it in the same step; the old boot id is remembered and never believed
// again.
func TestAnotherProcessReplacesAPeer(t *testing.T) {
	s := newSociety(t)
	all := s.grow(3)
	a, old := all[0], all[2]
	old.dead = true
	successor := s.join(2, 0)
	s.run(100 * time.Millisecond)
	require.Nil(t, a.of(old))
	require.Equal(t, Alive, a.of(successor).state)
	require.False(t, a.links[old.boot])

	hello := wire.Hello{Nonce: 1, Inc: 9, Addr: old.cfg.self}
	sent := s.watch(a)
	s.forge(a, source{addr: old.cfg.self, boot: old.boot, tver: 9, size: 1200}, wire.Announce{Hello: hello})
	s.forge(a, source{addr: old.cfg.self, boot: old.boot, tver: 9, linked: true, toUs: true}, wire.Beat{Seq: 1 << 30})
	require.Empty(t, *sent)
	require.Len(t, a.view(), 2)
}

// [MEM-3] To contact an address is to send it Announce again and again until a Welcome with its nonce comes. The second goes after 40 ms,
// each further one 20 ms later than the one before, up to 250 ms.
func TestContactGoesOnUntilItIsAnswered(t *testing.T) {
	s := newSociety(t)
	a := s.join(0)
	sent := s.watch(a)
	a.contact(s.now, addrOf(200), contactNew)
	s.collect(a)
	for i, wait := range []time.Duration{40, 60, 80, 100, 120, 140, 160, 180, 200, 220, 240, 250, 250} {
		s.run(wait*time.Millisecond - 1)
		require.Equal(t, i+1, len(*sent))
		s.run(1)
		require.Equal(t, i+2, len(*sent))
	}
	nonce := (*sent)[3].(wire.Announce).Nonce
	s.forge(a, outsider(200), wire.Welcome{Hello: wire.Hello{Nonce: 8, Echo: nonce + 1, Addr: addrOf(200)}})
	require.Empty(t, a.view())
	s.forge(a, outsider(200), wire.Welcome{Hello: wire.Hello{Nonce: 8, Echo: nonce, Addr: addrOf(201)}})
	require.Empty(t, a.view(), "the nonce was sent to another address")

	a.contact(s.now, addrOf(200), contactNew)
	s.collect(a)
	nonce = a.contacts.byAddr[addrOf(200)].nonce
	s.forge(a, outsider(200), wire.Welcome{Hello: wire.Hello{Nonce: 8, Echo: nonce, Addr: addrOf(200)}})
	require.Len(t, a.view(), 1)
	require.EqualValues(t, 8, (*sent)[len(*sent)-1].(wire.Ack).Echo)
}

// [MEM-3] Up to that, none sooner than after 2.5 ms for each address that is being contacted, or each peer.
func TestManyContactsAreMadeSlowly(t *testing.T) {
	s := newSociety(t)
	a := s.join(0)
	sent := s.watch(a)
	for i := range 80 {
		a.contact(s.now, addrOf(100+i), contactNew)
	}
	s.collect(a)
	for _, at := range []struct{ after, want int }{{39, 80}, {100, 121}, {200, 160}, {239, 160}, {240, 177}} {
		s.run(time.Duration(at.after)*time.Millisecond - s.now.Sub(time.Unix(0, 0)))
		require.Equal(t, at.want, len(*sent), "after %d ms", at.after)
	}
}

// [MEM-3] A Welcome that echoes the nonce makes its sender a peer, and is answered with Ack on the link, which goes again until something
// comes back on it.
func TestAckGoesAgain(t *testing.T) {
	s := newSociety(t)
	a := s.join(0)
	lost := 3
	s.drop = func(msg wire.Message) bool {
		ack, ok := msg.(wire.Ack)
		if !ok || ack.Echo == 0 {
			return false
		}
		lost--
		return lost >= 0
	}
	b := s.join(1)
	said := s.watch(b)
	b.contact(s.now, a.cfg.self, contactNew)
	s.collect(b)
	took := s.until(time.Second, "both are peers", func() bool { return a.of(b) != nil && b.of(a) != nil })
	require.InDelta(t, (40+60+80)*time.Millisecond, took, float64(2*time.Millisecond))
	require.Negative(t, lost)
	require.Equal(t, 1, kindsOf(*said)[wire.KindAnnounce], "nothing else had to be said again")
	sent := s.watch(b)
	s.run(900 * time.Millisecond)
	require.Zero(t, kindsOf(*sent)[wire.KindAck])
}

// [MEM-5] What is sent to an address that has not echoed a nonce MUST NOT exceed 3 times the size of the datagram that it answers.
func TestAnswersToTheUnprovenAreSmall(t *testing.T) {
	s := newSociety(t)
	a := s.grow(40)[0]
	a.cfg.name, a.cfg.version = strings.Repeat("n", 200), strings.Repeat("v", 100)
	a.cfg.tags = []wire.Tag{{Key: strings.Repeat("k", 250), Value: strings.Repeat("v", 250)}}
	hello := wire.Hello{Nonce: 1, Inc: 1, Addr: addrOf(200)}
	target := wire.Target{Addr: addrOf(200), Boot: 3, Inc: 1}
	for _, msg := range []wire.Message{
		wire.Join{Nonce: 1, Addr: addrOf(200)}, wire.List{Count: 1}, wire.Announce{Hello: hello}, wire.Welcome{Hello: hello}, wire.Ack{},
		wire.Beat{Seq: 1}, wire.Ping{}, wire.Pong{}, wire.Help{Target: target}, wire.Vouch{Target: target}, wire.Nack{Target: target},
		wire.Suspect{Target: target}, wire.Offline{Target: target}, wire.Leave{}, wire.Drain{},
	} {
		came, went := wire.HeaderSize+len(msg.Append(nil)), 0
		s.spy = func(from *citizen, to netip.AddrPort, _ wire.Message, size int) {
			if from == a && to == addrOf(200) {
				went += size
			}
		}
		s.forge(a, outsider(came), msg)
		s.run(6 * time.Second)
		t.Logf("%T: %d bytes came, %d went", msg, came, went)
		require.LessOrEqual(t, went, 3*came, "%T", msg)
	}
}

// What announcers leave behind is bounded.
func TestPendingIntroductionsAreBounded(t *testing.T) {
	s := newSociety(t)
	a := s.join(0)
	for i := range 3 * pendingMax {
		src := outsider(200)
		src.boot = uint64(1000 + i)
		s.forge(a, src, wire.Announce{Hello: wire.Hello{Nonce: 1, Addr: addrOf(200)}})
	}
	require.Len(t, a.pending.byBoot, pendingMax)
	require.Len(t, a.pending.order, pendingMax)
	require.Empty(t, a.view())
}

// [MEM-9] A hello is sent to each peer again every 250 ms until the peer has seen the present table version.
// [TAB-2] Tables are compared by (boot id, version) alone: another process's replaces, a higher version replaces, all else is dropped.
func TestTablesReachEverybodyThroughLoss(t *testing.T) {
	s := newSociety(t)
	all := s.grow(5)
	s.loss = 0.5
	version := func(n uint32) {
		all[2].setTable(s.now, n, wire.AppendTable(nil, []wire.Function{{Name: "f", Signature: strings.Repeat("x", int(n))}}))
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

// [TAB-3] A peer whose header shows a higher table version than the one held is asked for its table, [...] one at a time per peer and
// 100 ms apart at least
func TestTableIsPulledWhenItIsNotPushed(t *testing.T) {
	s := newSociety(t)
	all := s.grow(2)
	var many []wire.Function
	for i := range 100 {
		many = append(many, wire.Function{Name: strings.Repeat("f", i+1), Signature: "()"})
	}
	table := wire.AppendTable(nil, many)
	require.Greater(t, len(table), 700)
	all[0].setTable(s.now, 2, append([]byte(nil), table...))
	s.collect(all[0])
	s.run(time.Second)
	require.Len(t, all[1].of(all[0]).functions, 100)

	p := all[1].of(all[0])
	for range 50 {
		all[1].noticeTable(s.now, p, 99)
		s.collect(all[1])
		s.run(time.Millisecond)
	}
	require.LessOrEqual(t, all[1].pulls, 1)
}

// routesOf are the routes that a process knows, if all links are one.
func routesOf(c *citizen, l *link) *routeTable {
	t := routeTable{}.follow(nil, c.view(), func(uint64) *link { return l })
	return &t
}

// [TAB-5] The table of an offline peer is kept and not used; it is in use again when the same (boot id, version) is alive.
func TestTableOfAnOfflinePeerIsKept(t *testing.T) {
	s := newSociety(t)
	all := s.grow(3)
	all[1].setTable(s.now, 2, wire.AppendTable(nil, []wire.Function{{Name: "f", Signature: "()"}}))
	s.collect(all[1])
	s.run(time.Second)
	s.cut = func(from, to *citizen) bool { return from == all[1] || to == all[1] }
	s.run(5 * time.Second)
	p := all[0].of(all[1])
	require.Equal(t, Offline, p.state)
	require.Len(t, p.functions, 1)
	l := &link{}
	require.Empty(t, routesOf(all[0], l).get("f").alive)
	s.cut = nil
	s.until(3*time.Second, "back", func() bool { return p.state == Alive })
	require.Len(t, routesOf(all[0], l).get("f").alive, 1)
	require.Zero(t, all[0].pulls)
}

// A joiner whose Ack is lost is believed all the same: its next hello mends that.
func TestLostAckIsMended(t *testing.T) {
	s := newSociety(t)
	lost := 0
	s.drop = func(msg wire.Message) bool {
		_, isAck := msg.(wire.Ack)
		if isAck && lost < 2 {
			lost++
			return true
		}
		return false
	}
	a, b := s.join(0), s.join(1, 0)
	s.until(2*time.Second, "both believe", func() bool { return a.in(Alive) == 1 && b.in(Alive) == 1 })
	require.Equal(t, 2, lost)
}

// [MEM-4] When the announcer uses the link before that (calls, or Ping, which has no other answer then), its Ack was lost, and the
// Welcome goes again, at most every 20 ms for 5 s.
func TestUseOfALinkBringsTheWelcomeAgain(t *testing.T) {
	s := newSociety(t)
	a := s.join(0)
	sent := s.watch(a)
	ping := outsider(wire.HeaderSize + len(wire.Ping{}.Append(nil)))
	ping.toUs = true
	s.forge(a, ping, wire.Ping{Nonce: 1})
	require.Equal(t, map[wire.Kind]int{wire.KindPong: 1}, kindsOf(*sent), "nobody announced itself")

	s.forge(a, outsider(200), wire.Announce{Hello: wire.Hello{Nonce: 9, Inc: 1, Addr: addrOf(200)}})
	first := (*sent)[1].(wire.Welcome)
	s.forge(a, ping, wire.Ping{Nonce: 2})
	require.Equal(t, wire.KindPong, (*sent)[2].Kind(), "the Welcome went just now")
	s.run(remindEvery)
	s.forge(a, ping, wire.Ping{Nonce: 3})
	again := (*sent)[3].(wire.Welcome)
	require.Equal(t, []uint64{first.Nonce, first.Echo}, []uint64{again.Nonce, again.Echo})
	require.LessOrEqual(t, wire.HeaderSize+len(again.Append(nil)), answerTimes*ping.size)

	s.run(remindEvery)
	require.True(t, a.stranger(s.now, ping), "a call does it too")
	require.False(t, a.stranger(s.now, ping), "not at once again")
	aside := ping
	aside.toUs = false
	s.run(remindEvery)
	require.False(t, a.stranger(s.now, aside), "not for a datagram of no link")

	s.forge(a, outsider(60), wire.Ack{Echo: first.Nonce})
	require.Len(t, a.view(), 1)
	s.run(remindEvery)
	require.False(t, a.stranger(s.now, ping), "it is believed")
	s.run(pendingKept)
	require.False(t, a.stranger(s.now, ping))
}
