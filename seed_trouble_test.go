package broach

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

const (
	notJoined   = "this node has not joined its cluster: "
	nothingCame = "nothing came back"
)

// The error of a call while the node has not joined names the seeds and what came back, whatever kind of call it is;
// afterwards none does.
func TestErrorsWhileNotJoinedNameTheSeeds(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n := c.start(1, 0)
		soon := func() context.Context {
			ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Millisecond)
			context.AfterFunc(ctx, cancel)
			return ctx
		}
		f := n.Caller("f")
		_, notFound := f.Call(c.t.Context())
		_, late := f.Call(soon())
		_, away := f.With(On(addrOf(0))).Call(c.t.Context())
		_, bound := Bind[func(context.Context) (int, error)](n, "f")(c.t.Context())
		for name, err := range map[string]error{
			"Call": notFound, "a short deadline": late, "On": away, "Bind": bound, "Send": f.Send(c.t.Context()),
			"WaitFor": n.WaitFor(soon(), "f", 1), "WaitJoined": n.WaitJoined(soon()),
		} {
			require.ErrorContains(t, err, notJoined+addrOf(0).String()+": "+nothingCame, name)
		}
		require.ErrorIs(t, notFound, ErrNotFound)
		for _, err := range []error{late, n.WaitFor(soon(), "f", 1), n.WaitJoined(soon())} {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		require.False(t, n.Stats().Joined)
		require.Equal(t, time.Since(began(n)), n.Stats().JoinedSince, "for so long it has been trying")

		c.start(0)
		require.NoError(t, n.WaitJoined(c.t.Context()))
		joined := time.Now()
		require.True(t, n.Stats().Joined)
		time.Sleep(7 * time.Second)
		require.InDelta(t, time.Since(joined), n.Stats().JoinedSince, float64(time.Second), "those whom the List names have a second to answer")
		_, err := f.Call(c.t.Context())
		require.ErrorIs(t, err, ErrNotFound)
		require.NotContains(t, err.Error(), notJoined)
		require.Equal(t, context.DeadlineExceeded, n.WaitFor(soon(), "f", 1))
		c.kill(c.nodes[1])
		time.Sleep(5 * time.Second)
		require.True(t, n.Stats().Joined, "who has joined once knows its cluster")
		require.NoError(t, n.Close())
		require.Equal(t, ErrClosed, n.WaitJoined(c.t.Context()))
	})
}

func began(n *Node) time.Time { return n.calling.view.Load().began }

// Who has nobody to ask has joined, at once.
func TestWhoHasNobodyToAskHasJoined(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		for _, n := range []*Node{c.start(0), c.start(1, 1)} {
			require.NoError(t, n.WaitJoined(c.t.Context()))
			require.True(t, n.Stats().Joined)
		}
	})
}

// What came from a seed is told in its place, and ends when it has come to something. What comes from others is
// nobody's trouble.
func TestWhatCameFromASeedIsTold(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n := c.start(1, 0)
		says := func(from netip.AddrPort, d []byte, want string) {
			t.Helper()
			c.net.Inject(from, n.Addr(), d)
			time.Sleep(troubleEvery + 5*time.Second)
			require.Contains(t, *n.calling.unjoined.Load(), addrOf(0).String()+": "+want)
		}
		version, sealed := wire.AppendHeader(nil, wire.Header{}), wire.AppendHeader(nil, wire.Header{KeyID: 7})
		version[1] = 1
		foreign := wire.AppendOpen(nil, wire.Open{Cluster: 7, Token: 7, Addr: addrOf(0)})
		says(strangerAddr, version, cameTexts[cameNothing])
		says(addrOf(0), version, cameTexts[cameOtherVersion])
		says(addrOf(0), sealed, cameTexts[cameUnopened])
		says(addrOf(0), foreign, cameTexts[cameOtherCluster])
		for i := range 1000 {
			c.net.Inject(addrOf(1000+i), n.Addr(), sealed)
		}
		time.Sleep(time.Second)
		require.Len(t, n.seedNotes.came, 1)
		c.start(0)
		require.NoError(t, n.WaitJoined(c.t.Context()))
	})
}

// However many seeds there are, a text names a few.
func TestFewSeedsAreNamed(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		n := c.start(0, 1, 2, 3, 4, 5, 6, 7)
		time.Sleep(time.Second)
		text := *n.calling.unjoined.Load()
		require.Equal(t, troubleMax, strings.Count(text, nothingCame))
		require.Contains(t, text, fmt.Sprint("and ", 7-troubleMax, " more"))
	})
}

// The system is asked what becomes of what is sent to a seed: it knows when nobody listens there, or when there is no
// way.
func TestTheSystemIsAskedOfSeeds(t *testing.T) {
	t.Parallel()
	there, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer there.Close()
	gone, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	away := gone.LocalAddr().(*net.UDPAddr).AddrPort()
	require.NoError(t, gone.Close())
	here := there.LocalAddr().(*net.UDPAddr).AddrPort()
	family := netip.MustParseAddrPort("[::1]:7000")
	fails := trySending(here, []seedTry{{here, []byte{1}}, {away, []byte{1}}, {family, []byte{1}}})
	require.Empty(t, fails[here])
	require.Contains(t, fails[away], "refused")
	require.NotEmpty(t, fails[family])

	var notes seedNotes
	notes.NoteFailures(fails)
	require.Contains(t, notes.Text(away), "the system says of sending to it: ")
	require.Equal(t, cameTexts[cameNothing], notes.Text(here))
	notes.Note(away, cameUnopened)
	require.Equal(t, cameTexts[cameUnopened], notes.Text(away), "what came tells more")
}

// On real sockets the log has what the system says.
func TestTheLogHasWhatTheSystemSays(t *testing.T) {
	t.Parallel()
	gone, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	said := make(chan string, 1)
	n, err := Start(Config{Join: []string{gone.LocalAddr().String()}, Logger: loggerTo(writerFunc(func(b []byte) (int, error) {
		if strings.Contains(string(b), noSeed) {
			said <- string(b)
		}
		return len(b), nil
	}), nil)})
	require.NoError(t, err)
	defer n.Close()
	line := <-said
	require.Contains(t, line, gone.LocalAddr().String()+": the system says of sending to it: ")
	require.Contains(t, line, "refused")
}
