package gateway

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// readiness is whether requests should come here. It is looked up ten times a second at most, for anybody may ask.
type readiness struct {
	mu     sync.Mutex // guards what follows
	at     time.Time
	checks []check
}

type check struct {
	name, failure string // "": fine
}

const readyFor = 100 * time.Millisecond

// health answers the probes of whoever runs the process.
func (x *exchange) health() bool {
	var checks []check
	switch x.r.URL.Path {
	case "/livez":
		checks = []check{{"serving", ""}}
	case "/readyz":
		checks = x.g.ready(x.began)
	default:
		return false
	}
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		x.fail(methodNotAllowed("GET, HEAD", "probes are asked for by GET"))
		return true
	}
	x.probe(checks)
	return true
}

// probe writes checks as Kubernetes does.
func (x *exchange) probe(checks []check) {
	status := http.StatusOK
	var lines []byte
	for _, c := range checks {
		if c.failure == "" {
			lines = fmt.Appendf(lines, "[+]%s ok\n", c.name)
			continue
		}
		status = http.StatusServiceUnavailable
		lines = fmt.Appendf(lines, "[-]%s failed: %s\n", c.name, c.failure)
	}
	if status == http.StatusOK && !x.r.URL.Query().Has("verbose") {
		lines = []byte("ok\n")
	}
	x.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	x.w.Header()["Cache-Control"] = noStore
	x.write(status, lines)
}

func (g *Gateway) ready(now time.Time) []check {
	r := &g.readiness
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.checks == nil || now.Sub(r.at) >= readyFor {
		r.at, r.checks = now, g.look()
	}
	return r.checks
}

func (g *Gateway) look() []check {
	s := g.node.Stats()
	isClosed := g.ctx.Err() != nil
	select {
	case <-g.node.Done():
		isClosed = true
	default:
	}
	return []check{
		checked("joined", !s.Joined, "no seed has told of the cluster yet"),
		checked("serving", isClosed, "the gateway or its node is closed"),
		checked("connected", s.Isolated, "most of the cluster is silent: this node is cut off"),
		checked("room", g.inFlight.Load() >= int64(g.set.maxInFlight), "as many requests are under way as may be"),
	}
}

func checked(name string, hasFailed bool, failure string) check {
	if !hasFailed {
		failure = ""
	}
	return check{name, failure}
}
