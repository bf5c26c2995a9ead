package attacks

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/intruder"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// guestsMost is how many guests a node has.
const guestsMost = 256

func asGuest(i *intruder.Intruder) { i.IsGuest = true }

// guest starts the i-th intruder and makes it a guest of the node.
func (f *field) guest(i int, n *broach.Node, edit ...func(*intruder.Intruder)) *intruder.Intruder {
	f.t.Helper()
	return f.member(i, n, append(edit, asGuest)...)
}

// [GST-2] All else MUST be dropped, and counted: whatever a guest says of members, nobody believes anything else than
// before, nobody else hears of it, and it gets nothing back.
func TestWhatGuestsSayOfMembersIsDropped(t *testing.T) {
	t.Parallel()
	besiege(t, 1, func(t *testing.T, f *field) {
		f.startAll(3)
		f.watch(t.Context())
		var got atomic.Int64
		g := f.guest(0, f.nodes[0], func(i *intruder.Intruder) {
			i.Hear = func(*intruder.Link, intruder.Message) ([]intruder.Message, bool) { got.Add(1); return nil, true }
		})
		got.Store(0)
		about := intruder.Target{Entry: f.entryOf(nodeAddr(1)), Inc: 1}
		words := []intruder.Message{
			intruder.About(intruder.KindSuspect, about), intruder.About(intruder.KindOffline, about),
			intruder.About(intruder.KindHelp, about), intruder.About(intruder.KindNack, about),
			intruder.List(0, 0, 1, intruder.Entry{Addr: strangerAt, Boot: 7}), intruder.Join(1),
			intruder.Beat(1, 60_000, 1, 7, 0),
			intruder.Announce(intruder.Hello{Inc: 1, Addr: badAddr(0), Name: "liar"}),
			intruder.Of(intruder.KindDrain, 0),
		}
		for range 100 {
			require.True(t, g.Say(nodeAddr(0), words...))
			time.Sleep(50 * time.Millisecond)
		}
		require.EqualValues(t, 100*len(words), f.nodes[0].Stats().Uninvited)
		require.Zero(t, got.Load(), "answers")
		require.Empty(t, f.believed())
		require.True(t, f.allMet())
		for _, n := range f.nodes {
			require.Len(t, n.Members(), 3)
		}
		for _, d := range f.tape.All() {
			require.False(t, d.To == strangerAt, "somebody was sent to whom a guest named")
			require.False(t, d.To == badAddr(0) && d.From != nodeAddr(0), "another member knows the guest")
		}
	})
}

// [GST-1] The link stays that of a guest whatever later headers say, as one of a member does.
func TestAGuestThatLiesOfItsTableStaysOne(t *testing.T) {
	t.Parallel()
	besiege(t, 1, func(t *testing.T, f *field) {
		f.startAll(2)
		g := f.guest(0, f.nodes[0])
		m := f.member(1, f.nodes[0])
		f.until(time.Second, "the member is in", func() bool { _, ok := memberOf(f.nodes[0], badAddr(1)); return ok })
		for i := range 50 {
			g.Write(nodeAddr(0), func(l *intruder.Link) []byte {
				l.Table = uint32(i % 7)
				return l.Next(intruder.Announce(intruder.Hello{Inc: 1, Addr: badAddr(0), Name: "liar"}))
			})
			m.Write(nodeAddr(0), func(l *intruder.Link) []byte { l.Table = 0; return l.Next(intruder.Ping(1)) })
			time.Sleep(20 * time.Millisecond)
		}
		_, isMember := memberOf(f.nodes[0], badAddr(0))
		require.False(t, isMember)
		_, isMember = memberOf(f.nodes[0], badAddr(1))
		require.True(t, isMember)
		require.Equal(t, 1, f.nodes[0].Stats().Guests)
		for _, d := range f.tape.All() {
			require.False(t, d.To == badAddr(0) && d.From == nodeAddr(1), "the other member was told")
		}
	})
}

// A member that turns guest at its address, and back: the member is offline, the guest is not shown, the second member
// is one.
func TestAMemberTurnsGuestAndBack(t *testing.T) {
	t.Parallel()
	besiege(t, 1, func(t *testing.T, f *field) {
		node := f.start(0)
		state := func() (s broach.State) {
			m, ok := memberOf(node, badAddr(0))
			require.True(t, ok)
			return m.State
		}
		for range 3 {
			f.member(0, node)
			f.until(time.Second, "it is a member",
				func() bool { return len(node.Members()) == 2 && state() == broach.Alive })
			require.Zero(t, node.Stats().Guests)
			f.bad[0].Close()
			time.Sleep(300 * time.Millisecond) // a pause between links at an address
			f.bad = nil
			g := f.guest(0, node)
			f.untilEach(time.Second, 90*time.Second, "the member is gone", func() bool {
				require.True(t, g.Say(node.Addr(), intruder.Ping(1)))
				return state() == broach.Offline
			})
			require.Equal(t, 1, node.Stats().Guests)
			f.bad[0].Close()
			f.bad = nil
			time.Sleep(300 * time.Millisecond)
		}
	})
}

// [GST-3] 10,000 guests: a node has 256 at most, members hear nothing of them, honest calls go on, and nothing is kept
// of those that went.
func TestTenThousandGuests(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		f.startAll(3)
		f.watch(t.Context())
		calls := f.callOn(f.nodes[1], f.nodes[0])
		f.net.Tap(nil)
		before := clustertest.LiveMemory()
		most := 0
		for k := range fewer(1000) {
			f.invade(f.nodes[0], k*10, 10)
			most = max(most, f.nodes[0].Stats().Guests)
			time.Sleep(10 * time.Millisecond) // no more than may be made in a second
		}
		calls.stop(t)
		require.Equal(t, min(guestsMost, fewer(10_000)), most)
		require.Empty(t, f.believed())
		require.True(t, f.allMet())
		require.Len(t, f.nodes[0].Members(), 3)
		require.Len(t, f.nodes[1].Members(), 3)
		time.Sleep(20 * time.Second)
		require.Zero(t, f.nodes[0].Stats().Guests)
		require.Less(t, clustertest.LiveMemory()-before, int64(12<<20), "a link takes some 3 KiB")
		runtime.KeepAlive(f)
	})
}

// invade makes so many processes guests of a node, and lets them die.
func (f *field) invade(n *broach.Node, from, count int) {
	f.t.Helper()
	var all sync.WaitGroup
	for i := from; i < from+count; i++ {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 8, byte(i >> 8), byte(i)}), 9000)
		conn, err := f.net.Listen(addr)
		require.NoError(f.t, err)
		g := intruder.Start(conn, intruder.NewProcess(addr, "default", f.key, uint64(10_000+i)), asGuest)
		all.Go(func() {
			_, ok := g.Link(n.Addr())
			require.True(f.t, ok)
			g.Close()
		})
	}
	all.Wait()
}

// [GST-4] beyond 250 such Requests a second of a peer, or 1,000 of all, a member answers Overloaded, executed no. So
// one that asks all the time takes nothing away from others.
func TestQuestionsAreAnsweredInMeasure(t *testing.T) {
	t.Parallel()
	besiege(t, 1, func(t *testing.T, f *field) {
		f.startAll(2)
		askers := make([]*asker, 6)
		for i := range askers {
			askers[i] = f.asker(i, f.nodes[0])
		}
		time.Sleep(time.Second)
		loud, quiet := askers[:1], askers[1:2]
		ask(2000, loud, quiet)
		require.InDelta(t, 250, loud[0].answered.Load(), 50)
		require.InDelta(t, 3750, loud[0].refused.Load(), 50)
		require.EqualValues(t, 200, quiet[0].answered.Load())
		require.Zero(t, quiet[0].refused.Load())

		time.Sleep(time.Second)
		ask(2000, askers, nil)
		sum := int64(0)
		for _, a := range askers {
			sum += a.answered.Load()
		}
		t.Logf("%d answered of all", sum)
		require.InDelta(t, 1000, sum, 200)
		f.call(f.nodes[1], f.nodes[0])
	})
}

// asker is a guest that asks where a function is.
type asker struct {
	*intruder.Intruder
	answered, refused atomic.Int64
	asked             uint16
}

func (f *field) asker(i int, n *broach.Node) *asker {
	a := new(asker)
	a.Intruder = f.guest(i, n, func(i *intruder.Intruder) {
		i.Hear = func(_ *intruder.Link, m intruder.Message) ([]intruder.Message, bool) {
			if m.Kind == intruder.KindReply && m.Body[9] == 0 {
				a.answered.Add(1)
			} else if m.Kind == intruder.KindReply {
				a.refused.Add(1)
			}
			return nil, false
		}
	})
	return a
}

// ask has the loud ask twice, and at every tenth time the quiet once, so many times in a second.
func ask(times int, loud, quiet []*asker) {
	for _, a := range append(loud[:len(loud):len(loud)], quiet...) {
		a.answered.Store(0)
		a.refused.Store(0)
	}
	for i := range times {
		for _, a := range loud {
			a.ask()
			a.ask()
		}
		for _, a := range quiet {
			if i%10 == 0 {
				a.ask()
			}
		}
		time.Sleep(time.Second / time.Duration(times))
	}
	time.Sleep(100 * time.Millisecond)
}

func (a *asker) ask() {
	a.asked++
	a.Say(nodeAddr(0), intruder.Request(a.asked, 1, 0, "\x00find", []byte{0x91, 0xa5, 'c', 'o', 'u', 'n', 't'}))
}

// [MEM-26] A seed that lies of who offers a function: a guest sends nothing to itself, to addresses that are of no use,
// or to the loopback of its own host, and little to a third party. Its calls fail and say so.
func TestASeedThatLiesToAGuest(t *testing.T) {
	t.Parallel()
	besiege(t, 1, func(t *testing.T, f *field) {
		useless := []netip.AddrPort{
			netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("0.0.0.0:7000"),
			netip.MustParseAddrPort("255.255.255.255:7000"),
		}
		lie := wire.Found{}
		for i, addr := range append(useless, nodeAddr(0), strangerAt) {
			for same := range 10 { // likewise
				lie.Add(wire.Provider{
					Process: wire.Process{Addr: addr, Boot: uint64(i + 1)}, Signature: "()", Last: same%2 == 1,
				})
			}
		}
		var asked atomic.Int64
		f.intruder(0, func(i *intruder.Intruder) {
			i.Hear = func(_ *intruder.Link, m intruder.Message) ([]intruder.Message, bool) {
				if m.Kind != intruder.KindRequest {
					return nil, false
				}
				asked.Add(1)
				return []intruder.Message{foundReply(m.Body, lie)}, true
			}
		})
		g := f.guestOf(badAddr(0))
		defer g.Close()
		began := time.Now()
		for range 20 {
			_, err := g.Caller("count").Call(t.Context())
			require.ErrorIs(t, err, broach.ErrUnavailable)
		}
		require.NotZero(t, asked.Load())
		require.GreaterOrEqual(t, g.Stats().Unusable, uint64(30))
		toStranger := 0
		for _, d := range f.tape.All() {
			if d.From == nodeAddr(0) {
				require.NotContains(t, append(useless, nodeAddr(0)), d.To)
			}
			if d.To == strangerAt {
				toStranger++
			}
		}
		t.Logf("%d to the stranger in %v", toStranger, time.Since(began))
		require.Positive(t, toStranger)
		require.LessOrEqual(t, toStranger, 8*(1+int(time.Since(began)/(5*time.Second))))
	})
}

// foundReply answers a question where a function is.
func foundReply(request []byte, found wire.Found) intruder.Message {
	be := binary.BigEndian
	value := found.Append(nil)
	result := be.AppendUint32([]byte{1, 18, 0xc6}, uint32(len(value))) // one result, bytes
	return intruder.Reply(be.Uint16(request), be.Uint32(request[2:]), 0, 2, append(result, value...))
}

// guestOf starts a guest at the first address of nodes.
func (f *field) guestOf(seed netip.AddrPort) *broach.Node {
	f.t.Helper()
	conn, err := f.net.Listen(nodeAddr(0))
	require.NoError(f.t, err)
	cfg := broach.Config{Guest: true, Conn: conn, Join: []string{seed.String()}, LogLevel: "off"}
	if f.key != nil {
		cfg.Keys = [][]byte{f.key}
	}
	g, err := broach.Start(cfg)
	require.NoError(f.t, err)
	return g
}

// A guest offers nothing, not even what every member does: what those ask that it visits is answered NotFound.
func TestNobodyIsAnsweredByAGuest(t *testing.T) {
	t.Parallel()
	besiege(t, 1, func(t *testing.T, f *field) {
		var found, others atomic.Int64
		seed := f.intruder(0, func(i *intruder.Intruder) {
			i.Hear = func(_ *intruder.Link, m intruder.Message) ([]intruder.Message, bool) {
				if m.Kind == intruder.KindReply && m.Body[9] == 3 {
					found.Add(1)
				} else if m.Kind == intruder.KindReply {
					others.Add(1)
				}
				return nil, false
			}
		})
		g := f.guestOf(badAddr(0))
		defer g.Close()
		require.NoError(t, g.WaitJoined(t.Context()))
		for i, name := range []string{"\x00view", "\x00find", "\x00table", "\x00describe", "count"} {
			require.True(t, seed.Say(nodeAddr(0), intruder.Request(uint16(i), 1, 0, name, []byte{0x91, 1})))
		}
		seed.Say(nodeAddr(0), intruder.Announce(intruder.Hello{Inc: 1, Addr: badAddr(0)}), intruder.Join(1),
			intruder.List(0, 0, 1, intruder.Entry{Addr: strangerAt, Boot: 7}))
		time.Sleep(time.Second)
		require.EqualValues(t, 5, found.Load())
		require.Zero(t, others.Load())
		for _, d := range f.tape.All() {
			require.NotEqual(t, strangerAt, d.To, "a guest contacts nobody of a List")
		}
	})
}
