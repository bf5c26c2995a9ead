package goals

import (
	"context"
	"flag"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/udp"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// siegeBatch is how many datagrams an attacker sends at once.
const siegeBatch = 64

var floodFor = flag.Duration("flood", 0, "how long to run the flood test, with real time and sockets")

// siege is what strangers throw at nodes over real sockets: all that the attack tests know, at once and without end.
type siege struct {
	targets []*broach.Node
	sealed  bool // they have keys
	mu      sync.Mutex
	seen    [][]byte // datagrams of honest nodes, to be thrown again
	thrown  atomic.Int64
}

// record keeps a datagram of an honest node, in place of one of 4,096 others.
func (s *siege) record(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) < 4096 {
		s.seen = append(s.seen, slices.Clone(b))
	} else if i := rand.N(len(s.seen)); len(b) <= cap(s.seen[i]) {
		s.seen[i] = append(s.seen[i][:0], b...)
	}
}

// replayed is a copy of some recorded datagram.
func (s *siege) replayed() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) == 0 {
		return nil
	}
	return slices.Clone(s.seen[rand.N(len(s.seen))])
}

// blind weapons make a datagram each, of what anybody knows who hears nothing: the cluster's name at most, and the
// nodes' addresses.
func (s *siege) blind() []func() []byte {
	return []func() []byte{
		func() []byte { return clustertest.Rubbish(rand.N(1500)) },
		func() []byte { return s.open(strangerAt(rand.N(1 << 16))) },
		func() []byte { return s.open(s.some().Addr()) },
		func() []byte {
			return wire.AppendOffer(nil, wire.Offer{KeyID: someKeyID(), Rank: 1, Echo: rand.Uint64() | 1, Token: 1,
				Addr: s.some().Addr(), Observed: s.some().Addr()})
		},
		func() []byte { return append(s.confirm(rand.Uint64()|1), randomMessages()...) },
		func() []byte { return append(s.header(rand.Uint64()|1, rand.Uint64()), randomMessages()...) },
	}
}

// seeing weapons are those of who hears all that is said. Without keys he can do as he likes.
func (s *siege) seeing() []func() []byte {
	return []func() []byte{
		s.replayed,
		func() []byte { return flipped(s.replayed()) },
		func() []byte { b := s.replayed(); return b[:rand.N(len(b)+1)] },
		func() []byte { // the header of an honest datagram and other content
			b := s.replayed()
			return append(b[:min(len(b), wire.HeaderSize)], randomMessages()...)
		},
		func() []byte { return append(s.header(s.token(), rand.Uint64()), randomMessages()...) }, // a number far ahead
		func() []byte { return append(s.confirm(s.token()), randomMessages()...) },
	}
}

func (s *siege) some() *broach.Node { return s.targets[rand.N(len(s.targets))] }

// token is one of a link that there is, or was.
func (s *siege) token() uint64 {
	h, _, err := wire.ConsumeHeader(s.replayed())
	if err != nil || h.Token == 0 {
		return 1
	}
	return h.Token
}

// someKeyID is none, one that may be right, or a wrong one.
func someKeyID() byte { return []byte{0, clustertest.KeyIDOf(clustertest.KeyOf(1)), 3}[rand.N(3)] }

func (s *siege) open(named netip.AddrPort) []byte {
	m := wire.Open{KeyID: someKeyID(), Rank: rand.Uint32(), Number: rand.Uint64(), Token: rand.Uint64() | 1,
		Addr: named}
	m.Cluster = wire.ClusterID("default")
	copy(m.Key[:], clustertest.Rubbish(len(m.Key)))
	return wire.AppendOpen(nil, m)
}

func (s *siege) confirm(token uint64) []byte {
	m := wire.Confirm{Echo: rand.Uint64() | 1, Addr: s.some().Addr(), Rank: 1, Stamp: rand.Uint32()}
	m.Header = wire.Header{KeyID: someKeyID(), TableVersion: rand.Uint32(), Token: token, Number: rand.Uint64()}
	copy(m.Key[:], clustertest.Rubbish(len(m.Key)))
	return wire.AppendConfirm(nil, m)
}

func (s *siege) header(token, number uint64) []byte {
	return wire.AppendHeader(nil, wire.Header{KeyID: someKeyID(), TableVersion: rand.Uint32(), Token: token,
		Number: number})
}

// flipped is b with a bit changed.
func flipped(b []byte) []byte {
	if len(b) > 0 {
		b[rand.N(len(b))] ^= 1 << rand.N(8)
	}
	return b
}

// randomMessages have right frames and wrong bodies.
func randomMessages() (b []byte) {
	for range 1 + rand.N(4) {
		body := clustertest.Rubbish(rand.N(200))
		b = append(b, byte(rand.N(50)), 0, byte(len(body)))
		b = append(b, body...)
	}
	return b
}

// lay throws about so many datagrams a second, from several sockets, until ctx ends.
func (s *siege) lay(t *testing.T, ctx context.Context, perSecond int) {
	var outs []udp.Transport
	for range 8 {
		conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
		require.NoError(t, err)
		outs = append(outs, udp.Over(conn))
	}
	weapons, batch := s.blind(), make([]udp.Datagram, 0, siegeBatch)
	if s.sealed {
		weapons = append(weapons, s.seeing()...)
	}
	for start, n := time.Now(), 0; ctx.Err() == nil; n += siegeBatch {
		batch = batch[:0]
		for range siegeBatch {
			if b := weapons[rand.N(len(weapons))](); b != nil {
				batch = append(batch, udp.Datagram{Addr: s.some().Addr(), B: b})
			}
		}
		sent, _ := outs[rand.N(len(outs))].Send(batch)
		s.thrown.Add(int64(sent))
		time.Sleep(time.Until(start.Add(time.Duration(n) * time.Second / time.Duration(perSecond))))
	}
	for _, o := range outs {
		o.Close()
	}
}

// Honest calls through a flood of 100,000 garbage datagrams a second, or as many as the processors give beside the
// calls; and without. What is measured is printed:
//
//	go test ./internal/clustertest/goals -run TestFlood -flood 10s -v
func TestFlood(t *testing.T) {
	if *floodFor == 0 {
		t.Skip("run with -flood")
	}
	for _, keys := range [][][]byte{nil, {clustertest.KeyOf(1)}} {
		provider, caller := startWith(t, keys), startWith(t, keys)
		require.NoError(t, provider.Register("add", func(x, y int) int { return x + y }))
		require.NoError(t, caller.Join(provider.Addr().String()))
		require.NoError(t, caller.WaitFor(t.Context(), "add", 1))
		for _, rate := range []int{0, 100_000} {
			s := &siege{targets: []*broach.Node{provider, caller}, sealed: keys != nil}
			ctx, cancel := context.WithTimeout(t.Context(), *floodFor)
			var laid sync.WaitGroup
			if rate > 0 {
				laid.Go(func() { s.lay(t, ctx, rate) })
			}
			times, failed := callThrough(ctx, caller)
			laid.Wait()
			cancel()
			slices.Sort(times)
			t.Logf("sealed: %t; thrown: %6.0f a second; %d calls, %d failed, median %v, p99 %v", keys != nil,
				float64(s.thrown.Load())/floodFor.Seconds(), len(times)+failed, failed, times[len(times)/2],
				times[len(times)*99/100])
			require.Less(t, failed, 1+len(times)/100)
			for _, n := range []*broach.Node{provider, caller} {
				require.Len(t, n.Members(), 2)
				for _, m := range n.Members() {
					require.Equal(t, broach.Alive, m.State)
				}
			}
		}
	}
}

// callThrough calls, eight at a time, until ctx ends.
func callThrough(ctx context.Context, caller *broach.Node) (times []time.Duration, failed int) {
	add := caller.Caller("add")
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for ctx.Err() == nil {
				begin := time.Now()
				sum, err := broach.Call[int](context.Background(), add, 1, 2)
				took := time.Since(begin)
				mu.Lock()
				if err != nil || sum != 3 {
					failed++
				} else {
					times = append(times, took)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return times, failed
}

// startWith starts a node with keys on a free loopback port.
func startWith(t *testing.T, keys [][]byte) *broach.Node {
	n, err := broach.Start(broach.Config{Keys: keys, LogLevel: "off"})
	require.NoError(t, err)
	t.Cleanup(func() { n.Close() })
	return n
}

// strangerAt is the i-th of many addresses.
func strangerAt(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 5, byte(i >> 8), byte(i)}), 9)
}
