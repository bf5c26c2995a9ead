package calls

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// A node uses the memory of calls again: of arguments, of requests, of replies, of what waits for them. Nobody notices:
// many call at once, through loss, with hedges, with functions that panic or hold up the reader, while callers give up
// and a provider dies and comes back. Each result is the one of its call, and stays so however long it is kept, as do
// arguments and contexts that a function keeps. And a call that nobody gives up is not given up for another.
//
// The race detector sees more here: what is given back is overwritten under it.
func TestNobodyNoticesThatMemoryIsUsedAgain(t *testing.T) {
	for seed := range uint64(3) {
		clustertest.Run(t, seed+1, func(c *clustertest.Cluster) {
			kept := &keepsakes{t: c.T}
			caller := c.Start(0)
			for i := range 3 {
				offerReused(c, c.Start(i+1, 0), kept)
			}
			require.NoError(t, caller.WaitFor(c.T.Context(), "echo", 3))
			c.Settle(time.Second)
			c.Net.SetDefault(simnet.Link{Loss: 0.05, Duplicate: 0.05, Delay: 100 * time.Microsecond,
				Jitter: 200 * time.Microsecond})
			var all sync.WaitGroup
			for i := range 32 {
				all.Go(func() { newReuser(c.T, caller, kept, seed<<8|uint64(i)).run(60) })
			}
			time.Sleep(40 * time.Millisecond)
			c.Kill(c.Nodes[2])
			time.Sleep(40 * time.Millisecond)
			offerReused(c, c.Start(2, 0), kept)
			all.Wait()
			time.Sleep(time.Second) // what was given up has ended, too
			kept.check()
		})
	}
}

// offerReused offers functions of all kinds.
func offerReused(c *clustertest.Cluster, n *broach.Node, kept *keepsakes) {
	for name, fn := range map[string]any{
		"add":  func(x, y int) int { return x + y },
		"text": func(s string) (string, error) { return s, nil },
		"within": func(ctx context.Context, x, y int) (int, error) {
			kept.keepContext(ctx)
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(time.Duration(x%4) * time.Millisecond):
				return x + y, nil
			}
		},
		"hiccup": func(x, y int) int {
			if x%16 == 0 {
				time.Sleep(5 * time.Millisecond) // the reader is taken over
			}
			return x + y
		},
		"fails": func(x, y int) (int, error) {
			switch x % 3 {
			case 0:
				panic("as wanted")
			case 1:
				return 0, errors.New("as wanted")
			}
			return x + y, nil
		},
		"echo": func(b []byte) []byte {
			kept.keep(b)
			return b
		},
	} {
		require.NoError(c.T, n.Register(name, fn, broach.Idempotent()))
	}
}

// keepsakes are arguments and results that somebody keeps, and contexts of "within".
type keepsakes struct {
	t        *testing.T
	mu       sync.Mutex
	list     [][]byte
	contexts []context.Context
}

// bytesFrom are n bytes, which depend on the first.
func bytesFrom(first byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(7*i)
	}
	return b
}

func (k *keepsakes) keep(b []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.list = append(k.list, b)
}

func (k *keepsakes) keepContext(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.contexts = append(k.contexts, ctx)
}

// check holds that they are as they came.
func (k *keepsakes) check() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, b := range k.list {
		if len(b) > 0 {
			require.Equal(k.t, bytesFrom(b[0], len(b)), b)
		}
	}
	for _, ctx := range k.contexts {
		call, ok := broach.InvocationFrom(ctx)
		require.True(k.t, ok)
		require.Equal(k.t, "within", call.Service)
		require.Error(k.t, ctx.Err())
	}
}

// reuser makes calls, one after the other.
type reuser struct {
	t      *testing.T
	rng    *rand.Rand
	kept   *keepsakes
	adds   map[string]func(context.Context, int, int) (int, error)
	hedged map[string]func(context.Context, int, int) (int, error)
	called *broach.Caller
	text   func(context.Context, string) (string, error)
	echo   func(context.Context, []byte) ([]byte, error)
}

func newReuser(t *testing.T, n *broach.Node, kept *keepsakes, seed uint64) *reuser {
	type sum = func(context.Context, int, int) (int, error)
	u := &reuser{t: t, rng: rand.New(rand.NewPCG(seed, 1)), kept: kept, adds: map[string]sum{},
		hedged: map[string]sum{}, called: n.Caller("add")}
	for _, name := range []string{"add", "within", "hiccup", "fails"} {
		u.adds[name] = broach.Bind[sum](n, name)
		u.hedged[name] = broach.Bind[sum](n, name, broach.Hedge(time.Millisecond))
	}
	u.text = broach.Bind[func(context.Context, string) (string, error)](n, "text")
	u.echo = broach.Bind[func(context.Context, []byte) ([]byte, error)](n, "echo", broach.Hedge(time.Millisecond))
	return u
}

// run makes so many calls. Of four one gives up soon.
func (u *reuser) run(calls int) {
	for range calls {
		ctx, cancel := context.WithTimeout(u.t.Context(), time.Minute)
		isHasty := u.rng.IntN(4) == 0
		if isHasty {
			time.AfterFunc(time.Duration(u.rng.IntN(2000))*time.Microsecond, cancel)
		}
		want, got, err := u.call(ctx)
		cancel()
		if err == nil {
			require.Equal(u.t, want, got)
		} else if !isHasty {
			require.NotErrorIs(u.t, err, context.Canceled)
			require.NotErrorIs(u.t, err, context.DeadlineExceeded)
			require.NotErrorIs(u.t, err, &broach.Error{Code: broach.InvalidArgument})
		}
	}
}

// call makes one call of any kind, and says what its result is to be.
func (u *reuser) call(ctx context.Context) (want, got any, err error) {
	x, y := u.rng.IntN(1<<20), u.rng.IntN(1<<20)
	sums := u.adds
	if u.rng.IntN(3) == 0 {
		sums = u.hedged
	}
	switch kind := u.rng.IntN(8); kind {
	case 0, 1, 2, 3:
		got, err = sums[[]string{"add", "within", "hiccup", "fails"}[kind]](ctx, x, y)
		return x + y, got, err
	case 4:
		got, err = broach.Call[int](ctx, u.called, x, y)
		return x + y, got, err
	case 5:
		text := string(bytesFrom('a', x%100))
		got, err = u.text(ctx, text)
		return text, got, err
	}
	b := bytesFrom(byte(y), []int{x % 64, x % 1500, x % 40_000}[x%3])
	back, err := u.echo(ctx, b)
	u.kept.keep(back)
	return b, back, err
}
