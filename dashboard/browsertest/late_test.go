package browsertest

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"broach/broachtest"
	"broach/dashboard"
)

// Who chooses another function, or another node, before the former has answered is shown what he has chosen last.
func TestAnAnswerThatComesLateIsNotShown(t *testing.T) {
	c, nodes := cluster(t, 2)
	broachtest.Stub(nodes[1], "shop.slow", 1)
	broachtest.Stub(nodes[1], "shop.quick", 2)
	c.Settle()
	self, other := nodes[0].Addr().String(), nodes[1].Addr().String()
	b := open(t, nodes[0], dashboard.AllowCalls("shop.*")).login()
	b.run(fmt.Sprintf(holdAnswers, "shop.slow", url.QueryEscape(other)))
	b.view("call")
	b.choose("#pick", "shop.slow")
	b.choose("#pick", "shop.quick")
	b.await(`document.querySelector(".code")`, 10*time.Second)
	b.letGo()
	require.Contains(t, b.text(), "shop.quick(")
	require.NotContains(t, b.text(), "shop.slow(")

	b.view("settings")
	b.await(`document.querySelector(".plain td")`, 10*time.Second)
	b.run(fmt.Sprintf(holdAnswers, "shop.slow", url.QueryEscape(other)))
	b.run(`document.querySelector(".plain").remove()`)
	b.choose("#settings-of", other)
	b.choose("#settings-of", self)
	b.await(`document.querySelector(".plain td")`, 10*time.Second)
	b.letGo()
	require.Contains(t, eval[string](b, `document.querySelector(".plain").innerText`), "web")
	b.quiet()
}

// choose does so in an input.
func (b *tab) choose(input, what string) {
	b.t.Helper()
	b.run(fmt.Sprintf(`{ const e = document.querySelector(%q); e.value = %q; e.dispatchEvent(new Event("change")); }`,
		input, what))
}

// holdAnswers has the page wait for what is asked of two names until letGo is called. What is then left to do takes no
// more than promises that are kept already: when the next timer is due, it is done.
const holdAnswers = `{
  const real = window.fetch, held = [];
  let go;
  const may = new Promise((is) => { go = is; });
  const late = async (url, how) => {
    await may;
    const answer = await real(url, how), is = await answer.json();
    return Object.assign(answer, { json: async () => is });
  };
  window.fetch = (url, how) => {
    if (![%q, %q].some((one) => url.includes(one))) return real(url, how);
    held.push(late(url, how));
    return held.at(-1);
  };
  window.letGo = async () => {
    go();
    await Promise.all(held);
    await new Promise((is) => setTimeout(is));
    return held.length;
  };
}`

// letGo returns when the page has seen what was held back.
func (b *tab) letGo() {
	b.t.Helper()
	held, err := chromedp.Run(b.ctx, chromedp.Evaluate[int]("letGo()", chromedp.EvalAwaitPromise))
	require.NoError(b.t, err)
	require.Equal(b.t, 1, held)
}
