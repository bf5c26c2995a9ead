package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"broach"
)

const token = "0123456789abcdef"

// request is one of this machine, to this machine.
func request(method, path, body string) *http.Request {
	r := httptest.NewRequest(method, "http://127.0.0.1:8088"+path, bytes.NewBufferString(body))
	r.RemoteAddr = "127.0.0.1:50000"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return from(r, "127.0.0.1:8088", r.RemoteAddr)
}

// from has a request come from an address to one where the page listens.
func from(r *http.Request, local, remote string) *http.Request {
	r.RemoteAddr = remote
	addr := net.TCPAddrFromAddrPort(mustParse(local))
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(addr)))
}

func authorized(r *http.Request) *http.Request {
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// ask answers a request.
func ask(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func decode[T any](t *testing.T, r io.Reader) (v T) {
	t.Helper()
	require.NoError(t, json.NewDecoder(r).Decode(&v))
	return v
}

// pageOf is a page that logs nothing.
func pageOf(t *testing.T, n *broach.Node, opts ...Option) *page {
	t.Helper()
	h, err := New(n, append([]Option{Logger(slog.New(slog.DiscardHandler))}, opts...)...)
	require.NoError(t, err)
	return h.(*page)
}
