package browsertest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"broach"
	"broach/broachtest"
	"broach/dashboard"
)

// busy is a shop of nine nodes that call each other all the time until the test ends.
func busy(t *testing.T) (*broachtest.Cluster, []*broach.Node) {
	c := broachtest.New(t)
	var nodes []*broach.Node
	for i := range 9 {
		nodes = append(nodes, c.Start([]string{"web", "shop", "stock"}[i%3], func(cfg *broach.Config) {
			cfg.Version, cfg.Tags = "2.1.0", map[string]string{"zone": []string{"a", "b"}[i%2]}
		}))
	}
	for i, n := range nodes {
		switch i % 3 {
		case 1:
			require.NoError(t, n.Register("shop.Order", func(ctx context.Context, article string) (int, error) {
				return broach.Call[int](ctx, n.Caller("stock.Take"), article)
			}, broach.Doc("shop.Order(article): orders one, says how many are left")))
			require.NoError(t, n.Register("shop.Price", func(string) int { return 7 }, broach.Idempotent()))
		case 2:
			require.NoError(t, n.Register("stock.Take", func(article string) (int, error) {
				if article == "salt" {
					return 0, broach.Errorf(broach.NotFound, "there is no %s", article)
				}
				return len(article), nil
			}))
		}
	}
	c.Settle()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	t.Cleanup(cancel)
	for i := 0; i < len(nodes); i += 3 {
		all.Go(func() { customers(ctx, nodes[i]) })
	}
	return c, nodes
}

func customers(ctx context.Context, web *broach.Node) {
	articles := []string{"tea", "milk", "honey", "bread", "salt"}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_, _ = web.Caller("shop.Price").Call(ctx, articles[i%5])
			_, _ = web.Caller("shop.Order").Call(ctx, articles[i%5])
		}
	}
}

// Whatever happens in a cluster, no view stands out over the side, and no error is in the console.
func TestEveryStateFits(t *testing.T) {
	c, nodes := busy(t)
	b := open(t, nodes[0], dashboard.AllowCalls("shop.*"), dashboard.AllowActions()).login()
	time.Sleep(4 * time.Second) // there are rates to be shown
	b.everyView("busy")
	b.dialogs()
	c.Kill(nodes[4])
	b.view("overview")
	b.await(`document.querySelector("h1.ill")`, 5*time.Second)
	b.everyView("killed")
	c.Cut(nodes[:1], nodes[1:])
	b.view("overview")
	b.await(`document.querySelector(".headline p:not([hidden])")`, 15*time.Second)
	b.everyView("cut off")
	b.quiet()
}

// everyView looks at all of them, narrow and wide.
func (b *tab) everyView(state string) {
	b.t.Helper()
	for _, width := range []int64{360, 1280} {
		language, theme := "en", "light"
		if width == 360 {
			language, theme = "zh", "dark"
		}
		b.run(fmt.Sprintf(`localStorage.setItem("broach-language", %q)`, language))
		b.run(fmt.Sprintf(`localStorage.setItem("broach-theme", %q)`, theme))
		b.do(chromedp.EmulateViewport(width, 800), chromedp.Reload())
		b.await(`document.querySelector("nav a[aria-current]")`, 10*time.Second)
		for _, view := range views {
			b.view(view)
			time.Sleep(settling()) // members answer what is asked of them
			wide := eval[int64](b, "document.documentElement.scrollWidth")
			require.LessOrEqual(b.t, wide, width, "%s of a %s cluster", view, state)
			b.shot(fmt.Sprint(state, " ", view, " ", width))
		}
	}
}

// settling is how long a view is given: it has what the view before has asked for, and a picture is to have all.
func settling() time.Duration {
	if *shots != "" {
		return time.Second
	}
	return 200 * time.Millisecond
}

// dialogs opens a node and a function.
func (b *tab) dialogs() {
	b.t.Helper()
	for _, view := range []string{"nodes", "functions"} {
		b.view(view)
		b.await(`document.querySelector("tbody tr[tabindex]")`, 10*time.Second)
		b.run(`[...document.querySelectorAll("tbody tr[tabindex]")][1].click()`)
		b.await(`document.querySelector("dialog table")`, 10*time.Second)
		b.shot("dialog " + view)
		b.run(`document.querySelector("dialog").close()`)
	}
}
