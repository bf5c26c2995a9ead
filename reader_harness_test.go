package broach

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/buffer"
	"broach/internal/codec"
	"broach/internal/handshake"
	"broach/internal/link"
	"broach/internal/member"
	"broach/internal/udp"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// script is a transport that keeps what is sent until the test says what becomes of it.
type script struct {
	addr    netip.AddrPort
	counts  udp.Stats
	sending func() // called before each Send; nil: nothing

	mu   sync.Mutex
	sent [][]byte
	to   []netip.AddrPort // where that went
}

func (s *script) Receive([]udp.Datagram, bool) (int, error) { panic("the test delivers") }
func (s *script) Waited() bool                              { return true }
func (s *script) LocalAddr() netip.AddrPort                 { return s.addr }
func (s *script) Stats() *udp.Stats                         { return &s.counts }
func (s *script) Close() error                              { return nil }

func (s *script) Send(out []udp.Datagram) (int, error) {
	if s.sending != nil {
		s.sending()
	}
	s.mu.Lock()
	for _, d := range out {
		s.sent, s.to = append(s.sent, slices.Concat(d.B, d.Tail)), append(s.to, d.Addr)
	}
	s.mu.Unlock()
	return len(out), nil
}

// take returns what was sent since the last take.
func (s *script) take() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := s.sent
	s.sent, s.to = nil, nil
	return sent
}

// takeAddressed is take with the addresses that it goes to.
func (s *script) takeAddressed() (out []udp.Datagram) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, b := range s.sent {
		out = append(out, udp.Datagram{Addr: s.to[i], B: b})
	}
	s.sent, s.to = nil, nil
	return out
}

// linkSide is one end of a link: a node that does not run. The test hands datagrams to its reader and steps its link.
type linkSide struct {
	*Node
	script *script
	reader *reader
	link   *conn // to the other side
}

func side(t testing.TB, i int, cfg Config) *linkSide {
	s := &script{addr: addrOf(i)}
	cfg.Logger = slog.New(slog.DiscardHandler)
	if cfg.Keys == nil {
		cfg.RandSeed = uint64(i + 1)
	}
	require.NoError(t, cfg.validate())
	n := newNode(cfg, s, newJournal(cfg))
	t.Cleanup(n.stop)
	return &linkSide{Node: n, script: s, reader: newReader(n)}
}

// onLinkPair runs a test with two ends of a link: a calls functions of b. It runs in a bubble, so time passes only by
// sleeping.
func onLinkPair(t *testing.T, cfg Config, test func(t *testing.T, a, b *linkSide)) {
	synctest.Test(t, func(t *testing.T) {
		a, b := side(t, 1, cfg), side(t, 2, cfg)
		defer a.serving.pool.Close(time.Hour)
		defer b.serving.pool.Close(time.Hour)
		time.Sleep(time.Millisecond) // the clock of the timers begins at 1 ns: round times are easier to test
		connect(a, b)
		test(t, a, b)
	})
}

// connect makes the sides know each other by a link that a has begun.
func connect(a, b *linkSide) {
	terms := &handshake.Terms{
		Cluster: a.linking.wires.Cluster, Rank: 1, TokenA: a.linking.tokens.Open(1), KeyA: a.linking.wires.Process.Key,
		AddrA:  a.script.addr,
		TokenB: b.linking.tokens.Open(0), KeyB: b.linking.wires.Process.Key, AddrB: b.script.addr,
	}
	a.link, b.link = born(a, terms, true), born(b, terms, false)
	a.hear(forge(b, a)) // now it is sure of the link
}

// born makes a link.
func born(s *linkSide, terms *handshake.Terms, began bool) *conn {
	l, err := newConn(time.Now(), &s.linking.wires, terms, began, nil, 1)
	if err != nil || !s.linking.tokens.Add(l) {
		panic("the link could not be made")
	}
	l.known = true
	return l
}

// offer makes a function callable.
func (s *linkSide) offer(t *testing.T, name string, fn any) {
	f, err := newService(name, fn)
	require.NoError(t, err)
	_, err = s.serving.offered.addFunction(name, f)
	require.NoError(t, err)
}

// requestFrame is a Request as a caller makes it.
func requestFrame(service string, args []any) *buffer.Buffer {
	frame := buffer.New()
	frame.B = wire.Request{Service: []byte(service)}.Append(frame.B)
	var err error
	if frame.B, err = (codec.Arguments{List: args}).Append(frame.B, maxMessageMost); err != nil {
		panic(err)
	}
	frame.B = wire.SetLength(frame.B)
	return frame
}

// callOfF is an encoded Request for f without arguments.
func callOfF(slot uint16, seq uint32) []byte {
	return wire.Request{Slot: slot, Seq: seq, Remaining: 10000, Service: []byte("f"), Args: []byte{0x90}}.Append(nil)
}

// scriptedCall is a call under way.
type scriptedCall struct {
	*link.Call
	slot uint16
	seq  uint32
}

// call begins a call with that much time left.
func (s *linkSide) call(t *testing.T, left time.Duration, service string, args ...any) *scriptedCall {
	t.Helper()
	c := &scriptedCall{Call: s.linking.wires.NewCall()}
	frame := requestFrame(service, args)
	now := time.Now()
	wire.SetRemaining(frame.B, link.Remaining(now, now.Add(left)))
	var err error
	c.slot, c.seq, err = s.link.Send(now, now.Add(left), frame, c.Call)
	require.NoError(t, err)
	return c
}

// over reports whether the call has ended.
func (c *scriptedCall) over() bool { return len(c.Done) == 1 }

// require checks how the call ended.
func (c *scriptedCall) require(t *testing.T, code Code, executed Executed) {
	t.Helper()
	require.True(t, c.over(), "the call has not ended")
	require.Equal(t, wire.Code(code), c.Code, "%s", c.Body)
	if code != 0 {
		require.Equal(t, wire.Executed(executed), c.Executed)
	}
}

// hear gives datagrams to the side, as one batch, and lets its workers work.
func (s *linkSide) hear(datagrams ...[]byte) { s.hearFrom(netip.AddrPort{}, datagrams...) }

// hearFrom is hear with an address that they come from.
func (s *linkSide) hearFrom(from netip.AddrPort, datagrams ...[]byte) {
	s.linking.gate.Begin(time.Now())
	for _, b := range datagrams {
		s.reader.datagram(time.Now(), udp.Datagram{Addr: from, B: append([]byte(nil), b...)}) // it is opened in place
	}
	s.reader.finish()
	synctest.Wait()
}

// step lets time pass, and the loop step the link.
func (s *linkSide) step(d time.Duration) {
	time.Sleep(d)
	s.linking.wires.Timers.Run(time.Now())
	synctest.Wait()
}

// shuttle delivers everything both ways until nobody says anything any more.
func shuttle(a, b *linkSide) (datagrams int) {
	for {
		toB, toA := a.script.take(), b.script.take()
		if len(toA)+len(toB) == 0 {
			return datagrams
		}
		datagrams += len(toA) + len(toB)
		b.hear(toB...)
		a.hear(toA...)
	}
}

// repliesIn tells what the Replies in datagrams say, in words.
func repliesIn(datagrams [][]byte) (all []string) {
	for _, d := range datagrams {
		for _, body := range bodiesIn(d, wire.KindReply) {
			if m, err := wire.ConsumeReply(body); err == nil {
				all = append(all, fmt.Sprintf("Reply %d/%d code %d executed %d", m.Slot, m.Seq, m.Code, m.Executed))
			}
		}
	}
	return all
}

// forge makes a datagram on the link from one side to the other, with the next number.
func forge(from, to *linkSide, encoded ...[]byte) []byte {
	before := from.script.take()
	from.link.Queue(encodedMessage(slices.Concat(encoded...)))
	from.link.FlushQueue()
	sent := from.script.take()
	from.script.sent = before
	return sent[0]
}

// encodedMessage is what a link takes for a message of the membership, and sends as it is.
type encodedMessage []byte

func (encodedMessage) Kind() wire.Kind          { return wire.KindBeat }
func (m encodedMessage) Append(b []byte) []byte { return append(b, m...) }

// hall is a node without goroutines that knows many peers with large tables.
type hall struct {
	*Node
	now     time.Time
	peers   []*conn
	version uint32 // of the first one's table
}

// newHall makes one. Each peer offers so many functions that nobody else offers.
func newHall(t testing.TB, peers, rows int) *hall {
	cfg := Config{LogLevel: "off"}
	require.NoError(t, cfg.validate())
	socket, err := cfg.open(newJournal(cfg))
	require.NoError(t, err)
	h := &hall{Node: newNode(cfg, socket, newJournal(cfg)), now: time.Now(), version: 1}
	t.Cleanup(func() { socket.Close() })
	for i := range peers {
		h.seat(i, wire.AppendTable(nil, tableOf(i, rows)))
	}
	h.publish(h.now)
	return h
}

// seat adds a peer, which gets no answer.
func (h *hall) seat(i int, table []byte) {
	h.peers = append(h.peers, h.Node.seat(h.now, i, table))
	h.loop.members.Take()
}

// pause has the first peer pause one of its functions, and the next time resume it.
func (h *hall) pause(rows int) {
	row := tableOf(0, rows)[rows/2:][:1]
	row[0].Paused = h.version%2 == 1
	h.now = h.now.Add(time.Second) // so many changes are taken, [TAB-8]
	h.version++
	h.says(h.now, h.peers[0], h.version, wire.Delta{
		Base: h.version - 1, Version: h.version, Gone: wire.AppendTable(nil, nil), Added: wire.AppendTable(nil, row),
	})
	h.loop.members.Take()
}

// tableOf is the table of the i-th peer.
func tableOf(i, rows int) (table []wire.Function) {
	for j := range rows {
		name := fmt.Sprintf("peer%04d.function%05d", i, j)
		table = append(table, wire.Function{Name: name, Signature: "(int, int) int"})
	}
	return table
}

// seat has a node believe in a peer that there is not: a link to it leads nowhere, and what it says is given to the
// membership. Who is to believe in it for long must not miss its beats.
func (n *Node) seat(now time.Time, i int, table []byte) *conn {
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 7000)
	l := n.connFrom(wire.PublicKey{byte(i >> 8), byte(i)}, addr)
	if !n.linking.tokens.Add(l) {
		panic("the link has no place")
	}
	n.loop.members.Made(now, l.ID, l.Token, l.Order())
	n.says(now, l, 1, wire.Announce{Hello: wire.Hello{Inc: 1, Addr: addr, Name: "app", HasTable: true, Table: table}})
	return l
}

// connFrom is a link that a process with a public key has begun, which is in no table yet.
func (n *Node) connFrom(key wire.PublicKey, addr netip.AddrPort) *conn {
	l, err := newConn(time.Now(), &n.linking.wires, &handshake.Terms{
		Rank: 1, Stamp: n.linking.wires.Process.Stamp(time.Now()), TokenA: 0xa, KeyA: key, AddrA: addr,
		TokenB: n.draw() | 1, KeyB: n.linking.wires.Process.Key,
	}, false, nil, 1)
	if err != nil {
		panic("the link could not be made")
	}
	return l
}

// says has a peer say something on its link, under a version of its table: to the membership, without a datagram.
func (n *Node) says(now time.Time, l *conn, version uint32, msg wire.Message) {
	n.loop.members.Receive(now, member.Source{Addr: l.ID.Addr, Link: l.Token, Tver: version}, msg)
}
