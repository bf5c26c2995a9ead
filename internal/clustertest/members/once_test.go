package members

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
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

// onceRecorded is how many datagrams are kept, to be repeated.
const onceRecorded = 40_000

// onceRun is a cluster in which every call is counted, while all goes wrong that may, and somebody who hears everything
// repeats it without end.
type onceRun struct {
	*clustertest.Cluster
	rng   *rand.Rand // of the trouble
	over  atomic.Bool
	roles [3]atomic.Pointer[broach.Node] // 0 and 1 provide, 2 calls
	last  atomic.Int64                   // id of a call

	mu       sync.Mutex // protects all below: callers, functions and the attacker share it
	ran      map[int64]int
	ended    map[int64]error
	recorded []clustertest.Recording
	draw     *rand.Rand  // of what is recorded and repeated
	fresh    []freshLink // the youngest last
	injected int
}

// freshLink is what is said on a link that a Confirm may still make.
type freshLink struct {
	token     uint64
	confirm   clustertest.Recording
	said      []clustertest.Recording
	confirmed time.Time
}

// deafFor is how long nothing comes on links with the caller, for it to begin others.
const deafFor = 250 * time.Millisecond

// birth starts the node of a role, or the next that has it.
func (r *onceRun) birth(i int) {
	n := r.Start(i, 0, 1, 2)
	if i < 2 {
		require.NoError(r.T, n.Register("once", r.run))
	}
	r.roles[i].Store(n)
}

// run is what the providers offer: it counts the call, and names it in the result.
func (r *onceRun) run(id int64, body []byte) (int64, []byte) {
	r.mu.Lock()
	r.ran[id]++
	r.mu.Unlock()
	if id%7 == 0 {
		time.Sleep(time.Duration(id%100) * time.Millisecond)
	}
	return id, body
}

// call calls without end, one call after the other.
func (r *onceRun) call(rng *rand.Rand) {
	for !r.over.Load() {
		id := r.last.Add(1)
		size := rng.IntN(400)
		if id%20 == 0 {
			size = rng.IntN(20_000)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(200+rng.IntN(3000))*time.Millisecond)
		results, err := r.roles[2].Load().Caller("once").Call(ctx, id, make([]byte, size))
		cancel()
		if err == nil {
			got, ok := results.([]any)
			if !ok || len(got) != 2 || got[0] != id || len(got[1].([]byte)) != size {
				r.T.Errorf("call %d of %d bytes has the result of another: %.100v", id, size, results)
			}
		}
		r.mu.Lock()
		r.ended[id] = err
		r.mu.Unlock()
		time.Sleep(time.Duration(1+rng.IntN(20)) * time.Millisecond)
	}
}

// record keeps what is said.
func (r *onceRun) record(now time.Time, from, to netip.AddrPort, b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := clustertest.Recording{From: from, To: to, Payload: slices.Clone(b)}
	if len(r.recorded) < onceRecorded {
		r.recorded = append(r.recorded, next)
	} else {
		r.recorded[r.draw.IntN(onceRecorded)] = next
	}
	r.recordLink(now, next)
}

// recordLink keeps what belongs to a young link.
func (r *onceRun) recordLink(now time.Time, next clustertest.Recording) {
	h, _, err := wire.ConsumeHeader(next.Payload)
	if err != nil || h.Form != wire.FormLink && h.Form != wire.FormConfirm {
		return
	}
	i := slices.IndexFunc(r.fresh, func(l freshLink) bool { return l.token == h.Token })
	switch {
	case i >= 0 && len(r.fresh[i].said) < 200:
		r.fresh[i].said = append(r.fresh[i].said, next)
	case i < 0 && h.Form == wire.FormConfirm:
		r.fresh = append(r.fresh, freshLink{token: h.Token, confirm: next, confirmed: now})
	}
	r.fresh = slices.DeleteFunc(r.fresh, func(l freshLink) bool { return now.Sub(l.confirmed) > 8*time.Second })
}

// attack repeats all that was recorded, in order and shuffled, also to others than it was meant for; and what was said
// on young links, their Confirms first.
func (r *onceRun) attack() {
	for at := 0; !r.over.Load(); time.Sleep(time.Millisecond) {
		for range 5 {
			r.inject(r.repeated(at))
			at++
		}
		if at%50 == 0 {
			r.inject(r.repeatedLink())
		}
	}
}

func (r *onceRun) inject(list []clustertest.Recording) {
	for _, again := range list {
		r.Net.Inject(again.From, again.To, again.Payload)
		r.injected++
	}
}

// repeated is what was recorded at a place, some of it, and some sent to whoever it may be.
func (r *onceRun) repeated(at int) []clustertest.Recording {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := len(r.recorded)
	if k == 0 {
		return nil
	}
	again := []clustertest.Recording{r.recorded[at%k], r.recorded[r.draw.IntN(k)]}
	if r.draw.IntN(10) == 0 {
		again[1].To = clustertest.AddrOf(r.draw.IntN(3))
	}
	return again
}

// repeatedLink is what was said on some young link, from its Confirm on.
func (r *onceRun) repeatedLink() []clustertest.Recording {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.fresh) == 0 {
		return nil
	}
	l := &r.fresh[r.draw.IntN(len(r.fresh))]
	return append([]clustertest.Recording{l.confirm}, l.said...)
}

// trouble does one thing after the other to the nodes.
func (r *onceRun) trouble() {
	lasting := 50 * time.Second
	if race.Sampled {
		lasting = 20 * time.Second
	}
	for until := time.Now().Add(cmp.Or(*countFor, lasting)); time.Now().Before(until); {
		i := r.rng.IntN(3)
		victim, others := clustertest.AddrOf(i), clustertest.AddrsAt([]int{(i + 1) % 3, (i + 2) % 3})
		for range 1 + r.rng.IntN(2) {
			r.doubt()
		}
		switch r.rng.IntN(7) {
		case 0:
			r.Net.CutOneWay([]netip.AddrPort{victim}, others)
			r.pause(1500)
		case 1:
			r.Net.Cut([]netip.AddrPort{victim}, others)
			r.pause(1500)
		case 2:
			r.Net.Cut([]netip.AddrPort{victim}, others[:1])
			time.Sleep(soonForgotten + 4*time.Second)
		case 3:
			r.Kill(r.roles[i].Load())
			r.birth(i)
			r.pause(1000)
		case 4:
			require.NoError(r.T, r.roles[i].Load().Close())
			r.pause(200)
			r.birth(i)
			r.pause(1000)
		case 5:
			r.Net.Cut([]netip.AddrPort{victim}, others)
			time.Sleep(1500 * time.Millisecond)
			_ = r.roles[i].Load().Forget(others[0]) // it may have been forgotten by now
			_ = r.roles[(i+1)%3].Load().Forget(victim)
		}
		r.Net.Heal()
		r.pause(1000)
	}
}

func (r *onceRun) pause(ms int) { time.Sleep(time.Duration(1+r.rng.IntN(ms))*time.Millisecond + 1) }

// doubt makes every node doubt that its links are still held at their other ends: nothing comes on those that there
// are. Calls that nobody answers let the caller notice soon. The providers, which have no calls with each other, miss
// their beats: what they lose is lost until the next doubt.
func (r *onceRun) doubt() {
	for i := range r.roles {
		r.deafOf(i).Lose(clustertest.AddrOf(0), clustertest.AddrOf(1), clustertest.AddrOf(2))
	}
	time.Sleep(deafFor)
	r.deafOf(0).Lose(clustertest.AddrOf(1))
	r.deafOf(1).Lose(clustertest.AddrOf(0))
	r.deafOf(2).Lose()
}

func (r *onceRun) deafOf(i int) *clustertest.Deaf { return r.DeafOf(r.roles[i].Load()) }

// judge requires of each call that it ran as often as its caller was told. It counts those that were done, that were
// refused, and that nobody knows of.
func (r *onceRun) judge() (done, refused, unknown int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, err := range r.ended {
		var e *broach.Error
		switch ran := r.ran[id]; {
		case ran > 1:
			r.T.Errorf("call %d ran %d times: %v", id, ran, err)
		case err == nil:
			done++
			require.Equal(r.T, 1, ran, "call %d did not run, and has a result", id)
		case errors.As(err, &e) && e.Executed == broach.No:
			refused++
			require.Zero(r.T, ran, "call %d ran: %v", id, err)
		case errors.As(err, &e) && e.Executed == broach.Yes:
			require.Equal(r.T, 1, ran, "call %d did not run: %v", id, err)
		}
	}
	return done, refused, len(r.ended) - done - refused
}

// No call runs twice, and no result is another's: with loss, duplicates and reordering, while members doubt, forget and
// replace each other and come anew, and every datagram is repeated again and again, in order and shuffled.
// [SEC-4] no Confirm makes a second link
// [CALL-2] A Request with the slot's last seq is a duplicate and MUST NOT run again
func TestNoCallRunsTwice(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][][]byte{"without keys": nil, "with keys": {clustertest.KeyOf(1)}} {
		if race.Sampled && keys == nil {
			continue
		}
		for _, seed := range countSeeds(3, 1) {
			t.Run(name, func(t *testing.T) {
				clustertest.Run(t, seed, func(c *clustertest.Cluster) { runOnce(c, seed, keys) })
			})
		}
	}
}

func runOnce(c *clustertest.Cluster, seed uint64, keys [][]byte) {
	r := &onceRun{Cluster: c, rng: rand.New(rand.NewPCG(seed, 1)), draw: rand.New(rand.NewPCG(seed, 99))}
	r.ran, r.ended = make(map[int64]int), make(map[int64]error)
	c.Edit = func(cfg *broach.Config) {
		cfg.Keys, cfg.Heartbeat.Forget = keys, soonForgotten
		clustertest.MakeDeaf(cfg)
	}
	c.Net.SetDefault(simnet.Link{
		Loss: 0.05, Duplicate: 0.05, Reorder: 0.05, Delay: 300 * time.Microsecond, Jitter: 500 * time.Microsecond,
	})
	c.Net.Tap(r.record)
	for i := range r.roles {
		r.birth(i)
	}
	var all sync.WaitGroup
	for k := range uint64(8) {
		all.Go(func() { r.call(rand.New(rand.NewPCG(seed, 2+k))) })
	}
	all.Go(r.attack)
	r.trouble()
	for i := range r.roles {
		r.deafOf(i).Lose()
	}
	c.Settle(20 * time.Second)
	before := r.last.Load()
	time.Sleep(time.Second)
	require.Greater(c.T, r.last.Load(), before+8, "calls go on")
	r.over.Store(true)
	all.Wait()
	time.Sleep(time.Second)
	done, refused, unknown := r.judge()
	c.T.Logf("%d calls done, %d refused, %d unknown, %d datagrams repeated", done, refused, unknown, r.injected)
	require.Greater(c.T, done, 10*unknown)
	require.Greater(c.T, done, refused) // an open circuit refuses a thousand calls in the time that one takes to fail
}
