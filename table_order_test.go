package broach

import (
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"broach/internal/member"
	"broach/internal/simnet"
	"broach/internal/udp"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// A function that is registered while its node is joining is known as soon as any other.
func TestAFunctionRegisteredDuringTheJoinIsKnownAtOnce(t *testing.T) {
	for after := time.Duration(0); after < 2*time.Millisecond; after += 100 * time.Microsecond {
		inCluster(t, 1, func(c *cluster) {
			c.net.SetDefault(simnet.Link{Delay: 200 * time.Microsecond, Jitter: 100 * time.Microsecond})
			c.startAll(10)
			time.Sleep(2 * time.Second)
			n := c.start(10, 0)
			time.Sleep(after)
			require.NoError(t, n.Register("more", func(x int) int { return x }))
			took := c.until(2*time.Second, "all know", func() bool {
				for _, o := range c.nodes[:10] {
					if o.calling.view.Load().routes.get("more") == nil {
						return false
					}
				}
				return true
			})
			require.LessOrEqual(t, took, 20*time.Millisecond, "registered %v after the start", after)
		})
	}
}

// sentConn keeps what is sent. Nothing arrives.
type sentConn struct{ sent [][]byte }

func (c *sentConn) ReadFromUDPAddrPort([]byte) (int, netip.AddrPort, error) {
	return 0, netip.AddrPort{}, net.ErrClosed
}

func (c *sentConn) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	c.sent = append(c.sent, append([]byte(nil), b...))
	return len(b), nil
}

func (c *sentConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(addrOf(0)) }
func (c *sentConn) Close() error        { return nil }

// A hello never goes under the version of a table that came after it: the receiver would keep the old table for the new
// one.
func TestAHelloGoesUnderTheVersionOfItsTable(t *testing.T) {
	conn := new(sentConn)
	n := newNode(Config{Conn: conn}, udp.Over(conn), newLogQueue(Config{Logger: slog.New(slog.DiscardHandler)}))
	t.Cleanup(n.stop)
	now := time.Now()
	require.NoError(t, n.Register("more", func(x int) int { return x }))
	(<-n.loop.commands)(now)
	n.loop.tableAt = now
	l := n.connFrom(wire.PublicKey{7}, netip.MustParseAddrPort("10.0.0.1:1"))
	require.True(t, n.linking.tokens.add(l))
	n.arrive(now, arrival{made: l})
	n.carryOut(now)
	l.told.Store(1)
	n.receive(now, inbound{Source: member.Source{Link: l.Token, Tver: 1}, from: l, msg: wire.Announce{Hello: wire.Hello{Addr: addrOf(1)}}})
	n.step(now) // answers the Announce, and makes the table of version 2
	require.NotEmpty(t, conn.sent)
	h, rest, err := wire.ConsumeHeader(conn.sent[0])
	require.NoError(t, err)
	kind, body, _, err := wire.ConsumeMessage(rest)
	require.NoError(t, err)
	msg, err := wire.ConsumeMembership(kind, body)
	require.NoError(t, err)
	functions, err := wire.ConsumeTable(msg.(wire.Welcome).Table)
	require.NoError(t, err)
	require.Len(t, functions, int(h.TableVersion)-1, "version 1 has no function, version 2 has one")
}
