package gateway_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"broach"
	"broach/broachtest"
	"broach/gateway"
)

// A screen is an answer that goes on, and may be slow to be taken.
type screen struct {
	mu      sync.Mutex
	header  http.Header
	text    bytes.Buffer
	blockc  chan struct{} // nil: it takes all at once
	written int
}

func (s *screen) Header() http.Header              { return s.header }
func (s *screen) WriteHeader(int)                  {}
func (s *screen) Flush()                           {}
func (s *screen) SetWriteDeadline(time.Time) error { return nil }
func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written++
	if s.blockc != nil && s.written > 1 {
		<-s.blockc
	}
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// watch has a screen receive events until the returned function is called.
func watch(g http.Handler, s *screen, target string, header ...string) (stop func()) {
	s.header = http.Header{}
	r := request("GET", target, "", header...)
	ctx, cancel := context.WithCancel(r.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.ServeHTTP(s, r.WithContext(ctx))
	}()
	return func() { cancel(); <-done }
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		node, shop := c.Start("gateway"), c.Start("shop")
		g := newGateway(t, node, gateway.ExposeEvents("sold", "st*"), gateway.PublishEvents("sold"))
		var one, two, other screen
		stopOne, stopTwo := watch(g, &one, "/events/sold"), watch(g, &two, "/events/sold?int64=string")
		stopOther := watch(g, &other, "/events/stock", "Last-Event-ID", "7")
		synctest.Wait()
		c.Settle()
		require.Len(t, node.Topics(), 2, "clients of one topic share a subscription")
		d, err := shop.Publish(t.Context(), "sold", map[string]any{"id": 7, "text": "a\nb", "photo": []byte("hi")})
		must(t, err)
		require.Len(t, d.Nodes, 1)
		_, err = shop.Publish(t.Context(), "sold", 1.5)
		must(t, err)
		synctest.Wait()
		want := ":\n\nid: 1\ndata: {\"id\":7,\"photo\":\"aGk=\",\"text\":\"a\\nb\"}\n\nid: 2\ndata: 1.5\n\n"
		require.Equal(t, want, one.String())
		require.Equal(t, strings.ReplaceAll(want, `:7,`, `:"7",`), two.String())
		require.Equal(t, "text/event-stream", one.header.Get("Content-Type"))
		require.Equal(t, "event: lost\ndata: null\n\n", other.String(), "nothing is kept for who comes again")
		require.Equal(t, 3, g.Stats().EventStreams)

		time.Sleep(15 * time.Second)
		synctest.Wait()
		require.Equal(t, want+":\n\n", one.String(), "a comment every 15 s")
		stopOne()
		stopOther()
		require.Len(t, node.Topics(), 1)
		stopTwo()
		require.Empty(t, node.Topics(), "closed with the last")
		require.Zero(t, g.Stats().EventStreams)
	})
}

// "256 events wait for a slow client, then the oldest go and event: lost says how many."
func TestSlowClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		node := c.Start("gateway")
		g := newGateway(t, node, gateway.ExposeEvents("*"))
		slow, quick := &screen{blockc: make(chan struct{})}, &screen{}
		stopSlow, stopQuick := watch(g, slow, "/events/sold"), watch(g, quick, "/events/sold")
		synctest.Wait()
		for i := range 301 {
			_, err := node.Publish(t.Context(), "sold", i)
			must(t, err)
			synctest.Wait()
		}
		require.Equal(t, 301, strings.Count(quick.text.String(), "id: "), "who is slow delays nobody")
		close(slow.blockc)
		synctest.Wait()
		text := slow.String()
		require.Contains(t, text, "id: 1\ndata: 0\n\nevent: lost\ndata: 44\n\nid: 46\ndata: 45\n\n")
		require.True(t, strings.HasSuffix(text, "id: 301\ndata: 300\n\n"), text[len(text)-40:])
		stopSlow()
		stopQuick()
	})
}

func TestBadEvents(t *testing.T) {
	node, shop := start(t)
	must(t, node.WaitFor(t.Context(), "add", 1))
	g := newGateway(t, node, gateway.ExposeEvents("sold"), gateway.PublishEvents("bought", "x"),
		gateway.MaxEventStreams(1))
	for _, c := range []struct {
		method, target, body, header, value string
		status                              int
	}{
		{"GET", "/events/bought", "", "", "", 404}, {"POST", "/events/sold", "1", "", "", 404},
		{"GET", "/events/__own", "", "", "", 404}, {"POST", "/events/", "1", "", "", 404},
		{"GET", "/events/sold/x", "", "", "", 404}, {"GET", "/events", "", "", "", 404},
		{"DELETE", "/events/sold", "", "", "", 405},
		{"GET", "/events/sold", "", "Accept", "application/json", 406},
		{"GET", "/events/sold?int64=number", "", "", "", 400},
		{"POST", "/events/bought", "", "", "", 400}, {"POST", "/events/bought", "{", "", "", 400},
		{"POST", "/events/bought", "1", "Content-Type", "", 415},
		{"POST", "/events/bought", "1", "Accept", "text/html", 406},
		{"POST", "/events/bought", "1", "Broach-Timeout", "x", 400}, {"POST", "/events/bought?x=1", "1", "", "", 400},
	} {
		var header []string
		if c.header != "" {
			header = []string{c.header, c.value}
		}
		w := ask(g, c.method, c.target, c.body, header...)
		require.Equal(t, c.status, w.Code, "%s %s: %s", c.method, c.target, w.Body)
		problemOf(t, w)
	}
	w := ask(g, "POST", "/events/bought", `{"id": 7}`)
	require.JSONEq(t, `{"delivered": 0, "missed": []}`, w.Body.String(), "that nobody has subscribed is no error")
	got := make(chan any, 1)
	_, err := shop.Subscribe("bought", func(v any) { got <- v })
	must(t, err)
	must(t, node.WaitForSubscribers(t.Context(), "bought", 1))
	require.JSONEq(t, `{"delivered": 1, "missed": []}`, ask(g, "POST", "/events/bought", `{"id": 7}`).Body.String())
	require.Equal(t, map[string]any{"id": int64(7)}, <-got)

	var first screen
	stop := watch(g, &first, "/events/sold")
	must(t, node.WaitForSubscribers(t.Context(), "sold", 1))
	require.Equal(t, http.StatusServiceUnavailable, ask(g, "GET", "/events/sold", "").Code, "one more than may be")
	must(t, g.Close())
	stop()
	require.Equal(t, http.StatusServiceUnavailable, ask(g, "GET", "/events/sold", "").Code, "the gateway is closed")
}

func TestMissedEvents(t *testing.T) {
	node, shop := start(t)
	block := make(chan struct{})
	defer close(block)
	_, err := shop.Subscribe("full", func(int) { <-block }, broach.Backlog(1))
	must(t, err)
	must(t, node.WaitForSubscribers(t.Context(), "full", 1))
	g := newGateway(t, node, gateway.PublishEvents("full"))
	for range 2 {
		ask(g, "POST", "/events/full", "1")
	}
	w := ask(g, "POST", "/events/full", "1")
	require.Equal(t, http.StatusMultiStatus, w.Code, w.Body.String())
	require.Contains(t, w.Body.String(), `"code":"Overloaded"`)
	require.Contains(t, w.Body.String(), `"delivered":0`)
}
