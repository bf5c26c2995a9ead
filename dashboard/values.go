package dashboard

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"broach"
)

// Arguments come as JSON and are made into what the function takes, by its Description: exact integers, bytes in
// base64, times as RFC 3339, durations as "1.5s". Results go back the same way, as text: a browser would round a large
// integer.

const resultMost = 256 << 10 // bytes of JSON that are shown

// arguments reads a JSON array.
func arguments(d *broach.Description, text string) ([]any, error) {
	var list []any
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&list); err != nil {
		return nil, fmt.Errorf("the arguments are no JSON array: %w", err)
	}
	if dec.More() {
		return nil, fmt.Errorf("there is something after the array of arguments")
	}
	types := &typeBook{names: map[string]*broach.Type{}}
	for i := range d.Params {
		types.note(&d.Params[i].Type)
	}
	least := len(d.Params)
	if d.Variadic {
		least--
	}
	if len(list) < least || len(list) > len(d.Params) && !d.Variadic {
		return nil, fmt.Errorf("the function takes %d arguments, there are %d", len(d.Params), len(list))
	}
	for i := range list {
		t := &d.Params[min(i, len(d.Params)-1)].Type
		isStream := d.StreamsIn && i == len(d.Params)-1
		switch {
		case isStream:
			t = &broach.Type{Kind: "slice", Elem: t}
		case d.Variadic && i >= least:
			t = t.Elem
		}
		v, err := types.value(t, list[i])
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		if list[i] = v; isStream {
			list[i] = sequence(v)
		}
	}
	return list, nil
}

// sequence streams the items of a list.
func sequence(list any) iter.Seq2[any, error] {
	items, _ := list.([]any)
	return func(yield func(any, error) bool) {
		for _, v := range items {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// typeBook finds the types that others refer to by name.
type typeBook struct{ names map[string]*broach.Type }

func (b *typeBook) note(t *broach.Type) {
	if t == nil {
		return
	}
	if t.Name != "" && t.Kind != "ref" {
		b.names[t.Name] = t
	}
	b.note(t.Elem)
	b.note(t.Key)
	for i := range t.Fields {
		b.note(&t.Fields[i].Type)
	}
}

// value makes one value. JSON cannot be deeper than the decoder lets it be, so this ends, also in types that contain
// themselves.
func (b *typeBook) value(t *broach.Type, v any) (any, error) {
	if t == nil {
		return free(v), nil
	}
	switch t.Kind {
	case "bool":
		return fit[bool](v, "true or false")
	case "string":
		return fit[string](v, "a text")
	case "bytes":
		return bytesOf(v)
	case "time":
		return timeOf(v)
	case "duration":
		return durationOf(v)
	case "slice", "array":
		return b.list(t, v)
	case "map":
		return b.mapOf(t, v)
	case "struct":
		return b.structOf(t, v)
	case "pointer":
		if v == nil {
			return nil, nil
		}
		return b.value(t.Elem, v)
	case "ref":
		return b.value(b.names[t.Name], v)
	case "any":
		return free(v), nil
	}
	return number(t.Kind, v)
}

func fit[T any](v any, want string) (any, error) {
	x, ok := v.(T)
	if !ok {
		return nil, fmt.Errorf("%s is wanted", want)
	}
	return x, nil
}

func bytesOf(v any) (any, error) {
	s, ok := v.(string)
	if v == nil {
		return []byte(nil), nil
	}
	out, err := base64.StdEncoding.DecodeString(s)
	if !ok || err != nil {
		return nil, fmt.Errorf("bytes are wanted, as a text in base64")
	}
	return out, nil
}

func timeOf(v any) (any, error) {
	s, _ := v.(string)
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return nil, fmt.Errorf("a time is wanted, as in \"2026-01-31T08:00:00Z\"")
	}
	return at, nil
}

func durationOf(v any) (any, error) {
	if n, ok := v.(json.Number); ok {
		return number("int64", n)
	}
	s, _ := v.(string)
	d, err := time.ParseDuration(s)
	if err != nil {
		return nil, fmt.Errorf("a duration is wanted, as in \"1.5s\", or nanoseconds as a number")
	}
	return int64(d), nil
}

func number(kind string, v any) (any, error) {
	n, ok := v.(json.Number)
	if !ok {
		return nil, fmt.Errorf("a number is wanted, of type %s", kind)
	}
	var x any
	var err error
	switch text := n.String(); {
	case strings.HasPrefix(kind, "float"):
		x, err = strconv.ParseFloat(text, bitsOf(kind, "float"))
	case strings.HasPrefix(kind, "uint"):
		x, err = strconv.ParseUint(text, 10, bitsOf(kind, "uint"))
	default:
		x, err = strconv.ParseInt(text, 10, bitsOf(kind, "int"))
	}
	if err != nil {
		return nil, fmt.Errorf("%s is no %s", n, kind)
	}
	return x, nil
}

// bitsOf is 64 where the kind says nothing: how large an int is, its provider knows.
func bitsOf(kind, prefix string) int {
	bits, err := strconv.Atoi(strings.TrimPrefix(kind, prefix))
	if err != nil {
		return 64
	}
	return bits
}

func (b *typeBook) list(t *broach.Type, v any) (any, error) {
	if v == nil && t.Kind == "slice" {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok || t.Kind == "array" && len(list) != t.Len {
		return nil, fmt.Errorf("a list is wanted, as of %s", signatureOf(t))
	}
	for i := range list {
		x, err := b.value(t.Elem, list[i])
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		list[i] = x
	}
	return list, nil
}

// signatureOf is a type of a list as Go writes it, as far as one needs it to know how long it is.
func signatureOf(t *broach.Type) string {
	elem := "…"
	if t.Elem != nil {
		elem = cmp.Or(t.Elem.Name, t.Elem.Kind)
	}
	if t.Kind == "array" {
		return fmt.Sprintf("[%d]%s", t.Len, elem)
	}
	return "[]" + elem
}

func (b *typeBook) mapOf(t *broach.Type, v any) (any, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("an object is wanted")
	}
	out := make(map[any]any, len(m))
	for key, x := range m {
		k, err := b.key(t.Key, key)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", key, err)
		}
		if out[k], err = b.value(t.Elem, x); err != nil {
			return nil, fmt.Errorf("%q: %w", key, err)
		}
	}
	return out, nil
}

// key makes the key of a map of a text: of numbers and booleans the text is what JSON would have without quotes.
func (b *typeBook) key(t *broach.Type, text string) (any, error) {
	if t == nil || t.Kind == "string" || t.Kind == "any" {
		return text, nil
	}
	switch t.Kind {
	case "bool":
		return strconv.ParseBool(text)
	case "time", "duration":
		return b.value(t, text)
	}
	return number(t.Kind, json.Number(text))
}

func (b *typeBook) structOf(t *broach.Type, v any) (any, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("an object is wanted, of the fields of %s", t.Name)
	}
	fields := make(map[string]*broach.Type, len(t.Fields))
	for i := range t.Fields {
		fields[t.Fields[i].Name] = &t.Fields[i].Type
	}
	out := make(map[string]any, len(m))
	for name, x := range m {
		f := fields[name]
		if f == nil {
			return nil, fmt.Errorf("%s has no field %q", t.Name, name)
		}
		made, err := b.value(f, x)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = made
	}
	return out, nil
}

// free is a value of which nobody said what it is to be: integers stay exact.
func free(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return i
		}
		if u, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return u
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = free(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = free(v[k])
		}
	}
	return v
}

// textOf is a result as JSON, indented, as much of it as is shown.
func textOf(v any) (text string, isCut bool) {
	b, err := json.MarshalIndent(plain(reflect.ValueOf(v)), "", "  ")
	if err != nil {
		return fmt.Sprint(v), false
	}
	if len(b) > resultMost {
		return string(bytes.ToValidUTF8(b[:resultMost], nil)), true
	}
	return string(b), false
}

// plain makes a value that JSON can say: no number that is none, no keys that are no texts.
func plain(v reflect.Value) any {
	for v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if !v.IsValid() {
		return nil
	}
	switch x := v.Interface().(type) {
	case time.Time, []byte:
		return x
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Sprint(x)
		}
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = plain(v.Index(i))
		}
		return out
	case reflect.Map:
		out := make(map[string]any, v.Len())
		for k, x := range v.Seq2() {
			out[fmt.Sprint(plain(k))] = plain(x)
		}
		return out
	}
	return v.Interface()
}
