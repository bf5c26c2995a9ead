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
// is at most 1,000, and the value ends exactly at the end; else the call is answered InvalidArgument.
func TestGuardBoundsDepth(t *testing.T) {
	nest := func(outer string, levels int) []byte {
		return append(bytes.Repeat(fromHex(t, outer), levels), 0xc0)
	}
	for _, outer := range []string{"91", "dc0001", "8101", "dd00000001"} {
		require.NoError(t, checkMsgpack(nest(outer, maxDepth), 1), outer)
		require.ErrorIs(t, checkMsgpack(nest(outer, maxDepth+1), 1), errDepth, outer)
	}
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

// manyOf is an argument that is an array of n such elements.
func manyOf(t testing.TB, n int, element string) []byte {
	head := []byte{0x91, 0xdd, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	return append(head, bytes.Repeat(fromHex(t, element), n)...)
}

// fat is a struct that a single byte may stand for, as large as a map keeps in its places.
type fat struct{ A [16]int64 }

// An empty map is one byte and a whole struct, a map of one entry three bytes and eight places.
//
// [VAL-4] What is made of a message takes, as the receiver counts it, at most 16 MiB of memory and 128 bytes for each
// of its bytes. It is never more than 1 GiB, or 16 bytes for each of its bytes if that is more. Else the call is
// answered InvalidArgument.
func TestMemoryIsBoundedByTheMessage(t *testing.T) {
	const n = 1 << 16
	atMost := func(size int) uint64 { return uint64(memoryFor(size)) * 5 / 4 } // the allocator rounds up
	type big struct{ A [128]int64 }
	for name, read := range map[string]func() (int, error){
		"structs":        readMany[[]big](t, n, "80"),
		"pointers":       readMany[[]*big](t, n, "80"),
		"arrays":         readMany[[][100]big](t, n, "80"),
		"maps":           readMany[[]map[string]fat](t, n, "81a080"),
		"maps of large":  readMany[[]map[string]big](t, n, "81a080"),
		"keys":           readMany[[]map[fat]bool](t, n, "8180c2"),
		"maps in arrays": readMany[[][2]map[string]fat](t, n, "9281a08081a080"),
	} {
		var size int
		took := taken(func() {
			var err error
			size, err = read()
			require.ErrorIs(t, err, errMemory, name)
		})
		require.Less(t, took, atMost(size), name)
	}
	for name, element := range map[string]string{
		"nils": "c0", "empty maps": "80", "empty arrays": "90", "maps of one": "81a0c0", "by number": "8100c0",
		"by array": "8190c0", "two keys": "82a0c000c0", "three keys": "83a0c000c090c0",
		"large maps":  "8901a002a003a004a005a006a007a008a009a0",
		"empty bytes": "c400", "strings": "a26161", "maps in maps": "81a081a081a0c0",
	} {
		b := manyOf(t, n, element)
		took := taken(func() {
			if _, err := received[any](b); err != nil {
				require.ErrorIs(t, err, errMemory, name)
			}
		})
		require.Less(t, took, atMost(len(b)), name)
	}
	require.EqualValues(t, 1<<30, memoryFor(64<<20), "the largest message, unless configured")
	require.Equal(t, int64(16)<<30, memoryFor(1<<30))
}

// readMany is how an array of n such elements is read as a P. It returns the bytes of the message.
func readMany[P any](t *testing.T, n int, element string) func() (int, error) {
	b := manyOf(t, n, element)
	return func() (int, error) {
		_, err := received[P](b)
		return len(b), err
	}
}

// Honest values are far from those bounds, where nearly nothing of them is sent, too.
func TestHonestValuesAreNotBoundedByMemory(t *testing.T) {
	type sparse struct {
		ID   int        `json:",omitempty"`
		Rest [97]int64  `json:"-"`
		Note []struct{} `json:",omitempty"`
	}
	require.Len(t, carried[[]sparse](t, make([]sparse, 5000)), 5000)
	got, err := DecodeAs[[]sparse](resultOf(t, func() []sparse { return make([]sparse, 5000) }))
	require.NoError(t, err)
	require.Len(t, got, 5000)
	for name, element := range map[string]string{"empty": "80", "of one entry": "81a0c0", "of one name": "81a16101"} {
		_, err := received[any](manyOf(t, 1<<18, element))
		require.NoError(t, err, "maps %s", name)
		_, err = received[[]map[string]*int](manyOf(t, 1<<18, element))
		require.NoError(t, err, "maps %s", name)
	}
	_, err = received[any](manyOf(t, 1<<18, "8100c0"))
	require.NoError(t, err, "maps by number")
	many := manyOf(t, 9_000_000, "01")
	numbers, err := received[[]int](many)
	require.NoError(t, err)
	require.Len(t, numbers, 9_000_000)
	_, err = received[any](many)
	require.NoError(t, err)
}

// A list of a thousand that are linked to each other is sent, a longer one is not.
func TestLinkedLists(t *testing.T) {
	type link struct {
		N    int
		Next *link `json:",omitempty"`
	}
	chain := func(n int) (first *link) {
		for i := range n {
			first = &link{i, first}
		}
		return first
	}
	require.Equal(t, chain(maxDepth), carried[*link](t, chain(maxDepth)))
	_, err := appendArguments(nil, most, []any{chain(maxDepth + 1)})
	require.ErrorContains(t, err, errDepth.Error())
}
