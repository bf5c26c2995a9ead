package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broach"
)

// golden compares a text with a file in testdata/golden. UPDATE_GOLDEN=1 writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func at(last byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, last}), 18080)
}

func believed(last byte, state broach.State, change func(*broach.MemberView)) broach.MemberView {
	m := broach.MemberView{Member: broach.Member{Addr: at(last), Name: "shop", State: state,
		RTT: 150 * time.Microsecond}}
	if change != nil {
		change(&m)
	}
	return m
}

// troubled is a cluster in which 1 and 3 suspect 2, which hears 1; 4 does not answer; 5 has left, and all know.
func troubled() *matrix {
	self := func(m *broach.MemberView) { m.Self = true }
	lossy := func(m *broach.MemberView) { m.Peer.Loss = 0.12 }
	cut := func(m *broach.MemberView) { m.Unreachable = true }
	one := broach.View{Addr: at(1), Name: "shop", Version: "1", Library: "broach v1", Members: []broach.MemberView{
		believed(1, broach.Alive, self), believed(2, broach.Suspect, nil), believed(3, broach.Alive, lossy),
		believed(4, broach.Alive, nil), believed(5, broach.Left, nil),
	}}
	two := broach.View{Addr: at(2), Name: "shop", Version: "2", Library: "broach v1", Members: []broach.MemberView{
		believed(1, broach.Alive, nil), believed(2, broach.Alive, self), believed(3, broach.Alive, cut),
		believed(4, broach.Alive, nil),
	}, Stats: broach.Stats{Unopened: 7}}
	three := broach.View{Addr: at(3), Name: "shop", Version: "1", Library: "broach v1", Members: []broach.MemberView{
		believed(1, broach.Alive, nil), believed(2, broach.Suspect, nil), believed(3, broach.Alive, self),
		believed(5, broach.Left, nil),
	}}
	return newMatrix(one, []answer{
		{at(1), one, nil}, {at(2), two, nil}, {at(3), three, nil},
		{at(4), broach.View{}, errors.New("no \x1b[31m reply")},
	})
}

func TestWhoSaysDisagreementsFirst(t *testing.T) {
	golden(t, "who-120", troubled().text(120, false))
	golden(t, "who-60", troubled().text(60, false))
	golden(t, "who-20", troubled().text(20, false))
}

func TestWhoAgree(t *testing.T) {
	one := broach.View{Members: []broach.MemberView{believed(1, broach.Alive, nil), believed(2, broach.Left, nil)}}
	m := newMatrix(one, []answer{{at(1), one, nil}})
	require.Empty(t, m.troubles(), "one that has left is no trouble where nobody believes it to be there")
}

// Who is offline for all is no disagreement. It is said all the same: it may be half of a network that is cut.
func TestWhoNamesThoseWhoAreOfflineForAll(t *testing.T) {
	one := broach.View{Addr: at(1), Members: []broach.MemberView{
		believed(1, broach.Alive, func(m *broach.MemberView) { m.Self = true }),
		believed(2, broach.Offline, nil), believed(3, broach.Left, nil),
	}}
	m := newMatrix(one, []answer{{at(1), one, nil}})
	require.Empty(t, m.troubles())
	require.Equal(t, []netip.AddrPort{at(2)}, m.offline)
	text, _, _ := strings.Cut(m.text(80, false), "\n\n")
	require.Equal(t, "the only member is well\noffline for all of them: 10.0.0.2:18080 (shop)", text)
	d := &doctor{}
	d.lookAtBeliefs(m)
	require.Equal(t, finding{"members", findWarn, "offline for all of them: 10.0.0.2:18080 (shop)",
		"they have died, or the network is cut: then ask a member there, from its side"}, d.findings[1])
	for last := byte(10); last < 20; last++ {
		one.Members = append(one.Members, believed(last, broach.Offline, nil))
	}
	m = newMatrix(one, []answer{{at(1), one, nil}})
	require.Len(t, m.offline, 11)
	require.True(t, strings.HasSuffix(m.away(), ", 10.0.0.16:18080 (shop), 3 more"), m.away())
}

// busy is what two members count in a second, with names that would act on a terminal.
func busy() *load {
	l := &load{at: time.Now(), said: map[string]*nodeLoad{}}
	for last := byte(1); last <= 2; last++ {
		before := broach.View{Addr: at(last), Name: "商店", Uptime: time.Minute, CPU: time.Second,
			HeapBytes: 30 << 20}
		after := before
		after.Uptime, after.CPU = 61*time.Second, 1250*time.Millisecond
		after.Stats = broach.Stats{Running: 3, Queued: int(last)}
		for i, name := range []string{"work01", "查找", "evil\u009b31m", ""} {
			f := broach.FunctionStats{Name: name, Calls: uint64(100 * i * int(last)), Running: i}
			f.Latency.Counts[i], f.Latency.Counts[20] = f.Calls, uint64(i)
			if i == 2 {
				f.Errors = map[broach.Code]uint64{broach.Application: 5}
			}
			after.Stats.Served = append(after.Stats.Served, f)
		}
		first := since(nil, before, l.at)
		l.said[at(last).String()] = since(first, after, l.at.Add(time.Second))
	}
	return l
}

func TestTopDrawsWhatFits(t *testing.T) {
	l := busy()
	golden(t, "top-80", l.picture(80, 24))
	golden(t, "top-120", l.picture(120, 24))
	l.sortBy, l.isReversed, l.silent = 4, true, 1
	golden(t, "top-40-low", l.picture(40, 9))
}

func TestTopBeginsAnewWithAMember(t *testing.T) {
	before := &nodeLoad{at: time.Now(), view: broach.View{Uptime: time.Hour, CPU: time.Hour}}
	n := since(before, broach.View{Uptime: time.Second}, time.Now())
	require.Zero(t, n.over, "it was started anew: what it counts cannot be compared")
}

func TestQuantilesAreBoundsOfClasses(t *testing.T) {
	h := broach.Histogram{}
	require.Zero(t, quantile(h, 0.5))
	h.Counts[2], h.Counts[4] = 99, 1
	require.Equal(t, 250*time.Microsecond, quantile(h, 0.5))
	require.Equal(t, 250*time.Microsecond, quantile(h, 0.99))
	h.Counts[20] = 50
	require.Equal(t, ">10s", within(quantile(h, 0.99)))
}

func TestDoctorFindsWhatDiffersUnderOneName(t *testing.T) {
	d := &doctor{}
	d.lookAtServices([]broach.Service{
		{Name: "a", Signature: "a() int"}, {Name: "a", Signature: "a() string"},
		{Name: "GET /x/{id}", Signature: "x"}, {Name: "GET /x/{name}", Signature: "y"},
		{Name: "POST /x/{id}", Signature: "z"},
	})
	require.Equal(t, []finding{
		{"functions", findWarn, "a has several signatures: a() int; a() string",
			"fine while a version replaces another"},
		{"functions", findFail, "two functions for one route: GET /x/{id}, GET /x/{name}",
			"a gateway answers neither: rename one"},
	}, d.findings)
}

func TestDoctorLooksAtCounts(t *testing.T) {
	d := &doctor{}
	d.lookAtMember(broach.View{Addr: at(1), Stats: broach.Stats{Joined: true}})
	d.lookAtMember(broach.View{Addr: at(2), Stats: broach.Stats{Isolated: true, Panics: 2, Queued: 5, Running: 1}})
	d.lookAtAddresses([]answer{{addr: at(1)}, {addr: netip.MustParseAddrPort("127.0.0.1:1")}})
	golden(t, "doctor", d.text(false))
}

// With keys a path begins with 1216 bytes, which are no larger packets.
func TestDoctorLooksAtPaths(t *testing.T) {
	to := func(last byte, size int) broach.MemberView {
		m := believed(last, broach.Alive, nil)
		m.Peer.PacketSize = size
		return m
	}
	said := func(members ...broach.MemberView) string {
		d := &doctor{}
		d.lookAtPaths([]answer{{addr: at(1), view: broach.View{Members: members}}})
		return d.text(false)
	}
	require.Contains(t, said(to(2, 1200), to(3, 1216)), "no path has carried enough yet")
	require.Contains(t, said(to(2, 1216), to(3, 1488)), "up to 1488 bytes; larger than the first 1200 on 1 of 2 ways")
}

// A member that goes takes its functions along, as in Node.Watch.
func TestWatchTellsChanges(t *testing.T) {
	var out strings.Builder
	a := &app{out: &out, output: "jsonl"}
	look := func(v broach.View, known map[string]string) map[string]string {
		return a.tellChanges(known, stateOf(v))
	}
	both := []netip.AddrPort{at(1), at(2)}
	v := broach.View{
		Members:  []broach.MemberView{believed(1, broach.Alive, nil), believed(2, broach.Alive, nil)},
		Services: []broach.Service{{Name: "f", Providers: both}, {Name: "g", Providers: both}},
	}
	known := look(v, nil)
	require.Equal(t, 6, strings.Count(out.String(), "\n"))

	out.Reset()
	v.Members[1].State = broach.Offline
	v.Services = []broach.Service{{Name: "f", Providers: both[:1]}}
	known = look(v, known)
	require.Equal(t, 2, strings.Count(out.String(), "\n"), out.String())
	require.Contains(t, out.String(), `"event":"member-offline","addr":"10.0.0.2:18080"`)
	require.Contains(t, out.String(), `"event":"service-removed","addr":"10.0.0.1:18080","name":"","service":"g"`)

	out.Reset()
	v.Members = v.Members[:1]
	look(v, known)
	require.Equal(t, 1, strings.Count(out.String(), "member-forgotten"), out.String())
}

// Who asked a seed that died goes on with whom that knew.
func TestAnotherMemberStandsInForTheSeed(t *testing.T) {
	one, endOne := startProvider(t)
	two, endTwo := startProvider(t, one)
	defer endTwo()
	a := &app{seeds: []string{one}, timeout: time.Second, log: io.Discard}
	s, err := a.open(t.Context())
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.WaitFor(t.Context(), "work01", 2))
	_, err = s.view(t.Context(), "", broach.ViewMembers)
	require.NoError(t, err)
	endOne()
	v, err := s.view(t.Context(), "", broach.ViewMembers)
	require.NoError(t, err)
	require.Equal(t, two, v.Addr.String())
}

// A member that is asked by 127.0.0.1 may be one of a cluster on many hosts: those are reached as well.
func TestASeedOnThisHostLeadsToOthers(t *testing.T) {
	host := ownAddress(t)
	start := func(cfg broach.Config) *broach.Node {
		cfg.Logger = slog.New(slog.DiscardHandler)
		n, err := broach.Start(cfg)
		require.NoError(t, err)
		t.Cleanup(func() { n.Close() })
		return n
	}
	far := start(broach.Config{Addr: host + ":0"})
	here := start(broach.Config{Addr: "0.0.0.0:0", Join: []string{far.Addr().String()}})
	require.NoError(t, here.WaitJoined(t.Context()))
	require.Equal(t, host, here.Addr().Addr().String())
	a := &app{seeds: []string{fmt.Sprint("127.0.0.1:", here.Addr().Port())}, timeout: 5 * time.Second, log: io.Discard}
	s, err := a.open(t.Context())
	require.NoError(t, err)
	defer s.Close()
	require.Equal(t, here.Addr(), s.seed)
	require.False(t, s.Addr().Addr().IsLoopback(), "from %v no other host is reached", s.Addr())
	_, err = s.Inspect(t.Context(), far.Addr(), broach.ViewMembers)
	require.NoError(t, err)
	member, err := a.join(t.Context(), "to see where")
	require.NoError(t, err)
	defer member.Close()
	require.False(t, member.Addr().Addr().IsLoopback(), "members of other hosts do not reach %v", member.Addr())
}

// ownAddress is one of this host at which others reach it.
func ownAddress(t *testing.T) string {
	addrs, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, a := range addrs {
		if ip, _, err := net.ParseCIDR(a.String()); err == nil && ip.To4() != nil && ip.IsGlobalUnicast() {
			return ip.String()
		}
	}
	t.Skip("this host has no address but loopback")
	return ""
}
