package timers

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// A timer that panics, ends its goroutine or fails takes down that run only, and says so in the log, not too often.
func TestEveryContainsItsFunction(t *testing.T) {
	for name, c := range map[string]struct {
		fn   any
		line string
	}{
		"panic":       {func() { panic("no milk") }, "timer panicked"},
		"nil pointer": {func() error { var e *broach.Error; return e }, "timer panicked"},
		"Goexit":      {func(context.Context) { runtime.Goexit() }, "timer panicked"},
		"error":       {func(context.Context) error { return errors.New("no milk") }, "a timer failed"},
	} {
		t.Run(name, func(t *testing.T) {
			clustertest.Run(t, 1, func(cl *clustertest.Cluster) {
				var lines lineCounter
				cl.Edit = func(cfg *broach.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&lines, nil)) }
				n := cl.Start(0)
				var bad, good runLog
				every(cl, n, 10*time.Millisecond, withRun(&bad, c.fn), broach.Jitter(0))
				every(cl, n, 10*time.Millisecond, good.of(0), broach.Jitter(0))
				time.Sleep(10*time.Second + 5*time.Millisecond)
				require.Equal(cl.T, 1000, bad.count())
				require.Equal(cl.T, 1000, good.count())
				require.InDelta(cl.T, 50, lines.count(c.line), 5, "five a second")
			})
		})
	}
}

// withRun notes a run before the function does its harm.
func withRun(runs *runLog, fn any) any {
	switch fn := fn.(type) {
	case func():
		return func() { runs.add(0); fn() }
	case func() error:
		return func() error { runs.add(0); return fn() }
	case func(context.Context):
		return func(ctx context.Context) { runs.add(0); fn(ctx) }
	case func(context.Context) error:
		return func(ctx context.Context) error { runs.add(0); return fn(ctx) }
	}
	panic(fmt.Sprintf("%T", fn))
}

// lineCounter keeps lines of a log.
type lineCounter struct {
	mu    sync.Mutex
	lines []string
}

func (l *lineCounter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(b))
	return len(b), nil
}

// count counts the lines that contain a text.
func (l *lineCounter) count(text string) (k int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			k++
		}
	}
	return k
}

// A function may stop its own timer: that was its last run.
func TestATimerStopsItself(t *testing.T) {
	inNode(t, func(c *clustertest.Cluster, n *broach.Node) {
		var runs runLog
		var self atomic.Pointer[broach.Timer]
		timer := every(c, n, 100*time.Millisecond, func() {
			if runs.add(0); runs.count() == 3 {
				self.Load().Stop()
			}
		}, broach.OneOwner("three"))
		self.Store(timer)
		time.Sleep(10 * time.Second)
		require.Equal(c.T, 3, runs.count())
		again := every(c, n, 100*time.Millisecond, runs.of(0), broach.OneOwner("three"))
		timer.Stop() // is over, and does not harm the new one
		time.Sleep(450 * time.Millisecond)
		require.GreaterOrEqual(c.T, runs.count(), 6)
		require.True(c.T, again.IsOwner())
	})
}

// Close ends the contexts of runs, and Leave waits for them; none begins in either.
func TestTimersEndWithTheNode(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n := c.Start(0)
		var runs runLog
		ended := make(chan error, 1)
		every(c, n, time.Second, func(ctx context.Context) { <-ctx.Done(); ended <- ctx.Err() }, broach.Jitter(0))
		every(c, n, 50*time.Millisecond, runs.of(0))
		time.Sleep(1500 * time.Millisecond)
		require.NoError(c.T, n.Close())
		require.ErrorIs(c.T, <-ended, context.Canceled)
		before := runs.count()
		_, err := n.Every(time.Second, func() {})
		require.ErrorIs(c.T, err, broach.ErrClosed)

		n = c.Start(1)
		var began, finished, brisk runLog
		every(c, n, time.Second, func(ctx context.Context) {
			began.add(0)
			time.Sleep(3 * time.Second)
			if ctx.Err() == nil {
				finished.add(0)
			}
		}, broach.Jitter(0))
		every(c, n, 50*time.Millisecond, brisk.of(0))
		time.Sleep(1500 * time.Millisecond)
		left := make(chan error, 1)
		go func() { left <- n.Leave(context.Background()) }()
		time.Sleep(time.Millisecond)
		briskly := brisk.count()
		_, err = n.Every(time.Second, func() {})
		require.ErrorIs(c.T, err, broach.ErrClosed)
		require.NoError(c.T, <-left)
		time.Sleep(10 * time.Second)
		require.Equal(c.T, []int{1, 1}, []int{began.count(), finished.count()})
		require.Equal(c.T, briskly, brisk.count())
		require.Equal(c.T, before, runs.count())
	})
}

func TestWrongTimers(t *testing.T) {
	inNode(t, func(c *clustertest.Cluster, n *broach.Node) {
		var none func()
		ok := func() {}
		every(c, n, time.Second, ok, broach.OneOwner("taken"))
		for _, w := range []struct {
			d    time.Duration
			fn   any
			opts []broach.TimerOption
			want string
		}{
			{9 * time.Millisecond, ok, nil, "every 9ms: the period must be 10ms or more"},
			{-time.Second, ok, nil, "the period must be 10ms or more"},
			{time.Second, nil, nil, "not <nil>"},
			{time.Second, none, nil, "every 1s: the function is nil"},
			{time.Second, 7, nil,
				"a timer runs a func() or func(context.Context), with or without an error as its result, not int"},
			{time.Second, func(int) {}, nil, "not func(int)"},
			{time.Second, func() int { return 1 }, nil, "not func() int"},
			{time.Second, func(...string) {}, nil, "not func(...string)"},
			{time.Second, func() (error, error) { return nil, nil }, nil, "not func() (error, error)"},
			{time.Second, func() iter.Seq2[int, error] { return nil }, nil, "not func() iter.Seq2[int,error]"},
			{time.Second, func(iter.Seq2[int, error]) {}, nil, "not func(iter.Seq2[int,error])"},
			{time.Second, ok, []broach.TimerOption{broach.Jitter(-1)}, "the Jitter is -1ns, must not be negative"},
			{time.Second, ok, []broach.TimerOption{broach.Jitter(2 * time.Second)},
				"the Jitter is 2s, must not be more than the period"},
			{time.Second, ok, []broach.TimerOption{broach.OneOwner("")}, "every 1s: the name of the timer is empty"},
			{time.Second, ok, []broach.TimerOption{broach.OneOwner("a\x00")}, "control character"},
			{time.Second, ok, []broach.TimerOption{broach.OneOwner("\xff")}, "not UTF-8"},
			{time.Second, ok, []broach.TimerOption{broach.OneOwner(strings.Repeat("x", 199))},
				"has 199 bytes, at most 198 are allowed"},
			{time.Second, ok, []broach.TimerOption{broach.OneOwner("taken")},
				`every 1s: this node has a timer "taken" already`},
		} {
			_, err := n.Every(w.d, w.fn, w.opts...)
			clustertest.RequireError(c.T, err, broach.InvalidArgument, broach.Maybe)
			require.ErrorContains(c.T, err, w.want)
		}
		type named func() error
		every(c, n, time.Second, named(func() error { return nil }), broach.OneOwner(strings.Repeat("x", 198)))
	})
}

// Stop ends the context of a run that has begun, and none begins any more, not even one that waits for a worker.
func TestStopATimer(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Edit = func(cfg *broach.Config) {
			cfg.Pool = broach.Pool{Core: 1, Max: 1, Queue: 8, GrowAt: 8, RejectWhenFull: true}
		}
		n := c.Start(0)
		var waiting runLog
		ended := make(chan error, 1)
		long := every(c, n, time.Second, func(ctx context.Context) error {
			<-ctx.Done()
			ended <- ctx.Err()
			return ctx.Err()
		}, broach.Jitter(0))
		short := every(c, n, 1500*time.Millisecond, waiting.of(0), broach.Jitter(0))
		time.Sleep(2 * time.Second)
		require.Equal(c.T, 1, n.Stats().Queued)
		short.Stop()
		long.Stop()
		long.Stop()
		require.ErrorIs(c.T, <-ended, context.Canceled)
		require.False(c.T, long.IsOwner())
		time.Sleep(10 * time.Second)
		require.Zero(c.T, waiting.count())
		for range 10_000 { // as many as a node has at most
			every(c, n, time.Hour, func() {})
		}
	})
}

// A node has at most 10,000 timers.
func TestTimersAreLimited(t *testing.T) {
	inNode(t, func(c *clustertest.Cluster, n *broach.Node) {
		var last *broach.Timer
		for range 10_000 {
			last = every(c, n, time.Hour, func() {})
		}
		_, err := n.Every(time.Hour, func() {})
		require.EqualError(c.T, err, "broach: TooLarge: a node has at most 10000 timers")
		last.Stop()
		every(c, n, time.Hour, func() {})
	})
}
