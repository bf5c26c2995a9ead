package broach

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math/bits"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"broach/internal/race"
	"broach/internal/udp"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// BenchmarkCallLoopback calls add(int, int) of another node over real sockets: both ends share the processors.
func BenchmarkCallLoopback(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) { benchmarkCalls(b, callers) })
	}
}

func benchmarkCalls(b *testing.B, callers int) {
	add := offerLoopback(b, "add", func(x, y int) int { return x + y })
	inParallel(callers, b.N, func() {
		if sum, err := Call[int](context.Background(), add, 1, 2); err != nil || sum != 3 {
			b.Error(sum, err)
		}
	})
}

// BenchmarkEchoLoopback sends bytes to another node over real sockets and back.
func BenchmarkEchoLoopback(b *testing.B) {
	for _, c := range []struct{ size, callers int }{{1 << 10, 64}, {64 << 10, 16}, {1 << 20, 4}} {
		name := fmt.Sprintf("size=%d/callers=%d", c.size, c.callers)
		b.Run(name, func(b *testing.B) { benchmarkEcho(b, c.size, c.callers) })
	}
}

func benchmarkEcho(b *testing.B, size, callers int) {
	echo := offerLoopback(b, "echo", func(p []byte) []byte { return p })
	body := make([]byte, size)
	b.SetBytes(int64(size))
	inParallel(callers, b.N, func() {
		if p, err := Call[[]byte](context.Background(), echo, body); err != nil || len(p) != size {
			b.Error(len(p), err)
		}
	})
}

// offerLoopback returns the caller of a function that another node offers.
func offerLoopback(b *testing.B, name string, fn any) *Caller {
	provider, caller := startLoopback(b), startLoopback(b)
	require.NoError(b, provider.Register(name, fn))
	require.NoError(b, caller.Join(provider.Addr().String()))
	require.NoError(b, caller.WaitFor(b.Context(), name, 1))
	b.ReportAllocs()
	b.ResetTimer()
	return caller.Caller(name)
}

// inParallel does n pieces of work in so many goroutines.
func inParallel(goroutines, n int, work func()) {
	var left atomic.Int64
	left.Store(int64(n))
	ended := make(chan struct{})
	for range goroutines {
		go func() {
			for left.Add(-1) >= 0 {
				work()
			}
			ended <- struct{}{}
		}()
	}
	for range goroutines {
		<-ended
	}
}

func startLoopback(b testing.TB) *Node { return startAs(b, Config{LogLevel: "off"}) }

func startAs(b testing.TB, cfg Config) *Node {
	n, err := Start(cfg)
	require.NoError(b, err)
	b.Cleanup(func() { n.Close() })
	return n
}

// A call allocates nothing, at both ends together, but what belongs to the users: a text or bytes that the function
// gets and that its caller does, a result that `any` boxes, and the context of a function that asks for one.
func TestCallsAllocateNothing(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector makes sync.Pool forget")
	}
	provider, n := startLoopback(t), startLoopback(t)
	for name, fn := range map[string]any{
		"add": func(x, y int) int { return x + y }, "none": func() {},
		"addWithin": func(_ context.Context, x, y int) (int, error) { return x + y, nil },
		"text":      func(s string) string { return s },
		"bytes":     func(b []byte) ([]byte, error) { return b, nil },
		"lent":      func(b Lent) (Lent, error) { return b, nil },
	} {
		require.NoError(t, provider.Register(name, fn))
	}
	require.NoError(t, n.Join(provider.Addr().String()))
	require.NoError(t, n.WaitFor(t.Context(), "text", 1))
	ctx := context.Background()
	ends, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	add, addWithin := bindAdd(n, "add"), bindAdd(n, "addWithin")
	addPlain := Bind[func(x, y int) (int, error)](n, "add")
	text := Bind[func(string) (string, error)](n, "text")
	echo := Bind[func([]byte) ([]byte, error)](n, "bytes")
	adds, texts, echoes, none := n.Caller("add"), n.Caller("text"), n.Caller("bytes"), n.Caller("none")
	lend, lent := Bind[func([]byte) (Lent, error)](n, "lent"), n.Caller("lent")
	kib, large := make([]byte, 1024), make([]byte, 300_000)
	release := func(b Lent, err error) error {
		b.Release()
		return err
	}
	for _, test := range []struct {
		name  string
		users float64
		call  func() error
	}{
		{"Bind", 0, func() error { _, err := add(ctx, 1000, 2000); return err }},
		{"Bind, a context that may end", 0, func() error { _, err := add(ends, 1000, 2000); return err }},
		{"Bind without a context", 0, func() error { _, err := addPlain(1000, 2000); return err }},
		{"Bind, a function with a context", 1, func() error { _, err := addWithin(ctx, 1000, 2000); return err }},
		{"Bind, a text", 2, func() error { _, err := text("a text"); return err }},
		{"Bind, bytes", 2, func() error { _, err := echo(kib[:10]); return err }},
		{"Bind, 1 KiB", 2, func() error { _, err := echo(kib); return err }},
		{"Bind, 1 KiB that is lent", 0, func() error { return release(lend(kib)) }},
		{"Call, 1 KiB that is lent, boxed", 1, func() error { return release(Call[Lent](ctx, lent, kib)) }},
		{"Bind, 300,000 bytes that are lent", 12, func() error { return release(lend(large)) }},
		{"Call", 0, func() error { _, err := Call[int](ctx, adds, 1, 2); return err }},
		{"Call, a text", 2, func() error { _, err := Call[string](ctx, texts, "a text"); return err }},
		{"Call, 1 KiB, boxed", 3, func() error { _, err := Call[[]byte](ctx, echoes, kib); return err }},
		{"Call, no result", 0, func() error { _, err := none.Call(ctx); return err }},
		{"Call, any result", 1, func() error { _, err := adds.Call(ctx, 1, 2); return err }},
	} {
		require.LessOrEqual(t, testing.AllocsPerRun(1000, func() { require.NoError(t, test.call()) }), test.users,
			test.name)
	}
}

func bindAdd(n *Node, name string) func(context.Context, int, int) (int, error) {
	return Bind[func(context.Context, int, int) (int, error)](n, name)
}

// What Interceptors that do nothing add to that, and a Tracer that looks away. Neither boxes what nobody asks for, nor
// makes a timer that nobody waits for.
func TestInterceptorsAndTracersAllocateLittle(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	pass := []Interceptor{
		func(ctx context.Context, call *Invocation, next Handler) (any, error) { return next(ctx, call) },
	}
	for name, test := range map[string]struct {
		caller, provider Config
		ceiling          float64
	}{
		"an Interceptor at the caller":   {Config{CallInterceptors: pass}, Config{}, 6},
		"an Interceptor at the provider": {Config{}, Config{ServeInterceptors: pass}, 5},
		"a Tracer that looks away":       {Config{Tracer: lookAway{}}, Config{Tracer: lookAway{}}, 0},
	} {
		test.caller.LogLevel, test.provider.LogLevel = "off", "off"
		provider, caller := startAs(t, test.provider), startAs(t, test.caller)
		require.NoError(t, provider.Register("add", func(x, y int) int { return x + y }))
		require.NoError(t, caller.Join(provider.Addr().String()))
		require.NoError(t, caller.WaitFor(t.Context(), "add", 1))
		add := Bind[func(context.Context, int, int) (int, error)](caller, "add")
		require.LessOrEqual(t, testing.AllocsPerRun(2000, func() {
			if _, err := add(context.Background(), 1, 2); err != nil {
				t.Error(err)
			}
		}), test.ceiling, name)
	}
}

// lookAway is a Tracer that wants to know nothing.
type lookAway struct{}

func (lookAway) StartCall(ctx context.Context, _ string, _ CallKind) (context.Context, Span) {
	return ctx, nil
}

func (lookAway) StartServe(
	ctx context.Context, _ string, _ CallKind, _ netip.AddrPort, _ map[string]string,
) (context.Context, Span) {
	return ctx, nil
}

// A peer has paused one of its functions, and resumed it: what that costs the routes. BenchmarkDelta is what it costs
// before.
func BenchmarkOneRowChanges(b *testing.B) {
	for _, peers := range []int{1, 20, 200} {
		b.Run(fmt.Sprintf("rows=%d", peers*1000), func(b *testing.B) {
			h := newHall(b, peers, 1000)
			was := h.calling.view.Load()
			h.pause(1000)
			h.publish(h.now)
			is, routes := h.calling.view.Load(), h.calling.view.Load().routes
			b.ReportAllocs()
			for b.Loop() {
				was, is = is, was
				routes = routes.follow(was.peers, is.peers, h.linking.tokens.Link)
			}
		})
	}
}

// 200 peers come one after the other, and each is shown.
func BenchmarkLargeTablesCome(b *testing.B) {
	var tables [200][]byte
	for i := range tables {
		tables[i] = wire.AppendTable(nil, tableOf(i, 1000))
	}
	for b.Loop() {
		h := newHall(b, 0, 0)
		for i, table := range tables {
			h.seat(i, table)
			h.publish(h.now)
		}
	}
}

// BenchmarkRoute finds a function among so many.
func BenchmarkRoute(b *testing.B) {
	for _, peers := range []int{1, 200} {
		b.Run(fmt.Sprintf("rows=%d", peers*1000), func(b *testing.B) {
			h := newHall(b, peers, 1000)
			c := h.Caller("peer0000.function00500")
			b.ReportAllocs()
			for b.Loop() {
				if r, failed := c.route(b.Context(), h.now, h.now); r == nil || failed != nil {
					b.Fatal(failed)
				}
			}
		})
	}
}

// A simulation of a thousand nodes has a million links, and the allocator rounds up: one more field may cost 32 MiB.
func TestALinkIsSmall(t *testing.T) {
	if bits.UintSize != 64 {
		t.Skip("its pointers are smaller here")
	}
	const class = 352 // bytes, one of the allocator's
	require.LessOrEqual(t, unsafe.Sizeof(conn{}), uintptr(class))
}

// A request is what a call costs its provider in memory: one field more may take the next size that the allocator has.
// A third of it is the context of the function.
func TestARequestIsSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(request{}), uintptr(240))
}

// Not at debug nothing of this is said, nor made.
func TestDetailsCostNothingWhereNobodyWantsThem(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		log := new(sharedLog)
		c.edit = func(cfg *Config) { cfg.Logger = loggerTo(log, slog.LevelInfo) }
		require.NoError(t, c.start(0).Register("fails", func() error { return errors.New("no luck") }))
		n := c.start(1, 0)
		require.NoError(t, n.WaitFor(c.t.Context(), "fails", 1))
		_, err := n.Caller("fails").Call(c.t.Context())
		require.Error(t, err)
		time.Sleep(time.Second)
		require.NotContains(t, log.String(), "DEBUG")
		require.False(t, n.log.isDebugging())
		require.Zero(t, testing.AllocsPerRun(100, func() {
			n.log.noteArrival(time.Now(), arrival{})
			n.log.noteSilent(time.Now(), netip.AddrPort{})
		}))
	})
}

// linkFeed is a side and datagrams of a link to it, ready to be read.
type linkFeed struct {
	*linkSide
	datagrams [][]byte
	next      int
	now       time.Time
}

// newLinkFeed makes a link that was busy before, and n datagrams on it.
func newLinkFeed(t testing.TB, keys [][]byte, n int) *linkFeed {
	s := side(t, 2, Config{Keys: keys})
	t.Cleanup(func() { s.serving.pool.Close(time.Hour) })
	a := s.asker(t, 3, keys)
	l := a.Take(s.askAnyway(a))
	f := &linkFeed{linkSide: s, now: time.Now(), datagrams: [][]byte{l.Confirm(nil)}}
	for range n + 2*256 {
		f.datagrams = append(f.datagrams, l.Say(wire.Progress{Slot: 1, Seq: 1}.Append(nil)))
	}
	for range 2 * 256 { // so many numbers make a link remember more of them
		f.read()
	}
	return f
}

// read has the reader handle the next datagram, in a batch of its own.
func (f *linkFeed) read() {
	f.linking.gate.Begin(time.Now())
	f.reader.datagram(f.now, udp.Datagram{Addr: addrOf(3), B: f.datagrams[f.next]})
	f.reader.finish()
	f.next++
}

// Of a link's datagram the reader finds the link, judges the number, opens what is sealed and steps the link, and
// allocates nothing for it.
func TestReadingADatagramOfALinkAllocatesNothing(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	for name, keys := range map[string][][]byte{"without keys": nil, "with keys": {keyOf(1)}} {
		f := newLinkFeed(t, keys, 1100)
		link := f.linking.tokens.All()[0]
		before := link.record.Traffic.Arrived.Load()
		require.Zero(t, testing.AllocsPerRun(1000, f.read), name)
		require.EqualValues(t, 1001, link.record.Traffic.Arrived.Load()-before, name)
	}
}

// What a stranger sends that is none of a link costs no memory either, but for the Offer that answers an Open.
func TestDroppingADatagramAllocatesNothing(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	for name, keys := range map[string][][]byte{"without keys": nil, "with keys": {keyOf(1)}} {
		f := newLinkFeed(t, keys, 1)
		a := f.asker(t, 4, keys)
		l := a.Take(f.askAnyway(a))
		l.Token++
		otherKey := l.Say()
		otherKey[2] ^= 1
		for what, b := range map[string][]byte{
			"a replay": f.datagrams[1], "no token of ours": l.Say(), "junk": make([]byte, 100),
			"no Offer of ours": a.Prove(wire.AppendOffer(nil,
				wire.Offer{KeyID: a.KeyID(), Echo: 5, Addr: a.Addr, Observed: a.Addr})),
			"another key": otherKey,
		} {
			require.Zero(t, testing.AllocsPerRun(200,
				func() { f.reader.datagram(f.now, udp.Datagram{Addr: addrOf(3), B: b}) }), "%s, %s", what, name)
		}
	}
}

func BenchmarkReadDatagramOfALink(b *testing.B) {
	for name, keys := range map[string][][]byte{"open": nil, "sealed": {keyOf(1)}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			const round = 1 << 14
			f := newLinkFeed(b, keys, 0)
			for i := range b.N {
				if i%round == 0 {
					b.StopTimer()
					f = newLinkFeed(b, keys, round)
					b.StartTimer()
				}
				f.read()
			}
		})
	}
}

// BenchmarkStreamLoopback is the rate of items that stream from another node over real sockets.
func BenchmarkStreamLoopback(b *testing.B) {
	for _, size := range []int{16, 1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) { benchmarkStream(b, size) })
	}
}

func benchmarkStream(b *testing.B, size int) {
	rows := offerLoopback(b, "rows", func(_ context.Context, n int) iter.Seq2[[]byte, error] {
		return func(yield func([]byte, error) bool) {
			for row := make([]byte, size); n > 0 && yield(row, nil); n-- {
			}
		}
	})
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	n := 0
	for _, err := range Stream[[]byte](context.Background(), rows, b.N) {
		if n++; err != nil {
			b.Fatal(err)
		}
	}
	require.Equal(b, b.N, n, "not all came")
}
