package members

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// dual is the socket of a host with an address of each IP version, both of which may change. It listens on "::".
type dual struct {
	v4, v6 *clustertest.Movable
	in     chan arrival
	ended  chan struct{}
	end    sync.Once
}

// arrival is a datagram that came to either address.
type arrival struct {
	b    []byte
	from netip.AddrPort
}

// v6Of is the IPv6 address of the i-th host.
func v6Of(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("fd00::%x", i+1)), 7000)
}

func newDual(c *clustertest.Cluster, first *simnet.Conn, i int) *dual {
	second, err := c.Net.Listen(v6Of(i))
	require.NoError(c.T, err)
	movable := func(conn *simnet.Conn) *clustertest.Movable {
		return &clustertest.Movable{
			C: c, Local: &net.UDPAddr{IP: net.IPv6unspecified, Port: 7000}, First: first, Conn: conn,
		}
	}
	d := &dual{v4: movable(first), v6: movable(second), in: make(chan arrival, 1000), ended: make(chan struct{})}
	go d.takeFrom(d.v4)
	go d.takeFrom(d.v6)
	return d
}

// takeFrom takes what comes to one of the addresses until the socket is closed.
func (d *dual) takeFrom(m *clustertest.Movable) {
	for {
		b := make([]byte, 2048)
		n, from, err := m.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		select {
		case d.in <- arrival{b[:n], from}:
		case <-d.ended:
			return
		}
	}
}

func (d *dual) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case a := <-d.in:
		return copy(b, a.b), a.from, nil
	case <-d.ended:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

func (d *dual) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if to.Addr().Is4() {
		return d.v4.WriteToUDPAddrPort(b, to)
	}
	return d.v6.WriteToUDPAddrPort(b, to)
}

func (d *dual) LocalAddr() net.Addr { return d.v4.LocalAddr() }

func (d *dual) Close() error {
	d.end.Do(func() { close(d.ended) })
	_ = d.v4.Close()
	return d.v6.Close()
}

// move gives the host other addresses of both IP versions.
func (d *dual) move(i int) {
	d.v4.Move(clustertest.AddrOf(i))
	d.v6.Move(v6Of(i))
}

// [MEM-32] Hosts of both IP versions, whose addresses of both change at once, are found again, be they known by the one
// or the other, the seed, or two at once, and again. One of which only the other address changes stays what it is.
func TestBothAddressesOfAHostChange(t *testing.T) {
	const size = 6
	first4, first6 := clustertest.AddrOf(0).String(), v6Of(0).String()
	for name, join := range map[string]func(i int) []string{
		"IPv4": func(int) []string { return []string{first4} },
		"IPv6": func(int) []string { return []string{first6} },
		"half": func(i int) []string { return []string{[]string{first4, first6}[i%2]} },
		"both": func(int) []string { return []string{first6, first4} },
	} {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, 1, func(c *clustertest.Cluster) {
				var hosts []*dual
				for i := range size {
					c.StartWith(i, func(cfg *broach.Config) {
						hosts = append(hosts, newDual(c, cfg.Conn.(*simnet.Conn), i))
						cfg.Conn, cfg.Join = hosts[i], join(i)
					})
				}
				isAt := func(who, at int) bool {
					addr := c.Nodes[who].Addr()
					return addr == clustertest.AddrOf(at) || addr == v6Of(at)
				}
				c.Until(10*time.Second, "all meet", func() bool { return clustertest.AllSee(c.Nodes, size-1) })
				for i, movers := range [][]int{{3}, {0}, {3}, {0, 2}} {
					time.Sleep(10 * time.Second)
					for _, who := range movers {
						hosts[who].move(100 + 10*i + who)
					}
					limit := time.Duration(1+4*len(movers)) * time.Second
					took := c.Until(limit, fmt.Sprint(movers, " are found"), func() bool {
						for _, who := range movers {
							if !isAt(who, 100+10*i+who) {
								return false
							}
						}
						return clustertest.AllSee(c.Nodes, size-1)
					})
					t.Log(movers, "are found after", took)
				}
				time.Sleep(10 * time.Second)
				was := c.Nodes[4].Addr()
				if was.Addr().Is4() {
					hosts[4].v6.Move(v6Of(200))
				} else {
					hosts[4].v4.Move(clustertest.AddrOf(200))
				}
				time.Sleep(time.Minute)
				require.Equal(t, was, c.Nodes[4].Addr())
				require.True(t, clustertest.AllSee(c.Nodes, size-1))
			})
		})
	}
}
