package deadline

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// start begins a context with a second to go, in a bubble.
func start(parent context.Context) *Context {
	c := new(Context)
	c.Begin(parent, time.Now().Add(time.Second))
	return c
}

// It ends as one of the standard library does, whether somebody waits for it or just looks.
func TestAContextEnds(t *testing.T) {
	ways := map[string]struct {
		end  func(c *Context, cancel context.CancelFunc)
		want error
	}{
		"at its time":     {func(*Context, context.CancelFunc) { time.Sleep(time.Second) }, context.DeadlineExceeded},
		"with its parent": {func(_ *Context, cancel context.CancelFunc) { cancel() }, context.Canceled},
		"by End":          {func(c *Context, _ context.CancelFunc) { c.End() }, context.Canceled},
	}
	for name, way := range ways {
		for _, waits := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				parent, cancel := context.WithCancel(t.Context())
				defer cancel()
				c := start(parent)
				defer c.End()
				require.NoError(t, c.Err())
				if waits {
					require.NotNil(t, c.Done())
				}
				way.end(c, cancel)
				synctest.Wait()
				require.Equal(t, way.want, c.Err(), name)
				<-c.Done()
				require.Equal(t, way.want, c.Err(), name)
			})
		}
	}
}

// What has been said of its end is not taken back.
func TestTheFirstEndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithCancel(t.Context())
		c := start(parent)
		time.Sleep(time.Second)
		require.Equal(t, context.DeadlineExceeded, c.Err())
		cancel()
		c.End()
		require.Equal(t, context.DeadlineExceeded, c.Err())
	})
}

// Contexts made of it end with it, for the same reason and without a goroutine.
func TestChildrenEndWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t.Context())
		defer c.End()
		before := runtime.NumGoroutine()
		child, cancel := context.WithCancel(c)
		defer cancel()
		require.Equal(t, before, runtime.NumGoroutine())
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, context.DeadlineExceeded, child.Err())
	})
}

// untimedKey finds a value.
type untimedKey struct{}

// Without its deadline it ends with the parent and by End, also where that came before.
func TestAContextWithoutItsDeadline(t *testing.T) {
	for _, isAsked := range []bool{false, true} {
		for _, byParent := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				parent, cancel := context.WithCancel(context.WithValue(t.Context(), untimedKey{}, 7))
				defer cancel()
				var u Untimed
				u.Begin(start(parent))
				_, isLimited := u.Deadline()
				require.False(t, isLimited)
				if isAsked {
					require.NotNil(t, u.Done())
				}
				require.Equal(t, 7, u.Value(untimedKey{}))
				time.Sleep(2 * time.Second)
				require.NoError(t, u.Err())
				if byParent {
					cancel()
				} else {
					u.End()
				}
				ofParent, own := u.Ends()
				select {
				case <-ofParent:
					require.True(t, byParent)
				case <-own:
					require.False(t, byParent)
				}
				require.Equal(t, context.Canceled, u.Err())
				<-u.Done()
			})
		}
	}
}

// A context that nobody waits for costs no allocation.
func TestAContextThatIsOnlyLookedAt(t *testing.T) {
	var c Context
	until, parent := time.Now().Add(time.Hour), context.Background()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		c = Context{}
		c.Begin(parent, until)
		_, _ = c.Deadline()
		_, _ = c.Err(), c.Value(1)
		c.End()
	}))
}
