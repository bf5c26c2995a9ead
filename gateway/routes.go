package gateway

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// A route leads from a method and a path to a function. Patterns are those of http.ServeMux, but two that overlap, of
// which none is more specific, are no mistake that ends the program: functions come and go with other programs. Only a
// request that matches both is answered with an error.

// A route is one pattern.
type route struct {
	text         string // "GET /api/hello/{name}"
	method, path string
	segments     []part
	service      string
	isIdle       bool // nobody who offers the function can be called now
}

// A part is one segment of a pattern.
type part struct {
	text    string // a literal; the name of a wildcard
	isOpen  bool   // a wildcard
	isRest  bool   // it stands for all that follows, as {name...}; without a name, as a / at the end
	isLast  bool   // {$}: nothing follows the /
	isNamed bool   // it is an argument
}

// A regexpRoute is one expression.
type regexpRoute struct {
	method  string
	re      *regexp.Regexp
	service string
}

func isMethod(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < 'A' || r > 'Z' })
}

// parseRoute reads a pattern.
func parseRoute(pattern, service string) (*route, error) {
	method, path, _ := strings.Cut(pattern, " ")
	if !isMethod(method) || !strings.HasPrefix(path, "/") {
		return nil, errors.New("is no route: it is a method and a path, as in GET /api/hello/{name}")
	}
	r := &route{text: pattern, method: method, path: path, service: service}
	texts := strings.Split(path[1:], "/")
	names := map[string]bool{}
	for i, text := range texts {
		p, ok := parsePart(text, i == len(texts)-1)
		if !ok || p.isNamed && names[p.text] {
			return nil, errors.New("is no route: a wildcard is a whole segment, as in {name}, or, at the end, " +
				"{rest...} or {$}, each with another name; nothing else has braces; no segment is empty or only dots")
		}
		names[p.text] = p.isNamed
		r.segments = append(r.segments, p)
	}
	return r, nil
}

func parsePart(text string, isEnd bool) (p part, ok bool) {
	switch {
	case text == "" && isEnd:
		return part{isOpen: true, isRest: true}, true
	case text == "{$}":
		return part{isLast: true}, isEnd
	case text == "" || text == "." || text == "..":
		return part{}, false
	case !strings.ContainsAny(text, "{}"):
		return part{text: text}, true
	}
	name, opens := strings.CutPrefix(text, "{")
	name, closes := strings.CutSuffix(name, "}")
	name, isRest := strings.CutSuffix(name, "...")
	return part{text: name, isOpen: true, isRest: isRest, isNamed: true},
		opens && closes && isIdentifier(name) && (!isRest || isEnd)
}

func isIdentifier(s string) bool {
	return isWord(s) && !strings.ContainsAny(s, ".-") && (s[0] < '0' || s[0] > '9')
}

// shape is the pattern without the names in it.
func (r *route) shape() string {
	b := strings.Builder{}
	b.WriteString(r.method)
	for _, p := range r.segments {
		switch {
		case p.isRest:
			b.WriteString("/{...}")
		case p.isOpen:
			b.WriteString("/{}")
		case p.isLast:
			b.WriteString("/{$}")
		default:
			b.WriteString("/" + p.text)
		}
	}
	return b.String()
}

// match returns what the wildcards stand for in a path of these segments.
func (r *route) match(path []string) (captures []string, ok bool) {
	for i, p := range r.segments {
		switch {
		case p.isRest && i < len(path):
			if p.isNamed {
				captures = append(captures, strings.Join(path[i:], "/"))
			}
			return captures, true
		case i >= len(path):
			return nil, false
		case p.isLast:
			return captures, path[i] == "" && i == len(path)-1
		case p.isOpen && path[i] != "":
			captures = append(captures, path[i])
		case p.isOpen || p.text != path[i]:
			return nil, false
		}
	}
	return captures, len(path) == len(r.segments)
}

// isMoreSpecific reports whether each path that r matches is one that o matches, too, and not the other way round.
func (r *route) isMoreSpecific(o *route) bool { return r.isWithin(o) && !o.isWithin(r) }

func (r *route) isWithin(o *route) bool {
	for i, p := range o.segments {
		if i >= len(r.segments) {
			return false
		}
		q := r.segments[i]
		switch {
		case p.isRest:
			return true
		case q.isRest:
			return false
		case p.isLast || q.isLast:
			return p.isLast && q.isLast
		case p.isOpen:
		case q.isOpen || p.text != q.text:
			return false
		}
	}
	return len(r.segments) == len(o.segments)
}

// ownPaths are where the gateway has its own requests.
var ownPaths = []string{"/rpc", "/events", "/services", "/openapi.json", "/livez", "/readyz", "/workers"}

func isReserved(path string) bool {
	return slices.ContainsFunc(ownPaths, func(own string) bool {
		return path == own || strings.HasPrefix(path, own+"/")
	})
}

// A table has routes by their method and first segment; "" is that of a wildcard.
type table map[[2]string][]*route

func newTable(routes []*route) table {
	t := table{}
	for _, r := range routes {
		key := [2]string{r.method, ""}
		if !r.segments[0].isOpen {
			key[1] = r.segments[0].text
		}
		t[key] = append(t[key], r)
	}
	return t
}

// A hit is what a path leads to.
type hit struct {
	*route
	captures []string
	other    *route // matches as well, and calls another function: a conflict
}

// find returns the most specific route.
func (t table) find(method string, path []string) (best hit, ok bool) {
	keys := [][2]string{{method, path[0]}, {method, ""}}
	if path[0] == "" {
		keys = keys[1:]
	}
	for _, key := range keys {
		for _, r := range t[key] {
			captures, matches := r.match(path)
			if !matches {
				continue
			}
			best = best.or(r, captures)
		}
	}
	if !ok && best.route == nil && method == http.MethodHead {
		return t.find(http.MethodGet, path)
	}
	return best, best.route != nil
}

// or is the more specific one of two hits.
func (h hit) or(r *route, captures []string) hit {
	switch {
	case h.route == nil || r.isMoreSpecific(h.route):
		return hit{route: r, captures: captures}
	case h.isMoreSpecific(r) || h.service == r.service || r.isIdle:
		return h
	case h.isIdle: // of a version of a program that has gone, and is remembered for some time
		return hit{route: r, captures: captures}
	}
	h.other = r
	return h
}

// routing is what leads requests to functions.
type routing struct {
	g     *Gateway
	fixed table // of options

	mu      sync.RWMutex // guards what follows; nothing waits while it is held
	named   table        // of functions that are named like routes
	builtAt time.Time
	told    map[string]bool // conflicts that were logged

	building sync.Mutex // one request at a time has the names read again; none waits for it
}

const (
	routesMost    = 10_000 // that functions bring along
	conflictsMost = 1000   // told of in the log
	lookAgain     = time.Second
)

func (t *routing) init(g *Gateway) {
	t.g, t.fixed, t.told = g, newTable(g.set.routes), map[string]bool{}
	t.rebuild()
}

// rebuild reads the routes from the names of functions.
func (t *routing) rebuild() {
	if !t.g.set.fromNames {
		return
	}
	var routes []*route
	for _, s := range t.g.node.Services() {
		r, err := parseRoute(s.Name, s.Name)
		if err == nil && !isReserved(r.path) && len(routes) < routesMost {
			r.isIdle = len(s.Providers) == 0
			routes = append(routes, r)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.named, t.builtAt = newTable(routes), time.Now()
}

// lookUp finds what a path leads to. Watch does not tell of functions of the own node, so now and then the names are
// read again.
func (t *routing) lookUp(method string, path []string, now time.Time) (hit, bool) {
	t.mu.RLock()
	named, builtAt := t.named, t.builtAt
	t.mu.RUnlock()
	if t.g.set.fromNames && now.Sub(builtAt) > lookAgain && t.building.TryLock() {
		t.rebuild()
		t.building.Unlock()
		return t.lookUp(method, path, builtAt)
	}
	return named.find(method, path)
}

// tell logs a conflict, once.
func (t *routing) tell(h hit) {
	first, second := min(h.service, h.other.service), max(h.service, h.other.service)
	key := first + "\x00" + second
	t.mu.Lock()
	isNew := !t.told[key] && len(t.told) < conflictsMost
	if isNew {
		t.told[key] = true
	}
	t.mu.Unlock()
	if isNew {
		t.g.set.log().Error("broach: gateway: two functions for one request: what both match is answered 500",
			"one", first, "other", second)
	}
}

// route calls the function that the path leads to.
func (x *exchange) route(escaped string) *problem {
	path, ok := segments(escaped)
	if !ok {
		return notFound("")
	}
	if h, ok := x.g.routes.fixed.find(x.r.Method, path); ok {
		return x.follow(h.service, h.captures)
	}
	for _, r := range x.g.set.regexps {
		if m := r.re.FindStringSubmatch("/" + strings.Join(path, "/")); m != nil && r.method == x.r.Method {
			return x.follow(r.service, m[1:])
		}
	}
	h, ok := x.g.routes.lookUp(x.r.Method, path, x.began)
	switch {
	case !ok:
		return x.strayed(path)
	case h.other != nil:
		x.g.routes.tell(h)
		return newProblem(http.StatusInternalServerError, "route-conflict",
			"two functions have routes for this request, and none is more specific")
	}
	return x.follow(h.service, h.captures)
}

func (x *exchange) follow(service string, captures []string) *problem {
	if p := x.accept(); p != nil {
		return p
	}
	return x.call(service, modeOne, func(f *function) ([]any, *problem) { return x.routeArgs(f, captures) })
}

// strayed tells a wrong path from a wrong method.
func (x *exchange) strayed(path []string) *problem {
	var allow []string
	for _, method := range []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"} {
		_, isFixed := x.g.routes.fixed.find(method, path)
		_, isNamed := x.g.routes.lookUp(method, path, x.began)
		if isFixed || isNamed || slices.ContainsFunc(x.g.set.regexps, func(r *regexpRoute) bool {
			return r.method == method && r.re.MatchString("/"+strings.Join(path, "/"))
		}) {
			allow = append(allow, method)
		}
	}
	if len(allow) == 0 {
		return notFound("")
	}
	return methodNotAllowed(strings.Join(allow, ", "), "there is a route for this path, with another method")
}

// segments takes a path apart, without cleaning it: what a proxy before the gateway has let pass must not become
// another path here.
func segments(escaped string) (path []string, ok bool) {
	rest, ok := strings.CutPrefix(escaped, "/")
	if !ok {
		return nil, false
	}
	path = strings.Split(rest, "/")
	for i, text := range path {
		text, ok := segment(text)
		if !ok || text == "." || text == ".." || text == "" && i < len(path)-1 || strings.ContainsRune(text, 0) ||
			!utf8.ValidString(text) {
			return nil, false
		}
		path[i] = text
	}
	return path, true
}
