package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"broach"
)

// Arguments on the command line: each is JSON if it parses, else text. What a function is known to take decides where
// that leaves a choice: 42 for a string is the text 42.

// negativeMark stands before an argument that is a negative number, until the flags are parsed: -1 is no flag.
const negativeMark = "\ufdd0"

var negative = regexp.MustCompile(`^-(\.?[0-9]|Infinity$)`)

// guardNegatives marks them. What follows a flag that takes a value is that, and behind -- nothing is a flag.
func guardNegatives(root *cobra.Command, args []string) []string {
	c, _, err := root.Find(args)
	if err != nil {
		c = root
	}
	guarded := slices.Clone(args)
	for i, arg := range args {
		switch {
		case arg == "--":
			return guarded
		case negative.MatchString(arg) && (i == 0 || !takesValue(c, args[i-1])):
			guarded[i] = negativeMark + arg
		}
	}
	return guarded
}

// takesValue reports whether a text is a flag of which the value comes next.
func takesValue(c *cobra.Command, text string) bool {
	if name, isLong := strings.CutPrefix(text, "--"); isLong {
		f := c.Flag(name)
		return f != nil && f.NoOptDefVal == ""
	}
	if len(text) < 2 || text[0] != '-' {
		return false
	}
	last := text[len(text)-1:] // of -vc
	f := c.Flags().ShorthandLookup(last)
	if f == nil {
		f = c.InheritedFlags().ShorthandLookup(last)
	}
	return f != nil && f.NoOptDefVal == ""
}

func unguarded(arg string) string { return strings.TrimPrefix(arg, negativeMark) }

// readArgs makes values of the arguments of a call. d is what the function takes; nil: that is not known.
func (a *app) readArgs(list []string, d *broach.Description) ([]any, error) {
	fixed, isStream := splitStream(len(list), d)
	if n := len(list); isStream && n == fixed+1 && list[fixed] == "-" {
		values, err := a.readArgs(list[:fixed], withoutStream(d))
		if err != nil {
			return nil, err
		}
		return append(values, itemsIn(a.in, d.Params[fixed].Type, typesOf(d))), nil
	}
	if len(list) == 1 && list[0] == "-" {
		return a.readStdin(d)
	}
	if err := fitsCount(len(list), d); err != nil {
		return nil, err
	}
	values := make([]any, len(list))
	for i, text := range list {
		v, err := argument(unguarded(text), paramType(d, i), typesOf(d))
		if err != nil {
			return nil, usagef("argument %d%s: %w", i+1, ofFunction(d), err)
		}
		values[i] = v
	}
	return streamed(values, d), nil
}

// withoutStream is a description without the sequence that the function takes.
func withoutStream(d *broach.Description) *broach.Description {
	plain := *d
	plain.StreamsIn, plain.Params = false, d.Params[:len(d.Params)-1]
	return &plain
}

// readStdin takes all arguments as one JSON array.
func (a *app) readStdin(d *broach.Description) ([]any, error) {
	text, err := io.ReadAll(a.in)
	if err != nil {
		return nil, err
	}
	v, err := parseJSON(string(text))
	list, isArray := v.([]any)
	if err == nil && !isArray {
		err = errors.New("it is no array")
	}
	if err != nil {
		return nil, usagef("standard input: %w: it must be one JSON array, the arguments of the call", err)
	}
	return toValues(list, d)
}

// toValues makes values of what JSON says.
func toValues(list []any, d *broach.Description) (values []any, err error) {
	if err := fitsCount(len(list), d); err != nil {
		return nil, err
	}
	for i := range list {
		if list[i], err = toValue(list[i], paramType(d, i), typesOf(d)); err != nil {
			return nil, usagef("argument %d%s: %w", i+1, ofFunction(d), err)
		}
	}
	return streamed(list, d), nil
}

// fitsCount refuses a wrong number of arguments before anything is sent.
func fitsCount(n int, d *broach.Description) error {
	if d == nil || n == len(d.Params) || (d.Variadic || d.StreamsIn) && n >= len(d.Params)-1 {
		return nil
	}
	return usagef("%d arguments for %s", n, d.Signature)
}

// paramType is the type of the i-th argument.
func paramType(d *broach.Description, i int) broach.Type {
	if d == nil {
		return broach.Type{Kind: "any"}
	}
	last := len(d.Params) - 1
	switch {
	case d.Variadic && i >= last && d.Params[last].Type.Elem != nil:
		return *d.Params[last].Type.Elem
	case d.StreamsIn && i >= last:
		return d.Params[last].Type
	}
	return d.Params[i].Type
}

func ofFunction(d *broach.Description) string {
	if d == nil {
		return ""
	}
	return " of " + d.Signature
}

// argument makes a value of one argument.
func argument(text string, t broach.Type, types namedTypes) (any, error) {
	v, err := parseJSON(text)
	isText := types.resolve(t).Kind == "string"
	if _, isString := v.(string); isText && (err != nil || !isString) {
		return text, nil
	}
	if err != nil {
		if text != "" && strings.ContainsRune(`{["`, rune(text[0])) {
			return nil, fmt.Errorf("%s is almost JSON: %w%s", quoted(text), err, jsonHint(text))
		}
		v = text
	}
	return toValue(v, t, types)
}

// parseJSON is strict: one document, with numbers as they were written. It refuses what encoding/json changes without a
// word: what is not UTF-8 and half of a surrogate pair become another character, and of a key that is there twice the
// last counts.
func parseJSON(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	var whole json.RawMessage // finds what is malformed, or nests without end
	if err := d.Decode(&whole); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more behind the value")
	}
	if !utf8.ValidString(text) {
		return nil, errors.New("it is not UTF-8")
	}
	for _, escape := range surrogates.FindAllStringSubmatchIndex(text, -1) {
		if isHalf := escape[2] >= 0; isHalf {
			return nil, errors.New("half of a surrogate pair is no character")
		}
	}
	d = json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	return nextValue(d)
}

// surrogates are escapes: of both halves of a pair, of one half, which is the group, and all others.
var surrogates = regexp.MustCompile(`(?i)\\(?:ud[89ab]..\\ud[c-f]..|(ud[89a-f]..)|.)`)

// nextValue reads a value of a document that is known to be well-formed.
func nextValue(d *json.Decoder) (v any, err error) {
	switch v, err = d.Token(); v {
	case json.Delim('['):
		list := []any{}
		for d.More() && err == nil {
			v, err = nextValue(d)
			list = append(list, v)
		}
		v = list
	case json.Delim('{'):
		object := map[string]any{}
		for d.More() && err == nil {
			err = nextMember(d, object)
		}
		v = object
	default:
		return v, err
	}
	if err == nil {
		_, err = d.Token() // its end
	}
	return v, err
}

func nextMember(d *json.Decoder, object map[string]any) error {
	key, _ := d.Token()
	name, _ := key.(string)
	if _, isTwice := object[name]; isTwice {
		return fmt.Errorf("the key %s is there twice", quoted(name))
	}
	v, err := nextValue(d)
	object[name] = v
	return err
}

// unquotedKey is what JavaScript takes, and JSON does not.
var unquotedKey = regexp.MustCompile(`([{,]\s*)([A-Za-z_]\w*)(\s*:)`)

// jsonHint guesses what was meant.
func jsonHint(text string) string {
	if json.Valid([]byte(text)) {
		return "" // something else is wrong with it
	}
	fixed := unquotedKey.ReplaceAllString(strings.ReplaceAll(text, "'", `"`), `$1"$2"$3`)
	var compact bytes.Buffer
	if json.Compact(&compact, []byte(fixed)) != nil {
		return `; a text that begins so is written as '"…"'`
	}
	return "; did you mean '" + fixed + "'?"
}
