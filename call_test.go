package broach

import (
	"testing"
	"time"

	"broach/internal/function"

	"github.com/stretchr/testify/require"
)

// inPair runs a test on a provider of some functions and a caller that knows them.
func inPair(t *testing.T, functions map[string]any, test func(c *cluster, provider, caller *Node), edit ...func(*Config)) {
	inCluster(t, 1, func(c *cluster) {
		for _, e := range edit {
			c.edit = e
		}
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

// requireError holds the error of a call to its code and to what it says of the function.
func requireError(t *testing.T, err error, code Code, executed Executed) *Error {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, e.Message)
	require.Equal(t, executed, e.Executed, e.Message)
	require.ErrorIs(t, err, &Error{Code: code})
	return e
}

// A provider that has just taken the function back answers that it does not have it; another one is asked.
func TestAStaleRouteIsAnsweredByAnotherProvider(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.startAll(3)
		for i, n := range c.nodes[:2] {
			require.NoError(c.t, n.Register("which", func() int { return i }))
		}
		caller := c.nodes[2]
		require.NoError(c.t, caller.WaitFor(c.t.Context(), "which", 2))
		require.NoError(c.t, c.nodes[0].Unregister("which"))
		for range 20 {
			go func() {
				i, err := Call[int](c.t.Context(), caller.Caller("which"))
				require.NoError(c.t, err)
				require.Equal(c.t, 1, i)
			}()
		}
		require.Len(c.t, caller.calling.view.Load().routes.get("which").candidates(), 2, "nobody has told the caller yet")
		time.Sleep(time.Second)
		require.Len(c.t, caller.calling.view.Load().routes.get("which").candidates(), 1)
		require.NoError(c.t, c.nodes[1].Unregister("which"))
		_, err := caller.Caller("which").Call(c.t.Context())
		requireError(c.t, err, NotFound, No)
	})
}

// [VAL-3] A description that is malformed, or has an unknown code, makes the reply undecodable: Internal, executed yes.
func TestAnUndecodableResultIsInternal(t *testing.T) {
	inPair(t, map[string]any{"odd": func() int { return 1 }}, func(c *cluster, provider, caller *Node) {
		provider.serving.offered.get("odd").Func = function.Raw("odd", func(dst []byte) ([]byte, error) { return append(dst, 1, 99, 5), nil })
		_, err := caller.Caller("odd").Call(c.t.Context())
		e := requireError(c.t, err, Internal, Yes)
		require.Equal(c.t, "odd", e.Service)
		require.NotContains(c.t, e.Message, "broach:", "the text of the codec's error, not the whole of it")
		_, err = Bind[func() (int, error)](caller, "odd")()
		requireError(c.t, err, Internal, Yes)
	})
}

// Names that begin with "__" can be called in their own process only.
func TestPrivateFunctions(t *testing.T) {
	inPair(t, map[string]any{"public": func() {}}, func(c *cluster, provider, caller *Node) {
		require.NoError(c.t, provider.Register("__private", func() int { return 1 }))
		v, err := provider.Caller("__private").Call(c.t.Context())
		require.NoError(c.t, err)
		require.Equal(c.t, 1, v)

		time.Sleep(2 * time.Second)
		_, err = caller.Caller("__private").Call(c.t.Context())
		requireError(c.t, err, NotFound, No)
		for _, n := range c.nodes {
			require.Len(c.t, n.Services(), 1)
		}
		_, failed := caller.Caller("__private").attempt(c.t.Context(), time.Now(), caller.linking.tokens.All()[0].visit(), outCall{deadline: time.Now().Add(time.Second)})
		requireError(c.t, failed, NotFound, No)
	})
}
