package attacks

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/intruder"
	"broach/internal/race"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// field is where intruders meet honest nodes: a simulated network in virtual time. The nodes are seen as their users
// see them, and as what they send.
type field struct {
	t     *testing.T
	net   *simnet.Network
	tape  intruder.Tape // of all that the nodes and the intruders with a socket sent
	key   []byte        // of the cluster; nil: without keys
	nodes []*broach.Node
	gates []*gate // of the nodes, in their order
	bad   []*intruder.Intruder
	edit  func(*broach.Config) // what a test wants different
	blind bool                 // nodes do not know their address
	calls []*traffic
	ran   atomic.Int64        // how often count ran
	known []intruder.Entry    // the nodes, as members know them
	stock []*intruder.Process // who floods

	mu      sync.Mutex // guards slander
	slander []string   // what honest nodes came to believe of honest nodes
}

// gate is the socket of an honest node; who sits on its path decides what leaves it.
type gate struct {
	*simnet.Conn
	pass  atomic.Pointer[passFunc]
	blind bool // it does not say which address it has
}

// passFunc says whether a datagram may leave; it may send others in its place.
type passFunc func(to netip.AddrPort, b []byte) bool

// LocalAddr is the address of the conn, or that of all hosts where the node is not to know its own.
func (g *gate) LocalAddr() net.Addr {
	addr := g.Conn.LocalAddr().(*net.UDPAddr)
	if g.blind {
		return &net.UDPAddr{IP: net.IPv4zero, Port: addr.Port}
	}
	return addr
}

func (g *gate) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if pass := g.pass.Load(); pass != nil && !(*pass)(to, b) {
		return len(b), nil
	}
	return g.Conn.WriteToUDPAddrPort(b, to)
}

// guard puts somebody on the path that leads away from the node; nil takes him away.
func (g *gate) guard(pass passFunc) {
	if pass == nil {
		g.pass.Store(nil)
		return
	}
	g.pass.Store(&pass)
}

// strangerAt is where nobody lives.
var strangerAt = netip.MustParseAddrPort("10.9.9.9:9")

// clusterKey is the n-th key of a test.
func clusterKey(n byte) []byte {
	key := make([]byte, 32)
	for i := range key {
		key[i] = n + byte(i)
	}
	return key
}

// besiege runs a test without keys and with them. The seed is printed: it replays the run.
func besiege(t *testing.T, seed uint64, test func(t *testing.T, f *field)) {
	if !race.Sampled { // with keys there is all that there is without, and more
		t.Run("without keys", func(t *testing.T) { inField(t, seed, nil, test) })
	}
	t.Run("with keys", func(t *testing.T) { inField(t, seed, clusterKey(0), test) })
}

func inField(t *testing.T, seed uint64, key []byte, test func(t *testing.T, f *field)) {
	clustertest.SkipWithoutBatches(t)
	synctest.Test(t, func(t *testing.T) {
		t.Logf("seed %d", seed)
		f := &field{t: t, net: simnet.New(seed), key: key, edit: func(*broach.Config) {}}
		f.net.Tap(f.tape.Record)
		defer f.end()
		test(t, f)
	})
}

func (f *field) end() {
	for _, c := range f.calls {
		c.cancel()
		c.ended.Wait()
	}
	for _, i := range f.bad {
		i.Close()
	}
	for i := range f.nodes {
		f.kill(i)
	}
	f.net.Close()
}

// nodeAddr is the address of the i-th node, badAddr that of the i-th intruder.
func nodeAddr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i%250 + 1)}), 7000)
}

func badAddr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 6, byte(i / 250), byte(i%250 + 1)}), 6000)
}

// start starts a node at the i-th address, with a function count.
func (f *field) start(i int, join ...int) *broach.Node {
	f.t.Helper()
	conn, err := f.net.Listen(nodeAddr(i))
	require.NoError(f.t, err)
	g := &gate{Conn: conn, blind: f.blind}
	cfg := broach.Config{Name: fmt.Sprint("node", i), Conn: g, RandSeed: uint64(len(f.nodes) + 1),
		Logger: slog.New(slog.DiscardHandler)}
	if os.Getenv("BROACH_LOG") != "" {
		cfg.Logger = slog.Default().With("node", i)
	}
	if f.key != nil {
		cfg.Keys = [][]byte{f.key}
	}
	for _, j := range join {
		cfg.Join = append(cfg.Join, nodeAddr(j).String())
	}
	f.edit(&cfg)
	n, err := broach.Start(cfg)
	require.NoError(f.t, err)
	f.nodes, f.gates = append(f.nodes, n), append(f.gates, g)
	require.NoError(f.t, n.Register("count", func() int64 { return f.ran.Add(1) }))
	return n
}

// startAll starts k nodes, the first of which is the seed of all, and lets them find each other.
func (f *field) startAll(k int) {
	for i := range k {
		f.start(i, 0)
	}
	f.until(10*time.Second, "all meet", func() bool { return f.allMet() })
}

// pair is a provider and a caller that know each other and have spoken.
func (f *field) pair() (provider, caller *broach.Node) {
	f.startAll(2)
	provider, caller = f.nodes[0], f.nodes[1]
	f.call(caller, provider)
	time.Sleep(2 * time.Second)
	return provider, caller
}

// kill ends the i-th node without a word to anybody, as a crash does.
func (f *field) kill(i int) {
	f.gates[i].Close()
	f.nodes[i].Close()
}

// drop takes the i-th node, which was killed, off the lists.
func (f *field) drop(i int) {
	f.nodes, f.gates = slices.Delete(f.nodes, i, i+1), slices.Delete(f.gates, i, i+1)
}

// intruder starts the i-th intruder: it has the cluster's key.
func (f *field) intruder(i int, edit ...func(*intruder.Intruder)) *intruder.Intruder {
	f.t.Helper()
	conn, err := f.net.Listen(badAddr(i))
	require.NoError(f.t, err)
	m := intruder.Start(conn, intruder.NewProcess(badAddr(i), "default", f.key, uint64(1000+i)), edit...)
	f.bad = append(f.bad, m)
	return m
}

// member starts the i-th intruder and makes it a member for the node.
func (f *field) member(i int, n *broach.Node, edit ...func(*intruder.Intruder)) *intruder.Intruder {
	f.t.Helper()
	m := f.intruder(i, edit...)
	_, ok := m.Link(n.Addr())
	require.True(f.t, ok, "intruder %d is no member", i)
	return m
}

// call makes an honest call, which must be answered and run once.
func (f *field) call(from, to *broach.Node) {
	f.t.Helper()
	before := f.ran.Load()
	v, err := broach.Call[int64](context.Background(), from.Caller("count", broach.On(to.Addr())))
	require.NoError(f.t, err)
	require.Equal(f.t, before+1, v)
	require.Equal(f.t, before+1, f.ran.Load())
}

// until waits until a condition holds, and returns how long that took. It looks every millisecond of virtual time.
func (f *field) until(limit time.Duration, what string, holds func() bool) time.Duration {
	f.t.Helper()
	return f.untilEach(time.Millisecond, limit, what, holds)
}

// untilEach is until for conditions that take long to look at.
func (f *field) untilEach(step, limit time.Duration, what string, holds func() bool) time.Duration {
	f.t.Helper()
	start := time.Now()
	for !holds() {
		require.Less(f.t, time.Since(start), limit, "%s", what)
		time.Sleep(step)
	}
	return time.Since(start)
}

// allMet reports whether each node believes each other to be alive and has its functions.
func (f *field) allMet() bool {
	for _, n := range f.nodes {
		for _, other := range f.nodes {
			if m, ok := memberOf(n, other.Addr()); !ok || m.State != broach.Alive || m.Unreachable ||
				!offers(n, other.Addr()) {
				return false
			}
		}
	}
	return true
}

func memberOf(n *broach.Node, addr netip.AddrPort) (broach.Member, bool) {
	list := n.Members()
	i := slices.IndexFunc(list, func(m broach.Member) bool { return m.Addr == addr })
	if i < 0 {
		return broach.Member{}, false
	}
	return list[i], true
}

func offers(n *broach.Node, addr netip.AddrPort) bool {
	return slices.ContainsFunc(n.Services(), func(s broach.Service) bool {
		return s.Name == "count" && slices.Contains(s.Providers, addr)
	})
}

// watch notes from now on what honest nodes come to believe of each other, until the context ends.
func (f *field) watch(ctx context.Context) {
	honest := map[netip.AddrPort]bool{}
	for _, n := range f.nodes {
		honest[n.Addr()] = true
	}
	for _, n := range f.nodes {
		go func() {
			for e := range n.Watch(ctx) {
				if honest[e.Member.Addr] && slices.Contains(worse, e.Kind) {
					f.mu.Lock()
					f.slander = append(f.slander, fmt.Sprintf("%v: %v is %v", n.Addr(), e.Member.Addr, e.Kind))
					f.mu.Unlock()
				}
			}
		}()
	}
}

// worse are the events that say that a member is not what it was.
var worse = []broach.EventKind{broach.MemberOffline, broach.MemberLeft, broach.MemberUnreachable, broach.MemberSuspect}

// believed is what watch has noted.
func (f *field) believed() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.slander)
}

// traffic are calls that one node makes to another, one after the other, a few milliseconds apart, until it is stopped.
type traffic struct {
	ended   sync.WaitGroup
	cancel  context.CancelFunc
	made    int
	failed  []error
	longest time.Duration
}

// callOn begins such calls.
func (f *field) callOn(from, to *broach.Node) *traffic {
	ctx, cancel := context.WithCancel(context.Background())
	c := &traffic{cancel: cancel}
	f.calls = append(f.calls, c)
	c.ended.Go(func() {
		for ctx.Err() == nil {
			began := time.Now()
			if _, err := from.Caller("count", broach.On(to.Addr())).Call(context.Background()); err != nil {
				c.failed = append(c.failed, err)
			}
			c.made, c.longest = c.made+1, max(c.longest, time.Since(began))
			time.Sleep(5 * time.Millisecond)
		}
	})
	return c
}

// stop ends the calls; none may have failed.
func (c *traffic) stop(t *testing.T) {
	t.Helper()
	c.cancel()
	c.ended.Wait()
	require.Empty(t, c.failed, "of %d calls", c.made)
	require.NotZero(t, c.made)
}

// handshake is what two processes said to make a link.
type handshake struct {
	open  intruder.Open
	offer intruder.Offer
}

// handshakes are those between two nodes, of the first to the second, that led to a Confirm.
func (f *field) handshakes(a, b netip.AddrPort) (list []handshake) {
	opens, offers := map[uint64]intruder.Open{}, map[uint64]intruder.Offer{}
	seen := map[uint64]bool{}
	for _, d := range intruder.Between(f.tape.All(), a, b) {
		if o, ok := intruder.ParseOpen(d.Bytes); ok && d.From == a {
			opens[o.Token] = o
		}
		if o, ok := intruder.ParseOffer(d.Bytes); ok && d.From == b {
			offers[o.Token] = o
		}
		if c, ok := intruder.ParseConfirm(d.Bytes); ok && d.From == a && !seen[c.Token] {
			seen[c.Token] = true
			list = append(list, handshake{opens[c.Asker], offers[c.Token]})
		}
	}
	return list
}

// links are the handshakes between two nodes, whoever began.
func (f *field) links(a, b netip.AddrPort) []handshake {
	list := append(f.handshakes(a, b), f.handshakes(b, a)...)
	require.NotEmpty(f.t, list)
	return list
}

// throw sends a datagram to a node as if from the source, and now and then lets it arrive.
func (f *field) throw(from netip.AddrPort, to *broach.Node, b []byte) {
	f.net.Inject(from, to.Addr(), b)
}

// highest is the highest number that was seen on a way with a token.
func (f *field) highest(token uint64) (number uint64) {
	for _, d := range f.tape.All() {
		form := intruder.Form(d.Bytes)
		if (form == intruder.FormLink || form == intruder.FormConfirm) && tokenIn(d.Bytes) == token {
			number = max(number, binary.BigEndian.Uint64(d.Bytes[16:]))
		}
	}
	return number
}

// after is a result that takes a while, unless nobody waits for it any more.
func after(ctx context.Context, d time.Duration, result int) int {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return result
}

// fewer is n, or a tenth of it in a sample.
func fewer(n int) int {
	if race.Sampled {
		return n / 10
	}
	return n
}
