package member

import (
	"math/rand/v2"
	"testing"
	"time"

	"broach/internal/wire"
)

// BenchmarkDelta takes a change of one row of a table of 10,000.
func BenchmarkDelta(b *testing.B) {
	now := time.Now()
	m := New(Config{Self: siteOf(0), Boot: 1, Heartbeat: usual, MaxPeers: PeersMax}, now, rand.New(rand.NewPCG(5, 5)))
	p := &peer{Process: wire.Process{Boot: 2, Addr: siteOf(1)}, tie: tie{token: 1}, name: "app", inc: 1}
	m.peers.addPeer(p)
	m.holdTable(p, 1, rowsOf(upTo(wire.MaxFunctions)...))
	row := rowsOf(0)
	d := [2]wire.Delta{}
	for i := range d {
		row[0].Paused = i == 0
		d[i] = wire.Delta{Gone: wire.AppendTable(nil, nil), Added: wire.AppendTable(nil, row)}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d[i%2].Base, d[i%2].Version = p.tver, p.tver+1
		now = now.Add(time.Second)
		m.onDelta(now, p, d[i%2])
		m.Take()
	}
}
