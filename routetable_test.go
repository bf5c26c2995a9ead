package broach

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/balance"
	"broach/internal/buffer"
	"broach/internal/link"
	"broach/internal/member"
	"broach/internal/race"
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

// What a changed row costs does not depend on how many others there are.
func TestAChangedRowCostsLittle(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates, too")
	}
	h := newHall(t, 200, 1000)
	const changes = 50
	cost := uint64(0)
	for range changes {
		h.pause(1000)
		cost += allocatedBy(func() { h.publish(h.now) })
	}
	require.Less(t, cost/changes, uint64(8<<10), "bytes, of them 1,600 for the list of the peers")
	require.Len(t, h.calling.view.Load().peers, 200)
	require.Equal(t, h.version, h.calling.view.Load().peers[0].Tver, "each change was one")
	require.NotNil(t, h.calling.view.Load().routes.get(tableOf(0, 501)[500].Name))
}

// allocatedBy is the number of bytes that f allocates.
func allocatedBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A peer that has not changed is the same in the next view, so that Watch and the routes need not look at it.
func TestUnchangedPeersAreShared(t *testing.T) {
	h := newHall(t, 3, 1)
	before := h.calling.view.Load()
	h.says(h.now, h.peers[1], 1, wire.Leave{})
	h.publish(h.now)
	after := h.calling.view.Load()
	for i := range before.peers {
		require.Equal(t, i != 1, before.peers[i] == after.peers[i], "peer %d", i)
	}
	left := Event{Kind: MemberLeft, Member: h.member(after.peers[1])}
	require.Equal(t, []Event{left}, slices.Collect(h.changes(before, after)))
}

// Views are made at most a tenth of the time, and a mass join does not make them all the time either; the first change
// after a while is shown at once.
func TestPublishingIsPacedByItsCost(t *testing.T) {
	require.Equal(t, 100*time.Microsecond, publishGap(10, 5*time.Microsecond))
	require.Equal(t, 5*time.Millisecond, publishGap(10, 500*time.Microsecond))
	require.Equal(t, publishLate, publishGap(10, time.Minute), "what is shown is never older")

	h := newHall(t, 1, 1)
	h.loop.viewTook = 20 * time.Millisecond
	h.publishSoon()
	require.Equal(t, h.loop.published.Add(200*time.Millisecond), h.loop.publishAt)
}

// What is told of a member adds up to what Members says of it: who is out of reach is not told as up, but for a moment
// when it comes.
func TestEventsSayWhatAMemberIs(t *testing.T) {
	n := new(Node)
	n.linking.tokens.Init(rand.Uint64)
	view := func(s member.State, unreachable bool) *member.View {
		facts := member.Facts{State: s, Unreachable: unreachable}
		return &member.View{Facts: facts, Functions: []wire.Function{{Name: "f"}}}
	}
	for name, test := range map[string]struct {
		was, is *member.View
		want    []EventKind
	}{
		"it comes": {nil, view(member.Alive, false), []EventKind{MemberUp, ServiceAdded}},
		"it comes out of reach": {nil, view(member.Alive, true),
			[]EventKind{MemberUp, MemberUnreachable, ServiceAdded}},
		"it is lost": {view(member.Alive, false), view(member.Alive, true),
			[]EventKind{MemberUnreachable}},
		"it is reached again": {view(member.Alive, true), view(member.Alive, false), []EventKind{MemberUp}},
		"a doubt about the unreachable": {view(member.Alive, true), view(member.Suspect, true),
			[]EventKind{MemberSuspect}},
		"that is over": {view(member.Suspect, true), view(member.Alive, true),
			[]EventKind{MemberUnreachable}},
		"that is over, and it is reached": {view(member.Suspect, true), view(member.Alive, false),
			[]EventKind{MemberUp}},
		"it dies": {view(member.Suspect, false), view(member.Offline, false),
			[]EventKind{MemberOffline}},
		"it comes back": {view(member.Offline, false), view(member.Alive, false),
			[]EventKind{MemberUp, ServiceAdded}},
		"it comes back out of reach": {view(member.Left, true), view(member.Alive, true),
			[]EventKind{MemberUp, MemberUnreachable, ServiceAdded}},
		"it leaves after it died": {view(member.Offline, false), view(member.Left, false),
			[]EventKind{MemberLeft}},
		"it has died before we look": {nil, view(member.Offline, false), []EventKind{MemberOffline}},
		"nothing":                    {view(member.Offline, false), view(member.Offline, false), nil},
	} {
		var got []EventKind
		n.peerChanges(test.was, test.is, func(e Event) bool {
			got = append(got, e.Kind)
			return true
		})
		require.Equal(t, test.want, got, name)
	}
}

// A call that begins by the view of before to a peer that has been found to be away is ended as soon as there is
// another view, not after the AckTimeout; one to a peer that is back by then goes on.
func TestLateCallsToWhoIsAwayAreEnded(t *testing.T) {
	h := newHall(t, 2, 1)
	h.loop.viewTook = time.Minute // so that the next view is due later
	h.fail(h.peers[0])
	h.fail(h.peers[1])
	lost, kept := h.begin(h.peers[0]), h.begin(h.peers[1])
	h.says(h.now, h.peers[0], 1, wire.Leave{})
	h.publish(h.now)
	require.Len(t, lost.Done, 1)
	require.Equal(t, wire.Unreachable, lost.Code)
	require.True(t, lost.Gone)
	require.Equal(t, textOffline, string(lost.Body))
	require.Empty(t, kept.Done)

	kept = h.begin(h.peers[0])
	h.publish(h.now)
	require.Empty(t, kept.Done, "it is done once")
}

// Calls are ended when the view shows that their peer is away, if it can: who makes them again does not go there again.
func TestCallsAreEndedWhenTheViewShowsWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, 1, 1)
		p := h.begin(h.peers[0])
		p.Done = make(chan struct{}) // whoever ends the call has to wait until it is taken notice of
		h.says(h.now, h.peers[0], 1, wire.Leave{})
		h.now = h.now.Add(time.Minute)
		go h.fail(h.peers[0])
		synctest.Wait()
		require.Equal(t, member.Left, h.calling.view.Load().peers[0].State)
		<-p.Done
	})
}

func (h *hall) fail(l *conn) { h.endCallsToAway(h.now, member.Effects{Offline: []uint64{l.Token}}) }

// begin makes a call on a link.
func (h *hall) begin(l *conn) *link.Call {
	frame := buffer.New()
	frame.B = wire.SetLength(wire.Request{Service: []byte("f")}.Append(frame.B))
	p := h.linking.wires.NewCall()
	if _, _, err := l.Send(h.now, h.now.Add(time.Minute), frame, p); err != nil {
		panic(err)
	}
	return p
}
