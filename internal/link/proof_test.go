package link

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// aProof is a proof whose ids are 1, 2 and so on, with time.
type aProof struct {
	proof
	t     *testing.T
	now   time.Time
	drawn uint32
}

func newProof(t *testing.T) *aProof { return &aProof{t: t, now: epoch} }

func (p *aProof) draw() uint32 { p.drawn++; return p.drawn }

// send sends so many bytes in steps of a KiB, and returns how many Probes went.
func (p *aProof) send(bytes int) (probes int) {
	for ; bytes > 0; bytes -= 1024 {
		p.sent(min(1024, int64(bytes)))
		if p.isWanted() {
			p.ask(p.now, p.draw, testRTO)
			probes++
		}
	}
	return probes
}

// repeats lists when the Probe goes again if nothing else does.
func (p *aProof) repeats(k int) (after []time.Duration) {
	for range k {
		start := p.now
		p.now = p.nextTimeout()
		require.True(p.t, p.timeout(p.now))
		require.Equal(p.t, p.drawn, p.ask(p.now, p.draw, testRTO).ID, "the id is the same")
		after = append(after, p.now.Sub(start))
	}
	return after
}

// [LNK-11] who has sent 64 KiB on a link that the peer has not proven to get sends it a Probe with a random id, again
// after the retransmission time of
// [FRAG-5], doubled up to 250 ms
func TestAPeerIsAskedAfter64KiB(t *testing.T) {
	p := newProof(t)
	require.Zero(t, p.send(63<<10))
	require.Nil(t, p.asking)
	require.Zero(t, p.nextTimeout(), "a quiet link costs nothing")
	require.Equal(t, 1, p.send(1<<10))
	ms := func(k int) time.Duration { return time.Duration(k) * time.Millisecond }
	require.Equal(t, []time.Duration{ms(10), ms(20), ms(40), ms(80), ms(160), ms(250), ms(250)}, p.repeats(7))
	require.True(t, p.ack(p.id))
	require.Zero(t, p.nextTimeout())
	require.Zero(t, p.send(63<<10))
	require.Equal(t, 1, p.send(1<<10))
	require.EqualValues(t, 2, p.id, "another id")
}

// Answers that were not asked for, or were guessed, prove nothing; 0 is what small Probes for the packet size have.
func TestOnlyTheAnswerCounts(t *testing.T) {
	p := newProof(t)
	require.False(t, p.ack(0))
	p.send(100 << 10)
	for _, id := range []uint32{0, 2, 1<<32 - 1} {
		require.False(t, p.ack(id))
	}
	require.EqualValues(t, 100<<10, p.unproven)
	require.True(t, p.ack(1))
	require.False(t, p.ack(1), "it counts once")
	require.EqualValues(t, 36<<10, p.unproven, "what was sent after it")
}

// [LNK-11] or when a quarter of what may go has gone since.
func TestALostProbeStopsNothing(t *testing.T) {
	p := newProof(t)
	require.Equal(t, 4, p.send(1000<<10))
	require.Positive(t, p.left())
	require.True(t, p.ack(1))
	require.EqualValues(t, (1000-64)<<10, p.unproven)
}

// [LNK-11] The answer proves what was sent before the Probe first went: one that was kept back until the address was
// given up proves no more, and gives no more room.
func TestAnAnswerThatWasKeptBackProvesNoMore(t *testing.T) {
	p := newProof(t)
	p.send(1 << 20)
	require.Zero(t, p.left())
	p.repeats(1)
	require.True(t, p.ack(1))
	require.EqualValues(t, 64<<10, p.left())
}

// [LNK-11] Instead of 1 MiB it is four times what was sent from a Probe to its answer, if none had to go again because
// of time, 16 MiB at most, and at each answer an eighth less than before at least.
func TestRoomFollowsWhatTheWayCarries(t *testing.T) {
	p := newProof(t)
	answer := func(carried int) {
		if p.asking == nil || p.id == 0 {
			p.send(64 << 10)
		}
		p.since, p.last = 0, 0
		p.send(carried)
		require.True(t, p.ack(p.id))
	}
	answer(100 << 10)
	require.EqualValues(t, 1<<20, p.room)
	answer(1 << 20)
	require.EqualValues(t, 4<<20, p.room)
	answer(100 << 20)
	require.EqualValues(t, 16<<20, p.room)
	answer(64 << 10)
	require.EqualValues(t, 14<<20, p.room, "it falls slowly: transfers pause")
	for range 50 {
		answer(64 << 10)
	}
	require.EqualValues(t, 1<<20, p.room)
}

// A peer that cannot be reached is asked again only when something is sent to it.
func TestALostPeerIsNotAsked(t *testing.T) {
	p := newProof(t)
	p.stop()
	p.send(64 << 10)
	p.stop()
	require.Zero(t, p.nextTimeout())
	require.Equal(t, 1, p.send(1))
	require.EqualValues(t, 1, p.id)
}
