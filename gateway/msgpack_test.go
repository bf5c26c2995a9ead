package gateway

import (
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

// What another implementation writes is read, and the other way round.
func FuzzMsgpack(f *testing.F) {
	for _, v := range []any{nil, true, 5, -5, int64(1) << 40, uint64(math.MaxUint64), 1.5, float32(1.5), "text",
		[]byte{1, 2},
		strings.Repeat("x", 300), []any{1, []any{}}, map[string]any{"a": 1}, map[int]string{1: "a"},
		time.Unix(1, 5).UTC(), time.Unix(-1, 0).UTC(), make([]int, 70_000)} {
		b, err := msgpack.Marshal(v)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := parseMsgpack(string(text), nil)
		if err != nil {
			return
		}
		b, err := appendMsgpack(nil, v)
		require.NoError(t, err)
		again, err := parseMsgpack(string(b), nil)
		require.NoError(t, err, "%x", b)
		if list, _ := v.([]any); len(list) > 0 || holdsNaN(v) { // NaN differs from itself
			return
		}
		require.Equal(t, v, again)
		var other any
		require.NoError(t, msgpack.Unmarshal(b, &other), "%x", b)
	})
}

func holdsNaN(v any) bool {
	switch v := v.(type) {
	case float64:
		return math.IsNaN(v)
	case []any, map[string]any, map[any]any:
		return true
	}
	return false
}

func TestMsgpackIsRead(t *testing.T) {
	when := time.Unix(1<<35, 999_999_999).UTC()
	want := map[string]any{"list": []any{int64(1), int64(-200), 1.5, nil, true, []byte{0, 255}, when},
		"map": map[any]any{int64(1): "a", true: "b"}}
	b, err := msgpack.Marshal(want)
	require.NoError(t, err)
	got, err := parseMsgpack(string(b), nil)
	require.NoError(t, err)
	require.Equal(t, want, got)
	b, err = appendMsgpack(nil, map[string]any{"i8": int8(-1), "u16": uint16(7), "grid": [][]int8{{1}},
		"nil": []int(nil), "long": strings.Repeat("x", 70_000), "short": strings.Repeat("x", 200), "took": time.Second})
	require.NoError(t, err)
	var other map[string]any
	require.NoError(t, msgpack.Unmarshal(b, &other))
	require.EqualValues(t, -1, other["i8"])
	require.EqualValues(t, time.Second, other["took"])
	require.Len(t, other["long"], 70_000)
}

func TestBadMsgpack(t *testing.T) {
	for text, want := range map[string]error{
		"\x92\x01": errPackedEnd, "\xdd\xff\xff\xff\xff": errPackedEnd, "\xdf\xff\xff\xff\xff": errPackedEnd,
		"\xdb\xff\xff\xff\xffx": errPackedEnd, "\xc6\xff\xff\xff\xff": errPackedEnd,
		"": errPackedEnd, "\xcd\x01": errPackedEnd, "\x01\x02": errPackedRest,
		"\xc1": errPackedKind, "\xd4\x01\x00": errPackedKind, "\xd6\x05\x00\x00\x00\x00": errPackedKind,
		"\xd7\xff\xff\xff\xff\xff\x00\x00\x00\x00": errPackedKind, "\xa1\xff": errPackedText,
		"\x82\xa1a\x01\xa1a\x02": errPackedKey, "\x81\x90\x01": errPackedKey, "\x81\xc0\x01": errPackedKey,
		"\x81\xc4\x01a\x01":                                    errPackedKey,
		strings.Repeat("\x91", 70) + "\x01":                    errPackedDepth,
		"\xdd\x00\x10\x00\x00" + strings.Repeat("\x01", 1<<20): errPackedDepth,
	} {
		_, err := parseMsgpack(text, nil)
		require.Equal(t, want, err, "%.20x", text)
	}
}

// "a length counts only as far as there are bytes", also those of lists within each other
func TestLengthsOfMsgpackTakeNoMemory(t *testing.T) {
	text := strings.Repeat("\xdd\xff\xff\xff\xff", 64) + strings.Repeat("\xc1", 1<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := parseMsgpack(text, nil)
	runtime.ReadMemStats(&after)
	require.Equal(t, errPackedKind, err)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), "64 lists that say they have a million values")
}
