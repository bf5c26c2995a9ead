package rules

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every rule of PROTOCOL.md has a tag, and a test or a scenario that cites it.
func TestEveryProtocolTagIsCited(t *testing.T) {
	spec, err := os.ReadFile("PROTOCOL.md")
	require.NoError(t, err)
	tag := regexp.MustCompile(`\[[A-Z]+-[0-9]+\]`)
	rules := regexp.MustCompile("(?m)^- `(\\[[A-Z]+-[0-9]+\\])`").FindAllStringSubmatch(string(spec), -1)
	require.NotEmpty(t, rules)

	cited := map[string]bool{}
	err = filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") && filepath.Base(filepath.Dir(path)) != "scenarios" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range tag.FindAllString(string(text), -1) {
			cited[found] = true
		}
		return err
	})
	require.NoError(t, err)

	known := map[string]bool{}
	for _, rule := range rules {
		require.False(t, known[rule[1]], "%s stands twice in PROTOCOL.md", rule[1])
		known[rule[1]] = true
		require.True(t, cited[rule[1]], "no test cites %s", rule[1])
	}
	for found := range cited {
		require.True(t, known[found], "a test cites %s, which PROTOCOL.md does not have", found)
	}
}

// Who looks for a rule finds it by its number: in each section those of one name rise.
func TestProtocolTagsRise(t *testing.T) {
	spec, err := os.ReadFile("PROTOCOL.md")
	require.NoError(t, err)
	heading := regexp.MustCompile("^##")
	rule := regexp.MustCompile("^- `\\[([A-Z]+)-([0-9]+)\\]`")
	last := map[string]int{}
	for line := range strings.Lines(string(spec)) {
		if heading.MatchString(line) {
			clear(last)
		}
		m := rule.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		n, err := strconv.Atoi(m[2])
		require.NoError(t, err)
		require.Greater(t, n, last[m[1]], "%s-%d is out of order", m[1], n)
		last[m[1]] = n
	}
}

// A rule that is referred to stands there.
func TestProtocolRefersToItsRules(t *testing.T) {
	spec, err := os.ReadFile("PROTOCOL.md")
	require.NoError(t, err)
	known := map[string]bool{"SHA-256": true, "AES-256": true, "UTF-8": true}
	for _, m := range regexp.MustCompile("(?m)^- `\\[([A-Z]+-[0-9]+)\\]`").FindAllStringSubmatch(string(spec), -1) {
		known[m[1]] = true
	}
	for _, name := range regexp.MustCompile(`\b[A-Z]{3,}-[0-9]+\b`).FindAllString(string(spec), -1) {
		require.True(t, known[name], "there is no %s", name)
	}
}

// Who reads a rule for the first time has forgotten the beginning of a sentence that is longer. Tables are lists, and
// code is one word.
func TestProtocolSentences(t *testing.T) {
	const most = 40 // words
	spec, err := os.ReadFile("PROTOCOL.md")
	require.NoError(t, err)
	code, end := regexp.MustCompile("`[^`]*`"), regexp.MustCompile(`[.!?]\s`)
	for _, p := range paragraphs(string(spec)) {
		p = code.ReplaceAllString(p, "code")
		for at := 0; p != ""; p = p[at:] {
			at = len(p)
			if m := end.FindStringIndex(p); m != nil {
				at = m[1]
			}
			require.LessOrEqual(t, len(strings.Fields(p[:at])), most, "%s", p[:at])
		}
	}
}

// paragraphs are those of a document, and the items of its lists, each on one line.
func paragraphs(text string) (all []string) {
	open := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		isExample := !open && strings.HasPrefix(line, "    ") // there is an empty line before it
		isProse := line != "" && !isExample && !strings.HasPrefix(line, "#") && line[0] != '|'
		line = strings.TrimSpace(line)
		switch {
		case !isProse:
		case open && !strings.HasPrefix(line, "- "):
			all[len(all)-1] += " " + line
		default:
			all = append(all, line)
		}
		open = isProse
	}
	return all
}
