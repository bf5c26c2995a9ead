package calls

import (
	"context"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/intruder"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [CALL-14] The provider adds them to the calls that the function makes in turn.
func TestMetadataAndCallersTravelThroughChains(t *testing.T) {
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(3)
		register := func(i int, name string, fn any) { require.NoError(t, c.Nodes[i].Register(name, fn)) }
		register(0, "first", func(ctx context.Context) (map[string]string, error) {
			in, ok := broach.InvocationFrom(ctx)
			require.True(t, ok)
			require.Equal(t, seenCall{Service: "first", From: clustertest.AddrOf(2),
				Meta: map[string]string{"traceparent": trace, "user": "ann"}}, seen(&in))
			return broach.Call[map[string]string](ctx,
				c.Nodes[0].Caller("second", broach.Meta("user", "bob"), broach.Meta("x", "")))
		})
		register(1, "second", func(ctx context.Context) (map[string]string, error) {
			in, _ := broach.InvocationFrom(ctx)
			require.Equal(t, clustertest.AddrOf(0), in.From)
			return broach.Call[map[string]string](ctx, c.Nodes[1].Caller("third"))
		})
		register(1, "third", func(ctx context.Context) map[string]string {
			in, _ := broach.InvocationFrom(ctx)
			require.Equal(t, clustertest.AddrOf(1), in.From, "a call of this process")
			return in.Meta()
		})
		require.NoError(t, c.Nodes[2].WaitFor(context.Background(), "first", 1))
		time.Sleep(time.Second)
		first := c.Nodes[2].Caller("first", broach.Meta("traceparent", trace))
		for _, call := range []*broach.Caller{
			first.With(broach.Meta("user", "ann")), first.With(broach.Meta("user", "zoe"), broach.Meta("user", "ann")),
		} {
			got, err := broach.Call[map[string]string](context.Background(), call)
			require.NoError(t, err)
			require.Equal(t, map[string]string{"traceparent": trace, "user": "bob", "x": ""}, got)
		}
		_, ok := broach.InvocationFrom(context.Background())
		require.False(t, ok)
	})
}

// [CALL-14] ... but for keys of the protocol's own, which it ignores if it does not know them.
func TestKeysOfTheProtocolAreNoMetadata(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		k := newTalk(c)
		require.NoError(t, k.node.Register("meta", func(ctx context.Context) map[string]string {
			in, _ := broach.InvocationFrom(ctx)
			return in.Meta()
		}))
		l := k.open(0)
		request := wire.Request{Service: []byte("meta"), Args: []byte{0x90}, Remaining: 5000,
			Meta: wire.AppendPair(wire.AppendPair(nil, "\x00new", []byte("1")), "k", []byte("v"))}
		k.tell(l.Next(intruder.Of(intruder.KindRequest, request.AppendBody(nil)...)))
		reply, err := wire.ConsumeReply(k.expect(l, intruder.KindReply).Body)
		require.NoError(t, err)
		require.Equal(t, "\x01\x14\x0f\x0f\x81\xa1k\xa1v", string(reply.Body), "a map of one text to one")
		k.conn.Close()
	})
}

// A call without metadata brings none, and is not given those of the call before.
func TestACallWithoutMetadataBringsNone(t *testing.T) {
	read := func(ctx context.Context) int { in, _ := broach.InvocationFrom(ctx); return len(in.Meta()) }
	clustertest.InPair(t, map[string]any{"read": read}, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for i, opts := range [][]broach.CallOption{{broach.Meta("a", "1")}, nil} {
			got, err := broach.Call[int](context.Background(), caller.Caller("read", opts...))
			require.NoError(t, err)
			require.Equal(t, 1-i, got)
		}
	})
}

// [CALL-6] ... each end the context of the running call: a chain of calls has one deadline and ends as a whole.
func TestDeadlineAndCancelReachTheEndOfAChain(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		ended := make(chan error, 1)
		c.StartAll(3)
		for i, next := range []string{"1", "2"} {
			node := c.Nodes[i]
			require.NoError(t, node.Register([]string{"0", "1"}[i], func(ctx context.Context) error {
				_, err := node.Caller(next).Call(ctx)
				return err
			}))
		}
		left := make(chan time.Duration, 1)
		require.NoError(t, c.Nodes[2].Register("2", func(ctx context.Context) {
			until, _ := ctx.Deadline()
			left <- time.Until(until)
			<-ctx.Done()
			ended <- ctx.Err()
		}))
		require.NoError(t, c.Nodes[2].WaitFor(context.Background(), "0", 1))
		require.NoError(t, c.Nodes[0].WaitFor(context.Background(), "1", 1))
		require.NoError(t, c.Nodes[1].WaitFor(context.Background(), "2", 1))
		time.Sleep(time.Second)

		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		_, err := c.Nodes[2].Caller("0").Call(ctx)
		cancel()
		clustertest.RequireError(t, err, broach.DeadlineExceeded, broach.Maybe)
		require.InDelta(t, 3*time.Second, <-left, float64(50*time.Millisecond),
			"what remains, not the default of each hop")
		require.Error(t, <-ended, "by its own clock, or because the call before it is over")

		ctx, cancel = context.WithCancel(context.Background())
		f := broach.Go[any](ctx, c.Nodes[2].Caller("0"))
		<-left
		start := time.Now()
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.Less(t, time.Since(start), 50*time.Millisecond)
		_, err = f.Wait()
		clustertest.RequireError(t, err, broach.Canceled, broach.Maybe)
	})
}

func TestMetadataHaveLimits(t *testing.T) {
	clustertest.InPair(t, map[string]any{
		"read": func(ctx context.Context) string { in, _ := broach.InvocationFrom(ctx); return in.Meta()["k"] },
	}, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for _, from := range []*broach.Node{caller, provider} {
			most := strings.Repeat("x", 8192-4)
			got, err := broach.Call[string](context.Background(), from.Caller("read", broach.Meta("k", most)))
			require.NoError(t, err)
			require.Equal(t, most, got)
			for _, opt := range []broach.CallOption{
				broach.Meta("k", most+"x"), broach.Meta("", "v"), broach.Meta("\x00k", "v"), broach.Meta("\xff", "v"),
				broach.Meta(strings.Repeat("k", 256), "v"),
			} {
				_, err := from.Caller("read", opt).Call(context.Background())
				clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
			}
		}
	})
}
