package gateway

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"regexp"
	"strings"
	"time"

	"broach"
)

// Option says how a Gateway is to be: of New.
type Option func(*settings)

// settings are what the options of New have said.
type settings struct {
	mistakes []error

	functions, subscribe, publish []string // patterns of path.Match

	routes    []*route
	regexps   []*regexpRoute
	fromNames bool
	workers   []string // patterns of path.Match

	auth           func(*http.Request) (string, error)
	insecure       bool
	origins, hosts []string
	proxies        []netip.Prefix
	metaHeaders    []metaHeader
	showNodes      bool

	maxBody              int64
	maxInFlight, streams int
	maxTimeout           time.Duration
	statuses             map[broach.Code]int
	middleware           []func(http.Handler) http.Handler
	logger               *slog.Logger
}

func newSettings() *settings {
	return &settings{maxBody: 4 << 20, maxInFlight: 1024, streams: 16_384, maxTimeout: 30 * time.Second}
}

func (s *settings) mistake(format string, a ...any) {
	s.mistakes = append(s.mistakes, fmt.Errorf(format, a...))
}

func (s *settings) log() *slog.Logger {
	if s.logger != nil {
		return s.logger
	}
	return slog.Default()
}

// Expose lets functions be called whose name matches one of the patterns of path.Match: "shop.*", or a whole name. "*"
// matches no "/". Nothing can be called by its name without Expose. Names that begin with "__" or a NUL byte are never
// exposed.
func Expose(patterns ...string) Option {
	return func(s *settings) { s.functions = append(s.functions, s.patterns("Expose", patterns)...) }
}

// ExposeEvents lets topics be subscribed to that match one of the patterns, as with Expose.
func ExposeEvents(patterns ...string) Option {
	return func(s *settings) { s.subscribe = append(s.subscribe, s.patterns("ExposeEvents", patterns)...) }
}

// PublishEvents lets events be published under topics that match one of the patterns, as with Expose.
func PublishEvents(patterns ...string) Option {
	return func(s *settings) { s.publish = append(s.publish, s.patterns("PublishEvents", patterns)...) }
}

func (s *settings) patterns(option string, patterns []string) []string {
	if len(patterns) == 0 {
		s.mistake("%s without a pattern exposes nothing: name what it is for", option)
	}
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			s.mistake("%s: %q is no pattern of path.Match", option, p)
		}
	}
	return patterns
}

// Route has requests for a pattern call a function, which need not be exposed. A pattern is a method and a path as of
// http.ServeMux, without a host: "GET /api/hello/{name}". What the wildcards stand for is, in their order, the first
// arguments. If the function has one more parameter, it is a map, or a struct, of the query, the form and the fields of
// a JSON object, of which the last counts. Of two patterns that a request matches the more specific one counts.
func Route(pattern, service string) Option {
	return func(s *settings) {
		r, err := parseRoute(pattern, service)
		if err == nil && isReserved(r.path) {
			err = fmt.Errorf("is where the gateway has its own requests: choose another path")
		}
		if err != nil {
			s.mistake("Route: %q %w", pattern, err)
			return
		}
		s.checkService("Route", service)
		s.routes = append(s.routes, r)
	}
}

// RouteRegexp has requests with a method call a function where an expression of package regexp matches the whole path,
// as it is on the wire without its escapes. The groups are the first arguments; all else is as with Route. Of several
// expressions the first that matches counts, and those of Route come before all of them. No expression is slow: package
// regexp takes time in proportion to the length of the path.
func RouteRegexp(method, expr, service string) Option {
	return func(s *settings) {
		re, err := regexp.Compile(`\A(?:` + expr + `)\z`)
		if err != nil {
			s.mistake("RouteRegexp: %q: %w", expr, err)
			return
		}
		if !isMethod(method) {
			s.mistake("RouteRegexp: %q is no method: write it as in GET", method)
		}
		s.checkService("RouteRegexp", service)
		s.regexps = append(s.regexps, &regexpRoute{method, re, service})
	}
}

func (s *settings) checkService(option, service string) {
	if isPrivate(service) {
		s.mistake("%s: %q cannot be exposed: it is no name, or private", option, service)
	}
}

// RoutesFromNames makes a route of each function in the cluster whose name is a pattern as of Route, for as long as it
// is offered: who registers "GET /api/hello/{name}" brings a URL along. Routes of options come before those.
//
// Two functions with different names that a request matches, none more specific, are a conflict: the answer is 500,
// and the log says once which they are.
func RoutesFromNames() Option { return func(s *settings) { s.fromNames = true } }

// Workers lets programs that are no nodes serve functions whose names match one of the patterns, as with Expose: they
// ask for calls, and post what came of them, as docs/http.md says. The node of the gateway offers the functions.
// Whoever Auth lets in may do so, and so may, without Auth, every program of this machine.
func Workers(patterns ...string) Option {
	return func(s *settings) { s.workers = append(s.workers, s.patterns("Workers", patterns)...) }
}

// Auth has check say who sends a request: a name, which goes along as metadata "broach-caller", or an error, which is
// answered 401 and told to nobody. It is asked for all requests but /livez and /readyz, by many goroutines at once.
func Auth(check func(*http.Request) (caller string, err error)) Option {
	return func(s *settings) {
		switch {
		case check == nil:
			s.mistake("Auth: the function is nil")
		case s.auth != nil:
			s.mistake("Auth and BearerTokens are one thing: give one of them, once")
		}
		s.auth = check
	}
}

// InsecureNoAuth lets everybody in who reaches the gateway, from other machines too. Without it, and without Auth, only
// requests of this machine are served.
func InsecureNoAuth() Option { return func(s *settings) { s.insecure = true } }

// Origins lets pages of these origins, as "https://shop.example.org", call from browsers, with credentials. "*" is any,
// without credentials, and needs Auth or InsecureNoAuth. Without it only pages that the gateway's own address serves
// can.
func Origins(origins ...string) Option {
	return func(s *settings) { s.origins = append(s.origins, origins...) }
}

// TrustedProxies are those whose word counts for where a request comes from, and for which host: by Forwarded (RFC
// 7239), or else X-Forwarded-For and X-Forwarded-Host, read from right to left up to the first address that is no
// trusted proxy's. It needs Auth or InsecureNoAuth. Have the proxy set these headers itself: one that passes on what
// its client says in X-Forwarded-Host lets the client choose the host, and so pass Hosts.
func TrustedProxies(prefixes ...netip.Prefix) Option {
	return func(s *settings) {
		for _, p := range prefixes {
			if !p.IsValid() {
				s.mistake("TrustedProxies: a prefix is not valid: make it with netip.ParsePrefix")
			}
		}
		s.proxies = append(s.proxies, prefixes...)
	}
}

// Hosts are names that requests may be for besides the listening address, loopback addresses and localhost, without a
// port. "*" is any, and needs Auth or InsecureNoAuth: pages of any site can reach a gateway by a name of their own.
func Hosts(names ...string) Option {
	return func(s *settings) {
		for _, name := range names {
			if name == "" || strings.ContainsAny(name, "/ ") {
				s.mistake("Hosts: %q is no host", name)
			}
			s.hosts = append(s.hosts, strings.ToLower(name))
		}
	}
}

// MaxBody is the most bytes in the body of a request; more is 413. Without it that is 4 MiB. The values in a body can
// take 30 times as much; all bodies under way have 1 GiB together, or 4 times MaxBody, and one more is 503.
func MaxBody(n int64) Option {
	return func(s *settings) {
		if s.maxBody = n; n < 1 {
			s.mistake("MaxBody: %d bytes: at least 1", n)
		}
	}
}

// MaxInFlight is how many requests are under way at once; one more is 503. Without it that is 1,024. As many results of
// Workers may come at once, beside them.
func MaxInFlight(n int) Option {
	return func(s *settings) {
		if s.maxInFlight = n; n < 1 {
			s.mistake("MaxInFlight: %d requests: at least 1", n)
		}
	}
}

// MaxEventStreams is how many clients receive events, send or receive streams, or wait for calls as workers, at once;
// one more is 503. Without it that is 16,384.
func MaxEventStreams(n int) Option {
	return func(s *settings) {
		if s.streams = n; n < 1 {
			s.mistake("MaxEventStreams: %d: at least 1", n)
		}
	}
}

// MaxTimeout is the most that a request may ask for by Broach-Timeout; more counts as that. Without it that is 30 s. A
// request without the header has the node's CallTimeout.
func MaxTimeout(d time.Duration) Option {
	return func(s *settings) {
		if s.maxTimeout = d; d <= 0 {
			s.mistake("MaxTimeout: %v: more than 0", d)
		}
	}
}

// MetaHeaders are headers of requests that go along with calls as metadata, under their names in lower case. Without it
// none does, but for those of W3C traces, Idempotency-Key and X-Request-Id.
func MetaHeaders(names ...string) Option {
	return func(s *settings) {
		for _, name := range names {
			if reason := unfit(name); reason != "" {
				s.mistake("MetaHeaders: %q %s", name, reason)
				continue
			}
			s.metaHeaders = append(s.metaHeaders, newMetaHeader(name))
		}
	}
}

// ShowNodes puts addresses of nodes into answers. Without it backends stay hidden.
func ShowNodes() Option { return func(s *settings) { s.showNodes = true } }

// Statuses are the HTTP statuses of codes of the application, from 1000 up, each from 400 to 599. Others are 500.
func Statuses(m map[broach.Code]int) Option {
	return func(s *settings) {
		for code, status := range m {
			if code < 1000 || status < 400 || status > 599 {
				s.mistake("Statuses: %d for %d: codes are from 1000 up, statuses from 400 to 599", status, code)
			}
		}
		s.statuses = m
	}
}

// Middleware puts a handler around all requests, the first outermost: for limits by client, or a log.
func Middleware(around func(http.Handler) http.Handler) Option {
	return func(s *settings) {
		if around == nil {
			s.mistake("Middleware: the function is nil")
			return
		}
		s.middleware = append(s.middleware, around)
	}
}

// Logger gets what the gateway has to say: conflicts of routes, panics, errors whose text is withheld. Without it that
// is slog.Default.
func Logger(l *slog.Logger) Option { return func(s *settings) { s.logger = l } }

// check looks at what no option sees alone.
func (s *settings) check() {
	s.checkOrigins()
	for _, host := range s.hosts {
		if host == "*" && s.isOpen() {
			s.mistake("Hosts(\"*\") without Auth lets any website in by its own name: name the hosts, or give Auth")
		}
	}
	if len(s.proxies) > 0 && s.isOpen() {
		s.mistake("TrustedProxies without Auth: what a proxy sends comes from elsewhere: give Auth, or InsecureNoAuth")
	}
	if s.auth != nil && s.insecure {
		s.mistake("InsecureNoAuth contradicts Auth: leave one of them out")
	}
	seen := map[string]*route{}
	for _, r := range s.routes {
		if other := seen[r.shape()]; other != nil && other.service != r.service {
			s.mistake("Route: %q and %q match the same requests and call different functions", other.text, r.text)
		}
		seen[r.shape()] = r
	}
}

// isOpen reports whether nobody is asked who he is, though that was not asked for.
func (s *settings) isOpen() bool { return s.auth == nil && !s.insecure }
