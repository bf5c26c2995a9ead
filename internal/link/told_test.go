package link

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"broach/internal/buffer"
	"broach/internal/race"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// linkWeather is what becomes of datagrams one way.
type linkWeather struct {
	loss float64
	most int // bytes of a datagram
	held [][]byte
}

// toldPair is a pair of sides of which one calls the other, while all changes that one side of a link may meet.
type toldPair struct {
	t           *testing.T
	rng         *rand.Rand
	a, b        *end
	there, back linkWeather
	taken       []*buffer.Share // of the budget of replies under way, by nobody
	calls       []*aCall
	ended       []int // that ended with each of maybe, no, yes, and well

	mu  sync.Mutex // protects what functions count
	ran []int
}

// pass lets some of the datagrams through, some later than others, and some twice.
func (w *linkWeather) pass(rng *rand.Rand, sent [][]byte) (come [][]byte) {
	for _, d := range append(w.held, sent...) {
		switch {
		case len(d) > w.most || rng.Float64() < w.loss:
		case rng.IntN(20) == 0:
			come = append(come, d, d)
		default:
			come = append(come, d)
		}
	}
	w.held = nil
	if len(come) > 0 && rng.IntN(10) == 0 {
		i := rng.IntN(len(come))
		w.held, come = append(w.held, come[i:]...), come[:i]
	}
	return come
}

// change makes it better or worse.
func (w *linkWeather) change(rng *rand.Rand) {
	w.loss = []float64{0, 0, 0.1, 0.5, 1}[rng.IntN(5)]
	w.most = []int{900, 1250, 4000, 8972, 8972}[rng.IntN(5)]
}

// limit sets the largest message that each side takes as a transfer. It stays so for as long as a process lives.
func (p *toldPair) limit() {
	for _, side := range []*end{p.a, p.b} {
		side.link.mu.Lock()
		in := &side.link.exchange.receiving
		free := in.Held.Free
		in.Init([]int64{400, 12_000, 1 << 20}[p.rng.IntN(3)], in.Held.Most, in.Held.Of)
		in.Held.Free = free
		side.link.mu.Unlock()
	}
}

// takeAll takes what is left of a budget, but for a byte. Each share leaves as much as it has.
func takeAll(of *buffer.Budget) (taken []*buffer.Share) {
	for n := of.Size; n > 0; {
		if s := (&buffer.Share{Of: of}); s.Take(n) {
			taken = append(taken, s)
		} else {
			n /= 2
		}
	}
	return taken
}

func giveAll(taken []*buffer.Share) {
	for _, s := range taken {
		s.Give(s.Used())
	}
}

// trouble is what a side forgets by itself, or another makes it forget.
func (p *toldPair) trouble() {
	p.there.change(p.rng)
	p.back.change(p.rng)
	giveAll(p.taken)
	p.taken = nil
	if p.rng.IntN(2) == 0 {
		p.taken = takeAll(p.b.wires.moving)
	}
	switch p.rng.IntN(3) {
	case 0:
		p.b.link.talk(time.Now()).giveWay(time.Now())
	case 1:
		p.forget()
	}
}

// forget makes the provider forget the replies that it keeps.
func (p *toldPair) forget() {
	p.b.link.mu.Lock()
	defer p.b.link.mu.Unlock()
	for served := &p.b.link.exchange.served; served.stored.head != nil; {
		served.drop(served.stored.head)
	}
}

// call begins a call, of a function or of none.
func (p *toldPair) call() {
	name := []string{"f", "f", "f", "nobody's"}[p.rng.IntN(4)]
	size := func() int { return p.rng.IntN([]int{100, 5000, 30_000}[p.rng.IntN(3)]) }
	left := time.Duration(50+p.rng.IntN(20_000)) * time.Millisecond
	p.mu.Lock()
	p.ran = append(p.ran, 0)
	p.mu.Unlock()
	p.calls = append(p.calls, p.a.call(left, name, len(p.calls), size(), garble(size())))
}

// serve is the function: it counts the call, and fails, takes long, or returns much or little.
func (p *toldPair) serve(id, size int, _ []byte) ([]byte, error) {
	p.mu.Lock()
	p.ran[id]++
	p.mu.Unlock()
	switch id % 7 {
	case 0:
		return nil, errors.New(string(make([]byte, size%wire.MaxText)))
	case 1:
		time.Sleep(time.Duration(size%300) * time.Millisecond)
	}
	return garble(size), nil
}

// run goes on for so many steps.
func (p *toldPair) run(steps int) {
	for range steps {
		if p.rng.IntN(30) == 0 {
			p.trouble()
		}
		if len(p.a.link.exchange.calls.slots)-len(p.a.link.exchange.calls.free) < 8 && p.rng.IntN(3) == 0 {
			p.call()
		}
		p.step(time.Duration(p.rng.IntN(40)) * time.Millisecond)
	}
	p.there, p.back = linkWeather{most: 8972}, linkWeather{most: 8972}
	for range 400 {
		p.step(100 * time.Millisecond)
	}
}

// step lets time pass, and delivers what was sent.
func (p *toldPair) step(d time.Duration) {
	p.a.step(d)
	p.b.step(0)
	toB, toA := p.a.tape.take(), p.b.tape.take()
	p.b.hear(p.there.pass(p.rng, toB)...)
	p.a.hear(p.back.pass(p.rng, toA)...)
}

// judge requires of each call that it ran as often as its caller was told.
func (p *toldPair) judge() {
	p.ended = make([]int, 4)
	for id, c := range p.calls {
		require.True(p.t, c.over(), "call %d has not ended", id)
		said := c.Executed
		if c.Code == 0 {
			require.Equal(p.t, 1, p.ran[id], "call %d is done", id)
			said = 3
		}
		p.ended[said]++
		if ran := p.ran[id]; ran > 1 || said == wire.ExecutedNo && ran != 0 || said == wire.ExecutedYes && ran != 1 {
			p.t.Errorf("call %d ran %d times, and was told: %v, %v: %s", id, ran, c.Code, c.Executed, c.Body)
		}
	}
}

// fewer is n, or a third of it in a sample.
func fewer(n int) int {
	if race.Sampled {
		return n / 3
	}
	return n
}

// Whatever comes of a call on a link, it runs once at most, and its caller is told no more than is so: while datagrams
// are lost, held back and come twice, paths shrink and widen, limits differ, and replies give way or are forgotten.
// [CALL-8] a Request or Poll for a reply no longer kept is answered Unreachable, executed as the reply said, and
// MUST NOT run again
// [FRAG-9] A call whose request is refused or dropped fails with executed no, but maybe where the request went before,
// as a datagram or as a transfer that was begun anew. ... executed as the first one said.
func TestWhatALinkSaysOfACallIsTrue(t *testing.T) {
	t.Parallel()
	seeds := uint64(100)
	if race.Sampled {
		seeds = 10
	}
	var ended [4]int
	for seed := range seeds {
		onEnds(t, bounds{maxPacket: 8972}, func(t *testing.T, a, b *end) {
			t.Logf("seed %d", seed)
			p := &toldPair{t: t, rng: rand.New(rand.NewPCG(seed, 1)), a: a, b: b}
			b.offer("f", p.serve)
			a.widen(8972)
			b.widen(8972)
			p.limit()
			p.trouble()
			p.run(600)
			p.judge()
			t.Logf("%d calls: maybe %d, no %d, yes %d, done %d", len(p.calls), p.ended[0], p.ended[1], p.ended[2],
				p.ended[3])
			for i, n := range p.ended {
				ended[i] += n
			}
		})
	}
	require.NotContains(t, ended, 0, "no call ended so")
}
