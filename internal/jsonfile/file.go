// Package jsonfile reads a JSON file by a table of keys. It says where the file stops being JSON, which keys are given
// twice, are unknown, or are meant to be another, and keeps secrets out of what it says.
//
// Package encoding/json takes a key in any case, takes the last of two, and passes over unknown ones without a word.
// For a configuration that is read once and obeyed for months each of these is a trap: a timeout with a slip in its
// name would leave the default in force.
//
// It never knows what a value means: that is the Config's. It opens no file, and logs nothing.
//
//	file.go     a Schema, and a File read by it: values by their paths, and the mistakes
//	json.go     where text stops being JSON, with line and column; keys that are given twice
//	nearest.go  which known key an unknown one is meant to be
package jsonfile

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"unicode/utf8"
)

// A Schema is what a kind of file may say: keys within objects, each with a value that others read.
type Schema struct {
	Keys     []Key
	IsSecret func(text string) bool // whether a text must not get into a message; nil: none
	Hides    func(path string) bool // whether nothing that stands there may; nil: nowhere
	// which known key one is meant to be that is near to none, its name in small letters; "" and nil: none
	Guess func(object, name string) string
}

// A Key is one that is known.
type Key struct {
	Path     string // dotted
	IsObject bool   // whose keys are known ones, too
}

// A Mistake is one thing wrong in a file: the key, what stands there, and what may stand there.
type Mistake struct{ Path, Value, Want string }

// A Stray is what stands under a name that is not known, and is near to no known one.
type Stray struct {
	Path string
	Raw  json.RawMessage
}

// A File is what a file says.
type File struct {
	Raw      map[string]json.RawMessage // the values of known keys by path, as the file has them
	Mistakes []Mistake
	Strays   []Stray

	schema *Schema
}

// Read reads a file. An error says where it stops being JSON; all else that is wrong is among the Mistakes.
func (s *Schema) Read(data []byte) (*File, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // some editors put a byte order mark before UTF-8
	if err := check(data); err != nil {
		return nil, err
	}
	f := &File{schema: s, Raw: make(map[string]json.RawMessage)}
	for _, path := range s.duplicateKeys(data) {
		f.Mistakes = append(f.Mistakes, Mistake{path, "given twice", "must stand once"})
	}
	f.collect("", data)
	return f, nil
}

// collect notes the values of known keys, going down into known objects, and says what is wrong with all others.
func (f *File) collect(path string, raw json.RawMessage) {
	members, ok := Decode[map[string]json.RawMessage](raw)
	if !ok {
		f.Reject(path, raw, "must be an object")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		at := f.schema.join(path, name)
		i := slices.IndexFunc(f.schema.Keys, func(k Key) bool { return k.Path == at })
		switch {
		case i < 0:
			f.unknown(path, name, members[name])
		case f.schema.Keys[i].IsObject:
			f.collect(at, members[name])
		default:
			f.Raw[at] = members[name]
		}
	}
}

// unknown refuses a key that is surely meant to be another: a program must not start without what its operator believes
// to have said.
func (f *File) unknown(object, name string, raw json.RawMessage) {
	at := f.schema.join(object, name)
	if meant := f.schema.meant(object, name); meant != "" {
		f.Mistakes = append(f.Mistakes, Mistake{at, "unknown key", "the nearest known key is " + meant})
		return
	}
	f.Strays = append(f.Strays, Stray{at, raw})
}

// Reject adds a mistake about a value.
func (f *File) Reject(path string, raw json.RawMessage, want string) {
	f.Mistakes = append(f.Mistakes, Mistake{cmp.Or(path, "the whole file"), f.Shown(path, raw), want})
}

// Shown is a value on one line, for a message. What is hidden stays out of it, and with it whatever holds a secret.
func (f *File) Shown(path string, raw json.RawMessage) string {
	if path == "" || f.schema.Hides != nil && f.schema.Hides(path) || f.HoldsSecret(raw) {
		return Hidden
	}
	var line bytes.Buffer
	_ = json.Compact(&line, raw) // raw is part of a checked file
	return Shortened(line.String())
}

// HoldsSecret reports whether a value has a text, or a name, that is a secret.
func (f *File) HoldsSecret(raw json.RawMessage) bool {
	v, _ := Decode[any](raw)
	return f.schema.holdsSecret(v)
}

func (s *Schema) holdsSecret(v any) bool {
	switch v := v.(type) {
	case string:
		return s.isSecret(v)
	case []any:
		return slices.ContainsFunc(v, s.holdsSecret)
	case map[string]any:
		for name, inner := range v {
			if s.isSecret(name) || s.holdsSecret(inner) {
				return true
			}
		}
	}
	return false
}

func (s *Schema) isSecret(text string) bool { return s.IsSecret != nil && s.IsSecret(text) }

// Hidden stands for what is not shown.
const Hidden = "(not shown)"

// Decode reads one JSON value. null is no value of any key here, while encoding/json would take it for every type.
func Decode[T any](raw json.RawMessage) (v T, ok bool) {
	ok = !bytes.Equal(raw, []byte("null")) && json.Unmarshal(raw, &v) == nil
	return v, ok
}

// Shortened keeps a long value from filling the log: it cuts it to 80 bytes.
func Shortened(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
