package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"broach"
)

// Results as JSON. What the provider says of its types tells a duration from a number, and gives the fields of a struct
// the order in which they stand there.

// resultOf is the result of a call: several are a list.
func resultOf(v any, d *broach.Description) any {
	types := typesOf(d)
	list, isList := v.([]any)
	switch {
	case d == nil:
		return toJSON(v, broach.Type{Kind: "any"}, types)
	case len(d.Results) == 1:
		return toJSON(v, d.Results[0], types)
	case !isList || len(list) != len(d.Results):
		return toJSON(v, broach.Type{Kind: "any"}, types)
	}
	out := make([]any, len(list))
	for i := range list {
		out[i] = toJSON(list[i], d.Results[i], types)
	}
	return out
}

// toJSON makes of a value what encoding/json prints as it should be.
func toJSON(v any, t broach.Type, types namedTypes) any {
	t = types.resolve(t)
	for t.Kind == "pointer" {
		t = types.resolve(*t.Elem)
	}
	switch v := v.(type) {
	case time.Duration:
		return seconds(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case int64:
		if t.Kind == "duration" {
			return seconds(v)
		}
	case float32:
		return floatText(float64(v))
	case float64:
		return floatText(v)
	case []any:
		return listToJSON(v, t, types)
	case map[string]any:
		return objectToJSON(v, t, types)
	case map[any]any:
		return mapToJSON(v, t, types)
	case string:
		return strings.ToValidUTF8(v, "\uFFFD")
	}
	return plainJSON(v)
}

// plainJSON is for kinds that a function may declare and that are not seen one by one, such as []int.
func plainJSON(v any) any {
	if _, err := json.Marshal(v); err == nil {
		return v
	}
	r, anything := reflect.ValueOf(v), broach.Type{Kind: "any"}
	switch r.Kind() {
	case reflect.Map: // of keys that JSON has not, as floats
		out := make(map[string]any, r.Len())
		for key, value := range r.Seq2() {
			out[fmt.Sprint(key)] = toJSON(value.Interface(), anything, nil)
		}
		return out
	case reflect.Slice, reflect.Array: // of such maps, or of a NaN
		out := make([]any, 0, r.Len())
		for i := range r.Len() {
			out = append(out, toJSON(r.Index(i).Interface(), anything, nil))
		}
		return out
	}
	return fmt.Sprint(v)
}

func elemOf(t broach.Type) broach.Type {
	if t.Elem == nil {
		return broach.Type{Kind: "any"}
	}
	return *t.Elem
}

func listToJSON(list []any, t broach.Type, types namedTypes) any {
	out := make([]any, len(list))
	for i := range list {
		out[i] = toJSON(list[i], elemOf(t), types)
	}
	return out
}

func mapToJSON(m map[any]any, t broach.Type, types namedTypes) any {
	out := make(map[string]any, len(m))
	for key, v := range m {
		out[fmt.Sprint(key)] = toJSON(v, elemOf(t), types)
	}
	return out
}

func objectToJSON(m map[string]any, t broach.Type, types namedTypes) any {
	if t.Kind != "struct" {
		out := make(map[string]any, len(m))
		for key, v := range m {
			out[key] = toJSON(v, elemOf(t), types)
		}
		return out
	}
	var out object
	for _, f := range t.Fields {
		if v, ok := m[f.Name]; ok {
			out = append(out, member{f.Name, toJSON(v, f.Type, types)})
		}
	}
	return out
}

// object is a JSON object whose members have an order.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes them in their order.
func (o object) MarshalJSON() ([]byte, error) {
	text := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			text = append(text, ',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		text = append(append(append(text, name...), ':'), value...)
	}
	return append(text, '}'), nil
}
