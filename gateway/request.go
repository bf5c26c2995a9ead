package gateway

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"broach"
)

// dispatch finds out what a request is for.
func (x *exchange) dispatch() *problem {
	path := x.r.URL.EscapedPath()
	if topic, ok := strings.CutPrefix(path, "/events/"); ok {
		return x.event(topic)
	}
	if rest, ok := strings.CutPrefix(path, "/workers"); ok && len(x.g.set.workers) > 0 {
		if rest == "" || rest[0] == '/' {
			return x.work(rest)
		}
	}
	return x.limited(func() *problem { return x.dispatchCall(path) })
}

// limited does something if not too many do at once.
func (x *exchange) limited(do func() *problem) *problem { return x.limitedBy(&x.g.inFlight, do) }

func (x *exchange) limitedBy(count *atomic.Int64, do func() *problem) *problem {
	if count.Add(1) > int64(x.g.set.maxInFlight) {
		count.Add(-1)
		x.g.refused.Add(1)
		return full("the gateway has too many requests under way")
	}
	defer count.Add(-1)
	return do()
}

// full is what there is no room for.
func full(detail string) *problem {
	return &problem{status: http.StatusServiceUnavailable, kind: "overloaded", detail: detail,
		code: broach.Overloaded.String(), executed: broach.No.String()}
}

func (x *exchange) dispatchCall(path string) *problem {
	name, isCall := strings.CutPrefix(path, "/rpc/")
	switch {
	case isCall:
		return x.rpc(name)
	case path == "/rpc":
		return x.list()
	case path == "/services":
		return x.services()
	case path == "/openapi.json":
		return x.description()
	}
	return x.route(path)
}

// segment undoes the escapes of what stands for a name in a path.
func segment(text string) (string, bool) {
	name, err := url.PathUnescape(text)
	return name, err == nil && !strings.Contains(text, "/")
}

// rpc calls the function that the path names.
func (x *exchange) rpc(escaped string) *problem {
	name, ok := segment(escaped)
	if !ok || !x.g.set.exposes(name) {
		return notFound(name)
	}
	switch x.r.Method {
	case http.MethodPost:
		return x.post(name)
	case http.MethodGet, http.MethodHead:
		if strings.HasPrefix(x.r.Header.Get("Accept"), schemaType) {
			return x.schema(name)
		}
		return x.get(name)
	}
	return methodNotAllowed("GET, HEAD, POST", "functions are called by POST")
}

// services calls the function that headers name, as clients of the original do.
func (x *exchange) services() *problem {
	service, isOne := oneHeader(x.r.Header, "Service_name", "Broach-Service")
	api, isOneToo := oneHeader(x.r.Header, "Api_name", "Broach-Api")
	if !isOne || !isOneToo {
		return invalid("", "the headers say different names: one of api_name and Broach-Api is enough")
	}
	for _, name := range []string{api, service + "." + api} {
		if api == "" || !x.g.set.exposes(name) {
			continue
		}
		if _, err := x.g.functions.find(x.r.Context(), name, x.began); err != nil {
			continue
		}
		if x.r.Method == http.MethodGet || x.r.Method == http.MethodHead {
			return x.get(name)
		}
		return x.post(name)
	}
	return notFound(api)
}

// oneHeader is what headers say that mean the same; false: different things.
func oneHeader(h http.Header, names ...string) (said string, ok bool) {
	for _, name := range names {
		for _, v := range h[name] {
			if said != "" && v != said {
				return "", false
			}
			said = v
		}
	}
	return said, true
}

// post calls a function with the arguments in the body.
func (x *exchange) post(name string) *problem {
	mode, p := x.controls(true)
	if p != nil {
		return p
	}
	return x.call(name, mode, func(f *function) ([]any, *problem) { return x.bodyArgs(f) })
}

// get calls a function with the arguments in the query, if it may run twice: browsers and proxies ask again as they
// like.
func (x *exchange) get(name string) *problem {
	if x.r.ContentLength != 0 {
		return invalid(name, "a GET has no body: send the arguments in the query, or by POST")
	}
	if _, p := x.controls(false); p != nil {
		return p
	}
	return x.call(name, modeOne, func(f *function) ([]any, *problem) {
		if !f.Idempotent {
			return nil, methodNotAllowed("POST", "the function is not idempotent: call it by POST")
		}
		return x.queryArgs(f)
	})
}

// The modes of a call.
const (
	modeOne  = ""
	modeAll  = "all"
	modeSend = "send"
)

// controls reads what the query says to the gateway itself. Nothing else may stand in that of a POST.
func (x *exchange) controls(isPost bool) (mode string, p *problem) {
	if p := x.accept(); p != nil {
		return "", p
	}
	if x.r.URL.RawQuery == "" {
		return "", nil
	}
	query, err := parseQuery(x.r.URL.RawQuery)
	if err != nil {
		return "", invalid("", "the query is malformed")
	}
	x.query = query
	if texts, ok := query["int64"]; ok {
		if x.texts = true; len(texts) != 1 || texts[0] != "string" {
			return "", invalid("", "int64 can be asked for as string only")
		}
		delete(query, "int64")
	}
	if modes, ok := query["mode"]; ok && isPost {
		if mode = modes[0]; len(modes) != 1 || mode != modeAll && mode != modeSend {
			return "", invalid("", "mode is all or send")
		}
		delete(query, "mode")
	}
	if isPost && len(query) > 0 && !x.sendsLines() {
		return "", invalid("", "the query of a POST says mode and int64 only: arguments are in the body")
	}
	return mode, nil
}

// takes are the kinds of answers that a client takes.
type takes struct{ json, packed, lines, events bool }

// accept finds out which answers the client takes, and how it wants integers of 64 bits.
func (x *exchange) accept() *problem {
	values := x.r.Header["Accept"]
	if len(values) == 0 || len(values) == 1 && values[0] == "*/*" {
		x.takes = takes{json: true, lines: true}
		return nil
	}
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil || params["q"] == "0" {
			continue
		}
		x.acceptOne(media, params["int64"] == "string")
	}
	if x.takes == (takes{}) {
		return notAcceptable("answers are application/json, application/msgpack, and streams")
	}
	return nil
}

func (x *exchange) acceptOne(media string, texts bool) {
	switch media {
	case jsonType[0]:
		x.takes.json = true
		x.texts = x.texts || texts
	case msgpackType:
		x.takes.packed = !x.takes.json
	case ndjsonType:
		x.takes.lines = true
		x.texts = x.texts || texts
	case eventsType:
		x.takes.events = !x.takes.lines
	case "*/*", "application/*":
		x.takes.json, x.takes.lines = !x.takes.packed, !x.takes.events
	}
}

func notAcceptable(detail string) *problem {
	return newProblem(http.StatusNotAcceptable, "not-acceptable", detail)
}

// suits reports whether a function's kind of answer is one that the client takes.
func (x *exchange) suits(f *function) *problem {
	switch {
	case f.StreamsOut && !x.takes.lines && !x.takes.events:
		return notAcceptable("the function streams: accept application/x-ndjson or text/event-stream")
	case !f.StreamsOut && !x.takes.json && !x.takes.packed:
		return notAcceptable("the function does not stream: accept application/json or application/msgpack")
	}
	return nil
}

// sendsLines reports whether the body is a stream.
func (x *exchange) sendsLines() bool {
	media, p := x.media()
	return p == nil && media == ndjsonType
}

// bodyArgs reads the arguments of a POST.
func (x *exchange) bodyArgs(f *function) ([]any, *problem) {
	media, p := x.media()
	if p != nil {
		return nil, p
	}
	if media == ndjsonType {
		return x.streamArgs(f)
	}
	parse := parsers[media]
	if parse == nil {
		return nil, unsupported("the arguments are a JSON array: say Content-Type: application/json")
	}
	text, p := x.body()
	x.typed = media == msgpackType
	if p != nil || text == "" || !x.typed && strings.TrimSpace(text) == "" {
		return []any{}, p
	}
	v, err := parse(text, &x.meter)
	if err != nil {
		return nil, x.unreadable(f.name, err)
	}
	args, isList := v.([]any)
	if !isList {
		args = []any{v}
	}
	return args, nil
}

// parsers are those of bodies. Values of msgpack are what they are without types: the call finds out whether they fit.
var parsers = map[string]func(string, *meter) (any, error){
	jsonType[0]: parseJSON, msgpackType: parseMsgpack,
}

func unsupported(detail string) *problem {
	return newProblem(http.StatusUnsupportedMediaType, "unsupported-media-type", detail)
}

// media is the type of the body, "" if it has none.
func (x *exchange) media() (string, *problem) {
	if encoding := x.r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return "", unsupported("a body is taken as it is, without Content-Encoding")
	}
	values := x.r.Header["Content-Type"]
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) == 1 && values[0] == "application/json":
		return values[0], nil
	}
	media, params, err := mime.ParseMediaType(strings.Join(values, ","))
	if charset := params["charset"]; err != nil || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return "", unsupported("the Content-Type is malformed, or of another charset than utf-8")
	}
	return media, nil
}

// readMost is how long a client may take to send a body, which holds a place of MaxInFlight meanwhile.
const readMost = 10 * time.Second

// pieces are what bodies are read into, piece by piece: one made for each request costs more than the call.
var pieces = sync.Pool{New: func() any { return new([pieceMost]byte) }}

const pieceMost = 32 << 10

// body reads the body, once.
func (x *exchange) body() (string, *problem) {
	if x.isRead || x.r.ContentLength == 0 || x.r.Body == nil {
		return x.text, nil
	}
	x.isRead = true
	if x.r.ContentLength > x.g.set.maxBody {
		return "", tooLarge()
	}
	c := http.NewResponseController(x.w)
	_ = c.SetReadDeadline(time.Now().Add(readMost)) // a server that has none is not told
	var b strings.Builder
	if n := x.r.ContentLength; n > 0 {
		b.Grow(int(min(n, 64<<10))) // what it claims to send beyond that is believed as it comes
	}
	read := metered{Reader: http.MaxBytesReader(x.w, x.r.Body, x.g.set.maxBody), meter: &x.meter}
	piece := pieces.Get().(*[pieceMost]byte)
	defer pieces.Put(piece)
	if _, err := io.CopyBuffer(&b, &read, piece[:]); err != nil {
		return "", x.bodyProblem(err)
	}
	_ = c.SetReadDeadline(time.Time{})
	x.text = b.String()
	return x.text, nil
}

func tooLarge() *problem {
	return &problem{status: http.StatusRequestEntityTooLarge, kind: "too-large", code: broach.TooLarge.String(),
		executed: broach.No.String(), detail: "the body is larger than the gateway takes"}
}

func (x *exchange) bodyProblem(err error) *problem {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return tooLarge()
	case errors.Is(err, errNoRoom):
		return x.unreadable("", err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return newProblem(http.StatusRequestTimeout, "request-timeout", "the body did not come within 10 s")
	}
	return newProblem(http.StatusBadRequest, "bad-body", "the body was cut off")
}
