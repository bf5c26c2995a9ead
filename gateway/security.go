package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// What keeps a gateway from being an open door, in the order in which a request meets it: where it comes from, which
// host it is for, which page sent it, who sends it. A page of any website can send requests to an address of this
// machine, so loopback alone protects from nothing.

// admit lets a request in, or says why not. It answers preflights and health checks itself.
func (x *exchange) admit() *problem {
	if p := x.unproxy(); p != nil {
		return p
	}
	if p := x.admitPlace(); p != nil {
		return p
	}
	if !x.admitsHost() {
		return newProblem(http.StatusForbidden, "host-not-allowed",
			"requests for this host are not served: the gateway's option Hosts names those that are")
	}
	if p := x.admitOrigin(); p != nil || x.isDone {
		return p
	}
	if x.health() {
		return nil
	}
	return x.authenticate()
}

// admitPlace refuses what comes from elsewhere, if nobody is asked who he is.
func (x *exchange) admitPlace() *problem {
	s := x.g.set
	if !s.isOpen() {
		return nil
	}
	local, _ := x.r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if isLocal(local) && isLocalHost(x.r.RemoteAddr) && !isForwarded(x.r.Header) {
		return nil
	}
	return newProblem(http.StatusForbidden, "not-open", "the gateway serves this machine only: "+
		"give it Auth or BearerTokens to serve others, or InsecureNoAuth to let everybody in")
}

// isForwarded reports whether a proxy says that it has passed a request on.
func isForwarded(h http.Header) bool {
	return h["Forwarded"] != nil || h["X-Forwarded-For"] != nil || h["X-Real-Ip"] != nil || h["Via"] != nil
}

// isLocal reports whether only this machine can reach an address.
func isLocal(a net.Addr) bool {
	switch a := a.(type) {
	case nil:
		return false
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	}
	return strings.HasPrefix(a.Network(), "unix") || a.Network() == "pipe"
}

// isLocalHost is isLocal for the text that a server says of the other end. That of a socket in the file system, or in
// memory, is no address.
func isLocalHost(remote string) bool {
	if slices.Contains([]string{"", "@", "pipe"}, remote) {
		return true
	}
	from, err := netip.ParseAddrPort(remote)
	return err == nil && from.Addr().Unmap().IsLoopback()
}

// admitsHost reports whether the request is for this gateway. A page of another site whose name leads here, by DNS
// rebinding, says that name.
func (x *exchange) admitsHost() bool {
	host := strings.ToLower(hostOnly(x.r.Host))
	if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().IsLoopback() {
		return true
	}
	if host == "localhost" || slices.Contains(x.g.set.hosts, host) || slices.Contains(x.g.set.hosts, "*") {
		return true
	}
	local, ok := x.r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && host == local.AddrPort().Addr().Unmap().String()
}

// hostOnly takes the port off a Host, and the brackets off an IPv6 address.
func hostOnly(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

func (s *settings) checkOrigins() {
	for _, o := range s.origins {
		if o == "*" {
			if s.isOpen() {
				s.mistake("Origins(\"*\") without Auth lets any website call: name the origins, or give Auth")
			}
			continue
		}
		u, err := url.Parse(o)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != o {
			s.mistake("Origins: %q is no origin: it is a scheme and a host, as in https://shop.example.org", o)
		}
	}
}

// crossOrigin refuses what pages of other sites send; New has checked the origins.
func (s *settings) crossOrigin() *http.CrossOriginProtection {
	c := http.NewCrossOriginProtection()
	for _, o := range s.origins {
		if o != "*" {
			_ = c.AddTrustedOrigin(o) // fine: checked
		}
	}
	return c
}

// admitOrigin has browsers keep to Origins: it says to them which page may read the answer, and refuses what a page of
// another site sends.
func (x *exchange) admitOrigin() *problem {
	origins := x.g.set.origins
	origin := x.r.Header.Get("Origin")
	isAny := slices.Contains(origins, "*")
	isKnown := origin != "" && slices.Contains(origins, origin)
	if len(origins) > 0 {
		x.w.Header().Add("Vary", "Origin")
	}
	switch {
	case isKnown:
		x.allowOrigin(origin)
		x.w.Header().Set("Access-Control-Allow-Credentials", "true")
	case isAny && origin != "":
		x.allowOrigin("*")
	}
	if x.r.Method == http.MethodOptions && origin != "" && x.r.Header.Get("Access-Control-Request-Method") != "" {
		return x.preflight(isKnown || isAny)
	}
	if !isAny && x.g.cross.Check(x.asSent()) != nil {
		return newProblem(http.StatusForbidden, "cross-origin",
			"a page of another site sent this: the gateway's option Origins names those that may")
	}
	return nil
}

// asSent is the request as CrossOriginProtection is to see it, which lets every GET in, for one is taken to change
// nothing. A function that is idempotent may change a lot, and an event stream takes one of few places. So a GET of
// these counts as a POST: a picture in any page sends one. What a GET of a route does is the affair of its author.
func (x *exchange) asSent() *http.Request {
	path := x.r.URL.Path
	if !strings.HasPrefix(path, "/rpc/") && !strings.HasPrefix(path, "/events/") && path != "/services" {
		return x.r
	}
	if x.r.Method == http.MethodPost {
		return x.r
	}
	return &http.Request{Method: http.MethodPost, Header: x.r.Header, Host: x.r.Host, URL: x.r.URL}
}

const exposedHeaders = "X-Request-Id, Broach-Code, Broach-Executed, Broach-Node, Server-Timing, Retry-After"

func (x *exchange) allowOrigin(origin string) {
	x.w.Header().Set("Access-Control-Allow-Origin", origin)
	x.w.Header().Set("Access-Control-Expose-Headers", exposedHeaders)
}

// preflight answers a browser that asks whether a page may send a request.
func (x *exchange) preflight(isAllowed bool) *problem {
	if !isAllowed {
		return newProblem(http.StatusForbidden, "cross-origin",
			"pages of this origin may not call: the gateway's option Origins names those that may")
	}
	h := x.w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", strings.Join(x.g.set.corsHeaders(), ", "))
	h.Set("Access-Control-Max-Age", "600")
	x.head(http.StatusNoContent)
	return nil
}

func (s *settings) corsHeaders() []string {
	list := []string{"Authorization", "Content-Type", "Broach-Timeout", "Broach-Key", "Broach-Service", "Broach-Api",
		"Service_name", "Api_name", "Broach-Worker", "X-Request-Id", "Idempotency-Key", "Last-Event-ID",
		"Traceparent", "Tracestate", "Baggage"}
	for _, m := range s.metaHeaders {
		list = append(list, m.name)
	}
	return list
}

// authenticate asks Auth who sends the request.
func (x *exchange) authenticate() (p *problem) {
	if x.g.set.auth == nil {
		return nil
	}
	caller, err := x.g.set.auth(x.r)
	if err != nil {
		x.w.Header().Set("WWW-Authenticate", "Bearer")
		return newProblem(http.StatusUnauthorized, "unauthenticated", "the request does not say who sends it, "+
			"or nobody knows that one: send a token as Authorization: Bearer")
	}
	x.caller = caller
	return nil
}

var errNoToken = errors.New("no such token")

// BearerTokens is Auth by tokens in the header Authorization: "Bearer " and a token. The map has the caller of each.
// Tokens have 16 bytes at least, and are compared in constant time.
func BearerTokens(callers map[string]string) Option {
	type known struct {
		hash   [sha256.Size]byte
		caller string
	}
	var list []known
	return func(s *settings) {
		if len(callers) == 0 {
			s.mistake("BearerTokens without a token lets nobody in")
		}
		for token, caller := range callers {
			if len(token) < 16 || strings.ContainsAny(token, " \t\r\n") {
				s.mistake("BearerTokens: the token of %q is short, or has spaces: take 16 random bytes or more", caller)
			}
			list = append(list, known{sha256.Sum256([]byte(token)), caller})
		}
		Auth(func(r *http.Request) (caller string, err error) {
			scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			hash, err := sha256.Sum256([]byte(token)), errNoToken
			for i := range list { // all of them, however early one fits
				if subtle.ConstantTimeCompare(hash[:], list[i].hash[:]) == 1 && strings.EqualFold(scheme, "Bearer") {
					caller, err = list[i].caller, nil
				}
			}
			return caller, err
		})(s)
	}
}
