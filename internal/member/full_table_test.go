package member

import (
	"net/netip"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// Two clusters that have grown apart meet, and there is not room for all: some know these and some know those. Nobody
// comes and goes for that, and nobody asks again and again.
func TestOverTheLimitNothingFlaps(t *testing.T) {
	for _, most := range []int{16, 20, 28} {
		s := newSociety(t)
		s.most = most
		for i := range 30 {
			s.join(i, i/15*15)
		}
		s.run(2 * time.Second)
		s.join(30, 0, 15)
		s.run(time.Minute)
		for _, c := range s.members {
			c.events = nil
		}
		other := 0
		s.opened = func(*citizen, netip.AddrPort) { other++ }
		s.spy = func(_ *citizen, _ netip.AddrPort, msg wire.Message, _ int) {
			if msg.Kind() != wire.KindBeat {
				other++
			}
		}
		s.run(2 * time.Minute)
		for _, c := range s.members {
			for _, e := range c.events {
				require.Equal(t, NewsUp, e.News, "a free place may be taken")
			}
			require.LessOrEqual(t, len(c.peers.list), most)
		}
		each := float64(other) / 120 / float64(len(s.members))
		t.Logf("%d of 31 find room: %.2f datagrams a second and node beside the beats", most, each)
		require.Less(t, each, 1.0)
	}
}

// A link that is refused by Leave, before anything else came on it, makes no member: there was no room when the Confirm
// came.
func TestWhoRefusesALinkWasNoMember(t *testing.T) {
	s := newSociety(t)
	a, x := s.join(0), s.act(7, 0)
	a.contact(s.now, x.addr)
	s.collect(a)
	s.run(time.Millisecond)
	x.offer(a, wire.Offer{})
	x.say(a, a.provings[0].token, wire.Leave{})
	require.Empty(t, a.events)
	require.Empty(t, a.peers.sorted())
	require.Empty(t, a.provings)
}
