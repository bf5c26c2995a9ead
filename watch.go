package broach

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"

	"broach/internal/member"
	"broach/internal/wire"
)

// State says what this node believes of a member.
type State uint8

const (
	Alive   State = iota // it answers
	Suspect              // it does not answer us, nor a witness; it is called only when nobody else is left
	Offline              // it is not called; it comes back as soon as it is heard of
	Left                 // it said that it leaves
)

var stateNames = [...]string{"alive", "suspect", "offline", "left"}

// String returns the name of the state in lower case.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// Member is a node of the cluster as this node sees it.
type Member struct {
	Addr        netip.AddrPort `msgpack:"a"`           // advertised
	Name        string         `msgpack:"n,omitempty"` // of the application
	Version     string         `msgpack:"v,omitempty"` // of the application
	State       State          `msgpack:"s,omitempty"`
	Self        bool           `msgpack:"f,omitempty"` // it is this node
	Unreachable bool           `msgpack:"u,omitempty"` // it is there, but this node does not reach it: it is not called
	// Unsteady: it went offline three times in a minute: it is called last until 30 s pass without that
	Unsteady bool              `msgpack:"y,omitempty"`
	Draining bool              `msgpack:"d,omitempty"` // it is going to leave and gets no new calls
	RTT      time.Duration     `msgpack:"r,omitempty"` // smoothed round trip of calls to it; 0: not measured yet
	Tags     map[string]string `msgpack:"t,omitempty"` // Config.Tags of the member; not to be modified
}

// Service is a function offered in the cluster.
type Service struct {
	Name      string           `msgpack:"n"`
	Signature string           `msgpack:"s,omitempty"` // as in "work01(int, int) int"
	Doc       string           `msgpack:"d,omitempty"` // what Register was told of it
	Providers []netip.AddrPort `msgpack:"p,omitempty"` // that can be called now, sorted
}

// EventKind says what an Event is about.
type EventKind uint8

const (
	MemberUp          EventKind = iota // a member was found, or is alive or reachable again
	MemberSuspect                      // a member became suspect
	MemberOffline                      // a member is offline
	MemberLeft                         // a member left
	ServiceAdded                       // a member offers a function
	ServiceRemoved                     // a member does not offer a function any more
	MemberUnreachable                  // a member lives, but this node does not reach it
	ServicePaused                      // a member's function does not serve, see SetServing
	ServiceResumed                     // it serves again
	CircuitOpened                      // a function failed again and again there and is not called: see CircuitOpen
	CircuitClosed                      // called there again, or the member is away: after MemberOffline or MemberLeft
)

var eventNames = [...]string{"member up", "member suspect", "member offline", "member left",
	"service added", "service removed", "member unreachable",
	"service paused", "service resumed", "circuit opened", "circuit closed"}

// String returns the kind as words.
func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return "unknown"
}

// tagMap is the public form of tags.
func tagMap(tags []wire.Tag) map[string]string {
	if len(tags) == 0 {
		return nil
	}
	m := make(map[string]string, len(tags))
	for _, t := range tags {
		m[t.Key] = t.Value
	}
	return m
}

// Event is a change in the cluster, or in how this node calls it. Service is the function that it is about, "" if it is
// about the member. A member that goes offline or leaves takes its functions along, without a ServiceRemoved for each;
// when it is up again there is a ServiceAdded for each. One that begins to drain, see Member.Draining, offers none any
// more: there is a ServiceRemoved for each.
type Event struct {
	Kind    EventKind
	Member  Member
	Service string
}

// Members lists the nodes of the cluster, this one among them, sorted by address. A guest asks its seed.
func (n *Node) Members() []Member {
	if n.cfg.Guest {
		return n.seedMembers()
	}
	v := n.calling.view.Load()
	list := make([]Member, 0, len(v.peers)+1)
	for _, p := range v.peers {
		list = append(list, n.member(p))
	}
	self := Member{Addr: v.self, Name: n.cfg.Name, Version: n.cfg.Version, Self: true, Tags: n.cfg.Tags}
	return slices.Insert(list, v.place(), self)
}

// member is the public form of a peer.
func (n *Node) member(p *member.View) Member {
	m := Member{
		Addr: p.Addr, Name: p.Name, Version: p.Version, State: State(p.State), Tags: tagMap(p.Tags),
		Unreachable: p.Unreachable, Unsteady: p.Unsteady, Draining: p.Draining,
	}
	if l := n.linking.tokens.Link(p.Link); l != nil {
		m.RTT = l.Snapshot().RoundTrip
	}
	return m
}

// Services lists the functions offered in the cluster, by this node or others, sorted by name. One that is offered with
// several signatures, as while a program is replaced, is listed with each: a call whose arguments do not fit one is
// made again where they may. A guest asks its seed.
func (n *Node) Services() []Service {
	if n.cfg.Guest {
		return n.seedView(ViewServices).Services
	}
	own, v := n.serving.offered.list(), n.calling.view.Load()
	list := make([]Service, 0, len(own))
	for i := range own {
		f := &own[i]
		var here []netip.AddrPort
		if !f.Paused {
			here = append(here, v.self)
		}
		list = append(list, serviceOf(f, v.routes.get(f.Name), here...))
	}
	list = append(list, v.services(own)...)
	slices.SortFunc(list, func(a, b Service) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Signature, b.Signature))
	})
	return list
}

// services lists the functions that peers offer and that are neither among own ones nor the protocol's. What is said of
// one is said by the first peer that says it.
func (v *view) services(own []wire.Function) []Service {
	type offer struct{ name, signature string }
	var list []Service
	known := make(map[offer]int)
	for _, p := range v.peers {
		for i := range offersOf(p) {
			f := &p.Functions[i]
			at, isHere := member.FindRow(own, f.Name)
			if isHere && own[at].Signature == f.Signature || wire.IsOwn(f.Name) {
				continue
			}
			o := offer{f.Name, f.Signature}
			at, isKnown := known[o]
			if !isKnown {
				known[o] = len(list)
				list = append(list, serviceOf(f, v.routes.get(f.Name)))
				continue
			}
			list[at].Doc = cmp.Or(list[at].Doc, f.Doc)
		}
	}
	return list
}

// serviceOf is the public form of a function with a route, and its addresses here.
func serviceOf(f *wire.Function, r *route, here ...netip.AddrPort) Service {
	return Service{
		Name: f.Name, Signature: f.Name + f.Signature, Doc: f.Doc, Providers: r.addrsOf(&f.Signature, here),
	}
}

// providersOf lists the addresses of those who can be called at a route now, and own ones.
func providersOf(r *route, own ...netip.AddrPort) []netip.AddrPort { return r.addrsOf(nil, own) }

// addrsOf lists those who offer the function with a signature; with any if it is nil.
func (r *route) addrsOf(signature *string, own []netip.AddrPort) []netip.AddrPort {
	addrs := slices.Clone(own)
	for _, d := range r.candidates() {
		if signature == nil || d.Signature == *signature {
			addrs = append(addrs, d.Link.ID.Addr)
		}
	}
	slices.SortFunc(addrs, netip.AddrPort.Compare)
	return addrs
}

// WaitFor waits until at least that many providers of a function can be called, this node among them. If ctx ends first
// it returns an error that matches ctx's and says how many there are, and what keeps this node from joining its cluster
// if it has not. A closed node returns ErrClosed.
func (n *Node) WaitFor(ctx context.Context, service string, providers int) error {
	ctx = orEndless(ctx)
	if n.cfg.Guest {
		return n.waitAsGuest(ctx, service, providers)
	}
	there := 0
	err := n.await(ctx, func(v *view) bool {
		there = len(v.routes.get(service).candidates())
		if n.serving.offered.serving(service) != nil {
			there++
		}
		return there >= providers
	})
	return waitedForProviders(service, there, providers, err)
}

// WaitJoined waits until the node has joined its cluster: a seed has told it of the members, and they have answered, or
// it has no other seeds than itself. Then calls find what is offered. It returns nil at once if that is so, an error
// that matches ctx's and says what came back from the seeds if ctx ends first, and ErrClosed if the node is closed.
func (n *Node) WaitJoined(ctx context.Context) error {
	err := n.await(ctx, func(v *view) bool { return v.joined })
	if err == nil || err == ErrClosed {
		return err
	}
	return fmt.Errorf("broach: WaitJoined: %w", err)
}

// await waits for a view that satisfies a condition. A view is the loop's until it is published, and never changes
// afterwards.
func (n *Node) await(ctx context.Context, satisfied func(*view) bool) error {
	ctx = orEndless(ctx)
	for {
		v := n.calling.view.Load()
		switch {
		case n.isClosed():
			return ErrClosed
		case satisfied(v):
			return nil
		}
		select {
		case <-v.nextc:
		case <-ctx.Done():
			return n.waitedInVain(ctx.Err())
		case <-n.serving.provider.ctx.Done():
		}
	}
}

// waitedInVain is the error of a ctx that has ended, with what keeps the node from joining if it has not.
func (n *Node) waitedInVain(err error) error {
	if trouble := n.notJoined(n.calling.view.Load()); trouble != "" {
		return fmt.Errorf("%w%s", err, trouble)
	}
	return err
}

// Watch yields what the cluster looks like now, as events, then each change, until ctx ends, the node is closed or the
// loop is left. A reader that is slow gets what has changed since it last looked, merged; it delays nobody. This node
// itself is not reported.
func (n *Node) Watch(ctx context.Context) iter.Seq[Event] {
	ctx = orEndless(ctx)
	return func(yield func(Event) bool) {
		for seen := (&view{}); ; {
			v := n.calling.view.Load()
			for e := range n.changes(seen, v) {
				if !yield(e) {
					return
				}
			}
			seen = v
			select {
			case <-v.nextc:
			case <-ctx.Done():
				return
			case <-n.serving.provider.ctx.Done():
				return
			}
		}
	}
}

// changes yields the events that lead from one view to another: first of processes that are gone, then by address.
func (n *Node) changes(from, to *view) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for p, is := range member.Counterparts(from.peers, to.peers) {
			if is != nil {
				continue
			}
			if !n.peerGone(p, yield) || !diffCircuits(from.open[p.Process], nil, n.about(p, yield)) {
				return
			}
		}
		for p, was := range member.Counterparts(to.peers, from.peers) {
			if p != was && !n.peerChanges(was, p, yield) {
				return
			}
			if !diffCircuits(from.open[p.Process], to.open[p.Process], n.about(p, yield)) {
				return
			}
		}
	}
}

// peerChanges yields what changed about one peer. A nil was is a peer not seen before.
func (n *Node) peerChanges(was, is *member.View, yield func(Event) bool) bool {
	if !n.stateChanges(was, is, yield) {
		return false
	}
	switch {
	case isGone(is.State):
		return true // with its functions
	case was == nil || isGone(was.State):
		was = &member.View{} // it brings them, if it was here before again
	}
	tell := n.about(is, yield)
	for change, name := range member.RowChanges(withOffer(was), withOffer(is)) {
		if !tell(rowEventOf(change), name) {
			return false
		}
	}
	return true
}

// withOffer is a view of a peer as far as it offers functions: one that drains offers none.
func withOffer(p *member.View) *member.View {
	if p.Draining {
		return &member.View{}
	}
	return p
}

// stateChanges yields what became of a peer. Who comes, or comes back, does so before it is told to be out of reach.
func (n *Node) stateChanges(was, is *member.View, yield func(Event) bool) bool {
	tell := func(news member.News) bool { return yield(Event{Kind: eventOf(news), Member: n.member(is)}) }
	switch {
	case was == nil || isGone(was.State) && was.State != is.State:
		return tell(is.State.News()) && (!is.Unreachable || tell(member.NewsUnreachable))
	case was.State != is.State || is.State == member.Alive && was.Unreachable != is.Unreachable:
		return tell(is.News())
	}
	return true
}

// isGone reports that a peer is no member any more.
func isGone(s member.State) bool { return s == member.Offline || s == member.Left }

// about yields events of a peer's functions.
func (n *Node) about(p *member.View, yield func(Event) bool) func(EventKind, string) bool {
	return func(kind EventKind, service string) bool {
		return yield(Event{Kind: kind, Member: n.member(p), Service: service})
	}
}

// peerGone yields the end of a peer that is not known any more: replaced by another process, or forgotten.
func (n *Node) peerGone(p *member.View, yield func(Event) bool) bool {
	if isGone(p.State) {
		return true
	}
	m := n.member(p)
	m.State = Offline
	return yield(Event{Kind: MemberOffline, Member: m})
}

// eventOf is the event that tells of news.
func eventOf(news member.News) EventKind {
	return [...]EventKind{
		member.NewsUp: MemberUp, member.NewsSuspect: MemberSuspect, member.NewsOffline: MemberOffline,
		member.NewsLeft:        MemberLeft,
		member.NewsUnreachable: MemberUnreachable,
	}[news]
}

// rowEventOf is the event that tells of a change of a row.
func rowEventOf(c member.RowChange) EventKind {
	return [...]EventKind{
		member.RowAdded: ServiceAdded, member.RowRemoved: ServiceRemoved,
		member.RowPaused: ServicePaused, member.RowResumed: ServiceResumed,
	}[c]
}
