package calls

import (
	"context"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

func metaOfCall(ctx context.Context) map[string]string {
	in, _ := broach.InvocationFrom(ctx)
	return in.Meta()
}

func TestMetadataOfOneCallGoAlongWithEveryKindOfCall(t *testing.T) {
	heard := make(chan map[string]string, 10)
	functions := map[string]any{
		"read": metaOfCall,
		"hear": func(ctx context.Context) { heard <- metaOfCall(ctx) },
	}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		_, err := provider.Subscribe("sold", func(ctx context.Context, _ int) { heard <- metaOfCall(ctx) })
		require.NoError(t, err)
		time.Sleep(time.Second)
		want := map[string]string{"user": "ann", "trace": "7"}
		plain := context.Background()
		ctx := broach.WithMeta(broach.WithMeta(plain, "user", "ann"), "trace", "7")
		for _, n := range []*broach.Node{provider, caller} {
			read := n.Caller("read", broach.Meta("user", "the Caller's"))
			got, err := broach.Call[map[string]string](ctx, read)
			require.NoError(t, err)
			require.Equal(t, want, got, "Call")
			got, err = broach.Bind[func(context.Context) (map[string]string, error)](n, "read")(ctx)
			require.NoError(t, err)
			require.Equal(t, want, got, "Bind")
			got, err = broach.Go[map[string]string](ctx, read).Wait()
			require.NoError(t, err)
			require.Equal(t, want, got, "Go")
			for r := range broach.All[map[string]string](ctx, read) {
				require.NoError(t, r.Err)
				require.Equal(t, want, r.Value, "All")
			}
			require.NoError(t, n.Caller("hear").Send(ctx))
			require.Equal(t, want, <-heard, "Send")
			_, err = n.Publish(ctx, "sold", 1)
			require.NoError(t, err)
			require.Equal(t, want, <-heard, "Publish")

			got, err = broach.Call[map[string]string](plain, read)
			require.NoError(t, err)
			require.Equal(t, map[string]string{"user": "the Caller's"}, got, "the next call has nothing of it")
		}
	})
}

// What a ctx says counts before what its function was called with, and what that was is carried on.
func TestMetadataOfOneCallWithinAFunction(t *testing.T) {
	clustertest.InPair(t, map[string]any{"read": metaOfCall}, func(
		c *clustertest.Cluster, provider, caller *broach.Node,
	) {
		relay := func(ctx context.Context) (map[string]string, error) {
			ctx = broach.WithMeta(ctx, "user", "bob")
			if in, ok := broach.InvocationFrom(ctx); !ok || in.Meta()["user"] != "ann" {
				return nil, broach.Errorf(broach.Internal, "what comes is not what goes: %v", in.Meta())
			}
			return broach.Call[map[string]string](broach.WithMeta(ctx, "x", ""), provider.Caller("read"))
		}
		clustertest.Offer(c, provider, caller, "relay", relay)
		ctx := broach.WithMeta(broach.WithMeta(context.Background(), "user", "ann"), "trace", "7")
		got, err := broach.Call[map[string]string](ctx, caller.Caller("relay"))
		require.NoError(t, err)
		require.Equal(t, map[string]string{"user": "bob", "trace": "7", "x": ""}, got)
	})
}

// A ctx is not changed by another that is made of it.
func TestOneContextSaysNothingInAnother(t *testing.T) {
	clustertest.InPair(t, map[string]any{"read": metaOfCall}, func(
		c *clustertest.Cluster, provider, caller *broach.Node,
	) {
		a := broach.WithMeta(context.Background(), "a", "1")
		for key, ctx := range map[string]context.Context{
			"b": broach.WithMeta(a, "b", "2"), "c": broach.WithMeta(a, "c", "2"),
		} {
			got, err := broach.Call[map[string]string](ctx, caller.Caller("read"))
			require.NoError(t, err)
			require.Equal(t, map[string]string{"a": "1", key: "2"}, got)
		}
	})
}

func TestMetadataOfOneCallHaveLimits(t *testing.T) {
	clustertest.InPair(t, map[string]any{"read": metaOfCall}, func(
		c *clustertest.Cluster, provider, caller *broach.Node,
	) {
		_, err := provider.Subscribe("sold", func(int) {})
		require.NoError(t, err)
		time.Sleep(time.Second)
		most := strings.Repeat("x", 8192-4)
		got, err := broach.Call[map[string]string](broach.WithMeta(c.T.Context(), "k", most), caller.Caller("read"))
		require.NoError(t, err)
		require.Equal(t, most, got["k"])
		long := broach.WithMeta(c.T.Context(), "k", most+"xxx")
		for want, ctx := range map[string]context.Context{
			`the metadata have 8195 bytes, of 8192 at most: "k" has 8191`: long,
			`the Meta key "" must be 1 to 255 bytes`:                      broach.WithMeta(c.T.Context(), "", "v"),
		} {
			_, err := caller.Caller("read").Call(ctx)
			clustertest.RequireError(t, err, broach.InvalidArgument, broach.No)
			require.ErrorContains(t, err, want)
			delivery, err := caller.Publish(ctx, "sold", 1)
			require.ErrorContains(t, err, want)
			require.Empty(t, delivery, "nothing was sent")
		}
	})
}

// A function that writes to the metadata which it was called with changes nothing.
func TestMetadataOfAFunctionAreACopy(t *testing.T) {
	spoil := func(ctx context.Context) map[string]string {
		in, _ := broach.InvocationFrom(ctx)
		in.Meta()["user"], in.Meta()["x"] = "eve", "y"
		return metaOfCall(ctx)
	}
	clustertest.InPair(t, map[string]any{"spoil": spoil}, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for _, n := range []*broach.Node{provider, caller} {
			ctx := broach.WithMeta(context.Background(), "user", "ann")
			got, err := broach.Call[map[string]string](ctx, n.Caller("spoil"))
			require.NoError(t, err)
			require.Equal(t, map[string]string{"user": "ann"}, got)
		}
	})
}
