package attacks

import (
	"context"
	"encoding/binary"
	"iter"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"broach"
	"broach/internal/intruder"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// fedConn is a socket that is fed by hand, and keeps what is to be sent.
type fedConn struct {
	in     chan []byte
	closed chan struct{}
	opened chan intruder.Open // the last one of the node

	mu   sync.Mutex // protects said: the reader, the loop and the test
	said [][]byte   // handshakes, the last ones
}

func (c *fedConn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case d := <-c.in:
		return copy(b, d), strangerAt, nil
	case <-c.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

func (c *fedConn) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	if o, ok := intruder.ParseOpen(b); ok {
		select {
		case <-c.opened:
		default:
		}
		c.opened <- o // only the loop opens
	}
	if form := intruder.Form(b); form == intruder.FormOffer || form == intruder.FormConfirm {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.said = append(c.said, slices.Clone(b))
	}
	return len(b), nil
}

func (c *fedConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(nodeAddr(0)) }
func (c *fedConn) Close() error        { close(c.closed); return nil }

// take returns the Offers and Confirms since the last take.
func (c *fedConn) take() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	said := c.said
	c.said = nil
	return said
}

// fedNode is a node that hears only what a fuzzer says.
type fedNode struct {
	*broach.Node
	conn   *fedConn
	askers int
}

func newFedNode(t testing.TB, join ...string) *fedNode {
	conn := &fedConn{in: make(chan []byte), closed: make(chan struct{}), opened: make(chan intruder.Open, 1)}
	node, err := broach.Start(broach.Config{Conn: conn, Join: join, LogLevel: "off", MaxMessage: 1 << 20})
	require.NoError(t, err)
	require.NoError(t, node.Register("echo", func(args ...any) []any { return args }))
	require.NoError(t, node.Register("add", func(x, y int) int { return x + y }))
	require.NoError(t, node.Register("talk", func(in iter.Seq2[any, error]) iter.Seq2[any, error] { return in }))
	return &fedNode{Node: node, conn: conn}
}

// feed has the node read a datagram, to the end.
func (n *fedNode) feed(b []byte) {
	n.conn.in <- b
	n.conn.in <- nil // which it takes when it is done with the one before
}

// requireAlive requires that the node answers its own calls.
func (n *fedNode) requireAlive(t *testing.T) {
	sum, err := broach.Call[int](context.Background(), n.Caller("add"), 1, 2)
	require.NoError(t, err)
	require.Equal(t, 3, sum)
}

// fedLink is the link that would come of an Offer of the node. Nobody seals anything.
type fedLink struct{ *intruder.Link }

// confirm is its next datagram, a Confirm.
func (l fedLink) confirm(messages []byte) []byte { return append(l.Next(), messages...) }

// say is its next datagram, none that confirms it.
func (l fedLink) say(messages []byte) []byte {
	l.Number++
	return append(linkHead(l.Theirs, l.Number), messages...)
}

// linkHead begins a datagram of a link, with no version of a table: the node asks for none.
func linkHead(token, number uint64) []byte {
	return wire.AppendHeader(nil, wire.Header{Token: token, Number: number})
}

// newcomer is a process that has an Offer of the node. There is none while the node has made as many as it does within
// a second, or has no room: such an input is skipped.
func (n *fedNode) newcomer(t testing.TB) fedLink {
	t.Helper()
	n.askers++
	addr := netip.AddrPortFrom(badAddr(n.askers%15_000).Addr(), uint16(6000+n.askers%50_000))
	p := intruder.NewProcess(addr, "default", nil, uint64(n.askers))
	open := intruder.Open{Process: *p, Number: 1, Token: p.Token()}
	n.conn.take()
	n.feed(open.Bytes())
	for _, b := range n.conn.take() {
		if o, ok := intruder.ParseOffer(b); ok && o.Asker == open.Token && o.Token != 0 {
			l := fedLink{p.Began(open, o)}
			l.Table = 0
			return l
		}
	}
	t.Skip("no Offer")
	return fedLink{}
}

// knows reports whether the node has a link on which it gets datagrams with a token. What it is asked with is nothing
// that a link would take.
func (n *fedNode) knows(token uint64) bool {
	before := n.Stats().Strangers
	n.feed(linkHead(token, 0))
	return n.Stats().Strangers == before
}

// messages are several in a datagram.
type messages []interface{ Append([]byte) []byte }

func (list messages) Append(b []byte) []byte {
	for _, m := range list {
		b = m.Append(b)
	}
	return b
}

// What follows the header of a datagram that was opened reaches all of a node: links, calls, transfers, functions, the
// membership. Whatever it is, the node stays, and answers its own calls.
func FuzzNode(f *testing.F) {
	node := newFedNode(f)
	f.Cleanup(func() { node.Close() })
	addr := nodeAddr(1)
	hello, target := wire.Hello{Inc: 1, Addr: addr}, wire.Target{Addr: addr, Boot: 1, Inc: 1}
	request := wire.Request{Slot: 1, Seq: 1, Service: []byte("add"), Meta: wire.AppendPair(nil, "k", []byte("v")),
		Args: []byte{0x92, 1, 2}}
	talk := wire.Request{Slot: 2, Seq: 1, Service: []byte("talk"), Args: []byte{0x90},
		Meta: wire.Streams{HasIn: true, HasOut: true, In: 1, Out: 256}.AppendPairs(nil)}
	chunk := wire.Chunk{Transfer: 1, Slot: 2, Seq: 1, FromCaller: true, Data: []byte{2, 0x91, 1}}
	last := wire.Chunk{Transfer: 2, Slot: 2, Seq: 1, FromCaller: true, GoesOn: true, Last: true}
	for _, msg := range []interface{ Append([]byte) []byte }{
		talk, chunk, last, messages{talk, chunk, last}, messages{talk, chunk, wire.Stop{Transfer: 1, ByReceiver: true}},
		request, wire.Send(request), wire.Request{Service: []byte("\x00table"), Args: []byte{0x90}},
		wire.Request{Service: []byte("echo"), Args: []byte{0x91, 0x91, 0xc0}},
		wire.Reply{Slot: 0, Seq: 1, Code: 1, Causes: wire.AppendPair(nil, "k", []byte{1}), Body: []byte("no")},
		wire.Poll{Slot: 1, Seq: 1}, wire.Cancel{Slot: 1, Seq: 1},
		wire.Fragment{Transfer: 1, Total: 515, Size: 256, Index: 2, Data: []byte("abc")},
		wire.FragmentAck{Transfer: 1, Base: 1, Limit: 9},
		wire.Stop{Transfer: 1}, wire.Probe{ID: 1}, wire.ProbeAck{ID: 1},
		wire.Join{Nonce: 1}, wire.List{Echo: 1, Count: 1, Entries: []wire.Process{{Addr: nodeAddr(9), Boot: 9}}},
		wire.Announce{Hello: hello}, wire.Welcome{Answers: 1, Hello: hello}, wire.Ack{Seen: 1}, wire.Beat{Seq: 1},
		wire.Ping{}, wire.Pong{}, wire.Leave{}, wire.Drain{}, wire.Suspect{Target: target}, wire.Help{Target: target},
	} {
		f.Add(msg.Append(nil), false)
		f.Add(msg.Append(nil), true)
	}
	link := node.newcomer(f)
	f.Fuzz(func(t *testing.T, messages []byte, confirm bool) {
		if len(messages) > 8000 {
			return
		}
		if confirm || !node.knows(link.Theirs) { // it has left, or was closed
			link = node.newcomer(t)
			node.feed(link.confirm(messages))
		} else {
			node.feed(link.say(messages))
		}
		node.requireAlive(t)
	})
}

// Whatever an Open has, the node stays.
func FuzzOpen(f *testing.F) {
	node := newFedNode(f)
	f.Cleanup(func() { node.Close() })
	p := intruder.NewProcess(badAddr(1), "default", nil, 1)
	f.Add(intruder.Open{Process: *p, Number: 1, Token: 1}.Bytes())
	p.Addr = netip.AddrPortFrom(netip.IPv6Unspecified(), 1)
	f.Add(intruder.Open{Process: *p, Number: 1, Token: 1}.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 3 {
			b[3] = intruder.FormOpen
		}
		node.conn.take()
		node.feed(b)
		node.requireAlive(t)
		for _, answer := range node.conn.take() {
			o, ok := intruder.ParseOffer(answer)
			require.True(t, ok)
			require.False(t, node.knows(o.Token), "an Open leaves nothing behind")
		}
	})
}

// Whatever the Offer has that answers an Open, the node stays.
func FuzzOffer(f *testing.F) {
	seed := badAddr(1)
	p := intruder.NewProcess(seed, "default", nil, 1)
	offer := intruder.Offer{Rank: 1, Token: 1, Public: p.Public, Addr: seed, Observed: nodeAddr(0)}
	f.Add(offer.Bytes(), false)
	offer.Addr = badAddr(2)
	f.Add(offer.Bytes(), true)
	f.Fuzz(func(t *testing.T, b []byte, isSeed bool) {
		if len(b) != intruder.HandshakeSize {
			return
		}
		node := newFedNode(t, seed.String()) // an opening looks at few Offers
		defer node.Close()
		b[3] = intruder.FormOffer
		binary.BigEndian.PutUint64(b[8:], (<-node.conn.opened).Token)
		if !isSeed {
			copy(b[64:], wire.AppendAddr(nil, seed))
		}
		node.feed(b)
		node.requireAlive(t)
	})
}

// Whatever a Confirm has, the node stays, and makes no link unless all is right.
func FuzzConfirm(f *testing.F) {
	node := newFedNode(f)
	f.Cleanup(func() { node.Close() })
	f.Add(make([]byte, intruder.ConfirmHead), wire.Ping{}.Append(nil))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 1}, []byte{})
	f.Add(append(make([]byte, intruder.ConfirmHead-1), 1), []byte{})
	f.Fuzz(func(t *testing.T, mask, messages []byte) {
		link := node.newcomer(t)
		b := link.confirm(nil)
		changed := false
		for i := 4; i < min(len(mask), len(b)); i++ {
			b[i] ^= mask[i]
			changed = changed || mask[i] != 0 && (i >= 8 && i < 16 || i >= wire.HeaderSize)
		}
		node.feed(append(b, messages[:min(len(messages), 1000)]...))
		node.requireAlive(t)
		if changed {
			require.False(t, node.knows(link.Theirs))
		}
	})
}
