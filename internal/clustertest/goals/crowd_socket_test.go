package goals

import (
	"flag"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

var (
	crowdNodes = flag.Int("crowd", 100, "how many nodes TestACrowdOfNodesComesTogether starts at once")
	crowdProcs = flag.Int("crowdprocs", 1, "on how many processors")
	crowdKeys  = flag.Bool("crowdkeys", false, "with keys")
	crowdQuiet = flag.Duration("crowdquiet", 0, "how long they are left in quiet, to see what a node takes then")
)

// [MEM-31] Nodes that are started at once come together on fewer processors than they would need, and do so again when
// all are started anew at once: in real time, over real sockets. Other packages are tested meanwhile, so there are no
// more than a part of a processor carries. More of them, with nothing beside:
//
//	go test ./internal/clustertest/goals -run TestACrowdOfNodes -crowd 1000 -crowdprocs 2 -timeout 20m -v
//
// With -crowdquiet 20s it says what each of them takes in quiet: docs/operations.md has that.
func TestACrowdOfNodesComesTogether(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector takes the processors")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(*crowdProcs)) // no parallel test runs meanwhile
	cfg := broach.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if *crowdKeys {
		cfg.Keys = [][]byte{clustertest.KeyOf(1)}
	}
	first, err := broach.Start(cfg)
	require.NoError(t, err)
	cfg.Join = []string{first.Addr().String()}
	nodes := []*broach.Node{first}
	for range *crowdNodes - 1 {
		n, err := broach.Start(cfg)
		require.NoError(t, err)
		nodes = append(nodes, n)
	}
	awaitCrowd(t, nodes)
	if *crowdQuiet > 0 {
		logQuiet(t, nodes)
	}
	addrs := closeCrowd(t, nodes)
	for i, addr := range addrs {
		cfg.Addr = addr.String()
		nodes[i], err = broach.Start(cfg)
		require.NoError(t, err)
	}
	awaitCrowd(t, nodes)
	closeCrowd(t, nodes)
}

// awaitCrowd waits until each has all others, with their tables. It goes on with the node that had not: to ask all of
// them again and again takes the processor that they need.
func awaitCrowd(t *testing.T, nodes []*broach.Node) {
	start, left := time.Now(), nodes
	require.Eventually(t, func() bool {
		for len(left) > 0 && hasAll(left[0], len(nodes)) {
			left = left[1:]
		}
		return len(left) == 0
	}, 3*time.Minute, 50*time.Millisecond)
	for _, n := range nodes {
		require.True(t, hasAll(n, len(nodes)), "one that had all others has lost some")
	}
	t.Logf("%d nodes on %d processors are together after %.1f s", len(nodes), runtime.GOMAXPROCS(0),
		time.Since(start).Seconds())
}

// logQuiet tells what a node takes of its machine in quiet, on the average. The first seconds still have what came of
// the start.
func logQuiet(t *testing.T, nodes []*broach.Node) {
	time.Sleep(10 * time.Second)
	began, used, before := time.Now(), processorTime(t, nodes[0]), sumOf(nodes)
	time.Sleep(*crowdQuiet)
	seconds, used, after := time.Since(began).Seconds(), processorTime(t, nodes[0])-used, sumOf(nodes)
	runtime.GC()
	runtime.GC() // what lies in pools goes at the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	each := func(before, after uint64) float64 { return float64(after-before) / seconds / float64(len(nodes)) }
	t.Logf("a node of %d in quiet: %.1f datagrams and %.0f bytes a second out, as many in; %.3f %% of a processor;"+
		" %d KiB of heap, %d KiB of stacks", len(nodes), each(before.DatagramsOut, after.DatagramsOut),
		each(before.BytesOut+ipAndUDP*before.DatagramsOut, after.BytesOut+ipAndUDP*after.DatagramsOut),
		100*used.Seconds()/seconds/float64(len(nodes)), m.HeapAlloc>>10/uint64(len(nodes)),
		m.StackInuse>>10/uint64(len(nodes)))
}

// processorTime is that of this process since its begin, in which all of them are.
func processorTime(t *testing.T, n *broach.Node) time.Duration {
	v, err := n.Inspect(t.Context(), n.Addr(), broach.ViewSettings)
	require.NoError(t, err)
	return v.CPU
}

// sumOf adds up what they have sent.
func sumOf(nodes []*broach.Node) (sum broach.Stats) {
	for _, n := range nodes {
		s := n.Stats()
		sum.DatagramsOut += s.DatagramsOut
		sum.BytesOut += s.BytesOut
	}
	return sum
}

// hasAll reports that a node knows all others of a crowd, with their tables.
func hasAll(n *broach.Node, crowd int) bool {
	return clustertest.Count(n, broach.Alive) == crowd-1 && !slices.ContainsFunc(n.Stats().Peers, hasNoTable)
}

// hasNoTable reports that a peer lives whose functions are not known yet.
func hasNoTable(p broach.PeerStats) bool { return p.State == broach.Alive && p.TableVersion == 0 }

// closeCrowd ends them all at once and returns where they were.
func closeCrowd(t *testing.T, nodes []*broach.Node) (addrs []netip.AddrPort) {
	var wg sync.WaitGroup
	for _, n := range nodes {
		addrs = append(addrs, n.Addr())
		wg.Go(func() { _ = n.Close() })
	}
	wg.Wait()
	return addrs
}
