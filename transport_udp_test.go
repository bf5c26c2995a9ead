package broach

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// quiet is for tests in which a line of advice about socket buffers proves nothing.
var quiet = slog.New(slog.DiscardHandler)

// plainConn hides that a socket is a *net.UDPConn, and so from the batched calls.
type plainConn struct{ PacketConn }

// transportPaths are the two ways through the code over real sockets. Where the system has no
// batched calls they are one and the same.
var transportPaths = []struct {
	name string
	wrap func(*net.UDPConn) transport
}{
	{"batch", func(c *net.UDPConn) transport { return newPacketTransport(c) }},
	{"plain", func(c *net.UDPConn) transport { return newPacketTransport(plainConn{c}) }},
}

// opener opens a transport on addr which is closed at the end of the test.
type opener func(addr string) transport

func newOpener(tb testing.TB, wrap func(*net.UDPConn) transport) opener {
	return func(addr string) transport {
		conn, err := listenUDP(addr)
		require.NoError(tb, err)
		askBuffers(conn, quiet)
		tr := wrap(conn)
		guard := time.AfterFunc(30*time.Second, func() { _ = tr.close() })
		tb.Cleanup(func() { guard.Stop(); _ = tr.close() })
		return tr
	}
}

// onBothPaths runs a story over each path.
func onBothPaths(t *testing.T, story func(t *testing.T, open opener)) {
	for _, p := range transportPaths {
		t.Run(p.name, func(t *testing.T) { story(t, newOpener(t, p.wrap)) })
	}
}

// collect receives n datagrams and returns copies of them.
func collect(tb testing.TB, tr transport, n int) []datagram {
	tb.Helper()
	var got []datagram
	in := make([]datagram, maxBatch)
	for len(got) < n {
		k, err := tr.receive(in)
		require.NoError(tb, err, "after %d of %d datagrams", len(got), n)
		for _, d := range in[:k] {
			got = append(got, datagram{d.addr, bytes.Clone(d.b)})
		}
	}
	return got
}

// payloads are what datagrams carry, as text, in no particular order.
func payloads(ds []datagram) []string {
	var s []string
	for _, d := range ds {
		s = append(s, string(d.b))
	}
	return s
}

// numbered are n different datagrams of the given size for one peer.
func numbered(to netip.AddrPort, n, size int) []datagram {
	out := make([]datagram, n)
	for i := range out {
		out[i] = datagram{to, fmt.Appendf(nil, "%0*d", size, i)}
	}
	return out
}

func mustSend(tb testing.TB, tr transport, out []datagram) {
	tb.Helper()
	n, err := tr.send(out)
	require.NoError(tb, err)
	require.Equal(tb, len(out), n, "datagrams the system took")
}

func TestTransportEchoesBatchesAcrossPaths(t *testing.T) {
	for _, client := range transportPaths {
		for _, server := range transportPaths {
			t.Run(client.name+" to "+server.name, func(t *testing.T) {
				c, s := newOpener(t, client.wrap)(""), newOpener(t, server.wrap)("")
				question := numbered(s.localAddr(), 40, 1400)
				question = append(question, numbered(s.localAddr(), 9, 1)...)
				question = append(question, datagram{s.localAddr(), nil})

				mustSend(t, c, question)
				atServer := collect(t, s, len(question))
				for _, d := range atServer {
					require.Equal(t, c.localAddr(), d.addr)
				}
				mustSend(t, s, atServer)

				answer := collect(t, c, len(question))
				require.ElementsMatch(t, payloads(question), payloads(answer))
			})
		}
	}
}

func TestTransportSendsMoreThanOneBatch(t *testing.T) {
	onBothPaths(t, func(t *testing.T, open opener) {
		a, b := open(""), open("")
		out := numbered(b.localAddr(), 200, 16)
		mustSend(t, a, out)
		require.ElementsMatch(t, payloads(out), payloads(collect(t, b, 200)))
	})
}

func TestTransportNeverFillsMoreThanItWasGiven(t *testing.T) {
	onBothPaths(t, func(t *testing.T, open opener) {
		a, b := open(""), open("")
		out := numbered(b.localAddr(), 10, 8)
		mustSend(t, a, out)
		var got []datagram
		in := make([]datagram, 3)
		for len(got) < len(out) {
			n, err := b.receive(in)
			require.NoError(t, err)
			for _, d := range in[:n] {
				got = append(got, datagram{d.addr, bytes.Clone(d.b)})
			}
		}
		require.ElementsMatch(t, payloads(out), payloads(got))
	})
}

func TestTransportReportsSourceAddresses(t *testing.T) {
	for _, c := range []struct{ name, sender, receiver, target string }{
		{"IPv4", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"},
		{"IPv4 bound to all", "127.0.0.1:0", "0.0.0.0:0", "127.0.0.1"},
		{"IPv6", "[::1]:0", "[::1]:0", "::1"},
		{"IPv4 at a socket for both", "127.0.0.1:0", "[::]:0", "127.0.0.1"},
		{"IPv6 at a socket for both", "[::1]:0", "[::]:0", "::1"},
		{"IPv4 target given mapped", "127.0.0.1:0", "127.0.0.1:0", "::ffff:127.0.0.1"},
		{"bound to a mapped address", "[::ffff:127.0.0.1]:0", "127.0.0.1:0", "127.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			needAddr(t, c.sender, c.receiver)
			onBothPaths(t, func(t *testing.T, open opener) {
				a, b := open(c.sender), open(c.receiver)
				to := netip.AddrPortFrom(netip.MustParseAddr(c.target), b.localAddr().Port())
				mustSend(t, a, []datagram{{to, []byte("there")}})
				got := collect(t, b, 1)[0]
				require.Equal(t, a.localAddr(), got.addr)

				mustSend(t, b, []datagram{{got.addr, []byte("and back")}})
				require.Equal(t, unmapped(to), collect(t, a, 1)[0].addr)
			})
		})
	}
}

// needAddr skips a test on a machine which lacks one of the addresses.
func needAddr(t *testing.T, addrs ...string) {
	for _, a := range addrs {
		conn, err := listenUDP(a)
		if err != nil {
			t.Skipf("this machine cannot bind %s: %v", a, err)
		}
		require.NoError(t, conn.Close())
	}
}

func TestTransportKeepsTheZoneOfLinkLocalAddresses(t *testing.T) {
	addr := linkLocal(t)
	onBothPaths(t, func(t *testing.T, open opener) {
		a, b := open(netip.AddrPortFrom(addr, 0).String()), open("[::]:0")
		to := netip.AddrPortFrom(addr, b.localAddr().Port())
		for range 2 { // the second time from memory
			mustSend(t, a, []datagram{{to, []byte("there")}})
			from := collect(t, b, 1)[0].addr
			require.Equal(t, a.localAddr(), from)
			require.Equal(t, addr.Zone(), from.Addr().Zone())
		}
	})
}

// linkLocal finds an IPv6 link-local address of this machine, zone included.
func linkLocal(t *testing.T) netip.Addr {
	ifs, err := net.Interfaces()
	require.NoError(t, err)
	for _, ifi := range ifs {
		addrs, err := ifi.Addrs()
		require.NoError(t, err)
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() && ifi.Flags&net.FlagRunning != 0 {
				return p.Addr().WithZone(ifi.Name)
			}
		}
	}
	t.Skip("this machine has no IPv6 link-local address")
	return netip.Addr{}
}

func TestTransportDropsAndCountsTruncatedDatagrams(t *testing.T) {
	onBothPaths(t, func(t *testing.T, open opener) {
		a, b := open(""), open("")
		out := []datagram{
			{b.localAddr(), bytes.Repeat([]byte{1}, maxDatagram+1)},
			{b.localAddr(), bytes.Repeat([]byte{2}, maxDatagram)},
			{b.localAddr(), bytes.Repeat([]byte{3}, 9000)},
			{b.localAddr(), []byte("whole")},
		}
		mustSend(t, a, out)
		require.ElementsMatch(t, payloads([]datagram{out[1], out[3]}), payloads(collect(t, b, 2)))

		// Datagrams may overtake each other between two processors: one more, and its answer
		// read, so that the second long one is behind us whatever the order.
		mustSend(t, a, []datagram{{b.localAddr(), []byte("end")}})
		require.Equal(t, []string{"end"}, payloads(collect(t, b, 1)))
		require.EqualValues(t, 2, b.stats().truncated.Load())
		require.EqualValues(t, 3, b.stats().datagramsIn.Load())
	})
}

func TestTransportCountsWhatItMoves(t *testing.T) {
	onBothPaths(t, func(t *testing.T, open opener) {
		a, b := open(""), open("")
		mustSend(t, a, numbered(b.localAddr(), 64, 100))
		collect(t, b, 64)
		require.EqualValues(t, 64, a.stats().datagramsOut.Load())
		require.EqualValues(t, 6400, a.stats().bytesOut.Load())
		require.EqualValues(t, 64, b.stats().datagramsIn.Load())
		require.EqualValues(t, 6400, b.stats().bytesIn.Load())
		require.Zero(t, a.stats().errorsOut.Load())
		require.Zero(t, b.stats().errorsIn.Load())
		require.NotZero(t, a.stats().callsOut.Load())
		require.NotZero(t, b.stats().callsIn.Load())
	})
}

// "A datagram the system refuses is lost, as UDP may lose any, and counted."
func TestTransportGoesOnAfterRefusedDatagrams(t *testing.T) {
	onBothPaths(t, func(t *testing.T, open opener) {
		a, b := open("127.0.0.1:0"), open("127.0.0.1:0")
		to := b.localAddr()
		out := []datagram{
			{to, []byte("first")},
			{to, make([]byte, 70_000)},                             // longer than UDP can be
			{netip.MustParseAddrPort("[::1]:9"), []byte("family")}, // over an IPv4 socket
			{netip.AddrPort{}, []byte("no address")},
			{netip.AddrPortFrom(to.Addr(), 0), []byte("no port")},
			{to, []byte("last")},
			{to, make([]byte, 70_000)},
		}
		n, err := a.send(out)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		require.ElementsMatch(t, []string{"first", "last"}, payloads(collect(t, b, 2)))
		require.EqualValues(t, 2, a.stats().datagramsOut.Load())
		require.EqualValues(t, len("first")+len("last"), a.stats().bytesOut.Load())
		require.EqualValues(t, 5, a.stats().errorsOut.Load())
	})
}

func TestTransportGoesOnAfterSendingToAClosedPort(t *testing.T) {
	onBothPaths(t, func(t *testing.T, open opener) {
		a, b, gone := open(""), open(""), open("")
		require.NoError(t, gone.close())
		for range 20 {
			_, err := a.send([]datagram{{gone.localAddr(), []byte("anybody?")}, {b.localAddr(), []byte("still here")}})
			require.NoError(t, err)
		}
		mustSend(t, b, []datagram{{a.localAddr(), []byte("me too")}})
		require.Equal(t, []string{"me too"}, payloads(collect(t, a, 1)))
	})
}

func TestTransportCloseWakesTheReader(t *testing.T) {
	onBothPaths(t, func(t *testing.T, open opener) {
		tr := open("")
		readc := make(chan error)
		go func() {
			readc <- nil // about to read
			_, err := tr.receive(make([]datagram, 1))
			readc <- err
		}()
		<-readc
		require.NoError(t, tr.close())
		require.ErrorIs(t, <-readc, net.ErrClosed)

		_, err := tr.receive(make([]datagram, 1))
		require.ErrorIs(t, err, net.ErrClosed, "and again")
	})
}

func TestTransportCloseEndsEverySender(t *testing.T) {
	onBothPaths(t, func(t *testing.T, open opener) {
		tr, deaf := open(""), open("")
		var started, ended sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			started.Add(1)
			ended.Go(func() {
				out := numbered(deaf.localAddr(), 100, 32)
				_, errs[i] = tr.send(out)
				started.Done()
				for errs[i] == nil {
					_, errs[i] = tr.send(out)
				}
			})
		}
		started.Wait()
		require.NoError(t, tr.close())
		ended.Wait()
		for _, err := range errs {
			require.ErrorIs(t, err, net.ErrClosed)
		}
	})
}

func TestTransportTakesConcurrentSenders(t *testing.T) {
	onBothPaths(t, func(t *testing.T, open opener) {
		a, b := open(""), open("")
		var senders sync.WaitGroup
		var want []string
		for i := range 8 {
			out := numbered(b.localAddr(), 20, 10+i) // the length tells senders apart
			want = append(want, payloads(out)...)
			senders.Go(func() {
				for part := range slices.Chunk(out, 5) {
					if _, err := a.send(part); err != nil {
						t.Error(err)
					}
				}
			})
		}
		require.ElementsMatch(t, want, payloads(collect(t, b, len(want))))
		senders.Wait()
	})
}

// "It keeps nothing of out": the caller may use its memory for other things at once.
func TestTransportLeavesTheCallersMemory(t *testing.T) {
	onBothPaths(t, func(t *testing.T, open opener) {
		a, b := open(""), open("")
		out := []datagram{{b.localAddr(), []byte("one")}}
		mustSend(t, a, out)
		copy(out[0].b, "xxx")
		out[0] = datagram{}
		require.Equal(t, []string{"one"}, payloads(collect(t, b, 1)))
	})
}

func TestTransportDoesNotAllocate(t *testing.T) {
	onBothPaths(t, func(t *testing.T, open opener) {
		for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
			needAddr(t, addr)
			a, b := open(addr), open(addr)
			out, in := numbered(b.localAddr(), 100, 32), make([]datagram, maxBatch)
			allocs := testing.AllocsPerRun(100, func() {
				n, err := a.send(out)
				for n > 0 && err == nil {
					var k int
					k, err = b.receive(in)
					n -= k
				}
				if err != nil {
					t.Error(err)
				}
			})
			require.Zero(t, allocs, "for 100 datagrams from %s, sent and received", addr)
		}
	})
}

func TestOpenUDPBindsLoopbackByDefault(t *testing.T) {
	tr, err := openUDP("", quiet)
	require.NoError(t, err)
	defer tr.close()
	require.Equal(t, netip.MustParseAddr("127.0.0.1"), tr.localAddr().Addr())
	require.NotZero(t, tr.localAddr().Port())

	_, err = openUDP(tr.localAddr().String(), quiet)
	require.Error(t, err, "the port is taken")
	var op *net.OpError
	require.True(t, errors.As(err, &op), "the cause is kept: %v", err)
}

func TestOpenUDPSaysWhatIsWrongWithAnAddress(t *testing.T) {
	for _, addr := range []string{"localhost:7000", ":7000", "127.0.0.1", "127.0.0.1:70000", "[::1%]:1"} {
		_, err := openUDP(addr, quiet)
		require.ErrorContains(t, err, "bind address is not ip:port", "for %q", addr)
	}
}
