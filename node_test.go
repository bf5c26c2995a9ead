package broach

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/buffer"
	"broach/internal/codec"
	"broach/internal/member"
	"broach/internal/seal"
	"broach/internal/simnet"
	"broach/internal/stream"
	"broach/internal/udp"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
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
	return !slices.ContainsFunc(nodes, func(n *Node) bool { return count(n, Alive) != k })
}

// settle waits until everybody sees everybody.
func (c *cluster) settle(limit time.Duration) {
	c.t.Helper()
	c.until(limit, "all see all", func() bool { return allSee(c.nodes, len(c.nodes)-1) })
}

// inPair runs a test on a provider of some functions and a caller that knows them.
func inPair(t *testing.T, functions map[string]any, test func(c *cluster, provider, caller *Node)) {
	inCluster(t, 1, func(c *cluster) {
		provider, caller := c.start(0), c.start(1, 0)
		for name, fn := range functions {
			offer(c, provider, caller, name, fn)
		}
		test(c, provider, caller)
	})
}

// offer registers a function and waits until the caller knows.
func offer(c *cluster, provider, caller *Node, name string, fn any, opts ...RegisterOption) {
	require.NoError(c.t, provider.Register(name, fn, opts...))
	require.NoError(c.t, caller.WaitFor(c.t.Context(), name, 1))
}

// isLinkedTo reports whether a node believes another to be alive, and has a link to it.
func (n *Node) isLinkedTo(other *Node) bool {
	return slices.ContainsFunc(n.calling.view.Load().peers, func(p *member.View) bool {
		return p.Addr == other.Addr() && State(p.State) == Alive && n.linking.tokens.Link(p.Link) != nil
	})
}

// loggerTo writes lines of a level and above as text, without their times.
func loggerTo(w io.Writer, level slog.Leveler) *slog.Logger {
	timeless := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: timeless}))
}

// sharedLog is a log that may be read while nodes write.
type sharedLog struct {
	mu   sync.Mutex // protects text: readers, loops and the test
	text bytes.Buffer
}

func (l *sharedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *sharedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// keyOf is a key that is told from others.
func keyOf(b byte) []byte {
	k := bytes.Repeat([]byte{b}, seal.KeySize)
	k[0] ^= 0xff
	return k
}

// strangerAddr is where nobody is.
var strangerAddr = netip.MustParseAddrPort("10.9.9.9:9")

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

// ants keeps a pool of its own from import on, whose goroutines are there before any test.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

// The farewell is sent even where the reader has the link in hand, and may not get to it any more.
func TestTheFarewellIsNotLost(t *testing.T) {
	inPair(t, nil, func(c *cluster, provider, caller *Node) {
		c.until(5*time.Second, "they meet", func() bool { return allSee(c.nodes, 1) })
		for _, l := range provider.linking.tokens.All() {
			l.Lock(time.Now(), 0)
			l.Unlock()
		}
		provider.Close()
		time.Sleep(time.Millisecond)
		require.Equal(c.t, 1, count(caller, Left))
	})
}

// A node that is closed waits for its look-ups, which end at once.
func TestLookUpsEndWithTheNode(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		conn, err := c.net.Listen(addrOf(0))
		require.NoError(t, err)
		cfg := Config{Conn: conn, Join: []string{"dead:7000"}, Logger: slog.New(slog.DiscardHandler)}
		n := newNode(cfg, udp.Over(conn), newJournal(cfg))
		var waiting atomic.Int64
		n.loop.seeds.lookUp = func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
			waiting.Add(1)
			defer waiting.Add(-1)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		n.serve()
		c.nodes = append(c.nodes, n)
		synctest.Wait()
		require.Equal(t, int64(2), waiting.Load())
		start := time.Now()
		require.NoError(t, n.Close())
		require.Zero(t, waiting.Load())
		require.Zero(t, time.Since(start))
	})
}

// [LNK-1] If B has no room for another peer, and no link at that address, rank and token B are 0.
func TestAFullNodeSaysSo(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.edit = func(cfg *Config) { cfg.peersMax = 2 }
		full := c.start(0)
		c.edit = func(*Config) {}
		c.start(1, 0)
		mortal := c.start(2, 0)
		c.settle(time.Second)
		late := c.start(3, 1)
		c.until(time.Second, "the others let it in", func() bool { return count(late, Alive) == 2 })
		sent := 0
		c.net.Tap(func(_ time.Time, from, to netip.AddrPort, _ []byte) {
			if from == late.Addr() && to == full.Addr() {
				sent++
			}
		})
		time.Sleep(10 * time.Minute)
		require.Equal(t, 2, count(late, Alive))
		require.Equal(t, 2, count(full, Alive))
		require.LessOrEqual(t, sent, 12, "one Open a minute, as it is named")

		c.kill(mortal)
		t.Log("it is in after", c.until(3*time.Minute, "there is room", func() bool {
			return full.isLinkedTo(late) && late.isLinkedTo(full)
		}))
	})
}

// The loop looks at breakers while one is open, and not once that which nobody tries is closed, too.
func TestNobodyLooksAtClosedBreakers(t *testing.T) {
	inPair(t, map[string]any{"f": func() { panic("ill") }}, func(c *cluster, _, caller *Node) {
		isOpen := func() bool { return len(caller.Stats().Peers[0].Open) == 1 }
		for range 5 {
			_, _ = caller.Caller("f").Call(c.t.Context())
		}
		c.until(time.Second, "it is open", isOpen)
		require.False(c.t, caller.loop.circuitsAt.IsZero())
		c.until(3*time.Minute, "it is forgiven", func() bool { return !isOpen() })
		require.True(c.t, caller.loop.circuitsAt.IsZero())
	})
}

// A worker that finds its backlog empty has given it away: the next event may be in the hands of another one before it
// has returned, and panic there. Under the race detector this shows what the first does to it too late, whichever comes
// first.
func TestAnEmptyBacklogIsNotTouched(t *testing.T) {
	s := side(t, 1, Config{})
	f, err := subscriber("sold", func(bool) { panic("now") })
	require.NoError(t, err)
	b := s.newBacklog(f, 1)
	waitUntilFree := func() {
		for isTaken := true; isTaken; runtime.Gosched() {
			b.mu.Lock()
			isTaken = b.inPool
			b.mu.Unlock()
		}
	}
	const events = 100
	for range events {
		b.mu.Lock()
		b.inPool = true // in the hands of the worker below, which finds nothing
		b.mu.Unlock()
		var first sync.WaitGroup
		first.Go(func() { b.Run(time.Now()) })
		waitUntilFree()
		event := &request{provider: &s.serving.provider, origin: fromHere{}}
		event.Args = &buffer.Buffer{B: []byte{0x91, 0xc3}}
		require.True(t, b.addEvent(event))
		first.Wait()
		waitUntilFree() // of the second
	}
	require.Zero(t, s.serving.pool.Close(10*time.Second))
	require.EqualValues(t, events, s.serving.pool.Stats().Panics)
}

// A process that was stopped for ten periods and a half makes one run when it goes on, and the next on its grid.
func TestEveryAfterAStall(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		var mu sync.Mutex
		var at []time.Duration
		start := time.Now()
		timer, err := c.start(0).Every(time.Second, func() {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Since(start).Round(100*time.Millisecond))
		}, Jitter(0))
		require.NoError(t, err)
		time.Sleep(2500 * time.Millisecond)
		timer.mu.Lock()
		timer.clock.Reset(10 * time.Second) // no clock calls while a process is stopped
		timer.mu.Unlock()
		time.Sleep(13 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		s := time.Second
		require.Equal(c.t, []time.Duration{s, 2 * s, 12*s + s/2, 14 * s, 15 * s}, at)
	})
}

// A hello never goes under the version of a table that came after it: the receiver would keep the old table for the new
// one.
func TestAHelloGoesUnderTheVersionOfItsTable(t *testing.T) {
	n, now := side(t, 0, Config{}), time.Now()
	require.NoError(t, n.Register("more", func(x int) int { return x }))
	(<-n.loop.commands)(now)
	n.loop.tableAt = now
	l := n.connFrom(wire.PublicKey{7}, netip.MustParseAddrPort("10.0.0.1:1"))
	require.True(t, n.linking.tokens.Add(l))
	n.arrive(now, arrival{made: l})
	n.carryOut(now)
	l.told.Store(1)
	n.receive(now, &inbound{Source: member.Source{Link: l.Token, Tver: 1}, from: l,
		msg: wire.Announce{Hello: wire.Hello{Addr: addrOf(1)}}})
	n.Node.step(now) // answers the Announce, and makes the table of version 2
	h, rest, err := wire.ConsumeHeader(n.script.take()[0])
	require.NoError(t, err)
	kind, body, _, err := wire.ConsumeMessage(rest)
	require.NoError(t, err)
	msg, err := wire.ConsumeMembership(kind, body)
	require.NoError(t, err)
	functions, err := wire.ConsumeTable(msg.(wire.Welcome).Table)
	require.NoError(t, err)
	require.Len(t, functions, int(h.TableVersion)-1, "version 1 has no function, version 2 has one")
}

// The items of an attempt after which the call is made again are dropped; once the loop has had one, it is not made
// again.
func TestItemsOfAnAttemptThatWasGivenUp(t *testing.T) {
	s, taken := &streams{pipesc: make(chan *stream.Pipe, 2)}, 0
	take := func(*codec.Decoder) (bool, error) { taken++; return true, nil }
	s.begin(t.Context())
	first := s.ofAttempt(<-s.pipesc, take)
	require.True(t, s.mayRepeat())
	s.begin(t.Context())
	goOn, _ := first(nil)
	require.False(t, goOn)
	require.Zero(t, taken)
	require.True(t, s.isFresh())
	second := s.ofAttempt(<-s.pipesc, take)
	goOn, _ = second(nil)
	require.True(t, goOn)
	require.Equal(t, 1, taken)
	require.False(t, s.isFresh())
	require.False(t, s.mayRepeat())
}
