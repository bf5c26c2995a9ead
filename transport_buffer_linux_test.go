package broach

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestBufferRemedyIsACommand(t *testing.T) {
	require.Equal(t, "sysctl -w net.core.rmem_max=4194304", receiveBuffer.remedy())
	require.Equal(t, "sysctl -w net.core.wmem_max=4194304", sendBuffer.remedy())
}

func TestBuffersReportWhatTheKernelHolds(t *testing.T) {
	conn, err := listenUDP("")
	require.NoError(t, err)
	defer conn.Close()
	const tooMuch = 1 << 30 // more than any sysctl allows
	got := receiveBuffer.grow(conn, tooMuch)
	raw, err := conn.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
		require.NoError(t, err)
		require.Equal(t, n/2, got)
	}))
}
