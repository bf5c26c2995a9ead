// Package dashboard is a page that shows a whole cluster from one of its nodes, whatever runs in the others:
//
//	page, err := dashboard.New(node)
//	if err != nil {
//		log.Fatal(err)
//	}
//	log.Fatal(http.ListenAndServe("127.0.0.1:8088", page))
//
// It shows who is there and in which state, who sees whom, what is called how often and how long that takes, and what
// happens, and can call functions. It learns all that by Node.Inspect, and only while somebody looks: one poller asks
// for all viewers, 20 times a second at most, and ends 10 s after the last of them has gone.
//
// # Closed by default
//
// Without Token and Auth the page serves this machine only, and nothing can be done there but to look. Functions can
// be called that AllowCalls names, and what AllowActions lists can be done, by who has the token. The page is opened
// as http://host:8088/#token=… once, which the browser keeps as a cookie of 12 h. Requests for hosts that are not
// known (see Hosts), and what pages of other sites send, are refused. Whoever may look sees all that Inspect tells:
// names, tags, addresses and settings, never keys.
//
// # Elsewhere than at the root
//
// All addresses in the page are relative, so it can be at any path that ends with a slash:
//
//	http.Handle("/cluster/", http.StripPrefix("/cluster", page))
//
// Open streams of the page end with the node: close the node before http.Server.Shutdown, which waits for them.
package dashboard

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"broach"
)

// Option says how the page is to be: of New.
type Option func(*settings)

// settings are what the options of New have said.
type settings struct {
	mistakes []error

	tokens  []string
	auth    func(*http.Request) (caller string, err error)
	hosts   []string
	calls   []string // patterns of path.Match
	actions bool
	every   time.Duration
	logger  *slog.Logger
}

// New returns the page of a node. The error names all that is wrong with the options. The page holds nothing that has
// to be closed: what it has started ends with the node.
func New(n *broach.Node, opts ...Option) (http.Handler, error) {
	s := settingsOf(opts)
	if n == nil {
		s.mistake("the node is nil: start one first")
	}
	if err := s.err(); err != nil {
		return nil, err
	}
	return newPage(n, s), nil
}

// Check returns the error that New would for these options, before there is a node: one that has joined and cannot be
// looked at has to leave again.
func Check(opts ...Option) error { return settingsOf(opts).err() }

// settingsOf has the options say what they set, and looks at it.
func settingsOf(opts []Option) *settings {
	s := &settings{every: 2 * time.Second, logger: slog.Default()}
	for _, o := range opts {
		if o == nil {
			s.mistake("an option is nil")
			continue
		}
		o(s)
	}
	s.check()
	return s
}

// err is nil where no mistake was found.
func (s *settings) err() error {
	if len(s.mistakes) == 0 {
		return nil
	}
	return fmt.Errorf("broach: dashboard: %w", errors.Join(s.mistakes...))
}

// Token lets in who knows it, from anywhere: a random text of 16 bytes at least, without spaces. The page is opened
// with it in the fragment of its address, "#token=…", which a browser sends to nobody, or asks for it. Requests of
// programs have it in the header Authorization, after "Bearer ".
//
// Who listens to what is not encrypted learns it: beyond this machine serve the page over TLS.
func Token(token string) Option {
	return func(s *settings) {
		if len(token) < 16 || strings.ContainsAny(token, " \t\r\n") {
			s.mistake("Token: the token is short, or has spaces: take 16 random bytes or more, in hexadecimal")
		}
		s.tokens = append(s.tokens, token)
	}
}

// Auth has check say who sends a request: a name, for the log, or an error, which is answered 401 and told to nobody.
// It is asked for every request but those for the three files of the page, by many goroutines at once.
func Auth(check func(*http.Request) (caller string, err error)) Option {
	return func(s *settings) {
		if check == nil {
			s.mistake("Auth: the function is nil")
		}
		s.auth = check
	}
}

// AllowCalls lets functions be called whose name matches one of the patterns of path.Match, such as "shop.*", and the
// events of topics be shown that do. "*" matches no "/". It needs Token or Auth.
func AllowCalls(patterns ...string) Option {
	return func(s *settings) {
		if len(patterns) == 0 {
			s.mistake("AllowCalls without a pattern allows nothing: name the functions, or \"*\"")
		}
		for _, p := range patterns {
			if _, err := path.Match(p, ""); err != nil || p == "" {
				s.mistake("AllowCalls: %q is no pattern of path.Match", p)
			}
		}
		s.calls = append(s.calls, patterns...)
	}
}

// AllowActions lets the page pause and resume functions of this node, make it forget a member that is gone, and have
// it leave: as SetServing, Forget and Leave do. It needs Token or Auth. Nothing can be done to other nodes.
func AllowActions() Option { return func(s *settings) { s.actions = true } }

// Hosts are names that the page is asked for by, without a port, besides the address it listens at, loopback addresses
// and localhost. All others are refused: a page of another site could reach this one by a name of its own.
func Hosts(names ...string) Option {
	return func(s *settings) {
		for _, name := range names {
			if name == "" || strings.ContainsAny(name, "/* ") {
				s.mistake("Hosts: %q is no name of a host", name)
			}
			s.hosts = append(s.hosts, strings.ToLower(name))
		}
	}
}

// Every is how often what is shown is brought up to date, from 200 ms to a minute. Without it that is 2 s. What the
// node itself notices of others, such as their death, is shown at once.
func Every(d time.Duration) Option {
	return func(s *settings) {
		if s.every = d; d < 200*time.Millisecond || d > time.Minute {
			s.mistake("Every: %v: from 200 ms to a minute", d)
		}
	}
}

// Logger gets a line for each call and each action, with who asked for it, never with arguments. Without it that is
// slog.Default.
func Logger(l *slog.Logger) Option {
	return func(s *settings) {
		if s.logger = l; l == nil {
			s.mistake("Logger: it is nil")
		}
	}
}

// check looks at what no option sees alone.
func (s *settings) check() {
	switch {
	case s.auth != nil && len(s.tokens) > 0:
		s.mistake("Token and Auth both say who may look: give one of them")
	case len(s.tokens) > 1:
		s.mistake("Token is given twice")
	case s.isOpen() && (s.actions || len(s.calls) > 0):
		s.mistake("AllowCalls and AllowActions need Token or Auth: without, any program of this machine could call")
	}
}

// isOpen reports whether nobody is asked who he is.
func (s *settings) isOpen() bool { return s.auth == nil && len(s.tokens) == 0 }

// mayCall reports whether a function is one of AllowCalls. Private names and those of the protocol never are.
func (s *settings) mayCall(name string) bool {
	if name == "" || strings.HasPrefix(name, "__") || strings.HasPrefix(name, "\x00") {
		return false
	}
	for _, p := range s.calls {
		if ok, _ := path.Match(p, name); ok {
			return true
		}
	}
	return false
}

func (s *settings) mistake(format string, a ...any) {
	s.mistakes = append(s.mistakes, fmt.Errorf(format, a...))
}
