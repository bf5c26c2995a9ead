package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"broach"
)

var errNoText = errors.New("a name or value is not UTF-8")

// parseQuery is url.ParseQuery for texts: what is none would be changed on its way to the function.
func parseQuery(text string) (url.Values, error) {
	query, err := url.ParseQuery(text)
	for name, texts := range query {
		if !utf8.ValidString(name) || !utf8.ValidString(strings.Join(texts, "&")) {
			return nil, errNoText
		}
	}
	return query, err
}

// queryArgs reads the arguments of a GET: in their order, or as the fields of the only one.
func (x *exchange) queryArgs(f *function) ([]any, *problem) {
	positional := x.query["arg"]
	switch {
	case len(x.query) == 0:
		return []any{}, nil
	case len(positional) > 0 && len(x.query) > 1:
		return nil, invalid(f.name, "the query has either arg, for each argument, or fields of the only argument")
	case len(positional) > 0:
		args := make([]any, len(positional))
		for i, text := range positional {
			args[i] = word(text)
		}
		return args, nil
	case f.isKnown && (len(f.Params) != 1 || !f.hasFields(&f.Params[0].Type)):
		return nil, invalid(f.name, f.Signature+" takes no fields: give its arguments in order, as arg=…&arg=…")
	}
	return []any{x.fields(f, &f.Params[0].Type, x.query)}, nil
}

// hasFields reports whether the fields of a query can be a value of a type.
func (all types) hasFields(t *broach.Type) bool {
	for range depthMost {
		if t = all.follow(t); t == nil || t.Kind != "pointer" {
			break
		}
		t = t.Elem
	}
	return t != nil && slices.Contains([]string{"map", "struct", "any"}, t.Kind)
}

// fields makes an object of a query or a form. A field that is there several times is a list, as is one of which the
// type says so.
func (x *exchange) fields(f *function, t *broach.Type, query url.Values) map[string]any {
	m := make(map[string]any, len(query))
	for name, texts := range query {
		if len(texts) == 1 && !f.isListField(t, name, texts[0]) {
			m[name] = word(texts[0])
			continue
		}
		list := make([]any, len(texts))
		for i, text := range texts {
			list[i] = word(text)
		}
		m[name] = list
	}
	return m
}

// isListField reports whether a text is one element of a field that is a list, and not the whole list in JSON.
func (f *function) isListField(t *broach.Type, name, text string) bool {
	for t = f.follow(t); t != nil && t.Kind == "pointer"; {
		t = f.follow(t.Elem)
	}
	if t == nil || strings.HasPrefix(text, "[") {
		return false
	}
	field := t.Elem
	if t.Kind == "struct" {
		field = fieldOf(t, name)
	}
	field = f.follow(field)
	return field != nil && field.Kind == "slice"
}

// params reads what a request to a route says besides its path: query, form and JSON object, of which the last counts.
func (x *exchange) params(f *function, t *broach.Type) (map[string]any, *problem) {
	query, err := parseQuery(x.r.URL.RawQuery)
	if err != nil {
		return nil, invalid(f.name, "the query is malformed")
	}
	m := x.fields(f, t, query)
	media, p := x.media()
	if p != nil {
		return nil, p
	}
	text, p := x.body()
	if p != nil || text == "" {
		return m, p
	}
	switch media {
	case "application/x-www-form-urlencoded":
		return m, x.addForm(m, f, t, text)
	case "application/json":
		return m, x.addObject(m, f, text)
	}
	return nil, unsupported("a body is a form, or a JSON object with Content-Type: application/json")
}

func (x *exchange) addForm(m map[string]any, f *function, t *broach.Type, text string) *problem {
	form, err := parseQuery(text)
	if err != nil {
		return invalid(f.name, "the form is malformed")
	}
	for name, v := range x.fields(f, t, form) {
		m[name] = v
	}
	return nil
}

func (x *exchange) addObject(m map[string]any, f *function, text string) *problem {
	v, err := parseJSON(text, &x.meter)
	if err != nil {
		return x.unreadable(f.name, err)
	}
	object, ok := v.(map[string]any)
	if !ok {
		return invalid(f.name, "the body is "+show(v)+", where an object is wanted")
	}
	for name, v := range object {
		m[name] = v
	}
	return nil
}

// routeArgs are what the path has, and params, if the function takes one argument more.
func (x *exchange) routeArgs(f *function, captures []string) ([]any, *problem) {
	args := make([]any, 0, len(captures)+1)
	for _, c := range captures {
		args = append(args, word(c))
	}
	if f.isKnown && len(f.Params) <= len(captures) {
		return args, x.noParams(f)
	}
	var t *broach.Type
	if f.isKnown {
		switch t = f.param(len(captures)); {
		case f.hasFields(t):
		case f.Variadic: // nothing is missing
			return args, x.noParams(f)
		default:
			return args, nil // what is missing is an error of the call
		}
	}
	m, p := x.params(f, t)
	return append(args, any(m)), p
}

// noParams refuses a body that nobody would read.
func (x *exchange) noParams(f *function) *problem {
	if x.r.ContentLength != 0 && x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		if text, p := x.body(); p != nil || strings.TrimSpace(text) != "" {
			if p != nil {
				return p
			}
			return invalid(f.name, f.Signature+" takes nothing but what the path has: send no body")
		}
	}
	return nil
}
