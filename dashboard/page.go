package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"broach"
)

// page answers requests: the three files for everybody who is let in, all else for who says who he is.
type page struct {
	n      *broach.Node
	set    *settings
	guard  *guard
	poller *poller
	mux    *http.ServeMux
	tails  chan struct{} // those who listen to topics
}

const bodyMost = 1 << 20

func newPage(n *broach.Node, s *settings) *page {
	p := &page{n: n, set: s, guard: newGuard(s, n.Addr().String()), poller: newPoller(n, s.every, s.mayCall),
		mux: http.NewServeMux(), tails: make(chan struct{}, viewersMost)}
	for name, a := range assets() {
		p.mux.HandleFunc("GET /"+name, a.serve)
	}
	p.mux.HandleFunc("GET /{$}", assets()["index.html"].serve)
	p.mux.HandleFunc("POST /api/login", p.login)
	p.handle("GET /api/me", p.me)
	p.handle("GET /api/stream", p.stream)
	p.handle("POST /api/sight", p.sight)
	p.handle("GET /api/view", p.view)
	p.handle("GET /api/describe", p.describe)
	p.handle("POST /api/call", p.call)
	p.handle("POST /api/do", p.act)
	p.handle("GET /api/topic", p.topic)
	return p
}

func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	if no := p.guard.admit(r); no != nil {
		refuse(w, no.status, no.text)
		return
	}
	p.mux.ServeHTTP(w, r)
}

// handle asks who sends a request before it is answered.
func (p *page) handle(pattern string, h func(w http.ResponseWriter, r *http.Request, caller string)) {
	p.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		caller, err := p.guard.caller(r, time.Now())
		if err != nil {
			refuse(w, http.StatusUnauthorized, "who sends this is not known here")
			return
		}
		h(w, r, caller)
	})
}

type refused struct {
	Error string `json:"error"`
}

// refuse answers a request that is wrong, or that nobody may send.
func refuse(w http.ResponseWriter, status int, text string) { answer(w, status, refused{text}) }

// tell answers one that is right, but to which the cluster says no, as a node does that has just gone: a browser calls
// any other status than 200 an error of the page.
func tell(w http.ResponseWriter, err error) { answer(w, http.StatusOK, refused{err.Error()}) }

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fine: who asked has gone
}

var errNoJSON = errors.New("send application/json")

// read takes the body of a request; what is wrong with it is answered.
func (p *page) read(w http.ResponseWriter, r *http.Request, into any) bool {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	err := errNoJSON
	if kind == "application/json" {
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyMost))
		dec.DisallowUnknownFields()
		err = dec.Decode(into)
		if err == nil && dec.Decode(new(any)) != io.EOF {
			err = errNoJSON
		}
	}
	if err == nil {
		return true
	}
	status := http.StatusBadRequest
	if _, isLarge := errors.AsType[*http.MaxBytesError](err); isLarge {
		status = http.StatusRequestEntityTooLarge
	}
	refuse(w, status, "the body is not what is wanted: "+err.Error())
	return false
}

// login makes a cookie of a token: a stream of events can have no header that says who opens it.
func (p *page) login(w http.ResponseWriter, r *http.Request) {
	var in struct{ Token string }
	if !p.read(w, r, &in) {
		return
	}
	if !p.guard.isToken(in.Token) {
		p.guard.tellOf(p.set.logger, r.RemoteAddr, time.Now())
		refuse(w, http.StatusUnauthorized, "that is not the token")
		return
	}
	http.SetCookie(w, p.guard.newCookie(r, time.Now()))
	w.WriteHeader(http.StatusNoContent)
}

type meAnswer struct {
	Addr, Name, Version string
	Calls, Actions      bool
	Every               int64 // ms
}

// me is what the page needs to know before it opens a stream.
func (p *page) me(w http.ResponseWriter, r *http.Request, _ string) {
	v, err := p.n.Inspect(r.Context(), p.n.Addr(), broach.ViewPart(0))
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "the node is closed")
		return
	}
	answer(w, http.StatusOK, meAnswer{v.Addr.String(), v.Name, v.Version, len(p.set.calls) > 0, p.set.actions,
		p.set.every.Milliseconds()})
}

func (p *page) sight(w http.ResponseWriter, r *http.Request, _ string) {
	var in struct {
		ID   string
		Rows []netip.AddrPort
	}
	if !p.read(w, r, &in) {
		return
	}
	p.poller.see(in.ID, in.Rows) // a stream that has just ended sees nothing: a page may be loaded anew
	w.WriteHeader(http.StatusNoContent)
}

func (p *page) describe(w http.ResponseWriter, r *http.Request, _ string) {
	ctx, cancel := context.WithTimeout(r.Context(), viewTimeout)
	defer cancel()
	if !p.await(w, ctx) {
		return
	}
	d, err := p.n.Describe(ctx, r.URL.Query().Get("name"))
	if err != nil {
		tell(w, err)
		return
	}
	answer(w, http.StatusOK, d)
}

// act does what AllowActions lists, to this node.
func (p *page) act(w http.ResponseWriter, r *http.Request, caller string) {
	var in struct {
		Do, Name string
		Addr     netip.AddrPort
	}
	if !p.read(w, r, &in) {
		return
	}
	if !p.set.actions {
		refuse(w, http.StatusForbidden, "nothing can be done here: the page's option AllowActions lets one")
		return
	}
	p.set.logger.Info("dashboard: action", "do", in.Do, "name", in.Name, "addr", in.Addr, "by", caller,
		"from", r.RemoteAddr)
	if err := p.do(in.Do, in.Name, in.Addr); err != nil {
		tell(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

const leaveMost = 30 * time.Second

func (p *page) do(what, name string, addr netip.AddrPort) error {
	switch what {
	case "pause", "resume":
		if strings.HasPrefix(name, "\x00") {
			return broach.Errorf(broach.InvalidArgument, "that is no function of a program")
		}
		return p.n.SetServing(name, what == "resume")
	case "forget":
		return p.n.Forget(addr)
	case "leave":
		go p.leave()
		return nil
	}
	return broach.Errorf(broach.InvalidArgument, "there is no action %q", what)
}
