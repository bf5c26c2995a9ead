package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"broach/broachtest"
	"broach/gateway"
)

// A hall is a listener in memory, which works in virtual time.
type hall struct {
	connc chan net.Conn
	donec chan struct{}
}

func (h *hall) Accept() (net.Conn, error) {
	select {
	case c := <-h.connc:
		return c, nil
	case <-h.donec:
		return nil, net.ErrClosed
	}
}
func (h *hall) Close() error   { close(h.donec); return nil }
func (h *hall) Addr() net.Addr { return &net.UnixAddr{Name: "hall", Net: "unix"} }

// dial returns the client's end of a connection.
func (h *hall) dial() net.Conn {
	client, server := net.Pipe()
	h.connc <- server
	return client
}

// serveHall has a gateway serve connections in memory until the test ends.
func serveHall(t *testing.T, g *gateway.Gateway) (*hall, *http.Server) {
	h := &hall{make(chan net.Conn), make(chan struct{})}
	s := gateway.Server("", g)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(h) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return h, s
}

// exchange sends bytes and returns the statuses of all that comes back until the server says no more for a second.
func exchange(t *testing.T, c net.Conn, text string) (statuses []string, all string) {
	t.Helper()
	go func() { _, _ = io.WriteString(c, text) }()
	must(t, c.SetReadDeadline(time.Now().Add(time.Second)))
	b, _ := io.ReadAll(c)
	for line := range strings.SplitSeq(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, "HTTP/1."); ok {
			statuses = append(statuses, rest[2:5])
		}
	}
	return statuses, string(b)
}

func TestHostileHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		node := c.Start("gateway")
		must(t, node.Register("add", functions["add"]))
		must(t, node.Register("meta", functions["meta"]))
		g := newGateway(t, node, gateway.Expose("add", "meta"), gateway.MetaHeaders("X-A"))
		h, _ := serveHall(t, g)
		const head = "POST /rpc/add HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
		const probe = "GET /livez HTTP/1.1\r\nHost: localhost\r\n"
		for _, c := range []struct{ name, text, want string }{
			{"a plain one", head + "Content-Length: 6\r\n\r\n[1, 2]", "200"},
			{"two in a row", head + "Content-Length: 6\r\n\r\n[1, 2]" + head + "Content-Length: 3\r\n\r\n[1]",
				"200 400"},
			{"two lengths", head + "Content-Length: 6\r\nContent-Length: 7\r\n\r\n[1, 2] ", "400"},
			{"a length with a sign", head + "Content-Length: +6\r\n\r\n[1, 2]", "400"},
			{"a space before the colon", head + "Content-Length : 6\r\n\r\n[1, 2]", "400"},
			{"an unknown encoding", head + "Transfer-Encoding: xchunked\r\n\r\n6\r\n[1, 2]\r\n0\r\n\r\n", "501"},
			{"two encodings", head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
				"501"},
			// what a proxy that goes by the length takes for the body is a second request to none
			{"both", head + "Content-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n[1, 2]\r\n0\r\n\r\n", "200"},
			{"a chunk of no size", head + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n[1, 2]\r\n0\r\n\r\n", "400"},
			{"a header over two lines", head + "X-A: 1\r\n Cookie: 2\r\nContent-Length: 6\r\n\r\n[1, 2]", "200"},
			{"a CR in a value", head + "X-A: a\rb\r\nContent-Length: 6\r\n\r\n[1, 2]", "400"},
			{"a NUL in a value", head + "X-A: a\x00b\r\nContent-Length: 6\r\n\r\n[1, 2]", "400"},
			{"no host", "GET /livez HTTP/1.1\r\n\r\n", "400"},
			{"two hosts", "GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", "400"},
			{"another host in the line", "GET http://evil.example/rpc HTTP/1.1\r\nHost: localhost\r\n\r\n", "403"},
			{"a large header", probe + "X: " + strings.Repeat("x", 32<<10) + "\r\n\r\n", "431"},
			{"many headers", probe + strings.Repeat("X: y\r\n", 8000) + "\r\n", "431"},
			{"a long line", "GET /" + strings.Repeat("x", 32<<10) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", "431"},
			{"a path that is none", "GET rpc HTTP/1.1\r\nHost: localhost\r\n\r\n", "400"},
			{"an escape that is none", "GET /rpc/%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", "400"},
			{"dots", "GET /rpc/../livez HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"},
			{"another protocol", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"},
			{"a tunnel", "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n", "403"},
		} {
			conn := h.dial()
			statuses, all := exchange(t, conn, c.text)
			require.Equal(t, c.want, strings.Join(statuses, " "), "%s: %s", c.name, all)
			must(t, conn.Close())
			synctest.Wait()
		}
	})
}

// Whoever is slow holds a place for ten seconds, and then none.
func TestSlowHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		node := c.Start("gateway")
		must(t, node.Register("add", functions["add"]))
		g := newGateway(t, node, gateway.Expose("add"))
		h, _ := serveHall(t, g)
		const head = "POST /rpc/add HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
			"Content-Length: 6\r\n\r\n"
		for text, want := range map[string]string{head + "[1": "408", head: "408", head[:20]: "", "": ""} {
			conn, began := h.dial(), time.Now()
			_, err := io.WriteString(conn, text)
			must(t, err)
			b, _ := io.ReadAll(conn)
			require.LessOrEqual(t, time.Since(began), 11*time.Second, "%q", text)
			if want != "" {
				require.Contains(t, string(b), "HTTP/1.1 "+want)
				require.Contains(t, string(b), "urn:broach:request-timeout")
			}
		}
		require.Zero(t, g.Stats().InFlight)
		conn := h.dial()
		statuses, _ := exchange(t, conn, head+"[1, 2]")
		require.Equal(t, []string{"200"}, statuses)
		_, err := conn.Write(nil)
		must(t, err)
		began := time.Now()
		must(t, conn.SetReadDeadline(time.Time{}))
		_, _ = io.ReadAll(conn)
		require.InDelta(t, 120, time.Since(began).Seconds(), 2, "an idle connection ends")
	})
}

// A server reads what is left of a body before it answers, so one that nobody wants must not take for ever either.
func TestSlowBodiesThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		g := newGateway(t, c.Start("gateway"), gateway.Expose("add"), gateway.ExposeEvents("sold"))
		h, _ := serveHall(t, g)
		const rest = " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\n["
		for text, want := range map[string]string{
			"POST /rpc/hidden": "404", "GET /rpc/add": "400", "PUT /rpc/add": "405", "GET /events/sold": "200",
		} {
			conn, b := h.dial(), make([]byte, 12)
			_, err := io.WriteString(conn, text+rest)
			must(t, err)
			must(t, conn.SetReadDeadline(time.Now().Add(11*time.Second)))
			_, err = io.ReadFull(conn, b)
			require.NoError(t, err, text)
			require.Equal(t, "HTTP/1.1 "+want, string(b))
			must(t, conn.Close())
		}
	})
}

// Event streams that nothing comes on cost little, and end with the server.
func TestManyIdleEventStreams(t *testing.T) {
	const clients = 300
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		node := c.Start("gateway")
		g := newGateway(t, node, gateway.ExposeEvents("sold"))
		h, s := serveHall(t, g)
		conns := make([]*bufio.Reader, clients)
		for i := range conns {
			conn := h.dial()
			_, err := io.WriteString(conn, "GET /events/sold HTTP/1.1\r\nHost: localhost\r\n\r\n")
			must(t, err)
			conns[i] = bufio.NewReader(conn)
			r, err := http.ReadResponse(conns[i], nil)
			must(t, err)
			require.Equal(t, http.StatusOK, r.StatusCode)
			conns[i] = bufio.NewReader(r.Body)
			line, err := conns[i].ReadString('\n')
			must(t, err)
			require.Equal(t, ":\n", line)
			go func() { _, _ = conns[i].ReadString('!') }() // until the end
		}
		require.Equal(t, clients, g.Stats().EventStreams)
		require.Len(t, node.Topics(), 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		must(t, s.Shutdown(ctx))
		require.Zero(t, g.Stats().EventStreams)
		synctest.Wait()
		require.Empty(t, node.Topics())
	})
}

// The same over a socket and HTTP/2 without TLS.
func TestHTTP2(t *testing.T) {
	node, _ := start(t)
	g := newGateway(t, node, gateway.Expose("add"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := gateway.Server("", g)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	url := fmt.Sprintf("http://%s/rpc/add", l.Addr())
	r, err := (&http.Client{Transport: tr}).Post(url, "application/json", strings.NewReader("[1, 2]"))
	must(t, err)
	b, err := io.ReadAll(r.Body)
	must(t, err)
	must(t, r.Body.Close())
	require.Equal(t, "HTTP/2.0 3\n", r.Proto+" "+string(b))
	tr.CloseIdleConnections()
	must(t, s.Shutdown(t.Context()))
	require.ErrorIs(t, <-done, http.ErrServerClosed)
}

// A client that goes gives its call up.
func TestWhoGoesGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		node, shop := c.Start("gateway"), c.Start("shop")
		ended := make(chan error, 1)
		must(t, shop.Register("wait", func(ctx context.Context) { <-ctx.Done(); ended <- context.Cause(ctx) }))
		c.Settle()
		g := newGateway(t, node, gateway.Expose("wait"))
		h, _ := serveHall(t, g)
		conn := h.dial()
		_, err := io.WriteString(conn, "POST /rpc/wait HTTP/1.1\r\nHost: localhost\r\n"+
			"Content-Type: application/json\r\nBroach-Timeout: 20s\r\nContent-Length: 0\r\n\r\n")
		must(t, err)
		time.Sleep(time.Second)
		began := time.Now()
		must(t, conn.Close())
		require.Error(t, <-ended)
		require.Less(t, time.Since(began), time.Second)
	})
}
