package udp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestRunsOfDatagrams(t *testing.T) {
	here, there := netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:1")
	sized := func(sizes ...int) (out []Datagram) {
		for _, n := range sizes {
			out = append(out, Datagram{Addr: here, B: make([]byte, n)})
		}
		return out
	}
	other := sized(9, 9, 9)
	other[2].Addr = there
	apart, first := sized(9, 9, 9), sized(9, 9, 9)
	apart[1].Alone, first[0].Alone = true, true
	for _, c := range []struct {
		story string
		out   []Datagram
		want  int
	}{
		{"one alone", sized(100), 1},
		{"equal ones", sized(100, 100, 100), 3},
		{"the last may be smaller, and is the last", sized(100, 100, 1, 1), 3},
		{"a larger one begins another run", sized(100, 100, 101), 2},
		{"nothing has no segments", sized(0, 0), 1},
		{"nor is nothing a segment", sized(5, 5, 0), 2},
		{"another address", other, 2},
		{"one that is to go alone", apart, 1},
		{"nor does another go with it", first, 1},
	} {
		require.Equal(t, c.want, runOf(c.out), c.story)
	}
	require.Equal(t, maxSegments, runOf(numberedDatagrams(here, 100, 10)), "no more than the kernel takes")
	require.Equal(t, maxGathered/1400, runOf(numberedDatagrams(here, 64, 1400)), "no more than fits a message")
}

func TestSegmentsGoTogetherAndComeApart(t *testing.T) {
	a, b := openOffload(t)
	sent := numberedDatagrams(b.LocalAddr(), 64, 1400)
	mustSendAll(t, a, sent)
	require.EqualValues(t, 1, a.Stats().callsOut.Load())
	b.in.extend(2)
	in := make([]Datagram, 5) // less than a message has
	for first := 0; first < len(sent); {
		n, err := b.Receive(in, false)
		require.NoError(t, err)
		for i, d := range in[:n] {
			require.Equal(t, string(sent[first+i].B), string(d.B))
			require.Equal(t, a.LocalAddr(), d.Addr)
		}
		first += n
	}
	require.EqualValues(t, 1, b.Stats().callsIn.Load(), "two messages lay there")
	require.EqualValues(t, 64, b.Stats().DatagramsIn.Load())
	require.EqualValues(t, 64*1400, b.Stats().BytesIn.Load())
}

// Whatever is sent comes, in order: whether it goes in segments or not is nobody's business.
func TestDatagramsOfAnySizeAndAddressComeAsTheyWereSent(t *testing.T) {
	a, b := openOffload(t)
	rng := rand.New(rand.NewPCG(1, 1))
	t.Log("seed 1")
	for round := range 300 {
		var out []Datagram
		size := 1 + rng.IntN(MaxDatagram)
		for i := range 1 + rng.IntN(maxBatch) {
			if rng.IntN(4) == 0 {
				size = 1 + rng.IntN(3000)
			}
			payload := fmt.Appendf(nil, "%d/%d/%0*d", round, i, size, 0)
			out = append(out, Datagram{Addr: b.LocalAddr(), B: payload[:min(len(payload), MaxDatagram)]})
		}
		mustSendAll(t, a, out)
		require.Equal(t, payloadsOf(out), payloadsOf(collectDatagrams(t, b, len(out))))
	}
}

// A socket without checksums cannot send segments: the kernel says EINVAL, as it does when they are too large for the
// path.
func TestRefusedSegmentsGoOneByOne(t *testing.T) {
	a, b := openOffload(t)
	require.NoError(t, a.raw.Control(func(fd uintptr) {
		require.NoError(t, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1))
	}))
	sent := numberedDatagrams(b.LocalAddr(), 100, 500)
	mustSendAll(t, a, sent)
	require.Equal(t, payloadsOf(sent), payloadsOf(collectDatagrams(t, b, len(sent))))
	require.Zero(t, a.Stats().ErrorsOut.Load())
	require.Greater(t, a.Stats().callsOut.Load(), uint64(2), "the kernel refused nothing, the test proves nothing")
}

func TestTransportWithoutOffload(t *testing.T) {
	a, b := openOffload(t)
	a.plain.Store(true)
	b.in = newInBatch(false)
	require.NoError(t, b.raw.Control(func(fd uintptr) {
		require.NoError(t, unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 0))
	}))
	sent := numberedDatagrams(b.LocalAddr(), 2*maxBatch, 500)
	mustSendAll(t, a, sent)
	require.Equal(t, payloadsOf(sent), payloadsOf(collectDatagrams(t, b, len(sent))))
	require.EqualValues(t, 2, a.Stats().callsOut.Load())
}
