package broach

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"broach/internal/codec"
	"broach/internal/link"
	"broach/internal/member"
	"broach/internal/udp"
	"broach/internal/wire"
)

// View is what a node believes of its cluster, counts and is set to, as it says itself: see Inspect. Texts are those of
// the member that answered, as it sent them: whoever shows them to people escapes what their screen or page would act
// on, control characters among it. What a member of an older version does not say is zero.
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

// MemberView is what a node believes of a member, and what it has to do with it. So the Views of all members together
// say who suspects whom, and who reaches whom, how fast.
type MemberView struct {
	Member
	// Peer is what the Stats of the node say of the member; zero of the node itself, and of one that it has no link
	// with
	Peer PeerStats `msgpack:"p,omitempty"`
}

// Setting is one field of the Config that a node was started with, as a text. Keys are never among them, nor is what
// the configuration file says to the application.
type Setting struct {
	Key     string `msgpack:"k"`           // as in "Pool.Max"
	Value   string `msgpack:"v,omitempty"` // that holds, also where it is the default
	Default bool   `msgpack:"d,omitempty"` // nobody has set it
}

// ViewPart says what a View is to have besides what stands in it of the process.
type ViewPart uint32

// The parts of a View. Of 1,000 members ViewMembers is some 120 KiB; ViewServices grows with functions and their
// providers; the others are small.
const (
	ViewMembers ViewPart = 1 << iota
	ViewServices
	ViewStats
	ViewSettings

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
	v, failed := n.Caller(viewService).inspect(ctx, udp.Unmapped(addr), parts)
	if failed != nil {
		failed.Service = "Inspect"
		return View{}, failed
	}
	v.linkPeers(parts)
	return v, nil
}

// viewService is the protocol's own function that Inspect calls, PROTOCOL.md 5.3.
const viewService = "\x00view"

const (
	viewSize   = 8 << 20  // bytes of a View that travels
	viewMemory = 64 << 20 // what may be made of one, its texts aside: 200 bytes for each of 4,096 members take 1 MiB
)

// inspect finds out whom to ask, and asks.
func (c *Caller) inspect(ctx context.Context, addr netip.AddrPort, parts ViewPart) (View, *Error) {
	if failed := c.refusal(ctx); failed != nil {
		return View{}, failed
	}
	if addr == c.node.Addr() {
		return c.node.inspected(parts), nil
	}
	l, failed := c.inspectedAt(ctx, addr)
	if failed != nil {
		return View{}, c.at(addr, failed)
	}
	return c.askView(ctx, l, parts)
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
func (c *Caller) askView(ctx context.Context, l *conn, parts ViewPart) (v View, failed *Error) {
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
	v, err := codec.DecodeWithin[View](p.Body, viewMemory)
	if err != nil {
		return View{}, c.at(l.ID.Addr, c.own(err))
	}
	return v, nil
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
