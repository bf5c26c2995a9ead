package broach

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"broach/internal/pace"
	"broach/internal/seedbook"
)

// seeds are what the loop knows of the seeds, and does to find them.
type seeds struct {
	book      seedbook.Book
	silence   seedbook.Silence
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
func (s *seeds) next() time.Time { return pace.Earliest(s.book.Next(), s.silence.Next()) }

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
	n.tellSeeds(now)
}

// tellSeeds tells where the seeds are, as far as that is known.
func (n *Node) tellSeeds(now time.Time) {
	addrs := n.loop.seeds.book.Addrs()
	n.setSeeds(now, addrs, n.loop.seeds.book.IsHoping(len(addrs)))
}

// setSeeds tells the membership and the reader where the seeds are, unless that is nothing new.
func (n *Node) setSeeds(now time.Time, addrs []netip.AddrPort, hoped bool) {
	sorted := slices.SortedFunc(slices.Values(addrs), netip.AddrPort.Compare)
	if hoped == n.loop.members.IsHoping() && slices.Equal(sorted, *n.linking.seedAddrs.Load()) {
		return
	}
	n.linking.seedAddrs.Store(&sorted)
	n.loop.members.SetSeeds(now, addrs, hoped)
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
