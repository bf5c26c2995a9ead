package broachtest_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/broachtest"

	"github.com/stretchr/testify/require"
)

// trio is a caller and two providers of "price", at rest.
func trio(c *broachtest.Cluster) (caller, one, two *broach.Node) {
	caller, one, two = c.Start("web"), c.Start("shop"), c.Start("shop")
	broachtest.Stub(one, "price", 1)
	broachtest.Stub(two, "price", 2)
	c.Settle()
	return caller, one, two
}

// askOne calls one node, which has so long for its answer.
func askOne(caller, at *broach.Node, within time.Duration) error {
	price := caller.Caller("price", broach.On(at.Addr()), broach.Timeout(within), broach.NoRetry())
	_, err := price.Call(context.Background())
	return err
}

// "Cut stops all datagrams between the nodes of a and those of b, both ways, until Heal."
func TestCutAndHeal(t *testing.T) {
	inBoth(t, func(t *testing.T, c *broachtest.Cluster) {
		caller, one, two := trio(c)
		c.Cut(nodesOf(caller), nodesOf(one))
		require.Error(t, askOne(caller, one, 50*time.Millisecond))
		require.NoError(t, askOne(caller, two, time.Second))
		c.Cut(nodesOf(caller), nodesOf(two)) // cuts add up
		require.Error(t, askOne(caller, two, 50*time.Millisecond))
		c.Heal()
		c.Heal()
		c.Settle()
		require.NoError(t, askOne(caller, one, time.Second))
		require.NoError(t, askOne(caller, two, time.Second))
	})
}

// What a node sends at the instant of a fault is sent before it, whichever goroutine comes first.
func TestFaultsComeLastAtAnInstant(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		shop, web := c.Start("shop"), c.Start("web")
		sold := broachtest.Stub(shop, "sold")
		c.Settle()
		for i := range 50 {
			donec := make(chan struct{})
			go func() {
				defer close(donec)
				time.Sleep(time.Second)
				_ = web.Caller("sold").Send(context.Background())
			}()
			time.Sleep(time.Second)
			c.CutOneWay(nodesOf(web), nodesOf(shop))
			<-donec
			require.Len(t, sold.Calls(), i+1)
			c.Heal()
			c.Settle()
		}
	})
}

// "A cut is of addresses: it also holds for who is started there next."
func TestACutHoldsForTheNextProcess(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		caller, one, two := trio(c)
		c.Cut(nodesOf(caller, two), nodesOf(one))
		again := c.Restart(one)
		time.Sleep(5 * time.Second)
		require.Equal(t, broach.Offline, statesAt(caller)[one.Addr().String()])
		c.Heal()
		c.Settle()
		require.Len(t, statesAt(again), 2)
	})
}

// "CutOneWay is Cut in one direction."
func TestCutOneWay(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		caller, one, _ := trio(c)
		var lost, passed int
		c.Drop(func(d broachtest.Datagram) bool {
			lost += btoi(d.From == one.Addr() && d.To == caller.Addr())
			passed += btoi(d.From == caller.Addr() && d.To == one.Addr())
			return false
		})
		c.CutOneWay(nodesOf(one), nodesOf(caller))
		require.Error(t, askOne(caller, one, 50*time.Millisecond))
		c.Drop(nil)
		require.NotZero(t, lost, "Drop sees what is cut")
		require.NotZero(t, passed)
		runs := one.Stats().Done
		require.EqualValues(t, 1, runs, "the call has come, its answer has not")
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// "Pause makes a node seem a process that was stopped. What comes for it waits."
func TestPauseAndResume(t *testing.T) {
	inBoth(t, func(t *testing.T, c *broachtest.Cluster) {
		caller, one, _ := trio(c)
		c.Pause(one)
		call := broach.Go[int](t.Context(), caller.Caller("price", broach.On(one.Addr()), broach.Timeout(time.Second)))
		time.Sleep(20 * time.Millisecond)
		c.Resume(one)
		price, err := call.Wait()
		require.NoError(t, err)
		require.Equal(t, 1, price)
	})
}

// A paused node counts as one that has ended, until it goes on.
func TestOthersSettleWithoutAPausedNode(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		caller, one, two := trio(c)
		c.Pause(one)
		c.Settle()
		require.Equal(t, broach.Offline, statesAt(caller)[one.Addr().String()])
		c.Resume(one)
		c.Settle()
		c.Pause(two)
		c.Kill(two)
		c.Settle()
		require.Equal(t, broach.Offline, statesAt(one)[two.Addr().String()])
	})
}

// "Link sets what all links are like that LinkBetween has not set, from now on."
func TestLinks(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		caller, one, two := trio(c)
		took := func(n *broach.Node) time.Duration {
			start := time.Now()
			require.NoError(t, askOne(caller, n, 3*time.Second))
			return time.Since(start).Truncate(time.Millisecond)
		}
		c.Link(broachtest.Link{Delay: 20 * time.Millisecond})
		require.Equal(t, 40*time.Millisecond, took(one))
		c.LinkBetween(caller, one, broachtest.Link{Delay: 70 * time.Millisecond})
		require.Equal(t, 90*time.Millisecond, took(one), "one way")
		require.Equal(t, 40*time.Millisecond, took(two))
		c.Link(broachtest.Link{})
		require.Equal(t, 70*time.Millisecond, took(one))
		require.Zero(t, took(two))
		c.Link(broachtest.Link{Loss: 1})
		require.Error(t, askOne(caller, two, 50*time.Millisecond))
		c.Link(broachtest.Link{MTU: 10})
		require.Error(t, askOne(caller, two, 50*time.Millisecond))
	})
}

// "Kinds names the messages in it, as PROTOCOL.md does and in their order."
func TestDropSeesWhatIsInADatagram(t *testing.T) {
	inBoth(t, func(t *testing.T, c *broachtest.Cluster) {
		var seen []broachtest.Datagram
		c.Drop(func(d broachtest.Datagram) bool { seen = append(seen, d); return false })
		caller, one, _ := trio(c)
		require.NoError(t, askOne(caller, one, time.Second))
		c.Drop(nil)
		var kinds []string
		for _, d := range seen {
			require.NotZero(t, d.Size)
			require.True(t, d.From.Addr().Is4() && d.To.Addr().Is4())
			kinds = append(kinds, d.Kinds...)
		}
		for _, kind := range []string{"Open", "Offer", "Confirm", "Announce", "Welcome", "Ack", "Request", "Reply"} {
			require.Contains(t, kinds, kind)
		}
	})
}

// "It is empty for a datagram that is sealed with keys."
func TestSealedDatagramsHaveNoKinds(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		count := 0
		c.Drop(func(d broachtest.Datagram) bool {
			require.Empty(t, d.Kinds)
			count++
			return false
		})
		trio(c)
		c.Drop(nil)
		require.NotZero(t, count)
	}, broachtest.Defaults(broach.Config{Keys: [][]byte{keyOf(1)}}))
}

// "Drop loses the datagrams that match is true of. Drop(nil) loses nothing any more."
func TestDropLosesWhatMatches(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		caller, one, _ := trio(c)
		lost := 0
		c.Drop(func(d broachtest.Datagram) bool {
			isReply := slices.Contains(d.Kinds, "Reply") && lost < 2
			lost += btoi(isReply)
			return isReply
		})
		require.NoError(t, askOne(caller, one, 3*time.Second))
		require.Equal(t, 2, lost)
		require.EqualValues(t, 1, one.Stats().Done, "it ran once")
		c.Drop(func(broachtest.Datagram) bool { return true })
		require.Error(t, askOne(caller, one, 50*time.Millisecond))
		c.Drop(nil)
		require.NoError(t, askOne(caller, one, time.Second))
	})
}

// Each kind of message that there is has a name here.
func TestAllKindsHaveNames(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "../internal/wire/wire.go", nil, 0)
	require.NoError(t, err)
	var values []string
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && strings.HasPrefix(spec.Names[0].Name, "Kind") {
			values = append(values, strings.TrimPrefix(spec.Names[0].Name, "Kind"))
			value := spec.Values[0].(*ast.BasicLit).Value
			require.Equal(t, values[len(values)-1], broachtest.NameOfKind(t, value))
		}
		return true
	})
	require.Greater(t, len(values), 20)
	require.Equal(t, "kind 200", broachtest.NameOfKind(t, "200"))
}

// Each kind of bad use fails the test with a sentence.
func TestBadUse(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *broachtest.Cluster) {
		f := newFake(t)
		c, other := broachtest.New(f), broachtest.New(t)
		a, b, stranger := c.Start("a"), c.Start("b"), other.Start("s")
		c.Settle()
		killed, closed, paused := c.Start("killed"), c.Start("closed"), c.Start("paused")
		c.Kill(killed)
		closed.Close()
		c.Pause(paused)
		restarted := c.Start("restarted")
		c.Restart(restarted)
		for name, bad := range map[string]struct {
			do   func()
			want string
		}{
			"kill twice":  {func() { c.Kill(killed) }, "Kill: killed (10.0.0.3:7000) was killed already"},
			"kill closed": {func() { c.Kill(closed) }, "Kill: closed (10.0.0.4:7000) is closed already"},
			"kill nil":    {func() { c.Kill(nil) }, "Kill: the node is nil"},
			"kill stranger": {
				func() { c.Kill(stranger) },
				"Kill: the node at 10.0.0.1:7000 is not one of this cluster",
			},
			"restart twice": {
				func() { c.Restart(restarted) },
				"Restart: restarted (10.0.0.6:7000) was restarted already",
			},
			"restart foreign": {func() { c.Restart(stranger) }, "Restart: the node at 10.0.0.1:7000 is not one"},
			"pause twice":     {func() { c.Pause(paused) }, "Pause: paused (10.0.0.5:7000) is paused already"},
			"pause killed":    {func() { c.Pause(killed) }, "Pause: killed (10.0.0.3:7000) was killed already"},
			"pause foreign":   {func() { c.Pause(stranger) }, "Pause: the node at"},
			"resume":          {func() { c.Resume(a) }, "Resume: a (10.0.0.1:7000) is not paused"},
			"resume killed":   {func() { c.Resume(killed) }, "Resume: killed (10.0.0.3:7000) was killed already"},
			"cut nobody":      {func() { c.Cut(nil, nodesOf(a)) }, "Cut: a side has no nodes"},
			"cut from nobody": {func() { c.CutOneWay(nodesOf(a), nil) }, "CutOneWay: a side has no nodes"},
			"cut from itself": {func() { c.Cut(nodesOf(a, b), nodesOf(b)) }, "Cut: b (10.0.0.2:7000) is on both sides"},
			"cut foreign": {
				func() { c.Cut(nodesOf(a), nodesOf(stranger)) },
				"Cut: the node at 10.0.0.1:7000 is not one",
			},
			"link to itself": {
				func() { c.LinkBetween(a, a, broachtest.Link{}) },
				"LinkBetween: both ends are a (10.0.0.1:7000)",
			},
			"link foreign": {func() { c.LinkBetween(a, stranger, broachtest.Link{}) }, "LinkBetween: the node at"},
			"loss": {
				func() { c.Link(broachtest.Link{Loss: 1.1}) },
				"Link: the Loss is 1.1, must be from 0 to 1",
			},
			"loss NaN": {func() { c.Link(broachtest.Link{Loss: math.NaN()}) }, "Link: the Loss is NaN"},
			"reorder": {
				func() { c.LinkBetween(a, b, broachtest.Link{Reorder: -1}) },
				"LinkBetween: the Reorder is -1",
			},
			"duplicate": {func() { c.Link(broachtest.Link{Duplicate: 2}) }, "Link: the Duplicate is 2"},
			"delay": {
				func() { c.Link(broachtest.Link{Delay: -1}) },
				"Link: Delay -1ns, Jitter 0s, MTU 0: none may be negative",
			},
			"MTU": {func() { c.Link(broachtest.Link{MTU: -1}) }, "MTU -1: none may be negative"},
			"bad config": {func() {
				c.Start("x", func(cfg *broach.Config) { cfg.MaxPacket = 1 })
			}, `Start "x": broach: `},
			"no conn": {
				func() { c.Start("x", func(cfg *broach.Config) { cfg.Conn = nil }) },
				`Start "x": an option has taken the Conn away`,
			},
			"stub twice": {
				func() { broachtest.Stub(a, "x"); broachtest.Stub(a, "x") },
				`Stub "x" at 10.0.0.1:7000: broach: InvalidArgument: register `,
			},
			"stub channel": {
				func() { broachtest.Stub(a, "y", make(chan int)) },
				`Stub "y" at 10.0.0.1:7000: broach: InvalidArgument: register `,
			},
			"stub killed": {func() { broachtest.Stub(killed, "y") }, `Stub "y" at 10.0.0.3:7000: broach`},
			"no event": {func() { broachtest.WaitEvent(f, a, broach.CircuitOpened, time.Second) },
				`WaitEvent: 10.0.0.1:7000 has not told of "circuit opened" within 1s: it told of member up: 10.0.0.2`},
			"event closed": {
				func() { broachtest.WaitEvent(f, closed, broach.CircuitOpened, time.Second) },
				"and then was closed",
			},
			"event of nobody": {func() { broachtest.WaitEvent(f, nil, broach.MemberUp, 0) },
				"WaitEvent: the node is nil"},
			"error first": {
				func() { broachtest.Stub(a, "z", io.EOF, 1) },
				`Stub "z" at 10.0.0.1:7000: result 1 is an error: only the last can be one`,
			},
			"no option":        {func() { c.Start("x", nil) }, `Start "x": an option is nil`},
			"no option of all": {func() { broachtest.New(f, nil) }, "New: an option is nil"},
			"a Conn for all": {func() {
				broachtest.New(f, broachtest.Defaults(broach.Config{Conn: &countingConn{}}))
			}, "Defaults: Conn must be nil"},
		} {
			got := f.failureOf(bad.do)
			require.True(t, strings.HasPrefix(got, "broachtest: "), "%s: %s", name, got)
			require.Contains(t, got, bad.want, name)
		}
		c.Resume(paused)
		c.Settle() // a refused start has left nothing behind
		f.end()
		require.Len(t, f.logs, 1)
		require.PanicsWithValue(t, "broachtest: Start: the cluster has ended with its test", func() { c.Start("x") })
		require.PanicsWithValue(t, "broachtest: Settle: the cluster has ended with its test", c.Settle)
	})
	var none broachtest.Cluster
	require.PanicsWithValue(t, "broachtest: Heal: this Cluster was not made by New", none.Heal)
	require.PanicsWithValue(t, "broachtest: New: the t is nil", func() { broachtest.New(nil) })
	require.PanicsWithValue(t, "broachtest: Stub: the node is nil", func() { broachtest.Stub(nil, "x") })
}
