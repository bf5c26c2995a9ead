package udp

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestBufferRemedyIsACommand(t *testing.T) {
	require.Equal(t, "sysctl -w net.core.rmem_max=4194304", receiveSocketBuffer.remedy())
	require.Equal(t, "sysctl -w net.core.wmem_max=4194304", sendSocketBuffer.remedy())
}

func TestBuffersReportWhatTheKernelHolds(t *testing.T) {
	conn, err := listenUDP("")
	require.NoError(t, err)
	defer conn.Close()
	raw, err := conn.SyscallConn()
	require.NoError(t, err)
	const tooMuch = 1 << 29 // more than any sysctl allows; only a limit, no memory is taken
	for _, k := range []socketBuffer{receiveSocketBuffer, sendSocketBuffer} {
		got := k.grow(conn, tooMuch)
		require.NoError(t, raw.Control(func(fd uintptr) {
			opt := socketBufferOptions[k]
			held, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, opt.get)
			require.NoError(t, err)
			require.Equal(t, held/2, got, "%s buffer", k)
			if k == receiveSocketBuffer {
				require.Equal(t, got, Over(conn).Stats().ReceiveBuffer)
				require.Equal(t, got, newPlainTransport(conn).Stats().ReceiveBuffer)
			}
			if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, opt.force, tooMuch) == nil {
				require.Equal(t, tooMuch, got, "%s buffer of a process that may exceed the limit", k)
			}
		}))
	}
}
