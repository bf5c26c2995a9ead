package dashboard

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"time"

	"broach"
)

// One poller asks for all viewers. It begins with the first of them and ends some seconds after the last, with what it
// knew. While nobody looks, the page costs the list of events that its node tells of anyway, and nothing else.

const (
	askEvery    = 50 * time.Millisecond // 20 Inspects a second, to all members together
	askTimeout  = 3 * time.Second
	waitMost    = 2 * time.Second  // of who opens a row
	lingers     = 10 * time.Second // after the last viewer: who reloads a page finds it as it was
	publishSoon = 100 * time.Millisecond
	viewersMost = 64
	sightMost   = 300 // rows that one viewer can say are in sight
	eventsMost  = 300
)

var errCrowded = errors.New("too many look at the page already")

// poller is what is known, and who looks.
type poller struct {
	n       *broach.Node
	every   time.Duration
	mayCall func(string) bool
	wakec   chan struct{} // something is to be shown soon

	mu        sync.Mutex // guards what follows; not held while anything waits
	viewers   map[*viewer]bool
	isRunning bool
	last      time.Time // when somebody looked
	nextAsk   time.Time // when somebody may be asked again
	cluster   *cluster
	sections  map[string]*section
	events    []eventRow
	eventSeq  int
}

// viewer is one open stream.
type viewer struct {
	id       string
	sections []string
	sight    []netip.AddrPort
	messages chan []byte
	isBehind bool // it gets all rows again: it has just come, or was too slow
}

func newPoller(n *broach.Node, every time.Duration, mayCall func(string) bool) *poller {
	p := &poller{n: n, every: every, mayCall: mayCall, wakec: make(chan struct{}, 1), viewers: map[*viewer]bool{}}
	go p.watch()
	return p
}

// look adds a viewer, and starts to ask if nobody else looks.
func (p *poller) look(id string, sections []string) (*viewer, error) {
	v := &viewer{id: id, sections: sections, messages: make(chan []byte, 4), isBehind: true}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.viewers) >= viewersMost {
		return nil, errCrowded
	}
	p.viewers[v] = true
	if !p.isRunning {
		p.isRunning, p.cluster, p.sections = true, newCluster(p.n.Addr()), map[string]*section{}
		go p.run()
	}
	p.wake()
	return v, nil
}

// leave takes a viewer away.
func (p *poller) leave(v *viewer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.viewers, v)
	p.last = time.Now()
}

// see says which rows a viewer has before his eyes.
func (p *poller) see(id string, sight []netip.AddrPort) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for v := range p.viewers {
		if v.id == id {
			v.sight = sight[:min(len(sight), sightMost)]
			return true
		}
	}
	return false
}

func (p *poller) wake() {
	select {
	case p.wakec <- struct{}{}:
	default: // it is awake
	}
}

// run asks and shows until nobody looks, or the node is closed.
func (p *poller) run() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	step := time.NewTicker(askEvery)
	defer step.Stop()
	var shown time.Time
	soon := true
	for began := time.Now(); p.goesOn(time.Now()); {
		now := time.Now()
		rest := p.every
		if now.Sub(began) < 2*p.every { // the first answers
			rest = min(rest, 5*publishSoon)
		}
		if age := now.Sub(shown); age >= rest || soon && age >= publishSoon {
			p.show(now)
			shown, soon = now, false
		}
		p.ask(ctx, now)
		select {
		case <-step.C:
		case <-p.wakec:
			soon = true
		case <-p.n.Done():
		}
	}
}

// goesOn ends what nobody looks at.
func (p *poller) goesOn(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !isClosed(p.n) && (len(p.viewers) > 0 || now.Sub(p.last) < lingers) {
		return true
	}
	p.isRunning, p.cluster, p.sections = false, nil, nil
	return false
}

func isClosed(n *broach.Node) bool {
	select {
	case <-n.Done():
		return true
	default:
		return false
	}
}

// show learns what the own node believes, and tells the viewers what has changed. A guest's node asks its seed for
// that, so it is done before anything is locked.
func (p *poller) show(now time.Time) {
	members, services, stats := p.n.Members(), p.n.Services(), p.n.Stats()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cluster.learnOwn(now, members, services, &stats)
	p.cluster.remember(now)
	p.renew()
	for v := range p.viewers {
		p.tell(v)
	}
}

// renew makes the rows of all sections that somebody looks at.
func (p *poller) renew() {
	wanted := map[string]bool{}
	for v := range p.viewers {
		for _, name := range v.sections {
			wanted[name] = true
		}
	}
	for name := range p.sections {
		if !wanted[name] {
			delete(p.sections, name)
		}
	}
	for name := range wanted {
		if p.sections[name] == nil {
			p.sections[name] = &section{}
		}
		p.sections[name].update(p.rows(name))
	}
}

func (p *poller) rows(name string) rows {
	switch c := p.cluster; name {
	case "sum":
		return c.sum()
	case "history":
		return c.historyRows()
	case "nodes":
		return c.nodeRows()
	case "functions":
		return c.functionRows(p.mayCall)
	case "events":
		return p.eventRows()
	case "edges":
		if len(c.instances) > singleMost {
			return nil
		}
		return c.edgeRows(addrOf)
	case "apps":
		return c.edgeRows(c.few(nameOf))
	case "beliefs":
		return c.beliefRows()
	case "odd":
		return c.oddRows()
	default:
		return c.groupRows(strings.TrimPrefix(name, groupPrefix))
	}
}

// tell gives a viewer what has changed. One that is too slow gets all of it when it has read what it has.
func (p *poller) tell(v *viewer) {
	m := message(p.sections, v.sections, v.isBehind)
	if m == nil {
		return
	}
	select {
	case v.messages <- m:
		v.isBehind = false
	default:
		v.isBehind = true
	}
}

// ask asks one member, if it is somebody's turn.
func (p *poller) ask(ctx context.Context, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.viewers) == 0 || now.Before(p.nextAsk) {
		return
	}
	hasMembers := p.wantsBeliefs()
	addr, ok := p.cluster.next(now, p.every*9/10, p.sight(), hasMembers)
	if !ok {
		return
	}
	p.nextAsk = later(p.nextAsk, now.Add(-askEvery)).Add(askEvery)
	parts := []broach.ViewPart{broach.ViewStats}
	if hasMembers {
		parts = append(parts, broach.ViewMembers, broach.ViewBrief)
	}
	go p.inspect(ctx, p.cluster, addr, parts, hasMembers)
}

// turn is when somebody who wants to see one member may ask it: questions of people and of the poller are 20 a second
// together. It reports false where too many want to.
func (p *poller) turn(now time.Time) (wait time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := later(p.nextAsk, now)
	if at.Sub(now) > waitMost {
		return 0, false
	}
	p.nextAsk = at.Add(askEvery)
	return at.Sub(now), true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// inspect ends with its answer, after askTimeout, or when nobody looks any more.
func (p *poller) inspect(ctx context.Context, c *cluster, addr netip.AddrPort, parts []broach.ViewPart, whole bool) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	v, err := p.n.Inspect(ctx, addr, parts...)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		c.failed(addr, codeOf(err))
		return
	}
	c.learn(time.Now(), addr, &v, whole)
}

func codeOf(err error) broach.Code {
	if e, ok := errors.AsType[*broach.Error](err); ok {
		return e.Code
	}
	return broach.Internal
}

// sight are the rows that anybody has before his eyes.
func (p *poller) sight() map[netip.AddrPort]bool {
	all := map[netip.AddrPort]bool{}
	for v := range p.viewers {
		for _, addr := range v.sight {
			all[addr] = true
		}
	}
	return all
}

func (p *poller) wantsBeliefs() bool {
	for v := range p.viewers {
		if wantsBeliefs(v.sections) {
			return true
		}
	}
	return false
}
