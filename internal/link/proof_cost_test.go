package link

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/race"
	"broach/internal/simnet"
	"broach/internal/udp"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// onNet is a transport that sends on a simulated network.
type onNet struct {
	udp.Transport
	conn *simnet.Conn
}

func (n onNet) Send(out []udp.Datagram) (int, error) {
	for _, d := range out {
		if _, err := n.conn.WriteToUDPAddrPort(d.B, d.Addr); err != nil {
			return 0, err
		}
	}
	return len(out), nil
}

// live has an end go on by itself on a network, until stop is closed.
func (e *end) live(net *simnet.Network, stop <-chan struct{}, all *sync.WaitGroup) {
	conn, err := net.Listen(e.addr)
	require.NoError(e.t, err)
	e.wires.Transport = onNet{e.tape, conn}
	all.Go(func() { e.wires.Timers.loopOf(stop) })
	all.Go(func() {
		<-stop
		conn.Close()
	})
	all.Go(func() {
		for b := make([]byte, 64<<10); ; {
			n, _, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			e.datagram(append([]byte(nil), b[:n]...))
			e.finish()
		}
	})
}

// knows lets an end know the round trip, with or without proofs.
func (e *end) knows(roundTrip time.Duration, proofs bool) {
	const never = -1 << 50 // so far below what is to be proven that a link asks for nothing and withholds nothing
	e.link.mu.Lock()
	defer e.link.mu.Unlock()
	e.link.talk(time.Now())
	e.link.exchange.rtt.sample(time.Now(), roundTrip)
	if !proofs {
		e.link.proof.unproven = never
	}
}

// transferTwice sends a large message on a way, and after a pause another. It returns how long both took, and how many
// Probes went.
func transferTwice(t *testing.T, seed uint64, way simnet.Link, size int, proofs bool) (took time.Duration, probes int) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newEnd(t, 1, bounds{}), newEnd(t, 2, bounds{})
		a.meet(b)
		b.offer("size", func(b []byte) int { return len(b) })
		a.knows(2*way.Delay, proofs)
		b.knows(2*way.Delay, proofs)
		net, stop, all := simnet.New(seed), make(chan struct{}), new(sync.WaitGroup)
		net.SetDefault(way)
		net.Tap(func(_ time.Time, from, _ netip.AddrPort, b []byte) {
			if from == a.addr {
				for _, kind := range kindsOfAll([][]byte{b}) {
					if kind == wire.KindProbe {
						probes++
					}
				}
			}
		})
		a.live(net, stop, all)
		b.live(net, stop, all)
		for range 2 {
			start := time.Now()
			call := a.call(time.Hour, "size", make([]byte, size))
			<-call.Done
			took += time.Since(start)
			require.Zero(t, call.Code)
			a.wires.FreeCall(call.Call)
			time.Sleep(5 * time.Second)
		}
		close(stop)
		all.Wait()
		net.Close()
	})
	return took, probes
}

// [LNK-11] who has sent 64 KiB on a link that the peer has not proven to get sends it a Probe [...]. That slows no
// transfer, however long the way is and whatever is lost on it.
func TestProofsSlowNoTransfer(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		way  simnet.Link
		size int
		runs uint64
		most float64 // times as long as without
	}{
		{simnet.Link{Delay: ms / 2}, 16 << 20, 1, 1.001},
		{simnet.Link{Delay: 25 * ms}, 60 << 20, 1, 1.001},
		{simnet.Link{Delay: 150 * ms}, 16 << 20, 1, 1.001},
		{simnet.Link{Delay: ms / 2, Loss: 0.05}, 2 << 20, 40, 1.20},
		{simnet.Link{Delay: 25 * ms, Loss: 0.05}, 2 << 20, 40, 1.10},
		{simnet.Link{Delay: 150 * ms, Loss: 0.05}, 2 << 20, 40, 1.10},
	} {
		if race.Sampled && test.runs > 1 {
			continue
		}
		t.Run(fmt.Sprint(2*test.way.Delay, " loss ", test.way.Loss), func(t *testing.T) {
			t.Parallel()
			var with, without time.Duration
			var probes, others int
			for seed := range test.runs {
				took, n := transferTwice(t, seed+1, test.way, test.size, true)
				tookWithout, nWithout := transferTwice(t, seed+1, test.way, test.size, false)
				with, without, probes, others = with+took, without+tookWithout, probes+n, others+nWithout
			}
			t.Logf("%v, without %v; %d probes, without %d", with, without, probes, others)
			require.LessOrEqual(t, float64(with), test.most*float64(without))
			// with headers, and what is sent again
			bytes := float64(test.runs) * 2 * float64(test.size) * 1.1 * (1 + 3*test.way.Loss)
			require.Less(t, float64(probes-others), bytes/proveAfter)
			require.Greater(t, probes, others)
		})
	}
}
