package dashboard

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broach"
)

func counted(name string, calls uint64, class int) broach.FunctionStats {
	f := broach.FunctionStats{Name: name, Calls: calls}
	f.Latency.Counts[class] = calls
	return f
}

func TestRatesAreThoseOfAWindow(t *testing.T) {
	now := time.Now()
	var w window
	for i := range uint64(30) {
		s := sample{at: now.Add(time.Duration(i) * time.Second), cpu: time.Duration(i)}
		s.called = []broach.FunctionStats{counted("f", 100*i, 3)}
		w.add(s)
		require.LessOrEqual(t, w.seconds(), 10.0)
	}
	require.GreaterOrEqual(t, w.seconds(), 5.0)
	each(w.base.called, w.last.called, w.seconds(), func(name string, p *pace) {
		require.Equal(t, "f", name)
		require.InDelta(t, 100, p.calls, 0.001)
		require.InDelta(t, 375, p.percentile(0.5), 0.001, "in the middle of 250 to 500 µs")
	})
	w.add(sample{at: now.Add(time.Minute)}) // another process, at the same address
	require.Zero(t, w.seconds())
}

func TestRoundLeavesTwoDigits(t *testing.T) {
	for x, want := range map[float64]float64{0: 0, 1234: 1200, 99.6: 100, 0.12345: 0.12, 7.77: 7.8, 1e9 + 1: 1e9} {
		require.Equal(t, fmt.Sprint(want), fmt.Sprint(round(x)))
	}
}

// "at most 256 functions of a member, 256 bytes of a text": whatever it says of itself.
func TestWhatAMemberSaysIsBounded(t *testing.T) {
	c := newCluster(netip.MustParseAddrPort("10.0.0.1:7000"))
	bad := netip.MustParseAddrPort("10.0.0.2:7000")
	now := time.Now()
	c.learnOwn(now, []broach.Member{{Addr: bad}}, nil, &broach.Stats{})
	v := broach.View{GoVersion: strings.Repeat("\xff", 1<<20), Members: make([]broach.MemberView, 5000)}
	for i := range v.Members {
		v.Members[i].Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 1)
	}
	for i := range 10_000 {
		v.Stats.Called = append(v.Stats.Called, counted(fmt.Sprint(i, strings.Repeat("x", 10_000)), uint64(i), 0))
	}
	c.learn(now, bad, &v, true)
	x := c.instances[bad]
	require.LessOrEqual(t, len([]rune(x.goVersion)), textMost)
	require.Equal(t, []belief{{}}, x.beliefs, "nothing of members that this node does not know")
	require.Len(t, x.window.last.called, namesMost)
	for _, f := range x.window.last.called {
		require.LessOrEqual(t, len(f.Name), textMost)
		require.GreaterOrEqual(t, f.Calls, uint64(10_000-namesMost), "those called most")
	}
}

// 4,096 members that each name themselves otherwise, and call each other, make no millions of pairs.
func TestManyNamesMakeFewGroups(t *testing.T) {
	c := newCluster(netip.MustParseAddrPort("10.0.0.1:7000"))
	now := time.Now()
	var members []broach.Member
	for i := range 4096 {
		id := fmt.Sprint(i)
		members = append(members, broach.Member{Name: "app" + id, Tags: map[string]string{"id": id},
			Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 1)})
	}
	c.learnOwn(now, members, nil, &broach.Stats{})
	for i := range uint64(2) {
		for k := range members[:400] {
			f := []broach.FunctionStats{counted("f", 10*i, 0)}
			c.learn(now.Add(time.Duration(i)*time.Second), members[k].Addr,
				&broach.View{Stats: broach.Stats{Called: f, Served: f}}, false)
		}
	}
	p := &poller{cluster: c}
	for section, most := range map[string]int{"beliefs": 0, "beliefs:app": singleMost, "beliefs:tag:id": singleMost,
		"edges": 0, "apps": singleMost * singleMost} {
		require.LessOrEqual(t, len(p.rows(section)), most, section)
	}
	require.Contains(t, p.rows("beliefs:app"), others)
}

// A member that has the place of one that is gone is a stranger to all: what they believed was of the other.
func TestNobodyInheritsBeliefs(t *testing.T) {
	now := time.Now()
	addrs := []netip.AddrPort{mustParse("10.0.0.1:1"), mustParse("10.0.0.2:1"), mustParse("10.0.0.3:1")}
	member := func(i int, s broach.State) broach.Member { return broach.Member{Addr: addrs[i], State: s} }
	c := newCluster(addrs[0])
	c.learnOwn(now, []broach.Member{member(0, broach.Alive), member(1, broach.Alive)}, nil, &broach.Stats{})
	say := func(about ...broach.Member) {
		v := broach.View{}
		for _, m := range about {
			v.Members = append(v.Members, broach.MemberView{Member: m})
		}
		c.learn(now, addrs[0], &v, true)
	}
	say(member(1, broach.Suspect))
	require.Equal(t, map[string]cell{addrs[1].String(): {float64(suspect), 0, 0}}, c.beliefRows()[addrs[0].String()])

	c.learnOwn(now, []broach.Member{member(0, broach.Alive)}, nil, &broach.Stats{})
	require.Empty(t, c.beliefRows()[addrs[0].String()])
	c.learnOwn(now, []broach.Member{member(0, broach.Alive), member(2, broach.Alive)}, nil, &broach.Stats{})
	require.Empty(t, c.beliefRows()[addrs[0].String()])
	require.Empty(t, c.oddRows())
	require.Equal(t, rows{"": &groupRow{2, map[string]cell{}}}, c.groupRows("app"))
	say(member(2, broach.Alive))
	require.Equal(t, map[string]cell{addrs[2].String(): {float64(alive), 0, 0}}, c.beliefRows()[addrs[0].String()])
	require.Len(t, c.places, 2)
}

// More functions than are shown: the page says how many are missing.
func TestManyFunctions(t *testing.T) {
	c := newCluster(netip.MustParseAddrPort("10.0.0.1:7000"))
	var services []broach.Service
	for i := range functionsMost + 7 {
		services = append(services, broach.Service{Name: fmt.Sprintf("f%06d", i)})
	}
	c.learnOwn(time.Now(), nil, services, &broach.Stats{})
	require.Len(t, c.functionRows(func(string) bool { return false }), functionsMost)
	require.Equal(t, 7, c.sum()[""].(sumRow).Hidden)
}

// Calls of one function are shared out among its providers as these served them.
func TestWhoCallsWhom(t *testing.T) {
	now := time.Now()
	c := newCluster(netip.MustParseAddrPort("10.0.0.1:7000"))
	var members []broach.Member
	for i, name := range []string{"web", "shop", "shop"} {
		members = append(members, broach.Member{Name: name,
			Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 7000)})
	}
	c.learnOwn(now, members, nil, &broach.Stats{})
	for i := range uint64(2) {
		at := now.Add(time.Duration(i) * time.Second)
		c.learn(at, members[0].Addr, &broach.View{Stats: broach.Stats{
			Called: []broach.FunctionStats{counted("price", 100*i, 0)}}}, false)
		c.learn(at, members[1].Addr, &broach.View{Stats: broach.Stats{
			Served: []broach.FunctionStats{counted("price", 75*i, 0)}}}, false)
		c.learn(at, members[2].Addr, &broach.View{Stats: broach.Stats{
			Served: []broach.FunctionStats{counted("price", 25*i, 0)}}}, false)
	}
	require.Equal(t, rows{"web\x00shop": edgeRow{100, 0, []string{"price"}}}, c.edgeRows(nameOf))
	require.Equal(t, rows{
		"10.0.0.1:7000\x0010.0.0.2:7000": edgeRow{75, 0, []string{"price"}},
		"10.0.0.1:7000\x0010.0.0.3:7000": edgeRow{25, 0, []string{"price"}},
	}, c.edgeRows(addrOf))
}

func TestOnlyWhatChangesTravels(t *testing.T) {
	var s section
	s.update(rows{"a": 1, "b": 2})
	require.JSONEq(t, `{"set":{"a":1,"b":2}}`, string(s.news))
	s.update(rows{"a": 1, "b": 2})
	require.Nil(t, s.news)
	require.Nil(t, message(map[string]*section{"x": &s}, []string{"x"}, false))
	s.update(rows{"a": 1, "c": 3})
	require.JSONEq(t, `{"set":{"c":3},"del":["b"]}`, string(s.news))
	require.JSONEq(t, `{"x":{"set":{"a":1,"c":3},"full":true}}`,
		string(message(map[string]*section{"x": &s}, []string{"x", "none"}, true)))
	require.True(t, json.Valid(message(map[string]*section{"x\"": &s}, []string{"x\""}, true)))
}
