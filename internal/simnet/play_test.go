package simnet_test

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// The nodes of the small stories.
var alice, bob, carol = addr(1), addr(2), addr(3)

// addr is the address of the i-th node.
func addr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 7000)
}

// simulate plays a story in a bubble and on a network of its own, from a seed that failures print.
func simulate(t *testing.T, seed uint64, story func(t *testing.T, n *simnet.Network)) {
	t.Helper()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(seed)
		defer n.Close()
		story(t, n)
		checkBalance(t, n.Stats())
	})
}

// checkBalance quotes Stats: nothing appears or disappears uncounted.
func checkBalance(t *testing.T, s simnet.Stats) {
	t.Helper()
	in := s.Sent.Datagrams + s.Duplicated + s.Injected
	require.Equal(t, in, s.Delivered+s.Lost+s.Cut+s.TooLarge+s.Crowded+s.Overflowed+s.Unheard+s.InFlight, "%+v", s)
}

func listen(t *testing.T, n *simnet.Network, at netip.AddrPort) *simnet.Conn {
	t.Helper()
	c, err := n.Listen(at)
	require.NoError(t, err)
	return c
}

func send(t *testing.T, c *simnet.Conn, to netip.AddrPort, payload string) {
	t.Helper()
	size, err := c.WriteToUDPAddrPort([]byte(payload), to)
	require.NoError(t, err)
	require.Equal(t, len(payload), size)
}

// arrival is a datagram as its reader saw it.
type arrival struct {
	at      time.Duration // since record was called
	from    netip.AddrPort
	payload string
}

// record reads from c until it is closed. The function returned tells what has arrived when the bubble comes to rest.
func record(c *simnet.Conn) func() []arrival {
	var mu sync.Mutex
	var all []arrival
	start := time.Now()
	go func() {
		b := make([]byte, 1<<16)
		for {
			size, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			mu.Lock()
			all = append(all, arrival{time.Since(start), from, string(b[:size])})
			mu.Unlock()
		}
	}()
	return func() []arrival {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// payloads are what arrived, in order; an empty slice when nothing did.
func payloads(all []arrival) []string {
	texts := []string{}
	for _, a := range all {
		texts = append(texts, a.payload)
	}
	return texts
}

// recordAt listens at an address and records what arrives there.
func recordAt(t *testing.T, n *simnet.Network, at netip.AddrPort) func() []arrival {
	t.Helper()
	return record(listen(t, n, at))
}
