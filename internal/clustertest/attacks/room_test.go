package attacks

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/intruder"
	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

// tableMost is how many peers a node has room for.
const tableMost = 4096

// ghostAddr is the address of one of many members on one host.
func ghostAddr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 8, 0, 1}), uint16(1000+i))
}

// deaf lets an intruder learn of nobody, which would be most of what thousands of them do.
func deaf(i *intruder.Intruder) {
	i.Hear = func(_ *intruder.Link, m intruder.Message) ([]intruder.Message, bool) {
		return nil, m.Kind == intruder.KindList
	}
}

// haunt makes so many processes of one host members for a node, and lets them die.
func (f *field) haunt(n *broach.Node, from, to int) {
	f.t.Helper()
	ghosts := f.crowd(n, from, to)
	time.Sleep(6 * time.Second) // until the last of them has given up
	for _, g := range ghosts {
		g.Close()
	}
}

// crowd makes so many processes of one host members for a node.
func (f *field) crowd(n *broach.Node, from, to int) (crowd []*intruder.Intruder) {
	f.t.Helper()
	f.net.Tap(nil) // each of them is told of each other
	defer f.net.Tap(f.tape.Record)
	before := len(n.Members())
	for i := from; i < to; i++ {
		conn, err := f.net.Listen(ghostAddr(i))
		require.NoError(f.t, err)
		p := intruder.NewProcess(ghostAddr(i), "default", f.key, uint64(10_000+i))
		crowd = append(crowd, intruder.Start(conn, p, deaf))
	}
	for _, g := range crowd {
		go g.Link(n.Addr())
	}
	f.untilEach(100*time.Millisecond, 30*time.Second, "all are members",
		func() bool { return len(n.Members()) == min(before+to-from, tableMost+1) })
	return crowd
}

// "with 4,096 ghosts a newcomer is in within 1 s": 4,096 members of one host that have died fill the table, and keep
// nobody out.
func TestGhostsKeepNobodyOut(t *testing.T) {
	if race.Enabled {
		t.Skip("takes the detector long, and many members are no other race than few")
	}
	t.Parallel()
	besiege(t, 1, func(t *testing.T, f *field) {
		seed := f.start(0)
		f.haunt(seed, 0, tableMost)
		f.untilEach(time.Second, 2*time.Minute, "they are offline", func() bool {
			offline := 0
			for _, m := range seed.Members() {
				if m.State == broach.Offline {
					offline++
				}
			}
			return offline == tableMost
		})
		newcomer := f.start(1, 0)
		took := f.until(time.Second, "a newcomer is in", func() bool {
			m, ok := memberOf(seed, newcomer.Addr())
			_, there := memberOf(newcomer, seed.Addr())
			return ok && there && m.State == broach.Alive
		})
		t.Logf("in after %v", took)
		f.call(newcomer, seed)
		f.call(seed, newcomer)
		require.LessOrEqual(t, len(seed.Members()), tableMost+1)
	})
}

// The row of docs/troubles.md that internal/clustertest/troubles leaves out: as many members as there can be take
// longer than all its others together.
func TestAFullClusterIsTold(t *testing.T) {
	if race.Enabled {
		t.Skip("takes the detector long, and many members are no other race than few")
	}
	t.Parallel()
	inField(t, 1, nil, func(t *testing.T, f *field) {
		var logs [2]clustertest.SharedLog
		begin := func(i int) *broach.Node {
			f.edit = func(cfg *broach.Config) {
				cfg.Logger = slog.New(slog.NewTextHandler(&logs[i], &slog.HandlerOptions{Level: slog.LevelDebug}))
			}
			return f.start(i, 0)
		}
		f.bad = f.crowd(begin(0), 0, tableMost)
		time.Sleep(time.Minute) // of the crowd enough was told within one
		begin(1)
		time.Sleep(5 * time.Second)
		is, other, remedy := troubleRow(t, "the cluster is full")
		require.Contains(t, logs[1].String(), is)
		require.Contains(t, logs[0].String(), other)
		require.Contains(t, logs[1].String(), remedy)
	})
}

// troubleRow is what a row of docs/troubles.md has in code: what the node says, what the other one says, the remedy.
func troubleRow(t *testing.T, name string) (is, other, remedy string) {
	text, err := os.ReadFile("../../../docs/troubles.md")
	require.NoError(t, err)
	_, row, _ := strings.Cut(string(text), "| "+name+" |")
	row, _, _ = strings.Cut(row, "\n")
	words := strings.Split(row, "`")
	require.Len(t, words, 7)
	return words[1], words[3], words[5]
}

// 200 members with 1,200 functions each, and versions of their tables that rise with every word: nobody honest is
// called offline, no call fails, and they are all introduced in seconds.
func TestLargeTablesOfManyStrangers(t *testing.T) {
	t.Parallel()
	besiege(t, 1, func(t *testing.T, f *field) {
		f.startAll(5)
		var names []string
		for i := range 1200 {
			names = append(names, fmt.Sprintf("f%05d", i))
		}
		calls, strangers := f.callOn(f.nodes[1], f.nodes[0]), fewer(200)
		began := time.Now()
		for k := range strangers {
			f.member(k, f.nodes[0], func(i *intruder.Intruder) { i.Table = intruder.Table(names...) })
		}
		f.untilEach(100*time.Millisecond, 10*time.Second,
			"all are introduced, and most have found room for their functions",
			func() bool {
				return len(f.nodes[0].Members()) == 5+strangers && providersOf(f.nodes[0], names[0]) > strangers*3/4
			})
		t.Logf("introduced in %v", time.Since(began))
		for version := range uint32(40) {
			for _, m := range f.bad {
				m.Write(nodeAddr(0), func(l *intruder.Link) []byte {
					l.Table = version + 2
					return l.Next(intruder.Ping(1))
				})
			}
			time.Sleep(50 * time.Millisecond)
		}
		calls.stop(t)
		t.Logf("%d calls, the longest %v; %d have room for their functions", calls.made, calls.longest,
			providersOf(f.nodes[0], names[0]))
		require.True(t, f.allMet())
		newcomer := f.start(5, 0)
		f.untilEach(100*time.Millisecond, 10*time.Second, "a newcomer's function is known", f.allMet)
		f.call(f.nodes[0], newcomer)
	})
}

// providersOf is how many a node knows that offer a function.
func providersOf(n *broach.Node, name string) int {
	for _, s := range n.Services() {
		if s.Name == name {
			return len(s.Providers)
		}
	}
	return 0
}

// 600 Requests for a result of 1 MiB, never acknowledged, of one member and of four: what is made for them is bounded.
func TestResultsThatNobodyTakes(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		f.edit = func(cfg *broach.Config) { cfg.MaxMessage = 2 << 20 }
		f.startAll(2)
		provider, caller := f.nodes[0], f.nodes[1]
		require.NoError(t, provider.Register("mega", func() []byte { return make([]byte, 1<<20) }))
		before := clustertest.LiveMemory()
		members := 4
		if race.Sampled {
			members = 2
		}
		for k := range members {
			m := f.member(k, provider)
			for slot := range uint16(600) {
				m.Say(provider.Addr(), intruder.Request(slot, 1, 60_000, "mega", noArgs))
				time.Sleep(time.Millisecond)
			}
			time.Sleep(time.Second)
			grown := (clustertest.LiveMemory() - before) >> 20
			t.Logf("%d members: %d MiB", k+1, grown)
			require.Less(t, grown, int64(256+64+64), "replies under way, those that are kept, and what holds them")
		}
		f.call(caller, provider)
		for _, m := range f.bad {
			m.Close()
		}
		time.Sleep(90 * time.Second)
		left := (clustertest.LiveMemory() - before) >> 20
		t.Logf("%d MiB after the members are gone", left)
		require.Less(t, left, int64(48))
	})
}

// Large messages that never get complete, of many members at once, find the room that there is and no more.
func TestMessagesThatNeverEnd(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		f.edit = func(cfg *broach.Config) { cfg.MaxMessage = 8 << 20 }
		f.startAll(2)
		provider, caller := f.nodes[0], f.nodes[1]
		before := clustertest.LiveMemory()
		for k := range 20 {
			m := f.member(k, provider)
			for transfer := range uint32(60) {
				for index := range uint32(20) {
					m.Say(provider.Addr(), intruder.Fragment(transfer+1, 8<<20, 1000, index, make([]byte, 1000)))
				}
				time.Sleep(time.Millisecond)
			}
		}
		grown := (clustertest.LiveMemory() - before) >> 20
		t.Logf("%d MiB", grown)
		require.Less(t, grown, int64(8*8+32))
		f.call(caller, provider)
	})
}

// A member that says 800 Pings in one datagram, again and again, delays nobody's heartbeat and nobody's call.
func TestManyPingsInOneDatagram(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		f.startAll(4)
		m := f.liars(1, liar)[0]
		calls := f.callOn(f.nodes[1], f.nodes[0])
		f.watch(t.Context())
		overflow := f.nodes[0].Stats().InboxOverflow
		for range fewer(3000) {
			m.Say(nodeAddr(0), packed(intruder.Ping(1), 800)...)
			time.Sleep(time.Millisecond)
		}
		calls.stop(t)
		t.Logf("%d calls, the longest %v; %d messages overflowed", calls.made, calls.longest,
			f.nodes[0].Stats().InboxOverflow-overflow)
		require.Empty(t, f.believed())
		require.True(t, f.allMet())
		require.Less(t, calls.longest, 100*time.Millisecond)
	})
}

// numbered are so many names of functions, in their order.
func numbered(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("f%05d", i))
	}
	return names
}

// [TAB-9] Where one finds no room the largest gives way, if it is larger: members with as many functions as there may
// be, who were there first, keep no newcomer's functions out.
func TestLargeTablesKeepNoSmallOneOut(t *testing.T) {
	if race.Enabled {
		t.Skip("the room is taken or it is not")
	}
	t.Parallel()
	besiege(t, 1, func(t *testing.T, f *field) {
		node := f.start(0)
		table := intruder.Table(numbered(10_000)...)
		for k := range 21 {
			f.member(k, node, func(i *intruder.Intruder) { i.Table = table })
		}
		f.untilEach(100*time.Millisecond, 30*time.Second, "all room is taken",
			func() bool { return providersOf(node, "f00000") == 20 })
		newcomer := f.start(1, 0)
		f.untilEach(100*time.Millisecond, 5*time.Second, "the newcomer's function is known", f.allMet)
		time.Sleep(3 * time.Minute) // the large ones are looked at again meanwhile
		f.call(node, newcomer)
		require.Equal(t, 19, providersOf(node, "f00000"), "one gave way, and not all")
	})
}
