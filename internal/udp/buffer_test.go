package udp

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBuffersGrowToWhatTheSystemGives(t *testing.T) {
	conn, err := listenUDP("")
	require.NoError(t, err)
	defer conn.Close()
	for _, k := range []socketBuffer{receiveSocketBuffer, sendSocketBuffer} {
		small, large := k.grow(conn, minSized), k.grow(conn, socketBufferSize)
		require.GreaterOrEqual(t, small, minSized, "%s buffer: every system gives this much", k)
		require.GreaterOrEqual(t, large, small, "%s buffer", k)
	}
}

// minSized is a buffer below any system's limit, in bytes.
const minSized = 64 << 10

func TestBufferOfAClosedSocketIsNone(t *testing.T) {
	conn, err := listenUDP("")
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.Zero(t, receiveSocketBuffer.grow(conn, socketBufferSize))
}

func TestSmallBuffersAreReportedOncePerKind(t *testing.T) {
	var text strings.Builder
	say := slog.New(slog.NewTextHandler(&text, nil)).Info
	var advice smallBuffers
	for range 3 {
		advice.note(say, receiveSocketBuffer, 212992)
		advice.note(say, sendSocketBuffer, socketBufferSize)
	}
	require.Equal(t, 1, strings.Count(text.String(), "\n"), "one line, none for a buffer that is large enough:\n%s",
		&text)
	require.Contains(t, text.String(), "kind=receive asked=4194304 got=212992")
	require.Contains(t, text.String(), receiveSocketBuffer.remedy())

	advice.note(say, sendSocketBuffer, 212992)
	require.Contains(t, text.String(), "kind=send", "the other limit is another line")
}
