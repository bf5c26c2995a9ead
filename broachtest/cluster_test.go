package broachtest_test

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/broachtest"

	"github.com/stretchr/testify/require"
)

// seven is a function that most tests offer.
func seven() int { return 7 }

// statesAt is what a node says of others, by their addresses.
func statesAt(n *broach.Node) map[string]broach.State {
	states := map[string]broach.State{}
	for _, m := range n.Members() {
		if !m.Self {
			states[m.Addr.String()] = m.State
		}
	}
	return states
}

// "It is at the address 10.0.0.n, where n counts the starts from 1, and port 7000; after 250 nodes follows 10.0.1.1."
func TestAddressesCountTheStarts(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		var last *broach.Node
		for range 251 {
			last = c.Start("one", func(cfg *broach.Config) { cfg.Join = nil })
			if last.Addr().String() == "10.0.0.3:7000" {
				require.Equal(t, "one", last.Members()[0].Name)
			}
		}
		require.Equal(t, "10.0.1.1:7000", last.Addr().String())
	})
}

// "The node joins by the first one that lives."
func TestNodesJoinByTheFirstThatLives(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		joins := func() (list []string) {
			c.Start("", func(cfg *broach.Config) { list = cfg.Join })
			return list
		}
		first := c.Start("")
		second := c.Start("")
		require.Equal(t, []string{"10.0.0.1:7000"}, joins())
		c.Settle()
		c.Kill(first)
		require.Equal(t, []string{"10.0.0.2:7000"}, joins())
		c.Pause(second)
		require.Equal(t, []string{"10.0.0.3:7000"}, joins())
		c.Resume(second)
		c.Settle()
	})
}

// "Defaults is the configuration of all nodes, to which the options of Start make their changes. Slices and maps in
// it are copied for each node."
func TestDefaultsAndOptions(t *testing.T) {
	defaults := broach.Config{
		Name: "default", Version: "v1", Tags: map[string]string{"zone": "a"}, Join: []string{"10.0.0.9:7000"},
		RandSeed: 5, Keys: [][]byte{keyOf(1)},
	}
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		var got []broach.Config
		keep := func(cfg *broach.Config) { got = append(got, *cfg) }
		c.Start("", keep, func(cfg *broach.Config) {
			cfg.Tags["zone"], cfg.Join[0], cfg.Keys[0][0] = "b", "10.0.0.8:7000", 9
			cfg.Version = "v2"
		})
		n := c.Start("named", keep)
		require.Equal(t, "default", got[0].Name)
		require.Equal(t, "named", got[1].Name)
		require.Equal(t, map[string]string{"zone": "a"}, got[1].Tags)
		require.Equal(t, defaults.Join, got[1].Join)
		require.Equal(t, defaults.Keys, got[1].Keys)
		require.EqualValues(t, 5, got[1].RandSeed)
		require.Equal(t, "v1", n.Members()[0].Version)
	}, broachtest.Defaults(defaults))
}

// Version, Tags and all that is not named in the doc of Start are not touched.
func TestStartLeavesTheConfigurationAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		var cfg broach.Config
		c.Start("", func(is *broach.Config) { cfg = *is })
		require.NotNil(t, cfg.Conn)
		require.NotZero(t, cfg.RandSeed)
		cfg.Conn, cfg.RandSeed = nil, 0
		require.Equal(t, broach.Config{}, cfg)
	})
}

// "Nodes log nothing, unless there is a Logger or a LogLevel."
func TestALoggerIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		var log lines
		n := c.Start("shop", func(cfg *broach.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		time.Sleep(time.Second)
		require.Contains(t, log.String(), "node started")
		c.Kill(n)
		require.Contains(t, log.String(), "node closed")
	})
}

// lines is a log that may be read while nodes write.
type lines struct {
	mu   sync.Mutex // protects text
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// "Opts may find a Conn in it, which they may wrap."
func TestAnOptionMayWrapTheConn(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		var sockets []*countingConn
		wrap := func(cfg *broach.Config) {
			sockets = append(sockets, &countingConn{PacketConn: cfg.Conn})
			cfg.Conn = sockets[len(sockets)-1]
		}
		c.Start("")
		n := c.Start("", wrap)
		c.Settle()
		c.Restart(n)
		c.Settle()
		require.Len(t, sockets, 2, "a restart calls the options again")
		require.NotZero(t, sockets[1].sent)
		require.True(t, sockets[0].isClosed)
	})
}

type countingConn struct {
	broach.PacketConn
	sent     int
	isClosed bool
	mu       sync.Mutex // protects both
}

func (c *countingConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	c.mu.Lock()
	c.sent++
	c.mu.Unlock()
	return c.PacketConn.WriteToUDPAddrPort(b, to)
}

func (c *countingConn) Close() error {
	c.mu.Lock()
	c.isClosed = true
	c.mu.Unlock()
	return c.PacketConn.Close()
}

// "From one moment on it says nothing and hears nothing, and nobody is told."
func TestKillSaysNoGoodbye(t *testing.T) {
	inBoth(t, func(t *testing.T, c *broachtest.Cluster) {
		a, b := c.Start("a"), c.Start("b")
		c.Settle()
		c.Kill(b)
		require.NotZero(t, b.Done())
		require.Equal(t, broach.Alive, statesAt(a)[b.Addr().String()])
		broachtest.WaitEvent(t, a, broach.MemberSuspect, 5*time.Second)
		broachtest.WaitEvent(t, a, broach.MemberOffline, 5*time.Second)
	})
}

// "To end a node with a goodbye, call its Close or Leave."
func TestANodeThatIsClosedHasLeft(t *testing.T) {
	inBoth(t, func(t *testing.T, c *broachtest.Cluster) {
		a, b := c.Start("a"), c.Start("b")
		c.Settle()
		require.NoError(t, b.Leave(t.Context()))
		c.Settle()
		require.Equal(t, broach.Left, statesAt(a)[b.Addr().String()])
	})
}

// "The contexts of its running functions have ended, and those that have not returned a second later are left
// behind."
func TestKillEndsRunningFunctions(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		caller, n := c.Start(""), c.Start("")
		ended := make(chan struct{})
		require.NoError(t, n.Register("hang", func(ctx context.Context) { <-ctx.Done(); close(ended) }))
		c.Settle()
		call := broach.Go[int](t.Context(), caller.Caller("hang", broach.NoRetry()))
		time.Sleep(time.Second)
		c.Kill(n)
		<-ended
		_, err := call.Wait()
		require.ErrorIs(t, err, broach.ErrUnreachable)
	})
}

// "Restart starts another process in the place of a node: at the same address, with the same name and options, and
// none of the functions. A node that lives is killed first."
func TestRestart(t *testing.T) {
	for _, how := range []string{"alive", "killed", "closed", "paused", "at its start"} {
		t.Run(how, func(t *testing.T) {
			inBoth(t, func(t *testing.T, c *broachtest.Cluster) {
				a := c.Start("a")
				n := c.Start("shop", func(cfg *broach.Config) { cfg.Version = "v7" })
				switch how {
				case "at its start":
				default:
					require.NoError(t, n.Register("seven", seven))
					c.Settle()
				}
				switch how {
				case "killed":
					c.Kill(n)
				case "closed":
					require.NoError(t, n.Close())
				case "paused":
					c.Pause(n)
				}
				again := c.Restart(n)
				require.NotSame(t, n, again)
				require.Equal(t, n.Addr(), again.Addr())
				c.Settle()
				require.Len(t, a.Members(), 2)
				require.Equal(t, broach.Alive, statesAt(a)[again.Addr().String()])
				require.Empty(t, a.Services())
				require.NoError(t, again.Register("eight", func() int { return 8 }))
				c.Settle()
				eight, err := broach.Call[int](t.Context(), a.Caller("eight"))
				require.NoError(t, err)
				require.Equal(t, 8, eight)
				require.Equal(t, "v7", again.Members()[1].Version)
			})
		})
	}
}

// What processes draw follows from their address and the time: two of one address must not have the same.
func TestARestartIsNeverAtTheInstantOfTheStart(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		start := time.Now()
		c.Restart(c.Restart(c.Start("")))
		require.Equal(t, 2*time.Nanosecond, time.Since(start))
	})
}

// The first node, by which the others have joined, comes back to them, and so does one of a cluster that is gone.
func TestRestartOfTheFirst(t *testing.T) {
	inBoth(t, func(t *testing.T, c *broachtest.Cluster) {
		nodes := []*broach.Node{c.Start(""), c.Start(""), c.Start("")}
		c.Settle()
		nodes[0] = c.Restart(nodes[0])
		c.Settle()
		for i := range nodes {
			c.Kill(nodes[i])
		}
		for i := range nodes {
			nodes[i] = c.Restart(nodes[i])
		}
		c.Settle()
		require.Len(t, statesAt(nodes[0]), 2)
	})
}

// "When t has failed, the seed is logged."
func TestTheSeedIsToldWhenTheTestFails(t *testing.T) {
	for _, failed := range []bool{false, true} {
		f := newFake(t)
		broachtest.New(f, broachtest.Seed(77))
		var want []string
		if failed {
			f.Errorf("something is wrong")
			want = []string{"broachtest: the seed is 77"}
		}
		f.end()
		require.Equal(t, want, f.logs)
	}
}

// "Nodes that are started by several goroutines at once get their addresses in any order."
func TestNodesMayBeStartedByManyGoroutines(t *testing.T) {
	inBoth(t, func(t *testing.T, c *broachtest.Cluster) {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { c.Start("") })
		}
		all.Wait()
		c.Settle()
	})
}

// Two clusters of one test know nothing of each other, though their nodes have the same addresses.
func TestTwoClustersInOneTest(t *testing.T) {
	inBoth(t, func(t *testing.T, c *broachtest.Cluster) {
		other := broachtest.New(t)
		a, b := c.Start(""), other.Start("")
		c.Start("")
		require.Equal(t, a.Addr(), b.Addr())
		c.Settle()
		other.Settle()
		require.Len(t, a.Members(), 2)
		require.Len(t, b.Members(), 1)
	})
}

// keyOf is a key that is told from others.
func keyOf(b byte) []byte {
	k := make([]byte, 32)
	k[0], k[1] = b, 1
	return k
}

func TestClustersWithKeys(t *testing.T) {
	inBoth(t, func(t *testing.T, c *broachtest.Cluster) {
		a, b := c.Start(""), c.Start("")
		broachtest.Stub(b, "price", 7)
		c.Settle()
		price, err := broach.Call[int](t.Context(), a.Caller("price"))
		require.NoError(t, err)
		require.Equal(t, 7, price)
	}, broachtest.Defaults(broach.Config{Keys: [][]byte{keyOf(1)}}))
}

// A cluster serves a benchmark, whose T is another.
func BenchmarkThreeNodes(b *testing.B) {
	for b.Loop() {
		f := &fakeT{TB: b}
		c := broachtest.New(f)
		for range 3 {
			c.Start("")
		}
		c.Settle()
		f.end()
		if f.Failed() {
			b.Fatal(f.told())
		}
	}
}
