package codec

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

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
		b := fromHex(t, whole)
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

// [VAL-1] Before any decoding the bytes are walked once: every declared length is satisfied by bytes present, nesting
// is at most 64, elements are at most 8,388,608, and the value ends exactly at the end; else the call is answered
// InvalidArgument.
func TestGuardBoundsDepth(t *testing.T) {
	nest := func(outer string, levels int) []byte {
		return append(bytes.Repeat(fromHex(t, outer), levels), 0xc0)
	}
	for _, outer := range []string{"91", "dc0001", "8101", "dd00000001"} {
		require.NoError(t, checkMsgpack(nest(outer, maxDepth), 1), outer)
		require.ErrorIs(t, checkMsgpack(nest(outer, maxDepth+1), 1), errDepth, outer)
	}
}

// [VAL-1] Before any decoding the bytes are walked once: every declared length is satisfied by bytes present, nesting
// is at most 64, elements are at most 8,388,608, and the value ends exactly at the end; else the call is answered
// InvalidArgument.
func TestGuardBoundsElements(t *testing.T) {
	for b, elements := range map[string]uint64{
		"c0":             1,
		"93010203":       4,
		"8201020304":     5,
		"92920102920304": 7,
	} {
		g := guard{b: fromHex(t, b), left: elements}
		require.NoError(t, g.all(1, maxDepth), b)
		g = guard{b: fromHex(t, b), left: elements - 1}
		require.ErrorIs(t, g.all(1, maxDepth), errElements, b)
	}
	tooMany := append([]byte{0xdd, 0, 0x80, 0, 0}, make([]byte, maxElements)...)
	require.ErrorIs(t, checkMsgpack(tooMany, 1), errElements)
}

func TestGuardDoesNotAllocate(t *testing.T) {
	args, err := appendArguments(nil, most, []any{1, "two", []any{3.0, map[string]any{"four": true}}})
	require.NoError(t, err)
	deep := bytes.Repeat([]byte{0x91}, 1<<16)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if checkMsgpack(args, 1) != nil || checkMsgpack(deep, 1) == nil {
			t.Fail()
		}
	}))
}

// Values that claim much in few bytes are refused before anything is made for them.
func TestHostileValuesAreRefusedCheaply(t *testing.T) {
	for name, b := range map[string][]byte{
		"an array of 2^31 elements in 6 bytes": fromHex(t, "91dd80000000"),
		"a string of 4 GiB in 6 bytes":         fromHex(t, "91dbffffffff"),
		"a million levels":                     bytes.Repeat([]byte{0x91}, 1<<20),
	} {
		result := append([]byte{1, byte(kindAny)}, b...)
		require.Less(t, taken(func() {
			_, err := decodeAny(result)
			require.Error(t, err)
			_, err = received[any](b)
			require.Error(t, err)
		}), uint64(64<<10), name)
	}
}

// An empty map is one byte and a whole struct: the message is honest, yet 1,400 bytes of it would take 1.4 MB here,
// and 64 MB of it 64 GB.
func TestMemoryIsBoundedByTheMessage(t *testing.T) {
	type big struct{ A [128]int64 }
	const n = 1 << 17
	message := func(n int, element byte) []byte {
		head := []byte{0x91, 0xdd, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
		return append(head, bytes.Repeat([]byte{element}, n)...)
	}
	for name, read := range map[string]func(b []byte) error{
		"slice":    func(b []byte) error { _, err := received[[]big](b); return err },
		"pointers": func(b []byte) error { _, err := received[[]*big](b); return err },
		"arrays":   func(b []byte) error { _, err := received[[][100]big](b); return err },
	} {
		require.Less(t, taken(func() { require.ErrorIs(t, read(message(n, 0x80)), errMemory, name) }),
			uint64(MemoryFloor+memoryPerByte*2*n), name)
	}
	_, err := received[[]big](message(900, 0x80))
	require.NoError(t, err, "small amounts pass whatever their density")

	for name, b := range map[string][]byte{
		"nils": message(n, 0xc0), "empty maps": message(n, 0x80), "empty arrays": message(n, 0x90),
	} {
		require.Less(t, taken(func() {
			_, err := received[any](b)
			require.NoError(t, err, name)
		}), uint64(2*memoryPerByte*len(b)), name)
	}
}
