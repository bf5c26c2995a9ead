package gateway_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"broach"
	"broach/broachtest"
	"broach/gateway"
)

func say(name string) func(a ...string) string {
	return func(a ...string) string { return name + "(" + strings.Join(a, ",") + ")" }
}

func TestRoutes(t *testing.T) {
	c := broachtest.New(t)
	node, shop := c.Start("gateway"), c.Start("shop")
	for _, name := range []string{"hello", "user", "me", "file", "tree", "root", "both"} {
		must(t, shop.Register(name, say(name)))
	}
	must(t, shop.Register("search", func(kind string, page int, p map[string]any) (string, int, map[string]any) {
		return kind, page, p
	}))
	must(t, shop.Register("names", func(list ...string) []string { return list }))
	must(t, shop.Register("buy", func(id int, o order) order { o.ID = int64(id); return o }))
	c.Settle()
	g := newGateway(t, node,
		gateway.Route("GET /api/hello/{name}", "hello"), gateway.Route("GET /users/{id}", "user"),
		gateway.Route("GET /users/me", "me"), gateway.Route("GET /files/{path...}", "file"),
		gateway.Route("GET /tree/", "tree"), gateway.Route("GET /{$}", "root"),
		gateway.Route("GET /search/{kind}/{page}", "search"), gateway.Route("POST /search/{kind}/{page}", "search"),
		gateway.Route("POST /buy/{id}", "buy"), gateway.Route("PUT /users/{id}", "user"),
		gateway.Route("PUT /names/{first}", "names"),
		gateway.RouteRegexp("GET", `/old/(\w+)-(\d+)`, "both"))
	for _, c := range []struct{ method, path, body, want string }{
		{"GET", "/api/hello/ann", "", `"hello(ann)"`},
		{"HEAD", "/api/hello/ann", "", `"hello(ann)"`},
		{"GET", "/api/hello/a%2Fb", "", `"hello(a/b)"`},
		{"GET", "/api/hello/a%20b", "", `"hello(a b)"`},
		{"GET", "/users/7", "", `"user(7)"`},
		{"GET", "/users/me", "", `"me()"`},
		{"PUT", "/users/me", "", `"user(me)"`},
		{"PUT", "/names/a?q=b", "", `["a"]`},
		{"GET", "/files/a/b.txt", "", `"file(a/b.txt)"`},
		{"GET", "/tree/", "", `"tree()"`},
		{"GET", "/tree/a/b", "", `"tree()"`},
		{"GET", "/", "", `"root()"`},
		{"GET", "/old/item-7", "", `"both(item,7)"`},
		{"GET", "/search/shoes/2?q=red&q=blue&size=42", "", `["shoes",2,{"q":["red","blue"],"size":"42"}]`},
		{"POST", "/search/shoes/2?q=red", `{"q": 1, "x": [1.5]}`, `["shoes",2,{"q":1,"x":[1.5]}]`},
		{"POST", "/buy/7", `{"lines": [{"Name": "milk", "Took": "1s"}]}`,
			`{"id":7,"lines":[{"Name":"milk","Price":0,"Photo":null,"Took":"1s","At":"0001-01-01T00:00:00Z"}]}`},
	} {
		w := ask(g, c.method, c.path, c.body)
		require.Equal(t, http.StatusOK, w.Code, "%s %s: %s", c.method, c.path, w.Body)
		require.Equal(t, c.want+"\n", w.Body.String(), "%s %s", c.method, c.path)
	}
	w := ask(g, "POST", "/search/shoes/2?q=red", "q=green&n=a+b", "Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, `["shoes",2,{"n":"a b","q":"green"}]`+"\n", w.Body.String())

	for _, c := range []struct {
		method, path, body, contentType string
		status                          int
	}{
		{"GET", "/api/hello/", "", "", 404}, {"GET", "/api/hello", "", "", 404},
		{"GET", "/api/hello/a/b", "", "", 404},
		{"GET", "/api/../api/hello/a", "", "", 404}, {"GET", "/api/hello/..", "", "", 404},
		{"GET", "/api/hello/%2e%2e", "", "", 404}, {"GET", "/files/a/%2e%2e/b", "", "", 404},
		{"GET", "/api//hello/a", "", "", 404}, {"GET", "/api/hello/a%00", "", "", 404},
		{"GET", "/api/hello/%ff", "", "", 404},
		{"POST", "/search/shoes/2", "a=%ff", "application/x-www-form-urlencoded", 400},
		{"GET", "/nowhere", "", "", 404}, {"DELETE", "/users/7", "", "", 405}, {"GET", "/search/shoes/x", "", "", 400},
		{"PUT", "/names/a", `["b"]`, "application/json", 400},
		{"POST", "/search/shoes/2", "[1]", "application/json", 400},
		{"POST", "/search/shoes/2", "x", "text/plain", 415},
		{"POST", "/search/shoes/2", "a=%zz", "application/x-www-form-urlencoded", 400},
		{"POST", "/buy/7", `{"nope": 1}`, "application/json", 400}, {"POST", "/old/item-7", "", "", 405},
	} {
		w := ask(g, c.method, c.path, c.body, "Content-Type", c.contentType)
		require.Equal(t, c.status, w.Code, "%s %s: %s", c.method, c.path, w.Body)
		problemOf(t, w)
	}
	require.Equal(t, "GET, HEAD, PUT", ask(g, "DELETE", "/users/7", "").Header().Get("Allow"))
	require.Equal(t, http.StatusNotFound, ask(g, "POST", "/rpc/hello", "").Code, "a route exposes no name")
}

// "A backend brings its URLs with it", and takes them away.
func TestRoutesFromNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		node, one, two := c.Start("gateway"), c.Start("shop"), c.Start("shop")
		g := newGateway(t, node, gateway.RoutesFromNames(), gateway.Route("GET /fixed", "fixed"))
		for _, n := range []*broach.Node{one, two} {
			must(t, n.Register("GET /api/hello/{name}", say("hello")))
			must(t, n.Register("GET /fixed", say("never")))
			must(t, n.Register("GET /rpc/hidden", say("never")))
			must(t, n.Register("GET nothing", say("never")))
		}
		must(t, one.Register("fixed", say("fixed")))
		must(t, node.Register("GET /own", say("own")))
		c.Settle()
		time.Sleep(2 * time.Second) // that names of the own node are read again
		get := func(path string) string { return strings.TrimSpace(ask(g, "GET", path, "").Body.String()) }
		require.Equal(t, `"hello(ann)"`, get("/api/hello/ann"))
		require.Equal(t, `"fixed()"`, get("/fixed"), "options come before names")
		require.Equal(t, `"own()"`, get("/own"))
		require.Contains(t, get("/rpc/hidden"), "not-found")

		c.Kill(one)
		broachtest.WaitEvent(t, node, broach.MemberOffline, 5*time.Second)
		synctest.Wait()
		require.Equal(t, `"hello(ann)"`, get("/api/hello/ann"))
		must(t, two.Unregister("GET /api/hello/{name}"))
		c.Settle()
		require.Contains(t, get("/api/hello/ann"), "unavailable", "who was killed may come back")

		must(t, two.Register("GET /api/hello/{who}", say("hi")))
		c.Settle()
		require.Equal(t, `"hi(ann)"`, get("/api/hello/ann"), "who is gone conflicts with nobody")
		must(t, two.Unregister("GET /api/hello/{who}"))
		must(t, two.Register("GET /api/hello/{a}", say("hey")))
		c.Settle()
		require.Equal(t, `"hey(ann)"`, get("/api/hello/ann"), "whichever is listed first")
		must(t, two.Leave(t.Context()))
		c.Settle()
		require.Contains(t, get("/api/hello/ann"), "unavailable")
	})
}

// "A conflict of two different functions answers 500 problem route-conflict and is logged once", never one of them.
func TestRoutesThatConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		node, shop := c.Start("gateway"), c.Start("shop")
		var log bytes.Buffer
		g, err := gateway.New(node, gateway.RoutesFromNames(), gateway.Logger(slog.New(slog.NewTextHandler(&log, nil))))
		must(t, err)
		defer g.Close()
		for _, name := range []string{"GET /a/{x}", "GET /a/{y}", "GET /b/{x}/c", "GET /b/c/{y}", "GET /b/c/c/d"} {
			must(t, shop.Register(name, say(name)))
		}
		c.Settle()
		for range 3 {
			for _, path := range []string{"/a/1", "/b/c/c"} {
				w := ask(g, "GET", path, "")
				require.Equal(t, http.StatusInternalServerError, w.Code)
				require.Equal(t, "urn:broach:route-conflict", problemOf(t, w)["type"])
			}
		}
		require.Equal(t, 2, strings.Count(log.String(), "two functions for one request"), log.String())
		require.Contains(t, log.String(), "GET /a/{x}")
		require.Contains(t, log.String(), "GET /a/{y}")
		require.Equal(t, `"GET /b/{x}/c(1)"`+"\n", ask(g, "GET", "/b/1/c", "").Body.String(), "one alone matches")
		require.Equal(t, `"GET /b/c/{y}(1)"`+"\n", ask(g, "GET", "/b/c/1", "").Body.String())
		must(t, shop.Unregister("GET /a/{y}"))
		c.Settle()
		require.Equal(t, `"GET /a/{x}(1)"`+"\n", ask(g, "GET", "/a/1", "").Body.String(), "it is over")
	})
}
