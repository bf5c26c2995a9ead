package link

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/buffer"
	"broach/internal/handshake"
	"broach/internal/udp"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// wireTap is a transport that keeps what is sent.
type wireTap struct {
	udp.Transport
	sent [][]byte
}

func (w *wireTap) Send(out []udp.Datagram) (int, error) {
	for _, d := range out {
		w.sent = append(w.sent, append([]byte(nil), d.B...))
	}
	return len(out), nil
}

// kinds lists the messages sent since it was last called, by datagram.
func (w *wireTap) kinds(t *testing.T) [][]wire.Kind {
	var all [][]wire.Kind
	for _, d := range w.sent {
		_, rest, err := wire.ConsumeHeader(d)
		require.NoError(t, err)
		var kinds []wire.Kind
		for len(rest) > 0 {
			kind, _, after, err := wire.ConsumeMessage(rest)
			require.NoError(t, err)
			kinds, rest = append(kinds, kind), after
		}
		all = append(all, kinds)
	}
	w.sent = nil
	return all
}

// onLink runs a test on a link to a peer of which only the wire exists.
func onLink(t *testing.T, test func(l *Link, w *wireTap)) {
	synctest.Test(t, func(t *testing.T) {
		w := &wireTap{}
		c := &Carrier{
			Transport: w, Process: handshake.NewProcess(make([]byte, handshake.RandomSize), false, time.Now()),
			MaxPacket: 1400, MaxMessage: 1 << 20, Peers: 4096, Silence: 3 * time.Second,
			memory: &buffer.Budget{Size: 8 << 20}, moving: new(buffer.Budget), stored: new(buffer.Budget),
			Nonce: rand.Uint32, Resized: func(time.Time, netip.AddrPort, int) {},
		}
		c.Timers.init(time.Now())
		time.Sleep(time.Second)
		test(someLink(c, wire.PublicKey{2}), w)
	})
}

// someLink is a link that the process with a public key has begun.
func someLink(c *Carrier, key wire.PublicKey) *Link {
	return linkFrom(c, key, netip.MustParseAddrPort("10.0.0.1:1"))
}

// linkFrom is one of a process at an address.
func linkFrom(c *Carrier, key wire.PublicKey, addr netip.AddrPort) *Link {
	l := new(Link)
	err := l.Init(time.Now(), c, &handshake.Terms{
		Rank: 1, Stamp: c.Process.Stamp(time.Now()), TokenA: 0xa, KeyA: key, AddrA: addr, TokenB: rand.Uint64() | 1,
		KeyB: c.Process.Key,
	}, false, new(Traffic), 1)
	if err != nil {
		panic("the link could not be made")
	}
	return l
}

// makeCall sends a call without arguments.
func makeCall(l *Link, deadline time.Duration) *Call {
	now, p, frame := time.Now(), l.carrier.NewCall(), buffer.New()
	frame.B = wire.SetLength(append(wire.Request{Service: []byte("f"),
		Remaining: Remaining(now, now.Add(deadline))}.Append(frame.B), 0x90))
	if _, _, err := l.Send(now, now.Add(deadline), frame, p); err != nil {
		panic(err)
	}
	return p
}

// [HDR-5] The numbers of a link begin at 1 and rise by one with each datagram of a direction.
func TestNumbersOfALinkBeginAtOne(t *testing.T) {
	onLink(t, func(l *Link, w *wireTap) {
		for range 100 {
			makeCall(l, time.Minute)
		}
		for i, d := range w.sent {
			h, _, err := wire.ConsumeHeader(d)
			require.NoError(t, err)
			require.EqualValues(t, i+1, h.Number)
			require.EqualValues(t, 0xa, h.Token, "the token of who receives")
		}
	})
}

// A link on which no calls have passed says of them that there are none. TestMain sees that nobody has changed what it
// shares with all such links.
func TestALinkWithoutCallsHasNoneOfTheirState(t *testing.T) {
	onLink(t, func(l *Link, w *wireTap) {
		l.Queue(wire.Beat{})
		l.FlushQueue()
		require.Len(t, w.sent, 1)
		require.Equal(t, Snapshot{PacketSize: BasePacket + l.carrier.Overhead()}, l.Snapshot())
		require.False(t, l.timeout(time.Now()), "no call is unanswered")
		require.False(t, l.IsBusy(time.Now()))
		require.True(t, l.IsQuiet(l.LastHeard().Add(drainFor)))
		l.Fail(Outcome{Code: wire.Unreachable})
		l.Close(Outcome{Code: wire.Unreachable})
		require.Equal(t, Snapshot{PacketSize: BasePacket + l.carrier.Overhead()}, l.Snapshot(), "nor when it is closed")
		require.Nil(t, l.exchange)
	})
}

// [SEC-4] A link that is closed numbers nothing any more: its number and key could have been used already.
func TestAClosedLinkSendsNothing(t *testing.T) {
	onLink(t, func(l *Link, w *wireTap) {
		l.Close(Outcome{Code: wire.Unreachable})
		l.Queue(wire.Leave{})
		l.FlushQueue()
		require.Empty(t, w.sent)
	})
}

// [CALL-9] A Request of which nothing was heard is sent again, with its remaining time recomputed, after a
// retransmission time: [...] Before the first measurement [...] at least 50 ms. Each further sending comes after twice
// the wait of the one before, up to 250 ms [...]. The wait is jittered by up to a quarter.
func TestUnansweredRequestIsSentAgain(t *testing.T) {
	onLink(t, func(l *Link, w *wireTap) {
		start := time.Now()
		makeCall(l, 2500*time.Millisecond)
		left, at := []uint32{}, []time.Duration{}
		for time.Since(start) < 2400*time.Millisecond {
			for _, d := range w.sent {
				_, body, _, err := wire.ConsumeMessage(d[wire.HeaderSize:])
				require.NoError(t, err)
				m, err := wire.ConsumeRequest(body)
				require.NoError(t, err)
				left, at = append(left, m.Remaining), append(at, time.Since(start))
			}
			w.sent = nil
			time.Sleep(time.Millisecond)
			l.timeout(time.Now())
		}
		requireBackoff(t, initialRTO, at)
		for i := range at {
			require.InDelta(t, 2500-at[i].Milliseconds(), left[i], 2)
		}
	})
}

// requireBackoff holds the times of sendings of one message to [CALL-9].
func requireBackoff(t *testing.T, pace time.Duration, at []time.Duration) {
	t.Helper()
	require.Greater(t, len(at), 4)
	for i := 1; i < len(at); i++ {
		gap := at[i] - at[i-1]
		require.InDelta(t, pace, gap, float64(pace/4+2*time.Millisecond), "sending %d", i)
		pace = min(2*gap, maxPace)
	}
}

// [CALL-10] After Progress the caller MUST NOT send the Request again. 100 ms later it sends Poll, which is repeated as
// in
// [CALL-9] until it is answered; the next Poll follows twice as long after that answer, and so on up to a second
func TestAfterProgressTheCallerAsksInstead(t *testing.T) {
	onLink(t, func(l *Link, w *wireTap) {
		makeCall(l, time.Minute)
		require.Equal(t, [][]wire.Kind{{wire.KindRequest}}, w.kinds(t))
		progress := func() {
			l.heard.Store(l.carrier.Timers.Stamp(time.Now()))
			l.mu.Lock()
			l.exchange.takeProgress(time.Now(), wire.Progress{Slot: 0, Seq: 1})
			l.flush()
		}
		progress()
		for _, pause := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
			progress() // again, which changes nothing
			time.Sleep(pause*time.Millisecond - 1)
			l.timeout(time.Now())
			require.Empty(t, w.kinds(t))
			time.Sleep(time.Nanosecond)
			l.timeout(time.Now())
			require.Equal(t, [][]wire.Kind{{wire.KindPoll}}, w.kinds(t))
			time.Sleep(initialRTO * 3 / 2)
			l.timeout(time.Now())
			require.Equal(t, [][]wire.Kind{{wire.KindPoll, wire.KindProbe}}, w.kinds(t), "it was not answered")
			progress()
		}
	})
}

// [CALL-10] it sends Poll, which is repeated as in [CALL-9] until it is answered
func TestUnansweredPollIsSentAgain(t *testing.T) {
	onLink(t, func(l *Link, w *wireTap) {
		start := time.Now()
		makeCall(l, time.Minute)
		l.mu.Lock()
		l.exchange.takeProgress(start, wire.Progress{Slot: 0, Seq: 1})
		l.flush()
		w.sent = nil
		var at []time.Duration
		for time.Since(start) < 2400*time.Millisecond {
			for range w.kinds(t) {
				at = append(at, time.Since(start))
			}
			time.Sleep(time.Millisecond)
			l.timeout(time.Now())
		}
		require.InDelta(t, 100*time.Millisecond, at[0], float64(2*time.Millisecond))
		requireBackoff(t, l.exchange.rtt.measured()*5/4, at)
	})
}

// endless is a transport during each send of which somebody adds another message.
type endless struct {
	udp.Transport
	l     *Link
	sends int
}

func (e *endless) Send(out []udp.Datagram) (int, error) {
	e.sends++
	e.l.mu.Lock()
	say(e.l.talk(time.Now()), wire.Progress{})
	e.l.flush()
	return len(out), nil
}

// A flusher is not kept for ever by others who add without end: the loop goes on for it.
func TestFlusherHandsOver(t *testing.T) {
	onLink(t, func(l *Link, w *wireTap) {
		e := &endless{l: l}
		l.carrier.Transport = e
		makeCall(l, time.Minute)
		require.Equal(t, flushTurns, e.sends)
		require.EqualValues(t, 1, l.dueAt.Load())

		l.carrier.Transport = w
		l.carrier.Timers.wake.Store(1 << 62)
		next, _ := l.carrier.Timers.Run(time.Now())
		require.Len(t, w.sent, 1)
		require.True(t, next.After(time.Now()))
	})
}

// Config.MaxMessage may be a GiB also where an int has 32 bits, in which the budget of a link has no room.
func TestLinkTakesTheLargestMessage(t *testing.T) {
	onLink(t, func(l *Link, w *wireTap) {
		l.carrier.MaxMessage, l.carrier.memory = 1<<30, &buffer.Budget{Size: reassemblyNode << 30}
		l.talk(time.Now())
		require.True(t, l.exchange.receiving.Held.Fits(reassemblyPeer*(1<<30+envelope)))
		for _, beyond := range []uint32{0, 1} {
			f := wire.Fragment{Transfer: 1 + beyond, Total: 1<<30 + envelope + beyond, Size: 1000,
				Data: make([]byte, 1000)}
			_, code := l.exchange.receiving.Fragment(time.Now(), 1, f)
			require.Equal(t, beyond == 0, code == 0)
		}
	})
}

// [LNK-6] Both ends of a link hold it to stand where its terms say, though neither keeps them.
func TestALinkStandsWhereItsTermsSay(t *testing.T) {
	onLink(t, func(one *Link, w *wireTap) {
		for _, key := range []wire.PublicKey{{}, {255}} {
			terms := &handshake.Terms{
				Rank: 7, Stamp: 9, TokenA: 0xa, KeyA: key, TokenB: 0xb, KeyB: wire.PublicKey{1},
				AddrA: netip.MustParseAddrPort("10.0.0.1:1"), AddrB: netip.MustParseAddrPort("10.0.0.2:1"),
			}
			for _, began := range []bool{true, false} {
				l := new(Link)
				require.NoError(t, l.Init(time.Now(), one.carrier, terms, began, new(Traffic), 1))
				require.Equal(t, terms.Order(), l.Order(), "begun by us: %v", began)
			}
		}
	})
}
