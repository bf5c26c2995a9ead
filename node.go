package broach

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	mrand "math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"broach/internal/balance"
	"broach/internal/buffer"
	"broach/internal/gate"
	"broach/internal/handshake"
	"broach/internal/link"
	"broach/internal/member"
	"broach/internal/pace"
	"broach/internal/pool"
	"broach/internal/seal"
	"broach/internal/seedbook"
	"broach/internal/skew"
	"broach/internal/tokens"
	"broach/internal/udp"
	"broach/internal/wire"

	"golang.org/x/sync/errgroup"
)

const backgroundMax = 16 // table pulls at once

const closeGrace = time.Second // how long Close waits for functions that do not return

// Node is one member of a cluster: it offers functions, calls functions and knows who is there. Its methods may be
// called by many goroutines at once. Run and Start make nodes; the zero Node is of no use.
type Node struct {
	cfg     Config
	addr    netip.AddrPort // at the start, see Addr
	stats   counters
	tallies tallies
	log     *journal
	deaf    atomic.Bool // the socket is gone

	seedNotes  seedbook.Notes
	background errgroup.Group
	stop       context.CancelFunc // ends serving.provider.ctx: closing has begun
	closing    atomic.Bool
	running    sync.WaitGroup // the reader and the loop
	donec      chan struct{}  // closed when the node is closed

	linking linking
	calling calling
	serving serving
	loop    loop
}

// loop is the loop's alone, but for the channels by which it is told.
type loop struct {
	members      *member.Membership
	rng          *mrand.Rand
	publishAt    time.Time // when the view must be rebuilt; zero: it is right
	published    time.Time
	viewTook     time.Duration // to make
	away         []away        // found so since then
	tableAt      time.Time     // when the peers are told of a change of what we offer; zero: there is none
	tableMade    time.Time
	seeds        seeds
	troubleAt    time.Time // when unjoined was made
	idle         buffer.Idle
	touched      []*conn
	replaced     []*conn        // that have a better one beside them
	tendAt       time.Time      // when to look at those; zero: there are none
	opening      []udp.Datagram // Opens to be sent
	circuitsAt   time.Time      // when to look at the breakers again; zero: none was open
	memberLines  pace.LogLimit
	circuitLines pace.LogLimit
	crowdedLines pace.LogLimit
	inbox        chan *inbound
	arrivals     chan arrival
	commands     chan func(now time.Time) // run by the loop
}

// serving is what a request needs, from when it comes until it is answered.
type serving struct {
	offered   offering
	events    events // what it has subscribed to
	timetable timetable
	ownTable  atomic.Pointer[[]byte] // our service table with its version, as peers pull it
	tables    *service               // gives it to them
	describes *service               // answers Describe
	finds     *service               // tells guests who offers a function
	views     views                  // answers Inspect
	pool      *pool.Pool
	provider  provider
	refusing  atomic.Bool   // no peer calls us any more, and we call nobody: see Leave
	drainedc  chan struct{} // closed when refusing begins
	isGuest   bool          // nobody calls us
}

// calling is what a Caller needs. Callers read it at any time; the loop publishes the view.
type calling struct {
	view     atomic.Pointer[view]
	calls    atomic.Uint64 // made to peers
	retries  balance.Budget
	circuits balance.Circuits
	dice     atomic.Uint64          // state of random
	roll     func(n int) int        // random
	self     *balance.Record        // stands for this node among the providers
	unjoined atomic.Pointer[string] // why, while the node has not joined

	described skew.Descriptions
	skews     skews
	guest     guest
}

// linking is what makes and finds links: the reader and the loop share it.
type linking struct {
	wires     link.Carrier // what all links share
	transport udp.Transport
	tokens    tokens.Table[*conn]
	gate      gate.Gate[*conn]
}

// Start starts a node and returns once it serves; joining the cluster goes on in the background. The zero Config makes
// a node on a free loopback port that waits to be joined. The error names all that is wrong with cfg.
func Start(cfg Config) (*Node, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	log := newJournal(cfg)
	t, err := cfg.open(log)
	if err != nil {
		return nil, err
	}
	n := newNode(cfg, t, log)
	n.serve()
	return n, nil
}

// serve sets the reader and the loop going.
func (n *Node) serve() {
	n.running.Add(2)
	go newReader(n).read()
	go n.beat()
}

// newNode wires the rooms of a node together.
func newNode(cfg Config, t udp.Transport, log *journal) *Node {
	now := time.Now()
	n := &Node{cfg: cfg, log: log, addr: cfg.advertise(t.LocalAddr()), tallies: newTallies()}
	n.linking.transport, n.serving.pool, n.loop.rng = t, pool.New(pool.Limits(cfg.pool())), newRand(cfg.RandSeed)
	n.linking.wires = link.Carrier{
		Transport: t, Gathers: t.Stats().Gathers, Cluster: wire.ClusterID(cfg.cluster()),
		MaxMessage: cfg.maxMessage(), Room: t.Stats().ReceiveBuffer / 4 * 3, // what is small needs some, too
		Peers: member.PeersMax, Silence: cfg.ackTimeout(),
		Nonce: n.linking.tokens.Draw, Resized: n.log.noteSize,
		Shared: n.linking.gate.Shared,
	}
	n.linking.wires.Ring.Store(cfg.ring())
	n.drawSecrets(now)
	n.linking.gate.Init(&n.linking.wires, &n.linking.tokens, n.addr, n.makeLink)
	n.calling.unjoined.Store(new(string))
	n.cfg.Keys, n.cfg.app = nil, appSection{} // the ring has the keys: whatever prints the node finds no secret
	n.linking.wires.MaxPacket = max(cfg.maxPacket(t.Stats().Largest())-n.linking.wires.Overhead(), link.BasePacket)
	n.linking.wires.Init(now)
	if cfg.Guest {
		n.linking.wires.Table.Store(0)
	}
	n.calling.dice.Store(n.loop.rng.Uint64())
	p := &n.serving.provider
	p.addr, p.log, p.maxMessage = n.Addr, n.log, n.linking.wires.MaxMessage
	p.tracing, p.began, p.unknown = newTracing(cfg.Tracer, n.log), now, n.tallies.served.Rest()
	n.serving.provider.ctx, n.stop = context.WithCancel(context.Background())
	n.loop.inbox, n.loop.arrivals = make(chan *inbound, inboxMax), make(chan arrival, arrivalsMax)
	n.loop.commands = make(chan func(time.Time), 1)
	n.calling.self, n.calling.roll = new(balance.Record), n.random
	n.donec, n.serving.drainedc = make(chan struct{}), make(chan struct{})
	n.background.SetLimit(backgroundMax)
	n.serving.timetable.init()
	n.serving.offered, n.serving.isGuest = newOffering(n.tallies.served), cfg.Guest
	n.loop.members = member.New(member.Config{
		Self: n.addr, Boot: n.linking.wires.Process.Boot, Name: cfg.Name, Version: cfg.Version,
		Tags:  wireTags(cfg.Tags),
		Guest: cfg.Guest, Silence: cfg.ackTimeout(),
		Heartbeat: member.Timing(cfg.heartbeat()), MaxPeers: cmp.Or(cfg.peersMax, member.PeersMax),
		Open: n.linking.tokens.Open, Terms: n.linking.wires.Terms, IsBusy: n.isBusy,
	}, now, n.loop.rng)
	n.serving.events.rows = make(map[string][]*backlog)
	n.calling.circuits.Wake = func() { n.linking.wires.Timers.WakeBy(1) }
	n.serving.tables, n.serving.describes, n.serving.finds = n.tableFunction(), n.describeFunction(), n.findFunction()
	n.initViews()
	if !cfg.Guest { // whose table has no version, [GST-1]
		n.setTable(now, 1, n.serving.offered.table())
	}
	n.loop.seeds.init(t.LocalAddr().Addr())
	n.addSeeds(now, cfg.Join)
	n.publish(now)
	n.greet()
	return n
}

// newRand returns the node's randomness: of the seed, so that a simulation can be replayed, or of the system.
func newRand(seed uint64) *mrand.Rand {
	if seed != 0 {
		return mrand.New(mrand.NewPCG(seed, seed))
	}
	var b [16]byte
	rand.Read(b[:])
	return mrand.New(mrand.NewPCG(binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])))
}

// drawSecrets makes what nobody else can know of this process.
func (n *Node) drawSecrets(now time.Time) {
	source := n.cfg.secrets()
	random := make([]byte, handshake.RandomSize)
	read := func(b []byte) {
		if _, err := io.ReadFull(source, b); err != nil {
			panic("broach: internal error: no randomness: " + err.Error())
		}
	}
	read(random)
	n.linking.wires.Process = handshake.NewProcess(random, n.linking.wires.Ring.Load() != nil, now)
	b := make([]byte, 8) // the table draws under its lock
	n.linking.tokens.Init(func() uint64 {
		read(b)
		return binary.BigEndian.Uint64(b)
	})
}

// secrets is where keys and tokens are drawn from: the system, but for a simulated network, which can be replayed.
// RandSeed is for choices alone.
func (c *Config) secrets() io.Reader {
	if simulated, ok := c.Conn.(interface {
		Secrets(seal.Simulated) io.Reader
	}); ok {
		return simulated.Secrets(seal.Simulated{})
	}
	return rand.Reader
}

// greet logs what an operator wants to know at start.
func (n *Node) greet() {
	for _, w := range n.cfg.warnings {
		n.log.Warn("broach: " + w)
	}
	if n.isOpen() && !n.cfg.Guest {
		n.log.Loudly("broach: there are no keys: whoever reaches this node can join its cluster and call its functions",
			"addr", n.addr)
	}
	if names := n.cfg.overridden; len(names) > 0 {
		n.log.Debug("broach: variables of the environment stand in place of the configuration file", "names", names)
	}
	n.log.Info("broach: node started", "addr", n.addr, "cluster", n.cfg.cluster(), "name", n.cfg.Name)
}

// isOpen reports that others than this host can reach a node without keys: by the address it is bound to, or by the one
// it tells of, which may lead to it through a tunnel.
func (n *Node) isOpen() bool {
	isLocal := n.linking.transport.LocalAddr().Addr().IsLoopback() && n.addr.Addr().IsLoopback()
	return n.linking.wires.Ring.Load() == nil && !isLocal
}

// random draws a number below k.
func (n *Node) random(k int) int { return int(n.draw() >> 1 % uint64(k)) }

// draw draws a number. The counter form of splitmix64 needs no lock.
func (n *Node) draw() uint64 { return balance.Mixed(n.calling.dice.Add(0x9e3779b97f4a7c15)) }

// Addr is the address that peers are told: Config.Advertise, or else what the socket is bound to. Where that is 0.0.0.0
// or ::, it is so until another node says where it sees this one, and changes when that does.
func (n *Node) Addr() netip.AddrPort { return n.calling.view.Load().self }

// Done returns a channel that is closed when the node is closed: by Close or Leave, or because its socket failed.
func (n *Node) Done() <-chan struct{} { return n.donec }

// isClosed reports that closing has begun.
func (n *Node) isClosed() bool { return n.serving.provider.ctx.Err() != nil }

// Join adds seeds, as "host:port", at run time. It checks their form and returns at once; they are tried, now and then
// for ever, whenever no member is there. To name one again tries it at once. The errors are InvalidArgument, in which
// case none is added, and ErrClosed.
func (n *Node) Join(seeds ...string) error {
	for _, s := range seeds {
		if _, _, ok := parseSeed(s); !ok {
			return refused(InvalidArgument, "the seed %q %s", s, seedForm)
		}
	}
	return n.do(func(now time.Time) {
		n.addSeeds(now, seeds)
		n.loop.members.HealNow(now)
	})
}

// Forget makes this node forget a member that is offline or has left, as it would by itself after Heartbeat.Forget: it
// is not shown any more, nor contacted unless it is a seed. Other nodes have their own memory, and a process that
// announces itself from that address is a member again. A member that is there is an InvalidArgument, an unknown one
// NotFound; a closed node returns ErrClosed.
func (n *Node) Forget(addr netip.AddrPort) error {
	addr = udp.Unmapped(addr)
	errc := make(chan error, 1)
	err := n.do(func(now time.Time) {
		was, known := n.loop.members.Dismiss(addr)
		n.carryOut(now)
		n.publish(now)
		errc <- dismissed(addr, State(was), known)
	})
	if err != nil {
		return err
	}
	select {
	case err = <-errc:
		return err
	case <-n.serving.provider.ctx.Done():
		return ErrClosed
	}
}

// dismissed is what Forget returns of a member that was in a state.
func dismissed(addr netip.AddrPort, was State, known bool) error {
	switch {
	case !known:
		return refused(NotFound, "forget %v: there is no such member", addr)
	case was == Alive || was == Suspect:
		return refused(InvalidArgument, "forget %v: the member is %v", addr, was)
	}
	return nil
}

// Close ends the node now: every waiting call returns ErrClosed, the contexts of running functions end, and it says so
// to its peers until all have heard it, which takes a round trip, or 0.3 s where one does not answer. Functions that
// have not returned a second later are left behind. Close returns nil when all is done, also to those who call it again
// or at the same time. A function may call it too, but then waits that second for itself.
func (n *Node) Close() error {
	if n.closing.CompareAndSwap(false, true) {
		n.serving.timetable.close()
		n.stop()
		n.running.Wait()
		n.serving.pool.Close(closeGrace)
		n.serving.views.pool.Close(closeGrace)
		n.calling.skews.close()
		_ = n.background.Wait()
		n.loop.seeds.running.Wait()
		n.calling.guest.close()
		n.dropEvents()
		_ = n.serving.timetable.telling.Wait()
		n.log.Info("broach: node closed", "addr", n.Addr())
		n.log.Flush(logGrace)
		close(n.donec)
	}
	<-n.donec
	return nil
}

// do has the loop run a command, and fails with ErrClosed when there is no loop any more.
func (n *Node) do(command func(now time.Time)) error {
	if n.isClosed() { // or select would have the choice: commands has room
		return ErrClosed
	}
	select {
	case n.loop.commands <- command:
		return nil
	case <-n.serving.provider.ctx.Done():
		return ErrClosed
	}
}

// suggest has the loop run a command if it has time.
func (n *Node) suggest(command func(now time.Time)) {
	select {
	case n.loop.commands <- command:
	default:
	}
}

// SetKeys changes the keys of the cluster on a running node: the first seals, all open. To change the key of a cluster
// without a cut, give every node the new key behind the old one, then every node the new one first, and then every node
// the new one alone. The keys are copied; they obey the rules of Config.Keys. What is wrong with them is an
// InvalidArgument, as is a node that was started without keys; a closed node returns ErrClosed.
func (n *Node) SetKeys(keys [][]byte) error {
	ring, err := seal.NewRing(keys)
	switch {
	case n.isClosed():
		return ErrClosed
	case err != nil:
		return refused(InvalidArgument, "set keys: %w", err)
	case n.linking.wires.Ring.Load() == nil:
		return refused(InvalidArgument, "set keys: the node was started without any")
	}
	n.linking.wires.Ring.Store(ring)
	return nil
}
