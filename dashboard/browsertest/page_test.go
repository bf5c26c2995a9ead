package browsertest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"broach"
	"broach/broachtest"
	"broach/dashboard"
)

func TestTheTokenLetsIn(t *testing.T) {
	_, nodes := cluster(t, 1)
	b := open(t, nodes[0])
	b.do(chromedp.Navigate(b.url))
	b.await(`document.querySelector("#token")`, 10*time.Second)
	require.NotContains(t, b.text(), nodes[0].Addr().String(), "nothing is said before")
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), "wrong\r"))
	b.await(`document.querySelector("[role=alert]")`, 10*time.Second)
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), token+"\r"))
	b.await(`document.querySelector("nav")`, 10*time.Second)
	require.Contains(t, b.text(), nodes[0].Addr().String())

	b.do(chromedp.Navigate("about:blank"), chromedp.Navigate(b.url+"/#nodes"))
	b.await(`document.querySelector("tbody tr[tabindex]")`, 10*time.Second) // by the cookie
	require.Empty(t, eval[string](b, "document.cookie"), "no script reads it")

	b.login()
	require.NotContains(t, eval[string](b, "location.href"), token, "nobody copies it with the address")
}

// "3 requests, first row within 300 ms": that is what the page takes of a processor until then. By the clock, a machine
// that does much else is allowed ten times that.
func TestItLoads(t *testing.T) {
	_, nodes := cluster(t, 12)
	b := open(t, nodes[0]).login()
	b.do(chromedp.Navigate("about:blank"))
	b.measure()
	before := b.metric("TaskDuration")
	b.do(chromedp.Navigate(b.url + "/#nodes"))
	b.await(`document.querySelectorAll("tbody tr[tabindex]").length === 12`, 10*time.Second)
	took := eval[float64](b, `performance.now()`)
	worked := 1000 * (b.metric("TaskDuration") - before)
	files := eval[int](b, `performance.getEntriesByType("resource").filter((r) => !r.name.includes("/api/")).length`)
	require.Equal(t, 2, files, "and the page itself")
	require.Less(t, worked, 300.0)
	require.Less(t, took, 3000.0)
	t.Logf("all rows %.0f ms after the page was asked for, %.0f ms of work", took, worked)
	b.quiet()
}

func TestAKilledNodeIsRedWithinThreeSeconds(t *testing.T) {
	c, nodes := cluster(t, 5)
	b := open(t, nodes[0]).login()
	b.view("nodes")
	red := fmt.Sprintf(`[...document.querySelectorAll("tbody tr")].some((tr) =>
		tr.innerText.includes(%q) && tr.querySelector(".badge.m7"))`, nodes[3].Addr())
	b.await(`document.querySelectorAll("tbody tr[tabindex]").length === 5`, 10*time.Second)
	require.False(t, eval[bool](b, red))
	c.Kill(nodes[3])
	t.Log("red after", b.await(red, 3*time.Second))
	b.view("overview")
	b.await(`document.querySelector("h1.ill")`, 3*time.Second)
	b.shot("killed")
	b.view("events")
	b.await(`document.querySelector("tbody .badge.m7")`, 3*time.Second)
	b.quiet()
}

type order struct {
	Article string
	Pieces  int64
	Express bool
	Tags    []string
}

func TestAFunctionIsCalledByTheForm(t *testing.T) {
	c, nodes := cluster(t, 2)
	got := make(chan order, 9)
	require.NoError(t, nodes[1].Register("shop.Order", func(o order) (string, error) {
		got <- o
		if o.Pieces == 0 {
			return "", broach.Errorf(broach.InvalidArgument, "no pieces")
		}
		return "order " + o.Article, nil
	}, broach.Doc("shop.Order(order): orders")))
	c.Settle()
	b := open(t, nodes[0], dashboard.AllowCalls("shop.*")).login()
	b.view("functions")
	b.await(`document.querySelector("tbody tr[tabindex]")`, 10*time.Second)
	b.run(`document.querySelector("tbody tr[tabindex]").click()`)
	b.do(chromedp.Click(chromedp.CSS("dialog .primary")))
	b.await(`document.querySelectorAll(".struct input").length === 3`, 10*time.Second)
	b.do(chromedp.SendKeys(chromedp.CSS(".struct .field:nth-of-type(1) input"), "tea"),
		chromedp.SetValue(chromedp.CSS(".struct .field:nth-of-type(2) input"), "9007199254740993"),
		chromedp.Click(chromedp.CSS(".struct input[type=checkbox]")),
		chromedp.SetValue(chromedp.CSS(".struct textarea"), `["a", "b"]`),
		chromedp.Click(chromedp.CSS("form .primary")))
	b.await(`document.querySelector(".reply")?.innerText.includes("order tea")`, 10*time.Second)
	require.Equal(t, order{"tea", 9007199254740993, true, []string{"a", "b"}}, <-got, "to the last digit")
	b.shot("called")
	b.do(chromedp.SetValue(chromedp.CSS(".struct .field:nth-of-type(2) input"), "0"),
		chromedp.Click(chromedp.CSS("form .primary")))
	b.await(`document.querySelector(".reply.ill")?.innerText.includes("InvalidArgument")`, 10*time.Second)
	b.do(chromedp.SetValue(chromedp.CSS(".struct .field:nth-of-type(2) input"), "many"),
		chromedp.Click(chromedp.CSS("form .primary")))
	b.await(`document.querySelector("[aria-invalid]")`, 10*time.Second)
	require.Len(t, got, 1, "what is no number is not sent")
	b.quiet()
}

// Who leaves the events while he listens to a topic, and comes back, listens again at the first click.
func TestATopicIsListenedToAgain(t *testing.T) {
	c, nodes := cluster(t, 2)
	b := open(t, nodes[0], dashboard.AllowCalls("sold")).login()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for i := range 2 {
		b.view("events")
		b.run(`document.querySelector("details").open = true`)
		b.do(chromedp.SetValue(chromedp.CSS("#topic"), "sold"), chromedp.Click(chromedp.CSS("form.buttons .primary")))
		c.Settle() // that the former subscription has ended is known, too
		require.NoError(t, nodes[1].WaitForSubscribers(ctx, "sold", 1))
		_, err := nodes[1].Publish(ctx, "sold", fmt.Sprint("milk ", i))
		require.NoError(t, err)
		b.await(fmt.Sprintf(`document.querySelector(".tail").innerText.includes("milk %d")`, i), 10*time.Second)
		b.view("nodes")
		require.Eventually(t, func() bool { return len(nodes[0].Topics()) == 0 }, 10*time.Second, 10*time.Millisecond)
	}
	b.quiet()
}

// Names, tags, texts and errors are words of strangers.
func TestHostileNamesDoNothing(t *testing.T) {
	const evil = `<img src=x onerror="window.hit=1">`
	c := broachtest.New(t)
	n := c.Start("web")
	bad := c.Start(evil, func(cfg *broach.Config) {
		cfg.Version, cfg.Tags = evil+"v", map[string]string{evil + "k": evil + "t", "zone": evil}
	})
	for _, name := range []string{evil, "__proto__", "constructor", `"><script>window.hit=1</script>`, "toString"} {
		if err := bad.Register("x."+name, func(string) error { return broach.Errorf(1001, "%s", evil) },
			broach.Doc(evil)); err != nil {
			t.Fatal(err)
		}
	}
	require.NoError(t, bad.Register("toString", func() {}))
	c.Settle()
	b := open(t, n, dashboard.AllowCalls("*")).login()
	for _, view := range views {
		b.view(view)
		if view == "nodes" || view == "functions" {
			b.await(`document.querySelector("tbody tr[tabindex]")`, 10*time.Second)
			b.run(`[...document.querySelectorAll("tbody tr[tabindex]")].at(-1).click()`)
			b.await(`document.querySelector("dialog")`, 10*time.Second)
			time.Sleep(200 * time.Millisecond) // whatever is to happen happens
			b.run(`document.querySelector("dialog").close()`)
		}
	}
	b.view("call")
	b.do(chromedp.SendKeys(chromedp.CSS("#pick"), "x."+evil+"\t"))
	b.await(`document.querySelector(".form input")`, 10*time.Second)
	b.do(chromedp.Click(chromedp.CSS("form .primary")))
	b.await(`document.querySelector(".reply.ill")`, 10*time.Second)
	require.Contains(t, b.text(), evil, "it is shown as it is")
	require.False(t, eval[bool](b, `"hit" in window || document.querySelector("img, script:not([src])") !== null`))
	b.quiet()
}

// Every view, in both languages and lights, from wide to 360 px: nothing stands out over the side.
func TestNarrowAndWide(t *testing.T) {
	c, nodes := cluster(t, 12)
	broachtest.Stub(nodes[1], "shop.price", 7)
	c.Settle()
	b := open(t, nodes[0], dashboard.AllowCalls("*"), dashboard.AllowActions()).login()
	for _, width := range []int64{360, 760, 1280, 1920} {
		for _, look := range [][2]string{{"en", "light"}, {"zh", "dark"}} {
			b.run(fmt.Sprintf(`localStorage.setItem("broach-language", %q)`, look[0]))
			b.run(fmt.Sprintf(`localStorage.setItem("broach-theme", %q)`, look[1]))
			b.do(chromedp.EmulateViewport(width, 800), chromedp.Reload())
			b.await(`document.querySelector("nav a[aria-current]")`, 10*time.Second)
			require.Equal(t, look[0] == "zh", eval[string](b, "document.documentElement.lang") == "zh-CN")
			for _, view := range views {
				b.view(view)
				wide := eval[int64](b, "document.documentElement.scrollWidth")
				require.LessOrEqual(t, wide, width, "%s at %d", view, width)
				b.shot(fmt.Sprint(view, " ", width, " ", look[0], " ", look[1]))
			}
		}
	}
	b.quiet()
}

// By the keyboard alone: to the nodes, down two rows, into one and out again.
func TestTheKeyboardIsEnough(t *testing.T) {
	_, nodes := cluster(t, 4)
	b := open(t, nodes[0]).login()
	b.view("nodes")
	b.await(`document.querySelectorAll("tbody tr[tabindex]").length === 4`, 10*time.Second)
	b.do(chromedp.Focus(chromedp.CSS("tbody tr[tabindex='0']")))
	b.press("ArrowDown", 40)
	b.press("ArrowDown", 40)
	require.Equal(t, nodes[2].Addr().String(), eval[string](b, "document.activeElement.key"))
	b.press("Enter", 13)
	b.await(`document.querySelector("dialog[open] table")`, 10*time.Second)
	b.press("Escape", 27)
	b.await(`!document.querySelector("dialog")`, 10*time.Second)
	require.Equal(t, nodes[2].Addr().String(), eval[string](b, "document.activeElement.key"), "the focus is back")
	b.quiet()
}

// A page that is open for long keeps nothing of what it has shown.
func TestTheHeapIsFlat(t *testing.T) {
	c, nodes := cluster(t, 12)
	broachtest.Stub(nodes[1], "price", 7)
	c.Settle()
	b := open(t, nodes[0], dashboard.Every(200*time.Millisecond)).login()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				_, _ = nodes[0].Caller("price").Call(t.Context())
			}
		}
	}()
	heap := func() float64 {
		for range 2 {
			_, err := chromedp.Call(b.ctx, heapprofiler.CollectGarbage, cdp.Empty{})
			require.NoError(t, err)
		}
		use, err := chromedp.Call(b.ctx, runtime.GetHeapUsage, cdp.Empty{})
		require.NoError(t, err)
		return use.UsedSize
	}
	round := func(d time.Duration) {
		for _, view := range views {
			b.view(view)
			time.Sleep(d / time.Duration(len(views)))
		}
	}
	const rounds = 12
	var heaps []float64
	for range rounds {
		round(*watch / rounds)
		heaps = append(heaps, heap())
	}
	t.Logf("heap after each round, KiB: %.0f", scaled(heaps, 1.0/1024))
	before, after := heaps[rounds/3], heaps[rounds-1]
	require.Less(t, after-before, float64(512<<10))
	b.quiet()
}

func scaled(all []float64, by float64) []float64 {
	out := make([]float64, len(all))
	for i, v := range all {
		out[i] = v * by
	}
	return out
}
