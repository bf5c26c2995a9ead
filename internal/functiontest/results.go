package functiontest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"broach/internal/wire"
)

// Results arrive in the kind that the function declared.
var results = []Case{
	gives("int", 3, func(x, y int) int { return x + y }, 1, 2),
	gives("bool", true, func(x bool) bool { return !x }, false),
	gives("int8", int8(-128), func(x int8) int8 { return x }, -128),
	gives("int16", int16(5), func(x int16) int16 { return x }, int8(5)),
	gives("int32", int32(7), func(x int32) int32 { return x }, uint64(7)),
	gives("int64", int64(math.MinInt64), func(x int64) int64 { return x }, int64(math.MinInt64)),
	gives("uint", uint(8), func(x uint) uint { return x }, 8),
	gives("uint8", uint8(255), func(x uint8) uint8 { return x }, 255),
	gives("uint16", uint16(65535), func(x uint16) uint16 { return x }, 65535),
	gives("uint32", uint32(1<<31), func(x uint32) uint32 { return x }, uint32(1<<31)),
	gives("uint64", uint64(math.MaxUint64), func(x uint64) uint64 { return x }, uint64(math.MaxUint64)),
	gives("float32", float32(0.1), func(x float32) float32 { return x }, float32(0.1)),
	gives("float64", 0.1, func(x float64) float64 { return x }, 0.1),
	gives("string", "Grüße, 世界\x00", func(s string) string { return s }, "Grüße, 世界\x00"),
	gives("string that is not UTF-8", "\xff\xfe", func(s string) string { return s }, "\xff\xfe"),
	gives("bytes", []byte{0, 255}, func(b []byte) []byte { return b }, []byte{0, 255}),
	gives("empty bytes", []byte{}, func(b []byte) []byte { return b }, []byte{}),
	gives("duration", 2*time.Second, func(d time.Duration) time.Duration { return 2 * d }, time.Second),
	gives("time", noon, func(x time.Time) time.Time { return x }, noon),
	gives("zero time", time.Time{}, func(x time.Time) time.Time { return x }, time.Time{}),
	gives("time from RFC 3339", noon, func(x time.Time) time.Time { return x },
		noon.In(zone).Format(time.RFC3339Nano)),
	gives("time is UTC, whatever zone it had", []any{noon, true},
		func(x time.Time) (time.Time, bool) { return x, x == noon }, noon.In(zone)),
	gives("time in an any is UTC", noon, func(x any) any { return x }, noon.Local()),
	gives("time without its monotonic part", true, func(x time.Time) bool { return x == x.Round(0) }, time.Now()),
	gives("times of one instant are one key", 1,
		func(m map[time.Time]int) int { return m[noon] }, map[time.Time]int{noon.In(zone): 1}),
	gives("slice", []int{1, 2}, func(x []int) []int { return x }, []int{1, 2}),
	gives("empty slice", []int{}, func(x []int) []int { return x }, []int{}),
	gives("slice of slices", [][]int8{{1}, nil, {}}, func(x [][]int8) [][]int8 { return x }, [][]int{{1}, nil, {}}),
	gives("map", map[string]int{"a": 1}, func(m map[string]int) map[string]int { return m }, map[string]int{"a": 1}),
	gives("nested maps", map[int]map[string][]bool{1: {"a": {true}}},
		func(m map[int]map[string][]bool) map[int]map[string][]bool { return m },
		map[int]map[string][]bool{1: {"a": {true}}}),
	gives("map by time", map[time.Duration]int{time.Second: 1},
		func() map[time.Duration]int { return map[time.Duration]int{time.Second: 1} }),
	gives("array", []int{1, 2, 3}, func(x [3]int) [3]int { return x }, []int{1, 2, 3}),
	gives("array of bytes", []byte{1, 2, 3, 4}, func(x [4]byte) [4]byte { return x }, [4]byte{1, 2, 3, 4}),
	gives("named types arrive as their basic kind", []any{float32(36.5), uint8(3), "x"},
		func(c celsius, w weekday, s title) (celsius, weekday, title) { return c, w, s },
		celsius(36.5), weekday(3), title("x")),
	gives("slice of a named type", []float32{1}, func(w []celsius) []celsius { return w }, []celsius{1}),
	gives("pointer to a plain kind", 5, func() *int { return pointerTo(5) }),
	gives("pointer to a pointer", int8(5), func() **int8 { return pointerTo(pointerTo(int8(5))) }),
	gives("pointers within are generic", []any{int64(5), nil}, func() []*int { return []*int{pointerTo(5), nil} }),
	gives("maps deep within are generic", map[string]any{"M": map[any]any{int64(1): "a"}},
		func() any { return struct{ M map[int8]string }{map[int8]string{1: "a"}} }),
	gives("any result is generic", int64(5), func() any { return int8(5) }),
	gives("slice of any", []any{int64(1), "a", nil, []byte{1}, 1.5},
		func() []any { return []any{1, "a", nil, []byte{1}, 1.5} }),
	gives("no result", nil, func() {}),
	gives("several results", []any{1, "a", []int16{2}}, func() (int, string, []int16) { return 1, "a", []int16{2} }),
	gives("several results, the last an error", []any{1, "a"}, func() (int, string, error) { return 1, "a", nil }),
	gives("only an error", nil, func() error { return nil }),
}

// Structs: tags msgpack, json, name; unknown ignored, missing zero; as any a map.
var structs = []Case{
	gives("struct as any", map[string]any{"street": "s", "town": "c"},
		func() address { return address{Street: "s", City: "c"} }),
	gives("pointer to a struct as any", map[string]any{"street": "", "town": ""},
		func() *address { return &address{} }),
	gives("slice of structs as any", []any{map[string]any{"street": "s", "town": ""}},
		func() []address { return []address{{Street: "s"}} }),
	gives("map of structs as any", map[int]any{1: map[string]any{"street": "", "town": ""}},
		func() map[int]address { return map[int]address{1: {}} }),
	gives("struct",
		map[string]any{
			"name": "Ann", "age": int64(41), "Home": map[string]any{"street": "", "town": "c"},
			"tags": map[string]any{"t": []any{int64(1)}}, "By": "b",
		},
		func(p person) person { return p },
		person{
			Name: "Ann", Age: 41, Home: &address{City: "c"}, Tags: map[string][]int16{"t": {1}},
			Password: "p", Hidden: "h", secret: "s", audit: audit{By: "b"},
		}),
	gives("struct from a map", "AnnUlmme",
		func(p person) string { return p.Name + p.Home.City + p.By },
		map[string]any{"name": "Ann", "Home": map[string]string{"town": "Ulm"}, "By": "me"}),
	gives("unknown fields are ignored, missing ones zero", true,
		func(p *person) bool { return p.Name == "" && p.Age == 3 && p.Home == nil },
		map[string]any{"age": 3, "shoes": []any{map[string]any{"size": 44}}, "Name": "case matters"}),
	gives("fields without a name travel not at all", true,
		func(p person) bool { return p.Password == "" && p.Hidden == "" },
		map[string]any{"Password": "x", "Hidden": "x", "-": "x", "shown": "x"}),
	refused("a field out of range", "argument 1 of f(functiontest.person): field age: 300 does not fit int8",
		func(p person) {}, map[string]any{"age": 300}),
	gives("linked list", 6,
		func(n *listNode) int { return n.Value + n.Next.Value + n.Next.Next.Value },
		&listNode{1, &listNode{2, &listNode{3, nil}}}),
	gives("tree",
		map[string]any{
			"Name": "r", "Children": []any{map[string]any{"Name": "c", "Children": nil, "ByName": nil}},
			"ByName": map[string]any{"n": nil},
		},
		func(t tree) tree { return t },
		tree{Name: "r", Children: []tree{{Name: "c"}}, ByName: map[string]*tree{"n": nil}}),
}

// A first context and a last error are no arguments and no results.
var signatures = []Case{
	gives("context first", true, deadlineOf),
	gives("context and arguments", "1atrue",
		func(ctx context.Context, x int, s string) string { return fmt.Sprint(x, s, ctx != nil) }, 1, "a"),
	fails("error", wire.Application, "no milk", func() (int, error) { return 7, errors.New("no milk") }),
	fails("error that panics", wire.Internal, "the function panicked", func() error { return (*flat)(nil) }),
	fails("deadline of something else", wire.Application, "",
		func(context.Context) error { return context.DeadlineExceeded }),
	fails("panic", wire.Internal, "the function panicked", func(x []int) int { return x[5] }, []int{1}),
}

// Variadic.
var variadics = []Case{
	gives("variadic", "a[1 2]", func(s string, n ...int) string { return fmt.Sprint(s, n) }, "a", 1, 2),
	gives("variadic without any", true, func(n ...int) bool { return n != nil && len(n) == 0 }),
	gives("variadic of any", 3, func(x ...any) int { return len(x) }, 1, nil, "a"),
	refused("variadic with too few", "f(string, ...int): got 0 arguments", func(s string, n ...int) {}),
	refused("variadic out of range", "argument 2 of f(...int8): 300 does not fit int8", func(n ...int8) {}, 1, 300),
}

// The number of arguments.
var counts = []Case{
	refused("too few", "f(int, int) int: got 1 argument", func(x, y int) int { return x + y }, 1),
	refused("too many", "f(): got 2 arguments", func(ctx context.Context) error { return nil }, 1, 2),
}

// Any function value will do.
var functions = []Case{
	gives("method value", 11, calculator{10}.Add, 1),
	gives("method value of a pointer", 21, (&calculator{20}).AddTo, 1),
	gives("generic instance", 2.5, largest[float64], 1, 2.5),
	gives("closure", "ab",
		func(prefix string) func(string) string { return func(s string) string { return prefix + s } }("a"), "b"),
	gives("unnamed struct", 6, func(p struct{ X, Y int }) int { return p.X * p.Y }, map[string]int{"X": 2, "Y": 3}),
	fails("error of io", wire.Application, "unexpected EOF",
		func(b []byte) ([]byte, error) { return nil, io.ErrUnexpectedEOF }, []byte{}),
}
