package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

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
