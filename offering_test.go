package broach

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

func named(t *testing.T, name string) *service {
	f, err := newService(name, func(x, y int) int { return x + y })
	require.NoError(t, err)
	return f
}

// fill offers functions with such names until one is refused, and returns how many were taken.
func (o *offering) fill(t *testing.T, name func(i int) string) (int, error) {
	for i := 0; ; i++ {
		if _, err := o.add(name(i), named(t, name(i))); err != nil {
			return i, err
		}
	}
}

func TestOfferingIsBounded(t *testing.T) {
	o := newOffering()
	k, err := o.fill(t, func(i int) string { return fmt.Sprint("f", i) })
	require.Equal(t, wire.MaxFunctions, k)
	require.ErrorContains(t, err, "at most 10000 functions")
	require.Equal(t, TooLarge, err.(*Error).Code)
	_, err = o.add("__private", named(t, "__private"))
	require.NoError(t, err, "what peers are not told of does not count")
	require.Len(t, o.rows(), wire.MaxFunctions)
}

// The table may be full, but not fuller, whether its names share their beginnings or not.
func TestTableIsBounded(t *testing.T) {
	for _, c := range []struct {
		name func(i int) string
		rows int // that fit: of 204 bytes and the signature each, less what the names share
	}{
		{func(i int) string { return fmt.Sprintf("%05d%s", i*7919%100_000, strings.Repeat("x", 195)) }, 4_849},
		{func(i int) string { return fmt.Sprintf("%s%05d", strings.Repeat("x", 195), i*7919%100_000) }, wire.MaxFunctions},
	} {
		o := newOffering()
		k, err := o.fill(t, c.name)
		require.Equal(t, c.rows, k, "%v", err)
		require.Equal(t, TooLarge, err.(*Error).Code)
		table := o.table()
		require.LessOrEqual(t, len(table), wire.MaxTable)
		rows, err := wire.ConsumeTable(table)
		require.NoError(t, err)
		require.Len(t, rows, c.rows)
	}
}

// Functions that come and go do not use up the room.
func TestOfferingGivesRoomBack(t *testing.T) {
	o := newOffering()
	name := strings.Repeat("x", 200)
	for range 2 * wire.MaxTable / len(name) {
		_, err := o.add(name, named(t, name))
		require.NoError(t, err)
		_, err = o.remove(name)
		require.NoError(t, err)
	}
	require.Empty(t, o.rows())
	_, err := o.remove(name)
	require.ErrorContains(t, err, "there is no such function")
}

// 10,000 functions registered one after the other are known to all soon after, and cost a few tables, not 10,000.
func TestManyFunctionsAreRegistered(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.net.SetDefault(simnet.Link{Delay: 100 * time.Microsecond})
		c.startAll(32)
		c.until(time.Second, "all see all", func() bool { return allSee(c.nodes, 31) })
		provider, start := c.nodes[7], time.Now()
		for i := range wire.MaxFunctions {
			name := fmt.Sprintf("function%05d", i)
			require.NoError(t, provider.Register(name, func(x, y int) int { return x + y }))
		}
		require.Len(t, provider.Services(), wire.MaxFunctions)
		for _, n := range c.nodes {
			require.NoError(t, n.WaitFor(context.Background(), "function09999", 1))
		}
		t.Log("known to all after", time.Since(start))
		require.Less(t, time.Since(start), time.Second)
		require.Less(t, provider.linking.wires.Table.Load(), uint32(10))
	})
}
