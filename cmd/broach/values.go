package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"broach"
)

// Values between JSON and Go, by what the provider says of its types: bytes are base64, a time is RFC 3339, a duration
// is "1.5s", NaN and the infinities are texts, and integers of 64 bits are numbers.

// namedTypes are the types of a description that have a name: a "ref" leads to one of them.
type namedTypes map[string]broach.Type

func typesOf(d *broach.Description) namedTypes {
	m := namedTypes{}
	if d == nil {
		return m
	}
	for _, p := range d.Params {
		m.collect(p.Type)
	}
	for _, t := range d.Results {
		m.collect(t)
	}
	return m
}

func (m namedTypes) collect(t broach.Type) {
	if t.Name != "" && t.Kind != "ref" {
		m[t.Name] = t
	}
	for _, inner := range []*broach.Type{t.Elem, t.Key} {
		if inner != nil {
			m.collect(*inner)
		}
	}
	for _, f := range t.Fields {
		m.collect(f.Type)
	}
}

func (m namedTypes) resolve(t broach.Type) broach.Type {
	if t.Kind == "ref" {
		if named, ok := m[t.Name]; ok {
			return named
		}
		return broach.Type{Kind: "any"}
	}
	return t
}

// toValue makes of what JSON says a value that fits a type.
func toValue(v any, t broach.Type, types namedTypes) (any, error) {
	t = types.resolve(t)
	if v == nil {
		return noValue(t)
	}
	switch t.Kind {
	case "pointer":
		return toValue(v, *t.Elem, types)
	case "slice", "array":
		return toList(v, t, types)
	case "map":
		return toMap(v, t, types)
	case "struct":
		return toStruct(v, t, types)
	case "any":
		return anyValue(v)
	}
	return toScalar(v, t)
}

func noValue(t broach.Type) (any, error) {
	if slices.Contains([]string{"pointer", "slice", "map", "any", "bytes"}, t.Kind) {
		return nil, nil
	}
	return nil, fmt.Errorf("null is no %s", t.Kind)
}

func toScalar(v any, t broach.Type) (any, error) {
	text, isText := v.(string)
	number, isNumber := v.(json.Number)
	literal := text + string(number)
	switch {
	case t.Kind == "bool":
		if b, ok := v.(bool); ok {
			return b, nil
		}
	case t.Kind == "string" && isText:
		return text, nil
	case strings.HasPrefix(t.Kind, "int"), strings.HasPrefix(t.Kind, "uint"):
		if i, ok := toInteger(literal); ok {
			return i, nil
		}
	case strings.HasPrefix(t.Kind, "float"):
		if f, ok := toFloat(literal, isNumber); ok {
			return f, nil
		}
	case isText:
		return toTextual(text, t.Kind)
	}
	return nil, fmt.Errorf("%s is no %s", shown(v), t.Kind)
}

// toTextual makes what JSON has only texts for.
func toTextual(text, kind string) (any, error) {
	switch kind {
	case "bytes":
		plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
		b, err := base64.RawStdEncoding.DecodeString(plain)
		if err != nil {
			return nil, fmt.Errorf("%s is no bytes: they are written in base64", shown(text))
		}
		return b, nil
	case "time":
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return nil, fmt.Errorf("%s is no time: it is written as 2006-01-02T15:04:05Z", shown(text))
		}
		return at, nil
	case "duration":
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, fmt.Errorf("%s is no duration: it is written as 1.5s", shown(text))
		}
		return d, nil
	}
	return nil, fmt.Errorf("%s is no %s", shown(text), kind)
}

// maxExponent keeps 1e1000000000 from being computed.
const maxExponent = 40

// toInteger takes any notation that is exact.
func toInteger(literal string) (any, bool) {
	if i, err := strconv.ParseInt(literal, 10, 64); err == nil {
		return i, true
	}
	if u, err := strconv.ParseUint(literal, 10, 64); err == nil {
		return u, true
	}
	if _, exponent, ok := strings.Cut(strings.ToLower(literal), "e"); ok {
		if e, err := strconv.Atoi(exponent); err != nil || e > maxExponent || e < -maxExponent {
			return nil, false
		}
	}
	r, ok := new(big.Rat).SetString(literal)
	if !ok || !r.IsInt() || !json.Valid([]byte(literal)) {
		return nil, false
	}
	switch {
	case r.Num().IsInt64():
		return r.Num().Int64(), true
	case r.Num().IsUint64():
		return r.Num().Uint64(), true
	}
	return nil, false
}

func toFloat(literal string, isNumber bool) (float64, bool) {
	if !isNumber && !slices.Contains([]string{"NaN", "Infinity", "-Infinity"}, literal) {
		return 0, false
	}
	f, err := strconv.ParseFloat(literal, 64)
	return f, err == nil
}

func toList(v any, t broach.Type, types namedTypes) (any, error) {
	list, ok := v.([]any)
	if !ok || t.Kind == "array" && len(list) != t.Len {
		return nil, fmt.Errorf("%s is no list%s", shown(v), ofLength(t))
	}
	values := make([]any, len(list))
	for i := range list {
		var err error
		if values[i], err = toValue(list[i], *t.Elem, types); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return values, nil
}

func ofLength(t broach.Type) string {
	if t.Kind == "array" {
		return fmt.Sprintf(" of %d", t.Len)
	}
	return ""
}

func toMap(v any, t broach.Type, types namedTypes) (any, error) {
	object, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s is no object", shown(v))
	}
	values := make(map[any]any, len(object))
	for name, inner := range object {
		key, err := argument(name, *t.Key, types)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", quoted(name), err)
		}
		if key != nil && !reflect.TypeOf(key).Comparable() {
			return nil, fmt.Errorf("key %s: maps whose keys are lists or objects can not be sent", quoted(name))
		}
		if _, isTwice := values[key]; isTwice { // as 1 and 1e0
			return nil, fmt.Errorf("the key %s is there twice", quoted(name))
		}
		if values[key], err = toValue(inner, *t.Elem, types); err != nil {
			return nil, fmt.Errorf("[%s]: %w", quoted(name), err)
		}
	}
	return values, nil
}

func toStruct(v any, t broach.Type, types namedTypes) (any, error) {
	object, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s is no object", shown(v))
	}
	values := make(map[string]any, len(object))
	for name, inner := range object {
		at := slices.IndexFunc(t.Fields, func(f broach.Field) bool { return f.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("there is no field %s: %s has %s", quoted(name), t.Name, fieldNames(t))
		}
		var err error
		if values[name], err = toValue(inner, t.Fields[at].Type, types); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return values, nil
}

func fieldNames(t broach.Type) string {
	names := make([]string, len(t.Fields))
	for i, f := range t.Fields {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}

// anyValue is what JSON says, without a type to go by.
func anyValue(v any) (_ any, err error) {
	switch v := v.(type) {
	case json.Number:
		if strings.ContainsAny(string(v), ".eE") {
			f, err := v.Float64()
			if err != nil {
				return nil, fmt.Errorf("%s is larger than a float may be", v)
			}
			return f, nil
		}
		i, ok := toInteger(string(v))
		if !ok {
			return nil, fmt.Errorf("%s is larger than an integer may be: a float is written with a point", v)
		}
		return i, nil
	case []any:
		for i := range v {
			if v[i], err = anyValue(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for key := range v {
			if v[key], err = anyValue(v[key]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// shown is a value in a message.
func shown(v any) string {
	text, err := marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if len(text) > 60 {
		text = strings.ToValidUTF8(text[:60], "") + "…"
	}
	return text
}

// floatText is a number as JSON can have it.
func floatText(f float64) any {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return f
}
