package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// room (4), which may be left out
func TestAProbeAckMaySayTheRoom(t *testing.T) {
	for _, want := range []ProbeAck{{ID: 7}, {ID: 7, Room: 1}, {ID: 7, Room: 1<<32 - 1}} {
		kind, body, rest, err := ConsumeMessage(want.Append(nil))
		require.NoError(t, err)
		require.Equal(t, KindProbeAck, kind)
		require.Empty(t, rest)
		got, err := ConsumeProbeAck(body)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	cut, err := ConsumeProbeAck([]byte{0, 0, 0, 7, 9, 9, 9})
	require.NoError(t, err)
	require.Equal(t, ProbeAck{ID: 7}, cut, "what is too short for a room is none")
}

// Probe: zeros, as many as make the datagram as large as the size that is tried.
func TestAProbeFillsItsDatagram(t *testing.T) {
	for _, size := range []int{1201, 1400, 8972} {
		datagram := ProbeFor(7, size).Append(AppendHeader(nil, someHeader))
		require.Len(t, datagram, size)
		kind, body, rest, err := ConsumeMessage(datagram[HeaderSize:])
		require.NoError(t, err)
		require.Equal(t, KindProbe, kind)
		require.Empty(t, rest)
		require.Equal(t, make([]byte, len(body)-4), body[4:])
		require.Less(t, len(ProbeAck{ID: 7}.Append(nil)), len(body), "the answer is the smaller one")
	}
}
