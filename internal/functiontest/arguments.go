package functiontest

import (
	"math"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// Numbers fit exactly or not at all, however they came and however deep they lie; but a float for a float32.
//
// [VAL-2] A number MUST be refused, at any depth, where it does not fit its parameter exactly.
var numbers = []Case{
	refused("300 is no int8", "argument 1 of f(int8): 300 does not fit int8", func(int8) {}, 300),
	refused("the second argument", "argument 2 of f(int8, int8) int8: -129 does not fit int8",
		func(x, y int8) int8 { return x }, 1, -129),
	refused("-1 is no uint", "-1 does not fit uint", func(uint) {}, -1),
	refused("2^63 is no int64", "9223372036854775808 does not fit int64", func(int64) {}, uint64(1<<63)),
	gives("int from 3.0", 3, func(x int) int { return x }, 3.0),
	gives("uint from 3.0", uint16(3), func(x uint16) uint16 { return x }, float32(3)),
	refused("int from 3.5", "argument 1 of f(int) int: 3.5 does not fit int", func(x int) int { return x }, 3.5),
	refused("int from NaN", "NaN does not fit int", func(int) {}, math.NaN()),
	refused("int from 2^63 as a float", "does not fit int64", func(int64) {}, float64(1<<63)),
	gives("int from -2^63 as a float", int64(math.MinInt64), func(x int64) int64 { return x }, float64(-1<<63)),
	refused("uint from 2^64 as a float", "does not fit uint64", func(uint64) {}, float64(1<<64)),
	gives("float64 from an int", float64(1<<30), func(x float64) float64 { return x }, 1<<30),
	refused("float64 from 2^53+1", "9007199254740993 does not fit float64", func(float64) {}, int64(1<<53+1)),
	gives("float64 from 2^63", float64(1<<63), func(x float64) float64 { return x }, uint64(1<<63)),
	refused("float64 from 2^64-1", "does not fit float64", func(float64) {}, uint64(math.MaxUint64)),
	refused("float64 from 2^63-1", "does not fit float64", func(float64) {}, int64(math.MaxInt64)),
	gives("float32 from 0.5", float32(0.5), func(x float32) float32 { return x }, 0.5),
	gives("float32 from 0.1", float32(0.1), func(x float32) float32 { return x }, 0.1),
	gives("float32 from 1e-300", float32(0), func(x float32) float32 { return x }, 1e-300),
	gives("float32 the largest", float32(math.MaxFloat32), func(x float32) float32 { return x }, math.MaxFloat32),
	refused("float32 from 1e300", "does not fit float32", func(float32) {}, 1e300),
	refused("float32 from -3.5e38", "-3.5e+38 does not fit float32", func(float32) {}, -3.5e38),
	refused("float32 from 2^24+1", "does not fit float32", func(float32) {}, 1<<24+1),
	gives("float32 infinite", float32(math.Inf(-1)), func(x float32) float32 { return x }, math.Inf(-1)),
	gives("float32s from float64s", []float32{0.1, 2}, func(x []float32) []float32 { return x }, []any{0.1, 2}),
	refused("in a slice", "argument 1 of f([]int8): element 2: 128 does not fit int8",
		func([]int8) {}, []any{1, 2.0, 128}),
	refused("in a map", "256 does not fit uint8", func(map[string][2]uint8) {}, map[string][]int{"a": {1, 256}}),
	refused("as a map key", "map key: 1000 does not fit int8", func(map[int8]int) {}, map[int]int{1000: 1}),
	refused("behind a pointer", "256 does not fit uint8", func(*uint8) {}, 256),
	gives("duration from a float", time.Second, func(d time.Duration) time.Duration { return d }, 1e9),
	refused("string for an int", "argument 1 of f(int): a string does not fit int", func(int) {}, "1"),
	refused("int for a string", "argument 1 of f(string) string: an int does not fit string",
		func(s string) string { return s }, 1),
	refused("int for a bool", "an int does not fit bool", func(bool) {}, 1),
	refused("bool for a float", "a bool does not fit float64", func(float64) {}, true),
	refused("too long for an array", "3 elements do not fit [2]int", func([2]int) {}, []int{1, 2, 3}),
	refused("too short for an array", "1 elements do not fit [2]uint8", func([2]byte) {}, []byte{1}),
	refused("map for a slice", "a map or struct does not fit []int", func([]int) {}, map[string]int{}),
	refused("slice for a struct", "a slice does not fit functiontest.address", func(address) {}, []int{1}),
	refused("int for a time", "an int does not fit time.Time", func(time.Time) {}, 1),
	refused("nonsense for a time", "argument 1 of f(time.Time): a string does not fit time.Time: parsing time",
		func(time.Time) {}, "noon"),
	refused("time for an int", "a time.Time does not fit int", func(int) {}, time.Unix(1, 0)),
	refused("float for a bool", "a float64 does not fit bool", func(bool) {}, 1.0),
	refused("bytes for an int", "a []byte does not fit int", func(int) {}, []byte{1}),
	refused("an extension for an int", "an extension of msgpack does not fit int", func(int) {},
		msgpack.RawMessage{0xd4, 5, 0}),
	refused("bytes that are no text", "a []byte that is not UTF-8 does not fit string", func(string) {}, []byte{0xff}),
	refused("string in a field of an element", "argument 1 of f([]functiontest.address): element 1: field town: "+
		"an int does not fit string", func([]address) {}, []any{address{}, map[string]int{"town": 1}}),
}

// Text and bytes stand in for each other as far as they can.
var texts = []Case{
	gives("bytes from a string", []byte("ab"), func(b []byte) []byte { return b }, "ab"),
	gives("bytes from numbers", []byte{1, 255}, func(b []byte) []byte { return b }, []int{1, 255}),
	refused("bytes from numbers out of range", "element 0: 256 does not fit uint8",
		func(b []byte) []byte { return b }, []int{256}),
	gives("array of bytes from numbers", []byte{1, 2}, func(b [2]byte) [2]byte { return b }, []int{1, 2}),
	gives("string from bytes", "世", func(s string) string { return s }, []byte("世")),
	refused("string from bytes that are no text", "not UTF-8", func(s string) string { return s }, []byte{0xff}),
}

// Pointers and nil.
var pointers = []Case{
	gives("nil pointer stays nil", true,
		func(p *int, q *person) bool { return p == nil && q == nil }, nil, (*person)(nil)),
	gives("pointer is a fresh copy", "changed",
		func(p *address) string { p.City = "changed"; return p.City },
		&address{City: "c"}).leaving(&address{City: "c"}),
	gives("slice is a fresh copy", 9, func(x []int) int { x[0] = 9; return x[0] }, []int{1}).leaving([]int{1}),
	gives("bytes are a fresh copy", 0, func(x []byte) int { x[0] = 9; return 0 }, []byte{1}).leaving([]byte{1}),
	gives("map is a fresh copy", 2,
		func(x map[string]int) int { x["b"] = 1; return len(x) },
		map[string]int{"a": 1}).leaving(map[string]int{"a": 1}),
	gives("nil results", []any{nil, nil, nil, nil, nil, nil},
		func() (*int, []int, map[string]int, any, []byte, *person) { return nil, nil, nil, nil, nil, nil }),
	gives("nil slice", true,
		func(x []int, m map[string]int, b []byte, a any) bool {
			return x == nil && m == nil && b == nil && a == nil
		}, nil, nil, nil, nil),
	gives("typed nils", true,
		func(x []int, m map[string]int, b []byte) bool { return x == nil && m == nil && b == nil },
		[]int(nil), map[string]int(nil), []byte(nil)),
	refused("nil for an int", "argument 1 of f(int): nil does not fit int", func(int) {}, nil),
	refused("nil for the ints of add", "argument 2 of f(int, int) int: nil does not fit int",
		func(x, y int) int { return x }, 1, nil),
	refused("nil for a bool", "nil does not fit bool", func(bool) {}, nil),
	refused("nil for a float", "nil does not fit float32", func(float32) {}, nil),
	refused("nil for a string", "nil does not fit string", func(string) {}, nil),
	refused("nil for a struct", "nil does not fit functiontest.address", func(address) {}, nil),
	refused("nil for an array", "nil does not fit [1]int", func([1]int) {}, nil),
	refused("nil for an array of bytes", "nil does not fit [1]uint8", func([1]byte) {}, nil),
	refused("nil for a time", "nil does not fit time.Time", func(time.Time) {}, nil),
	refused("nil within a slice of ints", "element 1: nil does not fit int", func([]int) {}, []any{1, nil}),
}

// What an any parameter gets.
var anything = []Case{
	gives("any: bool", true, func(x any) bool { return x.(bool) }, true),
	gives("any: int64", int64(200), func(x any) int64 { return x.(int64) }, uint8(200)),
	gives("any: the largest int64", int64(math.MaxInt64),
		func(x any) int64 { return x.(int64) }, uint64(math.MaxInt64)),
	gives("any: uint64 above", uint64(1<<63), func(x any) uint64 { return x.(uint64) }, uint64(1<<63)),
	gives("any: float64", 0.5, func(x any) float64 { return x.(float64) }, float32(0.5)),
	gives("any: a whole float stays one", 3.0, func(x any) float64 { return x.(float64) }, 3.0),
	gives("any: string", "a", func(x any) string { return x.(string) }, title("a")),
	gives("any: bytes", []byte{1}, func(x any) []byte { return x.([]byte) }, []byte{1}),
	gives("any: time", noon, func(x any) time.Time { return x.(time.Time) }, noon),
	gives("any: duration", int64(1e9), func(x any) int64 { return x.(int64) }, time.Second),
	gives("any: list of ints", []any{int64(1), int64(2)}, func(x any) []any { return x.([]any) }, []int{1, 2}),
	gives("any: map", []any{"b"}, func(x any) any { return x.(map[string]any)["a"] }, map[string][]string{"a": {"b"}}),
	gives("any: struct", map[string]any{"street": "", "town": "c"}, echoAny, address{City: "c"}),
	gives("any: nil", true, func(x any) bool { return x == nil }, nil),
	gives("any: map without string keys", map[any]any{int64(1): int64(2), true: nil},
		echoAny, map[any]any{1: 2, true: nil}),
	gives("any: map of some string keys", map[any]any{"a": "b", 1.5: "c"}, echoAny, map[any]any{"a": "b", 1.5: "c"}),
	gives("any: map by what cannot be a key", [][2]any{{[]any{int64(1)}, "a"}},
		func() any { return map[[1]int]string{{1}: "a"} }),
	gives("any: map by bytes and more", 3, func(x any) int { return len(x.([][2]any)) },
		map[any]any{[1]byte{1}: "a", "b": "b", 3: "c"}),
	gives("any: map by time", map[any]any{noon: true}, echoAny, map[time.Time]bool{noon: true}),
	gives("any: unknown extension", msgpack.RawMessage{0xd4, 5, 1}, echoAny, msgpack.RawMessage{0xd4, 5, 1}),
	refused("keys that become equal", "two keys of a map have become equal",
		func(map[time.Time]int) {}, map[time.Time]int{noon: 1, noon.In(zone): 2}),
	refused("any: keys that become equal", "two keys of a map have become equal",
		echoAny, map[any]int{int8(1): 1, 1: 2}),
	refused("any: texts that become equal", "two keys of a map have become equal", echoAny, map[level]int{0: 1, -1: 2}),
	gives("any as a map key", 3, func(m map[any]int) int { return m["a"] + m[int64(1)] }, map[any]int{"a": 1, 1: 2}),
	refused("any as a map key, unhashable", "a map key cannot hold", func(map[any]int) {}, map[[1]int]int{{1}: 1}),
	gives("pointer to any", "a", func(x *any) any { return *x }, "a"),
}
