package simnet_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// rumour spreads through ten nodes over bad links: each passes on what it hears, to somebody who follows from the
// content, until that has made 15 hops. It returns what each node heard and when. The nodes start at one instant, in
// the given order.
func rumour(t *testing.T, seed uint64, order []int) map[int][]arrival {
	heard := make(map[int][]arrival)
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(seed)
		defer n.Close()
		n.SetDefault(simnet.Link{Loss: 0.1, Duplicate: 0.2, Reorder: 0.2, Delay: time.Millisecond,
			Jitter: time.Millisecond})
		told := make(map[int]func() []arrival)
		for _, i := range order {
			told[i] = retell(t, n, i, len(order))
		}
		time.Sleep(time.Second)
		for i, f := range told {
			heard[i] = f()
		}
	})
	return heard
}

// retell starts a node that tells its own rumour to all and passes on those of others.
func retell(t *testing.T, n *simnet.Network, self, nodes int) func() []arrival {
	c := listen(t, n, addr(self))
	var heard []arrival
	start := time.Now()
	go func() {
		for peer := range nodes {
			c.WriteToUDPAddrPort([]byte{byte(self), byte(peer), 0, 0}, addr(peer))
		}
		b := make([]byte, 4)
		for {
			_, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			heard = append(heard, arrival{time.Since(start), from, string(b)})
			if b[2]++; b[2] < 15 {
				x := binary.BigEndian.Uint32(b) * 2654435761
				c.WriteToUDPAddrPort(b, addr(int(x>>16)%nodes))
			}
		}
	}()
	return func() []arrival {
		synctest.Wait()
		return heard
	}
}

// "Every node meets the same datagrams at the same nanoseconds in each run with the same seed, however the goroutines
// of different nodes interleave."
func TestRunsWithOneSeedAreTheSame(t *testing.T) {
	order := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	first := rumour(t, 7, order)
	require.Greater(t, len(first[0]), 40, "nobody retold anything")
	for range 3 {
		slices.Reverse(order)
		require.Equal(t, first, rumour(t, 7, order), "started in the order %v", order)
	}
	other := rumour(t, 8, order)
	for _, i := range order {
		require.NotEqual(t, first[i], other[i], "node %d, seeds 7 and 8", i)
	}
}

// "No generator is shared, so that traffic elsewhere changes nothing."
func TestTrafficElsewhereDoesNotChangeTheLuckOfALink(t *testing.T) {
	run := func(busy bool) (arrived []string) {
		simulate(t, 3, func(t *testing.T, n *simnet.Network) {
			n.SetDefault(simnet.Link{Loss: 0.5})
			a, heard := listen(t, n, alice), recordAt(t, n, bob)
			for i := range 100 {
				send(t, a, bob, string(rune('a'+i)))
				if busy {
					send(t, a, carol, "something else")
					n.Inject(alice, bob, nil)
				}
			}
			time.Sleep(time.Second)
			arrived = payloads(heard())
		})
		return slices.DeleteFunc(arrived, func(s string) bool { return s == "" })
	}
	quiet := run(false)
	require.NotEmpty(t, quiet)
	require.Equal(t, quiet, run(true))
}

// "A node is reached by at most one datagram per nanosecond. Those that fall together are put in the order of their
// senders' addresses." With 3,000 senders and 999 possible nudges many must fall together.
func TestDatagramsThatFallTogetherArriveOneByOne(t *testing.T) {
	const senders = 3000
	run := func(first, step int) (all []arrival) {
		simulate(t, 1, func(t *testing.T, n *simnet.Network) {
			for i := range senders {
				c := listen(t, n, addr(first+i*step))
				go c.WriteToUDPAddrPort(nil, addr(senders))
			}
			heard := recordAt(t, n, addr(senders))
			time.Sleep(time.Second)
			all = heard()
		})
		return all
	}
	all := run(0, 1)
	require.Len(t, all, senders)
	for i := range all[1:] {
		require.Less(t, all[i].at, all[i+1].at, "arrival %d", i+1)
	}
	require.Equal(t, all, run(senders-1, -1), "started in the opposite order")
}

// "It does not matter which of two nodes started at one instant was first."
func TestWritingToANodeThatStartsAtTheSameInstant(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		send(t, listen(t, n, alice), bob, "early")
		heard := recordAt(t, n, bob)
		time.Sleep(time.Second)
		require.Equal(t, []string{"early"}, payloads(heard()))
	})
}

// "Every datagram takes a drawn part of a microsecond longer than its link says."
func TestNothingArrivesOnAWholeMicrosecond(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		n.SetDefault(simnet.Link{Delay: 30 * time.Millisecond})
		heard := recordAt(t, n, bob)
		for i := range 1000 {
			send(t, listen(t, n, addr(10+i)), bob, "")
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		require.Len(t, heard(), 1000)
		for i, a := range heard() {
			sent := time.Duration(i) * time.Millisecond
			require.NotZero(t, a.at%time.Microsecond, "datagram %d", i)
			require.Equal(t, 30*time.Millisecond, (a.at - sent).Truncate(time.Microsecond), "datagram %d", i)
		}
	})
}

// An address hashes the same whether it is written as IPv4 or as IPv6, and both reach the same node.
func TestMappedAddressesMeanTheIPv4Node(t *testing.T) {
	mapped := netip.AddrPortFrom(netip.AddrFrom16(bob.Addr().As16()), bob.Port())
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		heard := recordAt(t, n, mapped)
		a := listen(t, n, alice)
		send(t, a, bob, "one")
		send(t, a, mapped, "two")
		n.Inject(mapped, mapped, []byte("three"))
		time.Sleep(time.Second)
		require.ElementsMatch(t, []string{"one", "two", "three"}, payloads(heard()))
		for _, h := range heard() {
			require.True(t, h.from.Addr().Is4(), "%v", h.from)
		}
	})
}
