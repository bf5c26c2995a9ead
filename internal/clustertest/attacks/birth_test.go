package attacks

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/intruder"

	"github.com/stretchr/testify/require"
)

// [HDR-2] An Open of another cluster MUST be dropped.
func TestOpensOfOtherClustersAreDropped(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		provider, _ := f.pair()
		before := provider.Stats().OtherCluster
		p := intruder.NewProcess(badAddr(0), "other", f.key, 1)
		_, ok := f.ask(provider, intruder.Open{Key: f.key, Process: *p, Number: 1, Token: p.Token()})
		require.False(t, ok)
		require.Equal(t, before+1, provider.Stats().OtherCluster)
	})
}

// [LNK-5] B believes A at the Confirm
//
// [SEAL-2] Nothing in a datagram has an effect before its proof was found to fit, or its messages were opened.
func TestWhoAsksIsBelievedAtTheConfirm(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		provider, _ := f.pair()
		p := intruder.NewProcess(badAddr(0), "default", f.key, 1)
		isMember := func() bool {
			_, ok := memberOf(provider, p.Addr)
			return ok
		}
		h, ok := f.ask(provider, intruder.Open{Key: f.key, Process: *p, Number: 1, Token: p.Token()})
		require.True(t, ok)
		time.Sleep(time.Second)
		require.False(t, isMember(), "it has only asked")
		l := p.Began(h.open, h.offer)
		hello := intruder.Announce(intruder.Hello{Inc: 1, Addr: p.Addr, Name: "x", Table: intruder.Table()})
		if f.key != nil {
			b := l.Next(hello)
			b[len(b)-1] ^= 1
			f.throw(p.Addr, provider, b)
			time.Sleep(100 * time.Millisecond)
			require.False(t, isMember(), "nothing was opened")
		}
		f.throw(p.Addr, provider, l.Next(hello))
		time.Sleep(100 * time.Millisecond)
		require.True(t, isMember())
	})
}

// asked has a member name a process without a socket to a node, and returns the node's Open to it.
func (f *field) asked(n *broach.Node, m *intruder.Intruder, p *intruder.Process) intruder.Open {
	f.t.Helper()
	m.Say(n.Addr(), intruder.List(0, 0, 1, intruder.Entry{Addr: p.Addr, Boot: p.Boot()}))
	time.Sleep(200 * time.Millisecond)
	list := slices.DeleteFunc(intruder.OfForm(f.tape.All(), intruder.FormOpen),
		func(d intruder.Datagram) bool { return d.To != p.Addr })
	require.NotEmpty(f.t, list)
	o, _ := intruder.ParseOpen(list[len(list)-1].Bytes)
	return o
}

// confirmsTo are the Confirms that went to an address.
func (f *field) confirmsTo(addr netip.AddrPort) []intruder.Datagram {
	return slices.DeleteFunc(intruder.OfForm(f.tape.All(), intruder.FormConfirm),
		func(d intruder.Datagram) bool { return d.To != addr })
}

// [LNK-2] An Offer counts if its address B is the one contacted, its public key is not A's own, its rank is not 0, and
// its proof fits.
func TestOffersThatDoNotCount(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		provider, caller := f.pair()
		m := f.member(0, provider)
		for k, edit := range []func(o *intruder.Offer){
			func(o *intruder.Offer) { o.Addr = strangerAt }, func(o *intruder.Offer) { o.Addr = caller.Addr() },
			func(o *intruder.Offer) { o.Public = f.publicOf(provider.Addr()) },
			func(o *intruder.Offer) { o.Rank = 0 }, func(o *intruder.Offer) { o.Token = 0 },
			func(o *intruder.Offer) { o.Asker++ }, func(o *intruder.Offer) { o.Key = clusterKey(99) },
		} {
			p := intruder.NewProcess(badAddr(100+k), "default", f.key, uint64(k))
			open := f.asked(provider, m, p)
			o := intruder.Offer{Key: f.key, Rank: 1, Asker: open.Token, Token: 7, Public: p.Public, Addr: p.Addr,
				Observed: provider.Addr()}
			edit(&o)
			f.throw(p.Addr, provider, o.Bytes())
			time.Sleep(100 * time.Millisecond)
			require.Empty(t, f.confirmsTo(p.Addr), "case %d", k)
		}
		f.call(caller, provider)
	})
}

// [LNK-4] What A says in Confirms goes again at the pace of [MEM-3], for 6 s; then A closes the link.
// [LNK-5] A believes B, and so has it as a peer, at the first datagram accepted on the link
func TestWhoIsAskedIsBelievedWhenItIsHeard(t *testing.T) {
	for _, late := range []bool{false, true} {
		besiege(t, 1, func(t *testing.T, f *field) {
			provider, _ := f.pair()
			m := f.member(0, provider)
			p := intruder.NewProcess(badAddr(100), "default", f.key, 100)
			open := f.asked(provider, m, p)
			o := intruder.Offer{Key: f.key, Rank: 1, Asker: open.Token, Token: 7, Public: p.Public, Addr: p.Addr,
				Observed: provider.Addr()}
			f.throw(p.Addr, provider, o.Bytes())
			time.Sleep(time.Second)
			confirms := f.confirmsTo(p.Addr)
			require.Greater(t, len(confirms), 3, "it repeats what it has to say")
			_, ok := memberOf(provider, p.Addr)
			require.False(t, ok, "nothing has come from there")
			l := p.Answered(open, o)
			_, ok = l.Read(confirms[0].Bytes)
			require.True(t, ok)
			if late {
				time.Sleep(10 * time.Second)
				all := f.confirmsTo(p.Addr)
				require.Less(t, all[len(all)-1].At.Sub(all[0].At), 6*time.Second)
			}
			f.throw(p.Addr, provider,
				l.Next(intruder.Announce(intruder.Hello{Inc: 1, Addr: p.Addr, Name: "x", Table: intruder.Table()})))
			time.Sleep(100 * time.Millisecond)
			_, ok = memberOf(provider, p.Addr)
			require.Equal(t, !late, ok)
		})
	}
}

// [LNK-14] A process makes at most 2,000 links a second that peers and seeds began and 2,000 that others did, one per
// address and 250 ms
func TestLinksOfStrangersAreLimited(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		provider, caller := f.pair()
		const many = 2800
		var people []*intruder.Process
		opens := map[uint64]intruder.Open{}
		for n := range uint64(many) {
			p := intruder.NewProcess(ghostAddr(int(n)), "default", f.key, n)
			o := intruder.Open{Key: f.key, Process: *p, Number: n, Token: n + 1}
			people, opens[o.Token] = append(people, p), o
			f.throw(p.Addr, provider, o.Bytes())
			if n%50 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		time.Sleep(10 * time.Millisecond)
		var links []*intruder.Link
		for _, d := range intruder.OfForm(f.tape.Cut(), intruder.FormOffer) {
			if o, ok := intruder.ParseOffer(d.Bytes); ok && opens[o.Asker].Token != 0 {
				links = append(links, people[o.Asker-1].Began(opens[o.Asker], o))
			}
		}
		t.Logf("%d Offers", len(links))
		require.Greater(t, len(links), 2500)
		time.Sleep(time.Second) // a second of its own
		f.net.Tap(nil)
		began := time.Now()
		for time.Since(began) < 900*time.Millisecond {
			for i, l := range links {
				f.throw(l.Peer, provider, l.Next(intruder.Ping(1)))
				if i%50 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		}
		time.Sleep(10 * time.Millisecond)
		members := len(provider.Members()) - 2
		t.Logf("%d members within a second", members)
		require.LessOrEqual(t, members, 2*2000, "the second may have begun before")
		require.LessOrEqual(t, members, 2000+200)
		f.net.Tap(f.tape.Record)
		f.call(caller, provider)
	})
}

// A long List is not sent again to the same peer at once, however often it asks: it gets about ten messages of it a
// second.
func TestTheWholeListIsNotSentAtEveryAsking(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		f.startAll(20)
		var lists atomic.Int64
		m := f.member(0, f.nodes[0], func(i *intruder.Intruder) {
			i.Hear = func(_ *intruder.Link, m intruder.Message) ([]intruder.Message, bool) {
				if m.Kind == intruder.KindList {
					lists.Add(1)
				}
				return nil, false
			}
		})
		time.Sleep(5 * time.Second)
		before := lists.Load()
		for n := range uint64(500) {
			m.Say(nodeAddr(0), intruder.Join(n+1), intruder.Join(n+1000))
			time.Sleep(10 * time.Millisecond)
		}
		got := lists.Load() - before
		t.Log(fmt.Sprint(got, " lists for 1,000 Joins in 5 s"))
		require.LessOrEqual(t, got, int64(170)) // one in 30 ms
		require.GreaterOrEqual(t, got, int64(4))
	})
}
