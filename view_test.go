package broach

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"broach/internal/member"
	"broach/internal/race"
	"broach/internal/udp"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// What a changed row costs does not depend on how many others there are.
func TestAChangedRowCostsLittle(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates, too")
	}
	h := newHall(t, 200, 1000)
	const changes = 50
	cost := uint64(0)
	for range changes {
		h.pause(1000)
		cost += allocatedBy(func() { h.publish(h.now) })
	}
	require.Less(t, cost/changes, uint64(8<<10), "bytes, of them 1,600 for the list of the peers")
	require.Len(t, h.calling.view.Load().peers, 200)
	require.Equal(t, h.version, h.calling.view.Load().peers[0].Tver, "each change was one")
	require.NotNil(t, h.calling.view.Load().routes.get(tableOf(0, 501)[500].Name))
}

// allocatedBy is the number of bytes that f allocates.
func allocatedBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A peer that has not changed is the same in the next view, so that Watch and the routes need not look at it.
func TestUnchangedPeersAreShared(t *testing.T) {
	h := newHall(t, 3, 1)
	before := h.calling.view.Load()
	h.says(h.now, h.peers[1], 1, wire.Leave{})
	h.publish(h.now)
	after := h.calling.view.Load()
	for i := range before.peers {
		require.Equal(t, i != 1, before.peers[i] == after.peers[i], "peer %d", i)
	}
	require.Equal(t, []Event{{Kind: MemberLeft, Member: h.member(after.peers[1])}}, slices.Collect(h.changes(before, after)))
}

// Views are made at most a tenth of the time, and a mass join does not make them all the time either; the first change
// after a while is shown at once.
func TestPublishingIsPacedByItsCost(t *testing.T) {
	require.Equal(t, 100*time.Microsecond, publishGap(10, 5*time.Microsecond))
	require.Equal(t, 5*time.Millisecond, publishGap(10, 500*time.Microsecond))
	require.Equal(t, publishLate, publishGap(10, time.Minute), "what is shown is never older")

	h := newHall(t, 1, 1)
	h.loop.viewTook = 20 * time.Millisecond
	h.publishSoon()
	require.Equal(t, h.loop.published.Add(200*time.Millisecond), h.loop.publishAt)
}

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
		table = append(table, wire.Function{Name: fmt.Sprintf("peer%04d.function%05d", i, j), Signature: "(int, int) int"})
	}
	return table
}

// A peer has paused one of its functions, and resumed it: what that costs the routes. BenchmarkDelta is what it costs
// before.
func BenchmarkOneRowChanges(b *testing.B) {
	for _, peers := range []int{1, 20, 200} {
		b.Run(fmt.Sprintf("rows=%d", peers*1000), func(b *testing.B) {
			h := newHall(b, peers, 1000)
			was := h.calling.view.Load()
			h.pause(1000)
			h.publish(h.now)
			is, routes := h.calling.view.Load(), h.calling.view.Load().routes
			b.ReportAllocs()
			for b.Loop() {
				was, is = is, was
				routes = routes.follow(was.peers, is.peers, h.linking.tokens.Link)
			}
		})
	}
}

// 200 peers come one after the other, and each is shown.
func BenchmarkLargeTablesCome(b *testing.B) {
	var tables [200][]byte
	for i := range tables {
		tables[i] = wire.AppendTable(nil, tableOf(i, 1000))
	}
	for b.Loop() {
		h := newHall(b, 0, 0)
		for i, table := range tables {
			h.seat(i, table)
			h.publish(h.now)
		}
	}
}

// BenchmarkTable decodes one.
func BenchmarkTable(b *testing.B) {
	table := wire.AppendTable(nil, tableOf(0, 1000))
	b.SetBytes(int64(len(table)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.ConsumeTable(table); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRoute finds a function among so many.
func BenchmarkRoute(b *testing.B) {
	for _, peers := range []int{1, 200} {
		b.Run(fmt.Sprintf("rows=%d", peers*1000), func(b *testing.B) {
			h := newHall(b, peers, 1000)
			c := h.Caller("peer0000.function00500")
			b.ReportAllocs()
			for b.Loop() {
				if r, failed := c.route(b.Context(), h.now, h.now); r == nil || failed != nil {
					b.Fatal(failed)
				}
			}
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
	n := newNode(Config{Conn: conn}, udp.Over(conn), newJournal(Config{Logger: slog.New(slog.DiscardHandler)}))
	t.Cleanup(n.stop)
	now := time.Now()
	require.NoError(t, n.Register("more", func(x int) int { return x }))
	(<-n.loop.commands)(now)
	n.loop.tableAt = now
	l := n.connFrom(wire.PublicKey{7}, netip.MustParseAddrPort("10.0.0.1:1"))
	require.True(t, n.linking.tokens.Add(l))
	n.arrive(now, arrival{made: l})
	n.carryOut(now)
	l.told.Store(1)
	n.receive(now, inbound{Source: member.Source{Link: l.Token, Tver: 1}, from: l,
		msg: wire.Announce{Hello: wire.Hello{Addr: addrOf(1)}}})
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
