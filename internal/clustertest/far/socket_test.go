package far

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/pace"

	"github.com/stretchr/testify/require"
)

// A relay is a real socket whose datagrams go out later, in order, and no faster than a bucket lets them.
type relay struct {
	*net.UDPConn
	delay time.Duration
	rate  float64 // bytes a second; 0: no bound
	sent  atomic.Int64
	late  chan lateDatagram // closed never: Close ends the goroutine
	donec chan struct{}     // closed by Close

	mu   sync.Mutex
	free time.Time // of the bucket
}

type lateDatagram struct {
	b  []byte
	to netip.AddrPort
	at time.Time
}

// newRelay opens one, on loopback.
func newRelay(t *testing.T, delay time.Duration, mbit float64) *relay {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	r := &relay{UDPConn: conn, delay: delay, rate: mbit * 1e6 / 8, late: make(chan lateDatagram, 1<<15),
		donec: make(chan struct{})}
	go r.run()
	return r
}

func (r *relay) run() {
	for {
		select {
		case d := <-r.late:
			time.Sleep(time.Until(d.at))
			r.UDPConn.WriteToUDPAddrPort(d.b, d.to)
		case <-r.donec:
			return
		}
	}
}

func (r *relay) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	r.sent.Add(1)
	select {
	case r.late <- lateDatagram{append([]byte(nil), b...), to, r.leaves(len(b)).Add(r.delay)}:
	default: // the queue is full: lost
	}
	return len(b), nil
}

// leaves is when the bucket, of 16 KiB, lets so many bytes go.
func (r *relay) leaves(bytes int) time.Time {
	now := time.Now()
	if r.rate == 0 {
		return now
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	cost := func(bytes int) time.Duration { return time.Duration(float64(bytes) / r.rate * float64(time.Second)) }
	r.free = pace.Later(r.free, now.Add(-cost(farBurst))).Add(cost(bytes))
	return pace.Later(r.free, now)
}

func (r *relay) Close() error {
	close(r.donec)
	return r.UDPConn.Close()
}

// relayed are two nodes with a relay each. Only the way from the caller has a bucket.
func relayed(t *testing.T, delay time.Duration, mbit float64) (caller *broach.Node, way *relay) {
	way = newRelay(t, delay, mbit)
	provider, err := broach.Start(broach.Config{Conn: newRelay(t, delay, 0), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { provider.Close() })
	require.NoError(t, provider.Register("one", func() int { return 1 }))
	require.NoError(t, provider.Register("sink", func(b []byte) int { return len(b) }))
	caller, err = broach.Start(broach.Config{Conn: way, Join: []string{provider.Addr().String()},
		Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { caller.Close() })
	require.NoError(t, caller.WaitFor(context.Background(), "sink", 1))
	return caller, way
}

// What holds on the simulated network holds on sockets, whose timers are late and whose batches are what the system
// makes of them.
// [CALL-9] A Request of which nothing was heard is sent again [...] after a retransmission time
func TestDistanceOnRealSockets(t *testing.T) {
	caller, _ := relayed(t, 40*ms, 0)
	callOne(t, caller, 10)
	p := caller.Stats().Peers[0]
	require.LessOrEqual(t, p.Retransmits, uint64(1))
	require.GreaterOrEqual(t, p.RTT, 80*ms)
	require.Less(t, p.RTT, 120*ms)

	start := time.Now()
	moveOne(t, caller, 1_000_000, false)
	ideal := farPath{roundTrip: 80 * ms}.ideal(1_000_000)
	t.Logf("1 MB in %v, ideal %v", time.Since(start), ideal)
	require.Less(t, time.Since(start), 3*ideal)
}

// [FRAG-6] What a bucket holds back is a queue, and seen as one.
func TestABucketOnRealSockets(t *testing.T) {
	caller, way := relayed(t, 5*ms, 4)
	start, before := time.Now(), way.sent.Load()
	moveOne(t, caller, 400_000, false)
	ideal := farPath{roundTrip: 10 * ms, mbit: 4}.ideal(400_000)
	t.Logf("400 KB in %v, ideal %v, %d datagrams for %d", time.Since(start), ideal, way.sent.Load()-before,
		needed(400_000))
	require.Less(t, time.Since(start), ideal*3/2)
	require.Less(t, float64(way.sent.Load()-before), 1.3*float64(needed(400_000)))
}

// [FRAG-16] A receiver says in a ProbeAck how many bytes of Fragments it has room for at once: with the buffers that
// Linux gives to those who may not ask for more, many callers lose next to nothing at them.
func TestLittleIsLostAtASmallBuffer(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no other system tells how large a buffer is")
	}
	provider := onSmallBuffer(t, broach.Config{})
	require.NoError(t, provider.Register("echo", func(b []byte) []byte { return b }))
	caller := onSmallBuffer(t, broach.Config{Join: []string{provider.Addr().String()}})
	require.NoError(t, caller.WaitFor(context.Background(), "echo", 1))
	echo := func() {
		_, err := broach.Call[[]byte](context.Background(), caller.Caller("echo", broach.Timeout(time.Minute)),
			clustertest.SomeNoise[:1<<20])
		require.NoError(t, err)
	}
	for range 3 {
		echo() // the path is known, and the room
	}
	here, there := caller.Stats(), provider.Stats()
	atOnce(16, func() {
		for range 4 {
			echo()
		}
	})
	require.NoError(t, provider.Close()) // has read all that came
	hereNow, thereNow := caller.Stats(), provider.Stats()
	sent := hereNow.DatagramsOut - here.DatagramsOut
	came := thereNow.DatagramsIn - there.DatagramsIn
	t.Logf("%d datagrams sent, %d came", sent, came)
	require.LessOrEqual(t, float64(sent), 1.02*float64(came)+10, "without a room it is a twentieth")
}

// onSmallBuffer starts a node on a socket of loopback, with the usual buffers of Linux.
func onSmallBuffer(t *testing.T, cfg broach.Config) *broach.Node {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	require.NoError(t, conn.SetReadBuffer(212_992))
	cfg.Conn, cfg.MaxPacket, cfg.Logger = conn, 21829, slog.New(slog.DiscardHandler)
	n, err := broach.Start(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { n.Close() })
	return n
}
