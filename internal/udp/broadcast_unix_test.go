//go:build unix

package udp

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// [MEM-26] ... a node MUST NOT be able to send to a broadcast address.
func TestNothingIsSentToABroadcastAddress(t *testing.T) {
	conn, err := listenUDP("127.0.0.1:0")
	require.NoError(t, err)
	defer conn.Close()
	sendToOne(conn)
	_, err = conn.WriteToUDPAddrPort([]byte("all"), netip.MustParseAddrPort("127.255.255.255:9"))
	require.ErrorIs(t, err, unix.EACCES)
}
