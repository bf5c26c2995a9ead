package ws

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// A gatekeeper is a gateway that lets everybody in and answers each call.
type gatekeeper struct{ calls atomic.Int64 }

func (g *gatekeeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/rpc" {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	g.calls.Add(1)
	_, _ = w.Write([]byte(`"` + strings.Repeat("x", 1<<10) + `"`))
}

// A hall is a listener in memory, whose connections hold no bytes and work in virtual time.
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

// serveHall returns what opens a WebSocket to a handler.
func serveHall(t *testing.T, handler http.Handler) (dial func() (*websocket.Conn, *http.Response, error)) {
	h := &hall{make(chan net.Conn), make(chan struct{})}
	s := &http.Server{Handler: handler}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(h) }()
	tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		h.connc <- server
		return client, nil
	}}
	t.Cleanup(func() { tr.CloseIdleConnections(); _ = s.Close(); <-done })
	return func() (*websocket.Conn, *http.Response, error) {
		c := &http.Client{Transport: tr}
		return websocket.Dial(t.Context(), "ws://hall/", &websocket.DialOptions{HTTPClient: c})
	}
}

// "16,384 connections of a Handler"; one that has ended makes room.
func TestConnectionsHaveALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := Handler(&gatekeeper{}).(*handler)
		require.EqualValues(t, 16_384, h.most)
		h.most = 2
		dial := serveHall(t, h)
		first, _, err := dial()
		require.NoError(t, err)
		second, _, err := dial()
		require.NoError(t, err)
		defer second.CloseNow()
		for range 3 { // who is refused takes no room
			_, answer, err := dial()
			require.Error(t, err)
			require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
			require.Equal(t, "1", answer.Header.Get("Retry-After"))
		}
		require.NoError(t, first.CloseNow())
		synctest.Wait()
		third, _, err := dial()
		require.NoError(t, err)
		require.NoError(t, third.CloseNow())
	})
}

// "32 calls under way, 32 answers that are not taken yet": of a client that calls and never reads, too, until it is
// found to be gone.
func TestWhoNeverReadsCallsNoMore(t *testing.T) {
	for _, op := range []string{"call", "subscribe", "publish"} {
		synctest.Test(t, func(t *testing.T) {
			g := &gatekeeper{}
			h := Handler(g).(*handler)
			c, _, err := serveHall(t, h)()
			require.NoError(t, err)
			defer c.CloseNow()
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				for i := range 500 {
					text := fmt.Sprintf(`{"id": %d, "op": %q, "name": "x", "topic": "x", "payload": 1}`, i, op)
					if c.Write(ctx, websocket.MessageText, []byte(text)) != nil {
						return
					}
					time.Sleep(time.Millisecond) // in which the answer to it is there
				}
			}()
			time.Sleep(time.Second)
			most := callsMost
			if op == "subscribe" {
				most = topicsMost
			}
			require.EqualValues(t, callsMost+most, g.calls.Load(), op)
			time.Sleep(writeMost)
			synctest.Wait()
			require.Zero(t, h.open.Load())
			cancel()
			<-done
		})
	}
}
