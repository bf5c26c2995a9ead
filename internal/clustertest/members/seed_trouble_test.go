package members

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

const (
	notJoined   = "this node has not joined its cluster: "
	nothingCame = "nothing came back"
)

// troubleOf is what a node that has not joined says of its seeds.
func troubleOf(n *broach.Node) string {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return fmt.Sprint(n.WaitJoined(ctx))
}

// The error of a call while the node has not joined names the seeds and what came back, whatever kind of call it is;
// afterwards none does.
func TestErrorsWhileNotJoinedNameTheSeeds(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		began := time.Now()
		n := c.Start(1, 0)
		soon := func() context.Context {
			ctx, cancel := context.WithTimeout(c.T.Context(), 10*time.Millisecond)
			context.AfterFunc(ctx, cancel)
			return ctx
		}
		f := n.Caller("f")
		_, notFound := f.Call(c.T.Context())
		_, late := f.Call(soon())
		_, away := f.With(broach.On(clustertest.AddrOf(0))).Call(c.T.Context())
		_, bound := broach.Bind[func(context.Context) (int, error)](n, "f")(c.T.Context())
		for name, err := range map[string]error{
			"Call": notFound, "a short deadline": late, "On": away, "Bind": bound, "Send": f.Send(c.T.Context()),
			"WaitFor": n.WaitFor(soon(), "f", 1), "WaitJoined": n.WaitJoined(soon()),
		} {
			require.ErrorContains(t, err, notJoined+clustertest.AddrOf(0).String()+": "+nothingCame, name)
		}
		require.ErrorIs(t, notFound, broach.ErrNotFound)
		for _, err := range []error{late, n.WaitFor(soon(), "f", 1), n.WaitJoined(soon())} {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		require.False(t, n.Stats().Joined)
		require.Equal(t, time.Since(began), n.Stats().JoinedSince, "for so long it has been trying")

		c.Start(0)
		require.NoError(t, n.WaitJoined(c.T.Context()))
		joined := time.Now()
		require.True(t, n.Stats().Joined)
		time.Sleep(7 * time.Second)
		require.InDelta(t, time.Since(joined), n.Stats().JoinedSince, float64(time.Second),
			"those whom the List names have a second to answer")
		_, err := f.Call(c.T.Context())
		require.ErrorIs(t, err, broach.ErrNotFound)
		require.NotContains(t, err.Error(), notJoined)
		require.EqualError(t, n.WaitFor(soon(), "f", 1),
			`broach: WaitFor "f": 0 of 1 providers when the context ended: context deadline exceeded`)
		require.ErrorIs(t, n.WaitFor(soon(), "f", 1), context.DeadlineExceeded)
		require.NoError(t, n.Register("f", func() {}))
		require.ErrorContains(t, n.WaitFor(soon(), "f", 2), `WaitFor "f": 1 of 2 providers`)
		require.NoError(t, n.Unregister("f"))
		c.Kill(c.Nodes[1])
		time.Sleep(5 * time.Second)
		require.True(t, n.Stats().Joined, "who has joined once knows its cluster")
		require.NoError(t, n.Close())
		require.Equal(t, broach.ErrClosed, n.WaitJoined(c.T.Context()))
	})
}

// Who has nobody to ask has joined, at once.
func TestWhoHasNobodyToAskHasJoined(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		for _, n := range []*broach.Node{c.Start(0), c.Start(1, 1)} {
			require.NoError(t, n.WaitJoined(c.T.Context()))
			require.True(t, n.Stats().Joined)
		}
	})
}

// What came from a seed is told in its place, and ends when it has come to something. What comes from others is
// nobody's trouble.
func TestWhatCameFromASeedIsTold(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n := c.Start(1, 0)
		says := func(from netip.AddrPort, d []byte, want string) {
			t.Helper()
			c.Net.Inject(from, n.Addr(), d)
			time.Sleep(100*time.Millisecond + 5*time.Second)
			require.Contains(t, troubleOf(n), clustertest.AddrOf(0).String()+": "+want)
		}
		version, sealed := wire.AppendHeader(nil, wire.Header{}), wire.AppendHeader(nil, wire.Header{KeyID: 7})
		version[1] = 1
		foreign := wire.AppendOpen(nil, wire.Open{Cluster: 7, Token: 7, Addr: clustertest.AddrOf(0)})
		says(clustertest.StrangerAddr, version, nothingCame)
		says(clustertest.AddrOf(0), version, "it speaks another version of the protocol")
		says(clustertest.AddrOf(0), sealed, "it sends what no key of this node opens")
		says(clustertest.AddrOf(0), foreign, "it is of another cluster")
		for i := range 1000 {
			c.Net.Inject(clustertest.AddrOf(1000+i), n.Addr(), sealed)
		}
		time.Sleep(time.Second)
		for i := range 3 {
			require.NoError(t, n.Join(clustertest.AddrOf(1000+i).String()))
		}
		time.Sleep(time.Second)
		require.Equal(t, 3, strings.Count(troubleOf(n), nothingCame), "what they sent as strangers was not noted")
		c.Start(0)
		require.NoError(t, n.WaitJoined(c.T.Context()))
	})
}

// However many seeds there are, a text names a few.
func TestFewSeedsAreNamed(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n := c.Start(0, 1, 2, 3, 4, 5, 6, 7)
		time.Sleep(time.Second)
		text := troubleOf(n)
		require.Equal(t, 4, strings.Count(text, nothingCame))
		require.Contains(t, text, "and 3 more")
	})
}

// A seed that never answers is told of once, when the node has joined by another for a minute: what only that one leads
// to is not found.
func TestASeedThatNeverAnswersIsTold(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		var log clustertest.SharedLog
		told := func() int { return strings.Count(log.String(), "a seed has never answered") }
		first := c.Start(0)
		c.Start(2, 0)
		c.Edit = func(cfg *broach.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
		n := c.Start(1, 0, 1, 2, 7) // of which one is itself, and one does not run
		time.Sleep(30 * time.Second)
		c.Kill(first) // which has answered
		time.Sleep(29 * time.Second)
		require.Zero(t, told())
		time.Sleep(2 * time.Second)
		require.Equal(t, 1, told())
		require.Contains(t, log.String(), `seeds="10.0.0.8:7000: `+nothingCame)
		time.Sleep(time.Hour)
		require.Equal(t, 1, told())

		require.NoError(t, n.Join(clustertest.AddrOf(2).String(), clustertest.AddrOf(8).String()))
		time.Sleep(61 * time.Second)
		require.Equal(t, 2, told(), "there is another one")
		require.Contains(t, log.String(), "; "+clustertest.AddrOf(8).String()+": "+nothingCame)
	})
}

// On real sockets the log has what the system says.
func TestTheLogHasWhatTheSystemSays(t *testing.T) {
	t.Parallel()
	gone, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	said := make(lines, 100)
	logger := slog.New(slog.NewTextHandler(said, nil))
	n, err := broach.Start(broach.Config{Join: []string{gone.LocalAddr().String()}, Logger: logger})
	require.NoError(t, err)
	defer n.Close()
	line := said.with("no seed has answered")
	require.Contains(t, line, gone.LocalAddr().String()+": the system says of sending to it: ")
	require.Contains(t, line, "refused")
}

// lines are those of a log.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// with waits for the first line that has some text.
func (l lines) with(text string) string {
	for line := range l {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}
