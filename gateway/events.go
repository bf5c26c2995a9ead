package gateway

import (
	"net/http"
	"strconv"
	"strings"

	"broach"
)

// event publishes under a topic, or lets a client have what is published.
func (x *exchange) event(escaped string) *problem {
	topic, ok := segment(escaped)
	isPost := x.r.Method == http.MethodPost
	isGet := x.r.Method == http.MethodGet
	switch {
	case !isPost && !isGet:
		return methodNotAllowed("GET, POST", "events are published by POST, and received by GET")
	case !ok || isPrivate(topic):
		return noTopic(topic)
	case isPost && matchesAny(x.g.set.publish, topic):
		return x.limited(func() *problem { return x.publish(topic) })
	case isGet && matchesAny(x.g.set.subscribe, topic):
		return x.subscribe(topic)
	}
	return noTopic(topic)
}

func noTopic(topic string) *problem {
	p := notFound(topic)
	p.detail = "there is no such topic here"
	return p
}

// publish answers with who got the event.
func (x *exchange) publish(topic string) *problem {
	if _, p := x.controls(true); p != nil {
		return p
	}
	payload, p := x.payload(topic)
	if p != nil {
		return p
	}
	timeout, p := x.timeout()
	if p != nil {
		return p
	}
	ctx, cancel := x.context(min(timeout, x.g.set.maxTimeout))
	defer cancel()
	d, err := x.g.node.Publish(ctx, topic, payload)
	if err != nil && len(d.Nodes) == 0 && len(d.Missed) == 0 {
		return x.problemOf(err)
	}
	status := http.StatusOK
	if len(d.Missed) > 0 {
		status = http.StatusMultiStatus
	}
	x.answer(status, append(marshal(x.deliveryOf(d)), '\n'))
	return nil
}

// payload reads the body, which is one value.
func (x *exchange) payload(topic string) (any, *problem) {
	media, p := x.media()
	if p != nil {
		return nil, p
	}
	if media != "application/json" {
		return nil, unsupported("an event is a value of JSON: say Content-Type: application/json")
	}
	text, p := x.body()
	if p != nil {
		return nil, p
	}
	v, err := parseJSON(text, &x.meter)
	if err == nil {
		v, err = natural(v)
	}
	if err != nil {
		return nil, x.unreadable(topic, err)
	}
	return v, nil
}

// deliveryOf is a Delivery as an object.
func (x *exchange) deliveryOf(d broach.Delivery) map[string]any {
	missed := make([]any, len(d.Missed))
	for i, err := range d.Missed {
		missed[i] = x.problemOf(err).document(x)
	}
	m := map[string]any{"delivered": len(d.Nodes), "missed": missed}
	if x.g.set.showNodes {
		nodes := make([]string, len(d.Nodes))
		for i, a := range d.Nodes {
			nodes[i] = a.String()
		}
		m["nodes"] = nodes
	}
	return m
}

// subscribe answers with Server-Sent Events until the client goes or the gateway ends.
func (x *exchange) subscribe(topic string) *problem {
	if !x.takesEvents() {
		return newProblem(http.StatusNotAcceptable, "not-acceptable", "events are text/event-stream")
	}
	switch texts := x.r.URL.Query()["int64"]; {
	case len(texts) == 1 && texts[0] == "string":
		x.texts = true
	case len(texts) > 0:
		return invalid(topic, "int64 can be asked for as string only")
	}
	if x.g.streams.Add(1) > int64(x.g.set.streams) {
		x.g.streams.Add(-1)
		x.g.refused.Add(1)
		return full("the gateway has too many event streams")
	}
	defer x.g.streams.Add(-1)
	c, err := x.g.topics.join(topic, x.texts)
	if err != nil {
		return x.problemOf(err)
	}
	defer x.g.topics.leave(topic, c)
	x.stream(c)
	return nil
}

func (x *exchange) takesEvents() bool {
	accept := x.r.Header.Get("Accept")
	return accept == "" || strings.Contains(accept, "text/event-stream") || strings.Contains(accept, "*/*") ||
		strings.Contains(accept, "text/*")
}

// stream writes what the client's topic brings.
func (x *exchange) stream(c *client) {
	h := x.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h["Cache-Control"] = noStore
	h.Set("X-Accel-Buffering", "no") // nginx would keep events back
	x.head(http.StatusOK)
	out := newFlow(x.w)
	defer out.close()
	begin := ":\n\n"
	if x.r.Header["Last-Event-Id"] != nil { // what came since is not kept
		begin = "event: lost\ndata: null\n\n"
	}
	for id := uint64(1); out.write([]byte(begin)); begin = ":\n\n" { // a comment shows whether the client is there
		for c.wait(x.r.Context(), x.g.ctx) {
			var b []byte
			if b, id = c.take(id); !out.write(b) {
				return
			}
		}
		if x.r.Context().Err() != nil || x.g.ctx.Err() != nil {
			return
		}
	}
}

// appendEvent writes one event.
func appendEvent(b []byte, id uint64, data []byte) []byte {
	b = strconv.AppendUint(append(b, "id: "...), id, 10)
	b = append(append(b, "\ndata: "...), data...)
	return append(b, "\n\n"...)
}

func appendLost(b []byte, n int) []byte {
	b = strconv.AppendInt(append(b, "event: lost\ndata: "...), int64(n), 10)
	return append(b, "\n\n"...)
}
