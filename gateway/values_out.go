package gateway

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"broach"
)

// writer turns results into JSON. Their types say what a number is that stands for a time, and in which order the
// fields of a struct are; where nothing is known, the value says it.
type writer struct {
	types
	texts bool // integers of 64 bits are texts
}

// append writes v, which is of type t; nil: that is not known.
func (w *writer) append(b []byte, v any, t *broach.Type) ([]byte, error) {
	t = w.settle(t)
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case string:
		return appendText(b, v)
	case int:
		return w.appendInt(b, int64(v), t, true), nil
	case int64:
		return w.appendInt(b, v, t, true), nil
	case uint64:
		return w.appendUint(b, v, t, true), nil
	case float64:
		return appendFloat(b, v, floatBits(t, 64)), nil
	case float32:
		return appendFloat(b, float64(v), 32), nil
	case []byte:
		return append(base64.StdEncoding.AppendEncode(append(b, '"'), v), '"'), nil
	case time.Time:
		return appendTime(b, v)
	case time.Duration:
		return appendDuration(b, v), nil
	case []any:
		return w.appendList(b, v, t)
	case map[string]any:
		return w.appendFields(b, v, t)
	}
	return w.appendReflected(b, reflect.ValueOf(v), t)
}

// settle follows names and pointers.
func (w *writer) settle(t *broach.Type) *broach.Type {
	for range depthMost {
		if t = w.follow(t); t == nil || t.Kind != "pointer" {
			return t
		}
		t = t.Elem
	}
	return nil
}

func kindOf(t *broach.Type) string {
	if t == nil {
		return "any"
	}
	return t.Kind
}

func floatBits(t *broach.Type, otherwise int) int {
	if kindOf(t) == "float32" { // within a struct
		return 32
	}
	return otherwise
}

// isWide reports whether an integer has 64 bits, by its type or else by its value's.
func isWide(t *broach.Type, otherwise bool) bool {
	if bits := bitsOf[kindOf(t)]; bits != 0 {
		return bits == 64 || bits == -64
	}
	return otherwise
}

func (w *writer) appendInt(b []byte, v int64, t *broach.Type, wide bool) []byte {
	switch {
	case kindOf(t) == "duration":
		return appendDuration(b, time.Duration(v))
	case w.texts && isWide(t, wide):
		return append(strconv.AppendInt(append(b, '"'), v, 10), '"')
	}
	return strconv.AppendInt(b, v, 10)
}

func (w *writer) appendUint(b []byte, v uint64, t *broach.Type, wide bool) []byte {
	if v <= math.MaxInt64 {
		return w.appendInt(b, int64(v), t, wide)
	}
	if w.texts {
		return append(strconv.AppendUint(append(b, '"'), v, 10), '"')
	}
	return strconv.AppendUint(b, v, 10)
}

var errNotUTF8 = errors.New("a text in the result is not UTF-8, which JSON cannot hold")

func appendText(b []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return b, errNotUTF8
	}
	b = append(b, '"')
	begin := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[begin:i]...)
		begin = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(b, s[begin:]...), '"'), nil
}

const hexDigits = "0123456789abcdef"

func appendTime(b []byte, v time.Time) ([]byte, error) {
	if v = v.UTC(); v.Year() < 0 || v.Year() > 9999 {
		return b, errors.New("a time in the result is beyond the years 0 to 9999, which RFC 3339 has")
	}
	return append(v.AppendFormat(append(b, '"'), time.RFC3339Nano), '"'), nil
}

// appendDuration writes seconds.
func appendDuration(b []byte, d time.Duration) []byte {
	b = append(b, '"')
	u := uint64(d)
	if d < 0 {
		b, u = append(b, '-'), -u
	}
	b = strconv.AppendUint(b, u/1e9, 10)
	if rest := u % 1e9; rest > 0 {
		digits := strconv.AppendUint(nil, 1e9+rest, 10)
		for digits[len(digits)-1] == '0' {
			digits = digits[:len(digits)-1]
		}
		b = append(append(b, '.'), digits[1:]...)
	}
	return append(b, 's', '"')
}

func elemOf(t *broach.Type) *broach.Type {
	if t == nil {
		return nil
	}
	return t.Elem
}

func (w *writer) appendList(b []byte, list []any, t *broach.Type) (_ []byte, err error) {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = w.append(b, v, elemOf(t)); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

// appendFields writes a struct in the order of its fields, and a map by its keys.
func (w *writer) appendFields(b []byte, m map[string]any, t *broach.Type) (_ []byte, err error) {
	if kindOf(t) != "struct" {
		return w.appendSorted(b, m, func(string) *broach.Type { return elemOf(t) })
	}
	if hasMore(m, t) { // of a provider of another version: none is lost
		return w.appendSorted(b, m, func(name string) *broach.Type { return fieldOf(t, name) })
	}
	separator := byte('{')
	for i := range t.Fields {
		f := &t.Fields[i]
		v, ok := m[f.Name]
		if !ok {
			continue
		}
		if b, err = appendText(append(b, separator), f.Name); err != nil {
			return b, err
		}
		if b, err = w.append(append(b, ':'), v, &f.Type); err != nil {
			return b, err
		}
		separator = ','
	}
	if separator == '{' {
		b = append(b, '{')
	}
	return append(b, '}'), nil
}

// hasMore reports whether a value has fields that its type has not.
func hasMore(m map[string]any, t *broach.Type) bool {
	known := 0
	for i := range t.Fields {
		if _, ok := m[t.Fields[i].Name]; ok {
			known++
		}
	}
	return known < len(m)
}

// fieldOf is the type of a field, nil of one that is not known.
func fieldOf(t *broach.Type, name string) *broach.Type {
	for i := range t.Fields {
		if t.Fields[i].Name == name {
			return &t.Fields[i].Type
		}
	}
	return nil
}

func (w *writer) appendSorted(b []byte, m map[string]any, typeOf func(string) *broach.Type) (_ []byte, err error) {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	b = append(b, '{')
	for i, key := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendText(b, key); err != nil {
			return b, err
		}
		if b, err = w.append(append(b, ':'), m[key], typeOf(key)); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

// appendReflected writes the kinds that a function may declare and that have no case of their own.
func (w *writer) appendReflected(b []byte, v reflect.Value, t *broach.Type) ([]byte, error) {
	switch v.Kind() {
	case reflect.Bool, reflect.String:
		if v.Kind() == reflect.String {
			return appendText(b, v.String())
		}
		return strconv.AppendBool(b, v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return w.appendInt(b, v.Int(), t, v.Type().Bits() == 64), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return w.appendUint(b, v.Uint(), t, v.Type().Bits() == 64), nil
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
			return w.append(b, v.Bytes(), t)
		}
		return w.appendElements(b, v, t)
	case reflect.Map:
		return w.appendMap(b, v, t)
	}
	return b, fmt.Errorf("a %s in the result cannot be said in JSON", v.Type())
}

func (w *writer) appendElements(b []byte, v reflect.Value, t *broach.Type) ([]byte, error) {
	if v.Kind() == reflect.Slice && v.IsNil() {
		return append(b, "null"...), nil
	}
	if pairs, ok := v.Interface().([][2]any); ok && kindOf(t) == "map" {
		return w.appendPairs(b, pairs, t)
	}
	list := make([]any, v.Len())
	for i := range list {
		list[i] = v.Index(i).Interface()
	}
	return w.appendList(b, list, t)
}

// appendPairs writes a map whose keys are no texts nor numbers.
func (w *writer) appendPairs(b []byte, pairs [][2]any, t *broach.Type) (_ []byte, err error) {
	b = append(b, '[')
	for i, p := range pairs {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = w.append(append(b, '['), p[0], t.Key); err != nil {
			return b, err
		}
		if b, err = w.append(append(b, ','), p[1], t.Elem); err != nil {
			return b, err
		}
		b = append(b, ']')
	}
	return append(b, ']'), nil
}

// appendMap writes one whose keys are no strings: they become the texts that they would be as values.
func (w *writer) appendMap(b []byte, v reflect.Value, t *broach.Type) ([]byte, error) {
	if v.IsNil() {
		return append(b, "null"...), nil
	}
	var keyType *broach.Type
	if kindOf(t) == "map" {
		keyType = t.Key
	}
	m := make(map[string]any, v.Len())
	for it := v.MapRange(); it.Next(); {
		key, err := w.keyText(it.Key().Interface(), keyType)
		if err != nil {
			return b, err
		}
		if _, isTwice := m[key]; isTwice {
			return b, fmt.Errorf("two keys of a map in the result are %q in JSON", shorten(key))
		}
		m[key] = it.Value().Interface()
	}
	return w.appendFields(b, m, t)
}

func (w *writer) keyText(key any, t *broach.Type) (string, error) {
	if s, ok := key.(string); ok {
		return s, nil
	}
	text, err := w.append(nil, key, t)
	if len(text) > 1 && text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	return string(text), err
}
