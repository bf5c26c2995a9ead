package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"broach"
	"broach/broachtest"
	"broach/gateway"
	"broach/gateway/ws"
)

// script is what each page has to ask the gateway with. What comes of a stream stands in got, as it comes, or, of an
// EventSource, in a list of its own.
const script = `<!doctype html><title>shop</title><script>
const got = [];
async function ask(path, init) {
  try {
    const r = await fetch(gateway + path, init);
    return {status: r.status, type: r.type, header: Object.fromEntries(r.headers), text: await r.text()};
  } catch (e) {
    return {refused: String(e)};
  }
}
async function follow(path, init) {
  try {
    const r = await fetch(gateway + path, init);
    const texts = r.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = "";;) {
      const {value, done} = await texts.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      got.push(...lines);
    }
    got.push("closed");
  } catch (e) {
    got.push(e.name);
  }
}
function listen(path, ...kinds) {
  const source = new EventSource(gateway + path);
  source.got = [];
  source.onopen = () => source.got.push("open");
  for (const kind of ["message", "error", ...kinds]) source.addEventListener(kind, (e) => source.got.push(
    e.data === undefined ? "state " + source.readyState : kind + " " + e.lastEventId + " " + e.data));
  return source;
}
function dial(...texts) {
  const socket = new WebSocket(gateway.replace("http", "ws") + "/ws");
  socket.onopen = () => texts.forEach((text) => socket.send(text));
  socket.onmessage = (e) => got.push(e.data);
  socket.onclose = (e) => got.push("closed " + e.code);
  return socket;
}
</script>`

// A shop is a gateway before a node with functions, and the origins of pages that ask it.
type shop struct {
	t       *testing.T
	node    *broach.Node // offers the functions
	gateway *gateway.Gateway
	server  *httptest.Server

	friend    string // the origin that Origins names
	strangers []string

	ran    atomic.Int64           // how often functions began
	nextc  chan struct{}          // lets ticks yield one more item
	endedc chan struct{}          // has one for each ticks that has ended
	metac  chan map[string]string // what add was called with
}

// openShop serves a gateway and, elsewhere, pages of a friend and of two strangers: one of the same site, for which
// ports do not count, and one of another.
func openShop(t *testing.T, opts ...gateway.Option) *shop {
	t.Helper()
	s := &shop{t: t, nextc: make(chan struct{}), endedc: make(chan struct{}, 9), metac: make(chan map[string]string, 9)}
	c := broachtest.New(t)
	front := c.Start("gateway")
	s.node = c.Start("shop")
	s.register()
	c.Settle()
	s.friend = servePage(t)
	s.strangers = []string{servePage(t), strings.Replace(s.friend, "127.0.0.1", "localhost", 1)}
	opts = append([]gateway.Option{gateway.Expose("*"), gateway.ExposeEvents("sold"), gateway.Origins(s.friend),
		gateway.Route("POST /orders", "order"), gateway.MetaHeaders("Shop-Tenant"),
		gateway.Logger(slog.New(slog.DiscardHandler))}, opts...)
	g, err := gateway.New(front, opts...)
	require.NoError(t, err)
	s.gateway = g
	s.serve()
	return s
}

// serve serves the gateway, and WebSockets before it.
func (s *shop) serve() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(s.t, err)
	mux := http.NewServeMux()
	mux.Handle("/ws", ws.Handler(s.gateway))
	mux.Handle("/", s.gateway)
	config := gateway.Server("", s.gateway)
	config.Handler = mux
	s.server = &httptest.Server{Listener: l, Config: config}
	s.server.Start()
	s.t.Cleanup(func() {
		_ = s.gateway.Close()
		s.server.CloseClientConnections()
		s.server.Close()
	})
}

func servePage(t *testing.T) (origin string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(script))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func (s *shop) register() {
	for name, f := range map[string]any{
		"add": func(ctx context.Context, a, b int) int {
			s.ran.Add(1)
			call, _ := broach.InvocationFrom(ctx)
			s.metac <- call.Meta()
			return a + b
		},
		"order":  func(map[string]any) { s.ran.Add(1) },
		"refuse": func() error { return broach.Errorf(broach.InvalidArgument, "no pieces") },
		"panic":  func() { panic("of the function") },
	} {
		require.NoError(s.t, s.node.Register(name, f))
	}
	look := func(n int) int { s.ran.Add(1); return n }
	require.NoError(s.t, s.node.Register("look", look, broach.Idempotent()))
	require.NoError(s.t, s.node.Register("ticks", s.ticks, broach.Idempotent()))
	require.NoError(s.t, s.node.Register("fails", s.fails, broach.Idempotent()))
}

// ticks yields an item at once, and each further one when the test says so.
func (s *shop) ticks(ctx context.Context, n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		s.ran.Add(1)
		defer func() { s.endedc <- struct{}{} }()
		for i := range n {
			if i > 0 {
				select {
				case <-s.nextc:
				case <-ctx.Done():
					return
				}
			}
			if !yield(i+1, nil) {
				return
			}
		}
	}
}

// fails yields n items and an error.
func (s *shop) fails(n int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		s.ran.Add(1)
		for i := range n {
			if !yield(i+1, nil) {
				return
			}
		}
		yield(0, broach.Errorf(1001, "sold out"))
	}
}

// visit opens a page of an origin.
func (s *shop) visit(origin string) *tab {
	s.t.Helper()
	b := newTab(s.t, origin)
	b.do(chromedp.Navigate(origin))
	b.run(fmt.Sprintf("window.gateway = %q", s.server.URL))
	require.Equal(s.t, origin, eval[string](b, "location.origin"))
	return b
}

// An answer is what a page may know of one.
type answer struct {
	Status        int
	Type          string
	Header        map[string]string
	Text, Refused string
}

// ask has the page send a request, with an init of fetch.
func (b *tab) ask(path string, init map[string]any) answer {
	b.t.Helper()
	text, err := json.Marshal(init)
	require.NoError(b.t, err)
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	js := fmt.Sprintf("ask(%q, %s)", path, text)
	a, err := chromedp.Run(ctx, chromedp.Evaluate[answer](js, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, js)
	return a
}

// post is an init of fetch; header are names and values.
func post(body string, header ...string) map[string]any {
	all := map[string]string{"Content-Type": "application/json"}
	for i := 0; i < len(header); i += 2 {
		all[header[i]] = header[i+1]
	}
	return map[string]any{"method": "POST", "body": body, "headers": all}
}

// gets awaits what a stream has brought to the page, all of it.
func (b *tab) gets(want ...string) {
	b.t.Helper()
	b.hears("got", want...)
}

// hears is gets of a list with another name.
func (b *tab) hears(list string, want ...string) {
	b.t.Helper()
	b.await(fmt.Sprintf("%s.length >= %d", list, len(want)), 10*time.Second)
	require.Equal(b.t, want, eval[[]string](b, list))
}
