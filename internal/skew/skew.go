// Package skew finds the fields of structs that only one of two programs has, by what both say of a function: the
// description that a provider gives of it, PROTOCOL.md [TAB-10], and the same of how a caller calls it. It never fails
// because of what a stranger says: what it does not understand it does not compare.
//
// It also remembers what came of that: for each way in which a program calls a function, a Use, there is a Verdict on
// each provider. Who needs one that is not there claims it, asks, and settles it; others wait for that meanwhile. It
// asks nobody itself, and knows no calls and no clock. All that grows with functions, calls and providers has a limit,
// and what is beyond is asked again.
//
// Files: skew.go, outlines and how they differ, which is pure; uses.go, Uses and their Verdicts; kept.go, what
// providers have said of their functions, as it came.
package skew

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unique"

	"broach/internal/codec"
)

// Outline is what of a description is compared. It is not written to.
type Outline struct {
	Params   []field `msgpack:"p"`
	Results  []typ   `msgpack:"r"`
	Variadic bool    `msgpack:"v"`
}

type typ struct {
	Kind   string  `msgpack:"k"`
	Name   string  `msgpack:"n"`
	Elem   *typ    `msgpack:"e"`
	Key    *typ    `msgpack:"y"`
	Fields []field `msgpack:"f"`
}

type field struct {
	Name string `msgpack:"n"`
	Type typ    `msgpack:"t"`
}

// Of is the Outline in a description, a struct that travels as one.
func Of(description any) *Outline {
	b, err := codec.AppendValue(nil, ownMost, reflect.ValueOf(description))
	o, memory := new(Outline), int64(ownMost)
	if err == nil {
		err = codec.ReadValue(b, reflect.ValueOf(o).Elem(), &memory)
	}
	if err != nil {
		return new(Outline) // types of this program that are too large to be described
	}
	return o
}

// Read is the Outline in what a provider answered.
func Read(answer []byte) (*Outline, error) {
	o, err := codec.DecodeAs[Outline](answer)
	return &o, err
}

const (
	comparedMost = 4096 // pairs of types in two descriptions that are compared, one of which a stranger has made
	pathMost     = 300  // bytes of the way to a struct
	leadsMost    = 100  // refs and pointers to a type
	fieldsMost   = 8    // that are named of each argument or result, and side
	nameMost     = 100  // bytes of the name of one that are shown
	textMost     = 1 << 10
	ownMost      = 16 << 20
)

// Difference names the fields of structs that only a caller or a provider has. It is empty if there are none.
func Difference(here, there *Outline) string {
	c := comparison{here: typesByName{}, there: typesByName{}}
	c.here.addAll(here)
	c.there.addAll(there)
	for i := range here.Params {
		if i > 0 && i >= len(there.Params) && here.Params[i].Type.Name == here.Params[i-1].Type.Name {
			continue // one more of those that a variadic function takes
		}
		c.compare(fmt.Sprint("argument ", i+1), &here.Params[i].Type, there.param(i))
	}
	for i := range here.Results {
		if len(here.Results) == len(there.Results) {
			c.compare(fmt.Sprint("result ", i+1), &here.Results[i], &there.Results[i])
		}
	}
	text := strings.Join(c.found, "; ")
	if len(text) > textMost {
		text = strings.ToValidUTF8(text[:textMost], "") + "…"
	}
	return unique.Make(text).Value() // many providers have the same: it is held once
}

// param is the type of the i-th argument; nil if there is none.
func (d *Outline) param(i int) *typ {
	switch last := len(d.Params) - 1; {
	case d.Variadic && i >= last && last >= 0:
		return d.Params[last].Type.Elem
	case i <= last:
		return &d.Params[i].Type
	}
	return nil
}

// typesByName are the types to which a ref leads; nil for two of one name.
type typesByName map[string]*typ

func (n typesByName) addAll(d *Outline) {
	for i := range d.Params {
		n.add(&d.Params[i].Type)
	}
	for i := range d.Results {
		n.add(&d.Results[i])
	}
}

func (n typesByName) add(t *typ) {
	if t == nil {
		return
	}
	if t.Name != "" && t.Kind != "ref" && (t.Elem != nil || len(t.Fields) > 0) {
		if _, again := n[t.Name]; again {
			n[t.Name] = nil
		} else {
			n[t.Name] = t
		}
	}
	n.add(t.Key)
	n.add(t.Elem)
	for i := range t.Fields {
		n.add(&t.Fields[i].Type)
	}
}

// resolve is what a type leads to, by refs and pointers; nil if that is not known, or has no end.
func (n typesByName) resolve(t *typ) *typ {
	for range leadsMost {
		switch {
		case t == nil:
			return nil
		case t.Kind == "ref":
			t = n[t.Name]
		case t.Kind == "pointer":
			t = t.Elem
		default:
			return t
		}
	}
	return nil
}

// comparison looks for fields that only one side has.
type comparison struct {
	here, there typesByName
	seen        map[[2]*typ]bool // in the present argument or result: each pair is told of once
	steps       int
	only        [2][]string // fields, and how many more there are
	more        [2]int
	found       []string
}

// compare compares one argument or result.
func (c *comparison) compare(place string, here, there *typ) {
	c.seen, c.only, c.more = map[[2]*typ]bool{}, [2][]string{}, [2]int{}
	c.types("", here, there)
	var sides []string
	for i, who := range []string{"only the caller has ", "only the provider has "} {
		if len(c.only[i]) > 0 {
			sides = append(sides, who+strings.Join(c.only[i], ", ")+andMore(c.more[i]))
		}
	}
	if len(sides) > 0 {
		c.found = append(c.found, place+": "+strings.Join(sides, ", "))
	}
}

func andMore(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" and %d more", n)
}

func (c *comparison) types(path string, here, there *typ) {
	here, there = c.here.resolve(here), c.there.resolve(there)
	pair := [2]*typ{here, there}
	if here == nil || there == nil || c.seen[pair] || c.steps == comparedMost || len(path) > pathMost {
		return
	}
	c.seen[pair] = true
	c.steps++
	isList := func(t *typ) bool { return t.Kind == "slice" || t.Kind == "array" }
	switch {
	case here.Kind == "struct" && there.Kind == "struct":
		c.fields(path, here.Fields, there.Fields)
	case here.Kind == "map" && there.Kind == "map":
		c.types(path+"[key]", here.Key, there.Key)
		c.types(path+"[]", here.Elem, there.Elem)
	case isList(here) && isList(there):
		c.types(path+"[]", here.Elem, there.Elem)
	}
}

func (c *comparison) fields(path string, here, there []field) {
	theirs := make(map[string]*typ, len(there))
	for i := range there {
		theirs[there[i].Name] = &there[i].Type
	}
	for i := range here {
		name := here[i].Name
		if t, ok := theirs[name]; ok {
			c.types(fieldPath(path, name), &here[i].Type, t)
			delete(theirs, name)
		} else {
			c.name(0, path, name)
		}
	}
	for i := range there {
		if _, isLeft := theirs[there[i].Name]; isLeft {
			c.name(1, path, there[i].Name)
		}
	}
}

// name notes a field that only one side has.
func (c *comparison) name(side int, path, name string) {
	if len(c.only[side]) == fieldsMost {
		c.more[side]++
		return
	}
	c.only[side] = append(c.only[side], fieldPath(path, name))
}

// fieldPath is the way to a field, such as Lines[].Tax. What a stranger calls a field is shown as it can be read.
func fieldPath(path, name string) string {
	if !isWord(name) || len(name) > nameMost {
		name = fmt.Sprintf("%.*q", nameMost, name)
	}
	return strings.TrimPrefix(path+"."+name, ".")
}

// isWord reports whether a text can stand in a path as it is.
func isWord(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}
