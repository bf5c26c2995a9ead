package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broach"
	"broach/gateway"
)

func TestGet(t *testing.T) {
	node, _ := start(t)
	g := newGateway(t, node, gateway.Expose(exposed...))
	for _, c := range []struct{ target, want string }{
		{"/rpc/add?arg=1&arg=2", `3`},
		{"/rpc/sum?arg=1&arg=2&arg=3", `6`},
		{"/rpc/text?arg=a%20b+c", `"a b c"`},
		{"/rpc/took?arg=90s", `"90s"`},
		{"/rpc/bool?arg=true", `true`},
		{"/rpc/any?arg=5", `"5"`},
		{"/rpc/list?arg=[1,2]", `[1,2]`},
		{"/rpc/byInt?1=a&2=b", `{"1":"a","2":"b"}`},
		{"/rpc/order?id=5", `{"id":5,"lines":null}`},
		{"/rpc/order?arg=" + `%7B%22id%22:5%7D`, `{"id":5,"lines":null}`},
		{"/rpc/order?id=5&int64=string", `{"id":"5","lines":null}`},
		{"/rpc/shop.stock?arg=milk", `"stock of milk"`},
	} {
		w := ask(g, "GET", c.target, "")
		require.Equal(t, http.StatusOK, w.Code, "%s: %s", c.target, w.Body)
		require.Equal(t, c.want+"\n", w.Body.String(), c.target)
	}
	for _, c := range []struct {
		target string
		status int
		want   string
	}{
		{"/rpc/add?arg=1&x=2", 400, "either arg, for each argument, or fields"},
		{"/rpc/add?x=2", 400, "takes no fields"},
		{"/rpc/order?nope=2", 400, `has no field "nope"`},
		{"/rpc/order?id=x", 400, `at id: "x" is no int64`},
		{"/rpc/bool?arg=maybe", 400, `"maybe" is no bool`},
		{"/rpc/list?arg=[1", 400, "it ends too early"},
		{"/rpc/add?arg=1", 400, "takes 2 arguments"},
		{"/rpc/add?%zz", 400, "query is malformed"},
		{"/rpc/add?arg=%ff&arg=1", 400, "query is malformed"},
		{"/rpc/add?%ff=1", 400, "query is malformed"},
		{"/rpc/add?arg=1;arg=2", 400, "query is malformed"},
		{"/rpc/add?arg=1&arg=2&int64=number", 400, "as string only"},
		{"/rpc/int8?arg=1", 405, "not idempotent"},
	} {
		w := ask(g, "GET", c.target, "")
		require.Equal(t, c.status, w.Code, "%s: %s", c.target, w.Body)
		require.Contains(t, problemOf(t, w)["detail"], c.want)
		if c.status == http.StatusMethodNotAllowed {
			require.Equal(t, "POST", w.Header().Get("Allow"))
		}
	}
	w := ask(g, "GET", "/rpc/add?arg=1&arg=2", "[1, 2]")
	require.Contains(t, problemOf(t, w)["detail"], "a GET has no body")
}

// "Errors are application/problem+json … Never 200 for an error."
func TestStatuses(t *testing.T) {
	node, _ := start(t)
	g := newGateway(t, node, gateway.Expose(exposed...), gateway.Statuses(map[broach.Code]int{1000: 409}))
	for _, c := range []struct {
		code   string
		status int
		kind   string
	}{
		{"1", 500, "application"}, {"2", 400, "invalid-argument"}, {"3", 404, "not-found"}, {"4", 503, "unavailable"},
		{"5", 502, "unreachable"}, {"6", 504, "deadline-exceeded"}, {"7", 499, "canceled"}, {"8", 503, "overloaded"},
		{"9", 503, "circuit-open"}, {"10", 503, "draining"}, {"11", 413, "too-large"}, {"12", 500, "internal"},
		{"13", 401, "unauthenticated"}, {"14", 503, "closed"},
		{"1000", 409, "application"}, {"1001", 500, "application"},
	} {
		w := ask(g, "POST", "/rpc/code", `[`+c.code+`, "as the function says"]`)
		p := problemOf(t, w)
		require.Equal(t, c.status, w.Code, c.code)
		require.Equal(t, "urn:broach:"+c.kind, p["type"], c.code)
		require.Equal(t, "yes", p["executed"])
		require.Equal(t, "code", p["service"])
		if c.kind == "internal" {
			require.NotContains(t, w.Body.String(), "as the function says", "Internal's text is withheld")
			continue
		}
		require.Equal(t, "as the function says", p["detail"])
	}
	w := ask(g, "POST", "/rpc/code", `[13, "no"]`)
	require.Equal(t, "Bearer", w.Header().Get("WWW-Authenticate"))
}

func TestWhereNodesAreIsNotSaid(t *testing.T) {
	node, provider := start(t)
	closed := newGateway(t, node, gateway.Expose(exposed...))
	w := ask(closed, "POST", "/rpc/fail", "")
	p := problemOf(t, w)
	require.Equal(t, "no luck today on (a node) or (a node)", p["detail"])
	require.NotContains(t, p, "node")
	require.Empty(t, w.Header().Get("Broach-Node"))

	shown := newGateway(t, node, gateway.Expose(exposed...), gateway.ShowNodes())
	w = ask(shown, "POST", "/rpc/fail", "")
	p = problemOf(t, w)
	require.Contains(t, p["detail"], "10.0.0.2:7000")
	require.Equal(t, provider.Addr().String(), p["node"])
	require.Equal(t, provider.Addr().String(), w.Header().Get("Broach-Node"))

	w = ask(closed, "POST", "/rpc/panic", "")
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.NotContains(t, w.Body.String(), "secret")
}

// "NotFound, and every name not exposed: 404, the same body."
func TestWhatIsNotExposedIsNotThere(t *testing.T) {
	node, _ := start(t)
	g := newGateway(t, node, gateway.Expose(append(exposed, "*")...))
	none := newGateway(t, node)
	same := func(g http.Handler, target string) string {
		w := ask(g, "POST", target, "[1]", "X-Request-Id", "same")
		require.Equal(t, http.StatusNotFound, w.Code, "%s: %s", target, w.Body)
		p := problemOf(t, w)
		delete(p, "service")
		return string(must2(t, p))
	}
	want := same(g, "/rpc/nobody%20offers%20this")
	for _, target := range []string{"/rpc/__private", "/rpc/%00find", "/rpc/%00describe", "/rpc/", "/rpc/..",
		"/rpc/../livez", "/rpc/..%2Flivez", "/rpc/a%2Fc", "/rpc/add/", "/rpc/add/x", "/rpc//add", "/rpc/add%00",
		"/rpc/add%0a"} {
		require.Equal(t, want, same(g, target), target)
	}
	for name := range functions {
		require.Equal(t, want, same(none, "/rpc/"+strings.ReplaceAll(name, "/", "%2F")))
	}
	require.Equal(t, "1\n", ask(g, "POST", "/rpc/a%2Fb", "").Body.String(), "a slash in a name is written as %2F")
}

func TestModes(t *testing.T) {
	node, provider := start(t)
	must(t, node.Register("add", functions["add"]))
	g := newGateway(t, node, gateway.Expose(exposed...), gateway.ShowNodes())
	w := ask(g, "POST", "/rpc/add?mode=all", "[1, 2]")
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), `{"node":"`+provider.Addr().String()+`","value":3}`)
	require.Contains(t, w.Body.String(), `{"node":"`+node.Addr().String()+`","value":3}`)

	w = ask(g, "POST", "/rpc/fail?mode=all", "")
	require.Equal(t, http.StatusInternalServerError, w.Code, "nobody answered: %s", w.Body)
	problemOf(t, w)

	w = ask(g, "POST", "/rpc/add?mode=send", "[1, 2]")
	require.Equal(t, http.StatusAccepted, w.Code)
	require.Empty(t, w.Body.String())
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))

	for _, target := range []string{"/rpc/add?mode=none", "/rpc/add?mode=all&mode=send", "/rpc/add?arg=1"} {
		require.Equal(t, http.StatusBadRequest, ask(g, "POST", target, "[1, 2]").Code, target)
	}
	hidden := newGateway(t, node, gateway.Expose(exposed...))
	w = ask(hidden, "POST", "/rpc/add?mode=all", "[1, 2]")
	require.Equal(t, `[{"value":3},{"value":3}]`+"\n", w.Body.String())
}

func TestBodiesAndTypes(t *testing.T) {
	node, _ := start(t)
	g := newGateway(t, node, gateway.Expose(exposed...), gateway.MaxBody(100))
	for _, c := range []struct {
		body, header, value string
		status              int
	}{
		{"[1, 2]", "Content-Type", "", 415},
		{"[1, 2]", "Content-Type", "text/plain", 415},
		{"[1, 2]", "Content-Type", "application/x-www-form-urlencoded", 415},
		{"[1, 2]", "Content-Type", "application/json; charset=latin1", 415},
		{"[1, 2]", "Content-Type", "application/json; charset=UTF-8", 200},
		{"[1, 2]", "Content-Type", "application/json;;", 415},
		{"[1, 2]", "Content-Type", "application/x-ndjson", 415},
		{"[1, 2]", "Content-Encoding", "gzip", 415},
		{"[1, 2]", "Accept", "text/html", 406},
		{"[1, 2]", "Accept", "application/json;q=0", 406},
		{"[1, 2]", "Accept", "text/html, */*;q=0.1", 200},
		{"[1, 2]" + strings.Repeat(" ", 94), "X", "", 200},
		{"[1, 2]" + strings.Repeat(" ", 95), "X", "", 413},
	} {
		w := ask(g, "POST", "/rpc/add", c.body, c.header, c.value)
		require.Equal(t, c.status, w.Code, "%s: %s: %s", c.header, c.value, w.Body)
	}
	r := request("POST", "/rpc/add", "[1, 2]"+strings.Repeat(" ", 95))
	r.ContentLength = -1 // chunked
	require.Equal(t, http.StatusRequestEntityTooLarge, serve(g, r).Code)
	for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS"} {
		w := ask(g, method, "/rpc/add", "[1, 2]")
		require.Equal(t, http.StatusMethodNotAllowed, w.Code)
		require.Equal(t, "GET, HEAD, POST", w.Header().Get("Allow"))
	}
}

func TestRoutingByHeaders(t *testing.T) {
	node, _ := start(t)
	g := newGateway(t, node, gateway.Expose("add", "shop.*"))
	for _, c := range []struct {
		service, serviceName, api, apiName string
		status                             int
	}{
		{"service_name", "shop", "api_name", "stock", 200},
		{"Broach-Service", "shop", "Broach-Api", "stock", 200},
		{"Broach-Service", "other", "Broach-Api", "shop.stock", 200},
		{"Broach-Service", "x", "Broach-Api", "stock", 404},
		{"Broach-Service", "shop", "Broach-Api", "", 404},
		{"Broach-Service", "shop", "Broach-Api", "hidden", 404},
		{"Broach-Service", "__private", "Broach-Api", "x", 404},
	} {
		w := ask(g, "POST", "/services", `"milk"`, c.service, c.serviceName, c.api, c.apiName)
		require.Equal(t, c.status, w.Code, "%v: %s", c, w.Body)
		if c.status == 200 {
			require.Equal(t, `"stock of milk"`+"\n", w.Body.String())
		}
	}
	w := ask(g, "GET", "/services?arg=milk", "", "service_name", "shop", "api_name", "stock")
	require.Equal(t, `"stock of milk"`+"\n", w.Body.String())
	w = ask(g, "GET", "/services?arg=milk", "", "Broach-Api", "shop.stock", "api_name", "shop.stock")
	require.Equal(t, `"stock of milk"`+"\n", w.Body.String())
	for _, other := range []string{"add", "hidden"} { // whichever of them a proxy has looked at
		w = ask(g, "GET", "/services?arg=milk", "", "Broach-Api", "shop.stock", "api_name", other)
		require.Equal(t, http.StatusBadRequest, w.Code)
	}
	w = ask(g, "GET", "/services?arg=milk", "", "Broach-Service", "a", "service_name", "b", "api_name", "shop.stock")
	require.Equal(t, http.StatusBadRequest, w.Code)
}

func TestDeadlines(t *testing.T) {
	node, _ := start(t)
	g := newGateway(t, node, gateway.Expose(exposed...), gateway.MaxTimeout(2*time.Second))
	w := ask(g, "POST", "/rpc/wait", "", "Broach-Timeout", "5ms")
	require.Equal(t, http.StatusGatewayTimeout, w.Code)
	require.Equal(t, "DeadlineExceeded", problemOf(t, w)["code"])
	w = ask(g, "POST", "/rpc/deadline", "", "Broach-Timeout", "1h")
	require.Regexp(t, `^"(1\.9|2)`, w.Body.String(), "more than MaxTimeout counts as that")
	for _, bad := range []string{"1", "-1s", "0s", "soon", "1.5"} {
		w := ask(g, "POST", "/rpc/add", "[1, 2]", "Broach-Timeout", bad)
		require.Equal(t, http.StatusBadRequest, w.Code)
		require.Equal(t, "urn:broach:bad-timeout", problemOf(t, w)["type"])
	}
}
