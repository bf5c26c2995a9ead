package jsonfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// check reports where data stops being UTF-8, or one JSON value and nothing after it.
func check(data []byte) error {
	if at := invalidUTF8(data); at >= 0 {
		return fmt.Errorf("%s: not UTF-8", filePlace(data, at))
	}
	var whole json.RawMessage
	err := json.Unmarshal(data, &whole)
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return fmt.Errorf("%s: not JSON: %w", filePlace(data, int(syntax.Offset)-1), err)
	}
	return err
}

// invalidUTF8 returns the index of the first byte that is not UTF-8, or -1. encoding/json would replace it in silence.
func invalidUTF8(data []byte) int {
	for at := 0; at < len(data); {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return -1
}

// filePlace names the position of data[at] as editors do: from 1, columns in characters.
func filePlace(data []byte, at int) string {
	before := data[:max(at, 0)]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("line %d, column %d", line, column)
}

// keyWalk visits every object of a JSON text that check has passed, so no token can fail. It looks for keys given
// twice: encoding/json would take the last one in silence.
type keyWalk struct {
	schema *Schema
	dec    *json.Decoder
	twice  []string // paths, in the order of the file
}

func (s *Schema) duplicateKeys(data []byte) []string {
	w := keyWalk{schema: s, dec: json.NewDecoder(bytes.NewReader(data))}
	w.dec.UseNumber() // a number too large for a float64 is no error here
	w.value("")
	return w.twice
}

func (w *keyWalk) value(path string) {
	switch w.token() {
	case json.Delim('{'):
		w.object(path)
	case json.Delim('['):
		for w.dec.More() {
			w.value(path)
		}
		w.token()
	}
}

func (w *keyWalk) object(path string) {
	seen := make(map[string]int)
	for w.dec.More() {
		key, _ := w.token().(string)
		at := w.schema.join(path, key)
		if seen[key]++; seen[key] == 2 {
			w.twice = append(w.twice, at)
		}
		w.value(at)
	}
	w.token()
}

func (w *keyWalk) token() json.Token {
	token, _ := w.dec.Token()
	return token
}

// join extends a dotted path. A key that would read as something else is quoted, so that no path can be forged; a long
// path is cut at each step, so that deep nesting costs no more than its own bytes.
func (s *Schema) join(path, key string) string {
	key = Shortened(key)
	if s.isSecret(key) {
		key = Hidden
	}
	if key == "" || strings.ContainsAny(key, `."`) || strconv.Quote(key) != `"`+key+`"` {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return Shortened(path + "." + key)
}
