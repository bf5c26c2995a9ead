package ws

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
)

// An answer is what the gateway says to a request that came over a WebSocket: in whole, or, of a stream, as it comes.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
	passes func(event, data string) error // of a stream; nil: of none
}

func newAnswer() *answer { return &answer{header: http.Header{}} }

func (a *answer) Header() http.Header { return a.header }
func (a *answer) Flush()              {}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write keeps a body, and takes Server-Sent Events apart.
func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.body.Write(b)
	if !a.isStream() {
		return len(b), nil
	}
	for {
		end := bytes.Index(a.body.Bytes(), []byte("\n\n"))
		if end < 0 {
			return len(b), nil
		}
		text := a.body.Next(end + 2)[:end] // one event: not all that has come is copied for each
		if event, data, ok := parse(string(text)); ok {
			if err := a.passes(event, data); err != nil {
				return 0, err
			}
		}
	}
}

func (a *answer) isStream() bool {
	return a.passes != nil && a.header.Get("Content-Type") == "text/event-stream"
}

// whole is what the client is told of an answer that is no stream. What stands around a gateway may answer with
// something else than JSON.
func (a *answer) whole() (key string, body json.RawMessage) {
	text := bytes.TrimSpace(a.body.Bytes())
	switch {
	case !json.Valid(text):
		return "error", marshal(problem(a.status, "no-json", http.StatusText(a.status)))
	case a.status >= 400:
		return "error", text
	}
	return "value", text
}

// parse reads one event; false: it is a comment.
func parse(text string) (event, data string, ok bool) {
	for line := range strings.SplitSeq(text, "\n") {
		switch name, value, _ := strings.Cut(line, ": "); name {
		case "event":
			event = value
		case "data":
			data, ok = value, true
		}
	}
	return event, data, ok
}

type nopCloser struct{ *strings.Reader }

func (nopCloser) Close() error { return nil }
