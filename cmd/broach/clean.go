package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Names, tags and errors are strangers' words: a terminal would act on the escape sequences in them. Nothing of theirs
// is printed as it is.

// isHostile reports whether a rune does something to a terminal, or to the order in which others are shown, instead of
// being shown.
func isHostile(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
}

// clean shows such runes as Go would write them.
func clean(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, isHostile) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && s[i] != "\uFFFD"[0]:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case isHostile(r):
			text := strconv.QuoteRuneToASCII(r)
			b.WriteString(text[1 : len(text)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// cleanLines is clean for a text that may have several lines.
func cleanLines(s string) string {
	lines := strings.Split(strings.ReplaceAll(s, "\t", "  "), "\n")
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return strings.Join(lines, "\n")
}

// quoted is a text that somebody typed, in a message.
func quoted(s string) string { return strconv.Quote(s) }

// escapeJSON has a JSON text say such runes as escapes: they can stand in its strings only, but for the white space
// between.
func escapeJSON(text string) string {
	if !strings.ContainsFunc(text, isHostileInJSON) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case !isHostileInJSON(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16Pair(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func isHostileInJSON(r rune) bool { return r != '\n' && isHostile(r) }

func utf16Pair(r rune) (high, low rune) {
	r -= 0x10000
	return 0xd800 + r>>10, 0xdc00 + r&0x3ff
}
