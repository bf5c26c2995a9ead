package calls

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// tries is a Tracer that counts the attempts of calls, and those that a provider refused as InvalidArgument.
type tries struct{ all, misfits atomic.Int64 }

func (t *tries) StartCall(ctx context.Context, _ string, _ broach.CallKind) (context.Context, broach.Span) {
	return ctx, t
}

func (t *tries) StartServe(
	ctx context.Context, _ string, _ broach.CallKind, _ netip.AddrPort, _ map[string]string,
) (context.Context, broach.Span) {
	return ctx, nil
}

func (t *tries) Carry() []string { return nil }

func (t *tries) Attempt(_ netip.AddrPort, _ int, err error) {
	t.all.Add(1)
	if e, ok := err.(*broach.Error); ok && e.Code == broach.InvalidArgument {
		t.misfits.Add(1)
	}
}

func (t *tries) End(netip.AddrPort, time.Duration, error) {}

// withTries runs a test on node 0, whose attempts are counted, and so many others, that offer nothing yet.
func withTries(t *testing.T, others int, test func(c *clustertest.Cluster, n *broach.Node, tried *tries)) {
	tried := &tries{}
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n := c.StartWith(0, func(cfg *broach.Config) { cfg.Tracer = tried })
		for i := range others {
			c.Start(i+1, 0)
		}
		c.Settle(time.Second)
		test(c, n, tried)
	})
}

// offerIn offers a function, and lets all hear of it.
func offerIn(c *clustertest.Cluster, n *broach.Node, name string, fn any, opts ...broach.RegisterOption) {
	require.NoError(c.T, n.Register(name, fn, opts...))
	time.Sleep(time.Second)
}

func addInts(x, y int) int             { return x + y }
func addText(s string, y int) string   { return fmt.Sprint(s, y) }
func addBytes(s []byte, y int8) string { return string(s) }

// "a call whose arguments do not fit what this node offers goes to another whose signature fits": by default, with
// LocalFirst, LocalEqual and Hedge, in each form.
func TestCallsThatDoNotFitHereGoElsewhere(t *testing.T) {
	for name, opts := range map[string][]broach.CallOption{
		"default": nil, "first": {broach.Local(broach.LocalFirst), broach.Retries(1)},
		"equal":       {broach.Local(broach.LocalEqual), broach.Retries(1)},
		"round robin": {broach.Local(broach.LocalEqual), broach.Balance(broach.RoundRobin())},
		"hedge":       {broach.Hedge(time.Second)}, "equal hedge": {broach.Local(broach.LocalEqual), broach.Hedge(0)},
		"key": {broach.Key("k")}, "wait": {broach.WaitReady()},
	} {
		withTries(t, 2, func(c *clustertest.Cluster, n *broach.Node, tried *tries) {
			offerIn(c, n, "add", addInts, broach.Idempotent())
			offerIn(c, c.Nodes[2], "add", addText, broach.Idempotent())
			f := n.Caller("add", opts...)
			bound := broach.Bind[func(string, int) (string, error)](n, "add", opts...)
			for range 50 {
				v, err := broach.Call[string](context.Background(), f, "a", 2)
				require.NoError(t, err, name)
				require.Equal(t, "a2", v)
				v, err = broach.Go[string](context.Background(), f, "b", 2).Wait()
				require.NoError(t, err, name)
				require.Equal(t, "b2", v)
				v, err = bound("c", 2)
				require.NoError(t, err, name)
				require.Equal(t, "c2", v)
				sum, err := broach.Call[int](context.Background(), f, 1, 2)
				require.NoError(t, err, name)
				require.Equal(t, 3, sum)
			}
			require.LessOrEqual(t, tried.misfits.Load(), int64(4), "%s: it is learnt what fits", name)
		})
	}
}

// Where the call must run here, or nobody else has another signature, or no retry is wanted, it is the error it was.
func TestCallsThatDoNotFitHereAndMayNotGoElsewhere(t *testing.T) {
	withTries(t, 2, func(c *clustertest.Cluster, n *broach.Node, tried *tries) {
		offerIn(c, n, "add", addInts)
		offerIn(c, c.Nodes[2], "add", addText)
		offerIn(c, n, "sub", addInts)
		offerIn(c, c.Nodes[2], "sub", addInts)
		require.NoError(t, n.Register("__own", addInts))
		for _, f := range []*broach.Caller{
			n.Caller("add", broach.Local(broach.LocalOnly)), n.Caller("add", broach.On(n.Addr())),
			n.Caller("add", broach.NoRetry()), n.Caller("sub"), n.Caller("__own"),
		} {
			for range 10 {
				before := tried.all.Load()
				_, err := f.Call(context.Background(), "a", 2)
				e := clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
				require.Equal(t, n.Addr().String(), e.Node)
				require.Equal(t, before+1, tried.all.Load(), "it is tried here, and once")
			}
		}
		for range 10 { // fits none: it is what this node said of it, after one of each signature has been asked
			_, err := n.Caller("add").Call(context.Background(), true)
			e := clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
			require.Equal(t, n.Addr().String(), e.Node)
		}
	})
}

// What was learnt is no bar: where those that it fits are away, or it fits here after all, calls run here.
func TestWhatWasLearntIsNoBar(t *testing.T) {
	withTries(t, 1, func(c *clustertest.Cluster, n *broach.Node, tried *tries) {
		offerIn(c, n, "half", func(x int8) int8 { return x / 2 })
		offerIn(c, c.Nodes[1], "half", func(x int) int { return x / 2 })
		half := func(x int) (int, error) { return broach.Call[int](context.Background(), n.Caller("half"), x) }
		v, err := half(300)
		require.NoError(t, err, "it is made elsewhere")
		require.Equal(t, 150, v)
		before := tried.all.Load()
		_, err = half(4)
		require.NoError(t, err)
		require.Equal(t, before+1, tried.all.Load(), "elsewhere at once, like the one before")
		require.NoError(t, c.Nodes[1].Unregister("half"))
		time.Sleep(time.Second)
		v, err = half(6)
		require.NoError(t, err, "here: nobody else is left")
		require.Equal(t, 3, v)

		offerIn(c, c.Nodes[1], "half", func(s string) string { return s })
		_, err = half(300)
		clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
		v, err = half(8)
		require.NoError(t, err, "no other fits")
		require.Equal(t, 4, v)
	})
}

// [CALL-21] What was learnt does not outlive the row: the provider that did not fit offers it anew, under the same
// words, and has its share at once.
func TestWhatWasLearntIsForgottenWithTheTable(t *testing.T) {
	withTries(t, 2, func(c *clustertest.Cluster, n *broach.Node, tried *tries) {
		var old, is, wide atomic.Int64
		offer := func(counts *atomic.Int64) func(any) { return func(any) { counts.Add(1) } }
		offerIn(c, c.Nodes[1], "f", func(x int8) { old.Add(1) })
		offerIn(c, c.Nodes[2], "f", offer(&wide))
		f := n.Caller("f", broach.Balance(broach.RoundRobin()))
		call := func(x any) {
			for range 20 {
				_, err := f.Call(context.Background(), x)
				require.NoError(t, err)
			}
		}
		call(300)
		require.LessOrEqual(t, tried.misfits.Load(), int64(1))
		require.EqualValues(t, 20, wide.Load())
		require.NoError(t, c.Nodes[1].Unregister("f"))
		require.NoError(t, c.Nodes[1].Register("f", func(x int8) { is.Add(1) }, broach.Doc("the same words")))
		time.Sleep(time.Second)
		call(7)
		require.Zero(t, old.Load())
		require.EqualValues(t, 10, is.Load())
	})
}

// A single odd value keeps nobody from a provider for long.
func TestWhatWasLearntIsForgottenInTime(t *testing.T) {
	withTries(t, 2, func(c *clustertest.Cluster, n *broach.Node, tried *tries) {
		var narrow atomic.Int64
		offerIn(c, c.Nodes[1], "f", func(int8) { narrow.Add(1) })
		offerIn(c, c.Nodes[2], "f", func(int) {})
		f := n.Caller("f", broach.Balance(broach.RoundRobin()))
		call := func(times, x int) {
			for range times {
				_, err := f.Call(context.Background(), x)
				require.NoError(t, err)
			}
		}
		call(2, 300)
		call(20, 7)
		require.Zero(t, narrow.Load())
		time.Sleep(10 * time.Second)
		call(20, 7)
		require.EqualValues(t, 10, narrow.Load())
	})
}

// Where everybody refused arguments of these types lately, they are asked all the same: another value may fit.
func TestWhatNoSignatureFittedIsAskedAllTheSame(t *testing.T) {
	withTries(t, 2, func(c *clustertest.Cluster, n *broach.Node, tried *tries) {
		offerIn(c, c.Nodes[1], "f", func(x int8) int8 { return x })
		offerIn(c, c.Nodes[2], "f", func(string) {})
		_, err := n.Caller("f").Call(context.Background(), 300)
		clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
		for _, opts := range [][]broach.CallOption{
			nil, {broach.Balance(broach.Random())}, {broach.On(clustertest.AddrOf(1))}, {broach.Key("k")},
		} {
			v, err := n.Caller("f", opts...).Call(context.Background(), 7)
			require.NoError(t, err)
			require.EqualValues(t, 7, v)
		}
	})
}

// "Retries is how many more providers are asked": this node, where the arguments do not fit, is the first.
func TestWhatDoesNotFitHereCountsForRetries(t *testing.T) {
	withTries(t, 3, func(c *clustertest.Cluster, n *broach.Node, tried *tries) {
		offerIn(c, n, "f", func(int) {})
		offerIn(c, c.Nodes[1], "f", func(string) {})
		offerIn(c, c.Nodes[2], "f", func(bool) {})
		offerIn(c, c.Nodes[3], "f", func(int) {}) // which refuses what this node does
		for retries := range 4 {
			before := tried.all.Load()
			_, err := n.Caller("f", broach.Retries(retries)).Call(context.Background(), 1.5)
			clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
			require.EqualValues(t, min(1+retries, 3), tried.all.Load()-before)
		}
	})
}

// Calls of two kinds of arguments, and of many, keep apart what they learn; a fit that is none of these is not found
// by what others have learnt.
func TestEachKindOfArgumentsLearnsForItself(t *testing.T) {
	withTries(t, 3, func(c *clustertest.Cluster, n *broach.Node, tried *tries) {
		offerIn(c, c.Nodes[1], "add", addInts)
		offerIn(c, c.Nodes[2], "add", addText)
		offerIn(c, c.Nodes[3], "add", addBytes)
		for range 100 {
			for _, args := range [][]any{{1, 2}, {"a", 2}, {[]byte("a"), int8(2)}} {
				_, err := n.Caller("add").Call(context.Background(), args...)
				require.NoError(t, err)
			}
		}
		require.LessOrEqual(t, tried.misfits.Load(), int64(6), "each signature refused two kinds of arguments")
		require.EqualValues(t, 300+tried.misfits.Load(), tried.all.Load())
	})
}

// LocalEqual: this node is one provider among the others also where it has no room, or an event finds none.
func TestWhoHasNoRoomHereIsServedElsewhere(t *testing.T) {
	withTries(t, 1, func(c *clustertest.Cluster, n *broach.Node, tried *tries) {
		hold, held := make(chan struct{}), make(chan struct{})
		offerIn(c, n, "f", func() int { held <- struct{}{}; <-hold; return 0 },
			broach.MaxConcurrent(1))
		offerIn(c, c.Nodes[1], "f", func() int { return 1 })
		first := broach.Go[int](context.Background(), n.Caller("f", broach.Timeout(time.Minute)))
		<-held
		for range 20 {
			v, err := broach.Call[int](context.Background(), n.Caller("f", broach.Local(broach.LocalEqual)))
			require.NoError(t, err)
			require.Equal(t, 1, v)
			time.Sleep(time.Second) // so that the limit of retries is no matter
		}
		close(hold)
		_, err := first.Wait()
		require.NoError(t, err)
	})
}
