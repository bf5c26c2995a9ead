package gateway

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"broach"
	"broach/broachtest"
)

// meterRig is a gateway with room for so many bytes, and what asks it.
func meterRig(t *testing.T, room int64) (*Gateway, func(target, media string, body io.Reader) int) {
	c := broachtest.New(t)
	node, shop := c.Start("gateway"), c.Start("shop")
	require.NoError(t, shop.Register("count", func(list []any) int { return len(list) }))
	require.NoError(t, shop.Register("block", func(ctx context.Context, _ string) { <-ctx.Done() }))
	require.NoError(t, shop.Register("fields", func(m map[string]any) int { return len(m) }))
	require.NoError(t, shop.Register("last", func(in iter.Seq2[string, error]) (n int, err error) {
		for s, err := range in {
			if err != nil {
				return 0, err
			}
			n = len(s)
		}
		return n, nil
	}))
	c.Settle()
	g, ask := askGateway(t, node)
	require.EqualValues(t, 1<<30, g.heldMost)
	g.heldMost = room
	return g, ask
}

// askGateway returns a gateway before a node, and what sends requests to it.
func askGateway(t *testing.T, node *broach.Node) (*Gateway, func(target, media string, body io.Reader) int) {
	g, err := New(node, Expose("*"), PublishEvents("*"), Route("POST /fields", "fields"), Workers("*"),
		Logger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g, func(target, media string, body io.Reader) int {
		r := httptest.NewRequest("POST", "http://127.0.0.1:18090"+target, body)
		r.Header.Set("Content-Type", media)
		r.RemoteAddr = "127.0.0.1:40000"
		local := net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 18090})
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local)))
		if w.Code == http.StatusServiceUnavailable {
			isStream := media == "application/x-ndjson"
			require.Equal(t, isStream, w.Header().Get("Broach-Executed") != "no")
			require.Contains(t, w.Body.String(), errNoRoom.Error())
		}
		return w.Code
	}
}

// "all bodies together take 1 GiB": by their bytes, while they come and as long as the call runs.
func TestBytesOfBodiesHaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, ask := meterRig(t, 1000)
		read, write := io.Pipe()
		codec := make(chan int)
		go func() { codec <- ask("/rpc/block", "application/json", read) }()
		_, _ = io.WriteString(write, `"`+strings.Repeat("x", 600))
		synctest.Wait()
		body := func() io.Reader { return strings.NewReader(`["` + strings.Repeat("x", 600) + `"]`) }
		require.Equal(t, 503, ask("/rpc/count", "application/json", body()), "half of another has come")
		_, _ = io.WriteString(write, `"`)
		require.NoError(t, write.Close())
		synctest.Wait()
		require.Equal(t, 503, ask("/rpc/count", "application/json", body()), "another is called with")
		require.Equal(t, http.StatusGatewayTimeout, <-codec)
		require.Zero(t, g.held.Load())
		require.Equal(t, http.StatusBadRequest, ask("/rpc/count", "application/json", body()), "no list of lists")
		require.EqualValues(t, 2, g.Stats().Refused)
	})
}

// By their values, wherever a body is read.
func TestValuesOfBodiesHaveRoom(t *testing.T) {
	g, ask := meterRig(t, 100_000)
	list := func(n int) string { return "[[" + strings.Repeat("0,", n-1) + "0]]" }
	packed := "\x91\xdc\x07\xd0" + strings.Repeat("\x00", 2000)
	require.Equal(t, http.StatusOK, ask("/rpc/count", "application/json", strings.NewReader(list(1000))))
	for _, c := range [][3]string{
		{"/rpc/count", "application/json", list(2000)},
		{"/rpc/count", "application/msgpack", packed},
		{"/events/sold", "application/json", list(2000)},
		{"/fields", "application/json", `{"a": ` + list(2000) + `}`},
		{"/workers", "application/json", list(2000)},
	} {
		require.Equal(t, 503, ask(c[0], c[1], strings.NewReader(c[2])), "%v", c[:2])
		require.Zero(t, g.held.Load())
	}
}

// By a line of those that stream; the room for the longest is kept until the stream ends.
func TestLinesHaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lines = "application/x-ndjson"
		g, ask := meterRig(t, 100_000)
		line := func(n int) string { return fmt.Sprintf("%q\n", strings.Repeat("x", n)) }
		require.Equal(t, 200, ask("/rpc/last", lines, strings.NewReader(strings.Repeat(line(20_000), 20))))
		require.Equal(t, 503, ask("/rpc/last", lines, strings.NewReader(line(200_000))))
		require.Zero(t, g.held.Load())
		read, write := io.Pipe()
		codec := make(chan int)
		go func() { codec <- ask("/rpc/last", lines, read) }()
		_, _ = io.WriteString(write, line(60_000)+line(1)+line(1))
		synctest.Wait()
		require.Greater(t, g.held.Load(), int64(60_000))
		require.Equal(t, 503, ask("/rpc/last", lines, strings.NewReader(line(60_000))))
		require.NoError(t, write.Close())
		require.Equal(t, 200, <-codec)
		require.Zero(t, g.held.Load())
	})
}

// A line that was cut off is none, though what has come of it may look like one.
func TestHalfALineIsNone(t *testing.T) {
	for end, want := range map[error]string{io.EOF: "[12 345]", io.ErrUnexpectedEOF: "[12 the stream was cut off]"} {
		r := httptest.NewRequest("POST", "/", io.MultiReader(strings.NewReader("12\n345"), iotest.ErrReader(end)))
		g := &Gateway{set: newSettings(), heldMost: heldLeast}
		x := &exchange{g: g, w: httptest.NewRecorder(), r: r}
		var got []any
		for v, err := range x.openInput().items(&function{}, &broach.Type{Kind: "int"}) {
			if got = append(got, v); err != nil {
				got[len(got)-1] = err
			}
		}
		require.Equal(t, want, fmt.Sprint(got))
		require.Zero(t, g.held.Load())
	}
}
