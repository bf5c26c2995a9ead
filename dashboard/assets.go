package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
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
	return map[string]*asset{
		"index.html": newAsset("text/html; charset=utf-8", read("index.html")),
		"style.css":  newAsset("text/css; charset=utf-8", lean(read("style.css"))),
		"app.js":     newAsset("text/javascript; charset=utf-8", script()),
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

// lean takes off what only readers of the source need: comments that stand alone, indentation, and blanks beside signs.
// Texts and templates end on the line on which they begin, and no expression of ours has a blank beside such a sign.
func lean(b []byte) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(b) {
		line = bytes.TrimLeft(line, " ")
		if !bytes.HasPrefix(line, []byte("//")) && !bytes.HasPrefix(line, []byte("/*")) && len(line) > 1 {
			squeeze(&out, line)
		}
	}
	return out.Bytes()
}

// squeeze leaves out blanks beside signs, outside of quotes.
func squeeze(out *bytes.Buffer, line []byte) {
	const signs = "=>?:&|{}();,"
	quote := byte(0)
	for i, c := range line {
		switch {
		case quote != 0:
			if c == quote && line[i-1] != '\\' {
				quote = 0
			}
		case c == '"' || c == '\'' || c == '`':
			quote = c
		case c == ' ' && (strings.IndexByte(signs, line[i-1]) >= 0 || strings.IndexByte(signs, line[i+1]) >= 0):
			continue
		}
		out.WriteByte(c)
	}
}

// script is all of them in one scope of their own.
func script() []byte {
	var b bytes.Buffer
	b.WriteString("(() => {\n\"use strict\";\nconst words = `")
	b.Write(read("texts.txt"))
	b.WriteString("`;\n")
	for _, name := range scripts {
		b.Write(lean(read("js/" + name)))
	}
	b.WriteString("})();\n")
	return b.Bytes()
}

func newAsset(kind string, body []byte) *asset {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	_, _ = w.Write(body) // fine: a buffer takes all
	_ = w.Close()
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
