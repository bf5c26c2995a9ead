package dashboard

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"broach"
)

// What an update of 1,000 members with 10 functions each takes, without what the node itself does.
func BenchmarkAThousandMembers(b *testing.B) {
	now, self := time.Now(), netip.MustParseAddrPort("10.0.0.1:7000")
	p := &poller{mayCall: func(string) bool { return true }, cluster: newCluster(self), sections: map[string]*section{},
		viewers: map[*viewer]bool{{sections: []string{"sum", "history", "nodes", "functions"}}: true}}
	var members []broach.Member
	var stats broach.Stats
	for i := range 1000 {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i%250 + 1)}), 7000)
		members = append(members, broach.Member{Addr: addr, Name: fmt.Sprint("app", i%12), Version: "1.2.3"})
		stats.Peers = append(stats.Peers, broach.PeerStats{Addr: addr})
	}
	learn := func(now time.Time, x broach.Member, n uint64) {
		v := broach.View{GoVersion: "go1.26", HeapBytes: n << 20}
		for f := range 10 {
			v.Stats.Called = append(v.Stats.Called, counted(fmt.Sprint("f", f), n, 3))
			v.Stats.Served = append(v.Stats.Served, counted(fmt.Sprint("f", f), n, 3))
		}
		p.cluster.learn(now, x.Addr, &v, false)
	}
	p.cluster.learnOwn(now, members, nil, &stats)
	for _, m := range members {
		learn(now, m, 1)
		learn(now.Add(time.Second), m, 2)
	}
	for i := 0; b.Loop(); i++ { // as in 2 s: 40 answers, then all rows
		now = now.Add(2 * time.Second)
		for k := range 40 {
			p.cluster.next(now, 2*time.Second, nil, false)
			learn(now, members[(40*i+k)%len(members)], uint64(i))
		}
		p.cluster.learnOwn(now, members, nil, &stats)
		p.cluster.remember(now)
		p.renew()
	}
}

// What "who sees whom" of 1,000 members takes in 2 s, with the rows that each view has: 40 answers of what a member
// believes of all, then all rows.
func BenchmarkWhoSeesWhom(b *testing.B) {
	now, self := time.Now(), netip.MustParseAddrPort("10.0.0.1:7000")
	p := &poller{cluster: newCluster(self), sections: map[string]*section{},
		viewers: map[*viewer]bool{{sections: []string{"sum", "nodes", "odd", "beliefs:app"}}: true}}
	var members []broach.Member
	var v broach.View
	for i := range 1000 {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i%250 + 1)}), 7000)
		m := broach.Member{Addr: addr, Name: fmt.Sprint("app", i%12), RTT: 90 * time.Microsecond}
		members = append(members, m)
		v.Members = append(v.Members, broach.MemberView{Member: m})
	}
	learn := func(now time.Time, x broach.Member, n uint64) {
		v.Stats.Called, v.Stats.Served = nil, nil
		for f := range 10 {
			v.Stats.Called = append(v.Stats.Called, counted(fmt.Sprint("f", f), n, 3))
			v.Stats.Served = append(v.Stats.Served, counted(fmt.Sprint("f", f), n, 3))
		}
		p.cluster.learn(now, x.Addr, &v, true)
	}
	p.cluster.learnOwn(now, members, nil, &broach.Stats{})
	for _, m := range members {
		learn(now, m, 1)
		learn(now.Add(time.Second), m, 2)
	}
	for i := 0; b.Loop(); i++ {
		now = now.Add(2 * time.Second)
		for k := range 40 {
			p.cluster.next(now, 2*time.Second, nil, true)
			learn(now, members[(40*i+k)%len(members)], uint64(i))
		}
		p.cluster.learnOwn(now, members, nil, &broach.Stats{})
		p.renew()
	}
}
