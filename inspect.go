package broach

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"broach/internal/codec"
	"broach/internal/link"
	"broach/internal/member"
	"broach/internal/pace"
	"broach/internal/pool"
	"broach/internal/udp"
	"broach/internal/usage"
	"broach/internal/wire"
)

// View is what a node believes of its cluster, counts and is set to, as it says itself: see Inspect. Texts are those of
// the member that answered, as it sent them: whoever shows them escapes what a screen or page would act on, such as
// control characters. What an older version does not say is zero.
type View struct {
	Addr      netip.AddrPort    `msgpack:"a"`
	Name      string            `msgpack:"n,omitempty"` // of the application, as are Version and Tags
	Version   string            `msgpack:"v,omitempty"`
	Tags      map[string]string `msgpack:"t,omitempty"` // not to be modified
	Uptime    time.Duration     `msgpack:"u,omitempty"` // since the node was started
	GoVersion string            `msgpack:"g,omitempty"` // as in "go1.26.8"
	Library   string            `msgpack:"l,omitempty"` // as in "broach v0.3.0"

	// What the whole process takes: processor time since its begin, where the system says it; bytes of objects; how
	// many processors run its Go code at once
	CPU        time.Duration `msgpack:"c,omitempty"`
	HeapBytes  uint64        `msgpack:"h,omitempty"`
	Goroutines int           `msgpack:"r,omitempty"`
	Processors int           `msgpack:"p,omitempty"`

	Members  []MemberView `msgpack:"m,omitempty"` // sorted by address, the node itself among them
	Services []Service    `msgpack:"s,omitempty"` // as Services lists them there
	Stats    Stats        `msgpack:"x,omitempty"` // without Peers, where Members were not asked for
	Settings []Setting    `msgpack:"o,omitempty"`
}

// MemberView is what a node believes of a member, and has to do with it. The Views of all members say who suspects
// whom, and who reaches whom, how fast.
type MemberView struct {
	Member
	// Peer is what the Stats of the node say of the member; zero of the node itself, and of one that it has no link
	// with
	Peer PeerStats `msgpack:"p,omitempty"`
}

// Setting is one field of the Config that a node was started with, as a text. Neither keys nor the file's section for
// the application are among them.
type Setting struct {
	Key     string `msgpack:"k"`           // as in "Pool.Max"
	Value   string `msgpack:"v,omitempty"` // that holds, also where it is the default
	Default bool   `msgpack:"d,omitempty"` // nobody has set it
}

// ViewPart says what a View is to have besides what it says of the process.
type ViewPart uint32

// The parts of a View. Of 1,000 members ViewMembers is some 120 KiB; ViewServices grows with functions and their
// providers; the others are small. With ViewBrief members of a guest, or an older version, are whole all the same.
const (
	ViewMembers ViewPart = 1 << iota
	ViewServices
	ViewStats
	ViewSettings
	ViewBrief // of each of ViewMembers only Addr, State, the marks, RTT and Peer.Loss: 14 KiB of 1,000

	viewAll = ViewMembers | ViewServices | ViewStats | ViewSettings
)

// Inspect asks a member of the cluster what it believes, counts and is set to; with the address of this node itself,
// that is what it says to others. Only the parts that are named are made and sent; if none is, all are.
//
// An address that is no member's is NotFound, as is a member whose version of broach does not answer; one that is
// offline is Unreachable; one with Config.Silent is Unauthenticated. A member says Overloaded to who asks more than 10
// times a second, and where too many wait, and TooLarge, with Executed: Yes, if what is asked for is more than 8 MiB or
// its MaxMessage. If ctx has no deadline, it has Config.CallTimeout. Every error is an *Error.
func (n *Node) Inspect(ctx context.Context, addr netip.AddrPort, want ...ViewPart) (View, error) {
	parts := ViewPart(0)
	for _, p := range want {
		parts |= p
	}
	if len(want) == 0 {
		parts = viewAll
	}
	v, failed := n.Caller(viewService).inspect(orEndless(ctx), udp.Unmapped(addr), parts)
	if failed != nil {
		failed.Service = "Inspect"
		return View{}, failed
	}
	v.linkPeers(parts)
	return v.View, nil
}

// answeredView is a View as it travels.
type answeredView struct {
	View
	Brief []byte `msgpack:"q,omitempty"` // instead of Members: wire.Belief
}

// viewService is the protocol's own function that Inspect calls, PROTOCOL.md 5.3.
const viewService = "\x00view"

const (
	viewSize   = 8 << 20  // bytes of a View that travels
	viewMemory = 64 << 20 // what may be made of one, its texts aside: 200 bytes for each of 4,096 members take 1 MiB
)

// inspect finds out whom to ask, and asks.
func (c *Caller) inspect(ctx context.Context, addr netip.AddrPort, parts ViewPart) (v answeredView, failed *Error) {
	if failed := c.refusal(ctx); failed != nil {
		return v, failed
	}
	if addr == c.node.Addr() {
		v = c.node.inspected(parts)
	} else {
		l, failed := c.inspectedAt(ctx, addr)
		if failed != nil {
			return v, c.at(addr, failed)
		}
		if v, failed = c.askView(ctx, l, parts); failed != nil {
			return v, failed
		}
	}
	if err := v.expand(); err != nil {
		return v, c.at(addr, c.newError(Internal, Yes, "undecodable members: "+err.Error()))
	}
	return v, nil
}

// inspectedAt is the link to the member at an address.
func (c *Caller) inspectedAt(ctx context.Context, addr netip.AddrPort) (*conn, *Error) {
	if c.node.cfg.Guest {
		return c.visitedAt(ctx, addr)
	}
	peers := c.node.calling.view.Load().peers
	i := slices.IndexFunc(peers, func(p *member.View) bool { return p.Addr == addr })
	switch {
	case i < 0:
		return nil, c.newError(NotFound, No, "there is no such member")
	case isGone(peers[i].State):
		return nil, c.newError(Unreachable, No, "the member is "+State(peers[i].State).String())
	}
	l := c.node.linking.tokens.Link(peers[i].Link)
	if l == nil {
		return nil, c.newError(Unreachable, No, link.ErrDown.Error())
	}
	return l, nil
}

// askView asks a member. A call of a function is counted and may open its breaker; this is none.
func (c *Caller) askView(ctx context.Context, l *conn, parts ViewPart) (v answeredView, failed *Error) {
	now := time.Now()
	p, failed := c.attempt(ctx, now, l.visit(),
		&outCall{Arguments: codec.Arguments{List: []any{uint32(parts)}}, deadline: c.deadline(ctx, now)})
	if failed != nil {
		return v, failed
	}
	defer c.node.linking.wires.FreeCall(p)
	if len(p.Body) > viewSize {
		return v, c.at(l.ID.Addr, ownError(codec.TooLarge(wire.ExecutedYes, "results", viewSize)))
	}
	v, err := codec.DecodeWithin[answeredView](p.Body, viewMemory)
	if err != nil {
		return v, c.at(l.ID.Addr, c.own(err))
	}
	return v, nil
}

// expand makes members of those that came in brief.
func (v *answeredView) expand() error {
	brief, err := wire.ConsumeBeliefs(v.Brief)
	if len(brief) == 0 {
		return err
	}
	v.Members = make([]MemberView, len(brief))
	for i := range brief {
		b, m := &brief[i], &v.Members[i]
		m.Addr, m.State, m.Self, m.RTT = b.Addr, State(b.State), b.Self, b.RTT
		m.Unreachable, m.Unsteady, m.Draining = b.Unreachable, b.Unsteady, b.Draining
		m.Peer.Loss = b.Loss
	}
	return nil
}

// linkPeers gives the Stats the Peers that stand beside the members: they travel once.
func (v *View) linkPeers(parts ViewPart) {
	if parts&ViewStats == 0 {
		return
	}
	for i := range v.Members {
		if p := &v.Members[i].Peer; p.Addr.IsValid() {
			v.Stats.Peers = append(v.Stats.Peers, *p)
		}
	}
}

// What a node tells of itself when another inspects it. A View of many members takes milliseconds to make: a worker
// that runs nothing else makes one at a time, out of the snapshot that the loop has published, so that neither loop nor
// reader nor the workers of functions wait for it.

const (
	viewsEach    = 10 // a second, of one peer
	viewsWaiting = 64
	viewsRest    = 3  // times what the last one took: they take a quarter of a processor, however many ask
	viewArgs     = 16 // bytes: an array of one number
)

// views is what answers viewService.
type views struct {
	function *service
	pool     *pool.Pool                // its only worker
	isSilent bool                      // Config.Silent
	asked    pace.Each[netip.AddrPort] // the reader's. It grows by links, and so many can be made in a second
	next     time.Time                 // when the worker may make another; the worker's
}

// initViews makes ready what answers. It starts nothing before the first question.
func (n *Node) initViews() {
	f := ownService(viewService, func(parts uint32) answeredView { return n.inspected(ViewPart(parts)) })
	f.Most = min(viewSize, n.linking.wires.MaxMessage)
	n.serving.views = views{function: f, isSilent: n.cfg.Silent, pool: pool.New(pool.Limits{
		Core: 1, Max: 1, GrowAt: 1, Queue: viewsWaiting, KeepAlive: defaultKeepAlive, RejectWhenFull: true,
	})}
}

// admitView refuses a request for a View, or hands it to the worker for these.
func (r *reader) admitView(now time.Time, req *request) {
	switch v := &r.serving.views; {
	case v.isSilent:
		req.answerCode(Unauthenticated, No, "the member is not to be inspected: its Config is Silent")
	case len(req.Args.B) > viewArgs:
		req.answerError(ownError(codec.TooLarge(wire.ExecutedNo, "arguments", viewArgs)))
	case !v.asked.Take(now, req.from(), viewsEach):
		req.answerCode(Overloaded, No, fmt.Sprintf("it is asked more than %d times a second", viewsEach))
	default:
		v.take(req)
	}
}

// take hands a request to the worker, which does nothing else.
func (v *views) take(req *request) {
	switch v.pool.Offer(viewJob{req, v}) {
	case pool.Accepted:
		v.pool.Kick()
	case pool.Overloaded:
		req.answerCode(Overloaded, No, link.TextBusy)
	case pool.Busy:
		req.postpone()
	}
}

// viewJob is a request for a View, as the worker has it.
type viewJob struct {
	*request
	*views
}

// Run answers, unless nobody waits any more when it is time to.
func (j viewJob) Run(time.Time) (ended time.Time) {
	if !sleep(j.provider.ctx, time.Until(j.next)) {
		j.Reject()
		return ended
	}
	began := time.Now()
	if j.Expired(began) {
		j.Shed()
		return ended
	}
	j.request.Run(began)
	now := time.Now()
	j.next = now.Add(viewsRest * now.Sub(began))
	return now
}

// inspected is the View that this node gives of itself.
func (n *Node) inspected(parts ViewPart) answeredView {
	v := answeredView{View: n.viewOfProcess()}
	switch {
	case parts&ViewMembers == 0:
	case parts&ViewBrief == 0 || n.cfg.Guest:
		v.Members = besidePeers(n.Members(), n.Stats().Peers)
	default:
		v.Brief = n.brief()
	}
	if parts&ViewServices != 0 {
		v.Services = n.Services()
	}
	if parts&ViewStats != 0 {
		v.Stats = n.counts()
	}
	if parts&ViewSettings != 0 {
		v.Settings = n.cfg.settings(n.linking.transport.Stats().Largest())
	}
	return v
}

// viewOfProcess is what every View has.
func (n *Node) viewOfProcess() View {
	now := usage.Now()
	return View{
		Addr: n.Addr(), Name: n.cfg.Name, Version: n.cfg.Version, Tags: n.cfg.Tags,
		Uptime: time.Since(n.calling.view.Load().began), GoVersion: runtime.Version(), Library: library(),
		CPU: now.CPU, HeapBytes: now.HeapBytes, Goroutines: now.Goroutines, Processors: now.Processors,
	}
}

// besidePeers puts together what is said of the same address; both are sorted by it.
func besidePeers(members []Member, peers []PeerStats) []MemberView {
	list := make([]MemberView, len(members))
	for i, m := range members {
		list[i].Member = m
		at, isThere := slices.BinarySearchFunc(peers, m.Addr,
			func(p PeerStats, addr netip.AddrPort) int { return p.Addr.Compare(addr) })
		if isThere {
			list[i].Peer = peers[at]
		}
	}
	return list
}

// library is the name of this module and its version, as far as the program has been told it when it was built.
var library = sync.OnceValue(func() string {
	name := reflect.TypeFor[Node]().PkgPath()
	built, ok := debug.ReadBuildInfo()
	if !ok {
		return name
	}
	for _, m := range append(built.Deps, &built.Main) {
		if m.Path == name {
			return strings.TrimSpace(name + " " + m.Version)
		}
	}
	return name
})

// settings lists the fields of a Config as they hold: with their defaults, and without what is secret, is code, or is
// shown as what it is elsewhere in a View. largest is what MaxPacket is that is not set.
func (c Config) settings(largest int) []Setting {
	_, addr := c.listenAddr()
	list := []Setting{
		setting("Name", c.Name, c.Name == ""),
		setting("Version", c.Version, c.Version == ""),
		setting("Addr", addr, c.Addr == "" && c.Conn == nil),
		setting("Advertise", c.Advertise, c.Advertise == ""),
		setting("Join", strings.Join(c.Join, " "), len(c.Join) == 0),
		setting("Cluster", c.cluster(), c.Cluster == ""),
		setting("LogLevel", cmp.Or(c.LogLevel, "info"), c.LogLevel == ""),
		setting("Guest", fmt.Sprint(c.Guest), !c.Guest),
		setting("Silent", fmt.Sprint(c.Silent), !c.Silent),
		setting("Pool.RejectWhenFull", fmt.Sprint(c.Pool.RejectWhenFull), !c.Pool.RejectWhenFull),
	}
	full := c
	full.CallTimeout, full.AckTimeout = c.callTimeout(), c.ackTimeout()
	full.MaxPacket, full.MaxMessage = c.maxPacket(largest), c.maxMessage()
	full.Pool, full.Heartbeat = c.pool(), c.heartbeat()
	list = append(list, numbers(c.counts(), full.counts())...)
	return append(list, numbers(c.times(), full.times())...)
}

// setting is one, without a key that somebody has put in a wrong place.
func setting(key, value string, isDefault bool) Setting {
	if isKeyText(value) {
		value = hidden
	}
	return Setting{Key: key, Value: value, Default: isDefault}
}

// numbers are those of a Config, as they are set and with their defaults.
func numbers[T int | time.Duration](set, full []bounded[T]) (list []Setting) {
	for i := range set {
		list = append(list, setting(set[i].field, fmt.Sprint(full[i].value), set[i].value == 0))
	}
	return list
}
