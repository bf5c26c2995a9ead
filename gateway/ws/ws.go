// Package ws lets browsers call functions and receive events over one WebSocket. It stands before a gateway:
//
//	mux := http.NewServeMux()
//	mux.Handle("/ws", ws.Handler(g))
//	mux.Handle("/", g)
//
// What a client says is a text of JSON with an op and an id of the client's choice, and so is each answer to it:
//
//	{"id": 1, "op": "call", "name": "add", "args": [1, 2], "timeout": "1.5s"}   {"id": 1, "value": 3}
//	{"id": 1, "op": "cancel"}                                                   {"id": 1, "error": {…}}, of the call
//	{"id": 2, "op": "subscribe", "topic": "sold"}                               {"id": 2, "event": …}, as they come
//	{"id": 2, "op": "unsubscribe"}                                              {"id": 2, "end": true}
//	{"id": 3, "op": "publish", "topic": "sold", "payload": 7}                   {"id": 3, "value": {"delivered": 1}}
//
// A function that streams answers {"id": 1, "item": …} for each item, and at last {"id": 1, "end": 7} or an error.
// {"id": 2, "lost": 5} tells of events that were lost because the client was slow. Errors are the gateway's problems.
//
// Each of these is a request to the gateway with the header of the one that opened the WebSocket, so who may do what
// is what the gateway's options say, Origins among them. Browsers cannot set Authorization there: let Auth look at a
// cookie. A call of a function that the gateway does not expose is 404 here, too.
//
// # Limits
//
// 16,384 connections of a Handler, of each 32 calls under way, 32 answers that are not taken yet, 64 subscriptions and
// frames of 64 KiB, and what the gateway itself has. A client that does not answer a ping, every 20 s, or takes nothing
// for 30 s, is gone. When the gateway is closed subscriptions end; connections stay until the client goes.
package ws

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

const (
	openMost   = 16_384 // connections of a Handler
	frameMost  = 64 << 10
	callsMost  = 32
	topicsMost = 64
	pingEvery  = 20 * time.Second
	pingMost   = 10 * time.Second
	writeMost  = 30 * time.Second
)

// Handler returns a handler that opens WebSockets to a gateway. It may be served under any path that is no route of the
// gateway.
func Handler(gateway http.Handler) http.Handler { return &handler{gateway: gateway, most: openMost} }

type handler struct {
	gateway http.Handler
	most    int64
	open    atomic.Int64
}

// ServeHTTP opens a WebSocket, if there is room for one more, and serves it to its end.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !admits(h.gateway, w, r) {
		return
	}
	defer h.open.Add(-1)
	if h.open.Add(1) > h.most {
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write(marshal(problem(http.StatusServiceUnavailable, "overloaded", "too many WebSockets are open")))
		return
	}
	// the gateway has looked at the origin
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // it has answered
	}
	conn.SetReadLimit(frameMost)
	ctx, cancel := context.WithCancel(r.Context())
	s := &session{gateway: h.gateway, conn: conn, opened: r, ctx: ctx, end: cancel, running: map[string]*running{},
		lastc: make(chan struct{}, callsMost)}
	s.serve()
}

// admits asks the gateway whether it takes anything of this client: by a request that calls nothing.
func admits(gateway http.Handler, w http.ResponseWriter, r *http.Request) bool {
	a := newAnswer()
	gateway.ServeHTTP(a, requestLike(r.Context(), r, http.MethodPost, "/rpc", ""))
	if a.status == http.StatusMethodNotAllowed {
		return true
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes())
	return false
}

// A session is one connection.
type session struct {
	gateway http.Handler
	conn    *websocket.Conn
	opened  *http.Request
	ctx     context.Context
	end     context.CancelFunc
	tasks   sync.WaitGroup
	lastc   chan struct{} // has one for each last message that the client has yet to take

	mu            sync.Mutex // guards what follows
	running       map[string]*running
	calls, topics int
}

// running is what an id stands for.
type running struct {
	op     string
	cancel context.CancelFunc
}

// A message is what a client says.
type message struct {
	ID      json.RawMessage `json:"id"`
	Op      string          `json:"op"`
	Name    string          `json:"name"`
	Args    json.RawMessage `json:"args"`
	Timeout string          `json:"timeout"`
	Topic   string          `json:"topic"`
	Payload json.RawMessage `json:"payload"`
}

// serve reads until the client goes.
func (s *session) serve() {
	s.tasks.Go(s.ping)
	for {
		kind, text, err := s.conn.Read(s.ctx)
		if err != nil {
			break
		}
		var m message
		if err := json.Unmarshal(text, &m); err != nil || kind != websocket.MessageText || !isID(m.ID) {
			s.say(map[string]any{"id": nil, "error": problem(http.StatusBadRequest, "bad-message",
				"a message is a JSON object with an op and an id, which is a number or a short text")})
			continue
		}
		s.take(&m)
	}
	s.end()
	s.tasks.Wait()
	_ = s.conn.CloseNow()
}

// ping finds out whether the client is there.
func (s *session) ping() {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			ctx, cancel := context.WithTimeout(s.ctx, pingMost)
			err := s.conn.Ping(ctx)
			if cancel(); err != nil {
				s.end()
				return
			}
		case <-s.ctx.Done():
			return
		}
	}
}

// isID reports whether a client may call something so: a number or a text of 64 bytes at most.
func isID(id json.RawMessage) bool {
	return len(id) > 0 && len(id) <= 66 && (id[0] == '"' || id[0] == '-' || id[0] >= '0' && id[0] <= '9')
}

// say sends one message. Whoever does not take it is gone.
func (s *session) say(v map[string]any) bool {
	text := marshal(v)
	ctx, cancel := context.WithTimeout(s.ctx, writeMost)
	defer cancel()
	if s.conn.Write(ctx, websocket.MessageText, text) != nil {
		s.end()
		return false
	}
	return true
}

// marshal is json.Marshal of what always can be.
func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("broach: internal error: " + err.Error())
	}
	return b
}

// problem is one of this package's own, in the form of the gateway's.
func problem(status int, kind, detail string) map[string]any {
	return map[string]any{"type": "urn:broach:" + kind, "title": http.StatusText(status), "status": status,
		"detail": detail}
}
