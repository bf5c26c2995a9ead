package broach

import (
	"context"
	"encoding/binary"
	"log/slog"
	"math/bits"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"broach/internal/udp"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// What nobody else may know never comes from RandSeed: a process that starts anew with it, or another with the same,
// has other keys and tokens.
func TestSecretsDoNotComeFromRandSeed(t *testing.T) {
	for _, keys := range [][][]byte{nil, {keyOf(1)}} {
		public, tokens := map[wire.PublicKey]bool{}, map[uint64]bool{}
		for range 3 {
			n, err := Start(Config{LogLevel: "off", RandSeed: 7, Keys: keys})
			require.NoError(t, err)
			public[n.linking.wires.Process.Key], tokens[n.linking.tokens.Open(0)] = true, true
			require.NoError(t, n.Close())
		}
		require.Len(t, public, 3)
		require.Len(t, tokens, 3)
	}
}

// The farewell is sent even where the reader has the link in hand, and may not get to it any more.
func TestTheFarewellIsNotLost(t *testing.T) {
	inPair(t, nil, func(c *cluster, provider, caller *Node) {
		c.until(5*time.Second, "they meet", func() bool { return allSee(c.nodes, 1) })
		for _, l := range provider.linking.tokens.All() {
			l.Lock(time.Now(), 0)
			l.Unlock()
		}
		provider.Close()
		time.Sleep(time.Millisecond)
		require.Equal(c.t, 1, count(caller, Left))
	})
}

// A simulation of a thousand nodes has a million links, and the allocator rounds up: one more field may cost 32 MiB.
func TestALinkIsSmall(t *testing.T) {
	if bits.UintSize != 64 {
		t.Skip("its pointers are smaller here")
	}
	const class = 352 // bytes, one of the allocator's
	require.LessOrEqual(t, unsafe.Sizeof(conn{}), uintptr(class))
}

// ants keeps a pool of its own from import on, whose goroutines are there before any test.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

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

// fedNode is a node that hears only what a fuzzer says.
type fedNode struct {
	*linkSide
	conn   fedConn
	askers int
}

func newFedNode(f *testing.F) *fedNode {
	conn := fedConn{make(chan []byte), make(chan struct{})}
	node, err := Start(Config{Conn: conn, LogLevel: "off", MaxMessage: 1 << 20})
	require.NoError(f, err)
	f.Cleanup(func() { node.Close() })
	require.NoError(f, node.Register("echo", func(args ...any) []any { return args }))
	require.NoError(f, node.Register("add", func(x, y int) int { return x + y }))
	return &fedNode{linkSide: &linkSide{Node: node, script: &script{addr: addrOf(0)}}, conn: conn}
}

// newcomer is a process with an Offer of the node, and the link that would come of it.
func (n *fedNode) newcomer(t testing.TB) *askerLink {
	n.askers++
	a := newAsker(t, 1+n.askers%60_000, nil)
	a.process = newAsker(t, n.askers, nil).process
	return a.take(n.linkSide, a.askAnyway(n.linkSide))
}

// feed has the node read a datagram, to the end.
func (n *fedNode) feed(b []byte) {
	n.conn.in <- b
	n.conn.in <- nil // which it takes when it is done with the one before
}

// requireAlive requires that the node answers its own calls.
func (n *fedNode) requireAlive(t *testing.T) {
	sum, err := Call[int](context.Background(), n.Caller("add"), 1, 2)
	require.NoError(t, err)
	require.Equal(t, 3, sum)
}

// What follows the header of a datagram that was opened reaches all of a node: links, calls, transfers, functions, the
// membership. Whatever it is, the node stays, and answers its own calls.
func FuzzNode(f *testing.F) {
	node := newFedNode(f)
	hello, target := wire.Hello{Inc: 1, Addr: addrOf(1)}, wire.Target{Addr: addrOf(1), Boot: 1, Inc: 1}
	request := wire.Request{Slot: 1, Seq: 1, Service: []byte("add"), Meta: wire.AppendPair(nil, "k", []byte("v")),
		Args: []byte{0x92, 1, 2}}
	for _, msg := range []interface{ Append([]byte) []byte }{
		request, wire.Send(request), wire.Request{Service: []byte(tableService), Args: []byte{0x90}},
		wire.Request{Service: []byte("echo"), Args: []byte{0x91, 0x91, 0xc0}},
		wire.Reply{Slot: 0, Seq: 1, Code: 1, Causes: wire.AppendPair(nil, "k", []byte{1}), Body: []byte("no")},
		wire.Poll{Slot: 1, Seq: 1}, wire.Cancel{Slot: 1, Seq: 1},
		wire.Fragment{Transfer: 1, Total: 515, Size: 256, Index: 2, Data: []byte("abc")}, wire.FragmentAck{Transfer: 1,
			Base: 1, Limit: 9},
		wire.Stop{Transfer: 1}, wire.Probe{ID: 1}, wire.ProbeAck{ID: 1},
		wire.Join{Nonce: 1}, wire.List{Echo: 1, Count: 1, Entries: []wire.Process{{Addr: addrOf(9), Boot: 9}}},
		wire.Announce{Hello: hello}, wire.Welcome{Answers: 1,
			Hello: hello}, wire.Ack{Seen: 1}, wire.Beat{Seq: 1}, wire.Ping{}, wire.Pong{},
		wire.Leave{}, wire.Drain{}, wire.Suspect{Target: target}, wire.Help{Target: target},
	} {
		f.Add(msg.Append(nil), false)
		f.Add(msg.Append(nil), true)
	}
	link := node.newcomer(f)
	f.Fuzz(func(t *testing.T, messages []byte, confirm bool) {
		if len(messages) > 8000 {
			return
		}
		if confirm || node.linking.tokens.Link(link.token) == nil { // it has left, or was closed
			link = node.newcomer(t)
			node.feed(link.confirm(nil, messages))
		} else {
			node.feed(link.say(messages))
		}
		node.requireAlive(t)
	})
}

// Whatever an Open has, the node stays.
func FuzzOpen(f *testing.F) {
	node := newFedNode(f)
	a := newAsker(f, 1, nil)
	f.Add(a.open(node.linkSide, nil))
	f.Add(a.open(node.linkSide, func(m *wire.Open) { m.Addr = netip.AddrPortFrom(netip.IPv6Unspecified(), 1) }))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 3 {
			b[3] = byte(wire.FormOpen)
		}
		node.feed(b)
		node.requireAlive(t)
		require.Zero(t, node.linking.tokens.Len(), "an Open leaves nothing behind")
	})
}

// Whatever the Offer has that answers an Open, the node stays.
func FuzzOffer(f *testing.F) {
	node := newFedNode(f)
	a := newAsker(f, 1, nil)
	f.Add(wire.AppendOffer(nil, wire.Offer{Rank: 1, Token: 1, Key: a.process.Key, Addr: addrOf(1), Observed: addrOf(0)}), false)
	f.Add(wire.AppendOffer(nil, wire.Offer{Rank: 1, Token: 1, Key: a.process.Key, Addr: addrOf(2), Observed: addrOf(0)}), true)
	at := 0
	f.Fuzz(func(t *testing.T, b []byte, isSeed bool) {
		at++
		to, opening := addrOf(1+at%60_000), make(chan uint64, 1)
		require.NoError(t, node.do(func(now time.Time) {
			defer close(opening)
			node.loop.members.SetSeeds(now, []netip.AddrPort{to}, false)
			node.loop.members.Tick(now)
			for _, o := range node.loop.members.OpensToSeeds(1) {
				opening <- o.Token
			}
			node.carryOut(now)
		}))
		token, ok := <-opening
		if len(b) != wire.OpenSize || !ok {
			return
		}
		b[3] = byte(wire.FormOffer)
		binary.BigEndian.PutUint64(b[8:], token)
		if !isSeed {
			copy(b[64:], wire.AppendAddr(nil, to))
		}
		node.feed(b)
		node.requireAlive(t)
	})
}

// Whatever a Confirm has, the node stays, and makes no link unless all is right.
func FuzzConfirm(f *testing.F) {
	node := newFedNode(f)
	f.Add(make([]byte, wire.ConfirmSize), wire.Ping{}.Append(nil))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 1}, []byte{})
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
			require.Nil(t, node.linking.tokens.Link(link.token))
		}
	})
}

// A node that is closed waits for its look-ups, which end at once.
func TestLookUpsEndWithTheNode(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		conn, err := c.net.Listen(addrOf(0))
		require.NoError(t, err)
		cfg := Config{Conn: conn, Join: []string{"dead:7000"}, Logger: slog.New(slog.DiscardHandler)}
		n := newNode(cfg, udp.Over(conn), newLogQueue(cfg))
		var waiting atomic.Int64
		n.loop.seeds.lookUp = func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
			waiting.Add(1)
			defer waiting.Add(-1)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		n.serve()
		c.nodes = append(c.nodes, n)
		synctest.Wait()
		require.Equal(t, int64(2), waiting.Load())
		start := time.Now()
		require.NoError(t, n.Close())
		require.Zero(t, waiting.Load())
		require.Zero(t, time.Since(start))
	})
}

// [LNK-1] If B has no room for another peer, and no link at that address, rank and token B are 0.
func TestAFullNodeSaysSo(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.edit = func(cfg *Config) { cfg.peersMax = 2 }
		full := c.start(0)
		c.edit = func(*Config) {}
		c.start(1, 0)
		mortal := c.start(2, 0)
		c.settle(time.Second)
		late := c.start(3, 1)
		c.until(time.Second, "the others let it in", func() bool { return count(late, Alive) == 2 })
		sent := 0
		c.net.Tap(func(_ time.Time, from, to netip.AddrPort, _ []byte) {
			if from == late.Addr() && to == full.Addr() {
				sent++
			}
		})
		time.Sleep(10 * time.Minute)
		require.Equal(t, 2, count(late, Alive))
		require.Equal(t, 2, count(full, Alive))
		require.LessOrEqual(t, sent, 12, "one Open a minute, as it is named")

		c.kill(mortal)
		took := c.until(3*time.Minute, "there is room", func() bool {
			return full.linkWith(late) != nil && late.linkWith(full) != nil
		})
		t.Log("it is in after", took)
		require.Equal(t, Alive, memberAt(full, late.Addr()).State)
		require.Equal(t, Alive, memberAt(late, full.Addr()).State)
	})
}
