package broach

import (
	"flag"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

var (
	crowdNodes = flag.Int("crowd", 250, "how many nodes TestACrowdOfNodesComesTogether starts at once")
	crowdProcs = flag.Int("crowdprocs", 1, "on how many processors")
	crowdKeys  = flag.Bool("crowdkeys", false, "with keys")
)

// [MEM-31] Nodes that are started at once come together on fewer processors than they would need, and do so again when
// all are started anew at once: in real time, over real sockets. go test -run TestACrowdOfNodes -crowd 1000 -crowdprocs
// 2 -timeout 20m -v . shows how long more of them take.
func TestACrowdOfNodesComesTogether(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector takes the processors")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(*crowdProcs)) // no parallel test runs meanwhile
	cfg := Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if *crowdKeys {
		cfg.Keys = [][]byte{keyOf(1)}
	}
	first, err := Start(cfg)
	require.NoError(t, err)
	cfg.Join = []string{first.Addr().String()}
	nodes := []*Node{first}
	for range *crowdNodes - 1 {
		n, err := Start(cfg)
		require.NoError(t, err)
		nodes = append(nodes, n)
	}
	awaitCrowd(t, nodes)
	addrs := closeCrowd(t, nodes)
	for i, addr := range addrs {
		cfg.Addr = addr.String()
		nodes[i], err = Start(cfg)
		require.NoError(t, err)
	}
	awaitCrowd(t, nodes)
	closeCrowd(t, nodes)
}

// awaitCrowd waits until each has all others, with their tables.
func awaitCrowd(t *testing.T, nodes []*Node) {
	start := time.Now()
	require.Eventually(t, func() bool {
		for _, n := range nodes {
			alive := 0
			for _, p := range n.calling.view.Load().peers {
				if State(p.State) == Alive && p.Tver > 0 {
					alive++
				}
			}
			if alive < len(nodes)-1 {
				return false
			}
		}
		return true
	}, 3*time.Minute, 50*time.Millisecond)
	t.Logf("%d nodes on %d processors are together after %.1f s", len(nodes), runtime.GOMAXPROCS(0), time.Since(start).Seconds())
}

// closeCrowd ends them all at once and returns where they were.
func closeCrowd(t *testing.T, nodes []*Node) (addrs []netip.AddrPort) {
	var wg sync.WaitGroup
	for _, n := range nodes {
		addrs = append(addrs, n.Addr())
		wg.Go(func() { _ = n.Close() })
	}
	wg.Wait()
	return addrs
}
