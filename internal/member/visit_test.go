package member

import (
	"net/netip"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// visitor starts a guest at address i, with the seeds.
func (s *society) visitor(i int, seeds ...int) *citizen {
	s.guest = true
	defer func() { s.guest = false }()
	return s.join(i, seeds...)
}

// hostOf is the address of whom a guest asks.
func (c *citizen) hostOf() (addr netip.AddrPort) {
	if c.visiting.host != nil {
		addr = c.visiting.host.Addr
	}
	return addr
}

// foundAt has a guest find a function at some processes.
func (c *citizen) foundAt(now time.Time, name string, at ...*citizen) {
	var f wire.Found
	for _, p := range at {
		f.Add(wire.Provider{Process: wire.Process{Addr: p.cfg.Self, Boot: p.boot}, Table: 1, Signature: "()"})
	}
	c.Found(now, name, f)
}

// [GST-5] A guest sends no Join. What it says in Confirms is Ping, and what else it has to say there. It contacts one
// seed after another until one answers, which is asked from then on; when that has left, or was silent for the
// acknowledgement timeout, another.
func TestAGuestStaysWithOneSeed(t *testing.T) {
	s := newSociety(t)
	for i := range 3 {
		s.join(i, 0)
	}
	s.run(2 * time.Second)
	said := map[wire.Kind]int{}
	s.spy = func(from *citizen, _ netip.AddrPort, msg wire.Message, _ int) {
		if from.cfg.Guest {
			said[msg.Kind()]++
		}
	}
	g := s.visitor(9, 7, 0, 1)
	s.run(time.Second)
	require.Equal(t, siteOf(0), g.hostOf(), "nobody is at 7")
	require.True(t, g.Joined())
	s.run(time.Minute)
	require.Equal(t, siteOf(0), g.hostOf())
	require.Equal(t, 1, s.members[0].Guests())
	require.Zero(t, s.members[1].Guests())
	require.Len(t, said, 1)
	require.InDelta(t, 21, said[wire.KindPing], 1, "every 3 s")
	require.Len(t, g.peers.list, 1)

	s.members[0].dead = true
	s.run(2900 * time.Millisecond)
	require.Equal(t, siteOf(0), g.hostOf())
	s.run(3200 * time.Millisecond)
	require.Equal(t, siteOf(1), g.hostOf())
	s.members[1].Leave(s.now)
	s.collect(s.members[1])
	s.run(time.Second)
	require.False(t, g.Joined())
	require.Empty(t, g.View())
}

// [GST-5] It says Ping on each of its links every 3 s, and closes those that it has not needed for 10 s by Leave.
func TestAGuestLeavesWhomItDoesNotNeed(t *testing.T) {
	s := newSociety(t)
	host, provider := s.join(0, 0), s.join(1, 0)
	s.run(2 * time.Second)
	g := s.visitor(9, 0)
	s.run(time.Second)
	g.foundAt(s.now, "f", provider)
	s.collect(g)
	require.Len(t, g.View(), 2)
	require.Zero(t, g.View()[1].Link)
	require.False(t, g.View()[1].Unreachable)
	g.Visit(s.now, provider.cfg.Self)
	s.collect(g)
	s.run(10 * time.Millisecond)
	require.NotZero(t, g.View()[1].Link)
	require.Equal(t, 1, provider.Guests())
	for range 5 {
		s.run(8 * time.Second)
		g.foundAt(s.now, "f", provider)
		s.collect(g)
	}
	require.Equal(t, 1, provider.Guests())
	s.run(13 * time.Second)
	require.Zero(t, provider.Guests())
	require.Equal(t, 1, host.Guests())
	require.Len(t, g.View(), 1, "what was found is forgotten, too")
	require.Empty(t, g.visiting.found)
	require.Empty(t, g.visiting.wanted)
	require.Len(t, g.visiting.stays, 1)
}

// Who is visited and does not answer is unreachable for a while.
func TestWhoDoesNotAnswerAGuestIsUnreachable(t *testing.T) {
	s := newSociety(t)
	s.join(0, 0)
	dead := s.join(1, 0)
	s.run(2 * time.Second)
	g := s.visitor(9, 0)
	s.run(time.Second)
	dead.dead = true
	g.foundAt(s.now, "f", dead)
	require.False(t, g.View()[1].Unreachable, "who is to be visited is seen there first")
	opens := s.opens(g, dead.cfg.Self)
	g.Visit(s.now, dead.cfg.Self)
	s.collect(g)
	s.run(time.Second)
	require.False(t, g.View()[1].Unreachable)
	require.InDelta(t, 8, *opens, 3)
	s.run(4500 * time.Millisecond)
	require.True(t, g.View()[1].Unreachable)
	s.run(10 * time.Second)
	require.Len(t, g.View(), 1)
}

// What came of a visit says nothing of a process that begins at the address later: that one is visited at once.
func TestWhoBeginsWhereAnotherWasVisitedIsVisited(t *testing.T) {
	for name, end := range map[string]func(s *society, c *citizen){
		"it has left": func(s *society, c *citizen) { c.Leave(s.now); s.collect(c); s.run(time.Second); c.dead = true },
		"it has died": func(s *society, c *citizen) { c.dead = true },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSociety(t)
			s.join(0, 0)
			first := s.join(1, 0)
			s.run(2 * time.Second)
			g := s.visitor(9, 0)
			s.run(time.Second)
			visit := func(p *citizen) {
				g.foundAt(s.now, "f", p)
				s.collect(g)
				require.False(t, g.View()[1].Unreachable)
				g.Visit(s.now, p.cfg.Self)
				s.collect(g)
				s.run(100 * time.Millisecond)
				require.Equal(t, p.boot, g.View()[1].Boot)
				require.NotZero(t, g.View()[1].Link)
			}
			visit(first)
			end(s, first)
			second := s.join(1, 0)
			s.run(500 * time.Millisecond)
			visit(second)
			require.Len(t, g.peers.list, 2)
		})
	}
}

// A host that has begun anew at its address, or has forgotten us, has us again in a moment.
func TestAGuestComesBackToAHostThatBeganAnew(t *testing.T) {
	s := newSociety(t)
	host := s.join(0, 0)
	g := s.visitor(9, 0)
	s.run(time.Second)
	host.dead = true
	host = s.join(0, 0)
	s.run(4500 * time.Millisecond)
	require.Equal(t, 1, host.Guests())
	require.Equal(t, host.boot, g.visiting.host.Boot)
	require.Len(t, g.peers.list, 1)

	host.dropGuests()
	host.Take() // the Leave is lost
	require.Zero(t, host.Guests())
	for token, b := range host.links {
		if host.peers.byLink[token] == nil {
			b.spent = true
		}
	}
	s.run(5 * time.Second)
	require.Equal(t, 1, host.Guests())
	require.Len(t, g.peers.byLink, 1)
}

// Where a host has more guests than it may have, those come back ever more rarely.
func TestGuestsDoNotFightForAHost(t *testing.T) {
	s := newSociety(t)
	host := s.join(0, 0)
	for i := range guestsMax + 50 {
		s.visitor(100+i, 0)
	}
	s.run(30 * time.Second)
	opens := 0
	s.opened = func(*citizen, netip.AddrPort) { opens++ }
	s.run(10 * time.Second)
	t.Logf("%d Opens in 10 s", opens)
	require.Equal(t, guestsMax, host.Guests())
	require.Less(t, opens, 3*guestsMax)
}

// A guest that does not know its address is told it by its seed.
func TestAGuestLearnsItsAddress(t *testing.T) {
	s := newSociety(t)
	host := s.join(0, 0)
	s.guest = true
	g := s.joinAs(siteOf(9), netip.MustParseAddrPort("0.0.0.0:7000"), 0)
	s.guest = false
	s.run(2 * time.Second)
	require.Equal(t, siteOf(9), g.Self())
	require.Equal(t, siteOf(0), g.hostOf())
	require.Equal(t, 1, host.Guests())
	require.Empty(t, host.peers.list)
	s.run(time.Minute)
	require.Equal(t, 1, host.Guests())
	require.Empty(t, host.peers.list)
}

// [GST-5] and closes those that it has not needed for 10 s by Leave: who is visited again and again is needed, also
// where no function was asked for.
func TestWhoIsVisitedAgainIsNeeded(t *testing.T) {
	s := newSociety(t)
	s.join(0, 0)
	inspected := s.join(1, 0)
	s.run(2 * time.Second)
	g := s.visitor(9, 0)
	s.run(time.Second)
	g.Visit(s.now, inspected.cfg.Self)
	s.collect(g)
	s.run(time.Second)
	opens := s.opens(g, inspected.cfg.Self)
	for range 30 {
		s.run(time.Second)
		g.Visit(s.now, inspected.cfg.Self)
		s.collect(g)
	}
	require.Zero(t, *opens)
	require.Equal(t, 1, inspected.Guests())
	s.run(14 * time.Second)
	require.Zero(t, inspected.Guests())
}

// [GST-5] Of addresses that were found it opens to each 8 times at most, and 2,000 times a second to all: a host that
// lies of them makes it send no more.
func TestAHostThatLiesMakesAGuestSendLittle(t *testing.T) {
	s := newSociety(t)
	s.join(0, 0)
	s.run(time.Second)
	g := s.visitor(9, 0)
	s.run(time.Second)
	all, most, each := 0, 0, map[netip.AddrPort]int{}
	s.opened = func(_ *citizen, to netip.AddrPort) { all++; each[to]++ }
	for second := range 3 {
		all = 0
		for i := range 1000 {
			g.Visit(s.now, siteOf(1000*(second+1)+i))
			s.collect(g)
			s.run(time.Millisecond)
		}
		most = max(most, all)
	}
	s.run(10 * time.Second)
	t.Logf("%d Opens in a second, %d addresses", most, len(each))
	require.LessOrEqual(t, most, 2*opensPerSec, "a second of ours may lie across two of its")
	require.Greater(t, most, opensPerSec/2)
	for addr, opens := range each {
		require.LessOrEqual(t, opens, visitOpens, addr)
	}
}
