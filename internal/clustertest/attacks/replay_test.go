package attacks

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/intruder"
	"broach/internal/race"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// replay throws what was recorded again, from where it came and from elsewhere.
func (f *field) replay(list []intruder.Datagram) {
	for i, d := range list {
		f.net.Inject(d.From, d.To, d.Bytes)
		f.net.Inject(strangerAt, d.To, d.Bytes)
		if i%200 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// offersIn counts the Offers among datagrams.
func offersIn(list []intruder.Datagram) int {
	return len(intruder.OfForm(list, intruder.FormOffer))
}

// endings are ways in which a link ends and another of the same two addresses begins.
var endings = []struct {
	name string
	// news is how many recorded Opens the processes have not answered themselves, for each that was recorded.
	news int
	end  func(f *field)
}{
	{"not at all", 0, func(*field) {}},
	{"forgotten", 0, func(f *field) { f.separate() }},
	{"the provider restarted", 1, func(f *field) { f.restart(0) }},
	{"the caller restarted", 1, func(f *field) { f.restart(1) }},
	{"another key", 0, func(f *field) {
		if f.key != nil {
			for _, keys := range [][][]byte{{f.key, clusterKey(9)}, {clusterKey(9), f.key}, {clusterKey(9)}} {
				f.nodes[0].SetKeys(keys)
				f.nodes[1].SetKeys(keys)
				time.Sleep(time.Second)
			}
		}
	}},
}

// separate cuts two nodes until each has forgotten the other, and lets them meet again.
func (f *field) separate() {
	a, b := []netip.AddrPort{nodeAddr(0)}, []netip.AddrPort{nodeAddr(1)}
	f.net.Cut(a, b)
	f.until(20*time.Second, "they lose each other", func() bool {
		m, ok := memberOf(f.nodes[0], nodeAddr(1))
		k, there := memberOf(f.nodes[1], nodeAddr(0))
		return (!ok || m.State == broach.Offline) && (!there || k.State == broach.Offline)
	})
	f.nodes[0].Forget(nodeAddr(1))
	f.nodes[1].Forget(nodeAddr(0))
	time.Sleep(time.Second)
	f.net.Heal()
}

// restart kills a node of two and starts another at its address.
func (f *field) restart(i int) {
	f.kill(i)
	f.drop(i)
	time.Sleep(100 * time.Millisecond)
	seed := f.edit
	f.edit = func(cfg *broach.Config) { seed(cfg); cfg.RandSeed = 77 }
	f.start(i, 1-i)
	f.edit = seed
	if i == 0 {
		slices.Reverse(f.nodes)
		slices.Reverse(f.gates)
	}
}

// "what it repeats or changes is accepted nowhere, on no link, at no time; what this process has answered once is
// answered 0": all of a link, after its end, in order and shuffled, at once and much later.
func TestWhatWasRecordedRunsNowhere(t *testing.T) {
	for _, ending := range endings {
		t.Run(ending.name, func(t *testing.T) {
			besiege(t, 1, func(t *testing.T, f *field) {
				_, caller := f.pair()
				for range 20 {
					f.call(caller, f.nodes[0])
				}
				time.Sleep(time.Second)
				recorded := f.tape.All()
				ending.end(f)
				f.until(20*time.Second, "they meet again", f.allMet)
				f.call(f.nodes[1], f.nodes[0])
				opens := len(intruder.OfForm(recorded, intruder.FormOpen))
				random := rand.New(rand.NewPCG(1, 1))
				for round := range 6 {
					f.tape.Cut()
					ran := f.ran.Load()
					f.replay(recorded)
					time.Sleep(2 * time.Millisecond)
					require.LessOrEqual(t, len(intruder.OfForm(f.tape.All(), intruder.FormLink)), 6,
						"beats, but no answers")
					time.Sleep([]time.Duration{time.Millisecond, time.Second, 5 * time.Second, time.Minute}[round%4])
					require.Equal(t, ran, f.ran.Load(), "round %d", round)
					f.answeredAtMost(round, opens, ending.news)
					f.call(f.nodes[1], f.nodes[0])
					random.Shuffle(len(recorded),
						func(i, j int) { recorded[i], recorded[j] = recorded[j], recorded[i] })
				}
				require.True(t, f.allMet())
			})
		})
	}
}

// answeredAtMost looks how many Offers the replay of Opens has brought: with keys none but for what was not answered
// before.
func (f *field) answeredAtMost(round, opens, news int) {
	offers := offersIn(f.tape.All())
	switch {
	case f.key == nil:
		require.LessOrEqual(f.t, offers, 2*opens)
	case round == 0:
		require.LessOrEqual(f.t, offers, news*opens)
	default:
		require.Zero(f.t, offers, "answered once, and again")
	}
}

// [SEC-4] no Confirm makes a second link: its token B is known, spent or too old (LNK-3), at no moment none of the
// three.
//
// A link that was made and ended within the 5 s in which its Offer counts is not made again by its Confirm: neither
// while that is remembered nor when it is not any more, at no moment between.
func TestAConfirmRepeatedAroundItsAgeMakesNoLink(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		provider, caller := f.pair()
		m := f.member(0, provider, hasty)
		m.Say(provider.Addr(), intruder.Request(0, 1, 5000, "count", noArgs))
		time.Sleep(10 * time.Millisecond)
		m.Close()
		f.until(3*time.Second, "it is dead", func() bool { return provider.Forget(m.Addr) == nil })
		recorded := intruder.Between(f.tape.All(), m.Addr, provider.Addr())
		recorded = slices.DeleteFunc(recorded, func(d intruder.Datagram) bool {
			return d.To != provider.Addr() || intruder.Form(d.Bytes) == intruder.FormOpen
		})
		require.Less(t, time.Since(recorded[0].At), 4*time.Second, "its Confirm is still fresh")
		ran := f.ran.Load()
		for range 8000 {
			for _, d := range recorded {
				f.net.Inject(d.From, d.To, d.Bytes)
			}
			time.Sleep(time.Millisecond)
		}
		require.Equal(t, ran, f.ran.Load())
		f.call(caller, provider)
	})
}

// hasty lets an intruder promise a Beat that is soon, so that it is soon missed.
func hasty(i *intruder.Intruder) {
	i.Hear = func(_ *intruder.Link, m intruder.Message) ([]intruder.Message, bool) {
		if m.Kind != intruder.KindWelcome {
			return nil, m.Kind == intruder.KindBeat
		}
		return []intruder.Message{intruder.Ack(1, 50)}, true
	}
}

// Who is on the path repeats each Open, Offer and Confirm for ten seconds, at the process it was meant for, at its
// successor and at another one. Nothing comes of it but what an Open is due.
func TestHandshakesAreRepeatedInVain(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		f.startAll(3)
		recorded := slices.DeleteFunc(f.tape.All(), func(d intruder.Datagram) bool {
			return intruder.Form(d.Bytes) == intruder.FormLink
		})
		f.tape.Cut()
		opens := 0
		for round := range 100 {
			for _, d := range recorded {
				for i := range 3 {
					f.net.Inject(d.From, nodeAddr(i), d.Bytes)
					if intruder.Form(d.Bytes) == intruder.FormOpen {
						opens++
					}
				}
			}
			time.Sleep(100 * time.Millisecond)
			if round == 50 {
				f.kill(2)
				f.drop(2)
				f.start(2, 0)
			}
		}
		f.until(10*time.Second, "all meet", f.allMet)
		offers := offersIn(f.tape.All())
		t.Logf("%d Opens, %d Offers", opens, offers)
		require.LessOrEqual(t, offers, opens)
		if f.key != nil {
			// Of each Open that was recorded each of the four processes answers one at most. The new one asks, too.
			require.LessOrEqual(t, offers, 4*len(recorded)+20)
		}
		for i := range 3 {
			f.call(f.nodes[i], f.nodes[(i+1)%3])
		}
	})
}

// [LNK-3] B drops it unless the stamp is at most 5,000 ms old
//
// Confirms that are held back for 1 to 10 s do nothing worse than come late.
func TestConfirmsHeldBack(t *testing.T) {
	for held := time.Second; held <= 10*time.Second; held += time.Second {
		t.Run(held.String(), func(t *testing.T) {
			besiege(t, uint64(held/time.Second), func(t *testing.T, f *field) {
				f.start(0)
				f.start(1, 0)
				var late sync.WaitGroup
				for _, g := range f.gates {
					g.guard(func(to netip.AddrPort, b []byte) bool {
						if intruder.Form(b) != intruder.FormConfirm {
							return true
						}
						b = slices.Clone(b)
						late.Go(func() { time.Sleep(held); g.Conn.WriteToUDPAddrPort(b, to) })
						return false
					})
				}
				time.Sleep(12 * time.Second)
				for _, g := range f.gates {
					g.guard(nil)
				}
				f.until(15*time.Second, "they meet", f.allMet)
				late.Wait()
				for range 10 {
					f.call(f.nodes[1], f.nodes[0])
					time.Sleep(100 * time.Millisecond)
				}
				require.True(t, f.allMet())
			})
		})
	}
}

// [LNK-10] A Confirm of another process whose stamp is not later than the birth of a link of the one known there,
// offline or not, is dropped: it was held back, and its sender is gone.
//
// A Confirm of a process that has died meanwhile does not replace its successor.
func TestAHeldConfirmOfTheDeadReplacesNobody(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		provider := f.start(0)
		f.start(1, 0)
		var mu sync.Mutex
		var held [][]byte
		f.gates[1].guard(func(_ netip.AddrPort, b []byte) bool {
			mu.Lock()
			defer mu.Unlock()
			confirm := intruder.Form(b) == intruder.FormConfirm
			if confirm {
				held = append(held, slices.Clone(b))
			}
			return !confirm
		})
		time.Sleep(500 * time.Millisecond)
		f.kill(1)
		f.drop(1)
		caller := f.start(1, 0)
		f.until(3*time.Second, "the successor joins", f.allMet)
		f.call(caller, provider)
		calls := f.callOn(caller, provider)
		back := f.callOn(provider, caller)
		time.Sleep(time.Second)
		mu.Lock()
		require.NotEmpty(t, held)
		for _, b := range held {
			f.throw(nodeAddr(1), provider, b)
		}
		mu.Unlock()
		time.Sleep(10 * time.Second)
		calls.stop(t)
		back.stop(t)
		require.True(t, f.allMet())
	})
}

// [LNK-9] An Offer of the process believed in [...] makes no link, unless it is the second in a row that answers a
// doubt
//
// [LNK-7] the lowest other goes, but none with calls: in flight, own or served
//
// Two times in a row the Pongs of a provider are lost until its caller doubts and the link is made anew. A call that
// takes long lives through both.
func TestTwoStallsEndNoLongCall(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		provider, caller := f.pair()
		require.NoError(t, provider.Register("long",
			func(ctx context.Context) int { return after(ctx, 6*time.Second, 7) }))
		f.until(time.Second, "it is known", func() bool {
			return slices.ContainsFunc(caller.Services(), func(s broach.Service) bool { return s.Name == "long" })
		})
		long := broach.Go[int](context.Background(),
			caller.Caller("long", broach.Timeout(20*time.Second), broach.NoRetry()))
		links := len(f.links(caller.Addr(), provider.Addr()))
		for range 2 {
			seen := offersIn(f.tape.All())
			f.gates[0].guard(func(_ netip.AddrPort, b []byte) bool { return intruder.Form(b) != intruder.FormLink })
			f.until(5*time.Second, "the caller doubts twice", func() bool { return offersIn(f.tape.All()) >= seen+2 })
			f.gates[0].guard(nil)
			time.Sleep(500 * time.Millisecond)
		}
		require.Greater(t, len(f.links(caller.Addr(), provider.Addr())), links, "the link was made anew")
		v, err := long.Wait()
		require.NoError(t, err)
		require.Equal(t, 7, v)
		f.until(10*time.Second, "all is well", f.allMet)
	})
}

// At most once, whatever the network loses, doubles and reorders, however often the two forget each other, with
// somebody beside it who repeats all that was ever said.
func TestCallsRunAtMostOnceBesideAnIntruder(t *testing.T) {
	for seed := range uint64(3) {
		if race.Sampled && seed > 0 {
			break
		}
		besiege(t, seed+1, func(t *testing.T, f *field) {
			f.edit = func(cfg *broach.Config) { cfg.Heartbeat.Forget = 500 * time.Millisecond }
			provider, caller := f.pair()
			var mu sync.Mutex
			runs := map[int]int{}
			require.NoError(t, provider.Register("pay", func(id int) int {
				mu.Lock()
				defer mu.Unlock()
				runs[id]++
				return id
			}))
			time.Sleep(time.Second)
			f.net.SetDefault(simnet.Link{Loss: 0.1, Duplicate: 0.1, Reorder: 0.1, Delay: time.Millisecond,
				Jitter: 5 * time.Millisecond})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var all sync.WaitGroup
			all.Go(func() { f.repeatAll(ctx, seed) })
			all.Go(func() { f.interrupt(ctx) })
			pay, paid := caller.Caller("pay", broach.Timeout(2*time.Second)), map[int]bool{}
			for id := 0; ctx.Err() == nil; id++ {
				v, err := broach.Call[int](context.Background(), pay, id)
				if err == nil {
					require.Equal(t, id, v)
					paid[id] = true
				}
				time.Sleep(10 * time.Millisecond)
			}
			all.Wait()
			f.net.SetDefault(simnet.Link{})
			time.Sleep(10 * time.Second)
			mu.Lock()
			defer mu.Unlock()
			for id, n := range runs {
				require.Equal(t, 1, n, "call %d", id)
			}
			require.Subset(t, slices.Collect(maps.Keys(runs)), slices.Collect(maps.Keys(paid)))
			require.Greater(t, len(paid), 500, "of %d that ran", len(runs))
		})
	}
}

// repeatAll throws recorded datagrams, a thousand a second, the younger ones more often.
func (f *field) repeatAll(ctx context.Context, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	for ctx.Err() == nil {
		list := f.tape.All()
		for range 50 {
			d := list[len(list)-1-int(float64(len(list))*random.Float64()*random.Float64())]
			f.net.Inject(d.From, d.To, d.Bytes)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// interrupt separates two nodes for some seconds, again and again.
func (f *field) interrupt(ctx context.Context) {
	for ctx.Err() == nil {
		time.Sleep(8 * time.Second)
		f.net.Cut([]netip.AddrPort{nodeAddr(0)}, []netip.AddrPort{nodeAddr(1)})
		time.Sleep(4 * time.Second)
		f.net.Heal()
	}
}
