package skew

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"broach/internal/codec"

	"github.com/stretchr/testify/require"
)

// Some types, as descriptions have them.
func kind(k string) typ { return typ{Kind: k, Name: k} }
func structOf(name string, fields ...field) typ {
	return typ{Kind: "struct", Name: name, Fields: fields}
}
func ref(name string) typ       { return typ{Kind: "ref", Name: name} }
func of(k string, elem typ) typ { return typ{Kind: k, Elem: &elem} }
func mapOf(key, elem typ) typ   { return typ{Kind: "map", Key: &key, Elem: &elem} }

// with are fields: a name without a type is an int.
func with(list ...any) (fields []field) {
	for i := 0; i < len(list); i++ {
		f := field{list[i].(string), kind("int")}
		if i+1 < len(list) {
			if t, ok := list[i+1].(typ); ok {
				f.Type = t
				i++
			}
		}
		fields = append(fields, f)
	}
	return fields
}

func TestDifference(t *testing.T) {
	old, new := structOf("order", with("id", "note")...), structOf("order", with("id", "remark")...)
	const differ = "only the caller has note, only the provider has remark"
	at := func(path string) string {
		return fmt.Sprintf("argument 1: only the caller has %snote, only the provider has %sremark", path, path)
	}
	for _, c := range []struct {
		name        string
		here, there typ
		want        string
	}{
		{"the same", old, old, ""},
		{"another name of the type", structOf("a", with("id")...), structOf("b", with("id")...), ""},
		{"a field renamed", old, new, at("")},
		{"a field more here", structOf("o", with("id", "tax")...), structOf("o", with("id")...),
			"argument 1: only the caller has tax"},
		{"a field more there", structOf("o", with("id")...), structOf("o", with("id", "tax")...),
			"argument 1: only the provider has tax"},
		{"in a slice", of("slice", old), of("slice", new), at("[].")},
		{"in an array and a slice", of("array", old), of("slice", new), at("[].")},
		{"behind a pointer of one side", of("pointer", old), new, at("")},
		{"in the values of a map", mapOf(kind("string"), old), mapOf(kind("string"), new), at("[].")},
		{"in the keys of a map", mapOf(old, kind("int")), mapOf(new, kind("int")), at("[key].")},
		{"nested", structOf("p", with("lines", of("slice", of("pointer", old)))...),
			structOf("p", with("lines", of("slice", of("pointer", new)))...), at("lines[].")},
		{"twice, told once", structOf("p", with("a", old, "b", ref("order"))...),
			structOf("p", with("a", new, "b", ref("order"))...), at("a.")},
		{"by a ref of one side", structOf("p", with("a", old, "b", old)...),
			structOf("p", with("a", kind("any"), "b", new)...), at("b.")},
		{"a list of itself", structOf("l", with("next", of("pointer", ref("l")), "x")...),
			structOf("l", with("next", of("pointer", ref("l")))...), "argument 1: only the caller has x"},
		{"a map where the other has a struct", mapOf(kind("string"), kind("any")), old, ""},
		{"any where the other has a struct", kind("any"), old, ""},
		{"a number where the other has a struct", kind("int"), old, ""},
		{"names that are not for logs", structOf("o"), structOf("o", with("a\nb", strings.Repeat("x", 1000))...),
			`argument 1: only the provider has "a\nb", "` + strings.Repeat("x", nameMost) + `"`},
		{"many", structOf("o"), structOf("o", with("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")...),
			"argument 1: only the provider has a, b, c, d, e, f, g, h and 2 more"},
	} {
		here, there := Outline{Params: []field{{Type: c.here}}}, Outline{Params: []field{{Type: c.there}}}
		require.Equal(t, c.want, Difference(&here, &there), c.name)
		here, there = Outline{Results: []typ{c.here}}, Outline{Results: []typ{c.there}}
		require.Equal(t, strings.Replace(c.want, "argument", "result", 1), Difference(&here, &there), c.name)
	}
	here := Outline{Params: []field{{Type: kind("int")}, {Type: old}}, Results: []typ{old}}
	there := Outline{Params: []field{{Type: kind("int")}, {Type: new}}, Results: []typ{new}}
	require.Equal(t, "argument 2: "+differ+"; result 1: "+differ, Difference(&here, &there))
	there.Results = append(there.Results, kind("int"))
	require.Equal(t, "argument 2: "+differ, Difference(&here, &there), "the call will tell of two results")
}

// All arguments that stand for the last parameter are compared with its elements, and equal ones are told of once.
func TestDifferenceOfAVariadicFunction(t *testing.T) {
	here := func(types ...typ) (o Outline) {
		for _, t := range types {
			o.Params = append(o.Params, field{Type: t})
		}
		return o
	}
	old, other := structOf("order", with("id", "note")...), structOf("other", with("x")...)
	there := Outline{Variadic: true,
		Params: []field{{Type: kind("int")}, {Type: of("slice", structOf("order", with("id")...))}}}
	for want, o := range map[string]Outline{
		"":                                      here(kind("int")),
		"argument 2: only the caller has note":  here(kind("int"), old),
		"argument 2: only the caller has note ": here(kind("int"), old, ref("order"), ref("order")),
		"argument 2: only the caller has note; argument 3: only the caller has x, " +
			"only the provider has id": here(
			kind("int"), old, other),
	} {
		require.Equal(t, strings.TrimSpace(want), Difference(&o, &there))
	}
	there.Variadic = false
	o := here(kind("int"), kind("int"), old)
	require.Empty(t, Difference(&o, &there), "a call with too many arguments will be told so")
}

// Two types of one name cannot be told apart behind a ref: what it leads to is not compared.
func TestNamesOfTwoTypes(t *testing.T) {
	here := Outline{Params: []field{{Type: structOf("o", with("a")...)}, {Type: ref("o")}}}
	there := Outline{Params: []field{{Type: structOf("o", with("a")...)}, {Type: structOf("p",
		with("x", structOf("o", with("b")...))...)}}}
	there.Params = append(there.Params, field{Type: ref("o")})
	here.Params = append(here.Params, field{Type: structOf("q", with("c")...)})
	require.Equal(t, "argument 2: only the caller has a, only the provider has x", Difference(&here, &there))
}

// What a stranger describes costs little to compare, and little to tell of.
func TestHostileDescriptions(t *testing.T) {
	own := structOf("n", with("next", of("pointer", ref("n")), "x")...)
	chain := kind("any")
	for range 400 {
		chain = structOf("", with("next", chain)...)
	}
	wide := make([]field, 0, 10_000)
	for i := range cap(wide) {
		wide = append(wide, field{fmt.Sprint(strings.Repeat("ü", 200), i), ref("wide")})
	}
	loop := typ{Kind: "pointer", Name: "loop", Elem: &typ{Kind: "ref", Name: "loop"}}
	for name, there := range map[string]typ{
		"a long chain":         chain,
		"many long names":      structOf("wide", wide...),
		"a pointer to itself":  loop,
		"a ref to nothing":     ref("nobody"),
		"a slice of nothing":   {Kind: "slice"},
		"a map of nothing":     {Kind: "map"},
		"a pointer to nothing": {Kind: "pointer"},
		"nothing":              {},
		"no name for a field":  structOf("n", with("", "")...),
		"a ref within":         structOf("n", with("next", structOf("a", with("next", ref("n"), "y")...))...),
	} {
		here := Outline{Params: []field{{Type: own}}}
		started := time.Now()
		text := Difference(&here, &Outline{Params: []field{{Type: there}}, Variadic: true})
		text += Difference(&here, &Outline{Params: []field{{Type: there}}})
		require.Empty(t, Difference(&here, new(Outline)), "no parameters")
		require.LessOrEqual(t, len(text), 2*(textMost+3), name)
		require.Less(t, time.Since(started), time.Second, name)
	}
}

func FuzzDifference(f *testing.F) {
	example := Outline{Params: []field{{Type: structOf("a", with("b")...)}}}
	b, err := codec.AppendValue([]byte{1, 1}, 1<<20, reflect.ValueOf(example))
	require.NoError(f, err)
	f.Add(b)
	own := Of(Outline{Params: []field{{Type: structOf("n", with("next", of("pointer", ref("n")), "x")...)}}})
	f.Fuzz(func(t *testing.T, b []byte) {
		if theirs, err := Read(b); err == nil {
			require.LessOrEqual(t, len(Difference(own, theirs)), textMost+3)
		}
	})
}
