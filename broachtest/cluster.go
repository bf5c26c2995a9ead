package broachtest

import (
	"cmp"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/simnet"
)

// Cluster is a number of nodes on a network of their own in memory. New makes one; the zero Cluster is of no use. Its
// methods may be called by many goroutines at once, all of them in the bubble in which it was made, or outside of
// any.
type Cluster struct {
	t        testing.TB
	seed     uint64
	defaults broach.Config
	net      *simnet.Network
	made     time.Time // by the clock of the bubble
	mark     string    // of the goroutines of its nodes
	match    matching
	senders  sync.Map // *process by the address it sends from

	mu        sync.Mutex // guards what follows, and what of a process says so; not held while anything waits
	processes []*process // in the order of their starts
	started   int        // addresses that were given away
	hasEnded  bool
}

// process is one life of a node.
type process struct {
	name  string
	addr  netip.AddrPort // at which its socket is
	opts  []func(*broach.Config)
	cfg   broach.Config
	born  time.Time
	table atomic.Uint32               // version of what it offers, by its newest datagram; 0: it has sent none
	node  atomic.Pointer[broach.Node] // nil: it is just being started
	guest atomic.Bool                 // it is one: nobody is to know it, nor to join by it

	// Guarded by the mutex of the cluster.
	isKilled   bool // or could not be started
	isPaused   bool
	isReplaced bool        // by Restart
	overdue    *time.Timer // ends a pause that nobody ends; nil: it was never paused
}

// Option says how a cluster is to be.
type Option func(*Cluster)

// Seed chooses what is left to chance: which datagrams are lost, duplicated and late, and what nodes draw. Without it
// the seed is 1. Every number is a seed, also 0.
func Seed(n uint64) Option { return func(c *Cluster) { c.seed = n } }

// Defaults is the configuration of all nodes, to which the options of Start make their changes. Slices and maps in it
// are copied for each node. Its zero fields are those of broach.Start, but for those that Start of a Cluster sets.
// Conn must be nil. Without it the configuration is the zero Config.
func Defaults(cfg broach.Config) Option { return func(c *Cluster) { c.defaults = cfg } }

// New returns a cluster without nodes, on a network without faults: a datagram takes 100 µs. In a bubble of
// testing/synctest the cluster lives in the bubble's time, and t must be the bubble's own; else it lives in real
// time.
//
// When t ends, all nodes that live are closed, and the network with them; nothing needs to be closed before. A
// goroutine of a node that is still there after that, such as a function that does not return though its context has
// ended for two seconds, is an error of the test, with its stack. When t has failed, the seed is logged.
func New(t testing.TB, opts ...Option) *Cluster {
	if t == nil {
		panic("broachtest: New: the t is nil")
	}
	t.Helper()
	c := &Cluster{t: t, seed: 1, made: time.Now(), mark: nextMark()}
	for _, o := range opts {
		if o == nil {
			c.fail("New: an option is nil")
		}
		o(c)
	}
	if c.defaults.Conn != nil {
		c.fail("Defaults: Conn must be nil, for each node gets one of its own")
	}
	if isForeign(t) {
		c.fail("New: this t does not end with the bubble: take the one that synctest.Test gives its function")
	}
	c.net = simnet.New(c.seed)
	c.net.Drop(c.picks)
	t.Cleanup(c.close)
	return c
}

// Start starts a node of an application and returns once it serves. It is at the address 10.0.0.n, where n counts the
// starts from 1, and port 7000; after 250 nodes follows 10.0.1.1. Joining goes on in the background: see Settle.
//
// Name is the Config.Name of the node, shared by the instances of an application; "" leaves that of Defaults. The node
// joins by the first one that lives, rather by one that is not paused, unless Defaults has Join. RandSeed follows from
// the seed, unless Defaults has one. Nodes log nothing, unless there is a Logger or a LogLevel. All else is as Defaults
// says.
//
// Then opts may change the configuration, in their order. They find a Conn in it, which they may wrap and must not
// replace. Config.Addr has no meaning here.
//
// A configuration that broach.Start refuses fails the test. Nodes that are started by several goroutines at once get
// their addresses in any order.
func (c *Cluster) Start(name string, opts ...func(*broach.Config)) *broach.Node {
	c.enter("Start")
	c.t.Helper()
	c.mu.Lock()
	p := &process{name: cmp.Or(name, c.defaults.Name), addr: addrOf(c.started), opts: opts}
	c.started++
	c.mu.Unlock()
	return c.launch("Start", p)
}

// addrOf is the address of the i-th node.
func addrOf(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i%250 + 1)}), 7000)
}

// launch starts a process, whose name, address and options are known.
func (c *Cluster) launch(op string, p *process) *broach.Node {
	c.t.Helper()
	conn, err := c.net.Listen(p.addr)
	if err != nil {
		c.fail("%s %q: %v", op, p.name, err)
	}
	isConfigured := false
	defer func() {
		if !isConfigured { // an option has panicked, or ended the test
			c.end(p)
			conn.Close()
		}
	}()
	c.configure(p, conn)
	isConfigured = true
	n, err := c.begin(p)
	if err != nil {
		c.end(p)
		c.fail("%s %q: %v", op, p.name, err)
	}
	return n
}

// configure makes the configuration of a process, and lets those who start at the same time know of it.
func (c *Cluster) configure(p *process, conn *simnet.Conn) {
	cfg := cloned(c.defaults)
	c.mu.Lock()
	if seed, ok := c.seedNode(); ok && len(cfg.Join) == 0 {
		cfg.Join = []string{seed.String()}
	}
	cfg.RandSeed = cmp.Or(cfg.RandSeed, mix(c.seed, uint64(len(c.processes))))
	c.processes = append(c.processes, p)
	c.mu.Unlock()
	cfg.Name, cfg.Conn = p.name, conn
	for _, o := range p.opts {
		if o == nil {
			c.fail("Start %q: an option is nil", p.name)
		}
		o(&cfg)
	}
	if cfg.Conn == nil { // or a socket of the system would be opened
		c.fail("Start %q: an option has taken the Conn away", p.name)
	}
	if cfg.Logger == nil && cfg.LogLevel == "" {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	p.cfg, p.born = cfg, time.Now()
	p.guest.Store(cfg.Guest)
	c.senders.Store(p.addr, p)
}

// seedNode is the address of the first node that lives and answers, or else that will answer; c.mu is held.
func (c *Cluster) seedNode() (addr netip.AddrPort, ok bool) {
	for _, p := range c.processes {
		switch {
		case !p.isAlive() || p.guest.Load():
		case !p.isPaused:
			return p.addr, true
		case !ok:
			addr, ok = p.addr, true
		}
	}
	return addr, ok
}

// mix is a number for the k-th process, never 0.
func mix(seed, k uint64) uint64 {
	x := (seed+1)*0x9e3779b97f4a7c15 + k
	return cmp.Or(x^x>>29, 1)
}

// cloned is a copy that shares nothing that can be changed.
func cloned(cfg broach.Config) broach.Config {
	cfg.Join, cfg.Tags = slices.Clone(cfg.Join), maps.Clone(cfg.Tags)
	keys := cfg.Keys
	cfg.Keys = slices.Clone(keys)
	for i, k := range keys {
		cfg.Keys[i] = slices.Clone(k)
	}
	cfg.CallInterceptors = slices.Clone(cfg.CallInterceptors)
	cfg.ServeInterceptors = slices.Clone(cfg.ServeInterceptors)
	return cfg
}

// begin starts a process, on a goroutine whose mark all those of the node inherit.
func (c *Cluster) begin(p *process) (n *broach.Node, err error) {
	donec := make(chan struct{})
	go func() {
		defer close(donec)
		setMark(c.mark)
		n, err = broach.Start(p.cfg)
	}()
	<-donec
	if err == nil {
		clusters.Store(n, c)
		p.node.Store(n)
	}
	return n, err
}

// clusters finds the *Cluster of a *broach.Node, for those who are given no more than that.
var clusters sync.Map

// Kill ends a node as SIGKILL does: from one moment on it says nothing and hears nothing, and nobody is told. Its log
// may tell of a socket that failed. Kill returns when the node is closed: the contexts of its running
// functions have ended, and those that have not returned a second later are left behind. To end a node with a
// goodbye, call its Close or Leave. It is bad use to kill a node that has ended already.
func (c *Cluster) Kill(n *broach.Node) {
	c.enter("Kill")
	c.t.Helper()
	rest()
	p := c.living("Kill", n)
	if !c.end(p) {
		c.fail("Kill: %v was killed already", p)
	}
	p.kill()
}

// kill ends a process without a word to anybody.
func (p *process) kill() {
	p.cfg.Conn.Close()
	p.node.Load().Close()
}

// end notes that a process has been killed. It reports false if it was before.
func (c *Cluster) end(p *process) (isNews bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	isNews = !p.isKilled
	p.isKilled = true
	p.pause(false)
	return isNews
}

// Restart starts another process in the place of a node: at the same address, with the same name and options, which
// are called again, and none of the functions. A node that lives is killed first. It is bad use to restart a node
// whose place another has already: that one is what the earlier Restart returned.
func (c *Cluster) Restart(n *broach.Node) *broach.Node {
	c.enter("Restart")
	c.t.Helper()
	rest()
	was, lives := c.replace(n)
	if lives && c.end(was) {
		was.kill()
	}
	time.Sleep(time.Nanosecond) // two processes of one address and one instant would draw the same secrets
	return c.launch("Restart", &process{name: was.name, addr: was.addr, opts: was.opts})
}

// replace notes that the process of a node gets a successor, and reports whether it lives.
func (c *Cluster) replace(n *broach.Node) (p *process, lives bool) {
	c.t.Helper()
	p = c.processOf("Restart", n)
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.isReplaced {
		c.fail("Restart: %v was restarted already: take the node that Restart returned", p)
	}
	p.isReplaced = true
	return p, p.isAlive()
}

// String is how a process is named to the user.
func (p *process) String() string { return cmp.Or(p.name, "node") + " (" + p.addr.String() + ")" }

// isAlive reports whether a process has not ended; the mutex of its cluster is held.
func (p *process) isAlive() bool {
	n := p.node.Load()
	return !p.isKilled && (n == nil || !isClosed(n))
}

func isClosed(n *broach.Node) bool {
	select {
	case <-n.Done():
		return true
	default:
		return false
	}
}

// processOf is the process of a node that this cluster has started.
func (c *Cluster) processOf(op string, n *broach.Node) *process {
	c.t.Helper()
	if n == nil {
		c.fail("%s: the node is nil", op)
	}
	c.mu.Lock()
	i := slices.IndexFunc(c.processes, func(p *process) bool { return p.node.Load() == n })
	var p *process
	if i >= 0 {
		p = c.processes[i]
	}
	c.mu.Unlock()
	if p == nil {
		c.fail("%s: the node at %v is not one of this cluster", op, n.Addr())
	}
	return p
}

// living is the process of a node that has not ended.
func (c *Cluster) living(op string, n *broach.Node) *process {
	c.t.Helper()
	p := c.processOf(op, n)
	c.mu.Lock()
	isKilled, lives := p.isKilled, p.isAlive()
	c.mu.Unlock()
	if isKilled {
		c.fail("%s: %v was killed already", op, p)
	}
	if !lives {
		c.fail("%s: %v is closed already", op, p)
	}
	return p
}

// close ends all that the cluster has started.
func (c *Cluster) close() {
	c.t.Helper()
	c.finish()
	var all sync.WaitGroup
	for _, p := range c.snapshot() {
		n := p.node.Load()
		if n == nil {
			continue
		}
		c.net.Resume(p.addr) // or what it writes would wait
		all.Go(func() { n.Close() })
		clusters.Delete(n)
	}
	all.Wait()
	c.net.Close()
	if leaked := c.leaks(); leaked != "" {
		c.t.Errorf("broachtest: goroutines of nodes are left after all were closed:\n%s", leaked)
	}
	if c.t.Failed() {
		c.t.Logf("broachtest: the seed is %d", c.seed)
	}
}

// finish ends the use of the cluster, and the pauses of its nodes.
func (c *Cluster) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hasEnded = true
	for _, p := range c.processes {
		p.pause(false)
	}
}

// snapshot is all processes, in the order of their starts.
func (c *Cluster) snapshot() []*process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.processes)
}
