package broach

import (
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestZeroConfigIsComplete(t *testing.T) {
	var c Config
	require.NoError(t, c.validate())
	require.Equal(t, netip.MustParseAddrPort("127.0.0.1:0"), c.addr())
	require.Equal(t, "default", c.cluster())
	require.Equal(t, 6*time.Second, c.callTimeout())
	require.Equal(t, 3*time.Second, c.ackTimeout())
	require.Equal(t, 1400, c.maxPacket())
	require.Equal(t, 64<<20, c.maxMessage())
	require.Equal(t, Pool{
		Core: min(runtime.NumCPU(), 4096), Max: 4096, Queue: 65536, GrowAt: 1, KeepAlive: 9 * time.Second,
	}, c.pool())
	require.Equal(t, Heartbeat{
		Interval: time.Second, Budget: 20, Tick: 30 * time.Millisecond, Margin: 150 * time.Millisecond,
		ProbeEvery: 60 * time.Millisecond, Probes: 6, Grace: 300 * time.Millisecond, Forget: 24 * time.Hour,
	}, c.heartbeat())
}

func TestSetFieldsWinOverDefaults(t *testing.T) {
	c := Config{
		Addr: "[::1]:7", Advertise: "192.0.2.7:8", Cluster: "blue", CallTimeout: 1, AckTimeout: 2, MaxPacket: 3, MaxMessage: 4,
		Pool:      Pool{Core: 5, Max: 6, Queue: 7, GrowAt: 8, KeepAlive: 9, RejectWhenFull: true},
		Heartbeat: Heartbeat{Interval: 1, Budget: 2, Tick: 3, Margin: 4, ProbeEvery: 5, Probes: 6, Grace: 7, Forget: 8},
	}
	require.Equal(t, netip.MustParseAddrPort("[::1]:7"), c.addr())
	require.Equal(t, "blue", c.cluster())
	require.EqualValues(t, 1, c.callTimeout())
	require.EqualValues(t, 2, c.ackTimeout())
	require.Equal(t, 3, c.maxPacket())
	require.Equal(t, 4, c.maxMessage())
	require.Equal(t, c.Pool, c.pool())
	require.Equal(t, c.Heartbeat, c.heartbeat())
}

func TestPeersAreToldTheBoundAddressUnlessAnotherIsAdvertised(t *testing.T) {
	bound := netip.MustParseAddrPort("127.0.0.1:40000")
	require.Equal(t, bound, Config{}.advertise(bound))
	require.Equal(t, netip.MustParseAddrPort("192.0.2.7:8"), Config{Advertise: "192.0.2.7:8"}.advertise(bound))
}

func TestIPv4InIPv6IsIPv4(t *testing.T) {
	require.Equal(t, netip.MustParseAddrPort("127.0.0.1:7"), Config{Addr: "[::ffff:127.0.0.1]:7"}.addr())
}

// "Max is never under Core, whichever of the two was set and however many CPUs there are."
func TestOneBoundOfThePoolMovesTheOther(t *testing.T) {
	small := Config{Pool: Pool{Max: 1}}
	require.NoError(t, small.validate())
	require.Equal(t, 1, small.pool().Core)

	large := Config{Pool: Pool{Core: 5000}}
	require.NoError(t, large.validate())
	require.Equal(t, 5000, large.pool().Max)
}

func TestUDPSocketIsAPacketConn(t *testing.T) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(Config{}.addr()))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, Config{Conn: conn, Addr: "not looked at beside Conn"}.validate())
}
