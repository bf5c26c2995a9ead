package buffer

import (
	"bytes"
	"testing"

	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

// The sizes fit closely, and what comes back is used again.
func TestLargeBytes(t *testing.T) {
	for _, n := range []int64{1, 255, 256, 257, 4095, 4096, 4097, 5120, 5121, 7000, 8192, 8193, 1 << 20, 1<<20 + 1} {
		b := Bytes(n)
		require.Len(t, b, int(n))
		require.Equal(t, Size(n), int64(cap(b)))
		require.LessOrEqual(t, int64(cap(b)), n+n/4+1, "a buffer of %d bytes", n)
		Recycle(b)
		require.Len(t, Bytes(n), int(n))
	}
	class, size := largeClass(1 << 32)
	require.Equal(t, largeClasses-1, class)
	require.Equal(t, int64(1<<32), size)

	t.Log("what is not from here is not taken for it")
	Recycle(nil)
	Recycle(make([]byte, 5000, 5001))
	require.Equal(t, 5120, cap(Bytes(5001)))
}

// grow keeps what was there, leaves the old bytes alone, and at least doubles.
func TestGrow(t *testing.T) {
	small := append(make([]byte, 0, 8), "abc"...)
	require.Equal(t, "abc", string(Grow(small, 100)))
	require.GreaterOrEqual(t, cap(Grow(small, 100)), 103)
	old := append(Bytes(smallestLarge)[:0], "abc"...)
	b := Grow(old, 1<<20)
	require.Equal(t, "abc", string(b))
	require.Equal(t, Size(1<<20+3), int64(cap(b)))
	b[0] = 'x'
	require.Equal(t, "abc", string(old))
	require.GreaterOrEqual(t, cap(Grow(b[:1<<20], cap(b))), 2<<20)
}

func TestBuffers(t *testing.T) {
	b := Copy([]byte("text"))
	require.Equal(t, "text", string(b.B))
	b.Release()
	require.Empty(t, New().B)
	(*Buffer)(nil).Release()
	large := Copy(make([]byte, MostKept+1))
	large.Release()
	require.Nil(t, large.B)
}

// What was given back is what the next one gets, whatever its size, without an allocation for it.
func TestWhatIsUsedAgainAllocatesNothing(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector makes sync.Pool forget")
	}
	for _, n := range []int64{smallestLarge, 1100, 70_000} {
		require.Zero(t, testing.AllocsPerRun(100, func() { Recycle(Bytes(n)) }), "%d bytes", n)
	}
	require.Zero(t, testing.AllocsPerRun(100, func() { Recycle(append(Small(), "a reply"...)) }), "a small one")
	require.Empty(t, Small())
	require.Equal(t, SmallSize, cap(Small()))
}

// Under the race detector nobody finds a message in what was given back.
func TestWhatIsGivenBackIsOverwritten(t *testing.T) {
	if !race.Enabled {
		t.Skip("it costs time")
	}
	for _, n := range []int{1, 255, 256, 257, 70_000} {
		b := bytes.Repeat([]byte{1}, n)
		Recycle(b[:1])
		require.NotContains(t, b, byte(1), "%d bytes", n)
	}
	v := Copy([]byte("text"))
	b := v.B
	v.Release()
	require.NotEqual(t, "text", string(b))
}
