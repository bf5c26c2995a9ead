package troubles

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/intruder"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// The troubles of troubles_test.go that take more than a line.

func seededBy(seeds ...string) func(*broach.Config) {
	return func(cfg *broach.Config) { cfg.Join = seeds }
}

func advertising(addr string) func(*broach.Config) {
	return func(cfg *broach.Config) { cfg.Advertise = addr }
}

func inCluster(name string) func(*broach.Config) {
	return func(cfg *broach.Config) { cfg.Cluster = name }
}

func isolatedFromItsSeed(b *trouble) {
	b.Net.CutOneWay([]netip.AddrPort{clustertest.AddrOf(other)}, []netip.AddrPort{clustertest.AddrOf(ill)})
	b.both()
}

func badName(b *trouble) {
	b.begin(ill, seededBy(unknownHost+":7000"))
}

// itsOwnSeed has a proxy that leads back.
func itsOwnSeed(b *trouble) {
	proxy := clustertest.AddrOf(7)
	b.Net.Tap(func(_ time.Time, from, to netip.AddrPort, payload []byte) {
		if to == proxy {
			b.Net.Inject(proxy, from, payload)
		}
	})
	b.begin(ill, nil, 7)
}

func otherKeysBothWays(b *trouble) {
	b.begin(other, keyed(key), ill)
	b.begin(ill, keyed(otherKey), other)
}

// otherVersion has a node of version 1 ask for a link.
func otherVersion(b *trouble) {
	n := b.begin(other, nil)
	d := wire.AppendHeader(nil, wire.Header{})
	d[1] = 1
	b.Net.Inject(clustertest.StrangerAddr, n.Addr(), d)
}

func stoppedNode(b *trouble) {
	_, n := b.both()
	b.live()
	goOn := b.Stop(n)
	time.Sleep(3 * time.Second)
	goOn()
}

func cutNode(b *trouble) {
	b.begin(other, nil)
	b.Edit = func(*broach.Config) {}
	b.Start(2, other)
	n := b.begin(ill, nil, other)
	b.live()
	b.Isolate(n)
}

// absentSeed has a seed beside the other one that does not run.
func absentSeed(b *trouble) {
	b.begin(other, nil)
	b.begin(ill, nil, other, 7)
	time.Sleep(time.Minute)
	b.began = time.Now()
}

// firewall lets what the node sends pass, but not what comes from the other one; a third reaches both.
func firewall(b *trouble) {
	o, n := b.both()
	b.Edit = func(*broach.Config) {}
	b.Start(2, other)
	b.live()
	require.NoError(b.T, o.Register("f", func() {}))
	require.NoError(b.T, n.WaitFor(b.T.Context(), "f", 1))
	b.Net.CutOneWay([]netip.AddrPort{o.Addr()}, []netip.AddrPort{n.Addr()})
	_, _ = n.Caller("f", broach.Timeout(4*time.Second)).Call(b.T.Context())
}

// largeTables has members take all the room that there is for their functions, before the other one comes with as many.
func largeTables(b *trouble) {
	o := b.begin(other, nil)
	for i := range tableMost {
		require.NoError(b.T, o.Register(functionName(i), func() {}))
	}
	n := b.begin(ill, nil)
	b.fillUp(n)
	b.began = time.Now()
	require.NoError(b.T, n.Join(o.Addr().String()))
}

// "service tables of all peers: 200,000 rows", "service table of a peer: 10,000 rows".
const tablesMost, tableMost = 200_000, 10_000

func functionName(i int) string { return fmt.Sprintf("function%05d", i) }

// fillUp makes members of a node that offer so much together as it takes.
func (b *trouble) fillUp(n *broach.Node) {
	var names []string
	for i := range tableMost {
		names = append(names, functionName(i))
	}
	table := intruder.Table(names...)
	for i := range tablesMost / tableMost {
		b.member(n, i, table)
	}
	require.NoError(b.T, n.WaitFor(b.T.Context(), functionName(0), tablesMost/tableMost))
}

// member makes the i-th process that is no node of ours a member of a node, with a table. It hears of no other members.
func (b *trouble) member(n *broach.Node, i int, table []byte) {
	addr := clustertest.AddrOf(100 + i)
	conn, err := b.Net.Listen(addr)
	require.NoError(b.T, err)
	m := intruder.Start(conn, intruder.NewProcess(addr, "default", nil, uint64(1000+i)), func(m *intruder.Intruder) {
		m.Table = table
		m.Hear = func(_ *intruder.Link, m intruder.Message) ([]intruder.Message, bool) {
			return nil, m.Kind == intruder.KindList
		}
	})
	b.T.Cleanup(m.Close)
	_, ok := m.Link(n.Addr())
	require.True(b.T, ok)
}

// callsOf has the other one call a function of the node, once.
func (b *trouble) callsOf(name string, fn any, args ...any) {
	o, n := b.both()
	require.NoError(b.T, n.Register(name, fn))
	require.NoError(b.T, o.WaitFor(b.T.Context(), name, 1))
	_, err := o.Caller(name).Call(b.T.Context(), args...)
	require.Error(b.T, err)
}

func panics(b *trouble) { b.callsOf("fails", func(string) { panic("no luck") }, "Sesame") }

func fails(b *trouble) {
	b.callsOf("fails", func(string) error { return errors.New("no luck") }, "Sesame")
}

func misfits(b *trouble) { b.callsOf("half", func(x int) int { return x / 2 }, "Sesame") }

// skews has the other one call with a struct of another version.
func skews(b *trouble) {
	type order struct{ Item string }
	b.callsOf("place", func(order) error { return errors.New("sold out") }, struct{ Item, Note string }{})
}

// takenAway has the other one call a function in the moment in which the node stops offering it.
func takenAway(b *trouble) {
	o, n := b.both()
	b.Edit = func(*broach.Config) {}
	for _, n := range []*broach.Node{n, b.Start(2, other)} {
		require.NoError(b.T, n.Register("f", func() {}))
	}
	require.NoError(b.T, o.WaitFor(b.T.Context(), "f", 2))
	require.NoError(b.T, n.Unregister("f"))
	for range 20 {
		_, err := o.Caller("f", broach.Balance(broach.RoundRobin())).Call(b.T.Context())
		require.NoError(b.T, err)
	}
}

// opensACircuit has the node call a function of the other one.
func opensACircuit(b *trouble) {
	o, n := b.both()
	require.NoError(b.T, o.Register("fails", func() { panic("no luck") }))
	require.NoError(b.T, n.WaitFor(b.T.Context(), "fails", 1))
	for range 5 {
		_, err := n.Caller("fails").Call(context.Background())
		require.Error(b.T, err)
	}
}

// slowLog has a log that blocks while more is said than waits.
func slowLog(b *trouble) {
	var isStuck atomic.Bool
	isStuck.Store(true)
	n := b.begin(ill, func(cfg *broach.Config) {
		cfg.Logger = loggerTo(writerFunc(func(p []byte) (int, error) {
			for isStuck.Load() {
				time.Sleep(time.Millisecond)
			}
			return b.logs[ill].Write(p)
		}), slog.LevelInfo)
	})
	sayMuch(b.T, n, 2*logRoom)
	isStuck.Store(false)
}
