package goals

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

var (
	soak       = flag.Duration("soak", 0, "how long to run the soak test, with real time and sockets")
	underSiege = flag.Int("strangers", 0,
		"datagrams a second that strangers throw at the nodes of the soak test; they have keys then")
)

// roughConn is a socket that loses a twentieth of what it sends, doubles some, and lets some be overtaken.
type roughConn struct {
	*net.UDPConn
	heard *siege // by strangers
}

func (c roughConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if *underSiege > 0 && rand.N(100) == 0 {
		c.heard.record(b)
	}
	switch x := rand.Float64(); {
	case x < 0.05:
		return len(b), nil
	case x < 0.10:
		late := slices.Clone(b)
		time.AfterFunc(rand.N(2*time.Millisecond), func() { c.UDPConn.WriteToUDPAddrPort(late, to) })
		return len(b), nil
	case x < 0.12:
		c.UDPConn.WriteToUDPAddrPort(b, to)
	}
	return c.UDPConn.WriteToUDPAddrPort(b, to)
}

func startRough(t *testing.T, s *siege) *broach.Node {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	require.NoError(t, err)
	require.NoError(t, conn.SetReadBuffer(4<<20))
	cfg := broach.Config{Conn: roughConn{conn, s}, Logger: slog.New(slog.DiscardHandler)}
	cfg.CallTimeout = 2 * time.Minute // for 8 MiB through the loss, beside all else, on whatever is left of a processor
	if *underSiege > 0 {
		cfg.Keys = [][]byte{clustertest.KeyOf(1)}
	}
	n, err := broach.Start(cfg)
	require.NoError(t, err)
	s.targets = append(s.targets, n)
	t.Cleanup(func() { n.Close() })
	return n
}

// The callers of the soak, and how large a message each sends.
var soakSizes = slices.Concat(slices.Repeat([]int{0}, 64), slices.Repeat([]int{1 << 10}, 16),
	slices.Repeat([]int{64 << 10}, 4), []int{8 << 20})

// Full load for a long time, through loss, duplicates and reordering: no wrong answer, no call that fails, none that
// runs twice, and neither memory nor goroutines grow. With -strangers 5000, through all attacks at once, too.
//
//	go test ./internal/clustertest/goals -run TestSoak -soak 10m -timeout 20m -v
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("run with -soak")
	}
	s := &siege{sealed: *underSiege > 0}
	provider, caller := startRough(t, s), startRough(t, s)
	last := make([]atomic.Int64, len(soakSizes)) // call that ran, by caller
	var twice, calls atomic.Int64
	require.NoError(t, provider.Register("echo", func(who int, m soakMessage) soakMessage {
		if last[who].Swap(m.Call) >= m.Call {
			twice.Add(1) // callers make one call after the other, so their numbers only rise
		}
		return m
	}))
	require.NoError(t, caller.Join(provider.Addr().String()))
	require.NoError(t, caller.WaitFor(t.Context(), "echo", 1))

	ctx, cancel := context.WithTimeout(t.Context(), *soak)
	defer cancel()
	var wg sync.WaitGroup
	if *underSiege > 0 {
		wg.Go(func() { s.lay(t, ctx, *underSiege) })
	}
	for who, size := range soakSizes {
		wg.Go(func() { soakCaller(t, ctx, caller, who, size, &calls) })
	}
	memory, goroutines := watchSoak(t, ctx, &calls)
	wg.Wait()
	require.Zero(t, twice.Load(), "calls that ran twice")
	t.Logf("%d datagrams thrown by strangers", s.thrown.Load())
	require.Less(t, slices.Max(memory[len(memory)/2:]), 2*slices.Max(memory[:len(memory)/2]), "the memory grows")
	require.Less(t, slices.Max(goroutines[len(goroutines)/2:]), 2*slices.Max(goroutines[:len(goroutines)/2]),
		"goroutines grow")
}

type soakMessage struct {
	Call int64
	Body []byte
}

// soakCaller calls until the end, and checks every answer.
func soakCaller(t *testing.T, ctx context.Context, n *broach.Node, who, size int, calls *atomic.Int64) {
	echo, body := n.Caller("echo"), make([]byte, size)
	for call := int64(1); ctx.Err() == nil; call++ {
		if size > 0 {
			body[rand.N(size)]++
		}
		got, err := broach.Call[soakMessage](context.Background(), echo, who, soakMessage{call, body})
		if err != nil || got.Call != call || !bytes.Equal(got.Body, body) {
			t.Errorf("caller %d, call %d: call %d, %d bytes, %v", who, call, got.Call, len(got.Body), err)
			return
		}
		calls.Add(1)
	}
}

// watchSoak prints and returns what is used, at twenty moments.
func watchSoak(t *testing.T, ctx context.Context, calls *atomic.Int64) (memory []uint64, goroutines []int) {
	ticker := time.NewTicker(*soak / 20)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			memory, goroutines = append(memory, m.HeapAlloc), append(goroutines, runtime.NumGoroutine())
			fmt.Printf("%9d calls, %4d MiB, %4d goroutines\n", calls.Load(), m.HeapAlloc>>20, runtime.NumGoroutine())
		case <-ctx.Done():
			return memory, goroutines
		}
	}
}
