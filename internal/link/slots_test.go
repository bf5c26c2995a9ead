package link

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCallSlots(t *testing.T) {
	var s callSlots
	now := time.Unix(0, 0)
	first, p := &Call{}, &Call{}
	slot, c, ok := s.takeSlot(now, now.Add(time.Minute), first)
	require.True(t, ok)
	require.EqualValues(t, 0, slot)
	require.EqualValues(t, 1, c.seq)
	require.Same(t, c, s.waiting(slot, 1))
	require.Nil(t, s.waiting(slot, 2))
	require.Nil(t, s.waiting(9999, 1))
	require.Same(t, first, s.freeSlot(slot))
	require.Nil(t, s.waiting(slot, 1))

	again, c, _ := s.takeSlot(now, now.Add(time.Minute), p)
	require.Equal(t, slot, again, "the slot that was used last is warm")
	require.EqualValues(t, 2, c.seq)
}

// slots of a link: 65,536 in each direction; beyond it the caller's call fails
func TestCallSlotsAreBounded(t *testing.T) {
	var s callSlots
	now := time.Unix(0, 0)
	seen := map[uint16]bool{}
	for range maxSlots {
		slot, _, ok := s.takeSlot(now, now, nil)
		require.True(t, ok)
		require.False(t, seen[slot])
		seen[slot] = true
	}
	_, _, ok := s.takeSlot(now, now, nil)
	require.False(t, ok)
	s.freeSlot(77)
	slot, _, ok := s.takeSlot(now, now, nil)
	require.True(t, ok)
	require.EqualValues(t, 77, slot)
}

func TestOverdueCallsComeInTimeAndAgain(t *testing.T) {
	var s callSlots
	start := time.Unix(0, 0)
	begin := func(pace, deadline time.Duration) {
		_, c, _ := s.takeSlot(start, start.Add(deadline), nil)
		c.pace = pace
		s.arm(c, start, start.Add(3*time.Second))
	}
	begin(20*time.Millisecond, time.Minute)
	begin(time.Hour, 30*time.Millisecond)
	begin(time.Hour, time.Hour)
	due := func(at time.Duration) (slots []uint16) {
		for slot, c := range s.overdue(start.Add(at)) {
			slots = append(slots, slot)
			s.arm(c, start.Add(at), start.Add(at+time.Hour))
		}
		return slots
	}
	require.Empty(t, due(19*time.Millisecond))
	require.Equal(t, []uint16{0}, due(20*time.Millisecond))
	require.Equal(t, start.Add(30*time.Millisecond), s.next)
	require.Equal(t, []uint16{1}, due(30*time.Millisecond))
	require.Equal(t, []uint16{0, 1}, due(45*time.Millisecond))
	for _, slot := range []uint16{0, 1} {
		s.freeSlot(slot)
	}
	require.Equal(t, []uint16{2}, due(3*time.Second), "its peer was silent for too long")
}

// [CALL-9] A call sent once gives a measurement when its Reply or Progress comes (Karn's algorithm).
func TestOnlyACallSentOnceIsAMeasure(t *testing.T) {
	var s callSlots
	start := time.Unix(0, 0)
	_, c, _ := s.takeSlot(start, start.Add(time.Minute), nil)
	later := start.Add(7 * time.Millisecond)
	sample, ok := s.taken(c, later, later)
	require.True(t, ok)
	require.Equal(t, 7*time.Millisecond, sample)
	_, ok = s.taken(c, later, later)
	require.False(t, ok, "a second Progress is no measure")

	_, c, _ = s.takeSlot(start, start.Add(time.Minute), nil)
	c.resends = 1
	_, ok = s.taken(c, later, later)
	require.False(t, ok)
	require.Equal(t, pollFirst, c.pace)
}
