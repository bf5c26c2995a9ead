package function

import (
	"fmt"
	"reflect"
	"strings"

	"broach/internal/codec"
)

// Interceptors see the results of a call as one value, as Call returns them.

// Gather makes one value of results: nil if there are none, a []any if there are several.
func Gather(results []reflect.Value) any {
	switch len(results) {
	case 0:
		return nil
	case 1:
		return results[0].Interface()
	}
	all := make([]any, len(results))
	for i, v := range results {
		all[i] = v.Interface()
	}
	return all
}

// Spread makes results of these types of one value. The error names what it is and what it should be.
func Spread(v any, types []reflect.Type) ([]reflect.Value, error) {
	all := []any{v}
	if len(types) != 1 {
		all, _ = v.([]any)
	}
	if len(all) != len(types) || len(types) == 0 && v != nil {
		return nil, wrongResult(v, types)
	}
	results := make([]reflect.Value, len(types))
	for i, t := range types {
		var ok bool
		if results[i], ok = fit(all[i], t); !ok {
			return nil, wrongResult(v, types)
		}
	}
	return results, nil
}

// fit makes a settable value of type t of v, if v can be assigned to it. nil is the zero value where t has a nil, and
// of a struct{}, by which callers say that they want no result.
func fit(v any, t reflect.Type) (reflect.Value, bool) {
	x := reflect.New(t).Elem()
	if v == nil {
		return x, hasNilValue(t)
	}
	given := reflect.ValueOf(v)
	if !given.Type().AssignableTo(t) {
		return x, false
	}
	x.Set(given)
	return x, true
}

func hasNilValue(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		return true
	}
	return t == reflect.TypeFor[struct{}]()
}

// wrongResult says what an Interceptor returned, and what is wanted.
func wrongResult(v any, types []reflect.Type) error {
	return fmt.Errorf("an Interceptor returned %s, want %s", typeOfValue(v), typesOf(types))
}

// typeOfValue names the type of a value, those within it if it stands for several results.
func typeOfValue(v any) string {
	list, ok := v.([]any)
	switch {
	case v == nil:
		return "nil"
	case !ok:
		return codec.TypeName(reflect.TypeOf(v))
	}
	names := make([]string, min(len(list), codec.MaxResults))
	for i := range names {
		names[i] = "nil"
		if list[i] != nil {
			names[i] = codec.TypeName(reflect.TypeOf(list[i]))
		}
	}
	return "[]any{" + strings.Join(names, ", ") + "}"
}

// typesOf names the types of results.
func typesOf(types []reflect.Type) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = codec.TypeName(t)
	}
	switch len(types) {
	case 0:
		return "nil"
	case 1:
		return names[0]
	}
	return "[]any{" + strings.Join(names, ", ") + "}"
}
