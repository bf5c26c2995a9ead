package gateway

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A strict reader of JSON. That of the standard library takes the last of two equal keys, replaces what is not UTF-8,
// and nests as deep as it is told to: three ways to have a body mean something else to a proxy that looked at it first.

// Limits of a body.
const (
	depthMost    = 64
	elementsMost = 1_000_000
)

// number is one as it was written, since a float64 does not hold every integer.
type number string

// parser reads one text. What it returns consists of nil, bool, number, string, []any and map[string]any.
type parser struct {
	text     string
	meter    *meter
	at       int
	depth    int
	elements int
}

// parseJSON reads a whole text.
func parseJSON(text string, m *meter) (any, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("the JSON is not UTF-8")
	}
	p := parser{text: text, meter: m}
	v, err := p.value()
	if err != nil {
		return nil, err
	}
	if p.space(); p.at < len(text) {
		return nil, p.wrong("something follows the value")
	}
	return v, nil
}

func (p *parser) wrong(what string) error {
	return fmt.Errorf("the JSON is wrong at byte %d: %s", p.at, what)
}

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// next is the first byte of what follows; 0: the end.
func (p *parser) next() byte {
	if p.space(); p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) value() (any, error) {
	if p.elements++; p.elements > elementsMost {
		return nil, p.wrong("it has more than 1,000,000 values")
	}
	if err := p.meter.values(p.elements); err != nil {
		return nil, err
	}
	switch c := p.next(); {
	case c == '{':
		return p.within((*parser).object)
	case c == '[':
		return p.within((*parser).array)
	case c == '"':
		return p.string()
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	case c == 't':
		return true, p.word("true")
	case c == 'f':
		return false, p.word("false")
	case c == 'n':
		return nil, p.word("null")
	case c == 0 && p.at >= len(p.text):
		return nil, p.wrong("it ends too early")
	}
	return nil, p.wrong("a value is expected")
}

func (p *parser) word(w string) error {
	if !strings.HasPrefix(p.text[p.at:], w) {
		return p.wrong("a value is expected")
	}
	p.at += len(w)
	return nil
}

// within reads what nests.
func (p *parser) within(read func(*parser) (any, error)) (any, error) {
	if p.depth++; p.depth > depthMost {
		return nil, p.wrong("it is nested more than 64 deep")
	}
	p.at++
	v, err := read(p)
	p.depth--
	return v, err
}

func (p *parser) array() (any, error) {
	list := []any{}
	for p.next() != ']' {
		if len(list) > 0 {
			if err := p.comma(); err != nil {
				return nil, err
			}
		}
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	p.at++
	return list, nil
}

func (p *parser) comma() error {
	switch c := p.next(); {
	case c == 0 && p.at >= len(p.text):
		return p.wrong("it ends too early")
	case c != ',':
		return p.wrong("a comma is expected")
	}
	p.at++
	return nil
}

func (p *parser) object() (any, error) {
	m := map[string]any{}
	for p.next() != '}' {
		if len(m) > 0 {
			if err := p.comma(); err != nil {
				return nil, err
			}
		}
		if err := p.member(m); err != nil {
			return nil, err
		}
	}
	p.at++
	return m, nil
}

func (p *parser) member(m map[string]any) error {
	if p.next() != '"' {
		return p.wrong("a key in quotes is expected")
	}
	key, err := p.string()
	if err != nil {
		return err
	}
	if _, isTwice := m[key]; isTwice {
		return p.wrong(fmt.Sprintf("the key %q is there twice", shorten(key)))
	}
	if p.next() != ':' {
		return p.wrong("a colon is expected")
	}
	p.at++
	m[key], err = p.value()
	return err
}

// number reads one by the grammar of RFC 8259.
func (p *parser) number() (any, error) {
	begin := p.at
	if p.text[p.at] == '-' {
		p.at++
	}
	isZero := p.at < len(p.text) && p.text[p.at] == '0'
	if n := p.digits(); n == 0 || isZero && n > 1 {
		return nil, p.wrong("a number is expected")
	}
	if p.at < len(p.text) && p.text[p.at] == '.' {
		if p.at++; p.digits() == 0 {
			return nil, p.wrong("a digit is expected")
		}
	}
	if p.at < len(p.text) && (p.text[p.at] == 'e' || p.text[p.at] == 'E') {
		p.at++
		if p.at < len(p.text) && (p.text[p.at] == '+' || p.text[p.at] == '-') {
			p.at++
		}
		if p.digits() == 0 {
			return nil, p.wrong("a digit is expected")
		}
	}
	return number(p.text[begin:p.at]), nil
}

func (p *parser) digits() int {
	begin := p.at
	for p.at < len(p.text) && '0' <= p.text[p.at] && p.text[p.at] <= '9' {
		p.at++
	}
	return p.at - begin
}

func (p *parser) string() (string, error) {
	p.at++
	for i := p.at; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '"':
			s := p.text[p.at:i]
			p.at = i + 1
			return s, nil
		case c == '\\':
			return p.escaped(i)
		case c < ' ':
			p.at = i
			return "", p.wrong("a control character stands in a text without an escape")
		}
	}
	p.at = len(p.text)
	return "", p.wrong("a text has no end")
}

// escaped reads a string in which there is an escape at i.
func (p *parser) escaped(i int) (string, error) {
	b := []byte(p.text[p.at:i])
	for p.at = i; p.at < len(p.text); {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			return string(b), nil
		case c == '\\':
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			b = utf8.AppendRune(b, r)
		case c < ' ':
			return "", p.wrong("a control character stands in a text without an escape")
		default:
			b = append(b, c)
			p.at++
		}
	}
	return "", p.wrong("a text has no end")
}

const escapes = `"\/bfnrt`

func (p *parser) escape() (rune, error) {
	p.at++
	if p.at >= len(p.text) {
		return 0, p.wrong("a text has no end")
	}
	c := p.text[p.at]
	if i := strings.IndexByte(escapes, c); i >= 0 {
		p.at++
		return rune("\"\\/\b\f\n\r\t"[i]), nil
	}
	if c != 'u' {
		return 0, p.wrong("there is no such escape")
	}
	r, ok := p.unit()
	if ok && utf16.IsSurrogate(r) {
		second, isThere := rune(0), false
		if strings.HasPrefix(p.text[p.at:], `\u`) {
			p.at++
			second, isThere = p.unit()
		}
		if r = utf16.DecodeRune(r, second); !isThere || r == utf8.RuneError {
			return 0, p.wrong("half of a surrogate pair is no character")
		}
	}
	if !ok {
		return 0, p.wrong("an escape has four hexadecimal digits")
	}
	return r, nil
}

// unit reads the rest of an escape from its u on.
func (p *parser) unit() (rune, bool) {
	if p.at+5 > len(p.text) {
		return 0, false
	}
	n, err := strconv.ParseUint(p.text[p.at+1:p.at+5], 16, 16)
	p.at += 5
	return rune(n), err == nil
}

// shorten makes a text of a client fit for an error.
func shorten(s string) string {
	if len(s) <= 40 {
		return s
	}
	return strings.ToValidUTF8(s[:40], "") + "…"
}
