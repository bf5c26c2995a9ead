package broach

import (
	"context"
	"net/netip"
	"time"

	"broach/internal/balance"
	"broach/internal/member"
	"broach/internal/wire"
)

// Who knows no tables asks where a function is. Any member answers, from what it knows of all.

// findService is the protocol's own function that guests ask, PROTOCOL.md [GST-4].
const findService = "\x00find"

// findsPerSec is how many questions are answered in a second. The reader answers them itself, for guests come just when
// the workers have too much to do; so they may take some hundredths of a processor, and not more.
const findsPerSec = 1000

// find answers a question.
func (r *reader) find(now time.Time, req *request) {
	if !r.finds.Take(now, findsPerSec) {
		req.answerCode(Overloaded, No, "the node is asked for functions too often")
		return
	}
	req.Run(now)
}

// findFunction is what answers findService.
func (n *Node) findFunction() *service {
	return ownService(findService, func(ctx context.Context, name string, wanted ...string) []byte {
		call, _ := InvocationFrom(ctx)
		found := n.providersFor(call.From, name, wanted)
		return found.Append(nil)
	})
}

// providersFor lists who offers a function: first the one that is wanted, if any, then those that can be called. Of
// more than there is room for each asker is told of others, and always of the same.
func (n *Node) providersFor(asker netip.AddrPort, name string, wanted []string) (found wire.Found) {
	v := n.calling.view.Load()
	r := v.routes.get(name)
	if wire.IsOwn(name) {
		return found
	}
	first := netip.AddrPort{}
	if len(wanted) > 0 {
		first, _ = netip.ParseAddrPort(wanted[0])
	}
	n.addSelf(&found, v, name)
	if r == nil {
		return found
	}
	found.More += uint32(r.offline)
	for _, list := range [][]balance.Candidate{r.alive, r.doubtful} {
		if i, ok := search(list, first); ok {
			v.addProvider(&found, name, &list[i])
		}
	}
	from := balance.Rendezvous(name, asker)
	for _, list := range [][]balance.Candidate{r.alive, r.doubtful} {
		for i := range list {
			if d := &list[(uint64(i)+from)%uint64(len(list))]; d.Link.ID.Addr != first {
				v.addProvider(&found, name, d)
			}
		}
	}
	return found
}

// addSelf lists this node, if it offers the function.
func (n *Node) addSelf(found *wire.Found, v *view, name string) {
	f := n.serving.offered.forPeers([]byte(name))
	if f == nil {
		return
	}
	if row := f.row(); !row.Paused && !v.self.Addr().IsUnspecified() && !n.serving.refusing.Load() {
		found.Add(wire.Provider{
			Process: wire.Process{Addr: v.self, Boot: n.linking.wires.Process.Boot},
			Table:   n.linking.wires.Table.Load(), Signature: row.Signature,
			Weight: row.Weight, Idempotent: row.Idempotent,
		})
		return
	}
	found.More++
}

// addProvider lists a peer.
func (v *view) addProvider(found *wire.Found, name string, d *balance.Candidate) {
	if len(found.Providers) == wire.FoundMost {
		found.More++
		return
	}
	p := member.WhoAt(v.peers, d.Link.ID.Addr)
	if p == nil {
		return
	}
	if i, ok := member.FindRow(p.Functions, name); ok {
		row := &p.Functions[i]
		found.Add(wire.Provider{
			Process: p.Process, Table: p.Tver, Signature: row.Signature, Weight: row.Weight, Idempotent: row.Idempotent,
			Last: standingOf(p) == calledLast,
		})
	}
}
