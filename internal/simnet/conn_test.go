package simnet_test

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// packetConn is what a node needs of a socket.
type packetConn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	LocalAddr() net.Addr
	Close() error
}

var _, _ packetConn = (*simnet.Conn)(nil), (*net.UDPConn)(nil)

// Without a bubble the network runs in real time.
func TestOutsideOfABubble(t *testing.T) {
	n := simnet.New(1)
	a, b := listen(t, n, alice), listen(t, n, bob)
	send(t, a, bob, "hello")
	buf := make([]byte, 10)
	size, from, err := b.ReadFromUDPAddrPort(buf)
	require.NoError(t, err)
	require.Equal(t, "hello", string(buf[:size]))
	require.Equal(t, alice, from)

	var wg sync.WaitGroup
	wg.Go(func() { _, _, err = b.ReadFromUDPAddrPort(buf) })
	n.Close()
	wg.Wait()
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestLocalAddrIsAUDPAddr(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		require.Equal(t, net.UDPAddrFromAddrPort(alice), listen(t, n, alice).LocalAddr())
	})
}

func TestCloseWakesAllReaders(t *testing.T) {
	for name, prepare := range map[string]func(n *simnet.Network){
		"idle":   func(*simnet.Network) {},
		"paused": func(n *simnet.Network) { n.Pause(bob) },
		"expecting": func(n *simnet.Network) {
			n.SetDefault(simnet.Link{Delay: time.Hour})
			n.Inject(alice, bob, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, 1, func(t *testing.T, n *simnet.Network) {
				b := listen(t, n, bob)
				errs := make([]error, 3)
				for i := range errs {
					go func() { _, _, errs[i] = b.ReadFromUDPAddrPort(nil) }()
				}
				prepare(n)
				synctest.Wait()
				require.Equal(t, make([]error, 3), errs)
				require.NoError(t, b.Close())
				synctest.Wait()
				for _, err := range errs {
					require.ErrorIs(t, err, net.ErrClosed)
				}
			})
		})
	}
}

func TestAClosedConnDoesNothing(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		a, b := listen(t, n, alice), listen(t, n, bob)
		send(t, a, bob, "unread")
		time.Sleep(time.Second)
		require.NoError(t, b.Close())
		_, _, err := b.ReadFromUDPAddrPort(nil)
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = b.WriteToUDPAddrPort(nil, alice)
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, b.Close(), net.ErrClosed)
	})
}

func TestAClosedNetworkHasNoConns(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		a := listen(t, n, alice)
		n.Close()
		_, err := a.WriteToUDPAddrPort(nil, bob)
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = n.Listen(bob)
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

// Two readers wait and one datagram after the other comes: each of them gets one.
func TestTwoReadersShareAConn(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		a, b := listen(t, n, alice), listen(t, n, bob)
		got := make([]byte, 2)
		for i := range got {
			go b.ReadFromUDPAddrPort(got[i : i+1])
		}
		synctest.Wait()
		send(t, a, bob, "x")
		send(t, a, bob, "y")
		time.Sleep(time.Second)
		synctest.Wait()
		require.ElementsMatch(t, []byte("xy"), got)
	})
}

// A reader that waits for something late is woken for what comes first.
func TestALaterDatagramMayComeFirst(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		n.SetLink(alice, bob, simnet.Link{Delay: time.Minute})
		a, c, heard := listen(t, n, alice), listen(t, n, carol), recordAt(t, n, bob)
		send(t, a, bob, "slow")
		synctest.Wait()
		send(t, c, bob, "quick")
		time.Sleep(time.Second)
		require.Equal(t, []string{"quick"}, payloads(heard()))
		time.Sleep(time.Minute)
		require.Equal(t, []string{"quick", "slow"}, payloads(heard()))
	})
}

// "What does not fit into b is lost."
func TestReadsTruncate(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		a, b := listen(t, n, alice), listen(t, n, bob)
		send(t, a, bob, "a long one")
		send(t, a, bob, "next")
		buf := make([]byte, 6)
		for _, want := range []string{"a long", "next"} {
			size, _, err := b.ReadFromUDPAddrPort(buf)
			require.NoError(t, err)
			require.Equal(t, want, string(buf[:size]))
		}
	})
}

// "Sends a copy of b."
func TestTheWriterKeepsItsBuffer(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		a, heard := listen(t, n, alice), recordAt(t, n, bob)
		b := []byte("one")
		for _, s := range []string{"one", "two"} {
			copy(b, s)
			_, err := a.WriteToUDPAddrPort(b, bob)
			require.NoError(t, err)
		}
		time.Sleep(time.Second)
		require.Equal(t, []string{"one", "two"}, payloads(heard()))
	})
}

// "A payload of more than 65,507 bytes is an error."
func TestTheLargestPayload(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		a, heard := listen(t, n, alice), recordAt(t, n, bob)
		largest := strings.Repeat("x", 65507)
		send(t, a, bob, largest)
		_, err := a.WriteToUDPAddrPort([]byte(largest+"x"), bob)
		require.ErrorContains(t, err, "message too long")
		time.Sleep(time.Second)
		require.Equal(t, []string{largest}, payloads(heard()))
	})
}

// "Those that arrive at a full queue are dropped. The default is 4,096."
func TestAFullQueueDropsWhatArrives(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		a, b := listen(t, n, alice), listen(t, n, bob)
		for range 5000 {
			send(t, a, bob, "")
		}
		time.Sleep(time.Second)
		require.EqualValues(t, 4096, n.Stats().Delivered)
		require.EqualValues(t, 5000-4096, n.Stats().Overflowed)
		require.Len(t, record(b)(), 4096)
		send(t, a, bob, "there is room again")
		time.Sleep(time.Second)
		require.EqualValues(t, 4097, n.Stats().Delivered)
	})
}

// "Where nobody listened": such a write is no error, and Stats counts it when it would have arrived.
func TestWritesToNobodyVanish(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		send(t, listen(t, n, alice), bob, "anybody?")
		require.EqualValues(t, 1, n.Stats().InFlight)
		time.Sleep(time.Second)
		require.Empty(t, recordAt(t, n, bob)())
		require.EqualValues(t, 1, n.Stats().Unheard)
	})
}

func TestOneConnPerAddress(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		listen(t, n, alice)
		_, err := n.Listen(alice)
		require.ErrorIs(t, err, syscall.EADDRINUSE)
	})
}

// "What has arrived and was not read is lost; what is in flight arrives at whoever listens then."
func TestARestartAtTheSameAddress(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		a, old := listen(t, n, alice), listen(t, n, bob)
		send(t, a, bob, "unread")
		time.Sleep(time.Second)
		send(t, a, bob, "in flight")
		require.NoError(t, old.Close())
		heard := recordAt(t, n, bob)
		require.ErrorIs(t, old.Close(), net.ErrClosed, "the old conn must not close the new one")
		time.Sleep(time.Second)
		require.Equal(t, []string{"in flight"}, payloads(heard()))
	})
}

func TestUnusableAddresses(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		for _, a := range []netip.AddrPort{
			{}, netip.MustParseAddrPort("0.0.0.0:7000"), netip.MustParseAddrPort("[::]:0"),
		} {
			_, err := n.Listen(a)
			require.ErrorContains(t, err, "not an address of one node", "%v", a)
		}
	})
}

// "With port 0 it picks a free port; conns opened one after the other get the same ports in each run."
func TestPortZeroPicksAFreePort(t *testing.T) {
	ip := alice.Addr()
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		port := func() int { return listen(t, n, netip.AddrPortFrom(ip, 0)).LocalAddr().(*net.UDPAddr).Port }
		listen(t, n, netip.AddrPortFrom(ip, 49153))
		require.Equal(t, []int{49152, 49154, 49155}, []int{port(), port(), port()})
	})
}

func TestPortZeroWhenAllAreTaken(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		any := netip.AddrPortFrom(alice.Addr(), 0)
		for range 1<<16 - 49152 - 1 {
			listen(t, n, any)
		}
		last := listen(t, n, any)
		_, err := n.Listen(any)
		require.ErrorContains(t, err, "no free port")
		require.NoError(t, last.Close())
		require.Equal(t, last.LocalAddr(), listen(t, n, any).LocalAddr())
	})
}

func TestStatsTellWhoSentWhat(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *simnet.Network) {
		a, b := listen(t, n, alice), listen(t, n, bob)
		send(t, a, bob, "four")
		send(t, a, bob, "longest")
		send(t, b, carol, "xx")
		s := n.Stats()
		require.Equal(t, simnet.Traffic{Datagrams: 3, Bytes: 13, Largest: 7}, s.Sent)
		require.Equal(t, map[netip.AddrPort]simnet.Traffic{
			alice: {Datagrams: 2, Bytes: 11, Largest: 7},
			bob:   {Datagrams: 1, Bytes: 2, Largest: 2},
		}, s.By)
	})
}
