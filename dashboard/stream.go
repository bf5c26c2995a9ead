package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"broach"
)

// Streams are Server-Sent Events. Each begins with all that there is, and goes on with what changes.

const (
	clockEvery = 15 * time.Second // the browser is told the time, which also keeps proxies from closing the stream
	writeMost  = 10 * time.Second // of a browser that does not read
)

// events writes to one browser.
type events struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// open begins a stream.
func open(w http.ResponseWriter) *events {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // a proxy that collects would make it late
	w.WriteHeader(http.StatusOK)
	return &events{w, http.NewResponseController(w)}
}

// send reports whether the browser is still there. JSON has no line breaks.
func (e *events) send(kind string, data []byte) bool {
	_ = e.rc.SetWriteDeadline(time.Now().Add(writeMost)) // fine: not every server has them
	_, err := fmt.Fprintf(e.w, "event: %s\ndata: %s\n\n", kind, data)
	return err == nil && e.rc.Flush() == nil
}

func (e *events) clock() bool {
	return e.send("clock", strconv.AppendInt(nil, time.Now().UnixMilli(), 10))
}

// stream shows the cluster.
func (p *page) stream(w http.ResponseWriter, r *http.Request, _ string) {
	q := r.URL.Query()
	sections, id := sectionsOf(strings.Split(q.Get("sections"), ",")), q.Get("id")
	if len(sections) == 0 || len(id) < 8 || len(id) > 64 {
		refuse(w, http.StatusBadRequest, "a stream needs sections, and an id of 8 to 64 bytes")
		return
	}
	v, err := p.poller.look(id, sections)
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	defer p.poller.leave(v)
	p.follow(w, r, "patch", v.messages)
}

// follow sends what comes until the browser goes, or the node ends.
func (p *page) follow(w http.ResponseWriter, r *http.Request, kind string, messages <-chan []byte) {
	e := open(w)
	clock := time.NewTicker(clockEvery)
	defer clock.Stop()
	for ok := e.clock(); ok; {
		select {
		case m := <-messages:
			ok = e.send(kind, m)
		case <-clock.C:
			ok = e.clock()
		case <-r.Context().Done():
			return
		case <-p.n.Done():
			return
		}
	}
}

const topicBacklog = 64

// topic shows events of a topic, for which this node subscribes as long as somebody looks: it takes them from nobody.
func (p *page) topic(w http.ResponseWriter, r *http.Request, caller string) {
	name := r.URL.Query().Get("name")
	if !p.set.mayCall(name) {
		refuse(w, http.StatusForbidden, "the topic is none of those that AllowCalls names")
		return
	}
	select {
	case p.tails <- struct{}{}:
		defer func() { <-p.tails }()
	default:
		refuse(w, http.StatusServiceUnavailable, errCrowded.Error())
		return
	}
	newest := make(chan []byte, topicBacklog)
	s, err := p.n.Subscribe(name, func(ctx context.Context, event any) {
		select {
		case newest <- topicRow(ctx, event):
		default: // the browser is too slow: it is a window, not a record
		}
	}, broach.EachInstance(), broach.Backlog(topicBacklog))
	if err != nil {
		refuse(w, http.StatusConflict, err.Error())
		return
	}
	defer s.Close()
	p.set.logger.Info("dashboard: topic", "name", name, "by", caller, "from", r.RemoteAddr)
	p.follow(w, r, "event", newest)
}

func topicRow(ctx context.Context, event any) []byte {
	from := ""
	if call, ok := broach.InvocationFrom(ctx); ok {
		from = call.From.String()
	}
	text, isCut := textOf(event)
	b, _ := json.Marshal(map[string]any{"At": time.Now().UnixMilli(), "From": from, "Text": text, "Cut": isCut})
	return b
}
