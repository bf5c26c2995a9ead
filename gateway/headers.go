package gateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"broach"
)

// What goes along with a call besides its arguments: an id, a deadline, metadata. Metadata are texts that reach any
// function that the call leads to, so only headers with a name go along, and none that says something of the sender's
// rights.

const (
	idMost       = 128     // bytes of an id that a client gives
	metaMost     = 8 << 10 // bytes of all metadata, as of broach.Meta
	metaEach     = 3       // that each of them counts more
	callerKey    = "broach-caller"
	requestIDKey = "x-request-id"
)

// requestID is what the client gives, if that is a word, or a new one.
func requestID(h http.Header) string {
	if id := h["X-Request-Id"]; len(id) == 1 && isWord(id[0]) {
		return id[0]
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func isWord(s string) bool {
	if len(s) == 0 || len(s) > idMost {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// A metaHeader is a header that goes along as metadata.
type metaHeader struct {
	name, key string // as in Shop-Tenant, and in lower case
	isFine    func(string) bool
}

func newMetaHeader(name string) metaHeader {
	return metaHeader{textproto.CanonicalMIMEHeaderKey(name), strings.ToLower(name), isText}
}

// unfit says why a header must not go along; "" if it may.
func unfit(name string) string {
	lower := strings.ToLower(name)
	switch {
	case lower == "" || !isToken(lower):
		return "is no name of a header"
	case strings.HasPrefix(lower, "broach-"):
		return "is the gateway's own: it would let clients say who they are"
	case slices.Contains([]string{"authorization", "proxy-authorization", "cookie"}, lower):
		return "has secrets of the client, which never travel on: have Auth turn them into the name of a caller"
	}
	return ""
}

func isToken(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	})
}

// traceHeaders go along if they are well-formed: those of W3C Trace Context and Baggage, and the key of a draft of the
// IETF, which the gateway makes nothing of.
var traceHeaders = []metaHeader{
	{"Traceparent", "traceparent",
		regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$`).MatchString},
	{"Tracestate", "tracestate", isText},
	{"Baggage", "baggage", isText},
	{"Idempotency-Key", "idempotency-key", isText},
}

// isText reports whether a value can go along: a line feed in it could become a line of its own in the log, or in a
// request, of whoever gets it.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// timeout is how long the client wants the call to take, 0 if it does not say so.
func (x *exchange) timeout() (time.Duration, *problem) {
	text := x.r.Header["Broach-Timeout"]
	if text == nil {
		return 0, nil
	}
	d, ok := parseTimeout(text)
	if !ok {
		return 0, newProblem(http.StatusBadRequest, "bad-timeout",
			"Broach-Timeout is a time above 0, as in 1.5s or 200ms")
	}
	return d, nil
}

// context is the request's with its metadata, and with a deadline unless timeout is 0.
func (x *exchange) context(timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx := x.metadata(x.r.Context())
	if timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, timeout)
}

func parseTimeout(text []string) (d time.Duration, ok bool) {
	if len(text) != 1 {
		return 0, false
	}
	d, err := time.ParseDuration(text[0])
	return d, err == nil && d > 0
}

// metadata puts into ctx what goes along. What has no room any more stays behind.
func (x *exchange) metadata(ctx context.Context) context.Context {
	left := metaMost
	put := func(key, value string) {
		if room := len(key) + len(value) + metaEach; room <= left {
			left -= room
			ctx = broach.WithMeta(ctx, key, value)
		}
	}
	put(requestIDKey, x.id)
	if x.caller != "" {
		put(callerKey, x.caller)
	}
	for _, list := range [][]metaHeader{traceHeaders, x.g.set.metaHeaders} {
		for _, m := range list {
			if values := x.r.Header[m.name]; values != nil {
				if value := strings.Join(values, ", "); m.isFine(value) {
					put(m.key, value)
				}
			}
		}
	}
	return ctx
}

// serverTiming says how long the request took in the gateway.
func (x *exchange) serverTiming() string {
	b := append(make([]byte, 0, 32), "broach;dur="...)
	return string(strconv.AppendFloat(b, float64(time.Since(x.began).Microseconds())/1000, 'f', -1, 64))
}
