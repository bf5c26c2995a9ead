package udp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A datagram that was waited for and comes alone, as all do that an idle node hears, needs one buffer.
func TestOneReceiveBufferIsEnoughForAnIdleNode(t *testing.T) {
	b := newInBatch(true)
	for range 20 {
		b.got, b.calls = 1, 2 // the first call found nothing
		b.adapt()
		require.Len(t, b.bufs, 1)
	}
	b.got, b.calls, b.lone = 1, 1, true
	b.adapt()
	require.Len(t, b.bufs, 1, "no more than one was asked for")
}

// Receive buffers double whenever a batch comes back full.
func TestReceiveBuffersGrowWithWhatComes(t *testing.T) {
	a, b := openBatches(t)
	a.plain.Store(true) // a message for each datagram
	var sizes []int
	for len(b.in.bufs) < b.in.slots {
		sizes = append(sizes, len(b.in.bufs))
		mustSendAll(t, a, numberedDatagrams(b.LocalAddr(), maxBatch, 16))
		collectDatagrams(t, b, maxBatch)
		require.Greater(t, len(b.in.bufs), sizes[len(sizes)-1], "a batch came back full")
	}
	require.Equal(t, 1, sizes[0])
	mustSendAll(t, a, numberedDatagrams(b.LocalAddr(), 2*maxBatch, 16))
	require.Len(t, collectDatagrams(t, b, 2*maxBatch), 2*maxBatch)
	require.Len(t, b.in.bufs, b.in.slots, "and no more than that")
}

// What lies there already was not waited for; what comes while somebody receives was.
func TestATransportTellsWhetherItWaited(t *testing.T) {
	a, b := openBatches(t)
	for range 3 {
		mustSendAll(t, a, numberedDatagrams(b.LocalAddr(), 1, 16))
		collectDatagrams(t, b, 1)
		require.False(t, b.Waited())
	}
	fill := b.in.read
	b.in.read = func(fd uintptr) bool { // it sends when nothing was there
		isThere := fill(fd)
		if !isThere {
			mustSendAll(t, a, numberedDatagrams(b.LocalAddr(), 1, 16))
		}
		return isThere
	}
	collectDatagrams(t, b, 1)
	require.True(t, b.Waited())
}
