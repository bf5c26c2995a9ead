package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"time"

	"broach"
)

// A problem is an answer that is no success: an object of RFC 9457.
type problem struct {
	status   int
	kind     string // the end of its type, as in not-found
	detail   string
	code     string // of broach; "": the gateway itself says so
	executed string // "": nothing was to be executed
	service  string
	node     string
	allow    string // methods that would do
}

func newProblem(status int, kind, detail string) *problem {
	return &problem{status: status, kind: kind, detail: detail}
}

// A row says what becomes of a code.
type row struct {
	status int
	kind   string
	detail string // in place of the error's own text, which may name nodes: "", that can be said
}

var rowsOfCodes = map[broach.Code]row{
	broach.Application:      {500, "application", ""},
	broach.InvalidArgument:  {400, "invalid-argument", ""},
	broach.NotFound:         {404, "not-found", "there is no such function here"},
	broach.Unavailable:      {503, "unavailable", "nobody who offers the function can be called now"},
	broach.Unreachable:      {502, "unreachable", "who was called did not answer"},
	broach.DeadlineExceeded: {504, "deadline-exceeded", "there was no answer in time"},
	broach.Canceled:         {499, "canceled", "the client gave up"},
	broach.Overloaded:       {503, "overloaded", "who offers the function has no room for another call"},
	broach.CircuitOpen:      {503, "circuit-open", "the function failed again and again, and rests for a while"},
	broach.Draining:         {503, "draining", "who offers the function is leaving"},
	broach.TooLarge:         {413, "too-large", ""},
	broach.Internal:         {500, "internal", "the function failed in a way that only its log tells"},
	broach.Unauthenticated:  {401, "unauthenticated", ""},
	broach.Closed:           {503, "closed", "the gateway is leaving its cluster"},
}

// problemOf is the answer to a call that failed.
func (x *exchange) problemOf(err error) *problem {
	var e *broach.Error
	if !errors.As(err, &e) {
		return newProblem(http.StatusInternalServerError, "internal", "the gateway failed, its log says why")
	}
	r, isKnown := rowsOfCodes[e.Code]
	if !isKnown {
		r = row{500, "application", ""}
		if status := x.g.set.statuses[e.Code]; status != 0 {
			r.status = status
		}
	}
	p := &problem{status: r.status, kind: r.kind, code: codeText(e.Code), executed: e.Executed.String(),
		service: e.Service, node: e.Node}
	if p.detail = x.detailOf(e, r); e.Code == broach.Unauthenticated {
		x.unauthenticated(p)
	}
	return p
}

// unauthenticated tells who is not known from who may not.
func (x *exchange) unauthenticated(p *problem) {
	if x.g.set.auth != nil {
		p.status = http.StatusForbidden
		return
	}
	x.w.Header().Set("WWW-Authenticate", "Bearer")
}

// detailOf is the text of an error, unless it is not for clients: what a panic is about, or where nodes are. What a
// function says itself is its own to choose, but for addresses.
func (x *exchange) detailOf(e *broach.Error, r row) string {
	switch {
	case e.Code == broach.Internal:
		x.g.set.log().Error("broach: gateway: a call failed", "request", x.id, "error", e)
		return r.detail
	case x.g.set.showNodes:
		return e.Message
	case r.detail != "" && e.Executed != broach.Yes:
		return r.detail
	}
	return addresses.ReplaceAllString(e.Message, "(a node)")
}

// addresses are those of nodes, as texts of errors have them.
var addresses = regexp.MustCompile(`\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b|\[[0-9a-fA-F:.]+(%\w+)?\](:\d+)?`)

func codeText(c broach.Code) string {
	if c >= 1000 {
		return strconv.FormatUint(uint64(c), 10)
	}
	return c.String()
}

// titles are the codes in words, by the end of the type.
var titles = map[string]string{
	"application": "The function returned an error", "invalid-argument": "An argument does not fit",
	"not-found": "Not found", "unavailable": "Nobody can be called now", "unreachable": "No sign of who was called",
	"deadline-exceeded": "Time over", "canceled": "Given up", "overloaded": "No room",
	"circuit-open": "Not called for a while", "draining": "Leaving", "too-large": "Too large",
	"internal": "An internal failure", "unauthenticated": "Not allowed", "closed": "Closed",
}

// notFound is the same for what there is not and what is not exposed.
func notFound(service string) *problem {
	return &problem{status: http.StatusNotFound, kind: "not-found", detail: rowsOfCodes[broach.NotFound].detail,
		code: broach.NotFound.String(), executed: broach.No.String(), service: service}
}

// invalid is what was asked for in a way that cannot be.
func invalid(service, detail string) *problem {
	return &problem{status: http.StatusBadRequest, kind: "invalid-argument", detail: detail,
		code: broach.InvalidArgument.String(), executed: broach.No.String(), service: service}
}

func methodNotAllowed(allow, detail string) *problem {
	return &problem{status: http.StatusMethodNotAllowed, kind: "method-not-allowed", detail: detail, allow: allow}
}

// document is the problem as an object.
func (p *problem) document(x *exchange) map[string]any {
	m := map[string]any{"type": "urn:broach:" + p.kind, "title": titles[p.kind], "status": p.status,
		"detail": p.detail, "instance": "urn:broach:request:" + x.id, "request_id": x.id}
	if m["title"] == "" {
		m["title"] = http.StatusText(p.status)
	}
	for key, text := range map[string]string{"code": p.code, "executed": p.executed, "service": p.service} {
		if text != "" {
			m[key] = text
		}
	}
	if x.g.set.showNodes && p.node != "" {
		m["node"] = p.node
	}
	return m
}

// fail answers with a problem.
func (x *exchange) fail(p *problem) {
	h := x.w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	for name, text := range map[string]string{"Allow": p.allow, "Broach-Code": p.code, "Broach-Executed": p.executed} {
		if text != "" {
			h.Set(name, text)
		}
	}
	if x.g.set.showNodes && p.node != "" {
		h.Set("Broach-Node", p.node)
	}
	if p.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	x.write(p.status, append(marshal(p.document(x)), '\n'))
}

// marshal is json.Marshal of what always can be.
func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("broach: internal error: " + err.Error())
	}
	return b
}

// answer writes a body of JSON.
func (x *exchange) answer(status int, body []byte) { x.answerAs(jsonType[0], status, body) }

func (x *exchange) answerAs(media string, status int, body []byte) {
	h := x.w.Header()
	h["Content-Type"] = []string{media}
	h["Server-Timing"] = []string{x.serverTiming()}
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		h["Cache-Control"] = noStore
	}
	x.write(status, body)
}

var jsonType, noStore = []string{"application/json"}, []string{"no-store"}

// atOnce is how large a body is that a socket takes whole.
const atOnce = 32 << 10

// write answers. A client that does not take a large answer holds no place for longer than writeMost.
func (x *exchange) write(status int, body []byte) {
	x.w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.head(status)
	if len(body) > atOnce {
		out := newFlow(x.w)
		defer out.close()
		out.write(body)
		return
	}
	_, _ = x.w.Write(body) // who is gone gets none
}

// head sends the status. A server reads before that what is left of the body.
func (x *exchange) head(status int) {
	x.isDone = true
	if x.r.ContentLength != 0 && !x.isRead && x.input == nil {
		_ = http.NewResponseController(x.w).SetReadDeadline(time.Now().Add(readMost)) // a server without is not told
	}
	x.w.WriteHeader(status)
}

// nodeText is an address for answers, "" if they have none.
func (x *exchange) nodeText(a netip.AddrPort) string {
	if !x.g.set.showNodes || !a.IsValid() {
		return ""
	}
	return a.String()
}
