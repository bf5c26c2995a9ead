package gateway

import (
	"math"
	"net/http"
	"strings"

	"broach"
)

// What a function takes and returns, as JSON Schema of 2020-12. Types with names stand once, under the key that refers
// to them, so that one which leads to itself has an end.

const schemaType = "application/schema+json"

// schemas are the types of a function, by their names, under a prefix of references.
type schemas struct {
	types
	prefix string         // as in #/$defs/
	space  string         // before each name: two functions may mean two things by one
	defs   map[string]any // those that were asked for
}

func (s *schemas) of(t *broach.Type) map[string]any {
	if t == nil {
		return map[string]any{}
	}
	isNamed := t.Name != "" && (t.Kind == "struct" || t.Kind == "slice" || t.Kind == "map" || t.Kind == "array")
	if t.Kind != "ref" && !isNamed {
		return s.plain(t)
	}
	key := s.space + keyOf(t.Name)
	if _, isKnown := s.defs[key]; !isKnown {
		s.defs[key] = nil // so that what leads back here finds it
		s.defs[key] = s.plain(s.follow(t))
	}
	return map[string]any{"$ref": s.prefix + key}
}

// keyOf makes a name fit for a reference.
func keyOf(name string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && isWord(string(r)) {
			return r
		}
		return '_'
	}, name)
}

// kindSchemas are those of kinds that have nothing within.
var kindSchemas = map[string]map[string]any{
	"bool": {"type": "boolean"}, "string": {"type": "string"}, "any": {},
	"bytes":    {"type": []string{"string", "null"}, "contentEncoding": "base64"},
	"time":     {"type": "string", "format": "date-time"},
	"duration": {"type": "string", "examples": []string{"1.5s"}},
	"float32":  {"type": "number", "format": "float"}, "float64": {"type": "number", "format": "double"},
}

func (s *schemas) plain(t *broach.Type) map[string]any {
	if t == nil {
		return map[string]any{}
	}
	if bits := bitsOf[t.Kind]; bits != 0 {
		return integerSchema(t.Kind, bits)
	}
	if schema := kindSchemas[t.Kind]; schema != nil {
		return schema
	}
	switch {
	case isBytes(t):
		return map[string]any{"type": "string", "contentEncoding": "base64"}
	case t.Kind == "slice":
		return map[string]any{"type": []string{"array", "null"}, "items": s.of(t.Elem)}
	case t.Kind == "array":
		return map[string]any{"type": "array", "items": s.of(t.Elem), "minItems": t.Len, "maxItems": t.Len}
	case t.Kind == "map":
		return map[string]any{"type": []string{"object", "null"}, "additionalProperties": s.of(t.Elem)}
	case t.Kind == "pointer":
		return map[string]any{"anyOf": []any{s.of(t.Elem), map[string]any{"type": "null"}}}
	case t.Kind == "struct":
		return s.ofFields(t)
	}
	return map[string]any{}
}

// integerSchema has the range of a kind, as far as every reader of JSON can hold it.
func integerSchema(kind string, bits int) map[string]any {
	m := map[string]any{"type": "integer", "format": kind}
	switch {
	case bits > 0:
		m["minimum"] = 0
		if bits < 64 {
			m["maximum"] = uint64(math.MaxUint64) >> (64 - bits)
		}
	case bits > -64:
		m["minimum"], m["maximum"] = -(int64(1) << (-bits - 1)), int64(1)<<(-bits-1)-1
	}
	return m
}

func (s *schemas) ofFields(t *broach.Type) map[string]any {
	properties := map[string]any{}
	for i := range t.Fields {
		properties[t.Fields[i].Name] = s.of(&t.Fields[i].Type)
	}
	return map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
}

// arguments are those of a function, as the array that a POST has.
func (s *schemas) arguments(f *function) map[string]any {
	m := map[string]any{"type": "array"}
	if !f.isKnown {
		return m
	}
	items, n := []any{}, len(f.Params)
	if f.Variadic {
		n--
		m["items"] = s.of(f.Params[n].Type.Elem)
	} else {
		m["maxItems"] = n
	}
	for i := range n {
		item := s.of(&f.Params[i].Type)
		if f.StreamsIn && i == n-1 {
			item = map[string]any{"type": "array", "items": item}
		}
		if name := f.Params[i].Name; name != "" {
			item = withTitle(item, name)
		}
		items = append(items, item)
	}
	if m["minItems"] = n; n > 0 {
		m["prefixItems"] = items
	}
	return m
}

func withTitle(schema map[string]any, title string) map[string]any {
	m := map[string]any{"title": title}
	for key, v := range schema {
		m[key] = v
	}
	return m
}

// result is what a call answers.
func (s *schemas) result(f *function) map[string]any {
	switch {
	case !f.isKnown:
		return map[string]any{}
	case len(f.Results) == 0:
		return map[string]any{"type": "null"}
	case len(f.Results) == 1:
		return s.of(&f.Results[0])
	}
	items := []any{}
	for i := range f.Results {
		items = append(items, s.of(&f.Results[i]))
	}
	return map[string]any{"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
}

// schema answers with what a function takes.
func (x *exchange) schema(name string) *problem {
	f, err := x.g.functions.find(x.r.Context(), name, x.began)
	if err != nil {
		return x.problemOf(err)
	}
	s := &schemas{types: f.types, prefix: "#/$defs/", defs: map[string]any{}}
	m := s.arguments(f)
	m["$schema"], m["title"], m["description"] = "https://json-schema.org/draft/2020-12/schema", f.name, f.Doc
	m["x-result"] = s.result(f)
	m["$defs"] = s.defs
	x.w.Header().Set("Content-Type", schemaType)
	x.write(http.StatusOK, append(marshal(m), '\n'))
	return nil
}
