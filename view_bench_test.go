package broach

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// hall is a node without goroutines that knows many peers with large tables.
type hall struct {
	*Node
	now   time.Time
	peers []*peer
}

// newHall makes one. Each peer offers so many functions that nobody else offers.
func newHall(t testing.TB, peers, rows int) *hall {
	cfg := Config{LogLevel: "off"}
	require.NoError(t, cfg.validate())
	socket, err := cfg.open(newLogQueue(cfg))
	require.NoError(t, err)
	h := &hall{Node: newNode(cfg, socket, newLogQueue(cfg)), now: time.Now()}
	t.Cleanup(func() { socket.Close() })
	for i := range peers {
		h.seat(i, rows)
	}
	h.publish(h.now)
	return h
}

// seat adds a peer.
func (h *hall) seat(i, rows int) {
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 7000)
	l := linkFrom(&h.carrier, wire.PublicKey{byte(i >> 8), byte(i)}, addr)
	p := &peer{Process: l.id, tie: tie{token: l.token}, name: "app", inc: 1}
	h.members.peers.add(p)
	h.peers = append(h.peers, p)
	h.members.holdTable(p, 1, tableOf(i, rows))
}

// tableOf is the table of the i-th peer.
func tableOf(i, rows int) (table []wire.Function) {
	for j := range rows {
		table = append(table, wire.Function{Name: fmt.Sprintf("peer%04d.function%05d", i, j), Signature: "(int, int) int"})
	}
	return table
}

// pausedOrNot is the table of the first peer as it is, and with a function that does not serve.
func pausedOrNot(rows int) (tables [2][]wire.Function) {
	tables = [2][]wire.Function{tableOf(0, rows), tableOf(0, rows)}
	tables[1][rows/2].Paused = true
	return tables
}

// A peer pauses one of its functions, and resumes it.
func BenchmarkOneRowChanges(b *testing.B) {
	for _, peers := range []int{1, 20, 200} {
		b.Run(fmt.Sprintf("rows=%d", peers*1000), func(b *testing.B) {
			h := newHall(b, peers, 1000)
			tables := pausedOrNot(1000)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				h.members.holdTable(h.peers[0], uint32(i+2), tables[i%2])
				h.publish(h.now)
			}
		})
	}
}

// 200 peers come one after the other, and each is shown.
func BenchmarkLargeTablesCome(b *testing.B) {
	for b.Loop() {
		h := newHall(b, 0, 0)
		for i := range 200 {
			h.seat(i, 1000)
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

// BenchmarkDelta takes a change of one row of a table of 10,000.
func BenchmarkDelta(b *testing.B) {
	h := newHall(b, 1, 10_000)
	p, row := h.peers[0], tableOf(0, 1)
	d := [2]wire.Delta{}
	for i := range d {
		row[0].Paused = i == 0
		d[i] = wire.Delta{Gone: wire.AppendTable(nil, nil), Added: wire.AppendTable(nil, row)}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d[i%2].Base, d[i%2].Version = p.tver, p.tver+1
		h.now = h.now.Add(time.Second)
		h.members.onDelta(h.now, p, d[i%2])
		h.members.take()
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
