package ws

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
)

// take does what a message asks for.
func (s *session) take(m *message) {
	switch m.Op {
	case "call":
		s.begin(m, func(ctx context.Context) { s.call(ctx, m) })
	case "publish":
		s.begin(m, func(ctx context.Context) { s.publish(ctx, m) })
	case "subscribe":
		s.begin(m, func(ctx context.Context) { s.subscribe(ctx, m) })
	case "cancel", "unsubscribe":
		s.stop(m)
	default:
		s.refuse(m, "bad-message", "the op is call, publish, cancel, subscribe or unsubscribe")
	}
}

func (s *session) refuse(m *message, kind, detail string) {
	s.say(map[string]any{"id": m.ID, "error": problem(http.StatusBadRequest, kind, detail)})
}

// begin does something under an id, if there is room and the id is free.
func (s *session) begin(m *message, do func(context.Context)) {
	ctx, cancel := context.WithCancel(s.ctx)
	if reason := s.enter(m, cancel); reason != "" {
		cancel()
		s.refuse(m, "refused", reason)
		return
	}
	s.tasks.Go(func() {
		defer cancel()
		do(ctx)
	})
}

func (s *session) enter(m *message, cancel context.CancelFunc) (reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	count, most := &s.calls, callsMost
	if m.Op == "subscribe" {
		count, most = &s.topics, topicsMost
	}
	switch {
	case s.running[string(m.ID)] != nil:
		return "the id is in use"
	case *count >= most:
		return "too many at once: 32 calls, 64 subscriptions"
	}
	*count++
	s.running[string(m.ID)] = &running{m.Op, cancel}
	return ""
}

// last sends the last message under an id, which is free before, for whoever reads that may use it at once. It is not
// free while a client takes no messages, or one could call on and on without ever reading.
func (s *session) last(m *message, key string, v any) {
	select {
	case s.lastc <- struct{}{}:
	case <-s.ctx.Done():
		return
	}
	s.leave(m)
	s.say(map[string]any{"id": m.ID, key: v})
	<-s.lastc
}

// leave frees an id.
func (s *session) leave(m *message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.running, string(m.ID)); m.Op == "subscribe" {
		s.topics--
		return
	}
	s.calls--
}

// stop ends what goes on under an id, which answers that itself.
func (s *session) stop(m *message) {
	s.mu.Lock()
	r := s.running[string(m.ID)]
	s.mu.Unlock()
	if r == nil || (r.op == "subscribe") != (m.Op == "unsubscribe") {
		s.refuse(m, "refused", "nothing of that kind goes on under this id")
		return
	}
	r.cancel()
}

// call asks the gateway as any client does.
func (s *session) call(ctx context.Context, m *message) {
	r := requestLike(ctx, s.opened, http.MethodPost, "/rpc/"+url.PathEscape(m.Name), string(m.Args))
	if m.Timeout != "" {
		r.Header.Set("Broach-Timeout", m.Timeout)
	}
	s.ask(m, r)
}

func (s *session) publish(ctx context.Context, m *message) {
	s.ask(m, requestLike(ctx, s.opened, http.MethodPost, "/events/"+url.PathEscape(m.Topic), string(m.Payload)))
}

// ask sends a request to the gateway, and its answer to the client.
func (s *session) ask(m *message, r *http.Request) {
	a := newAnswer()
	key, last := "", json.RawMessage(nil) // how a stream ended
	a.passes = func(event, data string) error {
		if event == "item" {
			return s.pass(m, event, data)
		}
		key, last = event, json.RawMessage(data)
		return nil
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	s.request(a, r)
	if !a.isStream() {
		key, last = a.whole()
	} else if key == "" {
		key, last = "error", marshal(problem(http.StatusBadGateway, "cut-off", "the stream was cut off"))
	}
	s.last(m, key, last)
}

// subscribe passes events on until the client wants no more.
func (s *session) subscribe(ctx context.Context, m *message) {
	a := newAnswer()
	a.passes = func(event, data string) error { return s.pass(m, cmp.Or(event, "event"), data) } // or "lost"
	r := requestLike(ctx, s.opened, http.MethodGet, "/events/"+url.PathEscape(m.Topic), "")
	r.Header.Set("Accept", "text/event-stream")
	s.request(a, r)
	if !a.isStream() {
		key, last := a.whole()
		s.last(m, key, last)
		return
	}
	s.last(m, "end", true)
}

// request has the gateway answer. No server stands around this goroutine, so a panic, as of a Middleware, would end the
// process: it is as an answer that was cut off.
func (s *session) request(a *answer, r *http.Request) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if v != http.ErrAbortHandler { // who panics with that has said why
			slog.Error("broach: gateway: a request over a WebSocket panicked", "panic", v,
				"stack", string(debug.Stack()))
		}
		if !a.isStream() {
			*a = answer{header: http.Header{}, status: http.StatusInternalServerError}
		}
	}()
	s.gateway.ServeHTTP(a, r)
}

var errGone = errors.New("the client is gone")

func (s *session) pass(m *message, key, data string) error {
	if !json.Valid([]byte(data)) || !s.say(map[string]any{"id": m.ID, key: json.RawMessage(data)}) {
		return errGone
	}
	return nil
}

// requestLike is a request by the client that opened the WebSocket.
func requestLike(ctx context.Context, opened *http.Request, method, path, body string) *http.Request {
	r := opened.Clone(ctx)
	for name := range r.Header {
		if strings.HasPrefix(name, "Sec-Websocket-") {
			delete(r.Header, name)
		}
	}
	for _, name := range []string{"Connection", "Upgrade", "Accept", "Content-Length", "X-Request-Id"} {
		r.Header.Del(name)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Method, r.RequestURI = method, path
	r.URL = &url.URL{Path: path}
	if unescaped, err := url.PathUnescape(path); err == nil {
		r.URL.Path, r.URL.RawPath = unescaped, path
	}
	r.Body, r.ContentLength = http.NoBody, int64(len(body))
	if body != "" {
		r.Body = nopCloser{strings.NewReader(body)}
	}
	return r
}
