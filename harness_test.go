package broach

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/handshake"
	"broach/internal/member"
	"broach/internal/seal"
	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// cluster is a cluster of real nodes on a simulated network, in virtual time.
type cluster struct {
	t     *testing.T
	net   *simnet.Network
	nodes []*Node
	edit  func(*Config) // what a test wants different
}

// inCluster runs a test on an empty cluster. The seed is printed: it replays the run.
func inCluster(t *testing.T, seed uint64, test func(c *cluster)) {
	synctest.Test(t, func(t *testing.T) {
		t.Logf("seed %d", seed)
		c := &cluster{t: t, net: simnet.New(seed), edit: func(*Config) {}}
		defer func() {
			for _, n := range c.nodes {
				c.kill(n)
			}
			c.net.Close()
			time.Sleep(time.Nanosecond) // whoever still reads sees it
		}()
		test(c)
	})
}

// addrOf is the address of the i-th node.
func addrOf(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i%250 + 1)}), 7000)
}

// start starts node i, with node 0 as its seed.
func (c *cluster) start(i int, join ...int) *Node {
	c.t.Helper()
	conn, err := c.net.Listen(addrOf(i))
	require.NoError(c.t, err)
	cfg := Config{Name: fmt.Sprint("node", i), Conn: conn, RandSeed: uint64(len(c.nodes) + 1),
		Logger: slog.New(slog.DiscardHandler)}
	if os.Getenv("BROACH_LOG") != "" {
		cfg.Logger = slog.Default().With("node", i)
	}
	for _, j := range join {
		cfg.Join = append(cfg.Join, addrOf(j).String())
	}
	c.edit(&cfg)
	n, err := Start(cfg)
	require.NoError(c.t, err)
	c.nodes = append(c.nodes, n)
	return n
}

// startAll starts k nodes at once, node 0 being the seed of all.
func (c *cluster) startAll(k int) {
	for i := range k {
		c.start(i, 0)
	}
}

// kill ends a node without a word to anybody, as a crash does.
func (c *cluster) kill(n *Node) {
	n.cfg.Conn.Close()
	n.Close()
}

// until waits until a condition holds, and returns how long that took. It looks every millisecond of virtual time.
func (c *cluster) until(limit time.Duration, what string, holds func() bool) time.Duration {
	c.t.Helper()
	start := time.Now()
	for !holds() {
		require.Less(c.t, time.Since(start), limit, "%s", what)
		time.Sleep(time.Millisecond)
	}
	return time.Since(start)
}

// count counts the members that a node believes to be in a state, without itself.
func count(n *Node, s State) int {
	k := 0
	for _, p := range n.calling.view.Load().peers {
		if State(p.State) == s {
			k++
		}
	}
	return k
}

// allSee reports whether each of the nodes believes k others to be alive.
func allSee(nodes []*Node, k int) bool {
	for _, n := range nodes {
		if count(n, Alive) != k {
			return false
		}
	}
	return true
}

// live are the nodes that were not closed.
func (c *cluster) live() []*Node {
	return slices.DeleteFunc(slices.Clone(c.nodes), (*Node).isClosed)
}

// settle waits until nothing is wrong with any view, and returns how long that took.
func (c *cluster) settle(limit time.Duration) time.Duration {
	c.t.Helper()
	start := time.Now()
	for {
		wrong := c.wrong()
		if len(wrong) == 0 {
			return time.Since(start)
		}
		require.Less(c.t, time.Since(start), limit, "%v", wrong)
		time.Sleep(time.Millisecond)
	}
}

// wrong says what is wrong with the first view that is: everybody must see exactly those who live, reach them, have
// nobody twice, and say of the others what all say.
func (c *cluster) wrong() (list []string) {
	living, dead := map[netip.AddrPort]*Node{}, map[netip.AddrPort]State{}
	for _, n := range c.live() {
		living[n.Addr()] = n
	}
	for _, n := range living {
		if list = n.wrong(living, dead); len(list) > 0 {
			break
		}
	}
	return list
}

// wrong is what is wrong with the view of one node. The first to say something of a dead address is right.
func (n *Node) wrong(living map[netip.AddrPort]*Node, dead map[netip.AddrPort]State) (list []string) {
	seen := map[netip.AddrPort]bool{n.Addr(): true}
	for _, p := range n.calling.view.Load().peers {
		other, lives := living[p.Addr]
		said, known := dead[p.Addr]
		switch {
		case seen[p.Addr]:
			list = append(list, fmt.Sprintf("%v has %v twice", n.Addr(), p.Addr))
		case lives && (p.Boot != other.linking.wires.Process.Boot || State(p.State) != Alive || p.Unreachable):
			list = append(list, fmt.Sprintf("%v says that %v is %v", n.Addr(), p.Addr, p.State))
		case !lives && (State(p.State) == Alive || State(p.State) == Suspect || known && State(p.State) != said):
			list = append(list, fmt.Sprintf("%v says that %v, which is dead, is %v", n.Addr(), p.Addr, p.State))
		case !lives:
			dead[p.Addr] = State(p.State)
			continue
		}
		seen[p.Addr] = true
	}
	if len(seen) < len(living) {
		list = append(list, fmt.Sprintf("%v sees %d of %d", n.Addr(), len(seen), len(living)))
	}
	return list
}

// keyOf is a key that is told from others.
func keyOf(b byte) []byte {
	k := bytes.Repeat([]byte{b}, seal.KeySize)
	k[0] ^= 0xff
	return k
}

// strangerAddr is where nobody is.
var strangerAddr = netip.MustParseAddrPort("10.9.9.9:9")

// linkWith is the link of a node to another.
func (n *Node) linkWith(other *Node) *conn { return n.linking.tokens.Link(n.tokenTo(other.Addr())) }

// tokenTo is the token of the link that a node has with a peer; 0: none.
func (n *Node) tokenTo(addr netip.AddrPort) uint64 {
	for _, p := range n.calling.view.Load().peers {
		if p.Addr == addr {
			return p.Link
		}
	}
	return 0
}

// keyIDOf is the key id of a key.
func keyIDOf(key []byte) byte {
	ring, err := seal.NewRing([][]byte{key})
	if err != nil {
		panic(err)
	}
	return ring.KeyID()
}

// sameID returns another key with the key id of one.
func sameID(t testing.TB, key []byte) []byte {
	want := keyIDOf(key)
	for n := range 1 << 16 {
		if other := append(keyOf(9)[:30], byte(n>>8), byte(n)); keyIDOf(other) == want {
			return other
		}
	}
	t.Fatal("there is no such key")
	return nil
}

// noiseSource is random bytes: making them anew for each datagram would cost more than throwing it.
var noiseSource = sync.OnceValue(func() []byte {
	b := make([]byte, 1<<20)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
})

// rubbish is so many bytes of it.
func rubbish(n int) []byte {
	at := rand.N(1<<20 - n)
	return slices.Clone(noiseSource()[at : at+n])
}

// seat has a node believe in a peer that there is not: a link to it leads nowhere, and what it says is given to the
// membership. Who is to believe in it for long must not miss its beats.
func (n *Node) seat(now time.Time, i int, table []byte) *conn {
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 7000)
	l := n.connFrom(wire.PublicKey{byte(i >> 8), byte(i)}, addr)
	if !n.linking.tokens.Add(l) {
		panic("the link has no place")
	}
	n.loop.members.Made(now, l.ID, l.Token, l.Order())
	n.says(now, l, 1, wire.Announce{Hello: wire.Hello{Inc: 1, Addr: addr, Name: "app", HasTable: true, Table: table}})
	return l
}

// connFrom is a link that a process with a public key has begun, which is in no table yet.
func (n *Node) connFrom(key wire.PublicKey, addr netip.AddrPort) *conn {
	l, err := newConn(time.Now(), &n.linking.wires, &handshake.Terms{
		Rank: 1, Stamp: n.linking.wires.Process.Stamp(time.Now()), TokenA: 0xa, KeyA: key, AddrA: addr, TokenB: n.draw() | 1, KeyB: n.linking.wires.Process.Key,
	}, false, nil, 1)
	if err != nil {
		panic("the link could not be made")
	}
	return l
}

// says has a peer say something on its link, under a version of its table: to the membership, without a datagram.
func (n *Node) says(now time.Time, l *conn, version uint32, msg wire.Message) {
	n.loop.members.Receive(now, member.Source{Addr: l.ID.Addr, Link: l.Token, Tver: version}, msg)
}

// bodiesIn lists the bodies of the messages of one kind in a datagram of a link that is not sealed.
func bodiesIn(b []byte, of wire.Kind) (bodies [][]byte) {
	h, rest, err := wire.ConsumeHeader(b)
	for err == nil && h.Form == wire.FormLink && len(rest) > 0 {
		var kind wire.Kind
		var body []byte
		if kind, body, rest, err = wire.ConsumeMessage(rest); err == nil && kind == of {
			bodies = append(bodies, body)
		}
	}
	return bodies
}
