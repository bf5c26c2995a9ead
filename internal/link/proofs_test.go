package link

import (
	"testing"
	"time"

	"broach/internal/race"
	"broach/internal/udp"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// exhaust leaves a link no room for what must be proven, as if much had been sent.
func (s *end) exhaust() {
	s.link.mu.Lock()
	s.link.proof.sent(unprovenLeast)
	s.link.prove(time.Now())
	s.link.flush()
}

// tell sends membership messages.
func (s *end) tell(msgs ...wire.Message) {
	for _, m := range msgs {
		s.link.Queue(m)
	}
	s.link.FlushQueue()
}

// kindsOfAll are the kinds of the messages in datagrams.
func kindsOfAll(datagrams [][]byte) (kinds []wire.Kind) {
	for _, d := range datagrams {
		kinds = append(kinds, kindsOf(d)...)
	}
	return kinds
}

// [LNK-11] Beyond 1 MiB unproven nothing but Probes, ProbeAcks, Pings, Pongs and Beats goes on the link.
func TestWhatIsNotProvenGetsWhatKeepsContact(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		b.offer("size", func(b []byte) int { return len(b) })
		a.exhaust()
		small, large := a.call(time.Minute, "size", garble(1)), a.call(time.Minute, "size", garble(100_000))
		a.tell(wire.List{}, wire.Beat{Seq: 1}, wire.Ping{Nonce: 1}, wire.Pong{Nonce: 2},
			wire.Suspect{Target: wire.Target{Addr: a.addr, Boot: 1}})
		a.hear(b.utter(wire.Probe{ID: 7}.Append(nil)))
		sent := a.tape.take()
		require.Equal(t, []wire.Kind{wire.KindProbe, wire.KindBeat, wire.KindPing, wire.KindPong, wire.KindProbeAck},
			kindsOfAll(sent))

		for range 100 {
			a.step(10 * time.Millisecond)
		}
		again := kindsOfAll(a.tape.take())
		require.Len(t, again, 5, "%v", again)
		require.Subset(t, []wire.Kind{wire.KindProbe}, again)

		b.hear(sent...)
		a.hear(b.tape.take()...)
		deliver(a, b)
		small.require(t, 0, wire.ExecutedYes)
		large.require(t, 0, wire.ExecutedYes)
	})
}

// Fragments that were under way when all was withheld are taken as lost in their time, for which the loop
// wakes, until none is left.
func TestWhatWasUnderWayIsLostInTimeThoughAllIsWithheld(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		a.call(time.Minute, "size", garble(100_000))
		sent := time.Now()
		a.exhaust()
		a.tape.take() // all of it is lost
		require.WithinRange(t, a.link.exchange.nextTimeout(), sent, sent.Add(firstMost))
		for range 20 {
			a.step(100 * time.Millisecond)
		}
		require.Equal(t, sent.Add(a.wires.Silence), a.link.exchange.nextTimeout(), "what is left is that of the call")
	})
}

// Two who have both sent as much as they may without an answer answer each other.
func TestWhoWithholdsAnswersProbes(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		a.offer("size", func(b []byte) int { return len(b) })
		b.offer("size", func(b []byte) int { return len(b) })
		a.exhaust()
		b.exhaust()
		toB, toA := a.call(time.Minute, "size", garble(1)), b.call(time.Minute, "size", garble(1))
		deliver(a, b)
		toB.require(t, 0, wire.ExecutedYes)
		toA.require(t, 0, wire.ExecutedYes)
	})
}

// What waits for an answer is bounded like all that waits to be sent, and gone when the peer is.
func TestWhatIsWithheldIsBounded(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		a.exhaust()
		for range 2 * outboxMax {
			a.call(time.Minute, "size", garble(1100))
		}
		require.Len(t, a.link.out.ready, outboxMax)
		a.link.Fail(Outcome{Code: wire.Unreachable, Gone: true})
		require.Empty(t, a.link.out.ready)
		a.tape.take()
		a.step(time.Hour)
		require.Empty(t, a.tape.take())
	})
}

// Whatever waits, a link that withholds it makes no work but its Probes.
func TestALinkThatWithholdsRests(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		a.call(time.Hour, "size", garble(1<<20))
		a.hear(b.utter(wire.FragmentAck{Transfer: 1}.Append(nil))) // it wants none, and is asked now and then
		a.exhaust()
		for range 1000 { // until all that is under way is lost
			a.step(10 * time.Millisecond)
		}
		steps, next := 0, time.Time{}
		for start := time.Now(); time.Since(start) < 10*time.Second; steps++ {
			next, _ = a.wires.Timers.Run(time.Now())
			time.Sleep(time.Until(next))
		}
		require.LessOrEqual(t, steps, 50, "4 Probes a second, and a few")
		a.link.Close(Outcome{Code: wire.Closed})
		next, _ = a.wires.Timers.Run(time.Now())
		require.Zero(t, next)
	})
}

// Peers that only know of each other stay without what calls need, whoever asks.
func TestProofsNeedNoExchange(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		a.exhaust()
		a.tell(wire.List{})
		deliver(a, b)
		require.Nil(t, a.link.exchange)
		require.Nil(t, b.link.exchange)
		require.Zero(t, a.link.proof.id)
		require.False(t, a.link.isWithheld())
		require.Empty(t, a.link.out.ready)
	})
}

// The ids are drawn like tokens: no two are alike, nor made of each other.
func TestIdsOfProofsAreRandom(t *testing.T) {
	onEnds(t, bounds{}, func(t *testing.T, a, b *end) {
		seen, ones := map[uint32]bool{}, 0
		for range 100 {
			a.exhaust()
			id := a.link.proof.id
			require.False(t, seen[id])
			seen[id] = true
			ones += int(id>>31) + int(id&1)
			deliver(a, b)
		}
		require.InDelta(t, 100, ones, 40)
	})
}

// It costs a link nothing to ask but the datagram.
func TestProofsAllocateNothing(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector makes sync.Pool forget at random")
	}
	onLink(t, func(l *Link, w *wireTap) {
		l.carrier.Transport = discard{w}
		now := time.Now()
		round := func() {
			l.mu.Lock()
			l.proof.sent(proveAfter)
			l.prove(now)
			l.flush()
			l.mu.Lock()
			l.takeProbeAck(now, wire.ProbeAck{ID: l.proof.id})
			l.answerProbe(wire.Probe{})
			l.flush()
		}
		round()
		require.Zero(t, testing.AllocsPerRun(1000, round))
	})
}

// discard is a transport that sends nothing.
type discard struct{ udp.Transport }

func (discard) Send(out []udp.Datagram) (int, error) { return len(out), nil }
