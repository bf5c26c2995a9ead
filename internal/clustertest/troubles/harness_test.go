package troubles

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// loggerTo writes lines of a level and above as text, without their times.
func loggerTo(w io.Writer, level slog.Leveler) *slog.Logger {
	timeless := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: timeless}))
}

// loggedBy gives the nodes that start from now on a log, of warnings only, besides what else they are given.
func loggedBy(c *clustertest.Cluster) *clustertest.SharedLog {
	log, edit := new(clustertest.SharedLog), c.Edit
	c.Edit = func(cfg *broach.Config) {
		edit(cfg)
		cfg.Logger = loggerTo(log, slog.LevelWarn)
	}
	return log
}

// debugged has the nodes that start from now on log all there is.
func debugged(c *clustertest.Cluster) *clustertest.SharedLog {
	log := new(clustertest.SharedLog)
	c.Edit = func(cfg *broach.Config) { cfg.Logger = loggerTo(log, slog.LevelDebug) }
	return log
}

// writerFunc is an io.Writer that does what a test wants.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// userHandler is a slog.Handler that does what a test wants instead of writing.
type userHandler func(r slog.Record)

func (h userHandler) Enabled(context.Context, slog.Level) bool      { return true }
func (h userHandler) Handle(_ context.Context, r slog.Record) error { h(r); return nil }
func (h userHandler) WithAttrs([]slog.Attr) slog.Handler            { return h }
func (h userHandler) WithGroup(string) slog.Handler                 { return h }

// handledBy gives the nodes that start from now on a Logger with such a handler.
func handledBy(c *clustertest.Cluster, h userHandler) {
	c.Edit = func(cfg *broach.Config) { cfg.Logger = slog.New(h) }
}

// logRoom is how many lines wait for a Logger that is slower than they come.
const logRoom = 256

// sayMuch has a node say so many lines in a moment, which nothing keeps few: each names a seed that its socket cannot
// send to.
func sayMuch(t require.TestingT, n *broach.Node, lines int) {
	for i := range lines {
		require.NoError(t, n.Join(fmt.Sprintf("[fd00::%x]:7000", i+1)))
	}
}

// forwardTo passes what comes to an address on to another, as a UDP proxy does.
func forwardTo(c *clustertest.Cluster, at, to netip.AddrPort) {
	conn, err := c.Net.Listen(at)
	require.NoError(c.T, err)
	go func() {
		b := make([]byte, 2000)
		for {
			size, _, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = conn.WriteToUDPAddrPort(b[:size], to)
		}
	}()
}

// knowNoNames gives this program a name server that knows no name. The resolver of package net makes a channel at the
// first look-up, which would belong to the bubble of a test.
func knowNoNames() {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go denyNames(there)
		return here, nil
	}}
	if _, err := net.LookupHost(unknownHost); err == nil {
		panic("a name is known")
	}
}

const unknownHost = "nowhere.invalid"

// denyNames answers what comes on a connection with "no such name", RFC 1035, 4.1.1 and 4.2.2.
func denyNames(conn net.Conn) {
	defer conn.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		b := make([]byte, 2+int(binary.BigEndian.Uint16(size[:])))
		if _, err := io.ReadFull(conn, b[copy(b, size[:]):]); err != nil {
			return
		}
		b[4], b[5] = 0x81, 0x83 // an answer, to a question that it was asked to pursue; recursion is there; NXDOMAIN
		if _, err := conn.Write(b); err != nil {
			return
		}
	}
}

const (
	noSeed      = "no seed has answered"
	silentFirst = 3 * time.Second // "Lines about seeds that do not answer come after 3 s"
)
