package dashboard

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"broach"
)

// Rows are what the page shows, each under a key in a section. They travel as JSON, when they have changed. Times are
// in µs, instants in ms since 1970, rates a second, all rounded so that what hardly changes stays as it is.

type rows map[string]any

// sectionNames are what a viewer can ask for, besides beliefs by groups: see groupOf.
var sectionNames = []string{"sum", "history", "nodes", "functions", "events", "edges", "apps", "beliefs", "odd"}

type sumRow struct {
	Self                   string
	Isolated, Joined       bool
	Nodes, Answered        int // that are there; of them, who have answered since somebody looks
	Calls, Errors, Retries float64
	P50, P99               float64
	Loss                   float64
	Running, Queued        int
	Guests, Hidden         int `json:",omitempty"` // Hidden: functions that are too many to be shown
}

// sum is the cluster in a line.
func (c *cluster) sum() rows {
	all := c.total()
	r := sumRow{Self: c.self.String(), Isolated: c.isolated, Joined: c.joined,
		Hidden: max(0, len(c.services)-functionsMost),
		Calls:  round(all.calls), Errors: round(all.errors), Retries: round(all.retries),
		P50: round(all.percentile(0.5)), P99: round(all.percentile(0.99))}
	for _, x := range c.instances {
		if !isGone(x.member.State) {
			r.Nodes++
		}
	}
	for _, x := range c.live() {
		r.Loss = max(r.Loss, roundLoss(x.peer.Loss))
		r.Running += x.running
		r.Queued += x.queued
		r.Guests += x.guests
		if !x.answered.IsZero() {
			r.Answered++
		}
	}
	return rows{"": r}
}

func roundLoss(x float64) float64 { return float64(int(x*1000+0.5)) / 1000 }

func (c *cluster) historyRows() rows {
	out := make(rows, len(c.history))
	for i, m := range c.history {
		out[strconv.Itoa(c.moments-len(c.history)+i)] = [4]float64{float64(m.at.UnixMilli()), m.calls, m.errors, m.p99}
	}
	return out
}

type nodeRow struct {
	Name, Version string            `json:",omitempty"`
	Tags          map[string]string `json:",omitempty"`
	Mark          mark
	Self          bool     `json:",omitempty"`
	Since         int64    `json:",omitempty"`
	By            string   `json:",omitempty"` // who suspected it first
	RTT           float64  `json:",omitempty"`
	Loss          float64  `json:",omitempty"`
	InFlight      int      `json:",omitempty"`
	Open          []string `json:",omitempty"` // functions whose breakers are open there
	Why           string   `json:",omitempty"` // it does not answer
	Answered      bool     `json:",omitempty"`
	Isolated      bool     `json:",omitempty"`

	Started             int64   `json:",omitempty"`
	Go, Library         string  `json:",omitempty"`
	CPU                 float64 // of one processor
	Heap                float64
	Goroutines          int
	Running, Queued     int
	Calls, Served, Errs float64 // made, served, failed of those served
	P50, P99            float64 // of those served
	Panics, Refused     uint64
}

func (c *cluster) nodeRows() rows {
	out := make(rows, len(c.instances))
	for addr, x := range c.instances {
		r := nodeRow{Name: short(x.member.Name), Version: short(x.member.Version), Tags: x.member.Tags,
			Mark: markOf(&x.member), Self: x.member.Self, Since: x.since.millis(),
			Open: x.peer.Open[:min(len(x.peer.Open), openMost)], Why: x.why,
			Answered: !x.answered.IsZero(), Isolated: x.isolated}
		if x.peer.SuspectedBy.IsValid() {
			r.By = x.peer.SuspectedBy.String()
		}
		if !isGone(x.member.State) { // else they are of old
			r.RTT, r.Loss = round(float64(x.member.RTT.Microseconds())), roundLoss(x.peer.Loss)
			r.InFlight = x.peer.InFlight
			x.process(&r)
		}
		out[addr.String()] = r
	}
	return out
}

// process fills in what a node says of its process.
func (x *instance) process(r *nodeRow) {
	r.Started, r.Go, r.Library = x.started.millis(), x.goVersion, x.library
	r.Heap, r.Goroutines = round(float64(x.heap)), x.goroutines
	r.Running, r.Queued, r.Panics, r.Refused = x.running, x.queued, x.panics, x.refused
	w := &x.window
	if w.seconds() <= 0 {
		return
	}
	called, served := &x.called, &x.served
	r.CPU = round((w.last.cpu - w.base.cpu).Seconds() / w.seconds())
	r.Calls, r.Served, r.Errs = round(called.calls), round(served.calls), round(served.errors)
	r.P50, r.P99 = round(served.percentile(0.5)), round(served.percentile(0.99))
}

type functionRow struct {
	Signatures     []string
	Doc            string `json:",omitempty"`
	Providers      map[string]float64
	Calls, Errors  float64
	Retries        float64
	P50, P99       float64
	Codes          map[string]float64 `json:",omitempty"`
	Open           []string           `json:",omitempty"` // providers whose breaker is open
	Running        int                `json:",omitempty"`
	Callable, Mine bool               `json:",omitempty"`
}

const (
	functionsMost  = 5000 // that are shown, by name
	signaturesMost = 16
	openMost       = 20 // functions that are not called at a member
)

// functionRows are the functions that are offered, with how they do at those who call them, or, where nobody says so,
// at those who serve them. Mayall says of which the page may make calls.
func (c *cluster) functionRows(mayCall func(string) bool) rows {
	list := map[string]*functionRow{}
	for _, s := range c.services[:min(len(c.services), functionsMost)] {
		r := list[s.Name]
		if r == nil {
			r = &functionRow{Providers: map[string]float64{}, Callable: mayCall(s.Name)}
			list[s.Name] = r
		}
		if len(r.Signatures) < signaturesMost {
			r.Signatures = append(r.Signatures, s.Signature)
		}
		r.Doc = cmp.Or(r.Doc, s.Doc)
		for _, p := range s.Providers {
			r.Providers[p.String()] = 0
			r.Mine = r.Mine || p == c.self
		}
	}
	called, served := map[string]*pace{}, map[string]*pace{}
	for _, x := range c.live() {
		w := &x.window
		gather(called, w.base.called, w.last.called, w.seconds())
		each(w.base.served, w.last.served, w.seconds(), func(name string, p *pace) {
			merge(served, name, p)
			if r := list[name]; r != nil && p.calls > 0 {
				r.Providers[x.member.Addr.String()] = round(p.calls)
			}
		})
		for _, name := range x.peer.Open {
			if r := list[name]; r != nil {
				r.Open = append(r.Open, x.member.Addr.String())
			}
		}
	}
	out := make(rows, len(list))
	for name, r := range list {
		r.fill(called[name], served[name])
		out[name] = r
	}
	return out
}

func (r *functionRow) fill(called, served *pace) {
	p := called
	if p == nil || p.calls == 0 {
		p = served
	}
	if p == nil {
		return
	}
	r.Calls, r.Errors, r.Retries = round(p.calls), round(p.errors), round(p.retries)
	r.P50, r.P99, r.Running = round(p.percentile(0.5)), round(p.percentile(0.99)), p.running
	for code, n := range p.codes {
		if r.Codes == nil {
			r.Codes = map[string]float64{}
		}
		r.Codes[code.String()] = round(n)
	}
}

func gather(into map[string]*pace, base, last []broach.FunctionStats, seconds float64) {
	each(base, last, seconds, func(name string, p *pace) { merge(into, name, p) })
}

func merge(into map[string]*pace, name string, p *pace) {
	if into[name] == nil {
		into[name] = &pace{}
	}
	into[name].add(p)
}

type edgeRow struct {
	Calls, Errors float64
	Names         []string // of the functions, those called most first
}

const edgeNames = 5

// edgeRows say who calls whom. Nodes count the calls they make and those they serve, by function, not by pairs: so the
// calls of each caller are shared out among the providers as all calls of that function are. Of a function of one
// application that is exact between applications.
func (c *cluster) edgeRows(key func(*instance) string) rows {
	served, shares := map[string]float64{}, map[string]map[string]float64{} // by function; then by provider
	for _, x := range c.live() {
		w := &x.window
		each(w.base.served, w.last.served, w.seconds(), func(name string, p *pace) {
			if p.calls > 0 {
				if shares[name] == nil {
					shares[name] = map[string]float64{}
				}
				served[name] += p.calls
				shares[name][key(x)] += p.calls
			}
		})
	}
	type edge struct {
		calls, errors float64
		by            map[string]float64
	}
	edges := map[string]*edge{}
	for _, x := range c.live() {
		w := &x.window
		each(w.base.called, w.last.called, w.seconds(), func(name string, p *pace) {
			for to, n := range shares[name] {
				k, part := key(x)+"\x00"+to, n/served[name]
				if p.calls == 0 {
					continue
				}
				e := edges[k]
				if e == nil {
					e = &edge{by: map[string]float64{}}
					edges[k] = e
				}
				e.calls += p.calls * part
				e.errors += p.errors * part
				e.by[name] += p.calls * part
			}
		})
	}
	out := make(rows, len(edges))
	for k, e := range edges {
		names := slices.SortedFunc(maps.Keys(e.by), func(a, b string) int {
			return cmp.Or(cmp.Compare(e.by[b], e.by[a]), strings.Compare(a, b))
		})
		out[k] = edgeRow{round(e.calls), round(e.errors), names[:min(len(names), edgeNames)]}
	}
	return out
}

func nameOf(x *instance) string { return short(x.member.Name) }

func addrOf(x *instance) string { return x.member.Addr.String() }

// groupOf are the ways in which nodes are put together where they are too many for a table: by application, by a part
// of the address, or by a tag.
func groupOf(by string) func(*instance) string {
	switch tag, isTag := strings.CutPrefix(by, "tag:"); {
	case isTag:
		return func(x *instance) string { return short(x.member.Tags[tag]) }
	case by == "net":
		return netOf
	}
	return nameOf
}

func netOf(x *instance) string {
	ip := x.member.Addr.Addr().Unmap()
	bits := 24
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return ""
	}
	return netip.Prefix.String(p)
}
