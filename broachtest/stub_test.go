package broachtest_test

import (
	"errors"
	"sync"
	"testing"

	"broach"
	"broach/broachtest"

	"github.com/stretchr/testify/require"
)

// "Registers a function that takes any arguments, answers with results, and remembers who called it with what."
func TestStubRemembersItsCalls(t *testing.T) {
	inBoth(t, func(t *testing.T, c *broachtest.Cluster) {
		shop, web := c.Start("shop"), c.Start("web")
		prices := broachtest.Stub(shop, "price", 7)
		require.Empty(t, prices.Calls())
		c.Settle()
		picture := []byte{1, 2, 3}
		v, err := web.Caller("price", broach.Meta("user", "ann")).Call(t.Context(), "milk", 2, picture)
		require.NoError(t, err)
		require.Equal(t, 7, v)
		picture[0] = 9
		_, err = shop.Caller("price").Call(t.Context())
		require.NoError(t, err)
		calls := prices.Calls()
		require.Len(t, calls, 2)
		require.Equal(t, broachtest.Call{
			Args: []any{"milk", int64(2), []byte{1, 2, 3}}, From: web.Addr(), Meta: map[string]string{"user": "ann"},
		}, calls[0])
		require.Empty(t, calls[1].Args)
		require.Equal(t, shop.Addr(), calls[1].From)
		calls[0] = broachtest.Call{}
		require.Equal(t, web.Addr(), prices.Calls()[0].From, "the slice is the caller's own")
	})
}

var errSoldOut = errors.New("sold out")

// "The kinds of the results are those that the function declares. If the last result is an error, calls fail with it.
// Without results it answers with none."
func TestWhatAStubAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T, c *broachtest.Cluster) {
		shop, web := c.Start("shop"), c.Start("web")
		broachtest.Stub(shop, "none")
		broachtest.Stub(shop, "nil", nil)
		broachtest.Stub(shop, "two", "a", uint8(2))
		broachtest.Stub(shop, "list", []string{"a"})
		broachtest.Stub(shop, "failed", errSoldOut)
		broachtest.Stub(shop, "code", 0, broach.Errorf(1001, "no milk"))
		c.Settle()
		for _, n := range []*broach.Node{shop, web} {
			for name, want := range map[string]any{
				"none": nil, "nil": nil, "two": []any{"a", uint8(2)}, "list": []string{"a"},
			} {
				v, err := n.Caller(name).Call(t.Context())
				require.NoError(t, err)
				require.EqualValues(t, want, v, name)
			}
			_, err := n.Caller("failed").Call(t.Context(), 1)
			require.ErrorIs(t, err, broach.ErrApplication)
			require.ErrorContains(t, err, "sold out")
			_, err = n.Caller("code").Call(t.Context())
			require.ErrorIs(t, err, &broach.Error{Code: 1001})
		}
	})
}

// "It may be used by many goroutines at once."
func TestARecorderServesManyCalls(t *testing.T) {
	inBoth(t, func(t *testing.T, c *broachtest.Cluster) {
		shop, web := c.Start("shop"), c.Start("web")
		prices := broachtest.Stub(shop, "price", 7)
		c.Settle()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				_, _ = web.Caller("price").Call(t.Context(), 1)
				prices.Calls()
			})
		}
		all.Wait()
		require.Len(t, prices.Calls(), 100)
	})
}

// "A node that no Cluster has started may have stubs, too; there bad use panics."
func TestStubAtAnyNode(t *testing.T) {
	n, err := broach.Start(broach.Config{LogLevel: "off"})
	require.NoError(t, err)
	defer n.Close()
	broachtest.Stub(n, "price", 7)
	v, err := n.Caller("price").Call(t.Context())
	require.NoError(t, err)
	require.Equal(t, 7, v)
	require.Panics(t, func() { broachtest.Stub(n, "price", 7) })
	require.Empty(t, (&broachtest.Recorder{}).Calls())
}
