// Package browsertest looks at the page in a real browser, Debian's chromium, and fails without one. It asks a gateway
// from pages there, too, for what a browser refuses no other client does:
//
//	go test                            # half a minute
//	go test -run Heap -watch 1h        # the heap of a page that is open for an hour
//	go test -run Narrow -shots DIR     # pictures of all views
package browsertest

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"broach"
	"broach/broachtest"
	"broach/dashboard"
)

var (
	watch = flag.Duration("watch", 6*time.Second, "how long the heap is watched")
	shots = flag.String("shots", "", "where pictures go; none without")
)

const token = "0123456789abcdef"

// browser is one for all tests.
var browser context.Context

func TestMain(m *testing.M) {
	flag.Parse()
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.WindowSize(1280, 800))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, end := chromedp.NewContext(alloc)
	if err := chromedp.Do(ctx); err != nil {
		fmt.Println("no browser: install chromium:", err)
		os.Exit(1)
	}
	browser = ctx
	code := m.Run()
	end()
	stop()
	os.Exit(code)
}

// tab is one page, and what its console says.
type tab struct {
	t   *testing.T
	ctx context.Context
	url string

	mu   sync.Mutex
	said []string
}

// open serves the page of a node and opens a tab, which has logged in if it has the token.
func open(t *testing.T, n *broach.Node, opts ...dashboard.Option) *tab {
	t.Helper()
	opts = append([]dashboard.Option{dashboard.Token(token), dashboard.Every(500 * time.Millisecond),
		dashboard.Logger(slog.New(slog.DiscardHandler))}, opts...)
	page, err := dashboard.New(n, opts...)
	require.NoError(t, err)
	server := httptest.NewServer(page)
	t.Cleanup(server.CloseClientConnections)
	b := newTab(t, server.URL)
	go b.listen()
	return b
}

// newTab opens an empty tab, which shares nothing with others.
func newTab(t *testing.T, url string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, url: url}
	b.do(chromedp.Navigate("about:blank"))
	return b
}

func (b *tab) listen() {
	for m, err := range chromedp.Console(b.ctx) {
		if err != nil {
			return
		}
		b.mu.Lock()
		b.said = append(b.said, fmt.Sprint(m.Type, ": ", m.Text))
		b.mu.Unlock()
	}
}

// quiet requires that the console has said nothing.
func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(b.t, b.said)
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	if b.ctx.Err() == nil && chromedp.FromContext(b.ctx).Target == nil {
		ctx = b.ctx // the first use makes the tab, which ends with its context
	}
	require.NoError(b.t, chromedp.Do(ctx, steps...))
}

// login opens the page with its token.
func (b *tab) login() *tab {
	b.t.Helper()
	b.do(chromedp.Navigate(b.url + "/#token=" + token))
	b.await(`document.querySelector("nav a[aria-current]")`, 10*time.Second)
	return b
}

// run runs a statement in the page.
func (b *tab) run(js string) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](js))
}

// eval is a value of the page.
func eval[T any](b *tab, js string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](js))
	require.NoError(b.t, err, js)
	return v
}

// await waits until something is true in the page, and says how long that took.
func (b *tab) await(js string, within time.Duration) time.Duration {
	b.t.Helper()
	began := time.Now()
	for !eval[bool](b, "Boolean("+js+")") {
		if time.Since(began) > within {
			require.FailNow(b.t, "not so within "+within.String(), "%s\n%s", js, b.text())
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(began)
}

var views = []string{"overview", "nodes", "who", "topology", "functions", "call", "events", "settings"}

// view goes to one, and waits until it has drawn something.
func (b *tab) view(name string) {
	b.t.Helper()
	b.run(fmt.Sprintf("location.hash = %q", name))
	b.await(fmt.Sprintf(`document.querySelector("nav a[href='#%s'][aria-current]")`, name), 10*time.Second)
	b.await(`document.querySelector("main h1")`, 10*time.Second)
}

func (b *tab) text() string { return eval[string](b, "document.body.innerText") }

// press presses a key without a text, and lets it go.
func (b *tab) press(key string, code int64) {
	b.t.Helper()
	for _, kind := range []input.DispatchKeyEventType{
		input.DispatchKeyEventTypeRawKeyDown, input.DispatchKeyEventTypeKeyUp,
	} {
		_, err := chromedp.Call(b.ctx, input.DispatchKeyEvent, input.DispatchKeyEventParams{
			Type: kind, Key: key, Code: key, WindowsVirtualKeyCode: code})
		require.NoError(b.t, err)
	}
}

// shot keeps a picture, if somebody wants them.
func (b *tab) shot(name string) {
	if *shots == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	require.NoError(b.t, err)
	require.NoError(b.t, os.WriteFile(filepath.Join(*shots, strings.ReplaceAll(name, " ", "-")+".png"), png, 0o644))
}

// cluster is a few nodes, of which the first has the page.
func cluster(t *testing.T, n int) (*broachtest.Cluster, []*broach.Node) {
	c := broachtest.New(t)
	var nodes []*broach.Node
	for i := range n {
		nodes = append(nodes, c.Start([]string{"web", "shop", "stock"}[i%3]))
	}
	c.Settle()
	return c, nodes
}
