package udp

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

// nobody is told of socket buffers where it proves nothing.
func nobody(string, ...any) {}

// plainConn hides that a socket is a *net.UDPConn, and so from the batched calls.
type plainConn struct{ Conn }

// transportPaths are the two ways through the code over real sockets. Where the system has no
// batched calls they are one and the same.
var transportPaths = []struct {
	name string
	wrap func(*net.UDPConn) Transport
}{
	{"batch", func(c *net.UDPConn) Transport { return Over(c) }},
	{"plain", func(c *net.UDPConn) Transport { return Over(plainConn{c}) }},
}

// opener opens a transport on addr which is closed at the end of the test.
type opener func(addr string) Transport

func newOpener(tb testing.TB, wrap func(*net.UDPConn) Transport) opener {
	return func(addr string) Transport {
		conn, err := listenUDP(addr)
		require.NoError(tb, err)
		askBuffers(conn, nobody)
		tr := wrap(conn)
		guard := time.AfterFunc(30*time.Second, func() { _ = tr.Close() })
		tb.Cleanup(func() { guard.Stop(); _ = tr.Close() })
		return tr
	}
}

// onBothPaths runs a story over each path.
func onBothPaths(t *testing.T, story func(t *testing.T, open opener)) {
	for _, p := range transportPaths {
		t.Run(p.name, func(t *testing.T) { story(t, newOpener(t, p.wrap)) })
	}
}

// collectDatagrams receives n datagrams and returns copies of them.
func collectDatagrams(tb testing.TB, tr Transport, n int) []Datagram {
	tb.Helper()
	var got []Datagram
	in := make([]Datagram, maxBatch)
	for len(got) < n {
		k, err := tr.Receive(in, false)
		require.NoError(tb, err, "after %d of %d datagrams", len(got), n)
		for _, d := range in[:k] {
			got = append(got, Datagram{Addr: d.Addr, B: bytes.Clone(d.B)})
		}
	}
	return got
}

// payloadsOf is what datagrams carry, as text, in no particular order.
func payloadsOf(ds []Datagram) []string {
	var s []string
	for _, d := range ds {
		s = append(s, string(d.B))
	}
	return s
}

// numberedDatagrams makes n different datagrams of the given size for one peer.
func numberedDatagrams(to netip.AddrPort, n, size int) []Datagram {
	out := make([]Datagram, n)
	for i := range out {
		out[i] = Datagram{Addr: to, B: fmt.Appendf(nil, "%0*d", size, i)}
	}
	return out
}

func mustSendAll(tb testing.TB, tr Transport, out []Datagram) {
	tb.Helper()
	n, err := tr.Send(out)
	require.NoError(tb, err)
	require.Equal(tb, len(out), n, "datagrams the system took")
}

func TestTransportEchoesBatchesAcrossPaths(t *testing.T) {
	for _, client := range transportPaths {
		for _, server := range transportPaths {
			t.Run(client.name+" to "+server.name, func(t *testing.T) {
				c, s := newOpener(t, client.wrap)(""), newOpener(t, server.wrap)("")
				question := numberedDatagrams(s.LocalAddr(), 40, 1400)
				question = append(question, numberedDatagrams(s.LocalAddr(), 9, 1)...)
				question = append(question, Datagram{Addr: s.LocalAddr(), B: nil})

				mustSendAll(t, c, question)
				atServer := collectDatagrams(t, s, len(question))
				for _, d := range atServer {
					require.Equal(t, c.LocalAddr(), d.Addr)
				}
				mustSendAll(t, s, atServer)

				answer := collectDatagrams(t, c, len(question))
				require.ElementsMatch(t, payloadsOf(question), payloadsOf(answer))
			})
		}
	}
}

func TestTransportSendsMoreThanOneBatch(t *testing.T) {
	onBothPaths(t, func(t *testing.T, open opener) {
		a, b := open(""), open("")
		out := numberedDatagrams(b.LocalAddr(), 200, 16)
		mustSendAll(t, a, out)
		require.ElementsMatch(t, payloadsOf(out), payloadsOf(collectDatagrams(t, b, 200)))
	})
}

func TestTransportNeverFillsMoreThanItWasGiven(t *testing.T) {
	onBothPaths(t, func(t *testing.T, open opener) {
		a, b := open(""), open("")
		out := numberedDatagrams(b.LocalAddr(), 10, 8)
		mustSendAll(t, a, out)
		var got []Datagram
		in := make([]Datagram, 3)
		for len(got) < len(out) {
			n, err := b.Receive(in, false)
			require.NoError(t, err)
			for _, d := range in[:n] {
				got = append(got, Datagram{Addr: d.Addr, B: bytes.Clone(d.B)})
			}
		}
		require.ElementsMatch(t, payloadsOf(out), payloadsOf(got))
	})
}

func TestTransportDropsAndCountsTruncatedDatagrams(t *testing.T) {
	onBothPaths(t, func(t *testing.T, open opener) {
		a, b := open(""), open("")
		out := []Datagram{
			{Addr: b.LocalAddr(), B: bytes.Repeat([]byte{1}, MaxDatagram+1)},
			{Addr: b.LocalAddr(), B: bytes.Repeat([]byte{2}, MaxDatagram)},
			{Addr: b.LocalAddr(), B: bytes.Repeat([]byte{3}, MaxDatagram+1)},
			{Addr: b.LocalAddr(), B: []byte("whole")},
		}
		mustSendAll(t, a, out)
		require.ElementsMatch(t, payloadsOf([]Datagram{out[1], out[3]}), payloadsOf(collectDatagrams(t, b, 2)))

		// One more, read behind whatever was left in the socket.
		mustSendAll(t, a, []Datagram{{Addr: b.LocalAddr(), B: []byte("end")}})
		require.Equal(t, []string{"end"}, payloadsOf(collectDatagrams(t, b, 1)))
		require.EqualValues(t, 2, b.Stats().Truncated.Load())
		require.EqualValues(t, 3, b.Stats().DatagramsIn.Load())
	})
}

// Datagrams that come alone take another way through the batched path than those in a crowd.
func TestTransportCarriesLoneDatagrams(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(addr, func(t *testing.T) {
			needAddr(t, addr)
			onBothPaths(t, func(t *testing.T, open opener) {
				a, b := open(addr), open(addr)
				for _, size := range []int{5, 0, 1400, MaxDatagram, 1, 0, 2000} {
					out := []Datagram{{Addr: b.LocalAddr(), B: bytes.Repeat([]byte{'?'}, size)}}
					mustSendAll(t, a, out)
					got := collectDatagrams(t, b, 1)
					require.Equal(t, payloadsOf(out), payloadsOf(got))
					require.Equal(t, a.LocalAddr(), got[0].Addr)
				}
			})
		})
	}
}

func TestTransportCountsWhatItMoves(t *testing.T) {
	onBothPaths(t, func(t *testing.T, open opener) {
		a, b := open(""), open("")
		mustSendAll(t, a, numberedDatagrams(b.LocalAddr(), 64, 100))
		collectDatagrams(t, b, 64)
		require.EqualValues(t, 64, a.Stats().DatagramsOut.Load())
		require.EqualValues(t, 6400, a.Stats().BytesOut.Load())
		require.EqualValues(t, 64, b.Stats().DatagramsIn.Load())
		require.EqualValues(t, 6400, b.Stats().BytesIn.Load())
		require.Zero(t, a.Stats().ErrorsOut.Load())
		require.Zero(t, b.Stats().errorsIn.Load())
		require.NotZero(t, a.Stats().callsOut.Load())
		require.NotZero(t, b.Stats().callsIn.Load())
	})
}

// "A datagram the system refuses is lost, as UDP may lose any, and counted."
func TestTransportGoesOnAfterRefusedDatagrams(t *testing.T) {
	onBothPaths(t, func(t *testing.T, open opener) {
		a, b := open("127.0.0.1:0"), open("127.0.0.1:0")
		to := b.LocalAddr()
		out := []Datagram{
			{Addr: to, B: []byte("first")},
			{Addr: to, B: make([]byte, 70_000)},                             // longer than UDP can be
			{Addr: netip.MustParseAddrPort("[::1]:9"), B: []byte("family")}, // over an IPv4 socket
			{Addr: netip.AddrPort{}, B: []byte("no address")},
			{Addr: netip.AddrPortFrom(to.Addr(), 0), B: []byte("no port")},
			{Addr: to, B: []byte("last")},
			{Addr: to, B: make([]byte, 70_000)},
		}
		n, err := a.Send(out)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		require.ElementsMatch(t, []string{"first", "last"}, payloadsOf(collectDatagrams(t, b, 2)))
		require.EqualValues(t, 2, a.Stats().DatagramsOut.Load())
		require.EqualValues(t, len("first")+len("last"), a.Stats().BytesOut.Load())
		require.EqualValues(t, 5, a.Stats().ErrorsOut.Load())
		for i, d := range out {
			require.Equal(t, len(d.B) == 70_000, d.TooLong, "datagram %d: whoever sends it learns why", i)
		}

		n, err = a.Send(out[1:2])
		require.NoError(t, err, "nor is one alone an error")
		require.Zero(t, n)
		require.EqualValues(t, 6, a.Stats().ErrorsOut.Load())
	})
}

func TestTransportGoesOnAfterRefusedDatagramsOnASocketForBoth(t *testing.T) {
	needAddr(t, "[::]:0")
	onBothPaths(t, func(t *testing.T, open opener) {
		a, b := open("[::]:0"), open("127.0.0.1:0")
		n, err := a.Send([]Datagram{
			{B: []byte("no address")},
			{Addr: netip.MustParseAddrPort("[::1]:0"), B: []byte("no port")},
			{Addr: b.LocalAddr(), B: make([]byte, 70_000)},
			{Addr: b.LocalAddr(), B: []byte("last")},
		})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, []string{"last"}, payloadsOf(collectDatagrams(t, b, 1)))
		require.EqualValues(t, 3, a.Stats().ErrorsOut.Load())
	})
}

func TestTransportGoesOnAfterSendingToAClosedPort(t *testing.T) {
	onBothPaths(t, func(t *testing.T, open opener) {
		a, b, gone := open(""), open(""), open("")
		require.NoError(t, gone.Close())
		for range 20 {
			_, err := a.Send([]Datagram{
				{Addr: gone.LocalAddr(), B: []byte("anybody?")}, {Addr: b.LocalAddr(), B: []byte("still here")},
			})
			require.NoError(t, err)
		}
		mustSendAll(t, b, []Datagram{{Addr: a.LocalAddr(), B: []byte("me too")}})
		require.Equal(t, []string{"me too"}, payloadsOf(collectDatagrams(t, a, 1)))
	})
}

func TestTransportCloseWakesTheReader(t *testing.T) {
	onBothPaths(t, func(t *testing.T, open opener) {
		tr := open("")
		readc := make(chan error)
		go func() {
			readc <- nil // about to read
			_, err := tr.Receive(make([]Datagram, 1), false)
			readc <- err
		}()
		<-readc
		require.NoError(t, tr.Close())
		require.ErrorIs(t, <-readc, net.ErrClosed)

		_, err := tr.Receive(make([]Datagram, 1), false)
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
				out := numberedDatagrams(deaf.LocalAddr(), 100, 32)
				_, errs[i] = tr.Send(out)
				started.Done()
				for errs[i] == nil {
					_, errs[i] = tr.Send(out)
				}
			})
		}
		started.Wait()
		require.NoError(t, tr.Close())
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
			out := numberedDatagrams(b.LocalAddr(), 20, 10+i) // the length tells senders apart
			want = append(want, payloadsOf(out)...)
			senders.Go(func() {
				for part := range slices.Chunk(out, 5) {
					if _, err := a.Send(part); err != nil {
						t.Error(err)
					}
				}
			})
		}
		require.ElementsMatch(t, want, payloadsOf(collectDatagrams(t, b, len(want))))
		senders.Wait()
	})
}

// "It keeps nothing of out": the caller may use its memory for other things at once.
func TestTransportLeavesTheCallersMemory(t *testing.T) {
	onBothPaths(t, func(t *testing.T, open opener) {
		a, b := open(""), open("")
		out := []Datagram{{Addr: b.LocalAddr(), B: []byte("one")}}
		mustSendAll(t, a, out)
		copy(out[0].B, "xxx")
		out[0] = Datagram{}
		require.Equal(t, []string{"one"}, payloadsOf(collectDatagrams(t, b, 1)))
	})
}

func TestTransportDoesNotAllocate(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector makes sync.Pool forget at random")
	}
	onBothPaths(t, func(t *testing.T, open opener) {
		for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
			needAddr(t, addr)
			a, b := open(addr), open(addr)
			out, in := numberedDatagrams(b.LocalAddr(), 100, 32), make([]Datagram, maxBatch)
			allocs := testing.AllocsPerRun(100, func() {
				n, err := a.Send(out)
				for n > 0 && err == nil {
					var k int
					k, err = b.Receive(in, false)
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
