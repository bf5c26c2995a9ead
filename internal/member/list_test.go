package member

import (
	"net/netip"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [MEM-1] Hearsay, a List or the address B of an Offer, MUST NOT add or revive a peer, and never changes which process
// is at an address; it only makes the node contact the address, as AMP-2 and LNK-2 allow. Nothing else that one says of
// another does even that.
// [MEM-7] Who receives a List contacts each address in it whose process it does not believe in already.
// [AMP-2] Suspect, Offline and Help pay for no Open.
func TestHearsayOnlyMakesUsAsk(t *testing.T) {
	s := newSociety(t)
	all := s.grow(4)
	a, b, gone := all[0], all[1], all[3]
	gone.dead = true
	s.until(3*time.Second, "one is offline", func() bool { return a.of(gone).state() == Offline })
	a.healAt = s.now.Add(time.Hour)
	s.run(6 * time.Second)
	from := a.linkTo(b)
	from.Size = wire.ControlPacket
	var opened []netip.AddrPort
	s.opened = func(who *citizen, to netip.AddrPort) {
		if who == a {
			opened = append(opened, to)
		}
	}

	ghost := wire.Target{Addr: siteOf(101), Boot: 6, Inc: 1}
	for _, msg := range []wire.Message{
		wire.Help{Target: ghost}, wire.Suspect{Target: ghost}, wire.Offline{Target: ghost}, wire.Vouch{Target: ghost},
		wire.Nack{Target: ghost},
		wire.Vouch{Target: a.of(gone).target()},
	} {
		s.forge(a, from, msg)
	}
	require.Empty(t, opened)
	s.forge(a, from, wire.List{Count: 1, Entries: []wire.Process{
		{Addr: siteOf(100), Boot: 5}, {Addr: b.cfg.Self, Boot: b.boot}, {Addr: a.cfg.Self, Boot: 9},
		{Addr: siteOf(102), Boot: a.boot},
		{Addr: gone.cfg.Self, Boot: gone.boot}, {Addr: all[2].cfg.Self, Boot: 8},
	}})
	require.ElementsMatch(t, []netip.AddrPort{siteOf(100), gone.cfg.Self, all[2].cfg.Self}, opened)
	s.run(10 * time.Second)
	require.Len(t, a.peers.sorted(), 3)
	require.Equal(t, Offline, a.of(gone).state())
	require.Equal(t, Alive, a.of(all[2]).state(), "and what it is")
	require.Nil(t, a.contacts.byAddr[siteOf(100)], "contacted in vain for 5 s")
}

// [AMP-2] A datagram with List on the link of a peer pays for floor(3 x its UDP payload / 116) Opens. The first go to
// as many of its new addresses as it pays for, one to each, from a random entry on, and what is left to the same again.
// Nothing is saved.
func TestAListPaysForOpens(t *testing.T) {
	for _, test := range []struct{ size, addresses, atOnce, later int }{
		{38, 5, 0, 0}, {39, 5, 1, 1}, {77, 5, 1, 1}, {78, 5, 2, 2}, {1200, 44, 31, 31}, {1200, 20, 20, 31},
		{1200, 10, 10, 30}, {1200, 2, 2, 6},
	} {
		s := newSociety(t)
		a, x := s.join(0), s.act(7, 0)
		link := x.confirm(a, 1)
		to := map[netip.AddrPort]int{}
		total := 0
		s.opened = func(_ *citizen, addr netip.AddrPort) { to[addr]++; total++ }
		src := x.source(link, wire.List{})
		src.Size = test.size
		s.forge(a, src, listNaming(0, addrsFrom(100, test.addresses)...))
		require.Equal(t, test.atOnce, total, "%+v", test)
		require.Len(t, to, total, "one to each")
		s.run(35 * time.Millisecond) // before those that are missing are asked for
		require.Equal(t, test.atOnce, total)
		a.joining.askAt = time.Time{}
		s.run(200 * time.Millisecond)
		require.Equal(t, test.later, total, "%+v", test)
	}
}

// [AMP-2] from a random entry on
func TestListsPayForDifferentAddresses(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	link := x.confirm(a, 1)
	to := map[netip.AddrPort]int{}
	s.opened = func(_ *citizen, addr netip.AddrPort) { to[addr]++ }
	for range 200 {
		src := x.source(link, wire.List{})
		src.Size = 39
		s.forge(a, src, listNaming(0, addrsFrom(100, 20)...))
		s.run(time.Millisecond)
	}
	require.Greater(t, len(to), 15)
}

// [AMP-4] So a List that answers Join, or tells of news [...] names some again, so that its datagrams pay for one to
// each; one that answers a Join with addresses for three, as far as a datagram has room.
func TestListsPayForWhomTheyName(t *testing.T) {
	for k := range 300 {
		var entries []wire.Process
		for i := range k {
			entries = append(entries, wire.Process{Addr: siteOf(i), Boot: 1})
		}
		for _, pay := range []int{payNone, payOnce, payAgain} {
			named := map[netip.AddrPort]bool{}
			chunks := chunksOf(3, entries, pay)
			for i, c := range chunks {
				require.EqualValues(t, []int{i, len(chunks)}, []int{int(c.Index), int(c.Count)})
				here := map[netip.AddrPort]bool{}
				for _, e := range c.Entries {
					named[e.Addr], here[e.Addr] = true, true
				}
				size := wire.HeaderSize + len(c.Append(nil))
				require.LessOrEqual(t, size, wire.ControlPacket)
				paid := creditFactor * size / wire.OpenSize
				require.True(t, paid >= pay*len(here) || pay > payOnce && len(c.Entries) == listEntries &&
					paid >= len(here), "%d of %d", paid, len(here))
				if pay == payNone {
					require.Len(t, c.Entries, len(here))
				}
			}
			require.Len(t, named, k)
		}
	}
}

// [AMP-4] A node keeps up to 4,096 addresses that a List named and that it has no link with, opened or not, and asks
// for up to 60 of them by Join [...] at the pace of MEM-3 [...] it begins anew when another is named. One that was not
// named for 10 s is given up.
func TestThoseThatAreMissingAreAskedFor(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	link := x.confirm(a, 1)
	sent := s.watch(a)
	asked := func() (wanted []netip.AddrPort) {
		for _, m := range *sent {
			if j, ok := m.(wire.Join); ok {
				wanted = append(wanted, j.Wanted...)
			}
		}
		*sent = nil
		return wanted
	}
	x.say(a, link, listNaming(1, siteOf(100)))
	wait := func(d time.Duration) {
		for rest := d - 1; rest > 0; rest -= 100 * time.Millisecond {
			s.run(min(rest, 100*time.Millisecond))
			x.say(a, link, wire.Pong{}) // or it would be late
		}
		require.Empty(t, asked(), "before %v", d)
		s.run(1)
		require.NotEmpty(t, asked(), "after %v", d)
	}
	for _, msec := range []time.Duration{40, 60, 80, 100, 120, 140} {
		wait(msec * time.Millisecond)
	}
	x.say(a, link, listNaming(1, siteOf(100)))
	wait(160 * time.Millisecond)
	x.say(a, link, listNaming(1, siteOf(101)))
	wait(40 * time.Millisecond)
	for _, msec := range []time.Duration{60, 80, 100, 120, 140, 160, 180, 200, 220, 480, 1000, 2000, 4000} {
		wait(msec * time.Millisecond)
	}
	y := s.act(101, 0)
	y.confirm(a, 1)
	require.NotContains(t, a.joining.missing, y.addr)
	s.run(5 * time.Second)
	require.NotContains(t, asked(), y.addr)
	require.Empty(t, a.joining.missing, "given up")
	s.run(time.Minute)
	require.Empty(t, asked())
}

// [AMP-4] asks for up to 60 of them by Join on the link of who gave it the whole List, or else of any peer
func TestNotMoreThanSixtyAreAskedForAtOnce(t *testing.T) {
	s := newSociety(t)
	seed := s.join(0)
	a, x := s.join(1, 0), s.act(7, 0)
	s.until(time.Second, "joined", a.Joined)
	link := x.confirm(a, 1)
	for i := range 10 {
		x.say(a, link, listNaming(40, addrsFrom(100+40*i, 40)...))
	}
	asked := 0
	s.spy = func(from *citizen, to netip.AddrPort, msg wire.Message, _ int) {
		if j, ok := msg.(wire.Join); ok && from == a {
			asked++
			require.Equal(t, seed.cfg.Self, to)
			require.LessOrEqual(t, len(j.Wanted), wire.MaxWanted)
		}
	}
	s.run(1099 * time.Millisecond)
	require.Equal(t, 1, asked, "after 100 ms, when 40 were missing")
	s.run(time.Millisecond)
	require.Equal(t, 2, asked, "2.5 ms later for each of 400")
	require.Len(t, a.joining.missing, 400)
}

// [AMP-4] A List of those wanted has who is believed in.
func TestAJoinWithAddressesIsAnsweredWithThose(t *testing.T) {
	s := newSociety(t)
	all := s.grow(5)
	a, x := all[0], s.act(7, 0)
	link := x.confirm(a, 1)
	lists := func(msg wire.Join) (list []wire.List) {
		sent := s.watch(a)
		x.say(a, link, msg)
		for _, m := range *sent {
			if l, ok := m.(wire.List); ok {
				list = append(list, l)
			}
		}
		return list
	}
	two := lists(wire.Join{Nonce: 9, Wanted: []netip.AddrPort{siteOf(2), siteOf(77), siteOf(3)}})
	require.Len(t, two, 1)
	require.EqualValues(t, 9, two[0].Echo)
	for _, e := range two[0].Entries {
		require.Contains(t, []netip.AddrPort{siteOf(2), siteOf(3)}, e.Addr)
	}
	require.Empty(t, lists(wire.Join{Nonce: 9, Wanted: []netip.AddrPort{siteOf(77)}}), "nobody is known there")
}

// [AMP-4] A whole List goes to an address once in 30 ms for each of its datagrams, a second at most, and 26,000
// datagrams of List a second to all.
func TestWholeListsAreBounded(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	link := x.confirm(a, 1)
	lists := func() (k int) {
		sent := s.watch(a)
		x.say(a, link, wire.Join{Nonce: 9})
		return kindsOf(*sent)[wire.KindList]
	}
	total := 0
	for range 1000 {
		total += lists()
		s.run(time.Millisecond)
	}
	require.Equal(t, 34, total, "one each 30 ms")

	s.run(time.Second)
	for range listsPerSec - 1 {
		require.True(t, a.lists.Take(s.now, listsPerSec))
	}
	p := a.peers.byAddr[x.addr]
	sent := s.watch(a)
	for range 10 {
		a.tellChunks(s.now, p, 0, a.entries(), payNone)
	}
	s.collect(a)
	require.Equal(t, 1, kindsOf(*sent)[wire.KindList])
	s.run(time.Second)
	require.Equal(t, 1, lists())
}

// [MEM-26] An Open, Offer or entry of a List with an address that is unspecified [...], multicast, 255.255.255.255, the
// receiver's own or, unless it came from such a one, loopback [...] is dropped and, but for the receiver's own,
// counted. A node MUST NOT be able to send to a broadcast address.
func TestAddressesOfNoUseAreNotContacted(t *testing.T) {
	useless := []string{"0.0.0.0:1", "[::]:1", "224.0.0.1:1", "[ff02::1]:1", "255.255.255.255:9", "127.0.0.1:1",
		"[::1]:1"}
	s := newSociety(t)
	a, x := s.join(0, 60), s.act(7, 0)
	link := x.confirm(a, 1)
	s.opened = func(_ *citizen, to netip.AddrPort) { require.Equal(t, siteOf(60), to) }
	for i, addr := range useless {
		unusable := netip.MustParseAddrPort(addr)
		msg := wire.List{Count: 1, Entries: []wire.Process{{Addr: unusable, Boot: 5}, {Addr: a.cfg.Self, Boot: 5}}}
		a.Receive(s.now, x.source(link, msg), msg)
		require.EqualValues(t, 1, a.out.Unusable, addr)
		require.Empty(t, a.joining.missing)
		s.collect(a)

		a.contact(s.now, siteOf(60))
		seed := &acted{society: s, addr: siteOf(60), key: wire.PublicKey{byte(i)}}
		a.Offered(s.now, Answered{Offer: wire.Offer{Rank: 1, Echo: a.contacts.byAddr[seed.addr].token, Token: 5,
			Key: seed.key, Addr: unusable}, From: seed.addr})
		if !unusable.Addr().IsUnspecified() {
			require.EqualValues(t, 1, a.out.Unusable, addr)
		}
		require.Empty(t, a.joining.guises)
		s.collect(a)
	}
	require.Nil(t, a.contact(s.now, netip.MustParseAddrPort("255.255.255.255:9")), "a seed neither")
}

// [MEM-26] unless it came from such a one
func TestWhichAddressesAreOfUse(t *testing.T) {
	for _, c := range []struct {
		from, addr string
		usable     bool
	}{
		{"10.0.0.2:1", "10.0.0.2:1", true}, {"10.0.0.2:1", "192.0.2.1:9", true}, {"127.0.0.1:1", "127.0.0.2:1", true},
		{"[::1]:1", "127.0.0.1:1", true},
		{"10.0.0.2:1", "127.0.0.1:1", false}, {"10.0.0.2:1", "[::1]:1", false}, {"127.0.0.1:1", "0.0.0.0:1", false},
		{"10.0.0.2:1", "10.0.0.2:0", false},
		{"10.0.0.2:1", "224.0.0.1:1", false}, {"[fd00::1]:1", "[ff02::1]:1", false},
		{"10.0.0.2:1", "255.255.255.255:1", false},
	} {
		require.Equal(t, c.usable, IsUsable(netip.MustParseAddrPort(c.from), netip.MustParseAddrPort(c.addr)), "%+v", c)
	}
}
