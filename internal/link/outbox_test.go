package link

import (
	"net/netip"
	"testing"

	"broach/internal/race"
	"broach/internal/udp"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [MSG-4] A datagram's payload MUST NOT exceed the packet size of its link (1.3), nor 1,200 bytes when it carries
// messages of section 4.
func TestOutboxPacksWithinTheLimits(t *testing.T) {
	var o outbox
	sizes := func() (sizes []int) {
		for _, d := range o.ready {
			sizes = append(sizes, len(d)-wire.HeaderSize)
		}
		return sizes
	}
	o.append(make([]byte, 700), 1400, 1)
	o.append(make([]byte, 676), 1400, 1)
	require.Equal(t, []int{1376}, sizes(), "full to the last byte")
	o.append(make([]byte, 1), 1400, 1)
	o.append(make([]byte, 1175), wire.ControlPacket, 1)
	require.Equal(t, []int{1376, 1176}, sizes())
	o.append(make([]byte, 1), 1400, 1)
	require.Equal(t, []int{1376, 1176, 1}, sizes(), "what carries membership stays small")
	o.append(make([]byte, 1200), 1400, 1)
	o.append(make([]byte, 5), wire.ControlPacket, 1)
	require.Equal(t, []int{1376, 1176, 1201, 5}, sizes(), "what is large gets no membership")
}

// A datagram that has no room for the next message could have been larger, unless it is small for another reason.
func TestOutboxTellsWhenADatagramIsFull(t *testing.T) {
	var o outbox
	require.False(t, o.append(make([]byte, 1176), 1200, 1), "it is the first")
	require.True(t, o.append(make([]byte, 1000), 1200, 1))
	require.False(t, o.append(make([]byte, 176), 1200, 1), "full to the last byte")
	require.False(t, o.append(make([]byte, 10), 1400, 1), "the one before was small for those in it")
	require.Len(t, o.ready, 3)
}

// What waits while the system takes nothing is bounded by the memory that it takes, however large the datagrams.
func TestOutboxIsBoundedInBytes(t *testing.T) {
	for _, size := range []int{100, 1300, 8900, 21000} {
		o, memory := outbox{}, 0
		for range 2 * outboxMax {
			o.append(make([]byte, size), udp.MaxDatagram, 1)
			o.append(make([]byte, size), 0, 1) // begins another
		}
		for _, d := range o.ready {
			memory += cap(d)
		}
		require.LessOrEqual(t, memory, outboxBytes+udp.MaxDatagram, "%d bytes", size)
		require.Greater(t, memory, outboxBytes/2, "%d bytes", size)
		require.EqualValues(t, memory, o.held)

		b := batch{}
		o.moveTo(&b, netip.AddrPort{}, len(o.ready))
		require.Zero(t, o.held, "and there is room again")
	}
}

func TestPacketsAreUsedAgainOnlyWhole(t *testing.T) {
	p := NewPacket()
	require.Len(t, p, wire.HeaderSize)
	FreePacket(append(p, make([]byte, 8000)...)) // grown out of its array: not kept
	require.Equal(t, packetCap, cap(NewPacket()))
}

// A datagram that outgrows its packet moves to a larger one.
func TestPacketsHaveRoomForTheLargestDatagram(t *testing.T) {
	p := append(NewPacket(), "small"...)
	require.Equal(t, packetCap, cap(roomFor(p, packetCap-len(p))))
	large := roomFor(p, packetCap-len(p)+1)
	require.Equal(t, udp.MaxDatagram, cap(large))
	require.Equal(t, "small", string(large[wire.HeaderSize:]))
	if race.Enabled {
		return // sync.Pool forgets at random
	}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		FreePacket(append(roomFor(NewPacket(), udp.MaxDatagram-wire.HeaderSize),
			make([]byte, udp.MaxDatagram-wire.HeaderSize)...))
	}))
}
