package codec

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

func TestResultsOnTheWire(t *testing.T) {
	for want, fn := range map[string]any{
		"00":                    func() {},
		"010305":                func() int { return 5 },
		"010405":                func() int8 { return 5 },
		"010d ca3fc00000":       func() float32 { return 1.5 },
		"010fa161":              func() string { return "a" },
		"0112c40101":            func() []byte { return []byte{1} },
		"0112c4020102":          func() [2]byte { return [2]byte{1, 2} },
		"01130391 01":           func() []int { return []int{1} },
		"01140f1303 81a1619101": func() map[string][]int { return map[string][]int{"a": {1}} },
		"0113019180":            func() []struct{} { return []struct{}{{}} },
		"0103c0":                func() *int { return nil },
		"01100a":                func() time.Duration { return 10 },
		"0203 0f 01a161":        func() (int, string) { return 1, "a" },
		"0101 01":               func() any { return 1 },
	} {
		require.Equal(t, strings.ReplaceAll(want, " ", ""), hex.EncodeToString(resultOf(t, fn)), "%T", fn)
	}
}

// What is deeper than maxKindDepth, has no kind of one byte, or could not be a key, is described as any.
func TestDescriptionsAreBounded(t *testing.T) {
	type deep [][][][][][][][][][]int
	for _, c := range []struct {
		typ  reflect.Type
		want []kind
	}{
		{reflect.TypeFor[deep](), []kind{kindSlice, kindSlice, kindSlice, kindSlice, kindSlice, kindSlice, kindSlice,
			kindSlice, kindAny}},
		{reflect.TypeFor[map[[2]int]int](), []kind{kindAny}},
		{reflect.TypeFor[map[any]int](), []kind{kindAny}},
		{reflect.TypeFor[map[grade]int](), []kind{kindAny}},
		{reflect.TypeFor[map[day]place](), []kind{kindMap, kindUint8, kindAny}},
		{reflect.TypeFor[[]grade](), []kind{kindSlice, kindAny}},
		{reflect.TypeFor[[]day](), []kind{kindBytes}},
		{reflect.TypeFor[[2][]string](), []kind{kindSlice, kindSlice, kindString}},
		{reflect.TypeFor[*map[time.Time]*int](), []kind{kindMap, kindTime, kindAny}},
	} {
		var want []byte
		for _, k := range c.want {
			want = append(want, byte(k))
		}
		desc := AppendKind(nil, c.typ)
		require.Equal(t, want, desc, c.typ)
		got, rest, err := cutKind(append(desc, 0xff))
		require.NoError(t, err)
		require.Equal(t, desc, got)
		require.Equal(t, []byte{0xff}, rest)
	}
}

// A deep result arrives whole although its description ends early.
func TestResultDeeperThanItsDescription(t *testing.T) {
	x, err := decodeAny(resultOf(t,
		func() [][][][][][][][][][]int { return [][][][][][][][][][]int{{{{{{{{{{7}}}}}}}}}} }))
	require.NoError(t, err)
	require.Equal(t, [][][][][][][][]any{{{{{{{{[]any{[]any{int64(7)}}}}}}}}}}, x)
}

// [VAL-3] A description that is malformed, or has an unknown code, makes the reply undecodable: Internal, executed yes.
func TestMalformedResults(t *testing.T) {
	for _, b := range []string{
		"",                         // nothing
		"01",                       // a result without a description
		"0103",                     // without a value
		"010005",                   // kind 0
		"011505",                   // a kind to come
		"0113",                     // a slice of what?
		"0114",                     // a map of what?
		"01140f",                   // a map to what?
		"0114130380",               // a map by slices
		"01140180",                 // a map by any
		"0113131313131313131303c0", // deeper than descriptions are
		"01030505",                 // one value too many
		"02030305",                 // one too few
		"0005",                     // a value of no result
		"0103a161",                 // not what it is described as
		"010481cd012c05",
		"0104cd012c", // 300 as an int8
		"011104",     // an int as a time
		"ff" + hex.EncodeToString(make([]byte, 300)),
	} {
		_, err := decodeAny(fromHex(t, b))
		requireFailure(t, err, wire.Internal, "undecodable result")
	}
}

// "the same as Call": any kind of R takes what the function returned, by the rules of arguments.
func TestTypedResults(t *testing.T) {
	n, err := DecodeAs[int](resultOf(t, func() int8 { return 5 }))
	require.NoError(t, err)
	require.Equal(t, 5, n)
	f, err := DecodeAs[float64](resultOf(t, func() int { return 5 }))
	require.NoError(t, err)
	require.Equal(t, 5.0, f)
	b, err := DecodeAs[bool](resultOf(t, func() bool { return true }))
	require.NoError(t, err)
	require.True(t, b)
	s, err := DecodeAs[string](resultOf(t, func() word { return "a" }))
	require.NoError(t, err)
	require.Equal(t, "a", s)
	raw, err := DecodeAs[[]byte](resultOf(t, func() []byte { return []byte{1} }))
	require.NoError(t, err)
	require.Equal(t, []byte{1}, raw)
	raw, err = DecodeAs[[]byte](resultOf(t, func() []byte { return nil }))
	require.NoError(t, err)
	require.Nil(t, raw)
	raw, err = DecodeAs[[]byte](resultOf(t, func() []int { return []int{1, 2} }))
	require.NoError(t, err)
	require.Equal(t, []byte{1, 2}, raw)
	p, err := DecodeAs[*place](resultOf(t, func() place { return place{City: "c"} }))
	require.NoError(t, err)
	require.Equal(t, &place{City: "c"}, p)
	p, err = DecodeAs[*place](resultOf(t, func() *place { return nil }))
	require.NoError(t, err)
	require.Nil(t, p)
	x, err := DecodeAs[any](resultOf(t, func() []int8 { return []int8{1} }))
	require.NoError(t, err)
	require.Equal(t, []int8{1}, x)
	x, err = DecodeAs[any](resultOf(t, func() {}))
	require.NoError(t, err)
	require.Nil(t, x)
	x, err = DecodeAs[any](resultOf(t, func() (int, bool) { return 1, true }))
	require.NoError(t, err)
	require.Equal(t, []any{1, true}, x)
	_, err = DecodeAs[struct{}](resultOf(t, func() {}))
	require.NoError(t, err)
}

func TestTypedResultsThatDoNotFit(t *testing.T) {
	_, err := DecodeAs[int8](resultOf(t, func() int { return 300 }))
	requireFailure(t, err, wire.InvalidArgument, "result 1: 300 does not fit int8")
	n, err := DecodeAs[int](resultOf(t, func() float64 { return 3.5 }))
	requireFailure(t, err, wire.InvalidArgument, "result 1: 3.5 does not fit int")
	require.Zero(t, n)
	_, err = DecodeAs[int](resultOf(t, func() *int { return nil }))
	requireFailure(t, err, wire.InvalidArgument, "result 1: nil does not fit int")
	_, err = DecodeAs[int](resultOf(t, func() {}))
	requireFailure(t, err, wire.InvalidArgument, "the function returns 0 results, want 1")
	_, err = DecodeAs[*int](resultOf(t, func() {}))
	requireFailure(t, err, wire.InvalidArgument, "the function returns 0 results, want 1")
	_, err = DecodeAs[[]any](resultOf(t, func() (int, int) { return 1, 2 }))
	requireFailure(t, err, wire.InvalidArgument, "the function returns 2 results, want 1")
	_, err = DecodeAs[struct{}](resultOf(t, func() int { return 1 }))
	requireFailure(t, err, wire.InvalidArgument, "an int does not fit struct {}")
	_, err = DecodeAs[fmt.Stringer](resultOf(t, func() int { return 1 }))
	requireFailure(t, err, wire.InvalidArgument, "fmt.Stringer cannot be received")
	_, err = DecodeAs[chan int](resultOf(t, func() int { return 1 }))
	requireFailure(t, err, wire.InvalidArgument, "chan int cannot be received")
	for _, broken := range [][]byte{nil, {1}, {1, byte(kindInt), 0xc1}} {
		_, err = DecodeAs[int](broken)
		requireFailure(t, err, wire.Internal, "undecodable result")
		_, err = DecodeAs[int8](broken)
		requireFailure(t, err, wire.Internal, "undecodable result")
	}
}

func TestResultsForBind(t *testing.T) {
	types := []reflect.Type{reflect.TypeFor[int64](), reflect.TypeFor[any](), reflect.TypeFor[*place](),
		reflect.TypeFor[any]()}
	result := resultOf(t, func() (int, []int8, place, *int) { return 1, []int8{2}, place{City: "c"}, nil })
	got, err := DecodeResults(result, types, false)
	require.NoError(t, err)
	require.Len(t, got, len(types))
	for i, want := range []any{int64(1), []int8{2}, &place{City: "c"}, nil} {
		require.Equal(t, types[i], got[i].Type())
		require.Equal(t, want, got[i].Interface())
	}
	_, err = DecodeResults(result, types[:3], false)
	requireFailure(t, err, wire.InvalidArgument, "the function returns 4 results, want 3")
	types[2] = reflect.TypeFor[string]()
	_, err = DecodeResults(result, types, false)
	requireFailure(t, err, wire.InvalidArgument, "result 3: a map or struct does not fit string")

	got, err = DecodeResults(resultOf(t, func() {}), nil, false)
	require.NoError(t, err)
	require.Empty(t, got)
	_, err = DecodeResults(nil, nil, false)
	requireFailure(t, err, wire.Internal, "undecodable result")
}

// Go keeps a type made at run time for ever, so a provider that invents kinds is stopped.
func TestKindsFromPeersAreBounded(t *testing.T) {
	kept := kindPlans.seen
	t.Cleanup(func() { kindPlans.seen = kept })
	kindPlans.seen = map[string]*Plan{}

	var refused error
	for key := kindBool; key <= kindTime; key++ { // 16 × 16 × 16 × 2 descriptions
		for second := kindBool; second <= kindTime; second++ {
			for third := kindBool; third <= kindTime; third++ {
				for _, last := range []kind{kindInt, kindString} {
					desc := []byte{byte(kindMap), byte(key), byte(kindMap), byte(second), byte(kindMap), byte(third),
						byte(last)}
					if _, err := planOfKind(desc); err != nil {
						refused = err
					}
				}
			}
		}
	}
	require.ErrorIs(t, refused, errKinds)
	require.Len(t, kindPlans.seen, maxKinds)
	_, err := planOfKind([]byte{byte(kindMap), byte(kindBool), byte(kindMap), byte(kindBool), byte(kindMap),
		byte(kindBool), byte(kindInt)})
	require.NoError(t, err, "those already seen go on")
}
