package broach

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"broach/internal/balance"
	"broach/internal/link"
	"broach/internal/member"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// Who is offline, or not to be had by any link, is none of those that a call could go to.
func TestThoseWhoAreOfflineAreNoCandidates(t *testing.T) {
	r := &route{alive: make([]balance.Candidate, 2), doubtful: make([]balance.Candidate, 3), offline: 1}
	require.Len(t, r.candidates(), 5)
	var none *route
	require.Empty(t, none.candidates())

	peer := &member.View{Facts: member.Facts{State: member.Alive, Link: 7}}
	unlinked := peerRow{peer: peer, row: &wire.Function{Name: "f"}}
	r.amend(peerRow{}, unlinked)
	require.Equal(t, 2, r.offline)
	require.Len(t, r.candidates(), 5)
	gone := &route{offline: 1}
	gone.amend(unlinked, peerRow{})
	require.True(t, gone.isEmpty())
}

// town is a list of peers that changes by chance, with the links to them.
type town struct {
	rng   *rand.Rand
	names []string // of functions
	links map[uint64]*conn
	boots uint64
	peers []*member.View
}

func newTown(seed uint64) *town {
	t := &town{rng: rand.New(rand.NewPCG(seed, 0)), links: map[uint64]*conn{}}
	for i := range 30 {
		t.names = append(t.names, fmt.Sprintf("function%02d", i), fmt.Sprintf("\x00gtopic%02d", i))
	}
	slices.Sort(t.names)
	return t
}

func (t *town) link(token uint64) *conn { return t.links[token] }

// table is one by chance.
func (t *town) table() (table []wire.Function) {
	for _, name := range t.names {
		if t.rng.IntN(3) == 0 {
			table = append(table, wire.Function{
				Name: name, Weight: uint16(t.rng.IntN(3)), Idempotent: t.rng.IntN(2) == 0, Paused: t.rng.IntN(4) == 0,
			})
		}
	}
	return table
}

// newcomer is a process at an address where there was none, or another one.
func (t *town) newcomer(i int) *member.View {
	t.boots++
	id := wire.Process{Boot: t.boots, Addr: addrOf(i)}
	p := &member.View{Functions: t.table()}
	p.Process, p.Link, p.Name = id, t.newLink(id), "app"
	return p
}

// newLink makes a link to a process and returns its token.
func (t *town) newLink(id wire.Process) uint64 {
	token := uint64(len(t.links) + 1)
	t.links[token] = &conn{Link: link.Link{ID: id, Token: token}, record: new(balance.Record)}
	return token
}

// change makes another of what is at an address; nil: nobody is there.
func (t *town) change(i int, p *member.View) *member.View {
	if p == nil || t.rng.IntN(8) == 0 {
		return t.newcomer(i)
	}
	next := *p
	switch t.rng.IntN(7) {
	case 0:
		return nil
	case 1:
		next.State = member.State(t.rng.IntN(4))
	case 2:
		next.Unsteady, next.Draining = t.rng.IntN(2) == 0, t.rng.IntN(3) == 0
	case 3:
		next.Name = fmt.Sprint("app", t.rng.IntN(3))
	case 4:
		next.Functions = t.table()
	case 5:
		next.Link = t.newLink(next.Process)
	default:
		next.Since++
	}
	return &next
}

// live changes some of the peers.
func (t *town) live() {
	at := map[netip.AddrPort]*member.View{}
	for _, p := range t.peers {
		at[p.Addr] = p
	}
	t.peers = nil
	for i := range 12 {
		p := at[addrOf(i)]
		if t.rng.IntN(4) == 0 {
			p = t.change(i, p)
		}
		if p != nil {
			t.peers = append(t.peers, p)
		}
	}
}

// providerText is who can be called at a route, and how.
func providerText(r *route) string {
	if r == nil {
		return "none"
	}
	text := fmt.Sprint(r.offline, " away, ", r.once, " once")
	for _, list := range [][]balance.Candidate{r.alive, r.doubtful} {
		text += " |"
		for _, d := range list {
			text += fmt.Sprint(" ", d.Link.ID.Boot, "@", d.Link.ID.Addr, "*", d.Weight)
		}
	}
	for _, group := range []string{"app", "app0", "app1", "app2"} {
		if g := r.groups[group]; g != nil {
			text += " " + group + ": " + providerText(g)
		}
	}
	return text
}

// textOf is all that a table says of the functions of a town.
func (t *town) textOf(table routeTable) (lines []string) {
	for _, name := range t.names {
		lines = append(lines, fmt.Sprintf("%q %s", name, providerText(table.get(name))))
	}
	return lines
}

// Routes that have followed the peers through all their changes are the same as those that are made anew of what is
// there. A table that was followed stays as it was, and routes on which nothing has changed are the same.
func TestRoutesFollowThePeers(t *testing.T) {
	for seed := range uint64(20) {
		town, routes := newTown(seed), routeTable{}
		for step := range 60 {
			before, then := town.peers, town.textOf(routes)
			town.live()
			next := routes.follow(before, town.peers, town.link)
			anew := routeTable{}.follow(nil, town.peers, town.link)
			require.Equal(t, town.textOf(anew), town.textOf(next), "seed %d, step %d", seed, step)
			require.Equal(t, then, town.textOf(routes), "seed %d, step %d: calls read it still", seed, step)
			routes = next
		}
		gone := routes.follow(town.peers, nil, town.link)
		require.Equal(t, town.textOf(routeTable{}), town.textOf(gone), "seed %d: nothing is left", seed)
	}
}

// A changed row makes one route anew, and all that is known at the others is kept.
func TestARouteIsKeptWhileItsRowsAre(t *testing.T) {
	town := newTown(1)
	one, other := town.newcomer(1), town.newcomer(2)
	one.Functions = tableOf(0, 100)
	other.Functions = tableOf(0, 100)
	routes := routeTable{}.follow(nil, []*member.View{one, other}, town.link)
	changed := *one
	changed.Functions = slices.Clone(one.Functions)
	changed.Functions[50].Idempotent = true
	next := routes.follow([]*member.View{one, other}, []*member.View{&changed, other}, town.link)
	for i, f := range one.Functions {
		require.Equal(t, i != 50, routes.get(f.Name) == next.get(f.Name), "%s", f.Name)
	}
}
