package browsertest

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broach/gateway"
)

// "Origins lets pages of these origins call from browsers": with each header that a request may have, which a browser
// asks for first, and the page reads those of the answer.
func TestAFriendCalls(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	b := s.visit(s.friend)
	a := b.ask("/rpc/add", post("[1, 2]", "Broach-Timeout", "5s", "Broach-Key", "k", "X-Request-Id", "browser-1",
		"Idempotency-Key", "i", "Shop-Tenant", "eu", "Baggage", "a=b", "Tracestate", "a=b",
		"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
	require.Equal(t, answer{Status: 200, Type: "cors", Header: a.Header, Text: "3\n"}, a)
	require.Equal(t, "browser-1", a.Header["x-request-id"])
	require.Contains(t, a.Header["server-timing"], "broach;dur=")
	meta := <-s.metac
	require.Equal(t, "eu", meta["shop-tenant"])
	require.Equal(t, "i", meta["idempotency-key"])

	a = b.ask("/rpc/refuse", post("[]"))
	require.Equal(t, http.StatusBadRequest, a.Status, a)
	require.Equal(t, "InvalidArgument", a.Header["broach-code"])
	require.Equal(t, "yes", a.Header["broach-executed"])
	require.Contains(t, a.Text, "no pieces")
	a = b.ask("/rpc/panic", post("[]"))
	require.Equal(t, http.StatusInternalServerError, a.Status, a)
	require.Equal(t, "Internal", a.Header["broach-code"])
	require.Equal(t, http.StatusNotFound, b.ask("/rpc/none", post("[]")).Status)
	require.Equal(t, 200, b.ask("/orders", post("{}")).Status, "a route")

	// "any method at /services calls the function in the header api_name"
	for _, header := range [][]string{{"Broach-Api", "add"}, {"api_name", "add", "service_name", "x"}} {
		require.Equal(t, "3\n", b.ask("/services", post("[1, 2]", header...)).Text, "%v", header)
	}
}

// "Workers lets programs that are no nodes serve functions, in any language": pages are such programs.
func TestAFriendServes(t *testing.T) {
	t.Parallel()
	s := openShop(t, gateway.Workers("page.*"))
	b := s.visit(s.friend)
	b.run(`(async () => {
	  const made = await ask("/workers", {method: "POST", headers: {"Content-Type": "application/json"},
	    body: JSON.stringify({name: "page", functions: [{name: "page.title"}]})});
	  const {id, token} = JSON.parse(made.text), headers = {"Broach-Worker": token, "Content-Type": "application/json"};
	  const next = await ask("/workers/" + id + "/next?wait=10", {headers});
	  const body = JSON.stringify({value: document.title});
	  await ask("/workers/" + id + "/calls/" + JSON.parse(next.text).call, {method: "POST", headers, body});
	  const bye = await ask("/workers/" + id, {method: "DELETE", headers});
	  got.push(String(bye.status));
	})()`)
	require.NoError(t, s.node.WaitFor(t.Context(), "page.title", 1))
	title, err := s.node.Caller("page.title").Call(t.Context())
	require.NoError(t, err)
	require.Equal(t, "shop", title)
	b.gets("204")
}

// "http.CrossOriginProtection refuses what pages of other sites send": whatever they try, nothing runs, and they read
// nothing. A browser sends some of it without asking first.
func TestAStrangerIsRefused(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	plain := func(mode string) map[string]any {
		return map[string]any{"method": "POST", "body": `{"a": 1}`, "mode": mode,
			"headers": map[string]string{"Content-Type": "text/plain"}}
	}
	for _, origin := range s.strangers {
		b := s.visit(origin)
		for path, init := range map[string]map[string]any{
			"/rpc/add": post("[1, 2]"), "/services": post("[1, 2]", "api_name", "add"), "/orders": plain("cors"),
			"/rpc/look?arg=1": {}, "/rpc": {}, "/events/sold": {}, "/openapi.json": {},
		} {
			require.NotEmpty(t, b.ask(path, init).Refused, "%s %s", origin, path)
		}
		require.Equal(t, "opaque", b.ask("/orders", plain("no-cors")).Type)
		require.Equal(t, "opaque", b.ask("/rpc/look?arg=1", map[string]any{"mode": "no-cors"}).Type)
		b.run(`window.source = listen("/events/sold")`)
		b.hears("source.got", "state 2")

		// a browser opens a WebSocket without asking first
		b.run(`dial('{"id": 1, "op": "call", "name": "look", "args": [7]}')`)
		b.gets("closed 1006")

		// a picture and a form are requests as well, which no script sends
		b.run(`const i = new Image()
			i.onerror = () => got.push("no picture")
			i.src = gateway + "/rpc/look?arg=1"`)
		b.gets("closed 1006", "no picture")
		b.run(`document.body.innerHTML = "<form method=POST action=" + gateway + "/orders></form>"
			document.forms[0].submit()`)
		b.await(`location.pathname === "/orders" && document.body`, 10*time.Second)
		require.Contains(t, b.text(), "cross-origin")
		require.Zero(t, s.ran.Load(), "nothing has run, by %s", origin)
	}
}

// A token goes along from a friend's page, and who has none is told so.
func TestAFriendHasAToken(t *testing.T) {
	t.Parallel()
	s := openShop(t, gateway.BearerTokens(map[string]string{token: "ann"}))
	b := s.visit(s.friend)
	with := func(token string) map[string]any {
		header := map[string]string{"Authorization": "Bearer " + token}
		return map[string]any{"credentials": "include", "headers": header}
	}
	a := b.ask("/rpc/look?arg=7", with(token))
	require.Equal(t, answer{Status: 200, Type: "cors", Header: a.Header, Text: "7\n"}, a)
	require.Equal(t, http.StatusUnauthorized, b.ask("/rpc/look?arg=7", with("x"+token)).Status)
	a = b.ask("/rpc/look?arg=7", map[string]any{})
	require.Equal(t, http.StatusUnauthorized, a.Status)
	require.Contains(t, a.Text, "urn:broach:unauthenticated")
	a = b.ask("/rpc/add?arg=1&arg=2", with(token))
	require.Equal(t, http.StatusMethodNotAllowed, a.Status, "it may change much")
	require.Equal(t, "3\n", b.ask("/rpc/add", post("[1, 2]", "Authorization", "Bearer "+token)).Text)
	require.EqualValues(t, 2, s.ran.Load())
	stranger := s.visit(s.strangers[0])
	require.NotEmpty(t, stranger.ask("/rpc/look?arg=7", with(token)).Refused)
	require.EqualValues(t, 2, s.ran.Load())
}
