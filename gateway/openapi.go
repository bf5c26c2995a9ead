package gateway

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"broach"
)

// document is the last one of /openapi.json that was made. It is made anew when somebody asks and the cluster has
// changed, or, since nobody tells of functions of the own node, a second has passed.
type document struct {
	mu      sync.Mutex // held while one is made: who else asks waits for it
	text    []byte
	madeAt  time.Time
	expired bool
	stale   sync.Mutex // guards expired
}

// documentMost is how long making one may take: what is not described by then is said without its types.
const documentMost = 5 * time.Second

func (d *document) expire() {
	d.stale.Lock()
	defer d.stale.Unlock()
	d.expired = true
}

// renews reports whether the document must be made anew, and has it be fresh.
func (d *document) renews(now time.Time) bool {
	d.stale.Lock()
	defer d.stale.Unlock()
	isOld := d.text == nil || d.expired || now.Sub(d.madeAt) > describedFor
	d.expired = false
	return isOld
}

// list answers with the functions that can be called by name.
func (x *exchange) list() *problem {
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		return methodNotAllowed("GET, HEAD", "the list of functions is asked for by GET")
	}
	list := []any{}
	for _, s := range x.g.exposedServices() {
		m := map[string]any{"name": s.Name, "signature": s.Signature, "doc": s.Doc, "providers": len(s.Providers)}
		if x.g.set.showNodes {
			m["nodes"] = s.Providers
		}
		list = append(list, m)
	}
	x.answer(http.StatusOK, append(marshal(list), '\n'))
	return nil
}

// exposedServices are the functions that can be called by name, each with one of its signatures.
func (g *Gateway) exposedServices() (list []broach.Service) {
	for _, s := range g.node.Services() {
		if g.set.exposes(s.Name) && (len(list) == 0 || list[len(list)-1].Name != s.Name) {
			list = append(list, s)
		}
	}
	return list
}

// description answers with all that can be called, as OpenAPI.
func (x *exchange) description() *problem {
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		return methodNotAllowed("GET, HEAD", "the document is asked for by GET")
	}
	d := &x.g.openAPI
	d.mu.Lock()
	if d.renews(x.began) {
		d.text, d.madeAt = append(marshal(x.g.makeDocument()), '\n'), time.Now()
	}
	text := d.text
	d.mu.Unlock()
	x.answer(http.StatusOK, text)
	return nil
}

// An author writes the document.
type author struct {
	g      *Gateway
	ctx    context.Context
	paths  map[string]any
	defs   map[string]any
	shapes map[string]*route // the first of those that differ by names and methods
}

func (g *Gateway) makeDocument() map[string]any {
	ctx, cancel := context.WithTimeout(g.ctx, documentMost)
	defer cancel()
	a := &author{g, ctx, map[string]any{}, map[string]any{"Problem": problemSchema}, map[string]*route{}}
	for _, s := range g.exposedServices() {
		a.function(s)
	}
	for _, r := range g.allRoutes() {
		a.route(r)
	}
	if len(g.set.publish)+len(g.set.subscribe) > 0 {
		a.events()
	}
	return map[string]any{"openapi": "3.1.0", "info": map[string]any{"title": "broach", "version": "1"},
		"paths": a.paths, "components": map[string]any{"schemas": a.defs}}
}

var problemSchema = map[string]any{"type": "object", "properties": map[string]any{
	"type": map[string]any{"type": "string"}, "title": map[string]any{"type": "string"},
	"status": map[string]any{"type": "integer"}, "detail": map[string]any{"type": "string"},
	"instance": map[string]any{"type": "string"}, "request_id": map[string]any{"type": "string"},
	"code": map[string]any{"type": "string"}, "service": map[string]any{"type": "string"},
	"executed": map[string]any{"enum": []string{"yes", "no", "maybe"}},
}}

// described is a function as a provider says, or as much as is known.
func (a *author) described(name string) *function {
	f, err := a.g.functions.find(a.ctx, name, time.Now())
	if err != nil {
		return &function{name: name}
	}
	return f
}

func (a *author) schemas(f *function) *schemas {
	return &schemas{types: f.types, prefix: "#/components/schemas/", space: keyOf(f.name) + ".", defs: a.defs}
}

func (a *author) function(service broach.Service) {
	f := a.described(service.Name)
	s := a.schemas(f)
	post := a.operation("call "+f.name, f, s)
	post["requestBody"] = body("application/json", s.arguments(f))
	item := map[string]any{"post": post}
	if f.Idempotent {
		get := a.operation("get "+f.name, f, s)
		get["parameters"] = []any{map[string]any{"name": "arg", "in": "query", "explode": true,
			"schema": map[string]any{"type": "array", "items": map[string]any{}}}}
		item["get"] = get
	}
	a.paths["/rpc/"+url.PathEscape(f.name)] = item
}

func (a *author) operation(id string, f *function, s *schemas) map[string]any {
	return map[string]any{"operationId": id, "summary": f.Doc, "responses": map[string]any{
		"200": map[string]any{"description": "what the function returned",
			"content": content(mediaOf(f), s.result(f))},
		"default": map[string]any{"description": "why it did not", "content": problemContent},
	}}
}

// mediaOf is what a function's answers are.
func mediaOf(f *function) string {
	if f.StreamsOut {
		return ndjsonType
	}
	return jsonType[0]
}

var problemContent = content("application/problem+json", map[string]any{"$ref": "#/components/schemas/Problem"})

func content(media string, schema map[string]any) map[string]any {
	return map[string]any{media: map[string]any{"schema": schema}}
}

func body(media string, schema map[string]any) map[string]any {
	return map[string]any{"content": content(media, schema)}
}

// allRoutes are those of options and of names, each shape once.
func (g *Gateway) allRoutes() (list []*route) {
	t := &g.routes
	t.mu.RLock()
	named := t.named
	t.mu.RUnlock()
	seen := map[string]bool{}
	for _, routes := range []table{t.fixed, named} {
		for _, rs := range routes {
			for _, r := range rs {
				if !seen[r.shape()] && methodsOfOpenAPI[r.method] {
					seen[r.shape()] = true
					list = append(list, r)
				}
			}
		}
	}
	slices.SortFunc(list, func(a, b *route) int { return strings.Compare(a.text, b.text) })
	return list
}

var methodsOfOpenAPI = map[string]bool{"GET": true, "PUT": true, "POST": true, "DELETE": true, "OPTIONS": true,
	"HEAD": true, "PATCH": true, "TRACE": true}

func (a *author) route(r *route) {
	f := a.described(r.service)
	s := a.schemas(f)
	o := a.operation(r.text, f, s)
	path, names := a.template(r)
	parameters := []any{}
	for i, name := range names {
		schema := map[string]any{}
		if i < len(f.Params) {
			schema = s.of(f.param(i))
		}
		parameters = append(parameters, map[string]any{"name": name, "in": "path", "required": true, "schema": schema})
	}
	if hasBody := r.method != "GET" && r.method != "HEAD"; f.isKnown && len(f.Params) > len(names) {
		t := f.param(len(names))
		if hasBody {
			o["requestBody"] = body("application/json", s.of(t))
		} else {
			parameters = append(parameters, a.queryOf(f, s, t)...)
		}
	}
	o["parameters"] = parameters
	item, _ := a.paths[path].(map[string]any)
	if item == nil {
		item = map[string]any{}
	}
	item[strings.ToLower(r.method)] = o
	a.paths[path] = item
}

func (a *author) queryOf(f *function, s *schemas, t *broach.Type) (list []any) {
	if t = f.follow(t); t == nil || t.Kind != "struct" {
		return nil
	}
	for i := range t.Fields {
		list = append(list, map[string]any{"name": t.Fields[i].Name, "in": "query", "schema": s.of(&t.Fields[i].Type)})
	}
	return list
}

// template is the path as OpenAPI writes it, with the names in it: those of the first route that has that path, for two
// that differ by nothing else are no two paths to OpenAPI.
func (a *author) template(r *route) (path string, names []string) {
	_, shape, _ := strings.Cut(r.shape(), "/")
	if first := a.shapes[shape]; first != nil {
		r = first
	}
	a.shapes[shape] = r
	return r.template()
}

func (r *route) template() (path string, names []string) {
	for _, p := range r.segments {
		switch {
		case p.isNamed:
			path += "/{" + p.text + "}"
			names = append(names, p.text)
		case p.isRest || p.isLast:
			path += "/"
		default:
			path += "/" + p.text
		}
	}
	return path, names
}

func (a *author) events() {
	topic := []any{map[string]any{"name": "topic", "in": "path", "required": true,
		"schema": map[string]any{"type": "string"}}}
	responses := func(text, media string) map[string]any {
		return map[string]any{"200": map[string]any{"description": text, "content": content(media, map[string]any{})},
			"default": map[string]any{"description": "why not", "content": problemContent}}
	}
	a.paths["/events/{topic}"] = map[string]any{
		"get": map[string]any{"parameters": topic, "responses": responses("events, as they come", "text/event-stream")},
		"post": map[string]any{"parameters": topic, "requestBody": body(jsonType[0], map[string]any{}),
			"responses": responses("who got the event", jsonType[0])},
	}
}
