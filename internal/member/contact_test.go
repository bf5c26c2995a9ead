package member

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [LNK-2] An Offer counts if its address B is the one contacted, its public key is not A's own, its rank is not 0
func TestAnOfferMustFitTheContact(t *testing.T) {
	for what, spoil := range map[string]func(a *citizen, o *wire.Offer){
		"another address":    func(_ *citizen, o *wire.Offer) { o.Addr = siteOf(8) },
		"no address":         func(_ *citizen, o *wire.Offer) { o.Addr = nowhereAddr },
		"our own public key": func(a *citizen, o *wire.Offer) { o.Key = a.process.Key },
		"rank 0":             func(_ *citizen, o *wire.Offer) { o.Rank = 0 },
		"token 0":            func(_ *citizen, o *wire.Offer) { o.Token = 0 },
		"another opening":    func(_ *citizen, o *wire.Offer) { o.Echo++ },
	} {
		s := newSociety(t)
		a, x := s.join(0), s.act(7, 0)
		sent := s.watch(a)
		token := a.contact(s.now, x.addr).token
		o := wire.Offer{Rank: 1, Echo: token, Token: 5, Key: x.key, Addr: x.addr}
		spoil(a, &o)
		x.give(a, o)
		require.Empty(t, a.provings, what)
		s.run(time.Second)
		require.Empty(t, *sent, what)
		require.Empty(t, a.peers.sorted(), what)
	}
}

var nowhereAddr = netip.AddrPortFrom(netip.IPv6Unspecified(), 7000)

// [LNK-2] The first that comes ends the opening. A then makes the link [...] and sends what it has to say, Announce
// first, in Confirms.
func TestTheFirstOfferMakesTheLink(t *testing.T) {
	s := newSociety(t)
	a, x, y := s.join(0), s.act(7, 0), s.act(7, 1)
	sent := s.watch(a)
	token := a.contact(s.now, x.addr).token
	require.Equal(t, token, x.offer(a, wire.Offer{Rank: 3}))
	require.True(t, a.links[token].confirm)
	require.Equal(t, wire.KindAnnounce, (*sent)[0].Kind())
	y.give(a, wire.Offer{Rank: 9, Echo: token, Token: 5, Key: y.key, Addr: y.addr})
	require.Len(t, a.provings, 1)
	require.EqualValues(t, 3, a.provings[0].order.Rank)
	require.Empty(t, a.peers.sorted(), "an Offer makes nobody a peer")
	x.say(a, token, wire.Ping{Nonce: 1})
	require.Equal(t, x.boot(), a.peers.sorted()[0].Boot)
}

// [LNK-2] If only the address B is another one, and a seed was contacted, that is remembered as the seed's, and
// contacted in its place, at once with one Open.
func TestASeedThatAdvertisesAnotherAddress(t *testing.T) {
	s := newSociety(t)
	seed := s.join(0)
	seed.alias = siteOf(60)
	a := s.join(1, 60)
	opens := s.opens(a, seed.cfg.Self)
	s.until(2*time.Millisecond, "the seed is a peer", func() bool { return a.of(seed) != nil })
	require.Equal(t, seed.cfg.Self, a.joining.placeOf(siteOf(60)))
	s.run(time.Minute)
	require.Equal(t, 1, *opens)
	require.True(t, a.Joined())
	require.Len(t, a.peers.sorted(), 1)
}

// An address that is no seed's does not lead to another one.
func TestAPeerDoesNotSendUsElsewhere(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	opens := s.opens(a, siteOf(8))
	token := a.contact(s.now, x.addr).token
	x.give(a, wire.Offer{Rank: 1, Echo: token, Token: 5, Key: x.key, Addr: siteOf(8)})
	s.run(time.Second)
	require.Zero(t, *opens)
}

// listNaming is what names addresses, in a List that pays for some Opens.
func listNaming(pays int, addrs ...netip.AddrPort) wire.List {
	l := wire.List{Count: 1}
	for i := 0; len(addrs) > 0 && (i < len(addrs) || 3*(wire.HeaderSize+len(l.Append(nil)))/wire.OpenSize < pays); i++ {
		l.Entries = append(l.Entries, wire.Process{Addr: addrs[i%len(addrs)], Boot: 1 << 63})
	}
	return l
}

// [AMP-3] Such an address gets one Open, and as paid for two more, 40 and 100 ms after the first. The opening stays for
// 5 s
func TestAnAddressKnownByHearsayGetsThreeOpens(t *testing.T) {
	s := newSociety(t)
	a, x, y := s.join(0), s.act(7, 0), s.act(8, 0)
	link := x.confirm(a, 1)
	opens := s.opens(a, y.addr)
	start := s.now
	x.say(a, link, listNaming(30, y.addr))
	for _, at := range []struct {
		after time.Duration
		opens int
	}{
		{0, 1}, {39 * time.Millisecond, 1}, {40 * time.Millisecond, 2}, {99 * time.Millisecond, 2},
		{100 * time.Millisecond, 3}, {4999 * time.Millisecond, 3},
	} {
		s.run(at.after - s.now.Sub(start))
		require.Equal(t, at.opens, *opens, "after %v", at.after)
	}
	require.NotNil(t, a.contacts.byAddr[y.addr], "a late Offer counts")
	s.run(time.Millisecond)
	require.Nil(t, a.contacts.byAddr[y.addr])
	s.run(10 * time.Second)
	require.Equal(t, 3, *opens)
}

// [MEM-17] all other offline peers are contacted at once, each by up to three Opens as in AMP-3
// [LNK-8] If it was the last, A contacts all its peers at once, each by up to three Opens as in AMP-3
func TestWhoIsContactedWithAllOthersGetsThreeOpens(t *testing.T) {
	for what, begin := range map[string]func(s *society, a *citizen, x, y *acted){
		"one came back": func(s *society, a *citizen, x, y *acted) {
			a.takeOffline(s.now, a.peers.byAddr[x.addr])
			a.takeOffline(s.now, a.peers.byAddr[y.addr])
			x.say(a, a.peers.byAddr[x.addr].tie.token, wire.Ping{Nonce: 1})
		},
		"one has let us go": func(s *society, a *citizen, x, _ *acted) {
			a.contact(s.now, x.addr)
			x.say(a, x.offer(a, wire.Offer{Rank: 2}), wire.Ping{Nonce: 1})
		},
		"one has let us go, and another is offline": func(s *society, a *citizen, x, y *acted) {
			a.takeOffline(s.now, a.peers.byAddr[y.addr])
			a.contact(s.now, x.addr)
			x.say(a, x.offer(a, wire.Offer{Rank: 2}), wire.Ping{Nonce: 1})
		},
		"one has forgotten us": func(_ *society, a *citizen, x, _ *acted) {
			x.say(a, a.peers.byAddr[x.addr].tie.token, wire.Ack{Seen: 1, Promise: 5000})
			x.introduce(a, x.confirm(a, 2), "app")
		},
	} {
		for answered, want := range [][]time.Duration{{0, 40 * msec, 100 * msec}, {0}, {0, 40 * msec}} {
			s := newSociety(t)
			a, x, y := s.join(0), s.act(7, 0), s.act(8, 0)
			x.confirm(a, 1)
			y.confirm(a, 1)
			for range 12 { // in vain: those that come now do not wait as long as the next one would
				a.contact(s.now, y.addr)
			}
			s.run(time.Millisecond)
			var at []time.Duration
			began := s.now
			s.opened = func(_ *citizen, to netip.AddrPort) {
				if to != y.addr {
					return
				}
				if at = append(at, s.now.Sub(began)); len(at) == answered {
					y.offer(a, wire.Offer{Rank: 2, Held: 1})
				}
			}
			begin(s, a, x, y)
			s.run(400 * msec)
			require.Equal(t, want, at, "%s, the Open number %d is answered", what, answered)
		}
	}
}

// [LNK-8] A does so, too, when B, which had a table of A's, begins a link by an Offer later than the birth of the one
// preferred, and says in Announce on it that it has none (seen 0).
func TestWhoHasNotForgottenUsSaysNothingOfOthers(t *testing.T) {
	for what, begin := range map[string]func(a *citizen, x *acted){
		"it has our table": func(a *citizen, x *acted) {
			x.say(a, x.confirm(a, 2), wire.Announce{Hello: wire.Hello{Inc: 1, Seen: 1, Addr: x.addr, Name: "app"}})
		},
		"the Offer is older": func(a *citizen, x *acted) { x.introduce(a, x.confirmLate(a, 2, 0), "app") },
		"the link is an old one": func(a *citizen, x *acted) {
			x.introduce(a, a.peers.byAddr[x.addr].tie.token, "app")
		},
	} {
		s := newSociety(t)
		a, x, y := s.join(0), s.act(7, 0), s.act(8, 0)
		link := x.confirm(a, 1)
		y.confirm(a, 1)
		x.say(a, link, wire.Ack{Seen: 1, Promise: 5000})
		s.run(time.Millisecond)
		opens := s.opens(a, y.addr)
		begin(a, x)
		s.run(400 * msec)
		require.Zero(t, *opens, what)
	}
}

// [LNK-8] That is once a second at most, and not within 1.5 ms for each that was contacted the last time: a member that
// says every 100 ms that it has forgotten us does not have us open to all others each time. They are silent here, so
// that there are Opens to them without it, too.
func TestWhoForgetsUsAgainAndAgainCausesFewOpens(t *testing.T) {
	const others, lasting = 1500, 20
	opensIn := func(isBad bool) (opens int) {
		s := newSociety(t)
		a, x := s.join(0), s.act(7, 0)
		link := x.confirm(a, 1)
		for i := range others {
			s.act(100+i, 0).confirm(a, 1)
		}
		s.opened = func(*citizen, netip.AddrPort) { opens++ }
		for range lasting * 10 {
			x.say(a, link, wire.Ack{Seen: 1, Promise: 5000})
			s.run(100 * msec)
			if isBad {
				link = x.confirm(a, 2)
				x.introduce(a, link, "app")
			}
		}
		return opens
	}
	without, with := opensIn(false), opensIn(true)
	t.Logf("%d Opens in %d s, and %d without it", with, lasting, without)
	require.Greater(t, with-without, 2*contactTries*others, "it is believed")
	require.Less(t, with-without, lasting*2000+contactTries*others)
}

// [MEM-3] So do Opens, [...] while more than 32 addresses have not answered
func TestManyAddressesAreOpenedSlowly(t *testing.T) {
	for named, second := range map[int]time.Duration{32: 40 * time.Millisecond, 40: 100 * time.Millisecond} {
		s := newSociety(t)
		a, x, y := s.join(0), s.act(7, 0), s.act(8, 0)
		link, opens := x.confirm(a, 1), s.opens(a, y.addr)
		x.say(a, link, listNaming(2*named, addrsFrom(100, named-1)...))
		x.say(a, link, listNaming(30, y.addr))
		s.run(second - 1)
		require.Equal(t, 1, *opens, "%d named", named)
		s.run(1)
		require.Equal(t, 2, *opens, "%d named", named)
	}
}

// [AMP-3] naming the address again pays for more Opens, no two of them sooner than 40 ms; while the link it led to is
// unconfirmed, naming it does nothing.
func TestNamingAgainPaysForMoreOpens(t *testing.T) {
	s := newSociety(t)
	a, x, y := s.join(0), s.act(7, 0), s.act(8, 0)
	link := x.confirm(a, 1)
	var at []time.Time
	s.opened = func(_ *citizen, to netip.AddrPort) {
		if to == y.addr {
			at = append(at, s.now)
		}
	}
	for range 300 {
		x.say(a, link, listNaming(1, y.addr))
		s.run(time.Millisecond)
	}
	require.Greater(t, len(at), 3)
	require.LessOrEqual(t, len(at), 300/40+1)
	for i := range at[1:] {
		require.GreaterOrEqual(t, at[i+1].Sub(at[i]), 40*time.Millisecond)
	}

	y.offer(a, wire.Offer{})
	before := len(at)
	for range 400 {
		x.say(a, link, listNaming(1, y.addr))
		s.run(time.Millisecond)
	}
	require.Len(t, at, before)
}

// [AMP-3] Who has had its whole List waits for 100 ms before the first, if its own boot id is the greater and the List
// answers no Join of its own
func TestOneOfTwoWhoAreToldOfEachOtherYields(t *testing.T) {
	for _, isGreater := range []bool{false, true} {
		s := newSociety(t)
		s.join(0)
		a, x, y := s.join(1, 0), s.act(7, 0), s.act(8, 0)
		s.run(time.Second)
		require.NotEqual(t, asksSeeds, a.joining.state)
		link := x.confirm(a, 1)
		opens := s.opens(a, y.addr)
		boot := a.boot + 1
		if isGreater {
			boot = a.boot - 1
		}
		x.say(a, link, wire.List{Count: 1, Entries: []wire.Process{{Addr: y.addr, Boot: boot}}})
		if isGreater {
			require.Zero(t, *opens)
			s.run(99 * time.Millisecond)
			require.Zero(t, *opens)
			s.run(time.Millisecond)
		}
		require.Equal(t, 1, *opens)
	}
}

// [AMP-3] There are 4,096 such contacts, and 2,000 such Opens a second, at most, half of each kept for Lists that
// answer an own Join.
func TestContactsByHearsayAreBounded(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	link := x.confirm(a, 1)
	first, opens := 1000, 0
	s.opened = func(*citizen, netip.AddrPort) { opens++ }
	name := func(addresses int, echo uint64) {
		for range addresses / 20 {
			list := listNaming(20, addrsFrom(first, 20)...)
			list.Echo = echo
			first += 20
			x.say(a, link, list)
		}
	}
	name(6000, 0)
	require.Equal(t, opensPerSec/2, opens)
	require.Equal(t, contactsMax/2, a.contacts.named)
	own := a.joining.wholes.draw(a.rng)
	name(6000, own)
	require.Equal(t, opensPerSec, opens)
	require.Equal(t, contactsMax, a.contacts.waiting())
	require.LessOrEqual(t, len(a.joining.missing), missingMax)

	s.opened = nil
	s.run(20 * time.Second)
	require.Zero(t, a.contacts.named)
	require.Empty(t, a.joining.missing)
}

// addrsFrom are the addresses of some nodes, from the i-th on.
func addrsFrom(i, k int) (list []netip.AddrPort) {
	for ; k > 0; k-- {
		list = append(list, siteOf(i))
		i++
	}
	return list
}

// Seeds, and peers once proven, are no hearsay: [AMP-3]. They are contacted whatever others cause.
func TestSeedsAreContactedWhateverOthersName(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	link := x.confirm(a, 1)
	for _, addrs := range slices.Collect(slices.Chunk(addrsFrom(1000, 6000), 20)) {
		x.say(a, link, listNaming(20, addrs...))
	}
	a.SetSeeds(s.now, []netip.AddrPort{siteOf(50)}, false)
	opens := s.opens(a, siteOf(50))
	s.run(100 * time.Millisecond)
	require.Positive(t, *opens)
}
