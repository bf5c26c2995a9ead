// Package openapitest holds what a gateway says of itself against the OpenAPI Specification, by a validator that knows
// nothing of it: the document as a whole, and requests with their answers against the document. It is a module of its
// own, so that the gateway needs the standard library alone.
package openapitest

import (
	"context"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/stretchr/testify/require"

	"broach"
	"broach/broachtest"
	"broach/gateway"
)

// A tree leads back to itself, and has one of each kind of types.
type tree struct {
	Name     string
	Size     int8
	Weight   float32
	Many     uint64
	Bytes    []byte
	Four     [4]byte
	Since    time.Time
	Within   time.Duration
	Tags     map[int]string
	Pair     [2]bool
	Any      any
	Parent   *tree
	Children []tree
}

var functions = map[string]any{
	"add":      func(x, y int) int { return x + y },
	"sum":      func(xs ...float64) (sum float64) { return },
	"nothing":  func() {},
	"both":     func(text string) (string, error) { return text, nil },
	"grow":     func(t tree) *tree { return &t },
	"trees":    func(m map[string]tree) []tree { return nil },
	"count":    func(n int) iter.Seq2[tree, error] { return func(func(tree, error) bool) {} },
	"total":    func(xs iter.Seq2[int, error]) int { return 0 },
	"any":      func(x any) any { return x },
	"shop/buy": func(_ context.Context, what struct{ ID int }) error { return nil },
	"名":        func() string { return "名" },

	"GET /trees/{name}":        func(name string, p struct{ Loud bool }) string { return name },
	"POST /trees/{id}":         func(id int, p map[string]any) tree { return tree{} },
	"DELETE /trees/{id}":       func(id int) {},
	"PUT /files/{path...}":     func(path string, t tree) string { return path },
	"GET /files/":              func() string { return "" },
	"GET /exact/{$}":           func() string { return "" },
	"PURGE /trees/{id}":        func(id int) {}, // a method that OpenAPI 3.1 has no word for
	"GET /trees/{name}/leaves": func(name string) iter.Seq2[int, error] { return nil },
}

func start(t *testing.T) http.Handler {
	c := broachtest.New(t)
	node, provider := c.Start("gateway"), c.Start("shop")
	for name, fn := range functions {
		require.NoError(t, provider.Register(name, fn, broach.Doc(name+" for tests"), broach.Idempotent()))
	}
	c.Settle()
	g, err := gateway.New(node, gateway.Expose("*", "shop/*"), gateway.RoutesFromNames(),
		gateway.RouteRegexp("GET", `/add/(\d+)`, "add"), gateway.ExposeEvents("sold"), gateway.PublishEvents("sold"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}

func request(method, target, body string) *http.Request {
	r := httptest.NewRequest(method, "http://127.0.0.1:18090"+target, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:40000"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 18090}
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(local)))
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func read(t *testing.T, h http.Handler) validator.Validator {
	w := serve(h, request("GET", "/openapi.json", ""))
	require.Equal(t, http.StatusOK, w.Code)
	doc, err := libopenapi.NewDocument(w.Body.Bytes())
	require.NoError(t, err)
	require.Equal(t, "3.1.0", doc.GetVersion())
	v, errs := validator.NewValidator(doc)
	require.Empty(t, errs)
	return v
}

// "OpenAPI 3.1 of all"
func TestTheDocumentIsOpenAPI(t *testing.T) {
	v := read(t, start(t))
	_, errs := v.ValidateDocument()
	for _, err := range errs {
		t.Errorf("%s: %s: %v", err.Message, err.Reason, err.SchemaValidationErrors)
	}
}

// What is asked for, and what comes, is as the document says.
func TestAnswersAreAsTheDocumentSays(t *testing.T) {
	h := start(t)
	v := read(t, h)
	for _, c := range []struct {
		method, target, body string
		status               int
	}{
		{"POST", "/rpc/add", "[1, 2]", 200},
		{"GET", "/rpc/add?arg=1&arg=2", "", 200},
		{"POST", "/rpc/grow", `[{"Name": "oak", "Bytes": "AQI=", "Children": [{"Name": "acorn"}]}]`, 200},
		{"POST", "/rpc/trees", `[{"a": {}}]`, 200},
		{"POST", "/rpc/nothing", "[]", 200},
		{"POST", "/rpc/both", `["a"]`, 200},
		{"POST", "/rpc/any", `[{"a": [1, null]}]`, 200},
		{"GET", "/trees/oak?Loud=true", "", 200},
		{"POST", "/trees/7", `{"a": 1}`, 200},
		{"DELETE", "/trees/7", "", 200},
		{"POST", "/events/sold", `{"id": 7}`, 200},
	} {
		r := request(c.method, c.target, c.body)
		w := serve(h, r)
		require.Equal(t, c.status, w.Code, "%s %s: %s", c.method, c.target, w.Body)
		_, errs := v.ValidateHttpRequestResponse(request(c.method, c.target, c.body), w.Result())
		for _, err := range errs {
			t.Errorf("%s %s: %s: %s: %v", c.method, c.target, err.Message, err.Reason, err.SchemaValidationErrors)
		}
	}
}

// A request that the document forbids is one that the gateway refuses.
func TestWhatTheDocumentForbidsIsRefused(t *testing.T) {
	h := start(t)
	v := read(t, h)
	for _, c := range [][3]string{
		{"POST", "/rpc/add", `["x", 2]`}, {"POST", "/rpc/add", "[1]"}, {"POST", "/rpc/add", "[1, 2, 3]"},
		{"POST", "/rpc/grow", `[{"Size": 300}]`}, {"POST", "/rpc/grow", `[{"Unknown": 1}]`},
	} {
		ok, _ := v.ValidateHttpRequest(request(c[0], c[1], c[2]))
		require.False(t, ok, "%v", c)
		w := serve(h, request(c[0], c[1], c[2]))
		require.Equal(t, http.StatusBadRequest, w.Code, "%v", c)
		ok, errs := v.ValidateHttpResponse(request(c[0], c[1], c[2]), w.Result())
		require.True(t, ok, "%v: %v", c, errs)
	}
}
