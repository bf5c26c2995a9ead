package broach

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// fedConn is a socket that is fed by hand, and sends to nobody.
type fedConn struct {
	in     chan []byte
	closed chan struct{}
}

func (c fedConn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case d := <-c.in:
		return copy(b, d), strangerAddr, nil
	case <-c.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

func (c fedConn) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) { return len(b), nil }
func (c fedConn) LocalAddr() net.Addr                                        { return net.UDPAddrFromAddrPort(addrOf(0)) }
func (c fedConn) Close() error                                               { close(c.closed); return nil }

// What follows the header of a datagram that was opened reaches all of a node: links, calls, transfers, functions, the membership. Whatever it
// is, the node stays, and answers its own calls.
func FuzzNode(f *testing.F) {
	conn := fedConn{make(chan []byte), make(chan struct{})}
	node, err := Start(Config{Conn: conn, Logger: slog.New(slog.DiscardHandler), MaxMessage: 1 << 20})
	require.NoError(f, err)
	f.Cleanup(func() { node.Close() })
	require.NoError(f, node.Register("echo", func(args ...any) []any { return args }))
	require.NoError(f, node.Register("add", func(x, y int) int { return x + y }))
	const peer = 99
	linked := make(chan *link)
	require.NoError(f, node.do(func(now time.Time) {
		l := newLink(now, &node.carrier, linkID{peer, addrOf(1)}, 1)
		node.links.add(l)
		linked <- l
	}))
	<-linked

	request := wire.Request{Slot: 1, Seq: 1, Service: []byte("add"), Meta: wire.AppendPair(nil, "k", []byte("v")), Args: []byte{0x92, 1, 2}}
	for _, msg := range []appendable{
		request, wire.Send(request), wire.Request{Service: []byte(tableService), Args: []byte{0x90}}, wire.Request{Service: []byte("echo"), Args: []byte{0x91, 0x91, 0xc0}},
		wire.Reply{Slot: 0, Seq: 1, Code: 1, Causes: wire.AppendPair(nil, "k", []byte{1}), Body: []byte("no")}, wire.Poll{Slot: 1, Seq: 1}, wire.Cancel{Slot: 1, Seq: 1},
		wire.Fragment{Transfer: 1, Total: 515, Size: 256, Index: 2, Data: []byte("abc")}, wire.FragmentAck{Transfer: 1, Base: 1, Limit: 9}, wire.Stop{Transfer: 1},
		wire.Probe{ID: 1}, wire.ProbeAck{ID: 1},
	} {
		f.Add(msg.Append(nil), true)
	}
	for _, m := range strangersMessages(addrOf(1)) {
		f.Add(m.msg.Append(nil), false)
	}
	number := uint64(0)
	f.Fuzz(func(t *testing.T, messages []byte, onLink bool) {
		number += 2
		h := wire.Header{TableVersion: 1, Cluster: node.cluster, Sender: peer, Receiver: node.boot, Number: number}
		if !onLink {
			h.Sender = number // somebody new
		}
		if len(messages) > 8000 {
			return
		}
		conn.in <- append(wire.AppendHeader(nil, h), messages...)
		sum, err := Call[int](context.Background(), node.Caller("add"), 1, 2)
		require.NoError(t, err)
		require.Equal(t, 3, sum)
	})
}
