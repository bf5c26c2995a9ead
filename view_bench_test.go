package broach

import (
	"fmt"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

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
	socket, err := cfg.open(newLogQueue(cfg))
	require.NoError(t, err)
	h := &hall{Node: newNode(cfg, socket, newLogQueue(cfg)), now: time.Now(), version: 1}
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
				routes = routes.follow(was.peers, is.peers, h.linking.tokens.link)
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
