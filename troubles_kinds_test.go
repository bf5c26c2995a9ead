package broach

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// The troubles of troubles_test.go that take more than a line.

func seededBy(seeds ...string) func(*Config) { return func(cfg *Config) { cfg.Join = seeds } }

func advertising(addr string) func(*Config) { return func(cfg *Config) { cfg.Advertise = addr } }

func failsAtOnce(string) error { return errors.New("no luck") }

func isolatedFromItsSeed(b *trouble) {
	b.net.CutOneWay([]netip.AddrPort{addrOf(other)}, []netip.AddrPort{addrOf(ill)})
	b.both()
}

func badName(b *trouble) {
	b.edit = func(cfg *Config) { cfg.Logger = loggerTo(b.logs[ill], slog.LevelInfo) }
	b.startNamed(ill, newNameServer(), "nowhere")
}

// itsOwnSeed has a proxy that leads back.
func itsOwnSeed(b *trouble) {
	proxy := addrOf(7)
	b.net.Tap(func(_ time.Time, from, to netip.AddrPort, payload []byte) {
		if to == proxy {
			b.net.Inject(proxy, from, payload)
		}
	})
	b.begin(ill, nil, 7)
}

func otherKeysBothWays(b *trouble) {
	b.begin(other, keyed(keyOf(1)), ill)
	b.begin(ill, keyed(keyOf(2)), other)
}

// otherVersion has a node of version 1 ask for a link.
func otherVersion(b *trouble) {
	n := b.begin(other, nil)
	d := wire.AppendHeader(nil, wire.Header{})
	d[1] = 1
	b.net.Inject(strangerAddr, n.Addr(), d)
}

func fullCluster(b *trouble) {
	b.begin(other, func(cfg *Config) { cfg.peersMax = 1 })
	b.edit = func(*Config) {}
	b.start(2, other)
	b.settle(time.Second)
	b.begin(ill, nil, other)
}

func stoppedNode(b *trouble) {
	_, n := b.both()
	b.live()
	goOn := b.stop(n)
	time.Sleep(3 * time.Second)
	goOn()
}

func cutNode(b *trouble) {
	b.begin(other, nil)
	b.edit = func(*Config) {}
	b.start(2, other)
	n := b.begin(ill, nil, other)
	b.live()
	b.isolate(n)
}

// firewall lets what the node sends pass, but not what comes from the other one; a third reaches both.
func firewall(b *trouble) {
	o, n := b.both()
	b.edit = func(*Config) {}
	b.start(2, other)
	b.live()
	require.NoError(b.t, o.Register("f", func() {}))
	require.NoError(b.t, n.WaitFor(b.t.Context(), "f", 1))
	b.net.CutOneWay([]netip.AddrPort{o.Addr()}, []netip.AddrPort{n.Addr()})
	_, _ = n.Caller("f", Timeout(4*time.Second)).Call(b.t.Context())
}

func largeTables(b *trouble) {
	o := b.begin(other, nil)
	registerMost(b.t, o)
	n := b.begin(ill, func(cfg *Config) { cfg.Heartbeat.Margin = time.Hour })
	fillUp(b.t, n)
	b.began = time.Now()
	require.NoError(b.t, n.Join(o.Addr().String()))
}

// callsOf has the other one call a function of the node, once.
func (b *trouble) callsOf(name string, fn any, args ...any) {
	o, n := b.both()
	require.NoError(b.t, n.Register(name, fn))
	require.NoError(b.t, o.WaitFor(b.t.Context(), name, 1))
	_, err := o.Caller(name).Call(b.t.Context(), args...)
	require.Error(b.t, err)
}

// takenAway has the other one call a function in the moment in which the node stops offering it.
func takenAway(b *trouble) {
	o, n := b.both()
	b.edit = func(*Config) {}
	for _, n := range []*Node{n, b.start(2, other)} {
		require.NoError(b.t, n.Register("f", func() {}))
	}
	require.NoError(b.t, o.WaitFor(b.t.Context(), "f", 2))
	require.NoError(b.t, n.Unregister("f"))
	for range 20 {
		_, err := o.Caller("f", Balance(RoundRobin())).Call(b.t.Context())
		require.NoError(b.t, err)
	}
}

// opensACircuit has the node call a function of the other one.
func opensACircuit(b *trouble) {
	o, n := b.both()
	require.NoError(b.t, o.Register("fails", func() { panic("no luck") }))
	require.NoError(b.t, n.WaitFor(b.t.Context(), "fails", 1))
	for range 5 {
		_, err := n.Caller("fails").Call(context.Background())
		require.Error(b.t, err)
	}
}

// slowLog has a log that blocks while more is said than waits.
func slowLog(b *trouble) {
	var isStuck atomic.Bool
	isStuck.Store(true)
	n := b.begin(ill, func(cfg *Config) {
		cfg.Logger = loggerTo(writerFunc(func(p []byte) (int, error) {
			for isStuck.Load() {
				time.Sleep(time.Millisecond)
			}
			return b.logs[ill].Write(p)
		}), slog.LevelInfo)
	})
	for i := range 2 * logRoom {
		n.log.Info(fmt.Sprint("line ", i))
	}
	isStuck.Store(false)
}
