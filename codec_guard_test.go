package broach

import (
	"bytes"
	"encoding/hex"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// allocated returns the bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Every code of the msgpack specification but 0xc1 begins a value, whole as here and truncated by each number of bytes.
func TestGuardKnowsEveryCode(t *testing.T) {
	for _, whole := range []string{
		"00", "7f", "e0", "ff", // fixint
		"80", "810102", "90", "9101", "a0", "a161", // fixmap, fixarray, fixstr
		"c0", "c2", "c3", // nil, bool
		"c400", "c40101", "c5000101", "c60000000101", // bin
		"c7000a", "c7010aff", "c800010aff", "c9000000010aff", // ext
		"ca00000000", "cb0000000000000000", // float
		"cc00", "cd0000", "ce00000000", "cf0000000000000000", // uint
		"d000", "d10000", "d200000000", "d30000000000000000", // int
		"d40a00", "d50a0000", "d60a00000000", "d70a0000000000000000", "d80a00000000000000000000000000000000", // fixext
		"d900", "d90161", "da000161", "db0000000161", // str
		"dc000101", "dd0000000101", "de00010102", "df000000010102", // array, map
	} {
		b := unhex(t, whole)
		require.NoError(t, checkMsgpack(b, 1), whole)
		require.NoError(t, checkMsgpack(append(b, b...), 2), whole)
		require.ErrorIs(t, checkMsgpack(append(b, 0), 1), errTrailing, whole)
		for n := range b {
			require.ErrorIs(t, checkMsgpack(b[:n], 1), errTruncated, "%s cut to %d", whole, n)
		}
	}
	require.ErrorIs(t, checkMsgpack([]byte{0xc1}, 1), errCode)
	require.NoError(t, checkMsgpack(nil, 0))
	require.ErrorIs(t, checkMsgpack(nil, 1), errTruncated)
}

// [VAL-1] Before any decoding the bytes are walked once: every declared length is satisfied by bytes present, nesting is at most 64,
// elements are at most 8,388,608, and the value ends exactly at the end; else the call is answered InvalidArgument.
func TestGuardBoundsDepth(t *testing.T) {
	nest := func(outer string, levels int) []byte {
		return append(bytes.Repeat(unhex(t, outer), levels), 0xc0)
	}
	for _, outer := range []string{"91", "dc0001", "8101", "dd00000001"} {
		require.NoError(t, checkMsgpack(nest(outer, maxDepth), 1), outer)
		require.ErrorIs(t, checkMsgpack(nest(outer, maxDepth+1), 1), errDepth, outer)
	}
}

// [VAL-1] Before any decoding the bytes are walked once: every declared length is satisfied by bytes present, nesting is at most 64,
// elements are at most 8,388,608, and the value ends exactly at the end; else the call is answered InvalidArgument.
func TestGuardBoundsElements(t *testing.T) {
	for b, elements := range map[string]uint64{
		"c0":             1,
		"93010203":       4,
		"8201020304":     5,
		"92920102920304": 7,
	} {
		g := guard{b: unhex(t, b), left: elements}
		require.NoError(t, g.all(1, maxDepth), b)
		g = guard{b: unhex(t, b), left: elements - 1}
		require.ErrorIs(t, g.all(1, maxDepth), errElements, b)
	}
	tooMany := append([]byte{0xdd, 0, 0x80, 0, 0}, make([]byte, maxElements)...)
	require.ErrorIs(t, checkMsgpack(tooMany, 1), errElements)
}

func TestGuardDoesNotAllocate(t *testing.T) {
	args, err := appendArgs(nil, maxMessageMost, []any{1, "two", []any{3.0, map[string]any{"four": true}}})
	require.NoError(t, err)
	deep := bytes.Repeat([]byte{0x91}, 1<<16)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if checkMsgpack(args, 1) != nil || checkMsgpack(deep, 1) == nil {
			t.Fail()
		}
	}))
}

// The messages that end, or nearly end, a process that hands them to the msgpack package.
//
// [VAL-1] Before any decoding the bytes are walked once: every declared length is satisfied by bytes present, nesting is at most 64,
// elements are at most 8,388,608, and the value ends exactly at the end; else the call is answered InvalidArgument.
func TestHostileMessagesAreRefusedCheaply(t *testing.T) {
	nested := bytes.Repeat([]byte{0xdc, 0xff, 0xff}, 466) // each level claims 65,535 elements: 450 MB in one datagram
	for name, b := range map[string][]byte{
		"an array of 2^31 elements in 6 bytes": unhex(t, "91dd80000000"),
		"a map of 2^31 pairs in 6 bytes":       unhex(t, "91df80000000"),
		"a string of 4 GiB in 6 bytes":         unhex(t, "91dbffffffff"),
		"an extension of 4 GiB":                unhex(t, "91c9ffffffffff"),
		"arrays within arrays in a datagram":   nested,
		"a million levels":                     bytes.Repeat([]byte{0x91}, 1<<20),
		"a million levels of maps":             bytes.Repeat([]byte{0x81}, 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			for _, fn := range []any{func(any) {}, func([]any) {}, func(map[string]any) {}, func([][]int) {}, func(string) {}, func([]byte) {}} {
				f, err := newFunction("f", fn)
				require.NoError(t, err)
				require.Less(t, allocated(func() {
					_, refusal := f.invoke(t.Context(), b, nil)
					require.NotNil(t, refusal)
					require.Equal(t, InvalidArgument, refusal.Code)
				}), uint64(64<<10))
			}
			result := append([]byte{1, byte(kindAny)}, b...)
			require.Less(t, allocated(func() {
				_, err := decodeAny(result)
				require.Error(t, err)
			}), uint64(64<<10))
		})
	}
}

// An empty map is one byte and a whole struct: the message is honest, yet 1,400 bytes of it would take 1.4 MB here,
// and 64 MB of it 64 GB.
func TestMemoryIsBoundedByTheMessage(t *testing.T) {
	type big struct{ A [128]int64 }
	message := func(n int, element byte) []byte {
		head := []byte{0x91, 0xdd, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
		return append(head, bytes.Repeat([]byte{element}, n)...)
	}
	attempt := func(fn any, b []byte) (used uint64, refusal *Error) {
		f, err := newFunction("f", fn)
		require.NoError(t, err)
		used = allocated(func() { _, refusal = f.invoke(t.Context(), b, nil) })
		return used, refusal
	}
	for name, fn := range map[string]any{
		"slice":    func([]big) {},
		"pointers": func([]*big) {},
		"variadic": func(...[]big) {},
		"arrays":   func([][100]big) {},
	} {
		const n = 1 << 17
		used, refusal := attempt(fn, message(n, 0x80))
		require.NotNil(t, refusal, name)
		require.Less(t, used, uint64(memoryFloor+memoryPerByte*2*n), name)
	}
	_, refusal := attempt(func(...big) {}, message(1<<17, 0x80)[1:])
	require.NotNil(t, refusal, "arguments of a variadic function")
	_, refusal = attempt(func([]big) {}, message(900, 0x80))
	require.Nil(t, refusal, "small amounts pass whatever their density")

	for name, b := range map[string][]byte{"nils": message(1<<17, 0xc0), "empty maps": message(1<<17, 0x80), "empty arrays": message(1<<17, 0x90)} {
		used, refusal := attempt(func(any) {}, b)
		require.Nil(t, refusal, name)
		require.Less(t, used, uint64(2*memoryPerByte*len(b)), name)
	}
}
