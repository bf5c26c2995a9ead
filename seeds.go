package broach

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"broach/internal/member"
	"broach/internal/pace"
	"broach/internal/seedbook"
	"broach/internal/udp"
)

// seeds are what the loop knows of the seeds, and does to find them.
type seeds struct {
	book      seedbook.Book
	silence   seedbook.Silence
	absence   seedbook.Absence
	isOwnTold bool // the log knows that this node is its own seed

	lookUp  lookUpFunc
	running sync.WaitGroup // look-ups
}

// lookUpFunc finds the addresses of a host in a family, which it calls network.
type lookUpFunc func(ctx context.Context, network, host string) ([]netip.Addr, error)

// init makes a book of no seeds, for a node whose socket is bound to an address.
func (s *seeds) init(bound netip.Addr) {
	s.book, s.lookUp = seedbook.New(bound), net.DefaultResolver.LookupNetIP
}

// next is when the loop has something to do about seeds.
func (s *seeds) next() time.Time {
	return pace.First(s.book.Next(), s.silence.Next(), s.absence.Next())
}

// addSeeds takes up seeds whose form was checked.
func (n *Node) addSeeds(now time.Time, texts []string) {
	var list []seedbook.Seed
	for _, text := range texts {
		host, port, _ := parseSeed(text)
		list = append(list, seedbook.Seed{Text: text, Host: host, Port: port})
	}
	if unfit := n.loop.seeds.book.Add(now, list); len(unfit) > 0 {
		n.log.Warn("broach: seeds are of a family of addresses that this node's socket cannot send to:"+
			" bind it to an address of theirs, or to ::",
			"seeds", unfit, "bound", n.linking.transport.LocalAddr())
	}
	n.loop.seeds.absence = seedbook.Absence{}
	n.tellSeeds(now)
}

// tellSeeds tells where the seeds are, as far as that is known.
func (n *Node) tellSeeds(now time.Time) {
	addrs := n.loop.seeds.book.Addrs()
	n.setSeeds(now, addrs, n.loop.seeds.book.IsHoping(len(addrs)))
}

// setSeeds tells the membership and the gate where the seeds are, unless that is nothing new.
func (n *Node) setSeeds(now time.Time, addrs []netip.AddrPort, hoped bool) {
	sorted := slices.SortedFunc(slices.Values(addrs), netip.AddrPort.Compare)
	if n.linking.gate.NoteSeeds(sorted) || hoped != n.loop.members.IsHoping() {
		n.loop.members.SetSeeds(now, addrs, hoped)
	}
}

// lookUpTimeout is how long a look-up may take: a resolver asks several name servers, one after the other, for some
// seconds each.
const lookUpTimeout = 30 * time.Second

// lookUpNames begins the look-ups that are due.
func (n *Node) lookUpNames(now time.Time) {
	begin, slow := n.loop.seeds.book.Due(now, n.loop.members.IsMet)
	for _, s := range slow {
		n.noteName(now, s)
	}
	for _, order := range begin {
		n.loop.seeds.running.Go(func() { n.lookUpName(order) })
	}
}

// lookUpName looks up a name, and tells the loop what was found.
func (n *Node) lookUpName(order seedbook.Order) {
	ctx, cancel := context.WithTimeout(n.serving.provider.ctx, lookUpTimeout)
	defer cancel()
	ips, err := n.loop.seeds.lookUp(ctx, order.Network, order.Name.Host)
	_ = n.do(func(now time.Time) {
		n.loop.seeds.book.Ended(now, order, ips, err)
		n.noteName(now, order.Name)
	})
}

// noteName takes up what has been found out about a name.
func (n *Node) noteName(now time.Time, s *seedbook.Name) {
	n.tellSeeds(now)
	if s.IsTold(now) {
		errs, unfit := s.Errs()
		n.log.Warn("broach: the name of a seed leads to no address that this node's socket can send to:"+
			" check the name, the name servers, and the family of the address that the node is bound to",
			"seed", s.Text, "errs", errs, "unfit", unfit, "bound", n.linking.transport.LocalAddr())
	}
}

// What a node that has not joined knows of its seeds: whom it tried, what came back, and what to look at. The log tells
// it, ever more rarely, and so do the errors of calls that find nobody.

const (
	troubleEvery = 100 * time.Millisecond // between two looks at the seeds, for the errors of calls
	troubleMax   = 4                      // seeds that a text names
)

// trouble says of the first seeds why they are no members, in one line; nothing if there is no seed.
func (n *Node) trouble() string {
	var parts []string
	found := 0
	add := func(text func() string) {
		if found++; found <= troubleMax {
			parts = append(parts, text())
		}
	}
	for _, addr := range n.loop.seeds.book.Unfit() {
		add(func() string { return n.troubleOfFamily(addr) })
	}
	for _, s := range n.loop.seeds.book.UnknownNames() {
		add(s.Trouble)
	}
	for _, addr := range n.loop.members.SeedAddrs() {
		add(func() string { return n.troubleOf(addr) })
	}
	if more := found - troubleMax; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, "; ")
}

// troubleOfFamily says what is wrong with a seed that the socket cannot send to.
func (n *Node) troubleOfFamily(seed netip.AddrPort) string {
	return fmt.Sprintf("%v: this node's socket, bound to %v, cannot send to it:"+
		" bind it to an address of that family, or to ::",
		seed, n.linking.transport.LocalAddr())
}

// troubleOf says why a seed is no member.
func (n *Node) troubleOf(seed netip.AddrPort) string {
	at, standing := n.loop.members.SeedStanding(seed)
	where := seed.String()
	if seed != at {
		where = fmt.Sprintf("%v advertises %v", seed, at)
	}
	switch {
	case standing == member.SeedIsSelf:
		return fmt.Sprintf("%v: it is this node itself: name another", seed)
	case standing == member.SeedIsThere:
		return where + ": it is a member, and has not told of the others yet"
	case standing == member.SeedAnswers:
		return where + ": it answers, and does not confirm: do firewalls let UDP pass both ways?"
	case seed != at:
		return where + ": nothing came back from there: set its Advertise to an address that this node reaches"
	}
	return where + ": " + n.seedNotes.Text(seed)
}

// noteTrouble keeps what the errors of calls say while the node has not joined.
func (n *Node) noteTrouble(now time.Time) {
	if n.calling.view.Load().joined || now.Sub(n.loop.troubleAt) < troubleEvery {
		return
	}
	text := n.trouble()
	n.loop.troubleAt = now
	n.calling.unjoined.Store(&text)
}

// notJoined is what the error of a call adds while the node has not joined: it may not know of anybody yet. Empty: it
// has.
func (n *Node) notJoined(v *view) string {
	if v.joined {
		return ""
	}
	return "; this node has not joined its cluster: " + *n.calling.unjoined.Load()
}

// noteSilence tells an operator whose node finds no cluster. Nobody else would: who gets its Opens and does not answer
// cannot say why.
func (n *Node) noteSilence(now time.Time) {
	if s := &n.loop.seeds; n.loop.members.IsOwnSeed() && !s.isOwnTold {
		s.isOwnTold = true
		n.log.Info("broach: the only seed of this node is itself:"+
			" it waits for others to join, or its seeds are to be corrected", "addr", n.loop.members.Self())
	}
	if n.loop.seeds.silence.IsTold(now, n.loop.members.IsUnanswered()) {
		n.tellSilence()
	}
	isJoined := n.loop.members.Joined() && !n.loop.members.IsUnanswered()
	if !n.cfg.Guest && n.loop.seeds.absence.IsDue(now, isJoined) {
		n.tellAbsence()
	}
}

// tellAbsence tells of seeds that were never met, though others were: of those whom only they lead to, and who are
// parted from us, nobody else can tell.
func (n *Node) tellAbsence() {
	var parts []string
	for _, s := range n.loop.seeds.book.Unmet(n.loop.members.WasMet) {
		text := n.troubleOf(s.Addr)
		if s.Text != s.Addr.String() {
			text = s.Text + " at " + text
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return
	}
	n.log.Warn("broach: a seed has never answered, though this node has joined by another: check that one runs,"+
		" its address, and the firewalls between; members that only that seed leads to are not found",
		"seeds", inOneLine(parts), "addr", n.loop.members.Self())
}

// inOneLine names the first seeds, and how many more there are.
func inOneLine(parts []string) string {
	if more := len(parts) - troubleMax; more > 0 {
		parts = append(parts[:troubleMax:troubleMax], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, "; ")
}

// tellSilence asks the system first, where there is one.
func (n *Node) tellSilence() {
	tries := n.seedTries()
	asked := len(tries) > 0 && n.background.TryGo(func() error {
		n.seedNotes.NoteFailures(udp.Refusals(n.linking.transport.LocalAddr().Addr(), tries))
		return n.do(func(time.Time) { n.sayNobodyAnswers() })
	})
	if !asked {
		n.sayNobodyAnswers()
	}
}

// sayNobodyAnswers says it, unless somebody has meanwhile.
func (n *Node) sayNobodyAnswers() {
	if !n.loop.members.IsUnanswered() {
		return
	}
	n.log.Warn("broach: no seed has answered: check that one runs, its address, the firewalls between,"+
		" that it reaches this node at addr (else set Advertise),"+
		" and that both have the same Cluster, Keys and version of broach",
		"seeds", n.trouble(), "addr", n.loop.members.Self(),
		"cluster", n.cfg.cluster(), "keys", n.linking.wires.Ring.Load() != nil)
}

// seedTries are the Opens of the contacts with seeds that go on, to be sent once more where the system tells what
// becomes of them. A socket that is not ours to ask the system about has
// none.
func (n *Node) seedTries() (tries []udp.Datagram) {
	if n.cfg.Conn != nil {
		return nil
	}
	for _, o := range n.loop.members.OpensToSeeds(troubleMax) {
		_, d := n.linking.gate.Ask(o)
		tries = append(tries, d)
	}
	return tries
}
