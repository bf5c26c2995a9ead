package gateway_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"broach"
	"broach/broachtest"
	"broach/gateway"
)

func TestProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		node := c.Start("gateway")
		g := newGateway(t, node)
		for _, path := range []string{"/livez", "/readyz"} {
			require.Equal(t, "ok\n", ask(g, "GET", path, "").Body.String())
			require.Equal(t, http.StatusMethodNotAllowed, ask(g, "POST", path, "1").Code)
		}
		w := ask(g, "GET", "/readyz?verbose", "")
		require.Equal(t, "[+]joined ok\n[+]serving ok\n[+]connected ok\n[+]room ok\n", w.Body.String())
		require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))

		lost := c.Start("lost", func(cfg *broach.Config) { cfg.Join = []string{"10.9.9.9:7000"} })
		w = ask(newGateway(t, lost), "GET", "/readyz", "")
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Contains(t, w.Body.String(), "[-]joined failed: no seed has told")

		must(t, node.Close())
		time.Sleep(time.Second)
		w = ask(g, "GET", "/readyz", "")
		require.Contains(t, w.Body.String(), "[-]serving failed")
		require.Equal(t, http.StatusOK, ask(g, "GET", "/livez", "").Code)
	})
}

func TestTheGatewayHasRoom(t *testing.T) {
	node, provider := start(t)
	running, end := make(chan struct{}), make(chan struct{})
	must(t, provider.Register("block", func() { running <- struct{}{}; <-end }))
	must(t, node.WaitFor(t.Context(), "block", 1))
	g := newGateway(t, node, gateway.Expose("add", "block"), gateway.MaxInFlight(1))
	done := make(chan int)
	go func() { done <- ask(g, "POST", "/rpc/block", "").Code }()
	<-running
	w := ask(g, "POST", "/rpc/add", "[1, 2]")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "Overloaded", problemOf(t, w)["code"])
	require.Contains(t, ask(g, "GET", "/readyz", "").Body.String(), "[-]room failed")
	close(end)
	require.Equal(t, http.StatusOK, <-done)
	require.Equal(t, http.StatusOK, ask(g, "POST", "/rpc/add", "[1, 2]").Code)
	require.Zero(t, g.Stats().InFlight)
	require.EqualValues(t, 1, g.Stats().Refused)
}

// "A panic is 500, and counted."
func TestAPanicTakesDownItsRequestOnly(t *testing.T) {
	node, _ := start(t)
	var log bytes.Buffer
	var order []string
	g, err := gateway.New(node, gateway.Expose("add"), gateway.Logger(slog.New(slog.NewTextHandler(&log, nil))),
		gateway.Middleware(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				order = append(order, "first")
				next.ServeHTTP(w, r)
			})
		}),
		gateway.Middleware(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				order = append(order, "second")
				next.ServeHTTP(w, r)
			})
		}),
		gateway.Auth(func(r *http.Request) (string, error) {
			if r.Header.Get("X-Panic") != "" {
				panic(errors.New("not for clients"))
			}
			return "", nil
		}))
	must(t, err)
	defer g.Close()
	w := ask(g, "POST", "/rpc/add", "[1, 2]", "X-Panic", "1")
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.NotContains(t, w.Body.String(), "not for clients")
	require.Contains(t, log.String(), "not for clients")
	require.EqualValues(t, 1, g.Stats().Panics)
	require.Equal(t, []string{"first", "second"}, order)
	require.Equal(t, "3\n", ask(g, "POST", "/rpc/add", "[1, 2]").Body.String())
	require.EqualValues(t, 2, g.Stats().Requests)
}

// The first request after a function has changed its types is by the new ones.
func TestTypesFollowTheFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		node, provider := c.Start("gateway"), c.Start("shop")
		g := newGateway(t, node, gateway.Expose("grows", "result"))
		must(t, provider.Register("grows", func(x int) int { return x }))
		c.Settle()
		require.Equal(t, "7\n", ask(g, "POST", "/rpc/grows", "7").Body.String())
		must(t, provider.Unregister("grows"))
		must(t, provider.Register("grows", func(x time.Duration, y string) (time.Duration, string) { return x, y }))
		c.Settle()
		require.Equal(t, `["1s","x"]`+"\n", ask(g, "POST", "/rpc/grows", `["1s", "x"]`).Body.String())
		require.Contains(t, ask(g, "POST", "/rpc/grows", "7").Body.String(), "takes 2 arguments")

		// results, which say nothing of being old, are by the new ones after a second and a request
		type old struct{ T int64 }
		type new struct{ T time.Duration }
		must(t, provider.Register("result", func() old { return old{1e9} }))
		c.Settle()
		require.Equal(t, `{"T":1000000000}`+"\n", ask(g, "POST", "/rpc/result", "").Body.String())
		must(t, provider.Unregister("result"))
		must(t, provider.Register("result", func() new { return new{time.Second} }))
		time.Sleep(time.Second)
		ask(g, "POST", "/rpc/result", "")
		time.Sleep(time.Millisecond) // until it has been asked for
		require.Equal(t, `{"T":"1s"}`+"\n", ask(g, "POST", "/rpc/result", "").Body.String())
	})
}

func TestListAndSchemas(t *testing.T) {
	node, provider := start(t)
	g := newGateway(t, node, gateway.Expose("add", "order", "sum", "__*"))
	w := ask(g, "GET", "/rpc", "")
	require.Contains(t, w.Body.String(), `"name":"add","providers":1,"signature":"add(int, int) int"`)
	require.NotContains(t, w.Body.String(), "hidden")
	require.NotContains(t, w.Body.String(), provider.Addr().String())
	require.Equal(t, http.StatusMethodNotAllowed, ask(g, "POST", "/rpc", "1").Code)

	var schema struct {
		Schema      string `json:"$schema"`
		PrefixItems []struct {
			Title, Type string
			Ref         string `json:"$ref"`
		}
		MinItems, MaxItems int
		Items              map[string]any
		Result             map[string]any `json:"x-result"`
		Defs               map[string]struct {
			Properties map[string]struct {
				Type, AnyOf any
				Ref         string `json:"$ref"`
				Encoding    string `json:"contentEncoding"`
				Format      string
			}
		} `json:"$defs"`
	}
	read := func(path string) {
		w := ask(g, "GET", path, "", "Accept", "application/schema+json")
		require.Equal(t, "application/schema+json", w.Header().Get("Content-Type"), w.Body.String())
		must(t, json.Unmarshal(w.Body.Bytes(), &schema))
	}
	read("/rpc/add")
	require.Equal(t, "augend", schema.PrefixItems[0].Title)
	require.Equal(t, "integer", schema.PrefixItems[1].Type)
	require.Equal(t, 2, schema.MaxItems)
	require.Equal(t, "integer", schema.Result["type"])
	read("/rpc/sum")
	require.Equal(t, "integer", schema.Items["type"])
	require.Equal(t, 1, schema.MinItems)
	read("/rpc/order")
	require.Regexp(t, "^#/[$]defs/.*order$", schema.PrefixItems[0].Ref)
	line := schema.Defs["gateway_test.line"].Properties
	require.Equal(t, "base64", line["Photo"].Encoding)
	require.Equal(t, "date-time", line["At"].Format)
	require.Equal(t, http.StatusNotFound, ask(g, "GET", "/rpc/hidden", "", "Accept", "application/schema+json").Code)
}

func TestOpenAPI(t *testing.T) {
	node, provider := start(t)
	must(t, provider.Register("GET /hello/{name}", func(name string, p struct{ Loud bool }) string { return name }))
	must(t, node.WaitFor(t.Context(), "GET /hello/{name}", 1))
	g := newGateway(t, node, gateway.Expose("add", "order", "a/b"), gateway.RoutesFromNames(),
		gateway.Route("POST /buy/{id}/{rest...}", "order"), gateway.ExposeEvents("sold"))
	w := ask(g, "GET", "/openapi.json", "")
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Parameters []struct{ Name, In string }
		}
	}
	must(t, json.Unmarshal(w.Body.Bytes(), &doc))
	require.Equal(t, "3.1.0", doc.OpenAPI)
	var paths []string
	for path := range doc.Paths {
		paths = append(paths, path)
	}
	require.ElementsMatch(t, []string{"/rpc/add", "/rpc/order", "/rpc/a%2Fb", "/hello/{name}", "/buy/{id}/{rest}",
		"/events/{topic}"}, paths)
	require.Len(t, doc.Paths["/rpc/add"], 2, "an idempotent function has GET as well")
	require.Len(t, doc.Paths["/rpc/a%2Fb"], 1)
	require.Equal(t, []struct{ Name, In string }{{"name", "path"}, {"Loud", "query"}},
		doc.Paths["/hello/{name}"]["get"].Parameters)
	require.Contains(t, w.Body.String(), "#/components/schemas/order.gateway_test.order")

}

func TestOpenAPIFollowsTheCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := broachtest.New(t)
		node, provider := c.Start("gateway"), c.Start("shop")
		g := newGateway(t, node, gateway.Expose("*"))
		for range 2 {
			must(t, provider.Register("late", say("late")))
			c.Settle()
			require.Contains(t, ask(g, "GET", "/openapi.json", "").Body.String(), "/rpc/late")
			must(t, provider.Unregister("late"))
			c.Settle()
			require.NotContains(t, ask(g, "GET", "/openapi.json", "").Body.String(), "/rpc/late")
		}
	})
}

// Stats: "Panics of the gateway, its options and its Middleware". The client cannot take what it got for an answer.
func TestAPanicOfAMiddlewareIsCounted(t *testing.T) {
	node, _ := start(t)
	var log bytes.Buffer
	g, err := gateway.New(node, gateway.Logger(slog.New(slog.NewTextHandler(&log, nil))),
		gateway.Middleware(func(http.Handler) http.Handler {
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("no luck") })
		}))
	must(t, err)
	defer g.Close()
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { ask(g, "GET", "/rpc", "") })
	require.EqualValues(t, 1, g.Stats().Panics)
	require.Contains(t, log.String(), "no luck")
}
