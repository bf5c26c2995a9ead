package gateway_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broach"
	"broach/broachtest"
	"broach/gateway"
)

var quiet = gateway.Logger(slog.New(slog.NewTextHandler(io.Discard, nil)))

// newGateway makes one that is closed with the test.
func newGateway(t *testing.T, n *broach.Node, opts ...gateway.Option) *gateway.Gateway {
	t.Helper()
	g, err := gateway.New(n, append([]gateway.Option{quiet}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}

// A start is a cluster of a gateway's node and a provider of some functions.
func start(t *testing.T) (node, provider *broach.Node) {
	t.Helper()
	c := broachtest.New(t)
	node, provider = c.Start("gateway"), c.Start("shop")
	register(t, provider)
	c.Settle()
	return node, provider
}

func must(t *testing.T, err error) {
	t.Helper()
	require.NoError(t, err)
}

// request is one of this machine, for the listening address. Headers are names and values.
func request(method, target, body string, header ...string) *http.Request {
	r := httptest.NewRequest(method, "http://127.0.0.1:18090/", strings.NewReader(body))
	u, err := url.ParseRequestURI(target)
	if err != nil {
		panic(err)
	}
	r.URL, r.RemoteAddr = u, "127.0.0.1:40000"
	if body == "" {
		r.Body = http.NoBody
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Del(header[i])
		if header[i+1] != "" {
			r.Header[http.CanonicalHeaderKey(header[i])] = []string{header[i+1]}
		}
	}
	return at(r, "127.0.0.1")
}

// at has a request come in at a local address.
func at(r *http.Request, ip string) *http.Request {
	local := &net.TCPAddr{IP: net.ParseIP(ip), Port: 18090}
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(local)))
}

func ask(h http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	return serve(h, request(method, target, body, header...))
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// problemOf reads an answer that is a problem, and holds it to what all of them have.
func problemOf(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"), "%d %s", w.Code, w.Body)
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	var m map[string]any
	must(t, json.Unmarshal(w.Body.Bytes(), &m))
	require.EqualValues(t, w.Code, m["status"])
	require.Contains(t, m["type"], "urn:broach:")
	require.NotEmpty(t, m["title"])
	require.NotEmpty(t, m["detail"])
	require.Equal(t, w.Header().Get("X-Request-Id"), m["request_id"])
	require.Equal(t, "urn:broach:request:"+w.Header().Get("X-Request-Id"), m["instance"])
	if code, ok := m["code"].(string); ok {
		require.Equal(t, code, w.Header().Get("Broach-Code"))
		require.Equal(t, m["executed"], w.Header().Get("Broach-Executed"))
	}
	if w.Code == http.StatusServiceUnavailable {
		require.Equal(t, "1", w.Header().Get("Retry-After"))
	}
	return m
}

func must2(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return b
}
