package member

import (
	"fmt"
	"math"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [MEM-11] A Pong MUST NOT count unless it has the nonce of one of the latest 32 Pings of probes to its sender, and
// counts for that Ping once.
func TestPongsThatAnswerNothingAreIgnored(t *testing.T) {
	s := newSociety(t)
	all := s.grow(3)
	a, b, c := all[0], all[1], all[2]
	s.cut = func(from, to *citizen) bool { return from == a && to == b }
	p := a.of(b)
	var asked []wire.Message
	s.until(10*time.Second, "b is unreachable", func() bool { return p.unreachable })
	sent := s.watch(a)
	s.run(9 * time.Second)
	for _, msg := range *sent {
		if msg.Kind() == wire.KindPing {
			asked = append(asked, msg)
		}
	}
	require.Greater(t, len(asked), pingsKept)
	latest := asked[len(asked)-pingsKept:]
	s.forge(a, a.linkTo(b), wire.Pong{Nonce: 0})
	s.forge(a, a.linkTo(b), wire.Pong{Nonce: 12345})
	s.forge(a, a.linkTo(b), wire.Pong(asked[len(asked)-pingsKept-1].(wire.Ping)))
	s.forge(a, a.linkTo(c), wire.Pong(latest[0].(wire.Ping)))
	require.True(t, p.unreachable)
	s.forge(a, a.linkTo(b), wire.Pong(latest[0].(wire.Ping)))
	require.False(t, p.unreachable, "a late answer is one")
	p.unreachable = true
	s.forge(a, a.linkTo(b), wire.Pong(latest[0].(wire.Ping)))
	require.True(t, p.unreachable, "it was counted")
}

// Round trips are measured when a link begins, and by each answer: a longer one counts at once.
func TestRoundTripsAreMeasured(t *testing.T) {
	s := newSociety(t)
	all := s.grow(8)
	for _, c := range all {
		for _, p := range c.peers.list {
			require.InDelta(t, 250*time.Microsecond, p.roundTrip(), float64(150*time.Microsecond))
		}
	}
	a := all[0]
	p := a.of(all[1])
	p.noteTrip(80 * time.Millisecond)
	require.Equal(t, 160*time.Millisecond, a.patience(p))
	p.noteTrip(200 * time.Millisecond)
	require.Equal(t, 400*time.Millisecond, a.patience(p), "a longer one counts at once")
	p.noteTrip(100 * time.Millisecond)
	require.Equal(t, 300*time.Millisecond, a.patience(p), "and a shorter one by half")
	p.noteTrip(0)
	p.noteTrip(0)
	require.Equal(t, leastPatience, a.patience(p))
	p.noteTrip(time.Hour)
	require.Equal(t, 660*time.Millisecond, a.patience(p), "6 probes and the time to refute")
	p.trip = untimed
	require.Equal(t, 660*time.Millisecond, a.patience(p))
	a.noteFirstTrip(p, time.Second)
	require.False(t, p.trip.isMeasured(), "somebody was busy")
	a.noteFirstTrip(p, time.Millisecond)
	require.False(t, p.trip.isMeasured(), "it is not the first answer")
}

// [MEM-30] A round trip is measured by Pong, and by a Beat that echoes one of the latest two of the node's own, less
// what the other held it
func TestBeatsMeasureTheRoundTrip(t *testing.T) {
	for _, delay := range []time.Duration{20 * msec, 100 * msec, 300 * msec} {
		for _, size := range []int{2, 3, 30} {
			s := newSociety(t)
			all := s.grow(size)
			s.run(5 * time.Second)
			s.drop = func(msg wire.Message) bool { return msg.Kind() == wire.KindPong }
			s.delay = delay
			s.run(5 * time.Second)
			for _, c := range all {
				for _, p := range c.peers.list {
					require.InDelta(t, 2*delay, p.roundTrip(), float64(msec), "%d nodes", size)
				}
			}
		}
	}
}

// [MEM-30] None is measured while the node is strained (MEM-31).
func TestBeatsMeasureNothingWrong(t *testing.T) {
	s := newSociety(t)
	all := s.grow(3)
	a, p := all[0], all[0].of(all[1])
	s.until(3*time.Second, "it keeps the time of its latest", func() bool { return isTimed(p.tie.beats.out) })
	trip := p.trip
	a.strain.bound = boundFirst
	a.noteEcho(s.now, p, p.tie.beats, wire.Beat{Echo: p.tie.beats.out})
	require.Equal(t, trip, p.trip)
	a.strain.bound = 0
	s.run(300 * msec)
	a.noteEcho(s.now, p, p.tie.beats, wire.Beat{Echo: p.tie.beats.out - 1})
	require.Equal(t, trip, p.trip, "of that one it keeps none")
	a.noteEcho(s.now, p, p.tie.beats, wire.Beat{Echo: p.tie.beats.out + 2})
	require.Equal(t, trip, p.trip, "it never sent that one")
	a.noteEcho(s.now, p, p.tie.beats, wire.Beat{Echo: p.tie.beats.out, Held: 1 << 30})
	require.Equal(t, trip, p.trip, "held for longer than it is under way")
	a.noteEcho(s.now, p, p.tie.beats, wire.Beat{Echo: p.tie.beats.out})
	require.Less(t, trip, p.trip)
	for _, held := range []uint32{0, 1, 1 << 31, math.MaxUint32} { // whatever a liar says
		a.noteEcho(s.now, p, p.tie.beats, wire.Beat{Echo: p.tie.beats.out, Held: held})
		require.True(t, p.trip.isMeasured())
		require.GreaterOrEqual(t, a.patience(p), leastPatience)
		require.LessOrEqual(t, a.patience(p), 660*msec)
	}
}

// Silence is read from the round trip: a peer that seems nearer than it is would be given up while its answer is under
// way.
func TestNoPeerSeemsNearerThanItIs(t *testing.T) {
	for _, delay := range []time.Duration{
		5 * time.Millisecond, 60 * time.Millisecond, 90 * time.Millisecond, 250 * time.Millisecond,
	} {
		for _, loss := range []float64{0, 0.2} {
			t.Run(fmt.Sprint(2*delay, ", loss ", loss), func(t *testing.T) {
				s := newSociety(t)
				s.delay, s.loss = delay, loss
				for i := range 8 {
					s.join(i, 0)
				}
				for range 40 {
					s.run(250 * time.Millisecond)
					require.GreaterOrEqual(t, s.nearest(), 2*delay)
				}
				require.Less(t, s.nearest(), 2*delay+msec, "it is measured")
			})
		}
	}
}

// nearest is the shortest round trip that one process has measured to another, an hour where none was.
func (s *society) nearest() time.Duration {
	nearest := time.Hour
	for _, c := range s.members {
		for _, p := range c.peers.list {
			if p.trip.isMeasured() {
				nearest = min(nearest, p.roundTrip())
			}
		}
	}
	return nearest
}
