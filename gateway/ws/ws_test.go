package ws_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"broach"
	"broach/broachtest"
	"broach/gateway"
	"broach/gateway/ws"
)

// A rig is a cluster, a gateway and a server.
type rig struct {
	t          *testing.T
	node, shop *broach.Node
	url        string
}

func start(t *testing.T, opts ...gateway.Option) *rig {
	c := broachtest.New(t)
	r := &rig{t: t, node: c.Start("gateway"), shop: c.Start("shop")}
	require.NoError(t, r.shop.Register("add", func(x, y int) int { return x + y }))
	require.NoError(t, r.shop.Register("wait", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }))
	require.NoError(t, r.shop.Register("hidden", func() {}))
	c.Settle()
	g, err := gateway.New(r.node, append(opts, gateway.Expose("add", "wait", "count"), gateway.ExposeEvents("sold*"),
		gateway.PublishEvents("sold"), gateway.Logger(slog.New(slog.NewTextHandler(io.Discard, nil))))...)
	require.NoError(t, err)
	s := httptest.NewServer(ws.Handler(g))
	t.Cleanup(func() { _ = g.Close(); s.CloseClientConnections(); s.Close() })
	r.url = s.URL
	return r
}

type conn struct {
	t *testing.T
	*websocket.Conn
}

func (r *rig) dial(header ...string) *conn {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	c, _, err := websocket.Dial(r.t.Context(), r.url, &websocket.DialOptions{HTTPHeader: h})
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _ = c.CloseNow() })
	return &conn{r.t, c}
}

func (c *conn) send(text string) {
	require.NoError(c.t, c.Write(c.t.Context(), websocket.MessageText, []byte(text)))
}

func (c *conn) read() map[string]any {
	_, text, err := c.Read(c.t.Context())
	require.NoError(c.t, err)
	var m map[string]any
	require.NoError(c.t, json.Unmarshal(text, &m))
	return m
}

// ask sends a message, and wants an answer that has a text in it.
func (c *conn) ask(text, want string) {
	c.t.Helper()
	c.send(text)
	b, err := json.Marshal(c.read())
	require.NoError(c.t, err)
	require.Contains(c.t, string(b), want, text)
}

func TestCallsAndEvents(t *testing.T) {
	r := start(t)
	c := r.dial()
	c.ask(`{"id": 1, "op": "call", "name": "add", "args": [1, 2]}`, `{"id":1,"value":3}`)
	c.ask(`{"id": "a", "op": "call", "name": "add", "args": [1]}`, `takes 2 arguments`)
	c.ask(`{"id": 1, "op": "call", "name": "hidden"}`, `urn:broach:not-found`)
	c.ask(`{"id": 1, "op": "call", "name": "../livez"}`, `urn:broach:not-found`)
	c.ask(`{"id": 1, "op": "call", "name": "wait", "timeout": "10ms"}`, `urn:broach:deadline-exceeded`)
	c.ask(`{"id": 1, "op": "call", "name": "wait", "timeout": "soon"}`, `urn:broach:bad-timeout`)
	c.send(`{"id": 1, "op": "call", "name": "wait"}`)
	c.ask(`{"id": 1, "op": "cancel"}`, `urn:broach:canceled`)

	require.NoError(t, r.shop.Register("count", func(n int) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := range n {
				if !yield(i, nil) {
					return
				}
			}
			if n == 2 {
				yield(0, errors.New("two is too many"))
			}
		}
	}))
	require.NoError(t, r.node.WaitFor(t.Context(), "count", 1))
	c.send(`{"id": 1, "op": "call", "name": "count", "args": [1]}`)
	require.Equal(t, map[string]any{"id": 1.0, "item": 0.0}, c.read())
	require.Equal(t, map[string]any{"id": 1.0, "end": 1.0}, c.read())
	c.send(`{"id": 1, "op": "call", "name": "count", "args": [2]}`)
	c.read()
	c.read()
	require.Contains(t, fmt.Sprint(c.read()), "two is too many")

	c.send(`{"id": 2, "op": "subscribe", "topic": "sold"}`)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, r.shop.WaitForSubscribers(ctx, "sold", 1))
	_, err := r.shop.Publish(ctx, "sold", map[string]any{"id": 7, "text": "a\n\nb: c"})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"id": 2.0, "event": map[string]any{"id": 7.0, "text": "a\n\nb: c"}}, c.read())
	c.send(`{"id": 3, "op": "publish", "topic": "sold", "payload": 5}`)
	got := fmt.Sprint(c.read(), c.read())
	require.Contains(t, got, "event:5")
	require.Contains(t, got, "delivered:1")
	c.ask(`{"id": 4, "op": "publish", "topic": "soldiers", "payload": 5}`, `urn:broach:not-found`)
	c.ask(`{"id": 4, "op": "subscribe", "topic": "secrets"}`, `urn:broach:not-found`)
	c.ask(`{"id": 2, "op": "unsubscribe"}`, `"end":true`)
	require.Empty(t, r.node.Topics())
}

// What stands around the gateway may say something else than JSON.
func TestAnswersThatAreNoJSON(t *testing.T) {
	c := start(t, gateway.Middleware(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/rpc/add" {
				http.Error(w, "slow down", http.StatusTooManyRequests)
				return
			}
			next.ServeHTTP(w, r)
		})
	})).dial()
	c.ask(`{"id": 1, "op": "call", "name": "add", "args": [1, 2]}`, `"status":429`)
}

func TestBadMessages(t *testing.T) {
	c := start(t).dial()
	c.ask(`nonsense`, "bad-message")
	c.ask(`[]`, "bad-message")
	c.ask(`{"op": "call"}`, "bad-message")
	c.ask(`{"id": {}, "op": "call"}`, "bad-message")
	c.ask(`{"id": "`+strings.Repeat("x", 100)+`", "op": "call"}`, "bad-message")
	c.ask(`{"id": 1, "op": "shout"}`, "the op is call")
	c.ask(`{"id": 1, "op": "cancel"}`, "nothing of that kind")
	for i := range 32 {
		c.send(fmt.Sprintf(`{"id": %d, "op": "call", "name": "wait", "timeout": "30s"}`, i))
	}
	c.ask(`{"id": 32, "op": "call", "name": "add", "args": [1, 2]}`, "too many at once")
	c.ask(`{"id": 0, "op": "call", "name": "add", "args": [1, 2]}`, "the id is in use")
	c.ask(`{"id": 0, "op": "unsubscribe"}`, "nothing of that kind")
	for i := range 64 {
		c.send(fmt.Sprintf(`{"id": %d, "op": "subscribe", "topic": "sold%d"}`, 100+i, i))
	}
	c.ask(`{"id": 200, "op": "subscribe", "topic": "sold"}`, "too many at once")
	c.send(`{"id": 1, "op": "call", "args": "` + strings.Repeat("x", 70_000) + `"}`)
	_, _, err := c.Read(t.Context())
	require.Equal(t, websocket.StatusMessageTooBig, websocket.CloseStatus(err), "a frame has 64 KiB at most: %v", err)
}

// The gateway's checks hold: who is not let in gets no WebSocket.
func TestWhoMayNot(t *testing.T) {
	const token = "0123456789abcdef"
	r := start(t, gateway.BearerTokens(map[string]string{token: "me"}), gateway.Origins("https://shop.example"))
	for status, header := range map[int]http.Header{
		401: {"X": {"y"}},
		403: {"Authorization": {"Bearer " + token}, "Origin": {"https://evil.example"}},
	} {
		_, answer, err := websocket.Dial(t.Context(), r.url, &websocket.DialOptions{HTTPHeader: header})
		require.Error(t, err)
		require.Equal(t, status, answer.StatusCode)
	}
	_, answer, err := websocket.Dial(t.Context(), r.url, &websocket.DialOptions{Host: "evil.example",
		HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}})
	require.Error(t, err)
	require.Equal(t, 403, answer.StatusCode)
	c := r.dial("Authorization", "Bearer "+token, "Origin", "https://shop.example", "Sec-Fetch-Site", "cross-site")
	c.ask(`{"id": 1, "op": "call", "name": "add", "args": [1, 2]}`, `"value":3`)
}

// A frame that says it has 2^63-1 bytes, or 2^63, which is a negative number, makes nobody wait for them.
func TestAFrameOfAbsurdSize(t *testing.T) {
	r := start(t)
	for length, want := range map[string]string{
		"\x7f\xff\xff\xff\xff\xff\xff\xff": "\x03\xf1", // 1009: too big
		"\x80\x00\x00\x00\x00\x00\x00\x00": "",
		"\xff\xff\xff\xff\xff\xff\xff\xff": "",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"+
			"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"+
			"\x81\xff"+length+"\x00\x00\x00\x00"+strings.Repeat("x", 70_000))
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
		b, err := io.ReadAll(conn)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection ends")
		require.Contains(t, string(b), "101 Switching Protocols")
		require.Contains(t, string(b), want)
	}
}

// A server recovers from what panics in a request. A request over a WebSocket has a goroutine of its own.
func TestAPanicEndsNoProcess(t *testing.T) {
	panics := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/add") || strings.HasSuffix(r.URL.Path, "/sold") {
				panic("no luck")
			}
			next.ServeHTTP(w, r)
		})
	}
	c := start(t, gateway.Middleware(panics)).dial()
	c.ask(`{"id": 1, "op": "call", "name": "add", "args": [1, 2]}`, `"status":500`)
	c.ask(`{"id": 1, "op": "subscribe", "topic": "sold"}`, `"status":500`)
	c.ask(`{"id": 1, "op": "call", "name": "hidden", "args": []}`, `"status":404`)
}
