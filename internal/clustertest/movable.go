package clustertest

import (
	"io"
	"net"
	"net/netip"
	"sync"

	"broach"
	"broach/internal/seal"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// Movable is the socket of a host that may get another address, as one behind a floating address does. The program does
// not notice.
type Movable struct {
	C     *Cluster
	Local net.Addr
	First *simnet.Conn

	mu     sync.Mutex
	Conn   *simnet.Conn
	closed bool
}

// HiddenAddr is an address at which nobody looks for the i-th node.
func HiddenAddr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, byte(i / 250), byte(i%250 + 1)}), 7000)
}

// StartAt starts node i by a name, at an address that it can lose.
func (c *Cluster) StartAt(i int, name string, seeds []int) *broach.Node {
	return c.StartWith(i, func(cfg *broach.Config) {
		conn := cfg.Conn.(*simnet.Conn)
		cfg.Conn, cfg.Name = &Movable{C: c, Local: conn.LocalAddr(), First: conn, Conn: conn}, name
	}, seeds...)
}

// StartLearner starts node i by a name, at an address that it does not know.
func (c *Cluster) StartLearner(i int, name string, seeds []int) *broach.Node {
	return c.StartWith(i, func(cfg *broach.Config) {
		conn := cfg.Conn.(*simnet.Conn)
		cfg.Conn, cfg.Name = &Movable{C: c, Local: &net.UDPAddr{IP: net.IPv4zero, Port: 7000}, First: conn,
			Conn: conn}, name
	}, seeds...)
}

// Move gives the host another address.
func (m *Movable) Move(to netip.AddrPort) {
	conn, err := m.C.Net.Listen(to)
	require.NoError(m.C.T, err)
	m.mu.Lock()
	before := m.Conn
	m.Conn = conn
	m.mu.Unlock()
	before.Close() // the reader goes on at the other
}

func (m *Movable) Now() (conn *simnet.Conn, closed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.Conn, m.closed
}

func (m *Movable) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		conn, _ := m.Now()
		n, from, err := conn.ReadFromUDPAddrPort(b)
		if after, closed := m.Now(); err == nil || closed || after == conn {
			return n, from, err
		}
	}
}

func (m *Movable) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	for {
		conn, _ := m.Now()
		n, err := conn.WriteToUDPAddrPort(b, to)
		if after, closed := m.Now(); err == nil || closed || after == conn {
			return n, err
		}
	}
}

func (m *Movable) LocalAddr() net.Addr { return m.Local }

func (m *Movable) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	conn, _ := m.Now()
	return conn.Close()
}

// Secrets makes a simulation repeatable.
func (m *Movable) Secrets(s seal.Simulated) io.Reader { return m.First.Secrets(s) }
