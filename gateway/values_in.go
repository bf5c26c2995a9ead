package gateway

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"broach"
)

// JSON has six kinds of values, and a function of Go has twenty: what a text is to become, a time or bytes, is known
// from the function's Description alone. Where there is none, each value becomes what it looks like.

// types are those of one function, those with names among them, which others refer to.
type types map[string]*broach.Type

// collect takes up the types with names in t and what it consists of.
func (all types) collect(t *broach.Type) {
	if t == nil || t.Kind == "ref" {
		return
	}
	if t.Name != "" {
		all[t.Name] = t
	}
	all.collect(t.Elem)
	all.collect(t.Key)
	for i := range t.Fields {
		all.collect(&t.Fields[i].Type)
	}
}

// follow is the type that t stands for; nil where nothing is known of it.
func (all types) follow(t *broach.Type) *broach.Type {
	if t != nil && t.Kind == "ref" {
		return all[t.Name]
	}
	return t
}

// A misfit is a value that does not fit its type.
type misfit struct {
	path string // as in .lines[2].price
	text string
}

func (m *misfit) Error() string {
	if m.path == "" {
		return m.text
	}
	return "at " + strings.TrimPrefix(m.path, ".") + ": " + m.text
}

func within(step string, err error) error {
	var m *misfit
	if errors.As(err, &m) {
		return &misfit{step + m.path, m.text}
	}
	return &misfit{step, err.Error()}
}

// word is a value that is just a text, of a URL or a form, and may stand for any type.
type word string

// read turns a value of JSON, or a word, into one for a type.
func (all types) read(v any, t *broach.Type) (any, error) {
	t = all.follow(t)
	if t == nil || t.Kind == "any" {
		return natural(v)
	}
	if w, ok := v.(word); ok {
		return all.readWord(string(w), t)
	}
	switch t.Kind {
	case "bool":
		return readAs[bool](v, t)
	case "string":
		return readAs[string](v, t)
	case "pointer":
		if v == nil {
			return nil, nil
		}
		return all.read(v, t.Elem)
	case "slice", "array":
		return all.readList(v, t)
	case "map":
		return all.readMap(v, t)
	case "struct":
		return all.readStruct(v, t)
	}
	return readScalar(v, t)
}

func readAs[T any](v any, t *broach.Type) (any, error) {
	if x, ok := v.(T); ok {
		return x, nil
	}
	return nil, mismatch(v, t)
}

func mismatch(v any, t *broach.Type) error {
	return fmt.Errorf("%s is no %s", show(v), nameOf(t))
}

// nameOf is a type as its author calls it, with what that is.
func nameOf(t *broach.Type) string {
	if t.Name != "" && t.Name != t.Kind && t.Kind != "time" && t.Kind != "duration" {
		return t.Kind + " " + t.Name
	}
	return t.Kind
}

// show says what a value is, for an error.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return strconv.Quote(shorten(v))
	case number:
		return shorten(string(v))
	case bool:
		return strconv.FormatBool(v)
	case []any:
		return "an array"
	}
	return "an object"
}

// readScalar reads what JSON has as a number or as a text.
func readScalar(v any, t *broach.Type) (any, error) {
	switch v := v.(type) {
	case number:
		if x, err := readNumber(string(v), t); err != nil {
			return nil, fmt.Errorf("%s %w", show(v), err)
		} else if x != nil {
			return x, nil
		}
	case string:
		return readText(v, t)
	case nil:
		if t.Kind == "bytes" {
			return nil, nil
		}
	}
	return nil, mismatch(v, t)
}

// readNumber returns nil for a type that is no number.
func readNumber(text string, t *broach.Type) (any, error) {
	switch {
	case t.Kind == "float32", t.Kind == "float64":
		return float(text, t.Kind)
	case bitsOf[t.Kind] != 0:
		return integer(text, t.Kind)
	case t.Kind == "duration":
		return nil, errors.New(`is no duration: write it as a text with a unit, as in "1.5s"`)
	}
	return nil, nil
}

// readText reads a text that stands for something else.
func readText(s string, t *broach.Type) (x any, err error) {
	switch t.Kind {
	case "bytes":
		x, err = readBase64(s)
	case "time":
		x, err = time.Parse(time.RFC3339Nano, s)
		if err == nil {
			x = x.(time.Time).UTC()
		}
	case "duration":
		x, err = time.ParseDuration(s)
	default:
		if f, ok := notFinite[s]; ok && t.Kind == "float64" {
			return f, nil
		} else if ok && t.Kind == "float32" {
			return float32(f), nil
		}
		if !isNumber(s) {
			return nil, mismatch(s, t)
		}
		if x, err = readNumber(s, t); err != nil {
			return nil, fmt.Errorf("%s %w", show(s), err)
		}
		return x, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s is no %s", show(s), forms[t.Kind])
	}
	return x, nil
}

// forms are how texts for a kind look.
var forms = map[string]string{
	"bytes": "base64", "time": "time of RFC 3339, as in 2026-11-28T09:00:00Z", "duration": "duration, as in 1.5s",
}

// readBase64 takes either alphabet, padded or not.
func readBase64(s string) ([]byte, error) {
	s = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(s, "="))
	return base64.RawStdEncoding.Strict().DecodeString(s)
}

// isNumber reports whether a text is a number of JSON, and nothing else.
func isNumber(s string) bool {
	p := parser{text: s}
	if s == "" || s[0] != '-' && (s[0] < '0' || s[0] > '9') {
		return false
	}
	_, err := p.number()
	return err == nil && p.at == len(s)
}

// isBytes reports whether an array travels as bytes.
func isBytes(t *broach.Type) bool {
	return t.Kind == "bytes" || t.Kind == "array" && t.Elem != nil && t.Elem.Kind == "uint8"
}

func (all types) readList(v any, t *broach.Type) (any, error) {
	if s, ok := v.(string); ok && isBytes(t) {
		return readText(s, &broach.Type{Kind: "bytes"})
	}
	if v == nil && t.Kind == "slice" {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, mismatch(v, t)
	}
	if t.Kind == "array" && len(list) != t.Len {
		return nil, fmt.Errorf("an array of %d values is wanted, there are %d", t.Len, len(list))
	}
	for i := range list {
		x, err := all.read(list[i], t.Elem)
		if err != nil {
			return nil, within("["+strconv.Itoa(i)+"]", err)
		}
		list[i] = x
	}
	return list, nil
}

func (all types) readMap(v any, t *broach.Type) (any, error) {
	if v == nil {
		return nil, nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, mismatch(v, t)
	}
	if key := all.follow(t.Key); key != nil && key.Kind != "string" {
		return all.readKeys(m, key, t.Elem)
	}
	for key, x := range m {
		x, err := all.read(x, t.Elem)
		if err != nil {
			return nil, within("."+shorten(key), err)
		}
		m[key] = x
	}
	return m, nil
}

// readKeys reads a map whose keys are no texts.
func (all types) readKeys(m map[string]any, key, elem *broach.Type) (any, error) {
	if slices.Contains([]string{"struct", "array", "map", "slice", "bytes", "pointer"}, key.Kind) {
		return nil, fmt.Errorf("keys that are a %s cannot be said in JSON", nameOf(key))
	}
	made := make(map[any]any, len(m))
	for text, x := range m {
		k, err := all.read(word(text), key)
		if err == nil {
			x, err = all.read(x, elem)
		}
		if _, isTwice := made[k]; err == nil && isTwice {
			err = errors.New("another key is the same value")
		}
		if err != nil {
			return nil, within("."+shorten(text), err)
		}
		made[k] = x
	}
	return made, nil
}

// readStruct leaves fields out that are null: they are what they are without a value.
func (all types) readStruct(v any, t *broach.Type) (any, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, mismatch(v, t)
	}
	known := 0
	for i := range t.Fields {
		f := &t.Fields[i]
		x, isThere := m[f.Name]
		if !isThere {
			continue
		}
		known++
		if x == nil {
			delete(m, f.Name)
			known--
			continue
		}
		x, err := all.read(x, &f.Type)
		if err != nil {
			return nil, within("."+f.Name, err)
		}
		m[f.Name] = x
	}
	if known < len(m) {
		return nil, unknownField(m, t)
	}
	return m, nil
}

func unknownField(m map[string]any, t *broach.Type) error {
	var names, unknown []string
	for _, f := range t.Fields {
		names = append(names, f.Name)
	}
	for name := range m {
		if !slices.Contains(names, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return fmt.Errorf("%s has no field %q; its fields are %s", nameOf(t), shorten(unknown[0]),
		strings.Join(names, ", "))
}

// readWord reads a text that may stand for any type: lists, maps and structs are written in it as JSON.
func (all types) readWord(s string, t *broach.Type) (any, error) {
	switch {
	case t.Kind == "string":
		return s, nil
	case t.Kind == "bool":
		if b, err := strconv.ParseBool(s); err == nil {
			return b, nil
		}
		return nil, mismatch(s, t)
	case t.Kind == "pointer":
		return all.read(word(s), t.Elem)
	case !slices.Contains([]string{"slice", "array", "map", "struct"}, t.Kind):
		return readScalar(s, t)
	case isBytes(t):
		return all.readList(s, t)
	}
	v, err := parseJSON(s, nil)
	if err != nil {
		return nil, err
	}
	return all.read(v, t)
}

// natural turns a value of JSON into what it looks like, in its place.
func natural(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case number:
		x, err := v.natural()
		if err != nil {
			return nil, fmt.Errorf("%s %w", show(v), err)
		}
		return x, nil
	case word:
		return string(v), nil
	case []any:
		for i := range v {
			if v[i], err = natural(v[i]); err != nil {
				return nil, within("["+strconv.Itoa(i)+"]", err)
			}
		}
	case map[string]any:
		for key := range v {
			if v[key], err = natural(v[key]); err != nil {
				return nil, within("."+shorten(key), err)
			}
		}
	}
	return v, nil
}
