package transfer

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"broach/internal/buffer"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

func TestReceiveInAnyOrder(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 3))
		r := newReceiverTest(t)
		body := randomBytes(rng, 1+rng.IntN(smallMessage))
		count := (len(body) + 255) / 256
		var got []byte
		for _, index := range rng.Perm(count) {
			b, _ := r.take(fragmentOf(1, body, 256, uint32(index)))
			require.Nil(t, got, "seed %d", seed)
			got = b
		}
		require.True(t, bytes.Equal(body, got), "seed %d", seed)
	}
}

// What comes twice has arrived once.
func TestReceiveDuplicates(t *testing.T) {
	r := newReceiverTest(t)
	for range 100 {
		for _, index := range []uint32{0, 5, 9} {
			r.fragment(1, 3000, 256, index)
		}
	}
	require.Equal(t, int64(3*256), hasArrived(r.in.transfers[1]))
}

// [FRAG-2] A receiver MUST NOT set memory aside for [...] twice what of it has arrived: so strict where nothing is set
// aside at once.
func TestReceiveSparseFragments(t *testing.T) {
	var in In
	in.Init(testMessage, testMessage, &buffer.Budget{Size: 2 * testMessage})
	body := make([]byte, testMessage/maxTransfers)
	before := heapInUse()
	for id := range uint32(100) {
		in.Fragment(epoch, 1, fragmentOf(id+1, body, 1000, 1023))
	}
	for _, ok := in.NextAck(); ok; _, ok = in.NextAck() {
	}
	grown := heapInUse() - before
	arrived, aside := int64(0), int64(0)
	for _, i := range in.transfers {
		arrived, aside = arrived+hasArrived(i), aside+setAside(i)
	}
	require.Equal(t, int64(maxTransfers*1000), arrived, "from 64 transfers, the others have no place")
	require.LessOrEqual(t, aside, 2*arrived)
	require.LessOrEqual(t, grown, 2*arrived+maxTransfers*1024,
		"what the runtime says, with 1 KiB of account for each transfer")
	t.Logf("%d bytes arrived, %d set aside, heap %d", arrived, aside, grown)
	runtime.KeepAlive(&in)
	runtime.KeepAlive(body)
}

// [FRAG-2] A receiver MUST NOT set memory aside for more than 2 MiB of a message, or twice what of it has arrived if
// that is more
func TestReceiveSetsTheFirstPartAsideAtOnce(t *testing.T) {
	var in In
	in.Init(testMessage, 2*testMessage, &buffer.Budget{Size: 4 * testMessage, AtOnce: FirstRoom})
	for id, size := range []int{1 << 20, 3 << 20} {
		body := make([]byte, size)
		for i := range uint32(100) {
			in.Fragment(epoch, 1, fragmentOf(uint32(id+1), body, 1000, i))
			require.EqualValues(t, min(size, FirstRoom), len(in.transfers[uint32(id+1)].body))
		}
	}
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// [FRAG-2] A receiver MUST NOT set memory aside for [...] twice what of it has arrived: so strict where nothing is set
// aside at once.
func TestReceiveRandomFragments(t *testing.T) {
	for range 5 {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rng := rand.New(rand.NewPCG(seed, 4))
		r := newReceiverTest(t)
		for range 2000 {
			total := 1 + rng.IntN(smallMessage+smallMessage/50)
			size := 256 + rng.IntN(5)*700
			id := 1 + rng.Uint32N(20)
			if i := r.in.transfers[id]; i != nil && rng.IntN(10) > 0 {
				total, size = int(i.total), int(i.size)
			}
			body, code := r.fragment(id, total, size, rng.Uint32N(uint32((total+size-1)/size)))
			r.in.Release(len(body))
			require.True(t, code == 0 || code == wire.TooLarge && total > smallMessage || code == wire.Unreachable)
			switch rng.IntN(100) {
			case 0:
				r.in.Stop(rng.Uint32N(22))
			case 1:
				r.advance(4 * time.Second)
				r.in.Expire(r.now)
			case 2:
				r.acks()
			}
		}
		r.in.Close()
		require.Zero(t, r.in.Held.Used())
		require.Zero(t, r.in.Held.Of.Used())
	}
}
