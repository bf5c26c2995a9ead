package members

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

func add(x, y int) int { return x + y }

// registerAll registers functions with such names until one is refused, and returns how many were taken.
func registerAll(t *testing.T, n *broach.Node, name func(i int) string) (int, error) {
	for i := 0; ; i++ {
		if err := n.Register(name(i), add); err != nil {
			require.ErrorIs(t, err, &broach.Error{Code: broach.TooLarge})
			return i, err
		}
	}
}

// A node offers at most 10,000 functions.
func TestOfferingIsBounded(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, n, peer *broach.Node) {
		require.NoError(t, n.Register("__before", add))
		k, err := registerAll(t, n, func(i int) string { return fmt.Sprint("f", i) })
		require.Equal(t, 10_000, k, "what peers are not told of does not count")
		require.ErrorContains(t, err, "broach: TooLarge: a node offers at most 10000 functions")
		require.NoError(t, n.Register("__after", add))
		require.NoError(t, peer.WaitFor(context.Background(), "f9999", 1))
		time.Sleep(time.Second)
		require.Len(t, peer.Services(), 10_000)
	})
}

// A signature that no table can hold is refused where it is registered.
func TestSignaturesAreBounded(t *testing.T) {
	type short struct{ A [1]int }
	unnamed := reflect.TypeFor[int]()
	for range 14 { // each time twice as long
		unnamed = reflect.StructOf([]reflect.StructField{{Name: "A", Type: unnamed}, {Name: "B", Type: unnamed}})
	}
	long := reflect.MakeFunc(reflect.FuncOf([]reflect.Type{unnamed}, nil, false),
		func([]reflect.Value) []reflect.Value { return nil }).Interface()
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, n, peer *broach.Node) {
		for _, name := range []string{"long", "__long"} {
			err := n.Register(name, long)
			require.ErrorIs(t, err, broach.ErrInvalidArgument)
			require.ErrorContains(t, err, "bytes, may have 65535: give its types names")
		}
		require.NoError(t, n.Register("short", func(short) {}))
		require.NoError(t, peer.WaitFor(context.Background(), "short", 1))
	})
}

// The table may be full, but not fuller, whether its names share their beginnings or not: peers take it.
func TestTableIsBounded(t *testing.T) {
	const most = 10_000
	long := strings.Repeat("x", 195)
	for _, test := range []struct {
		name func(i int) string
		rows int // that fit: of 204 bytes and the signature each, less what the names share
	}{
		{func(i int) string { return fmt.Sprintf("%05d%s", i*7919%100_000, long) }, 4_849},
		{func(i int) string { return fmt.Sprintf("%s%05d", long, i*7919%100_000) }, most},
	} {
		clustertest.InPair(t, nil, func(c *clustertest.Cluster, n, peer *broach.Node) {
			k, err := registerAll(t, n, test.name)
			require.Equal(t, test.rows, k, "%v", err)
			c.Until(10*time.Second, "the peer knows all", func() bool { return len(peer.Services()) == test.rows })
			require.Zero(t, peer.Stats().TablesRefused)
		})
	}
}

// Functions that come and go do not use up the room.
func TestOfferingGivesRoomBack(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n, name := c.Start(0), strings.Repeat("x", 200)
		for range 2 * wire.MaxTable / len(name) {
			require.NoError(t, n.Register(name, add))
			require.NoError(t, n.Unregister(name))
		}
		require.Empty(t, n.Services())
		require.ErrorContains(t, n.Unregister(name), "there is no such function")
	})
}

// 10,000 functions registered one after the other are known to all soon after, and cost a few tables, not 10,000.
func TestManyFunctionsAreRegistered(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Net.SetDefault(simnet.Link{Delay: 100 * time.Microsecond})
		c.StartAll(32)
		c.Until(time.Second, "all see all", func() bool { return clustertest.AllSee(c.Nodes, 31) })
		provider, start := c.Nodes[7], time.Now()
		for i := range wire.MaxFunctions {
			name := fmt.Sprintf("function%05d", i)
			require.NoError(t, provider.Register(name, add))
		}
		require.Len(t, provider.Services(), wire.MaxFunctions)
		for _, n := range c.Nodes {
			require.NoError(t, n.WaitFor(context.Background(), "function09999", 1))
		}
		t.Log("known to all after", time.Since(start))
		require.Less(t, time.Since(start), time.Second)
		require.Less(t, c.TableVersion(c.Nodes[0], provider), uint32(10))
	})
}
