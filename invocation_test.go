package broach

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// [CALL-14] The provider adds them to the calls that the function makes in turn.
func TestMetadataAndCallersTravelThroughChains(t *testing.T) {
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	inCluster(t, 1, func(c *cluster) {
		c.startAll(3)
		register := func(i int, name string, fn any) { require.NoError(t, c.nodes[i].Register(name, fn)) }
		register(0, "first", func(ctx context.Context) (map[string]string, error) {
			in, ok := InvocationFrom(ctx)
			require.True(t, ok)
			require.Equal(t, Invocation{"first", addrOf(2), map[string]string{"traceparent": trace, "user": "ann"}, nil}, in)
			return Call[map[string]string](ctx, c.nodes[0].Caller("second", Meta("user", "bob"), Meta("x", "")))
		})
		register(1, "second", func(ctx context.Context) (map[string]string, error) {
			in, _ := InvocationFrom(ctx)
			require.Equal(t, addrOf(0), in.From)
			return Call[map[string]string](ctx, c.nodes[1].Caller("third"))
		})
		register(1, "third", func(ctx context.Context) map[string]string {
			in, _ := InvocationFrom(ctx)
			require.Equal(t, addrOf(1), in.From, "a call of this process")
			return in.Meta
		})
		require.NoError(t, c.nodes[2].WaitFor(context.Background(), "first", 1))
		time.Sleep(time.Second)
		first := c.nodes[2].Caller("first", Meta("traceparent", trace))
		for _, call := range []*Caller{first.With(Meta("user", "ann")), first.With(Meta("user", "zoe"), Meta("user", "ann"))} {
			got, err := Call[map[string]string](context.Background(), call)
			require.NoError(t, err)
			require.Equal(t, map[string]string{"traceparent": trace, "user": "bob", "x": ""}, got)
		}
		_, ok := InvocationFrom(context.Background())
		require.False(t, ok)
	})
}

// A call without metadata brings none, and is not given those of the call before.
func TestACallWithoutMetadataBringsNone(t *testing.T) {
	read := func(ctx context.Context) int { in, _ := InvocationFrom(ctx); return len(in.Meta) }
	inPair(t, map[string]any{"read": read}, func(c *cluster, provider, caller *Node) {
		for i, opts := range [][]CallOption{{Meta("a", "1")}, nil} {
			got, err := Call[int](context.Background(), caller.Caller("read", opts...))
			require.NoError(t, err)
			require.Equal(t, 1-i, got)
		}
	})
}

// [CALL-6] ... each end the context of the running call: a chain of calls has one deadline and ends as a whole.
func TestDeadlineAndCancelReachTheEndOfAChain(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		ended := make(chan error, 1)
		c.startAll(3)
		for i, next := range []string{"1", "2"} {
			node := c.nodes[i]
			require.NoError(t, node.Register([]string{"0", "1"}[i], func(ctx context.Context) error {
				_, err := node.Caller(next).Call(ctx)
				return err
			}))
		}
		left := make(chan time.Duration, 1)
		require.NoError(t, c.nodes[2].Register("2", func(ctx context.Context) {
			until, _ := ctx.Deadline()
			left <- time.Until(until)
			<-ctx.Done()
			ended <- ctx.Err()
		}))
		require.NoError(t, c.nodes[2].WaitFor(context.Background(), "0", 1))
		require.NoError(t, c.nodes[0].WaitFor(context.Background(), "1", 1))
		require.NoError(t, c.nodes[1].WaitFor(context.Background(), "2", 1))
		time.Sleep(time.Second)

		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		_, err := c.nodes[2].Caller("0").Call(ctx)
		cancel()
		requireError(t, err, DeadlineExceeded, Maybe)
		require.InDelta(t, 3*time.Second, <-left, float64(50*time.Millisecond), "what remains, not the default of each hop")
		require.Error(t, <-ended, "by its own clock, or because the call before it is over")

		ctx, cancel = context.WithCancel(context.Background())
		f := Go[any](ctx, c.nodes[2].Caller("0"))
		<-left
		start := time.Now()
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.Less(t, time.Since(start), 50*time.Millisecond)
		_, err = f.Wait()
		requireError(t, err, Canceled, Maybe)
	})
}

func TestMetadataHaveLimits(t *testing.T) {
	inPair(t, map[string]any{"read": func(ctx context.Context) string { in, _ := InvocationFrom(ctx); return in.Meta["k"] }}, func(c *cluster, provider, caller *Node) {
		for _, from := range []*Node{caller, provider} {
			most := strings.Repeat("x", 8192-4)
			got, err := Call[string](context.Background(), from.Caller("read", Meta("k", most)))
			require.NoError(t, err)
			require.Equal(t, most, got)
			for _, opt := range []CallOption{Meta("k", most+"x"), Meta("", "v"), Meta("\x00k", "v"), Meta("\xff", "v"), Meta(strings.Repeat("k", 256), "v")} {
				_, err := from.Caller("read", opt).Call(context.Background())
				requireError(t, err, InvalidArgument, No)
			}
		}
	})
}
