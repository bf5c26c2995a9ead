package dashboard

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What keeps the page from being an open door, in the order in which a request meets it: where it comes from, which
// host it is for, which page sent it, who sends it. A page of any site can send requests to an address of this machine,
// so loopback alone protects from nothing.

// guard lets requests in.
type guard struct {
	set    *settings
	cross  *http.CrossOriginProtection
	secret []byte // seals cookies: those of an earlier process are worth nothing
	cookie string // its name: cookies know no ports, and one host may have the pages of several nodes

	mu     sync.Mutex // guards what follows
	told   time.Time  // when the log was told of a wrong token
	untold int        // how many there were since
}

// tellOf tells the log of a wrong token, once a second: whoever can send them could fill it.
func (g *guard) tellOf(l *slog.Logger, from string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.untold++; now.Sub(g.told) < time.Second {
		return
	}
	l.Warn("dashboard: wrong token", "from", from, "times", g.untold)
	g.told, g.untold = now, 0
}

const cookieLife = 12 * time.Hour

// policy lets the page load what comes with it, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
	"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

func newGuard(s *settings, node string) *guard {
	secret := make([]byte, 32)
	rand.Read(secret)
	name := sha256.Sum256([]byte(node))
	return &guard{set: s, cross: http.NewCrossOriginProtection(), secret: secret,
		cookie: "broach-" + hex.EncodeToString(name[:6])}
}

// refusal is an answer to who is not let in.
type refusal struct {
	status int
	text   string
}

// protect sets the headers that every answer has.
func protect(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// admit says why a request is refused whoever sends it; nil: it is not.
func (g *guard) admit(r *http.Request) *refusal {
	switch {
	case g.set.isOpen() && !isOfThisMachine(r):
		return &refusal{http.StatusForbidden,
			"the page serves this machine only: give it Token or Auth to serve others"}
	case !g.knowsHost(r):
		return &refusal{http.StatusForbidden,
			"requests for this host are not served: the page's option Hosts names those that are"}
	case g.cross.Check(r) != nil, isOfAnotherSite(r):
		return &refusal{http.StatusForbidden, "a page of another site sent this"}
	}
	return nil
}

// isOfThisMachine reports whether both ends of the connection are here, and no proxy says that it came from elsewhere.
func isOfThisMachine(r *http.Request) bool {
	if r.Header["Forwarded"] != nil || r.Header["X-Forwarded-For"] != nil || r.Header["X-Real-Ip"] != nil {
		return false
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	switch a := local.(type) {
	case *net.TCPAddr:
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		return a.IP.IsLoopback() && err == nil && from.Addr().Unmap().IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// knowsHost reports whether the request is for this page. A page of another site whose name leads here, by DNS
// rebinding, says that name.
func (g *guard) knowsHost(r *http.Request) bool {
	host := strings.ToLower(hostOnly(r.Host))
	if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().IsLoopback() {
		return true
	}
	if host == "localhost" || slices.Contains(g.set.hosts, host) {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && host == local.AddrPort().Addr().Unmap().String()
}

// hostOnly takes the port off a Host, and the brackets off an IPv6 address.
func hostOnly(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

// isOfAnotherSite is about requests that only read, which the protection from other origins lets pass: no page of
// another site is to keep the poller at work. It may lead people here by a link.
func isOfAnotherSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return r.Header.Get("Sec-Fetch-Mode") != "navigate"
	}
	return false
}

var errStranger = errors.New("no token, or not the right one")

// caller is who sends a request.
func (g *guard) caller(r *http.Request, now time.Time) (string, error) {
	switch {
	case g.set.auth != nil:
		return g.set.auth(r)
	case g.set.isOpen():
		return "anybody", nil
	}
	if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		if g.isToken(token) {
			return "token", nil
		}
		return "", errStranger
	}
	if c, err := r.Cookie(g.cookie); err == nil && g.isOurs(c.Value, now) {
		return "token", nil
	}
	return "", errStranger
}

// isToken compares in constant time, and texts of any length.
func (g *guard) isToken(token string) bool {
	if len(g.set.tokens) == 0 {
		return false
	}
	want, got := sha256.Sum256([]byte(g.set.tokens[0])), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// A cookie is when it ends, and a seal of that: nothing of it needs to be kept here.

func (g *guard) newCookie(r *http.Request, now time.Time) *http.Cookie {
	end := strconv.FormatInt(now.Add(cookieLife).Unix(), 10)
	return &http.Cookie{Name: g.cookie, Value: end + "." + g.seal(end), Path: "/", MaxAge: int(cookieLife.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil}
}

func (g *guard) isOurs(cookie string, now time.Time) bool {
	end, seal, _ := strings.Cut(cookie, ".")
	at, err := strconv.ParseInt(end, 10, 64)
	return err == nil && hmac.Equal([]byte(seal), []byte(g.seal(end))) && now.Unix() < at
}

func (g *guard) seal(text string) string {
	h := hmac.New(sha256.New, g.secret)
	h.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
