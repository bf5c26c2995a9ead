package dashboard

import (
	"bufio"
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broach"
	"broach/broachtest"
)

// stream opens one over a real connection, and yields what comes, by kind.
func stream(t *testing.T, ctx context.Context, url string) func(kind string) string {
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(authorized(r))
	require.NoError(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return func(kind string) string {
		for lines.Scan() {
			if lines.Text() == "event: "+kind && lines.Scan() {
				return strings.TrimPrefix(lines.Text(), "data: ")
			}
		}
		return ""
	}
}

func serve(t *testing.T, h http.Handler) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestAStreamBeginsWithAllAndEndsWithTheNode(t *testing.T) {
	c := broachtest.New(t)
	n, other := c.Start("web"), c.Start("shop")
	c.Settle()
	url := serve(t, pageOf(t, n, Token(token), Every(200*time.Millisecond)))
	next := stream(t, t.Context(), url+"/api/stream?sections=sum,nodes&id=12345678")
	var s screen
	s.take(t, []byte(next("patch")))
	require.Len(t, s.sections["nodes"], 2)
	for !s.node(t, other.Addr()).Answered {
		s.take(t, []byte(next("patch")))
	}
	require.NotEmpty(t, next("patch"))
	require.NoError(t, n.Close())
	for next("patch") != "" {
		continue // what was under way
	}
}

func TestAStreamThatIsNone(t *testing.T) {
	p := pageOf(t, broachtest.New(t).Start("web"))
	for _, q := range []string{"", "?sections=nodes&id=1", "?sections=none&id=12345678", "?id=12345678"} {
		require.Equal(t, 400, ask(p, request("GET", "/api/stream"+q, "")).Code, q)
	}
}

func TestARowIsOpened(t *testing.T) {
	c := broachtest.New(t)
	n := c.Start("web")
	shop := c.Start("shop", func(cfg *broach.Config) { cfg.Keys, cfg.Tags = nil, map[string]string{"zone": "a"} })
	broachtest.Stub(shop, "price", 7)
	c.Settle()
	_, err := broach.Call[int](t.Context(), n.Caller("price"))
	require.NoError(t, err)
	p := pageOf(t, n)
	v := decode[viewAnswer](t, ask(p, request("GET", "/api/view?addr="+shop.Addr().String(), "")).Body)
	require.Equal(t, "shop", v.Name)
	require.Len(t, v.Members, 2)
	require.Equal(t, uint64(1), v.Served[0].Calls)
	require.NotEmpty(t, v.Settings)
	require.NotEmpty(t, v.Counts)
	require.Equal(t, 400, ask(p, request("GET", "/api/view?addr=x", "")).Code)
}

// What the cluster says no to, as a row of a node that has just gone, is an answer: of a status that says otherwise the
// console of a browser tells as of an error of the page.
func TestWhatHasGoneIsAnAnswer(t *testing.T) {
	p := pageOf(t, broachtest.New(t).Start("web"), Token(token), AllowCalls("*"), AllowActions())
	for _, r := range []*http.Request{
		request("GET", "/api/view?addr=10.9.9.9:1", ""),
		request("GET", "/api/describe?name=gone", ""),
		request("POST", "/api/do", `{"Do":"pause","Name":"gone"}`),
		request("POST", "/api/do", `{"Do":"forget","Addr":"10.9.9.9:1"}`),
	} {
		w := ask(p, authorized(r))
		require.Equal(t, 200, w.Code, r.URL)
		require.NotEmpty(t, decode[refused](t, w.Body).Error, r.URL)
	}
	w := ask(p, authorized(request("POST", "/api/call", `{"Name":"gone","Args":"[]"}`)))
	require.Equal(t, "NotFound", decode[callAnswer](t, w.Body).Replies[0].Code)
	w = ask(p, authorized(request("POST", "/api/sight", `{"ID":"gone","Rows":[]}`)))
	require.Equal(t, 204, w.Code)
}

// Questions of people count for the 20 a second, and too many of them are refused.
func TestTooManyRowsAreOpened(t *testing.T) {
	p := newPoller(broachtest.New(t).Start("web"), time.Second, func(string) bool { return false })
	now, granted := time.Now(), 0
	for range 1000 {
		if _, ok := p.turn(now); ok {
			granted++
		}
	}
	require.InDelta(t, float64(waitMost/askEvery), granted, 2)
}

func TestTooMuchIsAskedForAtOnce(t *testing.T) {
	n := broachtest.New(t).Start("web")
	p := pageOf(t, n, Token(token), AllowCalls("*"))
	p.poller.nextAsk = time.Now().Add(time.Hour) // many have asked
	for range viewersMost {
		p.tails <- struct{}{} // and listen
	}
	for _, path := range []string{"view?addr=" + n.Addr().String(), "describe?name=f", "topic?name=sold"} {
		require.Equal(t, 503, ask(p, authorized(request("GET", "/api/"+path, ""))).Code, path)
	}
}

func TestCallsOfTheForm(t *testing.T) {
	c := broachtest.New(t)
	n, one, two := c.Start("web"), c.Start("shop"), c.Start("shop")
	price := broachtest.Stub(one, "shop.price", 7)
	broachtest.Stub(two, "shop.price", 8)
	broachtest.Stub(one, "shop.fail", broach.Errorf(1007, "no luck"))
	broachtest.Stub(one, "secret", 1)
	c.Settle()
	p := pageOf(t, n, Token(token), AllowCalls("shop.*"))
	call := func(body string) (int, callAnswer) {
		w := ask(p, authorized(request("POST", "/api/call", body)))
		if w.Code != 200 {
			return w.Code, callAnswer{}
		}
		return 200, decode[callAnswer](t, w.Body)
	}
	on := one.Addr().String()
	_, out := call(`{"Name":"shop.price","Args":"[\"milk\"]","On":"` + on + `","Meta":{"lang":"de"}}`)
	require.Equal(t, []replyRow{{Node: on, Value: "7"}}, out.Replies)
	require.Equal(t, 1, out.Attempts)
	require.Equal(t, "milk", price.Calls()[0].Args[0])
	require.Equal(t, "de", price.Calls()[0].Meta["lang"])
	_, out = call(`{"Name":"shop.price","Args":"[]","Mode":"all"}`)
	require.Len(t, out.Replies, 2)
	require.Equal(t, 2, out.Attempts)
	for range 20 { // each of the two answers some
		_, out = call(`{"Name":"shop.price","Args":"[]"}`)
		at := map[string]string{"7": on, "8": two.Addr().String()}[out.Replies[0].Value]
		require.Equal(t, at, out.Replies[0].Node)
	}
	_, out = call(`{"Name":"shop.price","Args":"[]","Mode":"send"}`)
	require.Empty(t, out.Replies[0].Code)
	_, out = call(`{"Name":"shop.fail","Args":"[]"}`)
	require.Equal(t, []replyRow{{Node: on, Code: "Code(1007)", Message: "no luck", Executed: "yes"}}, out.Replies)
	for _, n := range []*broach.Node{one, two} {
		refuse := func(context.Context, *broach.Invocation, broach.Handler) (any, error) {
			return nil, broach.Errorf(broach.Unavailable, "not here")
		}
		require.NoError(t, n.Register("shop.away", func() {}, broach.ServeInterceptors(refuse)))
	}
	c.Settle()
	_, out = call(`{"Name":"shop.away","Args":"[]"}`)
	require.Equal(t, 2, out.Attempts, "each is asked once: %v", out)
	_, out = call(`{"Name":"shop.none","Args":"[]"}`)
	require.Zero(t, out.Attempts)
	for name, status := range map[string]int{"secret": 403, "__x": 403, "\\u0000view": 403, "shop.none": 200} {
		got, _ := call(`{"Name":"` + name + `","Args":"[]"}`)
		require.Equal(t, status, got, name)
	}
	status, _ := call(`{"Name":"shop.price","Args":"[]","On":"x"}`)
	require.Equal(t, 400, status)
}

// A function that streams is called with a list, and answers with its items, as many as are shown.
func TestFunctionsThatStream(t *testing.T) {
	n := broachtest.New(t).Start("shop")
	require.NoError(t, n.Register("double", func(in iter.Seq2[int, error]) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for v, err := range in {
				if !yield(2*v, err) {
					return
				}
			}
		}
	}))
	require.NoError(t, n.Register("endless", func() iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := 0; yield(i, nil); i++ {
				continue
			}
		}
	}))
	p := pageOf(t, n, Token(token), AllowCalls("*"))
	w := ask(p, authorized(request("POST", "/api/call", `{"Name":"double","Args":"[[1,2]]"}`)))
	require.Equal(t, []replyRow{{Value: "2"}, {Value: "4"}}, decode[callAnswer](t, w.Body).Replies)
	w = ask(p, authorized(request("POST", "/api/call", `{"Name":"double","Args":"[[]]"}`)))
	require.Equal(t, []replyRow{{Value: "[]"}}, decode[callAnswer](t, w.Body).Replies)
	w = ask(p, authorized(request("POST", "/api/call", `{"Name":"endless","Args":"[]"}`)))
	out := decode[callAnswer](t, w.Body).Replies
	require.Len(t, out, repliesMost)
	require.True(t, out[repliesMost-1].Cut)
	require.Equal(t, 400, ask(p, authorized(request("POST", "/api/call", `{"Name":"double","Args":"[1]"}`))).Code)
}

func TestActionsAreOfThisNodeOnly(t *testing.T) {
	c := broachtest.New(t)
	n, other := c.Start("web"), c.Start("shop")
	broachtest.Stub(n, "f", 1)
	broachtest.Stub(other, "g", 1)
	c.Settle()
	p := pageOf(t, n, Token(token), AllowActions())
	const refuses = 200 // with an error, where 204 is done
	act := func(body string) int { return ask(p, authorized(request("POST", "/api/do", body))).Code }
	require.Equal(t, 204, act(`{"Do":"pause","Name":"f"}`))
	_, err := n.Caller("f").Call(t.Context())
	require.ErrorIs(t, err, broach.ErrUnavailable)
	require.Equal(t, 204, act(`{"Do":"resume","Name":"f"}`))
	require.Equal(t, refuses, act(`{"Do":"pause","Name":"g"}`), "another's")
	require.Equal(t, refuses, act(`{"Do":"forget","Addr":"`+other.Addr().String()+`"}`), "it is there")
	require.Equal(t, refuses, act(`{"Do":"explode"}`))
	require.Equal(t, 204, act(`{"Do":"leave"}`))
	<-n.Done()
}

func TestEventsOfATopic(t *testing.T) {
	c := broachtest.New(t)
	n, shop := c.Start("web"), c.Start("shop")
	c.Settle()
	p := pageOf(t, n, Token(token), AllowCalls("sold"))
	ctx, cancel := context.WithCancel(t.Context())
	next := stream(t, ctx, serve(t, p)+"/api/topic?name=sold")
	require.NoError(t, shop.WaitForSubscribers(t.Context(), "sold", 1))
	_, err := shop.Publish(t.Context(), "sold", map[string]any{"ID": 7})
	require.NoError(t, err)
	var row struct{ From, Text string }
	require.NoError(t, json.Unmarshal([]byte(next("event")), &row))
	require.Equal(t, shop.Addr().String(), row.From)
	require.JSONEq(t, `{"ID":7}`, row.Text)
	require.Len(t, p.tails, 1)
	cancel()
	require.Eventually(t, func() bool { return len(n.Topics())+len(p.tails) == 0 }, 5*time.Second, time.Millisecond,
		"its place is free for another")
}

// "All assets are at most 25 KB compressed", by level 9, as they are served, and 100 KB in full.
func TestAssetsAreSmall(t *testing.T) {
	raw, zipped := 0, 0
	for name, a := range assets() {
		raw, zipped = raw+len(a.body), zipped+len(a.zipped)
		require.NotContains(t, string(a.body), "innerHTML", name)
		body := strings.ReplaceAll(string(a.body), "http://www.w3.org/2000/svg", "") // a name, no address
		require.NotContains(t, body, "://", name+": nothing comes from elsewhere")
	}
	require.LessOrEqual(t, zipped, 25_000)
	require.LessOrEqual(t, raw, 100_000)
	t.Log("raw", raw, "gzip", zipped)
}

func TestFilesAreNotSentTwice(t *testing.T) {
	p := pageOf(t, broachtest.New(t).Start("web"))
	r := request("GET", "/app.js", "")
	r.Header.Set("Accept-Encoding", "gzip")
	w := ask(p, r)
	require.Equal(t, "gzip", w.Header().Get("Content-Encoding"))
	r.Header.Set("If-None-Match", w.Header().Get("ETag"))
	require.Equal(t, 304, ask(p, r).Code)
	require.Equal(t, 404, ask(p, request("GET", "/js/main.js", "")).Code)
	require.Equal(t, 405, ask(p, request("POST", "/app.js", "")).Code)
}

// What is left out of a script changes nothing that it says.
func TestLeanLeavesTextsAlone(t *testing.T) {
	for in, want := range map[string]string{
		"  // a note\n  put(e, \"a , b\");\n": `put(e,"a , b");`,
		"const id = \"f\" + ++n;\n":           `const id="f"+ ++n;`,
		"x = a - -b;\n":                       `x=a- -b;`,
		"return x\n":                          "return x\n",
		"t(`${a} → ${b}: c`);\n":              "t(`${a} → ${b}: c`);",
	} {
		require.Equal(t, want, string(lean([]byte(in), scriptSigns)))
	}
	css := lean([]byte(".a { width: calc(100% - 2px); }\n"), styleSigns)
	require.Equal(t, ".a{width:calc(100% - 2px)}\n", string(shorter(css)))
}
