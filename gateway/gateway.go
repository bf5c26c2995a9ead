// Package gateway is an HTTP handler before a cluster: it calls functions for clients that are no nodes, such as curl,
// browsers and programs in other languages.
//
//	g, err := gateway.New(node, gateway.Expose("work*"))
//	if err != nil {
//		log.Fatal(err)
//	}
//	log.Fatal(gateway.Server("127.0.0.1:18090", g).ListenAndServe())
//
// A function is called by POST, with its arguments as a JSON array, and answers JSON:
//
//	$ curl -d '[1, 2]' -H 'Content-Type: application/json' http://127.0.0.1:18090/rpc/work01
//	3
//
// A gateway starts closed. Only functions and topics that an option names can be reached, and only from this machine,
// unless [Auth] or [BearerTokens] says who may; see [InsecureNoAuth]. docs/http.md has all requests, what becomes of
// values, the statuses, and what a gateway does not do.
//
// # Limits
//
// [MaxBody], [MaxInFlight], [MaxTimeout] and [MaxEventStreams] bound what clients can make a gateway keep. A body is
// nested 64 deep at most and has 1,000,000 values; all bodies together take 1 GiB, or 4 times MaxBody. Times and header
// sizes are those of [Server]; who serves a Gateway by a server of their own sets these.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"broach"
)

// Gateway is an http.Handler that calls functions of a cluster. New makes one; the zero Gateway is of no use. It may be
// used by many goroutines at once.
type Gateway struct {
	node    *broach.Node
	set     *settings
	handler http.Handler // serve, within the Middlewares
	cross   *http.CrossOriginProtection

	functions functions
	routes    routing
	topics    topics
	workers   workers
	openAPI   document
	readiness readiness

	ctx   context.Context // ends with the gateway
	end   context.CancelFunc
	tasks sync.WaitGroup // its own goroutines

	requests, refused, panics atomic.Uint64
	inFlight, streams         atomic.Int64
	posts                     atomic.Int64 // of results by workers: as many as requests, beside them
	held                      atomic.Int64 // bytes that bodies take
	heldMost                  int64
}

// Stats counts what a gateway has done since it was made. Requests, Refused and Panics only rise.
type Stats struct {
	Requests     uint64 // all
	Refused      uint64 // of them, those that were not let in, or had no room: docs/http.md, "Security"
	Panics       uint64 // of the gateway, its options and its Middleware; of functions nodes tell
	InFlight     int    // requests under way, without event streams and results of workers
	EventStreams int    // events, streams of functions, polls of workers
}

// New returns a gateway before a node, which stays the caller's to close. Its options are checked together: the error
// names all mistakes, each with what to do.
func New(n *broach.Node, opts ...Option) (*Gateway, error) {
	s := settingsOf(opts)
	if n == nil {
		s.mistake("the node is nil: start one first")
	}
	if err := s.err(); err != nil {
		return nil, err
	}
	return newGateway(n, s), nil
}

// Check returns the error that New would for these options, before there is a node: one that has joined and cannot be
// served has to leave again.
func Check(opts ...Option) error { return settingsOf(opts).err() }

// settingsOf has the options say what they set, and looks at it.
func settingsOf(opts []Option) *settings {
	s := newSettings()
	for _, o := range opts {
		if o == nil {
			s.mistake("an option is nil")
			continue
		}
		o(s)
	}
	s.check()
	return s
}

// err is nil where no mistake was found.
func (s *settings) err() error {
	if len(s.mistakes) == 0 {
		return nil
	}
	return fmt.Errorf("broach: gateway: %w", errors.Join(s.mistakes...))
}

func newGateway(n *broach.Node, s *settings) *Gateway {
	g := &Gateway{node: n, set: s, cross: s.crossOrigin()}
	g.heldMost = max(heldLeast, 4*min(s.maxBody, math.MaxInt64/4))
	g.ctx, g.end = context.WithCancel(context.Background())
	g.functions.init(g)
	g.topics.init(g)
	g.routes.init(g)
	g.workers.init(g)
	g.handler = http.HandlerFunc(g.serve)
	for i := len(s.middleware) - 1; i >= 0; i-- {
		g.handler = s.middleware[i](g.handler)
	}
	g.tasks.Go(g.watch)
	return g
}

// ServeHTTP answers one request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if len(g.set.middleware) > 0 {
		defer g.abort()
	}
	g.handler.ServeHTTP(w, r)
}

// abort counts what a Middleware panicked with. How much of an answer it has sent is not known here, so the server is
// left to cut the connection.
func (g *Gateway) abort() {
	v := recover()
	if v == nil {
		return
	}
	if v != http.ErrAbortHandler {
		g.panicked(v, "")
	}
	panic(http.ErrAbortHandler)
}

func (g *Gateway) panicked(v any, request string) {
	g.panics.Add(1)
	g.set.log().Error("broach: gateway: a request panicked", "request", request, "panic", v,
		"stack", string(debug.Stack()))
}

// Close ends streams and has workers leave, and /readyz says so. Other requests are answered as before: ending them is
// the server's affair. The node is not closed. Close returns nil, also to those who call it again.
func (g *Gateway) Close() error {
	g.end()
	g.tasks.Wait()
	return nil
}

// Stats returns the counts now.
func (g *Gateway) Stats() Stats {
	return Stats{
		Requests: g.requests.Load(), Refused: g.refused.Load(), Panics: g.panics.Load(),
		InFlight: int(g.inFlight.Load()), EventStreams: int(g.streams.Load()),
	}
}

// watch has what is kept of the cluster's functions follow the cluster.
func (g *Gateway) watch() {
	for range g.node.Watch(g.ctx) {
		g.routes.rebuild()
		g.openAPI.expire()
	}
}

// An exchange is one request and its answer.
type exchange struct {
	g      *Gateway
	w      http.ResponseWriter
	r      *http.Request
	id     string // of the request
	caller string // as Auth says; "": nobody is known
	began  time.Time
	query  map[string][]string // nil: not looked at yet
	takes  takes               // which answers the client takes
	texts  bool                // 64-bit integers are texts in the answer
	typed  bool                // so are the arguments, which need no types
	input  *input              // the body as a stream; nil: it is none
	text   string              // the body, if isRead
	isRead bool
	meter  meter // of the body
	isDone bool  // the head of the answer has gone
}

func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) {
	g.requests.Add(1)
	x := &exchange{g: g, w: w, r: r, began: time.Now(), meter: meter{g: g}}
	defer x.meter.release()
	x.id = requestID(r.Header)
	w.Header()["X-Request-Id"] = []string{x.id}
	w.Header()["X-Content-Type-Options"] = noSniff
	defer x.recover()
	if p := x.admit(); p != nil {
		g.refused.Add(1)
		x.fail(p)
		return
	}
	if x.isDone {
		return
	}
	if p := x.dispatch(); p != nil {
		x.fail(p)
	}
}

var noSniff = []string{"nosniff"}

// recover answers for what panicked: it takes down this request only.
func (x *exchange) recover() {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	x.g.panicked(v, x.id)
	if x.isDone {
		panic(http.ErrAbortHandler) // so that a half answer does not look like a whole one
	}
	x.fail(newProblem(http.StatusInternalServerError, "internal", "the gateway failed, its log says why"))
}
