package broach

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
	for _, k := range []bufferKind{receiveBuffer, sendBuffer} {
		small, large := k.grow(conn, minSized), k.grow(conn, socketBuffer)
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
	require.Zero(t, receiveBuffer.grow(conn, socketBuffer))
}

func TestSmallBuffersAreReportedOncePerKind(t *testing.T) {
	var text strings.Builder
	log := slog.New(slog.NewTextHandler(&text, nil))
	var advice smallBuffers
	for range 3 {
		advice.note(log, receiveBuffer, 212992)
		advice.note(log, sendBuffer, socketBuffer)
	}
	require.Equal(t, 1, strings.Count(text.String(), "\n"), "one line, none for a buffer that is large enough:\n%s", &text)
	require.Contains(t, text.String(), "kind=receive asked=4194304 got=212992")
	require.Contains(t, text.String(), receiveBuffer.remedy())

	advice.note(log, sendBuffer, 212992)
	require.Contains(t, text.String(), "kind=send", "the other limit is another line")
}
