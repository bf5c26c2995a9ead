package browsertest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broach/broachtest"
	"broach/dashboard"
)

// unnamed are the parts of a view of which a screen reader could not say what they are.
const unnamed = `(() => {
  const text = (e) => (e.ariaLabel || e.textContent || "").trim(), bad = [];
  const headed = (e) => [...e.tHead.querySelectorAll("th")].every((th) => th.scope === "col");
  const check = (what, is) => document.querySelectorAll(what).forEach((e) =>
    is(e) || bad.push(what + ": " + e.outerHTML.slice(0, 120)));
  check("input, select, textarea", (e) => e.ariaLabel || [...e.labels].some((l) => text(l)));
  check("button, a, summary, h1, h2, h3, legend:not(:empty)", (e) => e.hidden || text(e));
  check("table.live, table.plain", headed);
  check("table.live", (e) => e.caption && text(e.caption));
  check("table.live th", text);
  check("svg, canvas", (e) => e.ariaHidden || e.ariaLabel);
  check("dialog", (e) => text(document.getElementById(e.getAttribute("aria-labelledby"))));
  for (const one of ["h1", "main", "nav[aria-label]"])
    if (document.querySelectorAll(one).length !== 1) bad.push("not one " + one);
  check("[id]", (e) => document.querySelectorAll("#" + CSS.escape(e.id)).length === 1);
  return bad;
})()`

// Whoever hears the page in place of seeing it is told what each part is, and in which language.
func TestScreenReadersCanNameAll(t *testing.T) {
	c, nodes := cluster(t, 3)
	require.NoError(t, nodes[1].Register("shop.Order", func(order) {}))
	broachtest.Stub(nodes[1], "shop.price", 7)
	c.Settle()
	b := open(t, nodes[0], dashboard.AllowCalls("*"), dashboard.AllowActions()).login()
	for _, view := range views {
		b.view(view)
		if view == "nodes" || view == "functions" {
			b.await(`document.querySelector("tbody tr[tabindex]")`, 10*time.Second)
			b.run(`document.querySelector("tbody tr[tabindex]").click()`)
			b.await(`document.querySelector("dialog table")`, 10*time.Second)
			require.Empty(t, eval[[]string](b, unnamed), "a row of "+view)
			b.run(`document.querySelector("dialog").close()`)
		}
		if view == "call" {
			b.run(`pick.value = "shop.Order"; pick.dispatchEvent(new Event("change"))`)
			b.await(`document.querySelector(".struct input")`, 10*time.Second)
		}
		require.Empty(t, eval[[]string](b, unnamed), view)
		require.Equal(t, "en", eval[string](b, "document.documentElement.lang"))
	}
}

// A hidden tab closes its stream: nobody is asked for what nobody sees. When it is shown again it goes on.
func TestAHiddenTabAsksNothing(t *testing.T) {
	_, nodes := cluster(t, 2)
	b := open(t, nodes[0]).login()
	b.run(noteStreams)
	b.view("nodes")
	b.await(`document.querySelectorAll("tbody tr[tabindex]").length === 2`, 10*time.Second)
	for range 2 {
		b.hide(true)
		require.Zero(t, eval[int](b, "streams.size"))
		b.view("overview")
		require.Zero(t, eval[int](b, "streams.size"), "nor does another view open one")
		b.hide(false)
		require.Equal(t, 1, eval[int](b, "streams.size"))
		b.await(`document.querySelector(".pulse:not(.ill)")`, 5*time.Second)
		b.view("nodes")
	}
	b.quiet()
}

// noteStreams has the page say which streams are open of those that it opens from then on.
const noteStreams = `
window.streams = new Set();
window.EventSource = class extends EventSource {
  constructor(url) { super(url); streams.add(this); }
  close() { super.close(); streams.delete(this); }
}`

func (b *tab) hide(is bool) {
	b.t.Helper()
	b.run(map[bool]string{
		true:  `Object.defineProperty(document, "hidden", { value: true, configurable: true })`,
		false: `delete document.hidden`,
	}[is] + `; document.dispatchEvent(new Event("visibilitychange"))`)
}
