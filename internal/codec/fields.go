package codec

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"
)

// A field is one exported field of a struct or of a struct embedded in it.
type field struct {
	name      string
	typ       reflect.Type
	plan      *Plan
	index     []int // the way down through embedded structs
	isTagged  bool  // the name comes from a tag
	omitEmpty bool
}

// fieldsOf returns the fields of a struct type, and what is lost for want of a place among them. As in encoding/json,
// those of embedded structs count as its own unless a tag names them; of equal names the least deep one is taken, then
// the tagged one. Of two that are equal in that, too, none can be.
func fieldsOf(t reflect.Type) ([]field, error) {
	var all []field
	var lost error
	seen, taken := map[reflect.Type]bool{}, map[string]bool{}
	for level := []field{{typ: t}}; len(level) > 0; {
		var found, deeper []field
		for _, f := range level {
			if !seen[f.typ] {
				found, deeper = f.scan(found, deeper, &lost)
			}
		}
		for _, f := range level {
			seen[f.typ] = true
		}
		all = append(all, dominant(found, taken, &lost)...)
		level = deeper
	}
	sort.Slice(all, func(i, j int) bool { return slices.Compare(all[i].index, all[j].index) < 0 })
	return all, lost
}

// scan adds the fields of the struct f, and the structs embedded in it, to what was found.
func (f field) scan(found, deeper []field, lost *error) (_, _ []field) {
	for i := range f.typ.NumField() {
		sf := f.typ.Field(i)
		c := field{name: sf.Name, typ: sf.Type, index: append(slices.Clip(f.index), i)}
		if skip := c.readTag(sf.Tag); skip {
			continue
		}
		if inner, ok := embedded(sf); ok && !c.isTagged {
			c.typ = inner
			deeper = append(deeper, c)
		} else if sf.IsExported() {
			found = append(found, c)
		}
		*lost = cmp.Or(*lost, lostWithin(sf, c.isTagged))
	}
	return found, deeper
}

// embedded returns the struct type that sf embeds.
func embedded(sf reflect.StructField) (reflect.Type, bool) {
	t := sf.Type
	if t.Kind() == reflect.Pointer && sf.IsExported() {
		t = t.Elem()
	}
	return t, sf.Anonymous && t.Kind() == reflect.Struct && t != timeType && ownEncode(t) == nil && ownDecode(t) == nil
}

// readTag takes the name and options from the msgpack tag, or from the json tag where there is none.
func (f *field) readTag(tag reflect.StructTag) (skip bool) {
	text := cmp.Or(tag.Get("msgpack"), tag.Get("json"))
	name, options, _ := strings.Cut(text, ",")
	if name != "" {
		f.name, f.isTagged = name, true
	}
	f.omitEmpty = slices.Contains(strings.Split(options, ","), "omitempty")
	return text == "-"
}

// dominant returns, of the fields of one level, those which win their name.
func dominant(found []field, taken map[string]bool, lost *error) (won []field) {
	sort.Slice(found, func(i, j int) bool {
		a, b := &found[i], &found[j]
		return a.name < b.name || a.name == b.name && a.rank() < b.rank()
	})
	for len(found) > 0 {
		f, n := found[0], 1
		for n < len(found) && found[n].name == f.name {
			n++
		}
		isSole := n == 1 || f.rank() < found[1].rank()
		switch {
		case isSole && !taken[f.name]:
			won = append(won, f)
		case !taken[f.name]:
			*lost = cmp.Or(*lost, fmt.Errorf(
				"%d fields have the name %s, so that none of them would be sent", n, f.name))
		}
		taken[f.name] = true
		found = found[n:]
	}
	return won
}

// rank orders fields of one name and level: a tagged one comes first.
func (f field) rank() int {
	if f.isTagged {
		return 0
	}
	return 1
}
