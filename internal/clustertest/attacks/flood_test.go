package attacks

import (
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"broach/internal/clustertest"
	"broach/internal/intruder"
	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

// weapon makes the n-th datagram of a flood at a node.
type weapon struct {
	name string
	make func(f *field, n uint64) (from netip.AddrPort, b []byte)
}

// flooder is one of many addresses, with a process.
func (f *field) flooder(n uint64) *intruder.Process {
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 4, byte(n >> 8), byte(n)}), uint16(1+n>>16))
	return intruder.NewProcess(addr, "default", f.key, n)
}

// weapons are floods of a stranger that has the cluster's key, or where there is none.
func weapons(random *rand.Rand) []weapon {
	return []weapon{
		{"Opens", func(f *field, n uint64) (netip.AddrPort, []byte) {
			p := f.stock[n%uint64(len(f.stock))]
			return p.Addr, intruder.Open{Key: f.key, Process: *p, Number: n, Token: n + 1}.Bytes()
		}},
		{"Opens in members' names", func(f *field, n uint64) (netip.AddrPort, []byte) {
			p := *f.stock[n%uint64(len(f.stock))]
			p.Addr = nodeAddr(int(n % 4))
			return p.Addr, intruder.Open{Key: f.key, Process: p, Number: n, Token: n + 1}.Bytes()
		}},
		{"false Confirms", func(f *field, n uint64) (netip.AddrPort, []byte) {
			p := f.stock[n%uint64(len(f.stock))]
			return p.Addr, append(intruder.Confirm{Token: random.Uint64(), Number: 1, Table: 1, Public: p.Public,
				Addr: p.Addr, Rank: 1,
				Stamp: uint32(n / 155)}.Bytes(), make([]byte, 16)...)
		}},
		{"unknown tokens", func(_ *field, n uint64) (netip.AddrPort, []byte) {
			return strangerAt, append([]byte{0xb7, 2, 0, 0, 0, 0, 0, 1}, randomBytes(random, 60)...)
		}},
	}
}

func randomBytes(random *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// "Floods of Opens (155,000/s), false Confirms, unknown tokens: no honest call fails, heartbeats on time, memory flat."
func TestFloodsOfStrangers(t *testing.T) {
	for _, w := range weapons(rand.New(rand.NewPCG(1, 1))) {
		t.Run(w.name, func(t *testing.T) {
			besiege(t, 1, func(t *testing.T, f *field) {
				f.startAll(4)
				for n := range uint64(256) {
					f.stock = append(f.stock, f.flooder(n))
				}
				calls := f.callOn(f.nodes[1], f.nodes[0])
				f.watch(t.Context())
				time.Sleep(time.Second)
				f.tape.Cut()
				before, in := clustertest.LiveMemory(), f.nodes[0].Stats().DatagramsIn
				var offers atomic.Int64
				f.net.Tap(func(_ time.Time, _, _ netip.AddrPort, b []byte) {
					if intruder.Form(b) == intruder.FormOffer {
						offers.Add(1)
					}
				})
				for tick := range uint64(fewer(2000)) { // 155 in each of 2,000 ms
					for k := range uint64(155) {
						from, b := w.make(f, tick*155+k)
						f.throw(from, f.nodes[0], b)
					}
					time.Sleep(time.Millisecond)
				}
				calls.stop(t)
				grown := (clustertest.LiveMemory() - before) >> 20
				t.Logf("%d calls, the longest %v; %d MiB; %d Offers", calls.made, calls.longest, grown, offers.Load())
				require.Greater(t, f.nodes[0].Stats().DatagramsIn-in, uint64(fewer(300_000)))
				require.LessOrEqual(t, offers.Load(), int64(3*4096), "in the seconds that two seconds touch")
				require.Empty(t, f.believed())
				require.Less(t, calls.longest, 100*time.Millisecond)
				require.Less(t, grown, int64(24))
				f.net.Tap(f.tape.Record)
				require.True(t, f.allMet())
			})
		})
	}
}

// Who joins while a flood of Opens goes on, is kept out no longer than the flood lasts, and with keys, where a flood
// without the key costs nobody his turn, not at all.
func TestJoiningThroughAFlood(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		f.startAll(3)
		key := f.key
		f.key = nil
		for n := range uint64(256) {
			f.stock = append(f.stock, f.flooder(n))
		}
		open := weapons(nil)[0]
		f.net.Tap(nil)
		flood := func(ticks uint64) {
			for tick := range ticks {
				for k := range uint64(155) {
					from, b := open.make(f, tick*155+k)
					f.throw(from, f.nodes[0], b)
				}
				time.Sleep(time.Millisecond)
			}
		}
		flood(100)
		f.key = key
		f.start(3, 0)
		f.key = nil
		flood(uint64(fewer(2000)))
		if key == nil || race.Sampled {
			time.Sleep(5 * time.Second)
		}
		f.key = key
		require.True(t, f.allMet())
		f.call(f.nodes[3], f.nodes[0])
	})
}
