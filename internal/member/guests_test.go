package member

import (
	"testing"
	"time"

	"broach/internal/handshake"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// visit makes a link with a process as a guest's, and returns the token by which that receives.
func (x *acted) visit(c *citizen, rank uint32) uint64 {
	terms := &handshake.Terms{
		Rank: rank, Stamp: c.process.Stamp(x.now), TokenA: x.rng.Uint64() | 1, KeyA: x.key, AddrA: x.addr,
		TokenB: x.rng.Uint64() | 1, KeyB: c.process.Key, AddrB: c.cfg.Self,
	}
	c.links[terms.TokenB] = &bond{terms: terms}
	c.MadeGuest(x.now, x.entry(), terms.TokenB, terms.Order())
	x.collect(c)
	return terms.TokenB
}

// saidOn lists what a process says on a link from now on.
func (s *society) saidOn(link uint64) *[]wire.Message {
	var said []wire.Message
	s.said = func(o Message) {
		if o.Link == link {
			said = append(said, o.Msg)
		}
	}
	return &said
}

// [GST-1] B does not believe a process whose Confirm makes the link with the table version 0: it has the link, and the
// guest is no peer in any rule.
// [GST-2] Of what a guest says of section 4, Ping is answered with Pong, and Leave with Leave.
func TestAGuestIsNoPeer(t *testing.T) {
	s := newSociety(t)
	a, b := s.join(0), s.join(1, 0)
	s.run(2 * time.Second)
	x := s.act(7, 0)
	digest, view := a.digest, len(a.View())
	link := x.visit(a, 1)
	said := s.saidOn(link)
	for range 50 {
		s.run(100 * time.Millisecond)
		x.say(a, link, wire.Beat{Seq: 1, Inc: 1, Digest: 7})
		x.introduce(a, link, "liar")
		x.say(a, link, wire.Join{Nonce: 1})
		x.say(a, link, wire.List{Count: 1, Entries: []wire.Process{s.act(8, 0).entry()}})
		x.say(a, link, wire.Suspect{Target: wire.Target{Addr: b.cfg.Self, Boot: b.boot, Inc: 1}})
		x.say(a, link, wire.Offline{Target: wire.Target{Addr: b.cfg.Self, Boot: b.boot, Inc: 1}})
		x.say(a, link, wire.Drain{})
	}
	require.Empty(t, *said)
	require.Equal(t, digest, a.digest)
	require.Len(t, a.View(), view)
	require.Equal(t, Alive, a.of(b).state())
	require.Nil(t, a.peers.byAddr[x.addr])
	require.Nil(t, b.peers.byAddr[x.addr])
	require.Equal(t, 1, a.Guests())

	x.say(a, link, wire.Ping{Nonce: 9})
	require.Equal(t, []wire.Message{wire.Pong{Nonce: 9}}, *said)
	x.say(a, link, wire.Leave{})
	require.Equal(t, wire.Leave{}, (*said)[1])
}

// [GST-3] A guest of which nothing was accepted for 10 s is gone
func TestASilentGuestIsGone(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	link := x.visit(a, 1)
	said := s.saidOn(link)
	s.run(8 * time.Second)
	x.say(a, link, wire.Ping{Nonce: 1})
	s.run(10*time.Second - 1)
	require.True(t, a.isOpen(link))
	require.Equal(t, 1, a.Guests())
	s.run(1)
	require.False(t, a.isOpen(link))
	require.Zero(t, a.Guests())
	require.Equal(t, []wire.Message{wire.Pong{Nonce: 1}, wire.Leave{}}, *said)
}

// [GST-3] as is one that said Leave (its links close when it has had 300 ms to say so again)
func TestAGuestThatLeavesIsGone(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	link := x.visit(a, 1)
	said := s.saidOn(link)
	s.run(time.Second)
	x.say(a, link, wire.Leave{})
	require.Zero(t, a.Guests())
	s.run(200 * time.Millisecond)
	x.say(a, link, wire.Leave{})
	require.Len(t, *said, 2)
	require.True(t, a.isOpen(link))
	s.run(time.Second)
	require.False(t, a.isOpen(link))
	require.Len(t, *said, 2)

	link = x.visit(a, 1)
	require.Equal(t, 1, a.Guests(), "it may come back")
	x.say(a, link, wire.Leave{})
	link = x.visit(a, 2)
	require.Equal(t, 1, a.Guests(), "at once, too")
	s.run(5 * time.Second)
	require.True(t, a.isOpen(link))
}

// [GST-3] and one at whose address a link of a member, or of a guest with another public key, is made.
func TestWhoComesToTheAddressOfAGuestTakesItsPlace(t *testing.T) {
	s := newSociety(t)
	a, x, y := s.join(0), s.act(7, 0), s.act(7, 1)
	first := x.visit(a, 1)
	second := y.visit(a, 1)
	require.False(t, a.isOpen(first))
	require.True(t, a.isOpen(second))
	require.Equal(t, 1, a.Guests())
	third := x.confirm(a, 1)
	require.False(t, a.isOpen(second))
	require.True(t, a.isOpen(third))
	require.Zero(t, a.Guests())
	require.NotNil(t, a.peers.byAddr[x.addr])

	fourth := y.visit(a, 5)
	require.True(t, a.isOpen(fourth))
	require.True(t, a.isOpen(third), "a peer stays what it is, until it is found to be gone [GST-1]")
	require.NotNil(t, a.peers.byAddr[x.addr])
}

// [GST-3] A process has at most 256 guests: another makes it close those of the guest that was silent for the longest
// time.
func TestTheLongestSilentGuestMakesRoom(t *testing.T) {
	s := newSociety(t)
	a := s.join(0)
	var links []uint64
	for i := range guestsMax {
		links = append(links, s.act(10+i, 0).visit(a, 1))
		s.run(time.Millisecond)
	}
	s.act(10, 0).say(a, links[0], wire.Ping{Nonce: 1})
	for i := range 3 {
		s.act(1000+i, 0).visit(a, 1)
		s.run(time.Millisecond)
	}
	require.Equal(t, guestsMax, a.Guests())
	require.True(t, a.isOpen(links[0]))
	for i := 1; i <= 3; i++ {
		require.False(t, a.isOpen(links[i]))
	}
	require.True(t, a.isOpen(links[4]))
	require.Len(t, a.guests.byLink, guestsMax)
	require.Len(t, a.guests.byAddr, guestsMax)
}

// [GST-3] Of three links of a guest the lowest other is closed.
func TestAGuestHasTwoLinks(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	high, low, new := x.visit(a, 3), x.visit(a, 1), x.visit(a, 2)
	require.True(t, a.isOpen(high))
	require.False(t, a.isOpen(low))
	require.True(t, a.isOpen(new))
	require.Equal(t, 1, a.Guests())
	x.say(a, high, wire.Leave{})
	s.run(time.Second)
	require.False(t, a.isOpen(high))
	require.False(t, a.isOpen(new))
	require.Empty(t, a.guests.byLink)
}

// [GST-3] Whenever a process closes the link of a guest that has not left it says so by Leave, once.
func TestAGuestIsToldThatItsHostLeaves(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	link := x.visit(a, 1)
	said := s.saidOn(link)
	a.Leave(s.now)
	s.collect(a)
	require.Equal(t, []wire.Message{wire.Leave{}}, *said)
	require.False(t, a.isOpen(link))
	late := x.visit(a, 2)
	require.False(t, a.isOpen(late))
}
