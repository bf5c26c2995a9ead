package members

import (
	"cmp"
	"context"
	"flag"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"
	"broach/internal/simnet"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// soonForgotten is after how long nodes forget that come and go all the time.
const soonForgotten = 2 * time.Second

// Flags of the tests that count calls while all goes wrong that may: this one, and that of once_test.go.
var (
	countFor  = flag.Duration("countfor", 0, "how much simulated time they take for each seed; 0: less than a minute")
	countSeed = flag.Uint64("countseed", 0, "the one seed that they run with; 0: some")
)

// countSeeds are the seeds that one of them runs with, fewer under the race detector.
func countSeeds(many, raced uint64) (list []uint64) {
	if *countSeed != 0 {
		return []uint64{*countSeed}
	}
	if race.Sampled {
		many = raced
	}
	for seed := range many {
		list = append(list, seed+1)
	}
	return list
}

// toldRun is a caller and two providers that refuse, drop, postpone, shed and forget, on paths that lose and change.
type toldRun struct {
	*clustertest.Cluster
	rng   *rand.Rand // of the trouble
	over  atomic.Bool
	roles [3]atomic.Pointer[broach.Node] // 0 and 1 provide, 2 calls
	last  atomic.Int64                   // id of a call

	mu    sync.Mutex // protects what callers and functions share
	ran   map[int64]int
	ended map[int64]toldOutcome
}

// toldOutcome is what a caller was told of a call.
type toldOutcome struct {
	err    error
	oneWay bool
}

// runTold plays a seed.
func runTold(c *clustertest.Cluster, seed uint64) *toldRun {
	r := &toldRun{Cluster: c, rng: rand.New(rand.NewPCG(seed, 1))}
	r.ran, r.ended = make(map[int64]int), make(map[int64]toldOutcome)
	keys := [][][]byte{nil, {clustertest.KeyOf(1)}}[r.rng.IntN(2)]
	most := 40_000 + r.rng.IntN(100_000)
	pool := broach.Pool{Max: 2 + r.rng.IntN(3), Queue: 1 + r.rng.IntN(5), RejectWhenFull: r.rng.IntN(2) == 0}
	c.Edit = func(cfg *broach.Config) {
		cfg.Keys, cfg.MaxPacket, cfg.Heartbeat.Forget, cfg.AckTimeout = keys, 8972, soonForgotten, time.Second
		if cfg.Name != "node2" {
			cfg.MaxMessage, cfg.Pool = most, pool
		}
	}
	r.weather()
	for i := range r.roles {
		r.birth(i)
	}
	var all sync.WaitGroup
	for k := range uint64(8) {
		all.Go(func() { r.call(rand.New(rand.NewPCG(seed, 2+k))) })
	}
	r.trouble()
	r.Net.Heal()
	r.Net.SetDefault(simnet.Link{})
	c.Settle(20 * time.Second)
	r.over.Store(true)
	all.Wait()
	time.Sleep(time.Second)
	return r
}

// birth starts the node of a role, or the next that has it.
func (r *toldRun) birth(i int) {
	n := r.Start(i, 0, 1, 2)
	if i < 2 {
		require.NoError(r.T, n.Register("told", r.run, broach.MaxConcurrent(4)))
	}
	r.roles[i].Store(n)
}

// weather makes the paths lose more or less, and be wide or narrow.
func (r *toldRun) weather() {
	r.Net.SetDefault(simnet.Link{
		Loss: []float64{0, 0.05, 0.3}[r.rng.IntN(3)], Duplicate: 0.05, Reorder: 0.05, Jitter: time.Millisecond,
		Delay: []time.Duration{100 * time.Microsecond, 5 * time.Millisecond, 60 * time.Millisecond}[r.rng.IntN(3)],
		MTU:   []int{0, 1250, 1400, 4000}[r.rng.IntN(4)],
	})
}

// run is what the providers offer: it counts the call, takes its time, and fails, or returns much or little.
func (r *toldRun) run(ctx context.Context, id int64, size int, _ []byte) ([]byte, error) {
	r.mu.Lock()
	r.ran[id]++
	r.mu.Unlock()
	if id%5 == 0 {
		time.Sleep(time.Duration(id%150) * time.Millisecond)
	}
	if id%11 == 0 {
		return nil, broach.Errorf(broach.Application, "%s", clustertest.Noise(size)[:size%wire.MaxText])
	}
	return make([]byte, size), ctx.Err()
}

// call calls without end, one call after the other.
func (r *toldRun) call(rng *rand.Rand) {
	sizes := []int{10, 1000, 3000, 20_000, 60_000, 150_000}
	for !r.over.Load() {
		id := r.last.Add(1)
		caller := r.roles[2].Load().Caller("told", broach.Timeout(time.Duration(20+rng.IntN(3000))*time.Millisecond))
		args := []any{id, rng.IntN(1 + sizes[rng.IntN(len(sizes))]),
			make([]byte, rng.IntN(1+sizes[rng.IntN(len(sizes))]))}
		o := toldOutcome{oneWay: rng.IntN(6) == 0}
		if o.oneWay {
			o.err = caller.Send(context.Background(), args...)
		} else {
			_, o.err = caller.Call(context.Background(), args...)
		}
		r.mu.Lock()
		r.ended[id] = o
		r.mu.Unlock()
		time.Sleep(time.Duration(1+rng.IntN(10)) * time.Millisecond)
	}
}

// trouble does one thing after the other to the nodes and the paths between them.
func (r *toldRun) trouble() {
	for until := time.Now().Add(cmp.Or(*countFor, 20*time.Second)); time.Now().Before(until); r.pause(800) {
		i := r.rng.IntN(3)
		victim, others := clustertest.AddrOf(i), []netip.AddrPort{clustertest.AddrOf((i + 1) % 3),
			clustertest.AddrOf((i + 2) % 3)}
		provider := r.roles[r.rng.IntN(2)].Load()
		switch r.rng.IntN(10) {
		case 0:
			require.NoError(r.T, provider.SetServing("told", false))
			r.pause(500)
			require.NoError(r.T, provider.SetServing("told", true))
		case 1:
			r.Kill(r.roles[i].Load())
			r.birth(i)
		case 2:
			require.NoError(r.T, r.roles[i].Load().Close())
			r.birth(i)
		case 3:
			r.Net.CutOneWay([]netip.AddrPort{victim}, others)
			r.pause(1500)
		case 4:
			r.Net.Cut([]netip.AddrPort{victim}, others)
			time.Sleep(1500 * time.Millisecond)
			_ = r.roles[i].Load().Forget(others[0]) // it may have been forgotten by now
			_ = r.roles[(i+1)%3].Load().Forget(victim)
		case 5:
			_ = r.roles[i].Load().Leave(r.T.Context())
			r.birth(i)
		default:
			r.weather()
		}
		r.Net.Heal()
	}
}

func (r *toldRun) pause(ms int) { time.Sleep(time.Duration(1+r.rng.IntN(ms))*time.Millisecond + 1) }

// judge requires of each call that it ran as often as its caller was told. It returns how many were told what.
func (r *toldRun) judge() map[string]int {
	said := make(map[string]int)
	for id, o := range r.ended {
		ran, executed, text := r.ran[id], broach.Yes, "done"
		if o.err != nil {
			e := o.err.(*broach.Error)
			executed, text = e.Executed, e.Code.String()+", "+e.Executed.String()
		}
		if o.oneWay && executed == broach.Yes {
			executed = broach.Maybe // it was taken
		}
		said[text]++
		if ran > 1 || executed == broach.No && ran != 0 || executed == broach.Yes && ran != 1 {
			r.T.Errorf("call %d (one way: %v) ran %d times, and its caller was told: %v", id, o.oneWay, ran, o.err)
		}
	}
	return said
}

// A call runs once at most, and not at all if its caller is told so, and once if its caller is told that: through loss,
// paths that shrink, restarts, limits, refusals, and providers that forget.
// [CALL-2] A Request with the slot's last seq is a duplicate and MUST NOT run again
// [FRAG-9] A call whose request is refused or dropped fails with executed no, but maybe where the request went before
func TestWhatIsSaidOfACallIsTrue(t *testing.T) {
	t.Parallel()
	for _, seed := range countSeeds(6, 1) {
		t.Run("", func(t *testing.T) {
			clustertest.Run(t, seed, func(c *clustertest.Cluster) {
				said := runTold(c, seed).judge()
				t.Log(said)
				require.NotZero(t, said["done"])
			})
		})
	}
}
