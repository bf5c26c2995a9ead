package broach

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"broach/internal/seal"
	"broach/internal/wire"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// appendable is what every message can do.
type appendable interface{ Append([]byte) []byte }

// strangersMessages are messages of every kind as a stranger would send them to get the longest answers.
func strangersMessages(from netip.AddrPort) []struct {
	name string
	msg  appendable
} {
	hello := wire.Hello{Nonce: 1, Inc: 1, Addr: from, Name: "x"}
	target := wire.Target{Addr: addrOf(1), Boot: 5, Inc: 1}
	return []struct {
		name string
		msg  appendable
	}{
		{"Request", wire.Request{Service: []byte("long"), Args: []byte{0x90}}}, {"Request for the table", wire.Request{Service: []byte(tableService), Args: []byte{0x90}}},
		{"Send", wire.Send{Service: []byte("long"), Args: []byte{0x90}}}, {"Reply", wire.Reply{}}, {"Progress", wire.Progress{}}, {"Poll", wire.Poll{}}, {"Cancel", wire.Cancel{}},
		{"Fragment", wire.Fragment{Transfer: 1, Total: 1 << 20, Size: 256, Data: make([]byte, 256)}}, {"FragmentAck", wire.FragmentAck{Transfer: 1}},
		{"Stop", wire.Stop{Transfer: 1}}, {"Stale", wire.Stale{Boot: 1}}, {"Probe", wire.Probe{ID: 1, Padding: 1000}}, {"ProbeAck", wire.ProbeAck{ID: 1}},
		{"Join", wire.Join{Nonce: 1, Addr: from}}, {"Join without an address", wire.Join{Nonce: 1, Addr: netip.MustParseAddrPort("0.0.0.0:9")}},
		{"List", wire.List{Count: 1, Entries: []wire.Entry{{Addr: from, Boot: 9}}}},
		{"Announce", wire.Announce{Hello: hello}}, {"Welcome", wire.Welcome{Hello: hello}}, {"Ack", wire.Ack{Echo: 1}}, {"Beat", wire.Beat{Seq: 1, Inc: 1}},
		{"Ping", wire.Ping{Nonce: 1}}, {"Pong", wire.Pong{Nonce: 1}}, {"Help", wire.Help{Target: target}}, {"Vouch", wire.Vouch{Target: target}},
		{"Nack", wire.Nack{Target: target}}, {"Suspect", wire.Suspect{Target: target}}, {"Offline", wire.Offline{Target: target}},
		{"Leave", wire.Leave{}}, {"Observed", wire.Observed{Nonce: 1, Addr: from}},
		{"Delta", wire.Delta{Base: 1, Version: 2, Gone: wire.AppendTable(nil, nil), Added: wire.AppendTable(nil, nil)}}, {"Drain", wire.Drain{}},
	}
}

// [MEM-5] What is sent to an address that has not echoed a nonce MUST NOT exceed 3 times the size of the datagram that it answers: measured
// for every kind of message, to a node of a large cluster with a long table. SECURITY.md shows the table.
func TestAmplificationOfEveryKind(t *testing.T) {
	t.Parallel()
	inCluster(t, 1, func(c *cluster) {
		c.startAll(50)
		victim := c.nodes[0]
		for i := range 20 {
			require.NoError(t, victim.Register(fmt.Sprint("long", strings.Repeat("x", 150), i), func() []byte { return make([]byte, 1000) }))
		}
		c.settle(20 * time.Second)
		var mu sync.Mutex
		sent := map[netip.AddrPort]int{}
		c.net.Tap(func(_ time.Time, _, to netip.AddrPort, b []byte) {
			mu.Lock()
			sent[to] += len(b)
			mu.Unlock()
		})
		receivers := []uint64{0, victim.boot, 77} // nobody in particular, the node, another process
		came := map[netip.AddrPort]int{}
		from := func(kind, receiver int) netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 7, byte(kind), byte(receiver)}), 9)
		}
		for r, receiver := range receivers {
			for kind := range strangersMessages(strangerAddr) {
				addr := from(kind, r)
				h := wire.Header{TableVersion: 1, Cluster: victim.cluster, Sender: uint64(1000 + 10*kind + r), Receiver: receiver, Number: 1}
				b := strangersMessages(addr)[kind].msg.Append(wire.AppendHeader(nil, h))
				came[addr] = len(b)
				c.net.Inject(addr, victim.Addr(), b)
			}
		}
		time.Sleep(30 * time.Second) // so that what is repeated counts
		mu.Lock()
		defer mu.Unlock()
		doc, err := os.ReadFile("SECURITY.md")
		require.NoError(t, err)
		for kind, m := range strangersMessages(strangerAddr) {
			most := 0.0
			for r := range receivers {
				most = max(most, float64(sent[from(kind, r)])/float64(came[from(kind, r)]))
			}
			row := fmt.Sprintf("| %s | %.2f |", m.name, most)
			t.Log(row)
			require.LessOrEqual(t, most, 3.0, m.name)
			assert.Contains(t, string(doc), row)
		}
	})
}

// [MEM-5] holds for what is sealed, too: the tag that a question carries buys it no longer answer.
func TestAmplificationOfSealedHellos(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		c.withKeys(keyOf(1))
		asker := c.start(0)
		hello := wire.Announce{Hello: wire.Hello{Nonce: 1, Inc: 1, Addr: strangerAddr}}
		came := wire.HeaderSize + len(hello.Append(nil))
		var mu sync.Mutex
		sent := map[netip.AddrPort]int{}
		c.net.Tap(func(_ time.Time, from, to netip.AddrPort, b []byte) {
			mu.Lock()
			defer mu.Unlock()
			if to == strangerAddr {
				sent[from] += len(b) - seal.Overhead
			}
		})
		for i := range wire.MaxName {
			c.edit = func(cfg *Config) { cfg.Name, cfg.Keys = strings.Repeat("n", i+1), [][]byte{keyOf(1)} }
			c.net.Inject(strangerAddr, c.start(i+1).Addr(), asker.sealOutside(hello.Append(newPacket())))
		}
		time.Sleep(10 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, 3*came, slices.Max(slices.Collect(maps.Values(sent))), "as far as the bound, and no further")
	})
}

// [MEM-28] A node sends at most 4,096 datagrams a second to addresses that have not echoed a nonce, in answer to what came from there
func TestAnswersToStrangersAreLimited(t *testing.T) {
	underAttack(t, func(b *besieged) {
		before := sentTo(b.cluster, strangerAddr)
		for i := range 20_000 {
			h := wire.Header{TableVersion: 1, Cluster: b.provider.cluster, Sender: 1000 + uint64(i)}
			b.net.Inject(strangerAddr, b.provider.Addr(), wire.Ping{Nonce: 1}.Append(wire.AppendHeader(nil, h)))
			if i%500 == 0 {
				time.Sleep(5 * time.Millisecond) // or the inbox is full
			}
		}
		time.Sleep(100 * time.Millisecond)
		require.Equal(t, uint64(answersPerSec), sentTo(b.cluster, strangerAddr)-before)
	})
}
