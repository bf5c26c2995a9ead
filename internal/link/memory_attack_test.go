package link

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/buffer"
	"broach/internal/race"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// hoarders are peers that ask for large replies and acknowledge none of them. They live: their links carry datagrams.
type hoarders struct {
	provider *end
	sides    []*end
}

// peerOf makes another peer of a provider.
func peerOf(t *testing.T, provider *end, i int) *end {
	e := newEnd(t, i, bounds{maxMessage: 2 << 20})
	e.meet(provider)
	return e
}

// ask sends that many Requests for the function f from each, one peer after the other.
func (h *hoarders) ask(requests int) {
	for _, s := range h.sides {
		var batch [][]byte
		for slot := range requests {
			batch = append(batch, s.utter(requestOf(uint16(slot), 1)))
		}
		h.provider.hear(batch...)
		h.provider.tape.take()
	}
}

// live lets time pass in which they say no more than that they are there.
func (h *hoarders) live(d time.Duration) {
	for range d / time.Second {
		h.provider.step(time.Second)
		for _, s := range h.sides {
			h.provider.hear(s.utter(wire.Probe{ID: 1}.Append(nil)))
		}
		h.provider.tape.take()
	}
}

// requireEcho makes an honest call with n bytes there and back.
func requireEcho(t *testing.T, honest, provider *end, n int) {
	call := honest.call(time.Minute, "echo", garble(n))
	deliver(honest, provider)
	call.require(t, 0, wire.ExecutedYes)
	honest.free(call)
}

// SECURITY.md: large replies under way are bounded for all peers together, and others are served beside those who take
// them all.
func TestRepliesThatNobodyAcknowledgesAreBounded(t *testing.T) {
	for _, attackers := range []int{1, 4, 64} {
		if race.Sampled && attackers == 4 {
			continue
		}
		t.Run(fmt.Sprint(attackers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				provider := newEnd(t, 0, bounds{maxMessage: 2 << 20})
				provider.offer("echo", func(b []byte) []byte { return b })
				size := 1 << 20
				if race.Enabled { // the detector keeps notes four times as large
					size /= 8
					provider.wires.moving.Size /= 8
				}
				large := make([]byte, size)
				provider.offer("f", func() []byte { return large })
				honest := peerOf(t, provider, 1)
				h := &hoarders{provider: provider}
				for i := range attackers {
					h.sides = append(h.sides, peerOf(t, provider, 2+i))
				}
				before := heapUsed()

				h.ask(600 / min(attackers, 30))
				limit := provider.wires.moving.Size
				if attackers == 1 {
					limit /= 2
				}
				require.LessOrEqual(t, provider.wires.moving.Used(), limit)
				require.Greater(t, provider.wires.moving.Used(), limit/2, "they hold much of it")
				require.LessOrEqual(t, heapUsed()-before, limit+(16<<20))
				require.NotZero(t, provider.wires.Unsent.Load())
				requireEcho(t, honest, provider, size)

				t.Log("the memory comes back while they live")
				h.live(12 * time.Second)
				require.Zero(t, provider.wires.moving.Used())
				require.LessOrEqual(t, heapUsed()-before, int64(16<<20))
				runtime.KeepAlive(h)
			})
		})
	}
}

// SECURITY.md: half-received messages are bounded for all peers together, and others get theirs through beside those
// who begin what they can and do not go on.
func TestMessagesThatNobodyFinishesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider := newEnd(t, 0, bounds{maxMessage: 2 << 20})
		provider.offer("echo", func(b []byte) []byte { return b })
		honest := peerOf(t, provider, 1)
		before := heapUsed()
		part := make([]byte, 1000)
		var sides []*end
		for i := range 6 {
			s := peerOf(t, provider, 2+i)
			sides = append(sides, s)
			for id := range uint32(64) {
				f := wire.Fragment{Transfer: id + 1, Total: 2 << 20 >> min(id, 8), Size: 1000, Data: part}
				provider.hear(s.utter(f.Append(nil)))
			}
			provider.tape.take()
		}
		require.Greater(t, provider.wires.memory.Used(), provider.wires.memory.Size*9/10)
		require.LessOrEqual(t, provider.wires.memory.Used(), provider.wires.memory.Size)
		require.LessOrEqual(t, heapUsed()-before, provider.wires.memory.Size+(16<<20))
		requireEcho(t, honest, provider, 100<<10)

		provider.step(10 * time.Second)
		require.Zero(t, provider.wires.memory.Used())
		requireEcho(t, honest, provider, 1<<20)
		runtime.KeepAlive(sides)
	})
}

// SECURITY.md: a part of a message's size is kept for each peer: who sends no more than that gets it through beside any
// number of those who take all there is and do not go on.
func TestSmallMessagesFindRoomBesideManyThatNobodyFinishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider := newEnd(t, 0, bounds{maxMessage: 2 << 20})
		provider.offer("echo", func(b []byte) []byte { return b })
		honest := peerOf(t, provider, 1)
		var sides []*end
		for i := range 40 {
			s := peerOf(t, provider, 2+i)
			sides = append(sides, s)
			for id := range uint32(64) {
				f := wire.Fragment{Transfer: id + 1, Total: 2 << 20 >> min(id, 10), Size: 1000,
					Data: make([]byte, 1000)}
				provider.hear(s.utter(f.Append(nil)))
			}
			provider.tape.take()
		}
		require.Less(t, provider.wires.memory.Size-provider.wires.memory.Used(), int64(3000),
			"half of it is less than what is sent")
		requireEcho(t, honest, provider, 1500)
		requireEcho(t, honest, provider, 1500)
		for _, l := range slices.Collect(maps.Values(provider.links)) {
			l.Close(Outcome{Code: wire.Unreachable})
		}
		require.Zero(t, provider.wires.memory.Used(), "and the account is right")
		runtime.KeepAlive(sides)
	})
}

// Links whose replies take room from each other at the same time never wait for one another, and the account is right
// at the end.
func TestRepliesTakeRoomFromEachOther(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, _, provider *end) {
		provider.wires.moving.Size = 1 << 20
		for i := range 8 {
			peerOf(t, provider, 10+i)
		}
		links := slices.Collect(maps.Values(provider.links))
		var group sync.WaitGroup
		for i, l := range links {
			group.Go(func() {
				for slot := range uint16(60) {
					answerLarge(l, slot, (1+i)*7000)
				}
			})
		}
		group.Wait()
		var sum int64
		var shares []*buffer.Share
		for _, l := range links {
			sum += l.exchange.served.movingBytes.Used()
			shares = append(shares, &l.exchange.served.movingBytes)
		}
		require.Equal(t, sum, provider.wires.moving.Used())
		require.LessOrEqual(t, sum, provider.wires.moving.Size)
		for i, l := range links {
			answerLarge(l, 60, (1+i)*7000)
			require.NotZero(t, l.exchange.served.movingBytes.Used(), "who had to give way finds room again")
		}
		for _, l := range links {
			l.Close(Outcome{Code: wire.Unreachable})
		}
		require.Zero(t, provider.wires.moving.Used())
		require.Zero(t, provider.wires.stored.Used())
		for _, s := range shares {
			require.False(t, provider.wires.moving.Leave(s), "it has left")
		}
	})
}

// answerLarge takes a Request of the peer into a slot and answers it with n bytes.
func answerLarge(l *Link, slot uint16, n int) {
	l.mu.Lock()
	x := l.talk(time.Now())
	a := Arrival{Spare: new(Request)}
	x.takeRequest(time.Now(), wire.Request{Slot: slot, Seq: 1, Service: []byte("f")}, TwoWay, nil, &a)
	x.served.tell(x.served.slot(slot))
	l.mu.Unlock()
	l.Answer(time.Now(), a.Spare, wire.Reply{Slot: slot, Seq: 1, Body: garble(n)}.Append(nil))
}

func heapUsed() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
