package pool

import (
	"os"
	"os/exec"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// workers is how many core workers there are and how many drain tasks.
func workers(p *Pool) [2]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return [2]int{p.cores, p.extras}
}

func TestPoolStartsCoreWorkersAsNeeded(t *testing.T) {
	cfg := small()
	cfg.Core, cfg.Max, cfg.Queue = 4, 4, 100
	inBubble(t, cfg, func(t *testing.T, p *Pool) {
		require.Equal(t, [2]int{0, 0}, workers(p), "an idle pool costs nothing")
		for range 50 {
			offerAll(t, p, &probeJob{})
		}
		require.Equal(t, [2]int{1, 0}, workers(p), "one serves jobs that come singly")

		block := make(gate)
		offerAll(t, p, block.job(), block.job(), block.job())
		require.Equal(t, [2]int{3, 0}, workers(p), "one kick serves a whole batch")
		offerAll(t, p, block.job(), block.job(), block.job())
		require.Equal(t, [2]int{4, 0}, workers(p))
		require.Equal(t, 4, p.Stats().Running)
		block.open()
		time.Sleep(time.Hour)
		require.Equal(t, [2]int{4, 0}, workers(p), "core workers stay")
		require.EqualValues(t, 56, p.Stats().Done)
	})
}

// "At most one wake-up per needed worker": the next is called by the one on its way.
func TestPoolCallsOneWorkerAtATime(t *testing.T) {
	cfg := small()
	cfg.Core, cfg.Max, cfg.Queue = 4, 4, 8
	inBubble(t, cfg, func(t *testing.T, p *Pool) {
		never := make(gate)
		defer never.open()
		for range 8 {
			p.Offer(never.job())
		}
		p.mu.Lock()
		for range 8 {
			p.callWorker()
		}
		started := p.cores
		p.mu.Unlock()
		require.Equal(t, 1, started)
		synctest.Wait()
		require.Equal(t, [2]int{4, 0}, workers(p))
	})
}

func TestPoolBlockedJobHoldsOneWorkerOnly(t *testing.T) {
	cfg := small()
	cfg.Core, cfg.Max, cfg.Queue = 2, 2, 200
	inBubble(t, cfg, func(t *testing.T, p *Pool) {
		never := make(gate)
		defer never.open()
		jobs := []*probeJob{never.job()}
		for range 100 {
			jobs = append(jobs, &probeJob{})
		}
		offerAll(t, p, jobs...)
		require.EqualValues(t, 100, p.Stats().Done)
		require.Equal(t, 1, p.Stats().Running)
		require.Equal(t, 1, p.Close(time.Second))
	})
}

func TestPoolPanicHarmsNothingElse(t *testing.T) {
	inBubble(t, small(), func(t *testing.T, p *Pool) {
		bad := &probeJob{do: func() { panicking() }}
		next := &probeJob{}
		offerAll(t, p, bad, next)
		require.Equal(t, fate{runs: 1, fails: 1}, bad.fate())
		require.Equal(t, "kaboom", bad.cause)
		require.Contains(t, string(bad.stack), "panicking", "the stack leads to the culprit")
		require.Equal(t, fate{runs: 1}, next.fate())
		require.Equal(t, Stats{peakRunning: 1, peakQueued: 2, Done: 2, Panics: 1}, p.Stats())
	})
}

func panicking() { panic("kaboom") }

// "A job that calls runtime.Goexit takes down only itself": whichever kind of
// worker it ends is replaced, and goes on with a queue too short to grow at.
func TestPoolGoexitHarmsNothingElse(t *testing.T) {
	for name, cfg := range map[string]Limits{
		"core worker": {Core: 1, Max: 1, Queue: 8, GrowAt: 8, KeepAlive: time.Minute},
		"drain task":  {Core: 0, Max: 1, Queue: 8, GrowAt: 8, KeepAlive: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, cfg, func(t *testing.T, p *Pool) {
				bad := []*probeJob{{do: runtime.Goexit}, {do: runtime.Goexit}}
				next := &probeJob{}
				offerAll(t, p, bad[0], bad[1], next)
				for _, j := range bad {
					require.Equal(t, fate{runs: 1, fails: 1}, j.fate())
					require.Equal(t, ErrGoexit, j.cause)
				}
				require.Equal(t, fate{runs: 1}, next.fate())
				require.Equal(t, Stats{peakRunning: 1, peakQueued: 3, Done: 3, Panics: 2}, p.Stats())
				require.Equal(t, [2]int{cfg.Core, 0}, workers(p))
			})
		})
	}
}

func TestPoolGoexitFreesTheDispatcher(t *testing.T) {
	inBubble(t, inSubmitterRuns(small()), func(t *testing.T, p *Pool) {
		worker := make(gate)
		defer worker.open()
		fill(t, p, worker)
		for range 3 {
			bad := &probeJob{do: runtime.Goexit}
			offerAll(t, p, bad)
			require.Equal(t, fate{runs: 1, fails: 1}, bad.fate())
		}
		require.Equal(t, 1, p.Stats().Running)
		require.EqualValues(t, 3, p.Stats().Done)
	})
}

// flawed is a job with a bug of ours, not of the user's.
type flawed struct{ probeJob }

func (*flawed) Shed() { panic("a bug of ours") }

// "A panic inside shed, failed or reject is our own bug: let it crash", also
// on a goroutine of ants, which would rather print it and go on.
func TestPoolOwnBugsCrash(t *testing.T) {
	if os.Getenv("BROACH_TEST_CRASH") != "" {
		p := New(Limits{Max: 1, Queue: 1, GrowAt: 1})
		p.Offer(&flawed{probeJob{until: time.Unix(0, 1)}})
		p.Kick()
		select {}
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPoolOwnBugsCrash$", "-test.timeout=10s")
	child.Env = append(os.Environ(), "BROACH_TEST_CRASH=1")
	out, err := child.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "panic: a bug of ours")
}

// One batch of jobs, from offer to the end of the last one, allocates nothing.
func TestPoolDoesNotAllocate(t *testing.T) {
	for name, cfg := range map[string]Limits{
		"core":  {Core: 2, Max: 2, Queue: 64, GrowAt: 64},
		"drain": {Core: 0, Max: 2, Queue: 64, GrowAt: 1},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.KeepAlive, cfg.RejectWhenFull = time.Hour, true
			p := New(cfg)
			defer p.Close(time.Minute)
			b := newJobBatch(64)
			require.Zero(t, testing.AllocsPerRun(200, func() { b.start(p); b.wait() }))
		})
	}
}
