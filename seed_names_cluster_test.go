package broach

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// forwardTo passes what comes to an address on, as a UDP proxy or load balancer does: the n-th datagram to where choose
// says.
func (c *cluster) forwardTo(at netip.AddrPort, choose func(n int64) netip.AddrPort) {
	conn, err := c.net.Listen(at)
	require.NoError(c.t, err)
	var n atomic.Int64
	go func() {
		b := make([]byte, 2000)
		for {
			size, _, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = conn.WriteToUDPAddrPort(b[:size], choose(n.Add(1)-1))
		}
	}()
}

// Whatever a seed is called, a node whose seed answers has joined, and it goes on to contact nobody: nodes are told
// apart by their processes.
// [LNK-2] If only the address B is another one, and a seed was contacted, that is remembered as the seed's
func TestSeedsByOtherNames(t *testing.T) {
	t.Parallel()
	front, back := addrOf(200), addrOf(201)
	random := func(n int64) netip.AddrPort { return addrOf(rand.New(rand.NewPCG(1, uint64(n))).IntN(5)) }
	for name, test := range map[string]struct {
		seeds   []string                     // of all; nil: front
		to, via func(n int64) netip.AddrPort // where front and back lead; nil: nobody is there
	}{
		"mapped":                  {seeds: []string{"[::ffff:10.0.0.1]:7000"}},
		"mapped, and as it is":    {seeds: []string{"[::ffff:10.0.0.1]:7000", "10.0.0.1:7000"}},
		"a proxy":                 {to: func(int64) netip.AddrPort { return addrOf(0) }},
		"a proxy before a proxy":  {to: func(int64) netip.AddrPort { return back }, via: func(int64) netip.AddrPort { return addrOf(0) }},
		"one balancer before all": {to: random},
		"a balancer that is slow": {to: func(n int64) netip.AddrPort { return random(n / 7) }},
		"a proxy and an address":  {seeds: []string{front.String(), addrOf(1).String()}, to: func(int64) netip.AddrPort { return addrOf(0) }},
		"two proxies":             {seeds: []string{front.String(), back.String()}, to: func(int64) netip.AddrPort { return addrOf(0) }, via: func(int64) netip.AddrPort { return addrOf(1) }},
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, 1, func(c *cluster) {
				if test.to != nil {
					c.forwardTo(front, test.to)
				}
				if test.via != nil {
					c.forwardTo(back, test.via)
				}
				seeds := test.seeds
				if seeds == nil {
					seeds = []string{front.String()}
				}
				start := func(i int) *Node { return c.startWith(i, func(cfg *Config) { cfg.Join = seeds }) }
				start(0)
				time.Sleep(10 * time.Second)
				for i := 1; i < 5; i++ {
					start(i)
				}
				took := c.until(25*time.Second, "all see all", func() bool { return allSee(c.nodes, 4) })
				joined := c.until(6*time.Second, "all have joined", func() bool { return allJoined(c.nodes) })
				opens := c.countOpens()
				time.Sleep(20 * time.Second)
				t.Log("all see all after", took, "and have joined after", joined, "more;", opens(), "Opens in 20 s")
				require.LessOrEqual(t, opens(), int64(3*2*5+4), "of each to two seeds every 10 s, and one asks on for the List every 5 s")
				require.True(t, allJoined(c.nodes))

				require.NoError(t, c.nodes[0].Leave(context.Background()))
				time.Sleep(2 * time.Second)
				c.nodes = c.nodes[1:]
				start(0)
				took = c.until(25*time.Second, "all see all again", func() bool { return allSee(c.nodes, 4) && allJoined(c.nodes) })
				t.Log("all see the first again after", took)
			})
		})
	}
}

// allJoined reports that nodes know the cluster.
func allJoined(nodes []*Node) bool {
	for _, n := range nodes {
		if !n.calling.view.Load().joined {
			return false
		}
	}
	return true
}

// countOpens counts the Opens that are sent from now on.
func (c *cluster) countOpens() func() int64 {
	var opens atomic.Int64
	c.net.Tap(func(_ time.Time, _, _ netip.AddrPort, b []byte) {
		if len(b) > 3 && b[3] == byte(1) {
			opens.Add(1)
		}
	})
	return opens.Load
}

// [MEM-18] A seed to which an Open was sent that comes to its own sender is this node; who has no other seeds has
// joined. Whoever answers there later is found.
func TestASeedThatIsTheNodeItself(t *testing.T) {
	for _, keys := range [][][]byte{nil, {keyOf(1)}} {
		inCluster(t, 1, func(c *cluster) {
			c.edit = func(cfg *Config) { cfg.Keys = keys }
			leadsTo, front := new(atomic.Int64), addrOf(200)
			c.forwardTo(front, func(int64) netip.AddrPort { return addrOf(int(leadsTo.Load())) })
			n := c.startWith(0, func(cfg *Config) { cfg.Join = []string{front.String()} })
			took := c.until(10*time.Millisecond, "joined", func() bool { return allJoined(c.nodes) })
			_, err := n.Caller("unknown").Call(context.Background())
			require.ErrorIs(t, err, ErrNotFound)
			t.Log("joined after", took)
			time.Sleep(time.Minute)
			opens := c.countOpens()
			time.Sleep(time.Minute)
			require.LessOrEqual(t, opens(), int64(36), "every 5 s as one who joins, and every 10 s; the proxy sends each once more")
			require.True(t, allJoined(c.nodes))

			other := c.start(1)
			leadsTo.Store(1)
			// [MEM-18] A seed that is this node by another name is contacted every 10 s.
			t.Log("the other is found after", c.until(11*time.Second, "both see the other", func() bool { return allSee([]*Node{n, other}, 1) }))
			require.True(t, allJoined(c.nodes))
		})
	}
}

// An Open of ours counts as one that has come back only if it has the token of a contact.
func TestOnlyAnOpenToASeedThatComesBackIsASelf(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		var sent atomic.Pointer[[]byte]
		c.net.Tap(func(_ time.Time, _, to netip.AddrPort, b []byte) {
			if to == addrOf(1) && len(b) == wire.OpenSize {
				sent.Store(new(bytes.Clone(b)))
			}
		})
		n := c.startWith(0, func(cfg *Config) { cfg.Join = []string{addrOf(1).String()} })
		time.Sleep(time.Second)
		open, err := wire.ConsumeOpen(*sent.Load())
		require.NoError(t, err)
		token := open.Token
		for _, test := range []struct {
			token  uint64
			joined bool
		}{{token + 1, false}, {0, false}, {token, true}} {
			open.Token = test.token
			c.net.Inject(addrOf(1), addrOf(0), wire.AppendOpen(nil, open))
			time.Sleep(100 * time.Millisecond)
			require.Equal(t, test.joined, n.calling.view.Load().joined)
		}
	})
}

// However often a seed is named, and in which form, it is one; so is one that this node cannot send to, and the log
// tells of it once.
func TestASeedIsNamedOnce(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		log := c.loggedBy()
		n := c.start(0)
		for range 2000 {
			require.NoError(t, n.Join("10.0.0.9:7000", "[::ffff:10.0.0.9]:7000", "10.0.0.1:7000", "[2001:db8::1]:7000"))
		}
		seedsc := make(chan [2]int, 1)
		require.NoError(t, n.do(func(time.Time) { seedsc <- [2]int{len(n.loop.members.SeedAddrs()), len(n.loop.seeds.book.Unfit())} }))
		require.Equal(t, [2]int{1, 1}, <-seedsc)
		c.kill(n)
		require.Equal(t, 1, strings.Count(log.String(), "of a family of addresses"))
	})
}

// A node is the same whichever form of its address is used.
func TestAMappedAddressIsThatNode(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		provider, caller := c.start(0), c.start(1, 0)
		for _, n := range c.nodes {
			require.NoError(t, n.Register("who", n.Addr))
		}
		mapped := func(n *Node) netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom16(n.Addr().Addr().As16()), n.Addr().Port())
		}
		for _, n := range c.nodes {
			who, err := Call[netip.AddrPort](context.Background(), caller.Caller("who", On(mapped(n))))
			require.NoError(t, err)
			require.Equal(t, n.Addr(), who)
		}
		c.kill(provider)
		c.until(3*time.Second, "offline", func() bool { return count(caller, Offline) == 1 })
		require.NoError(t, caller.Forget(mapped(provider)))
	})
}
