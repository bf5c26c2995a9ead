package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"broach"
	"broach/gateway"
)

const token = "0123456789abcdef0123456789abcdef"

// All mistakes at once, each with what to do.
func TestNewNamesAllMistakes(t *testing.T) {
	_, err := gateway.New(nil, nil,
		gateway.Expose(), gateway.Expose("[", ""), gateway.ExposeEvents("["), gateway.PublishEvents(),
		gateway.Route("GET api", "add"), gateway.Route("/api", "add"), gateway.Route("GET /a/{x}b", "add"),
		gateway.Route("GET /a/{x}/{x}", "add"), gateway.Route("GET /a/{x...}/b", "add"),
		gateway.Route("GET /a//b", "add"), gateway.Route("GET /a/../b", "add"),
		gateway.Route("GET /rpc/x", "add"), gateway.Route("GET /livez", "add"),
		gateway.Route("GET /a/{x}", "__private"),
		gateway.Route("GET /c/{x}", "one"), gateway.Route("GET /c/{y}", "two"),
		gateway.RouteRegexp("GET", "(", "add"), gateway.RouteRegexp("get", "/x", "add"),
		gateway.Auth(nil), gateway.BearerTokens(nil), gateway.BearerTokens(map[string]string{"short": "me"}),
		gateway.Origins("https://a.example/path", "a.example"), gateway.Hosts("http://x"),
		gateway.TrustedProxies(netip.Prefix{}),
		gateway.MaxBody(0), gateway.MaxInFlight(-1), gateway.MaxTimeout(0), gateway.MaxEventStreams(0),
		gateway.MetaHeaders("Authorization", "cookie", "Broach-Caller", "a b", ""),
		gateway.Statuses(map[broach.Code]int{1: 400, 1000: 200}), gateway.Middleware(nil), gateway.InsecureNoAuth(),
	)
	require.Error(t, err)
	for _, want := range []string{
		"broach: gateway: ", "the node is nil", "an option is nil", "Expose without a pattern",
		`Expose: "[" is no pattern`,
		`Expose: "" is no pattern`, `ExposeEvents: "["`, "PublishEvents without", `Route: "GET api" is no route`,
		`Route: "/api" is no route`, `"GET /a/{x}b" is no route`, `"GET /a/{x}/{x}" is no route`,
		`"GET /a/{x...}/b" is no route`, `"GET /a//b" is no route`, `"GET /a/../b" is no route`,
		`"GET /rpc/x" is where the gateway has its own`, `"GET /livez" is where`, `"__private" cannot be exposed`,
		`"GET /c/{x}" and "GET /c/{y}" match the same requests`, `RouteRegexp: "("`, `"get" is no method`,
		"Auth: the function is nil", "without a token lets nobody in", `the token of "me" is short`,
		"Auth and BearerTokens are one thing", `"https://a.example/path" is no origin`, `"a.example" is no origin`,
		`Hosts: "http://x"`, "TrustedProxies: a prefix", "MaxBody: 0", "MaxInFlight: -1", "MaxTimeout: 0s",
		"MaxEventStreams: 0", `"Authorization" has secrets`, `"cookie" has secrets`,
		`"Broach-Caller" is the gateway's own`,
		`"a b" is no name`, `"" is no name`, "Statuses: 400 for 1", "Statuses: 200 for 1000",
		"Middleware: the function",
		"InsecureNoAuth contradicts Auth",
	} {
		require.Contains(t, err.Error(), want)
	}
	require.NoError(t, gateway.Check(gateway.Expose("add")))
	for _, open := range []gateway.Option{gateway.Origins("*"), gateway.Hosts("*")} {
		_, err := gateway.New(nil, open)
		require.Contains(t, err.Error(), "without Auth lets any website")
		require.ErrorContains(t, gateway.Check(open), "without Auth lets any website")
	}
}

// A gateway without Auth serves this machine, by its own names, and nobody else.
func TestItStartsClosed(t *testing.T) {
	node, _ := start(t)
	g := newGateway(t, node, gateway.Expose("add"))
	for _, c := range []struct {
		name, local, remote, host, header, value, want string
	}{
		{"this machine", "127.0.0.1", "127.0.0.1:1", "127.0.0.1:18090", "", "", ""},
		{"this machine by its name", "127.0.0.1", "127.0.0.1:1", "LocalHost:18090", "", "", ""},
		{"by IPv6", "::1", "[::1]:1", "[::1]:18090", "", "", ""},
		{"a socket in the file system", "127.0.0.1", "@", "localhost", "", "", ""},
		{"another machine", "10.0.0.1", "10.0.0.9:1", "10.0.0.1", "", "", "not-open"},
		{"an address of others", "10.0.0.1", "127.0.0.1:1", "10.0.0.1", "", "", "not-open"},
		{"nothing is known", "", "127.0.0.1:1", "127.0.0.1", "", "", "not-open"},
		{"by a proxy here", "127.0.0.1", "127.0.0.1:1", "127.0.0.1", "X-Forwarded-For", "10.0.0.9", "not-open"},
		{"by another", "127.0.0.1", "127.0.0.1:1", "127.0.0.1", "Forwarded", "for=10.0.0.9", "not-open"},
		{"by nginx", "127.0.0.1", "127.0.0.1:1", "127.0.0.1", "X-Real-Ip", "10.0.0.9", "not-open"},
		{"by one that says its name only", "127.0.0.1", "127.0.0.1:1", "127.0.0.1", "Via", "1.1 proxy", "not-open"},
		{"a name that leads here", "127.0.0.1", "127.0.0.1:1", "evil.example", "", "", "host-not-allowed"},
		{"a name like ours", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example", "", "", "host-not-allowed"},
		{"no host", "127.0.0.1", "127.0.0.1:1", "", "", "", "host-not-allowed"},
		{"a page of another site", "127.0.0.1", "127.0.0.1:1", "127.0.0.1", "Sec-Fetch-Site", "cross-site",
			"cross-origin"},
		{"the same in an old browser", "127.0.0.1", "127.0.0.1:1", "127.0.0.1", "Origin", "https://evil.example",
			"cross-origin"},
		{"a page without an origin", "127.0.0.1", "127.0.0.1:1", "127.0.0.1", "Origin", "null", "cross-origin"},
		{"our own page", "127.0.0.1", "127.0.0.1:1", "127.0.0.1:18090", "Origin", "http://127.0.0.1:18090", ""},
	} {
		r := request("POST", "/rpc/add", "[1, 2]", "X", "")
		if r = r.WithContext(context.Background()); c.local != "" {
			r = at(r, c.local)
		}
		r.RemoteAddr, r.Host = c.remote, c.host
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		w := serve(g, r)
		if c.want == "" {
			require.Equal(t, "3\n", w.Body.String(), c.name)
			continue
		}
		require.Equal(t, http.StatusForbidden, w.Code, c.name)
		require.Equal(t, "urn:broach:"+c.want, problemOf(t, w)["type"], c.name)
	}
	require.EqualValues(t, 13, g.Stats().Refused)
	r := at(request("POST", "/rpc/add", "[1, 2]"), "10.0.0.1")
	r.RemoteAddr, r.Host = "10.0.0.9:1", "10.0.0.1"
	open := newGateway(t, node, gateway.Expose("add"), gateway.InsecureNoAuth())
	require.Equal(t, "3\n", serve(open, r).Body.String(), "who wants it open has it open")
}

func TestHosts(t *testing.T) {
	node, _ := start(t)
	g := newGateway(t, node, gateway.Expose("add"), gateway.Hosts("Shop.Example"))
	r := request("POST", "/rpc/add", "[1, 2]")
	r.Host = "shop.example:18090"
	require.Equal(t, http.StatusOK, serve(g, r).Code)
	any := newGateway(t, node, gateway.Expose("add"), gateway.Hosts("*"),
		gateway.BearerTokens(map[string]string{token: "x"}))
	r = request("POST", "/rpc/add", "[1, 2]", "Authorization", "Bearer "+token)
	r.Host = "any.example"
	require.Equal(t, http.StatusOK, serve(any, r).Code)
}

func TestAuth(t *testing.T) {
	node, _ := start(t)
	g := newGateway(t, node, gateway.Expose("meta", "code"),
		gateway.BearerTokens(map[string]string{token: "till 5", token[:16]: "till 6"}))
	for header, want := range map[string]int{"": 401, "Bearer": 401, "Bearer ": 401, "Bearer " + token + "0": 401,
		"Basic " + token: 401, token: 401, "Bearer " + token: 200, "bearer " + token[:16]: 200} {
		w := ask(g, "POST", "/rpc/meta", "", "Authorization", header)
		require.Equal(t, want, w.Code, header)
		if want == http.StatusUnauthorized {
			require.Equal(t, "Bearer", w.Header().Get("WWW-Authenticate"))
			require.NotContains(t, w.Body.String(), token)
			require.Equal(t, "urn:broach:unauthenticated", problemOf(t, w)["type"])
		}
	}
	w := ask(g, "POST", "/rpc/meta", "", "Authorization", "Bearer "+token, "Broach-Caller", "root")
	require.JSONEq(t, `"broach-caller=\"till 5\""`, w.Body.String(), "and Authorization stays behind")
	require.Equal(t, http.StatusUnauthorized, ask(g, "GET", "/openapi.json", "").Code)
	require.Equal(t, http.StatusOK, ask(g, "GET", "/livez", "").Code, "probes have no token")
	w = ask(g, "POST", "/rpc/code", `[13, "not you"]`, "Authorization", "Bearer "+token)
	require.Equal(t, http.StatusForbidden, w.Code, "the gateway knows the caller, and the function refuses it")

	own := newGateway(t, node, gateway.Expose("meta"), gateway.Auth(func(r *http.Request) (string, error) {
		if r.Header.Get("X-User") == "" {
			return "", errors.New("the database password is hunter2")
		}
		return r.Header.Get("X-User"), nil
	}))
	require.NotContains(t, ask(own, "POST", "/rpc/meta", "").Body.String(), "hunter2")
	require.JSONEq(t, `"broach-caller=\"ann\""`, ask(own, "POST", "/rpc/meta", "", "X-User", "ann").Body.String())
	r := at(request("POST", "/rpc/meta", "", "X-User", "ann"), "10.0.0.1")
	r.RemoteAddr, r.Host = "10.0.0.9:1", "10.0.0.1"
	require.Equal(t, http.StatusOK, serve(own, r).Code, "with Auth others are served")
}

func TestBrowsers(t *testing.T) {
	node, _ := start(t)
	const page = "https://shop.example"
	g := newGateway(t, node, gateway.Expose("add"), gateway.Origins(page), gateway.MetaHeaders("Shop-Tenant"))
	w := ask(g, "OPTIONS", "/rpc/add", "", "Origin", page, "Access-Control-Request-Method", "POST")
	require.Equal(t, http.StatusNoContent, w.Code)
	require.Equal(t, page, w.Header().Get("Access-Control-Allow-Origin"))
	require.Equal(t, "true", w.Header().Get("Access-Control-Allow-Credentials"))
	require.Contains(t, w.Header().Get("Access-Control-Allow-Headers"), "Content-Type")
	require.Contains(t, w.Header().Get("Access-Control-Allow-Headers"), "Shop-Tenant")
	require.Equal(t, "Origin", w.Header().Get("Vary"))

	w = ask(g, "POST", "/rpc/add", "[1, 2]", "Origin", page, "Sec-Fetch-Site", "cross-site")
	require.Equal(t, "3\n", w.Body.String())
	require.Equal(t, page, w.Header().Get("Access-Control-Allow-Origin"))
	require.Contains(t, w.Header().Get("Access-Control-Expose-Headers"), "X-Request-Id")

	for _, other := range []string{"https://evil.example", "http://shop.example", "https://shop.example.evil", "null"} {
		w = ask(g, "OPTIONS", "/rpc/add", "", "Origin", other, "Access-Control-Request-Method", "POST")
		require.Equal(t, http.StatusForbidden, w.Code, other)
		require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
		w = ask(g, "POST", "/rpc/add", "[1, 2]", "Origin", other, "Sec-Fetch-Site", "cross-site")
		require.Equal(t, http.StatusForbidden, w.Code, other)
		require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
	}
	for _, header := range []string{"Api_name", "Service_name", "Broach-Worker"} {
		w = ask(g, "OPTIONS", "/services", "", "Origin", page, "Access-Control-Request-Method", "POST")
		require.Contains(t, strings.Split(w.Header().Get("Access-Control-Allow-Headers"), ", "), header)
	}
	any := newGateway(t, node, gateway.Expose("add"), gateway.Origins("*"),
		gateway.BearerTokens(map[string]string{token: "x"}))
	w = ask(any, "POST", "/rpc/add", "[1, 2]", "Origin", "https://any.example", "Authorization", "Bearer "+token)
	require.Equal(t, "3\n", w.Body.String())
	require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"))
	require.Empty(t, w.Header().Get("Access-Control-Allow-Credentials"))
}

// A function that is idempotent may change a lot: a picture in a page of another site has it run no more than a form.
func TestAGetOfAnotherSiteRunsNothing(t *testing.T) {
	node, provider := start(t)
	var ran atomic.Int64
	must(t, provider.Register("set", func(n int) int { ran.Add(1); return n }, broach.Idempotent()))
	must(t, node.WaitFor(t.Context(), "set", 1))
	const page = "https://shop.example"
	g := newGateway(t, node, gateway.Expose("set"), gateway.ExposeEvents("sold"), gateway.Origins(page),
		gateway.Route("GET /set/{n}", "set"))
	for _, method := range []string{"GET", "HEAD"} {
		for _, path := range []string{"/rpc/set?arg=1", "/services?arg=1", "/events/sold", "/%72pc/set?arg=1"} {
			for _, site := range []string{"cross-site", "same-site"} {
				w := ask(g, method, path, "", "Api_name", "set", "Sec-Fetch-Site", site)
				require.Equal(t, http.StatusForbidden, w.Code, "%s %s", method, path)
			}
			w := ask(g, method, path, "", "Api_name", "set", "Origin", "https://evil.example")
			require.Equal(t, http.StatusForbidden, w.Code, "in an old browser")
		}
	}
	require.Zero(t, ran.Load())
	for _, header := range [][]string{{"Origin", page, "Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "none"},
		{"Sec-Fetch-Site", "same-origin"}, {"Origin", "http://127.0.0.1:18090"}, {}} {
		require.Equal(t, "1\n", ask(g, "GET", "/rpc/set?arg=1", "", header...).Body.String(), "%v", header)
	}
	w := ask(g, "GET", "/set/2", "", "Sec-Fetch-Site", "cross-site")
	require.Equal(t, "2\n", w.Body.String(), "as it is routed")
	require.Equal(t, http.StatusOK, ask(g, "GET", "/livez", "", "Sec-Fetch-Site", "cross-site").Code)
}

// Right to left, up to the first that is no trusted proxy's.
func TestTrustedProxies(t *testing.T) {
	node, _ := start(t)
	seen := ""
	g := newGateway(t, node, gateway.Expose("add"), gateway.Hosts("shop.example"),
		gateway.TrustedProxies(netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/24")),
		gateway.Auth(func(r *http.Request) (string, error) { seen = r.RemoteAddr; return "", nil }))
	for _, c := range []struct{ remote, header, value, want string }{
		{"127.0.0.1:1", "X-Forwarded-For", "1.1.1.1, 2.2.2.2, 10.0.0.7", "2.2.2.2:0"},
		{"127.0.0.1:1", "X-Forwarded-For", "10.0.0.8, 10.0.0.7", "10.0.0.8:0"},
		{"9.9.9.9:1", "X-Forwarded-For", "1.1.1.1", "9.9.9.9:1"},
		{"127.0.0.1:1", "Forwarded", `for=1.1.1.1, for="[2001:db8::1]:4711";host=shop.example;proto=https`,
			"[2001:db8::1]:0"},
		{"127.0.0.1:1", "Forwarded", "for=_hidden", "unknown"},
		{"127.0.0.1:1", "Forwarded", "for=1.1.1.1, for=unknown", "unknown"},
		{"127.0.0.1:1", "X", "", "127.0.0.1:1"},
	} {
		r := request("POST", "/rpc/add", "[1, 2]", c.header, c.value)
		r.RemoteAddr = c.remote
		w := serve(g, r)
		require.Equal(t, http.StatusOK, w.Code, "%v: %s", c, w.Body)
		require.Equal(t, c.want, seen, "%v", c)
	}
	for _, bad := range []string{"nonsense", "1.1.1.1, x"} {
		require.Equal(t, http.StatusBadRequest, ask(g, "POST", "/rpc/add", "[1, 2]", "X-Forwarded-For", bad).Code)
	}
	require.Equal(t, http.StatusBadRequest, ask(g, "POST", "/rpc/add", "[1, 2]", "Forwarded", "for").Code)
	w := ask(g, "POST", "/rpc/add", "[1, 2]", "Forwarded", "for=1.1.1.1;host=evil.example")
	require.Equal(t, "urn:broach:host-not-allowed", problemOf(t, w)["type"])
	_, err := gateway.New(node, gateway.TrustedProxies(netip.MustParsePrefix("127.0.0.0/8")))
	require.ErrorContains(t, err, "TrustedProxies without Auth")
}

func TestWhatGoesAlong(t *testing.T) {
	node, _ := start(t)
	g := newGateway(t, node, gateway.Expose("meta"), gateway.MetaHeaders("Shop-Tenant", "x-a"))
	trace := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, c := range []struct{ header, value, want string }{
		{"Traceparent", trace, `traceparent="` + trace + `"`},
		{"Traceparent", "00-x", ""},
		{"Tracestate", "a=b", `tracestate="a=b"`},
		{"Baggage", "a=b", `baggage="a=b"`},
		{"Baggage", strings.Repeat("a", 8200), ""},
		{"Idempotency-Key", "k1", `idempotency-key="k1"`},
		{"Shop-Tenant", "eu", `shop-tenant="eu"`},
		{"X-A", "1", `x-a="1"`},
		{"Shop-Tenant", "a\r\nb: c", ""},
		{"Shop-Tenant", "a\x00b", ""},
		{"Shop-Tenant", "a\nb", ""},
		{"Shop-Tenant", "\xff", ""},
		{"X-Other", "1", ""},
		{"Cookie", "session=1", ""},
		{"Authorization", "Bearer x", ""},
		{"Broach-Caller", "root", ""},
	} {
		w := ask(g, "POST", "/rpc/meta", "", c.header, c.value)
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, string(must2(t, c.want))+"\n", w.Body.String(), "%s: %q", c.header, c.value)
	}
}

func TestRequestIDs(t *testing.T) {
	node, provider := start(t)
	must(t, provider.Register("id", func(ctx context.Context) string {
		call, _ := broach.InvocationFrom(ctx)
		return call.Meta()["x-request-id"]
	}))
	g := newGateway(t, node, gateway.Expose("id"))
	must(t, node.WaitFor(t.Context(), "id", 1))
	for id, isKept := range map[string]bool{"a-B_c.1": true, strings.Repeat("x", 128): true, "": false,
		strings.Repeat("x", 129): false, "a b": false, "a\r\nSet-Cookie: x": false, "é": false} {
		w := ask(g, "POST", "/rpc/id", "", "X-Request-Id", id)
		got := w.Header().Get("X-Request-Id")
		require.Equal(t, string(must2(t, got))+"\n", w.Body.String(), "it goes along")
		if isKept {
			require.Equal(t, id, got)
			continue
		}
		require.Regexp(t, "^[0-9a-f]{32}$", got)
	}
}
