package broach

import (
	"io"
	"net"
	"net/netip"
	"sync"

	"broach/internal/seal"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// movable is the socket of a host that may get another address, as one behind a floating address does. The program does
// not notice.
type movable struct {
	c     *cluster
	local net.Addr
	first *simnet.Conn

	mu     sync.Mutex
	conn   *simnet.Conn
	closed bool
}

// hiddenAddr is an address at which nobody looks for the i-th node.
func hiddenAddr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, byte(i / 250), byte(i%250 + 1)}), 7000)
}

// startAt starts node i by a name, at an address that it can lose.
func (c *cluster) startAt(i int, name string, seeds []int) *Node {
	return c.startWith(i, func(cfg *Config) {
		conn := cfg.Conn.(*simnet.Conn)
		cfg.Conn, cfg.Name = &movable{c: c, local: conn.LocalAddr(), first: conn, conn: conn}, name
	}, seeds...)
}

// startLearner starts node i by a name, at an address that it does not know.
func (c *cluster) startLearner(i int, name string, seeds []int) *Node {
	return c.startWith(i, func(cfg *Config) {
		conn := cfg.Conn.(*simnet.Conn)
		cfg.Conn, cfg.Name = &movable{c: c, local: &net.UDPAddr{IP: net.IPv4zero, Port: 7000}, first: conn, conn: conn}, name
	}, seeds...)
}

// move gives the host another address.
func (m *movable) move(to netip.AddrPort) {
	conn, err := m.c.net.Listen(to)
	require.NoError(m.c.t, err)
	m.mu.Lock()
	before := m.conn
	m.conn = conn
	m.mu.Unlock()
	before.Close() // the reader goes on at the other
}

func (m *movable) now() (conn *simnet.Conn, closed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.conn, m.closed
}

func (m *movable) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		conn, _ := m.now()
		n, from, err := conn.ReadFromUDPAddrPort(b)
		if after, closed := m.now(); err == nil || closed || after == conn {
			return n, from, err
		}
	}
}

func (m *movable) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	for {
		conn, _ := m.now()
		n, err := conn.WriteToUDPAddrPort(b, to)
		if after, closed := m.now(); err == nil || closed || after == conn {
			return n, err
		}
	}
}

func (m *movable) LocalAddr() net.Addr { return m.local }

func (m *movable) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	conn, _ := m.now()
	return conn.Close()
}

// Secrets makes a simulation repeatable.
func (m *movable) Secrets(s seal.Simulated) io.Reader { return m.first.Secrets(s) }
