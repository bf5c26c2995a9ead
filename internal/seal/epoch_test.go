package seal

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

const epochSize = 1 << 22

// [SEC-3] A key seals at most 2^22 numbers; both sides know by the number which is next.
func TestASealerGoesOnIntoTheNextEpoch(t *testing.T) {
	r := newRing(t, 1)
	a, b := ends(1)
	for _, edge := range []uint64{epochSize, 2 * epochSize, 3 * epochSize, 1 << 40} {
		s, o := r.Sealer(a, edge-2), new(Opener)
		for _, number := range []uint64{edge - 2, edge + 1, edge - 1, edge, edge - 2, edge + epochSize - 1} {
			opened, err := o.Open(r, b, s.Seal(datagram(number, "hello"), head), head, s.KeyID(), edge)
			require.NoError(t, err, "number %d", number)
			require.Equal(t, "hello", string(opened))
		}
		fresh := r.Sealer(a, edge).Seal(datagram(edge, "hello"), head)
		require.Equal(t, fresh, s.Seal(datagram(edge, "hello"), head), "who starts in the epoch seals alike")
	}
}

// A sealer that says it seals a number also seals the million after it. Another has to be made when it says so, and
// then is enough.
func TestASealerIsMadeInTimeForTheNextEpoch(t *testing.T) {
	r := newRing(t, 1)
	a, _ := ends(1)
	const near = epochSize / 4 * 3
	for _, c := range []struct {
		made, number uint64
		want         bool
	}{
		{1, 1, true}, {1, near - 1, true}, {1, near, false}, {1, epochSize - 1, false}, {1, epochSize, false},
		{near, near, true}, {near, epochSize - 1, true}, {near, epochSize, false}, {near, 1, true},
		{epochSize, epochSize, true}, {epochSize, epochSize + near - 1, true},
		{epochSize, epochSize + near, false}, {epochSize, epochSize - 1, false},
	} {
		s := r.Sealer(a, c.made)
		require.Equal(t, c.want, s.Seals(r, c.number), "made at %d for %d", c.made, c.number)
		if c.want {
			after := datagram(c.number+1<<20, "")
			require.NotPanics(t, func() { s.Seal(after, head) }, "made at %d, a million after %d", c.made, c.number)
		}
		require.True(t, r.Sealer(a, c.number).Seals(r, c.number))
		require.False(t, s.Seals(newRing(t, 1), c.number), "the keys were changed")
	}
}

// A number whose key the sealer does not have is a bug of ours, which must not leave the house under another key.
func TestASealerRefusesOtherEpochs(t *testing.T) {
	a, _ := ends(1)
	s := newRing(t, 1).Sealer(a, 5*epochSize)
	for _, number := range []uint64{1, 5*epochSize - 1, 6 * epochSize, 7 * epochSize} {
		require.Panics(t, func() { s.Seal(datagram(number, "hello"), head) }, "%d", number)
	}
}

// [SEC-3] A receiver keeps, for each ck, the keys of the highest e, the one before and the one after
func TestAnOpenerKeepsThreeEpochs(t *testing.T) {
	r := newRing(t, 1, 2)
	a, b := ends(1)
	const highest = 7*epochSize + 1
	o := new(Opener)
	open := func(ring *Ring, number uint64) func() {
		sealed := ring.Sealer(a, number).Seal(datagram(number, "hello"), head)
		room := bytes.Clone(sealed)
		return func() {
			if _, err := o.Open(r, b, append(room[:0], sealed...), head, ring.KeyID(), highest); err != nil {
				t.Error(err)
			}
		}
	}
	var near []func()
	for _, ring := range []*Ring{newRing(t, 1), newRing(t, 2)} {
		for epoch := uint64(6); epoch <= 8; epoch++ {
			near = append(near, open(ring, epoch*epochSize+9))
		}
	}
	kept := func() {
		for _, f := range near {
			f()
		}
	}
	require.Zero(t, testing.AllocsPerRun(10, kept))
	for _, epoch := range []uint64{0, 3, 4, 5, 9, 10, 11, 1<<42 - 1} {
		far := open(newRing(t, 1), epoch*epochSize+9)
		require.NotZero(t, testing.AllocsPerRun(10, far), "the key of epoch %d is made each time", epoch)
		require.Zero(t, testing.AllocsPerRun(10, kept), "epoch %d takes the place of none", epoch)
	}
}

// Who has no key of the cluster names any number he likes: what he sends of far epochs leaves nothing behind.
func TestJunkOfFarEpochsIsNotKept(t *testing.T) {
	r := newRing(t, 1)
	_, b := ends(1)
	o := new(Opener)
	for epoch := uint64(2); epoch < 64; epoch++ {
		_, err := o.Open(r, b, datagram(epoch<<epochBits, "sixteen bytes or more"), head, r.KeyID(), 1)
		require.ErrorIs(t, err, ErrKey)
	}
	require.Equal(t, &Opener{ring: r}, o)
}

func TestFarIsWhatIsNotNext(t *testing.T) {
	for _, c := range []struct {
		epoch, highest uint64
		want           bool
	}{
		{0, 0, false}, {1, 0, false}, {2, 0, true}, {0, 1, false}, {0, 2, true},
		{5, 5, false}, {4, 5, false}, {6, 5, false}, {3, 5, true}, {7, 5, true},
	} {
		require.Equal(t, c.want, IsFar(c.epoch, c.highest), "%d of %d", c.epoch, c.highest)
	}
	require.Equal(t, uint64(0), Epoch(epochSize-1))
	require.Equal(t, uint64(1), Epoch(epochSize))
}

// An opener that has opened epoch after epoch has the keys of the present ones, and not those of the last whose place
// they took.
func TestAnOpenerGoesAlong(t *testing.T) {
	r := newRing(t, 1)
	a, b := ends(1)
	o := new(Opener)
	for number := uint64(1); number < 12*epochSize; number += epochSize / 2 {
		s := r.Sealer(a, number)
		_, err := o.Open(r, b, s.Seal(datagram(number, "hello"), head), head, s.KeyID(), number)
		require.NoError(t, err, "number %d", number)
	}
}
