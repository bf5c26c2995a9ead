package broach

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// debugged has the nodes that start from now on log all there is.
func (c *cluster) debugged() *sharedLog {
	log := new(sharedLog)
	c.edit = func(cfg *Config) { cfg.Logger = loggerTo(log, slog.LevelDebug) }
	return log
}

// "logLevel debug shows contacts, retries, refused calls and packet sizes."
func TestDebugLines(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		provider := c.debugged()
		p := c.start(0)
		require.NoError(t, p.Register("echo", func(b []byte) []byte { return b }))
		require.NoError(t, p.Register("one", func() { time.Sleep(time.Second) }, MaxConcurrent(1)))
		caller := c.debugged()
		n := c.start(1, 0)
		require.NoError(t, n.WaitFor(c.t.Context(), "echo", 1))
		says := func(log *sharedLog, words ...string) {
			t.Helper()
			time.Sleep(time.Second)
			for _, w := range words {
				require.Contains(t, log.String(), w)
			}
		}
		says(caller, "an address is contacted\" addr="+addrOf(0).String(), "an address answers, and offers a link\" addr="+addrOf(0).String())
		says(provider, "a process has made a link\" addr="+addrOf(1).String())
		_, err := Call[[]byte](c.t.Context(), n.Caller("echo"), make([]byte, 1<<20))
		require.NoError(t, err)
		says(caller, "the packet size of a path has changed\" addr="+addrOf(0).String()+" bytes=1400")

		go n.Caller("one").Call(context.Background())
		time.Sleep(100 * time.Millisecond)
		_, err = n.Caller("one", NoRetry()).Call(c.t.Context())
		require.ErrorIs(t, err, ErrOverloaded)
		says(provider, `a call failed here" service=one from=`+addrOf(1).String()+` code=Overloaded executed=no`)

		c.net.Cut([]netip.AddrPort{p.Addr()}, []netip.AddrPort{n.Addr()})
		_, err = n.Caller("echo", Timeout(time.Second)).Call(c.t.Context(), []byte{1})
		require.Error(t, err)
		says(caller, "requests were sent again, and nothing says that they arrive")
	})
}

// A path that carries less from now on is told of, too, and no size twice.
func TestPacketSizesAreToldOnce(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		log := c.debugged()
		require.NoError(t, c.start(0).Register("echo", func(b []byte) []byte { return b }))
		n := c.start(1, 0)
		require.NoError(t, n.WaitFor(c.t.Context(), "echo", 1))
		echo := func() {
			for range 10 {
				_, err := Call[[]byte](c.t.Context(), n.Caller("echo"), make([]byte, 1<<18))
				require.NoError(t, err)
				time.Sleep(time.Second)
			}
		}
		echo()
		large := strings.Count(log.String(), "bytes=1400")
		require.LessOrEqual(t, large, 2, "each way once")
		require.NotZero(t, large)
		c.net.SetDefault(simnet.Link{MTU: 1300})
		echo()
		require.Contains(t, log.String(), "bytes=1200")
		require.Equal(t, large, strings.Count(log.String(), "bytes=1400"))
	})
}

// Not at debug nothing of this is said, nor made.
func TestDetailsCostNothingWhereNobodyWantsThem(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		log := new(sharedLog)
		c.edit = func(cfg *Config) { cfg.Logger = loggerTo(log, slog.LevelInfo) }
		require.NoError(t, c.start(0).Register("fails", func() error { return errors.New("no luck") }))
		n := c.start(1, 0)
		require.NoError(t, n.WaitFor(c.t.Context(), "fails", 1))
		_, err := n.Caller("fails").Call(c.t.Context())
		require.Error(t, err)
		time.Sleep(time.Second)
		require.NotContains(t, log.String(), "DEBUG")
		require.False(t, n.isDebugging())
		require.Zero(t, testing.AllocsPerRun(100, func() { n.noteArrival(time.Now(), arrival{}); n.noteSilent(time.Now(), netip.AddrPort{}) }))
	})
}

// Arguments are in no line, however they are refused: what does not fit is not quoted, whether anybody waits for the
// call or not.
func TestRefusedArgumentsAreNotQuoted(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		provider := c.debugged()
		p := c.start(0)
		require.NoError(t, p.Register("small", func(x int8) int8 { return x }))
		require.NoError(t, p.Register("list", func(x []int8) {}))
		require.NoError(t, p.Register("map", func(x map[string]uint8) {}))
		caller := c.debugged()
		n := c.start(1, 0)
		require.NoError(t, n.WaitFor(c.t.Context(), "map", 1))
		for name, arg := range map[string]any{"small": 31337, "list": []int{31337}, "map": map[string]int{"sesame": 31337}} {
			for _, from := range []*Node{n, p} {
				_, err := from.Caller(name).Call(c.t.Context(), arg)
				require.ErrorContains(t, err, "31337", "who called is told")
				_ = from.Caller(name).Send(c.t.Context(), arg)
				_, err = from.Caller(name).Call(c.t.Context(), arg, arg)
				require.ErrorIs(t, err, ErrInvalidArgument)
				time.Sleep(time.Second) // so that the log is not limited
			}
		}
		time.Sleep(time.Second)
		for _, log := range []*sharedLog{provider, caller} {
			require.NotContains(t, log.String(), "31337")
			require.NotContains(t, log.String(), "sesame")
		}
		require.Equal(t, 3*2, strings.Count(provider.String(), "a one-way call failed"), provider.String())
		require.Equal(t, 2*3*2, strings.Count(provider.String(), "a call failed here"), fmt.Sprint(provider))
	})
}
