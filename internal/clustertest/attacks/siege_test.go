package attacks

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/intruder"

	"github.com/stretchr/testify/require"
)

var siegeFor = flag.Duration("siege", 0, "how long to lay each siege, with real time, sockets and processes")

// engines of war are what a process beside the nodes does to one of them, as fast as it can unless it says so. To spin
// is what any busy process does: what it costs the nodes is the measure of all others.
var engines = []struct {
	name string
	run  func(s *siege)
}{
	{"spin", func(s *siege) {
		for !s.isOver() {
		}
	}},
	{"opens", func(s *siege) { s.throwEach(func(n uint64) []byte { return s.stranger(n).Bytes() }) }},
	{"opens in a member's name", func(s *siege) {
		s.throwEach(func(n uint64) []byte {
			o := s.stranger(n)
			o.Addr = s.other
			return o.Bytes()
		})
	}},
	{"confirms", func(s *siege) {
		s.throwEach(func(n uint64) []byte {
			o := s.stranger(n)
			c := intruder.Confirm{Token: rand.Uint64(), Number: 1, Table: 1, Public: o.Public, Addr: o.Addr, Rank: 1,
				Stamp: uint32(n / 100)}
			return append(c.Bytes(), make([]byte, 16)...)
		})
	}},
	{"elsewhere", func(s *siege) { // what so many datagrams cost a machine, whoever gets them
		s.target = s.people[0].Addr
		s.throwEach(func(n uint64) []byte { return s.unknown(n) })
	}},
	{"tokens", func(s *siege) { s.throwEach(func(n uint64) []byte { return s.unknown(n) }) }},
	{"tables", func(s *siege) { s.tables() }},
	{"pings", func(s *siege) { s.pings() }},
}

// siege is one process's part.
type siege struct {
	target, other netip.AddrPort
	key           []byte
	until         time.Time
	conns         []*net.UDPConn
	people        []*intruder.Process
}

func (s *siege) isOver() bool { return time.Now().After(s.until) }

// TestSiegeEngine is run by TestSiege, in processes of their own.
func TestSiegeEngine(t *testing.T) {
	order := strings.Split(os.Getenv("BROACH_SIEGE"), "|")
	if len(order) != 5 {
		t.Skip("is for TestSiege")
	}
	length, err := time.ParseDuration(order[4])
	require.NoError(t, err)
	s := &siege{target: netip.MustParseAddrPort(order[1]), other: netip.MustParseAddrPort(order[2]),
		until: time.Now().Add(length)}
	if order[3] == "keys" {
		s.key = clusterKey(0)
	}
	for i := range 200 {
		conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
		require.NoError(t, err)
		defer conn.Close()
		s.conns = append(s.conns, conn)
		s.people = append(s.people, intruder.NewProcess(conn.LocalAddr().(*net.UDPAddr).AddrPort(), "default", s.key,
			rand.Uint64()+uint64(i)))
	}
	for _, e := range engines {
		if e.name == order[0] {
			e.run(s)
		}
	}
}

// stranger is an Open of one of many.
func (s *siege) stranger(n uint64) intruder.Open {
	return intruder.Open{Key: s.key, Process: *s.people[n%uint64(len(s.people))], Number: n, Token: n + 1}
}

func (s *siege) unknown(n uint64) []byte {
	l := intruder.Forged(s.stranger(n), intruder.Offer{Token: rand.Uint64()}, 'b', nil, nil)
	b := l.At(n, intruder.Ping(n), intruder.Ping(n))
	if s.key != nil {
		b[2] = intruder.KeyID(s.key)
	}
	return b
}

// throwEach sends what is made, from many sockets, up to 155,000 a second.
func (s *siege) throwEach(make func(n uint64) []byte) {
	began := time.Now()
	for n := uint64(0); !s.isOver(); n++ {
		s.conns[n%uint64(len(s.conns))].WriteToUDPAddrPort(make(n), s.target)
		if n%155 == 0 {
			time.Sleep(time.Until(began.Add(time.Duration(n/155) * time.Millisecond)))
		}
	}
}

// members makes members of the first k sockets.
func (s *siege) members(k int, table []byte) (list []*intruder.Intruder) {
	for i := range k {
		m := intruder.Start(s.conns[i], s.people[i], func(m *intruder.Intruder) { m.Table = table })
		if _, ok := m.Link(s.target); ok {
			list = append(list, m)
		}
	}
	return list
}

// tables are those of 200 members with 1,200 functions each, whose versions rise by 7.6 KB a second of 40 bytes each,
// as long as the siege lasts.
func (s *siege) tables() {
	var names []string
	for i := range 1200 {
		names = append(names, fmt.Sprintf("f%05d", i))
	}
	members := s.members(200, intruder.Table(names...))
	for version := uint32(2); !s.isOver(); version++ {
		m := members[int(version)%len(members)]
		m.Write(s.target, func(l *intruder.Link) []byte {
			l.Table = version
			return l.Next(intruder.Ping(1))
		})
		time.Sleep(5 * time.Millisecond)
	}
}

// pings are 800 in each datagram of one member, 1,000 datagrams a second.
func (s *siege) pings() {
	for _, m := range s.members(1, intruder.Table()) {
		for began, n := time.Now(), 0; !s.isOver(); n++ {
			m.Say(s.target, packed(intruder.Ping(1), 800)...)
			time.Sleep(time.Until(began.Add(time.Duration(n) * time.Millisecond)))
		}
	}
}

// Under each siege no honest call fails, nobody is called offline, and what 99 of 100 calls take is at most twice what
// it is beside a process that only spins:
//
//	go test ./internal/clustertest/attacks -run 'TestSiege$' -siege 10s -v
func TestSiege(t *testing.T) {
	if *siegeFor == 0 {
		t.Skip("run with -siege")
	}
	for _, keys := range []string{"none", "keys"} {
		for _, e := range engines[1:] {
			quiet, _ := laySiege(t, "spin", keys) // right before, since the machine is not always the same
			times, failed := laySiege(t, e.name, keys)
			beside, p99 := quiet[len(quiet)*99/100], times[len(times)*99/100]
			t.Logf("%-4s %-25s %7d calls, %d failed, median %7v, p99 %7v; spinning %7d, %7v, %7v", keys, e.name,
				len(times), failed,
				times[len(times)/2], p99, len(quiet), quiet[len(quiet)/2], beside)
			if failed > 0 || p99 > 2*beside {
				t.Errorf("%s: %d calls failed, p99 is %v and beside one that spins %v", e.name, failed, p99, beside)
			}
		}
	}
}

// laySiege has a process do one thing to a provider whose caller goes on calling.
func laySiege(t *testing.T, engine, keys string) (times []time.Duration, failed int) {
	cfg := broach.Config{LogLevel: "off"}
	if keys == "keys" {
		cfg.Keys = [][]byte{clusterKey(0)}
	}
	provider, err := broach.Start(cfg)
	require.NoError(t, err)
	defer provider.Close()
	caller, err := broach.Start(cfg)
	require.NoError(t, err)
	defer caller.Close()
	require.NoError(t, provider.Register("add", func(x, y int) int { return x + y }))
	require.NoError(t, caller.Join(provider.Addr().String()))
	require.NoError(t, caller.WaitFor(t.Context(), "add", 1))
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestSiegeEngine$")
	child.Env = append(os.Environ(), fmt.Sprintf("BROACH_SIEGE=%s|%v|%v|%s|%v", engine, provider.Addr(), caller.Addr(),
		keys,
		*siegeFor))
	require.NoError(t, child.Start())
	times, failed = callWhile(caller, *siegeFor)
	require.NoError(t, child.Wait())
	for _, n := range []*broach.Node{provider, caller} {
		for _, other := range []*broach.Node{provider, caller} {
			m, _ := memberOf(n, other.Addr())
			require.Equal(t, broach.Alive, m.State, engine)
		}
	}
	s := provider.Stats()
	t.Logf("     %d datagrams in, %d members, %d strangers, %d unopened, inbox over %d", s.DatagramsIn,
		len(provider.Members()),
		s.Strangers, s.Unopened, s.InboxOverflow)
	return times, failed
}

// callWhile calls, eight at a time, for a while; the times are sorted.
func callWhile(caller *broach.Node, length time.Duration) (times []time.Duration, failed int) {
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for add := caller.Caller("add"); ctx.Err() == nil; {
				began := time.Now()
				sum, err := broach.Call[int](context.Background(), add, 1, 2)
				mu.Lock()
				if times = append(times, time.Since(began)); err != nil || sum != 3 {
					failed++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	slices.Sort(times)
	return times, failed
}
