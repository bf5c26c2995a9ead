package member

import (
	"slices"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [LNK-10] Another public key at the address of a peer, proven by LNK-3 or LNK-5, replaces the process there in one
// step: all links of the old one are closed, confirmed or not, calls fail, [...] and the new one is sent the List, for
// it may know nobody.
func TestAnotherProcessReplacesAPeer(t *testing.T) {
	for _, begins := range []bool{false, true} {
		s := newSociety(t)
		all := s.grow(3)
		a, old, successor := all[0], s.act(7, 0), s.act(7, 1)
		first, second := old.confirm(a, 1), old.confirm(a, 2)
		old.introduce(a, first, "old")
		s.run(time.Millisecond)
		a.contact(s.now, old.addr)
		unconfirmed := old.offer(a, wire.Offer{Rank: 3})
		require.True(t, a.isOpen(unconfirmed))
		a.events = nil
		sent := s.watch(a)

		var link uint64
		if begins {
			link = successor.confirm(a, 1)
		} else {
			a.contact(s.now, successor.addr)
			link = successor.offer(a, wire.Offer{})
			require.Equal(t, old.boot(), a.peers.byAddr[old.addr].Boot, "an Offer proves nothing")
			successor.say(a, link, wire.Ping{Nonce: 1})
		}
		successor.introduce(a, link, "successor")
		for _, l := range []uint64{first, second, unconfirmed} {
			require.False(t, a.isOpen(l))
			require.Nil(t, a.peers.byLink[l])
		}
		p := a.peers.byAddr[successor.addr]
		require.Equal(t, successor.boot(), p.Boot)
		require.Equal(t, []uint64{link}, p.links(nil))
		require.Len(t, a.peers.sorted(), 3)
		require.Equal(t, []News{NewsOffline, NewsUp}, []News{a.events[0].News, a.events[1].News})
		list := (*sent)[slices.IndexFunc(*sent,
			func(m wire.Message) bool { return m.Kind() == wire.KindList })].(wire.List)
		require.Contains(t, list.Entries, wire.Process{Addr: all[1].cfg.Self, Boot: all[1].boot})
	}
}

// [LNK-10] One that was replaced, or has left, and proves itself anew is believed again.
func TestWhoProvesItselfAnewIsBelievedAgain(t *testing.T) {
	s := newSociety(t)
	a, x, y := s.join(0), s.act(7, 0), s.act(7, 1)
	for _, z := range []*acted{x, y, x, y} {
		link := z.confirm(a, 1)
		require.Equal(t, z.boot(), a.peers.byAddr[z.addr].Boot)
		require.Equal(t, []uint64{link}, a.peers.byAddr[z.addr].links(nil))
		s.run(time.Second)
	}
	link := y.confirm(a, 5)
	y.say(a, link, wire.Leave{})
	require.Equal(t, Left, a.peers.byAddr[y.addr].state())
	s.run(10 * time.Millisecond)
	y.confirm(a, 1)
	require.Equal(t, Alive, a.peers.byAddr[y.addr].state())
}

// [LNK-3] B refuses by Leave, and closes, a link of its own address, or of a process that has left after the stamp
func TestAConfirmOfWhoHasLeftIsRefused(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	stamp := a.process.Stamp(s.now)
	x.say(a, x.confirm(a, 1), wire.Leave{})
	s.run(time.Second)
	sent := s.watch(a)
	late := x.confirmLate(a, 1, stamp)
	require.Equal(t, Left, a.peers.byAddr[x.addr].state())
	require.False(t, a.isOpen(late))
	require.Equal(t, []wire.Message{wire.Leave{}}, *sent)

	twin := &acted{society: s, addr: a.cfg.Self, key: x.key}
	require.False(t, a.isOpen(twin.confirm(a, 1)))
	require.Len(t, a.peers.sorted(), 1)
}

// [MEM-19] Leave makes the peer left: [...] it is not contacted again [...] It is answered with Leave, again for each
// that comes within 300 ms; then its links are closed, on which nothing else is taken meanwhile.
func TestWhoLeavesIsLetGo(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	links := []uint64{x.confirm(a, 1), x.confirm(a, 2)}
	sent := s.watch(a)
	x.say(a, links[1], wire.Leave{})
	s.run(leaveFor - time.Millisecond)
	x.say(a, links[0], wire.Join{Nonce: 3})
	x.say(a, links[0], wire.Leave{})
	require.Equal(t, []wire.Message{wire.Leave{}, wire.Leave{}}, *sent)
	s.run(2 * time.Millisecond)
	for _, link := range links {
		require.False(t, a.isOpen(link))
		require.Nil(t, a.peers.byLink[link])
	}
	opens := s.opens(a, x.addr)
	s.run(59 * time.Second)
	require.Equal(t, Left, a.peers.byAddr[x.addr].state())
	s.run(2 * time.Second)
	require.Empty(t, a.peers.sorted())
	require.Zero(t, *opens)
	require.Len(t, *sent, 2)
}

// A full table: the one that has been offline, or gone, for the longest time makes room, and a newcomer is in at once.
func TestWhoIsGoneForTheLongestTimeMakesRoom(t *testing.T) {
	s := newSociety(t)
	s.most = 4
	a := s.join(0)
	var players []*acted
	for i := range 4 {
		players = append(players, s.act(10+i, 0))
		players[i].confirm(a, 1)
	}
	for _, i := range []int{2, 0, 1} {
		a.takeOffline(s.now, a.peers.byAddr[players[i].addr])
		s.run(10 * time.Millisecond)
	}
	for i, gone := range []int{2, 0, 1} {
		newcomer := s.act(20+i, 0)
		newcomer.confirm(a, 1)
		require.Equal(t, Alive, a.peers.byAddr[newcomer.addr].state())
		require.Nil(t, a.peers.byAddr[players[gone].addr])
		require.Len(t, a.peers.sorted(), 4)
	}
	last := s.act(30, 0)
	sent := s.watch(a)
	link := last.confirm(a, 1)
	require.Nil(t, a.peers.byAddr[last.addr], "all are there")
	require.False(t, a.isOpen(link))
	require.Contains(t, *sent, wire.Message(wire.Leave{}))
	require.True(t, a.IsFull(s.now), "the reader makes no link")
}

// [MEM-19] and is forgotten after 60 s, for want of room after 6 s at the soonest.
func TestWhoLeftIsKeptForSixSeconds(t *testing.T) {
	s := newSociety(t)
	s.most = 1
	a, x, y := s.join(0), s.act(7, 0), s.act(8, 0)
	s.run(time.Second)
	x.say(a, x.confirm(a, 1), wire.Leave{})
	s.run(6*time.Second - 1)
	require.True(t, a.IsFull(s.now))
	y.confirm(a, 1)
	require.Nil(t, a.peers.byAddr[y.addr])
	s.run(1)
	require.False(t, a.IsFull(s.now))
	y.confirm(a, 1)
	require.Equal(t, Alive, a.peers.byAddr[y.addr].state())
	require.Nil(t, a.peers.byAddr[x.addr])
}

// A process finds its place in a table that is full of others who are gone, and they lose theirs.
func TestANewcomerIsInAtOnceThoughGhostsFillTheTable(t *testing.T) {
	s := newSociety(t)
	s.most = 64
	a := s.join(0)
	for i := range 64 {
		s.act(100+i, 0).confirm(a, 1)
	}
	s.run(30 * time.Second)
	require.Equal(t, 64, a.in(Offline))
	b := s.join(1, 0)
	s.until(5*time.Millisecond, "both believe", func() bool { return a.of(b) != nil && b.of(a) != nil })
	require.Len(t, a.peers.sorted(), 64)
}
