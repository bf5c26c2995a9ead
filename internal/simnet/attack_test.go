package simnet_test

import (
	"net/netip"
	"testing"
	"time"

	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// "For every datagram that a conn sends, before its fate is decided."
func TestTheTapSeesWhatIsSent(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		var seen []arrival
		start := time.Now()
		n.Tap(func(now time.Time, from, to netip.AddrPort, payload []byte) {
			require.Equal(t, bob, to)
			seen = append(seen, arrival{now.Sub(start), from, string(payload)})
		})
		a := listen(t, n, alice)
		send(t, a, bob, "unheard")
		time.Sleep(time.Second)
		n.SetDefault(simnet.Link{Loss: 1})
		send(t, a, bob, "lost")
		n.Inject(alice, bob, []byte("forged"))
		n.Tap(nil)
		send(t, a, bob, "untapped")
		require.Equal(t, []arrival{{0, alice, "unheard"}, {time.Second, alice, "lost"}}, seen)
	})
}

// An attacker records what alice says and says it again, from her address.
func TestWhatATapRecordsCanBeInjected(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		n.Tap(func(_ time.Time, from, to netip.AddrPort, payload []byte) { n.Inject(from, to, payload) })
		a, heard := listen(t, n, alice), recordAt(t, n, bob)
		send(t, a, bob, "hello")
		time.Sleep(time.Second)
		require.Equal(t, []string{"hello", "hello"}, payloads(heard()))
		require.Equal(t, alice, heard()[1].from)
		require.EqualValues(t, 1, n.Stats().Injected)
		require.Equal(t, simnet.Traffic{Datagrams: 1, Bytes: 5, Largest: 5}, n.Stats().Sent)
	})
}

// "It arrives after the default link's delay and meets no loss, cut or other fault."
func TestInjectedDatagramsMeetNoFault(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		heard := recordAt(t, n, bob)
		n.SetDefault(simnet.Link{Loss: 1, MTU: 1, Delay: time.Second, Jitter: time.Hour})
		n.Cut([]netip.AddrPort{alice}, []netip.AddrPort{bob})
		n.Inject(alice, bob, []byte("forged"))
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{"forged"}, payloads(heard()))
		require.Equal(t, time.Second, heard()[0].at.Truncate(time.Microsecond))
	})
}
