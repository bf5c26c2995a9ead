package attacks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"broach"
	"broach/internal/intruder"

	"github.com/stretchr/testify/require"
)

// entryOf is a member as the intruder has heard of it, or as its own handshakes showed it.
func (f *field) entryOf(addr netip.AddrPort) intruder.Entry {
	return intruder.Entry{Addr: addr, Boot: intruder.BootID(f.publicOf(addr))}
}

// liar answers every question about another with a Nack and leaves the rest to the intruder.
func liar(i *intruder.Intruder) {
	i.Hear = func(_ *intruder.Link, m intruder.Message) ([]intruder.Message, bool) {
		if m.Kind != intruder.KindHelp {
			return nil, false
		}
		return []intruder.Message{{Kind: intruder.KindNack, Body: append([]byte{}, m.Body...)}}, true
	}
}

// liars starts k of them, members for all nodes.
func (f *field) liars(k int, edit func(*intruder.Intruder)) (list []*intruder.Intruder) {
	for i := range k {
		list = append(list, f.member(i, f.nodes[0], edit))
	}
	for _, m := range list {
		for _, n := range f.nodes {
			_, ok := m.Link(n.Addr())
			require.True(f.t, ok)
		}
	}
	time.Sleep(3 * time.Second)
	return list
}

// "Offline of a live peer counts only when one's own pings went unanswered": Suspect and Offline in one datagram of one
// member do nothing to a third.
func TestSuspectAndOfflineInOneDatagram(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		f.startAll(4)
		f.liars(1, liar)
		require.NoError(t,
			f.nodes[1].Register("slow", func(ctx context.Context) int { return after(ctx, 3*time.Second, 1) }))
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		f.watch(ctx)
		var calls []*broach.Future[int]
		for range 4 {
			calls = append(calls, broach.Go[int](ctx, f.nodes[0].Caller("slow", broach.NoRetry())))
		}
		time.Sleep(100 * time.Millisecond)
		target := intruder.Target{Entry: f.entryOf(nodeAddr(1)), Inc: 5}
		for range 5 {
			f.bad[0].Say(nodeAddr(0), intruder.About(intruder.KindSuspect, target),
				intruder.About(intruder.KindOffline, target))
			time.Sleep(20 * time.Millisecond)
		}
		for _, c := range calls {
			v, err := c.Wait()
			require.NoError(t, err)
			require.Equal(t, 1, v)
		}
		require.Empty(t, f.believed())
	})
}

// lie is what a liar says: anything about any honest node, with any incarnation.
func (f *field) lie(random *rand.Rand, about intruder.Entry) []intruder.Message {
	incs := []uint32{0, 1, 2, 1000, 1<<32 - 1}
	t := intruder.Target{Entry: about, Inc: incs[random.IntN(len(incs))]}
	suspect, offline := intruder.About(intruder.KindSuspect, t), intruder.About(intruder.KindOffline, t)
	help, nack := intruder.About(intruder.KindHelp, t), intruder.About(intruder.KindNack, t)
	sets := [][]intruder.Message{
		{suspect, offline}, {suspect, nack, offline}, {offline, offline}, {nack}, {suspect}, {help, nack, offline},
		{intruder.List(0, 0, 1, intruder.Entry{Addr: about.Addr, Boot: random.Uint64()})},
	}
	return sets[random.IntN(len(sets))]
}

// "k liars of section 7, k = 1, 3, N/2: nobody we reach goes offline, no call fails."
func TestLiarsTakeNobodyAway(t *testing.T) {
	for _, k := range []int{1, 3, 4} {
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			besiege(t, uint64(k), func(t *testing.T, f *field) {
				f.startAll(8)
				members := f.liars(k, liar)
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				f.watch(ctx)
				var calls []*traffic
				for i, n := range f.nodes {
					calls = append(calls, f.callOn(n, f.nodes[(i+1)%len(f.nodes)]))
				}
				random := rand.New(rand.NewPCG(uint64(k), 2))
				for range fewer(3000) {
					for _, m := range members {
						to, about := random.IntN(8), random.IntN(8)
						m.Say(nodeAddr(to), f.lie(random, f.entries()[about])...)
					}
					time.Sleep(10 * time.Millisecond)
				}
				for _, c := range calls {
					c.stop(t)
				}
				require.Empty(t, f.believed())
				require.True(t, f.allMet())
			})
		})
	}
}

// entries are the honest nodes, as members know them.
func (f *field) entries() []intruder.Entry {
	if f.known == nil {
		for _, n := range f.nodes {
			f.known = append(f.known, f.entryOf(n.Addr()))
		}
	}
	return f.known
}

// A node that dies is not called any more as soon as ever, whatever liars vouch for.
func TestLiarsDoNotKeepTheDeadAlive(t *testing.T) {
	for _, k := range []int{1, 3} {
		besiege(t, uint64(k), func(t *testing.T, f *field) {
			f.startAll(6)
			f.liars(k, func(i *intruder.Intruder) {
				i.Hear = func(_ *intruder.Link, m intruder.Message) ([]intruder.Message, bool) {
					if m.Kind != intruder.KindHelp && m.Kind != intruder.KindSuspect {
						return nil, false
					}
					return []intruder.Message{{Kind: intruder.KindVouch, Body: append([]byte{}, m.Body...)}}, true
				}
			})
			dead := nodeAddr(5)
			f.kill(5)
			f.drop(5)
			took := f.until(5*time.Second, "all know that it is dead", func() bool {
				for _, n := range f.nodes {
					if m, ok := memberOf(n, dead); ok && m.State != broach.Offline && !m.Unreachable {
						return false
					}
				}
				return true
			})
			t.Logf("%d liars: known after %v", k, took)
		})
	}
}

// "observed is the address of a process that learns": who tells others that they are elsewhere, or has opened in their
// name, changes nothing for nodes that know where they are; nor does an Announce that names another's address.
func TestNobodySaysWhereAnotherIs(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		f.startAll(3)
		m := f.liars(1, liar)[0]
		for i, n := range f.nodes {
			for _, other := range f.nodes {
				m.Say(n.Addr(), intruder.Announce(intruder.Hello{Inc: 1 << 20, Addr: other.Addr(), Name: "evil",
					Table: intruder.Table()}))
				time.Sleep(50 * time.Millisecond)
			}
			require.Equal(t, nodeAddr(i), n.Addr())
		}
		time.Sleep(5 * time.Second)
		require.True(t, f.allMet())
		for _, n := range f.nodes {
			for i := range f.nodes {
				member, _ := memberOf(n, nodeAddr(i))
				require.Equal(t, fmt.Sprint("node", i), member.Name)
			}
		}
		f.call(f.nodes[0], f.nodes[1])
	})
}

// A member's Leave, Drain and Beats are its own; sent for another, on the link of the sender, they are of the sender.
func TestAFarewellIsTheSenders(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		f.startAll(3)
		m := f.liars(1, liar)[0]
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		f.watch(ctx)
		for _, n := range f.nodes {
			m.Say(n.Addr(), intruder.Of(intruder.KindDrain, 0), intruder.Of(intruder.KindLeave))
		}
		time.Sleep(5 * time.Second)
		require.Empty(t, f.believed())
		require.True(t, f.allMet())
	})
}
