package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// The page is three files: index.html, style.css, and app.js, which is put together of one file for each idea.

//go:embed assets
var source embed.FS

// asset is one file as it is served.
type asset struct {
	kind, tag    string
	body, zipped []byte
}

// assets are made when the first page of the process is.
var assets = sync.OnceValue(func() map[string]*asset {
	text, code := script()
	return map[string]*asset{
		"index.html": newAsset("text/html; charset=utf-8", read("index.html")),
		"style.css":  newAsset("text/css; charset=utf-8", style()),
		"app.js":     newAsset("text/javascript; charset=utf-8", text, code),
	}
})

// scripts are in the order in which they use each other.
var scripts = []string{"texts.js", "dom.js", "store.js", "table.js", "overview.js", "nodes.js", "matrix.js",
	"topology.js", "functions.js", "call.js", "events.js", "settings.js", "main.js"}

func read(name string) []byte {
	b, err := source.ReadFile(path.Join("assets", name))
	if err != nil {
		panic("broach: internal error: dashboard: " + err.Error())
	}
	return b
}

// lean takes off what only readers of the source need: comments that stand alone, indentation, blanks beside signs, and
// the end of a line behind a sign after which more has to follow. Texts and templates end on the line on which they
// begin, and no regular expression has a blank.
func lean(b []byte, signs string) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(b) {
		line = bytes.TrimLeft(line, " ")
		if !bytes.HasPrefix(line, []byte("//")) && !bytes.HasPrefix(line, []byte("/*")) && len(line) > 1 {
			squeeze(&out, line, signs)
		}
	}
	return out.Bytes()
}

// The signs beside which no blank is needed. In a style sheet those of a sum need theirs.
const (
	styleSigns  = "=>:{};,"
	scriptSigns = styleSigns + "?&|()+-*/<[]!%"
)

// squeeze leaves out blanks beside signs, outside of quotes, but for one between two that would be one sign without.
func squeeze(out *bytes.Buffer, line []byte, signs string) {
	quote := byte(0)
	isSign := func(c byte) bool { return strings.IndexByte(signs, c) >= 0 }
	for i, c := range line {
		switch {
		case quote != 0:
			if c == quote && line[i-1] != '\\' {
				quote = 0
			}
		case c == '"' || c == '\'' || c == '`':
			quote = c
		case c == ' ' && (isSign(line[i-1]) || isSign(line[i+1])) && line[i-1] != line[i+1]:
			continue
		case c == '\n' && i > 0 && strings.IndexByte("{(,;", line[i-1]) >= 0:
			continue
		}
		out.WriteByte(c)
	}
}

// style needs no ends of lines at all.
func style() []byte {
	return bytes.ReplaceAll(shorter(lean(read("style.css"), styleSigns)), []byte("\n"), nil)
}

// script is all of them, a module: they have a scope of their own. The words stand before, for these to be compressed
// apart. That a name is constant, parentheses around the only parameter: readers need these, too.
func script() (text, code []byte) {
	text = slices.Concat([]byte("const words = `"), read("texts.txt"), []byte("`;\n"))
	for _, name := range scripts {
		code = append(code, lean(read("js/"+name), scriptSigns)...)
	}
	code = bytes.ReplaceAll(code, []byte("const "), []byte("let "))
	return text, oneParameter.ReplaceAll(shorter(code), []byte("$1$2=>"))
}

var oneParameter = regexp.MustCompile(`(\W)\((\w+)\)=>`)

// shorter leaves out the sign that ends a statement or a declaration which is the last of its block.
func shorter(b []byte) []byte { return bytes.ReplaceAll(b, []byte(";}"), []byte("}")) }

// newAsset makes one of parts that are so unlike that each is compressed by a code of its own.
func newAsset(kind string, parts ...[]byte) *asset {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	for i, p := range parts {
		if i > 0 {
			_ = w.Flush()
		}
		_, _ = w.Write(p) // fine, as all of these: a buffer takes what comes
	}
	_ = w.Close()
	body := slices.Concat(parts...)
	hash := sha256.Sum256(body)
	return &asset{kind: kind, tag: `"` + hex.EncodeToString(hash[:8]) + `"`, body: body, zipped: b.Bytes()}
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", a.tag)
	if r.Header.Get("If-None-Match") == a.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := a.body
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = a.zipped
	}
	_, _ = w.Write(body) // fine: who asked has gone
}
