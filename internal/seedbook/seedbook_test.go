package seedbook

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	errNoHost = errors.New("no such host")
	here      = netip.MustParseAddr("192.0.2.1") // where the sockets of these tests are
)

// given are seeds as they are written down.
func given(hosts ...string) (list []Seed) {
	for _, h := range hosts {
		list = append(list, Seed{Text: h + ":7000", Host: h, Port: 7000})
	}
	return list
}

// at is the i-th of many addresses.
func at(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}), 7000)
}

func nobodyMet([]netip.AddrPort) bool { return false }
func allMet([]netip.AddrPort) bool    { return true }

// answer ends look-ups, of which those of IPv4 find addresses.
func answer(b *Book, now time.Time, orders []Order, ips ...netip.Addr) {
	for _, o := range orders {
		if o.Network == "ip4" && len(ips) > 0 {
			b.Ended(now, o, ips, nil)
		} else {
			b.Ended(now, o, nil, errNoHost)
		}
	}
}

// waits are the times between the first look-ups of a name in one family.
func waits(b *Book, now time.Time, isMet func([]netip.AddrPort) bool, ips ...netip.Addr) (list []time.Duration) {
	for last := now; len(list) < 6; {
		begin, _ := b.Due(now, isMet)
		if len(begin) > 0 {
			list, last = append(list, now.Sub(last)), now
			answer(b, now, begin, ips...)
		}
		now = b.Next()
	}
	return list[1:]
}

// A name that leads nowhere is looked up soon again, then less often; one that leads to nobody who is met stays at
// that; one that leads to somebody is looked up now and then, for it may move.
func TestANameIsLookedUpAgain(t *testing.T) {
	start := time.Unix(0, 0)
	for name, test := range map[string]struct {
		isMet func([]netip.AddrPort) bool
		ips   []netip.Addr
		want  []float64
	}{
		"it leads nowhere": {nobodyMet, nil, []float64{0.5, 1, 2, 4, 5}},
		"nobody is met":    {nobodyMet, []netip.Addr{at(1).Addr()}, []float64{5, 5, 5, 5, 5}},
		"somebody is met":  {allMet, []netip.Addr{at(1).Addr()}, []float64{60, 60, 60, 60, 60}},
	} {
		b := New(here)
		b.Add(start, given("a"))
		var got []float64
		for _, w := range waits(&b, start, test.isMet, test.ips...) {
			got = append(got, w.Seconds())
		}
		require.Equal(t, test.want, got, name)
	}
}

// Somebody who is not met any more is noticed at once, whenever the name was looked up last; and a name that is given
// once more is looked up at once.
func TestANameIsLookedUpSoonWhenThatHelps(t *testing.T) {
	now := time.Unix(0, 0)
	b := New(here)
	b.Add(now, given("a"))
	begin, _ := b.Due(now, allMet)
	answer(&b, now, begin, at(1).Addr())
	for range 3 {
		now = b.Next()
		begin, _ = b.Due(now, allMet)
		require.Empty(t, begin)
		require.Equal(t, lookUpLost, b.Next().Sub(now))
	}
	begin, _ = b.Due(b.Next(), nobodyMet)
	require.Len(t, begin, 2)
	now = b.Next()
	answer(&b, now, begin, at(1).Addr())
	begin, _ = b.Due(now, allMet)
	require.Empty(t, begin)
	b.Add(now, given("a"))
	begin, _ = b.Due(b.Next(), allMet)
	require.Len(t, begin, 2)
}

// However many names there are, no more than 128 look-ups are under way; the next begin as these end.
func TestFewLookUpsAreUnderWay(t *testing.T) {
	now := time.Unix(0, 0)
	b := New(here)
	for i := range 400 {
		b.Add(now, given(fmt.Sprint("h", i)))
	}
	under, _ := b.Due(now, nobodyMet)
	require.Len(t, under, lookUpsMax)
	for ended := 0; ended < 800; ended++ {
		require.LessOrEqual(t, len(under), lookUpsMax)
		b.Ended(now, under[0], []netip.Addr{at(ended).Addr()}, nil)
		more, _ := b.Due(now, nobodyMet)
		under = append(under[1:], more...)
	}
	require.Empty(t, under)
	require.Empty(t, b.UnknownNames())
}

// A first look-up that takes long is not hoped for any more, though it may find something yet.
func TestASlowLookUpIsNotHopedFor(t *testing.T) {
	now := time.Unix(0, 0)
	b := New(here)
	b.Add(now, given("a", "10.9.0.1"))
	begin, slow := b.Due(now, nobodyMet)
	require.Len(t, begin, 2)
	require.Empty(t, slow)
	require.True(t, b.IsHoping(1))
	require.Contains(t, b.UnknownNames()[0].Trouble(), "is being looked up")

	more, slow := b.Due(b.Next(), nobodyMet)
	require.Empty(t, more, "they are under way")
	require.Len(t, slow, 2, "of either family")
	require.False(t, b.IsHoping(1))
	require.True(t, b.IsHoping(0), "there are seeds, and we know of none")
	require.Contains(t, b.UnknownNames()[0].Trouble(), "the name servers do not answer")
	require.True(t, slow[0].IsTold(now.Add(lookUpSlow)))

	b.Ended(now.Add(20*time.Second), begin[0], []netip.Addr{at(7).Addr()}, nil)
	require.Equal(t, []netip.AddrPort{at(1), at(7)}, b.Addrs())
	require.Empty(t, b.UnknownNames())
}

// A look-up that fails takes no address away; one that finds others does.
func TestWhatWasFoundStays(t *testing.T) {
	now := time.Unix(0, 0)
	b := New(here)
	b.Add(now, given("a"))
	begin, _ := b.Due(now, nobodyMet)
	for _, test := range []struct {
		ips  []netip.Addr
		err  error
		want netip.AddrPort
	}{
		{[]netip.Addr{at(1).Addr()}, nil, at(1)}, {nil, errNoHost, at(1)},
		{[]netip.Addr{netip.IPv6Loopback()}, nil, at(1)}, {nil, nil, at(1)}, {[]netip.Addr{at(2).Addr()}, nil, at(2)},
	} {
		b.Ended(now, begin[0], test.ips, test.err)
		require.Equal(t, []netip.AddrPort{test.want}, b.Addrs())
	}
}

// The first address of each seed comes before the second of any, each once.
func TestAddressesTakeTurns(t *testing.T) {
	now := time.Unix(0, 0)
	b := New(here)
	b.Add(now, given("10.9.0.9", "a", "b"))
	begin, _ := b.Due(now, nobodyMet)
	for _, o := range begin {
		ips := map[string][]netip.Addr{
			"a": {at(1).Addr(), at(2).Addr(), at(3).Addr()},
			"b": {at(4).Addr(), at(9).Addr(), at(1).Addr()},
		}
		if o.Network == "ip4" {
			b.Ended(now, o, ips[o.Name.Host], nil)
		}
	}
	require.Equal(t, []netip.AddrPort{at(9), at(1), at(4), at(2), at(3)}, b.Addrs())
}

// What a name leads to counts only if it is the address of one node, anywhere, in a family of the socket's.
func TestOnlySomeAddressesAreOfUse(t *testing.T) {
	b := New(here)
	useless := []netip.Addr{
		netip.IPv4Unspecified(), netip.IPv6Unspecified(), netip.MustParseAddr("224.0.0.1"),
		netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("ff02::1"), netip.MustParseAddr("2001:db8::1"),
	}
	mapped := netip.AddrFrom16(at(1).Addr().As16())
	found, unfit := b.usable(append(slices.Clone(useless), mapped), 7000)
	require.Equal(t, []netip.AddrPort{at(1)}, found)
	require.Equal(t, len(useless), unfit)
	dual := New(netip.IPv6Unspecified())
	found, _ = dual.usable(useless, 7000)
	require.Equal(t, []netip.AddrPort{netip.MustParseAddrPort("[2001:db8::1]:7000")}, found)

	var many []netip.Addr
	for i := range 3 * seedAddrsMax {
		many = append(many, at(i).Addr())
	}
	found, _ = b.usable(many, 7000)
	require.Len(t, found, seedAddrsMax)
}

// All addresses that the family of the socket can reach are used, and no others.
func TestASocketSendsToItsFamily(t *testing.T) {
	v4, v6 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
	for _, test := range []struct {
		bound string
		want  []netip.Addr
	}{
		{"0.0.0.0", []netip.Addr{v4}}, {"192.0.2.1", []netip.Addr{v4}},
		{"::", []netip.Addr{v4, v6}}, {"::1", []netip.Addr{v6}}, {"2001:db8::7", []netip.Addr{v6}},
	} {
		for _, ip := range []netip.Addr{v4, v6} {
			sends := isOfFamily(netip.MustParseAddr(test.bound), ip)
			require.Equal(t, slices.Contains(test.want, ip), sends, "%s to %s", test.bound, ip)
		}
	}
}

// However often a seed is given, and in which form, it is one; and one that the socket cannot send to is reported once.
func TestASeedIsTakenOnce(t *testing.T) {
	b := New(here)
	require.False(t, b.IsHoping(0), "there are none")
	for i := range 3 {
		unfit := b.Add(time.Unix(int64(i), 0), given("10.9.0.1", "::ffff:10.9.0.1", "2001:db8::1", "a", "a"))
		require.Equal(t, i == 0, len(unfit) == 1)
	}
	require.Equal(t, []netip.AddrPort{at(1)}, b.Addrs())
	require.Len(t, b.Unfit(), 1)
	require.Len(t, b.UnknownNames(), 1)
}

// What leads nowhere is told of once, and then ever more rarely.
func TestNamesThatLeadNowhereAreToldOfRarely(t *testing.T) {
	s := &Name{}
	now, told := time.Unix(0, 0), 0
	for i := range s.lookUps {
		require.False(t, s.IsTold(now), "not all is known yet")
		s.lookUps[i].end(nil, 0, errNoHost)
	}
	for range 24 * 60 * 12 {
		if s.IsTold(now) {
			told++
		}
		now = now.Add(5 * time.Second)
	}
	require.Equal(t, 29, told, "in a day: at 0, 1, 3, 7, 15, 31 and 63 minutes, then each hour, which is 22 times")
}

// Silence is told of when it has lasted, and begins anew when somebody has answered.
func TestSilenceIsToldOfWhenItLasts(t *testing.T) {
	start := time.Unix(0, 0)
	var s Silence
	for range 2 {
		require.True(t, s.Next().IsZero())
		var at []float64
		for now := start; now.Sub(start) < 8*time.Minute; now = now.Add(time.Second) {
			if s.IsTold(now, true) {
				at = append(at, now.Sub(start).Seconds())
			}
		}
		require.Equal(t, []float64{3, 63, 183, 423}, at)
		require.False(t, s.IsTold(start, false))
	}
}

// What came from a seed tells more than what the system says of sending to it.
func TestWhatCameTellsMoreThanTheSystem(t *testing.T) {
	var notes Notes
	require.Equal(t, cameTexts[CameNothing], notes.Text(at(1)))
	notes.NoteFailures(map[netip.AddrPort]string{at(1): "connection refused", at(2): ""})
	require.Contains(t, notes.Text(at(1)), "the system says of sending to it: connection refused")
	require.Equal(t, cameTexts[CameNothing], notes.Text(at(2)))
	notes.Note(at(1), CameUnopened)
	require.Equal(t, cameTexts[CameUnopened], notes.Text(at(1)), "what came tells more")
	notes.NoteFailures(nil)
	require.Equal(t, cameTexts[CameUnopened], notes.Text(at(1)))
}

// A seed is unmet if somebody is met at none of its addresses. Of names that lead nowhere Unmet says nothing: they have
// a trouble of their own.
func TestSeedsThatAreUnmet(t *testing.T) {
	now := time.Unix(0, 0)
	b := New(here)
	b.Add(now, append(given("10.9.0.1", "10.9.0.2"), given("two", "none")...))
	begin, _ := b.Due(now, nobodyMet)
	for _, o := range begin {
		if o.Name.Host == "two" && o.Network == "ip4" {
			b.Ended(now, o, []netip.Addr{at(2).Addr(), at(3).Addr()}, nil)
		} else {
			b.Ended(now, o, nil, errNoHost)
		}
	}
	fixed := []Place{{"10.9.0.1:7000", at(1)}, {"10.9.0.2:7000", at(2)}}
	require.Equal(t, append(fixed, Place{"two:7000", at(2)}), b.Unmet(nobodyMet))
	at3 := func(addrs []netip.AddrPort) bool { return slices.Contains(addrs, at(3)) }
	require.Equal(t, fixed, b.Unmet(at3))
	require.Empty(t, b.Unmet(allMet))
}

// It is due once, when the node has joined for a minute; what was before does not count.
func TestAbsenceIsToldOnce(t *testing.T) {
	var a Absence
	now := time.Unix(0, 0)
	require.False(t, a.IsDue(now, false))
	require.Zero(t, a.Next())
	require.False(t, a.IsDue(now, true))
	require.Equal(t, now.Add(absentFirst), a.Next())
	require.False(t, a.IsDue(now.Add(time.Hour), false))
	require.Zero(t, a.Next(), "nothing is due while it has not joined")
	require.False(t, a.IsDue(now, true))
	require.False(t, a.IsDue(now.Add(absentFirst-1), true))
	require.True(t, a.IsDue(now.Add(absentFirst), true))
	require.False(t, a.IsDue(now.Add(time.Hour), true))
	require.Zero(t, a.Next())
}
