package link

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// [HDR-5] A number that was seen before, is 0, or lies 4,096 or more below the highest seen, MUST be dropped: the
// datagram is a replay.
func TestReplayWindowTakesEachNumberOnce(t *testing.T) {
	t.Log("seed 4")
	rng := rand.New(rand.NewPCG(4, 4))
	for range 50 {
		var w replayWindow
		seen := map[uint64]bool{}
		highest, base := uint64(0), 1+rng.Uint64N(1<<40)
		for i := range uint64(6000) {
			n := base + i + rng.Uint64N(50)
			if rng.IntN(4) == 0 {
				n -= min(rng.Uint64N(6000), n-1)
			}
			if rng.IntN(1000) == 0 {
				base += rng.Uint64N(10_000)
			}
			accepted := w.accept(n)
			if seen[n] || highest >= replaySpan && n <= highest-replaySpan {
				require.False(t, accepted, "%d, highest %d", n, highest)
			}
			if n > highest {
				require.True(t, accepted, "%d is the highest", n)
			}
			if accepted {
				seen[n] = true
			}
			highest = max(highest, n)
		}
	}
}

// A busy link takes what comes late by up to 4,096; a quiet one by up to 64.
func TestReplayWindowIsWideOnceItIsBusy(t *testing.T) {
	var w replayWindow
	for n := uint64(2); n <= 400; n += 2 {
		require.True(t, w.accept(n))
	}
	require.True(t, w.accept(400-63))
	require.False(t, w.accept(400-65))
	for n := uint64(402); n <= 10_000; n += 2 {
		require.True(t, w.accept(n))
	}
	require.True(t, w.accept(10_001-replaySpan))
	require.False(t, w.accept(10_001-replaySpan), "twice")
	require.False(t, w.accept(9_999-replaySpan), "too late")
	require.False(t, w.accept(0))
}

// [HDR-5] Whatever numbers come in whatever order: none is taken twice, 0 never, the highest always; and isNew tells
// before what accept will say. Two bytes are a step up from the highest number, or down by as much, if they are odd.
func FuzzReplayWindow(f *testing.F) {
	f.Add([]byte{0, 8, 0, 7, 0, 7})
	f.Fuzz(func(t *testing.T, steps []byte) {
		var w replayWindow
		seen, highest := map[uint64]bool{0: true}, uint64(0)
		for ; len(steps) >= 2; steps = steps[2:] {
			step := uint64(binary.BigEndian.Uint16(steps))
			n := highest + step
			if step%2 == 1 {
				n = highest - min(step, highest)
			}
			isNew := w.isNew(n)
			require.Equal(t, isNew, w.accept(n), "%d, highest %d", n, highest)
			require.False(t, isNew && seen[n], "%d twice", n)
			require.True(t, isNew || n <= highest, "%d is the highest", n)
			require.False(t, w.isNew(n), "%d has come", n)
			seen[n], highest = true, max(highest, n)
		}
	})
}
