package broach

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"net/netip"
	"testing"
	"time"

	"broach/internal/codec"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

// A semanticCase is one line of what a call means, wherever the function runs.
type semanticCase struct {
	name string
	fn   any
	args []any
	want any // the result, as Call gives it

	code     Code   // of the error wanted; zero for none
	text     string // part of its text
	executed Executed

	after []any // what args must be afterwards, where the function changes what it got
}

// A semanticCall registers fn under that name and calls it.
type semanticCall func(t *testing.T, name string, fn any, args []any) (any, error)

// runSemanticCases holds every way of calling to the same meaning.
func runSemanticCases(t *testing.T, call semanticCall) {
	for _, c := range semanticCases {
		got, err := call(t, "f", c.fn, c.args)
		if c.code == 0 {
			require.NoError(t, err, c.name)
			require.Equal(t, c.want, got, c.name)
		} else {
			var e *Error
			require.ErrorAs(t, err, &e, c.name)
			require.Equal(t, c.code, e.Code, "%s: %s", c.name, e.Message)
			require.Contains(t, e.Message, c.text, c.name)
			require.Equal(t, c.executed, e.Executed, c.name)
		}
		if c.after != nil {
			require.Equal(t, c.after, c.args, c.name)
		}
	}
}

// callCodec is a call without a network. It catches panics as the pool does.
func callCodec(t *testing.T, name string, fn any, args []any) (result any, err error) {
	f, err := newService(name, fn)
	require.NoError(t, err)
	sent, err := codec.Arguments{List: args}.Append(nil, maxMessageMost)
	if err != nil {
		return nil, new(Caller).own(err)
	}
	defer func() {
		if recover() != nil {
			err = &Error{Code: Internal, Message: "the function panicked", Executed: Yes}
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	reply, refusal := f.invoke(ctx, sent, nil)
	if refusal != nil {
		return nil, refusal
	}
	result, err = codec.DecodeAs[any](reply)
	if err != nil {
		return nil, new(Caller).own(err)
	}
	return result, nil
}

// [VAL-2] A number that does not fit its parameter exactly MUST be refused, at any depth.
func TestSemanticsOfTheCodec(t *testing.T) {
	runSemanticCases(t, callCodec)
}

var noon = time.Date(2024, 2, 29, 12, 0, 0, 123456789, time.UTC).Local()

func echoAny(x any) any { return x }

func pointerTo[T any](x T) *T { return &x }

// cyclic values, each through another kind of reference.
func cyclicNode() *listNode {
	n := &listNode{Value: 1}
	n.Next = n
	return n
}

func cyclicSlice() []any {
	s := []any{nil}
	s[0] = s
	return s
}

func cyclicMap() map[string]any {
	m := map[string]any{}
	m["self"] = m
	return m
}

func cyclicAny() any {
	var x any
	x = &x
	return x
}

var semanticCases = []semanticCase{
	// Results arrive in the kind that the function declared.
	{name: "int", fn: func(x, y int) int { return x + y }, args: []any{1, 2}, want: 3},
	{name: "bool", fn: func(x bool) bool { return !x }, args: []any{false}, want: true},
	{name: "int8", fn: func(x int8) int8 { return x }, args: []any{-128}, want: int8(-128)},
	{name: "int16", fn: func(x int16) int16 { return x }, args: []any{int8(5)}, want: int16(5)},
	{name: "int32", fn: func(x int32) int32 { return x }, args: []any{uint64(7)}, want: int32(7)},
	{name: "int64", fn: func(x int64) int64 { return x }, args: []any{int64(math.MinInt64)}, want: int64(math.MinInt64)},
	{name: "uint", fn: func(x uint) uint { return x }, args: []any{8}, want: uint(8)},
	{name: "uint8", fn: func(x uint8) uint8 { return x }, args: []any{255}, want: uint8(255)},
	{name: "uint16", fn: func(x uint16) uint16 { return x }, args: []any{65535}, want: uint16(65535)},
	{name: "uint32", fn: func(x uint32) uint32 { return x }, args: []any{uint32(1 << 31)}, want: uint32(1 << 31)},
	{name: "uint64", fn: func(x uint64) uint64 { return x }, args: []any{uint64(math.MaxUint64)}, want: uint64(math.MaxUint64)},
	{name: "float32", fn: func(x float32) float32 { return x }, args: []any{float32(0.1)}, want: float32(0.1)},
	{name: "float64", fn: func(x float64) float64 { return x }, args: []any{0.1}, want: 0.1},
	{name: "string", fn: func(s string) string { return s }, args: []any{"Grüße, 世界\x00"}, want: "Grüße, 世界\x00"},
	{name: "string that is not UTF-8", fn: func(s string) string { return s }, args: []any{"\xff\xfe"}, want: "\xff\xfe"},
	{name: "bytes", fn: func(b []byte) []byte { return b }, args: []any{[]byte{0, 255}}, want: []byte{0, 255}},
	{name: "empty bytes", fn: func(b []byte) []byte { return b }, args: []any{[]byte{}}, want: []byte{}},
	{name: "duration", fn: func(d time.Duration) time.Duration { return 2 * d }, args: []any{time.Second}, want: 2 * time.Second},
	{name: "time", fn: func(x time.Time) time.Time { return x }, args: []any{noon}, want: noon},
	{name: "zero time", fn: func(x time.Time) time.Time { return x }, args: []any{time.Time{}}, want: time.Time{}},
	{name: "time from RFC 3339", fn: func(x time.Time) bool { return x.Equal(noon) }, args: []any{noon.Format(time.RFC3339Nano)}, want: true},
	{name: "slice", fn: func(x []int) []int { return x }, args: []any{[]int{1, 2}}, want: []int{1, 2}},
	{name: "empty slice", fn: func(x []int) []int { return x }, args: []any{[]int{}}, want: []int{}},
	{name: "slice of slices", fn: func(x [][]int8) [][]int8 { return x }, args: []any{[][]int{{1}, nil, {}}}, want: [][]int8{{1}, nil, {}}},
	{name: "map", fn: func(m map[string]int) map[string]int { return m }, args: []any{map[string]int{"a": 1}}, want: map[string]int{"a": 1}},
	{name: "nested maps", fn: func(m map[int]map[string][]bool) map[int]map[string][]bool { return m },
		args: []any{map[int]map[string][]bool{1: {"a": {true}}}}, want: map[int]map[string][]bool{1: {"a": {true}}}},
	{name: "map by time", fn: func() map[time.Duration]int { return map[time.Duration]int{time.Second: 1} }, want: map[time.Duration]int{time.Second: 1}},
	{name: "array", fn: func(x [3]int) [3]int { return x }, args: []any{[]int{1, 2, 3}}, want: []int{1, 2, 3}},
	{name: "array of bytes", fn: func(x [4]byte) [4]byte { return x }, args: []any{[4]byte{1, 2, 3, 4}}, want: []byte{1, 2, 3, 4}},
	{name: "named types arrive as their basic kind", fn: func(c celsius, w weekday, s title) (celsius, weekday, title) { return c, w, s },
		args: []any{celsius(36.5), weekday(3), title("x")}, want: []any{float32(36.5), uint8(3), "x"}},
	{name: "slice of a named type", fn: func(w []celsius) []celsius { return w }, args: []any{[]celsius{1}}, want: []float32{1}},
	{name: "pointer to a plain kind", fn: func() *int { return pointerTo(5) }, want: 5},
	{name: "pointer to a pointer", fn: func() **int8 { return pointerTo(pointerTo(int8(5))) }, want: int8(5)},
	{name: "pointers within are generic", fn: func() []*int { return []*int{pointerTo(5), nil} }, want: []any{int64(5), nil}},
	{name: "any result is generic", fn: func() any { return int8(5) }, want: int64(5)},
	{name: "slice of any", fn: func() []any { return []any{1, "a", nil, []byte{1}, 1.5} }, want: []any{int64(1), "a", nil, []byte{1}, 1.5}},
	{name: "no result", fn: func() {}, want: nil},
	{name: "several results", fn: func() (int, string, []int16) { return 1, "a", []int16{2} }, want: []any{1, "a", []int16{2}}},
	{name: "several results, the last an error", fn: func() (int, string, error) { return 1, "a", nil }, want: []any{1, "a"}},
	{name: "only an error", fn: func() error { return nil }, want: nil},

	// Structs: tags msgpack, json, name; unknown ignored, missing zero; as any a map.
	{name: "struct as any", fn: func() address { return address{Street: "s", City: "c"} }, want: map[string]any{"street": "s", "town": "c"}},
	{name: "pointer to a struct as any", fn: func() *address { return &address{} }, want: map[string]any{"street": "", "town": ""}},
	{name: "slice of structs as any", fn: func() []address { return []address{{Street: "s"}} }, want: []any{map[string]any{"street": "s", "town": ""}}},
	{name: "map of structs as any", fn: func() map[int]address { return map[int]address{1: {}} }, want: map[int]any{1: map[string]any{"street": "", "town": ""}}},
	{name: "struct", fn: func(p person) person { return p },
		args: []any{person{Name: "Ann", Age: 41, Home: &address{City: "c"}, Tags: map[string][]int16{"t": {1}}, Password: "p", Hidden: "h", secret: "s", audit: audit{By: "b"}}},
		want: map[string]any{"name": "Ann", "age": int64(41), "Home": map[string]any{"street": "", "town": "c"}, "tags": map[string]any{"t": []any{int64(1)}}, "By": "b"}},
	{name: "struct from a map", fn: func(p person) string { return p.Name + p.Home.City + p.By },
		args: []any{map[string]any{"name": "Ann", "Home": map[string]string{"town": "Ulm"}, "By": "me"}}, want: "AnnUlmme"},
	{name: "unknown fields are ignored, missing ones zero", fn: func(p *person) bool { return p.Name == "" && p.Age == 3 && p.Home == nil },
		args: []any{map[string]any{"age": 3, "shoes": []any{map[string]any{"size": 44}}, "Name": "case matters"}}, want: true},
	{name: "fields without a name travel not at all", fn: func(p person) bool { return p.Password == "" && p.Hidden == "" },
		args: []any{map[string]any{"Password": "x", "Hidden": "x", "-": "x", "shown": "x"}}, want: true},
	{name: "a field out of range", fn: func(p person) {}, args: []any{map[string]any{"age": 300}},
		code: InvalidArgument, text: "argument 1 of f(broach.person): field age: 300 does not fit int8", executed: No},
	{name: "linked list", fn: func(n *listNode) int { return n.Value + n.Next.Value + n.Next.Next.Value },
		args: []any{&listNode{1, &listNode{2, &listNode{3, nil}}}}, want: 6},
	{name: "tree", fn: func(t tree) tree { return t }, args: []any{tree{Name: "r", Children: []tree{{Name: "c"}}, ByName: map[string]*tree{"n": nil}}},
		want: map[string]any{"Name": "r", "Children": []any{map[string]any{"Name": "c", "Children": nil, "ByName": nil}}, "ByName": map[string]any{"n": nil}}},

	// A first context and a last error are no arguments and no results.
	{name: "context first", fn: deadlineOf, want: true},
	{name: "context and arguments", fn: func(ctx context.Context, x int, s string) string { return fmt.Sprint(x, s, ctx != nil) }, args: []any{1, "a"}, want: "1atrue"},
	{name: "error", fn: func() (int, error) { return 7, errors.New("no milk") }, code: Application, text: "no milk", executed: Yes},
	{name: "error of the user's code", fn: func(int) error { return fmt.Errorf("at the shop: %w", Errorf(1042, "no %s", "milk")) }, args: []any{1},
		code: 1042, text: "at the shop: no milk", executed: Yes},
	{name: "error of a call of the function's own", fn: func() error { return &Error{Code: Unreachable, Message: "gone", Service: "other", Executed: No} },
		code: Application, text: "gone", executed: Yes},
	{name: "error that panics", fn: func() error { return (*Error)(nil) }, code: Internal, text: "the function panicked", executed: Yes},
	{name: "deadline of something else", fn: func(context.Context) error { return context.DeadlineExceeded }, code: Application, executed: Yes},
	{name: "panic", fn: func(x []int) int { return x[5] }, args: []any{[]int{1}}, code: Internal, text: "the function panicked", executed: Yes},

	// Variadic.
	{name: "variadic", fn: func(s string, n ...int) string { return fmt.Sprint(s, n) }, args: []any{"a", 1, 2}, want: "a[1 2]"},
	{name: "variadic without any", fn: func(n ...int) bool { return n != nil && len(n) == 0 }, want: true},
	{name: "variadic of any", fn: func(x ...any) int { return len(x) }, args: []any{1, nil, "a"}, want: 3},
	{name: "variadic with too few", fn: func(s string, n ...int) {}, code: InvalidArgument, text: "f(string, ...int): got 0 arguments", executed: No},
	{name: "variadic out of range", fn: func(n ...int8) {}, args: []any{1, 300}, code: InvalidArgument, text: "argument 2 of f(...int8): 300 does not fit int8", executed: No},

	// The number of arguments.
	{name: "too few", fn: func(x, y int) int { return x + y }, args: []any{1}, code: InvalidArgument, text: "f(int, int) int: got 1 argument", executed: No},
	{name: "too many", fn: func(ctx context.Context) error { return nil }, args: []any{1, 2}, code: InvalidArgument, text: "f(): got 2 arguments", executed: No},

	// Numbers fit exactly or not at all, however they came and however deep they lie.
	//
	// [VAL-2] A number that does not fit its parameter exactly MUST be refused, at any depth.
	{name: "300 is no int8", fn: func(int8) {}, args: []any{300}, code: InvalidArgument, text: "argument 1 of f(int8): 300 does not fit int8", executed: No},
	{name: "the second argument", fn: func(x, y int8) int8 { return x }, args: []any{1, -129}, code: InvalidArgument, text: "argument 2 of f(int8, int8) int8: -129 does not fit int8", executed: No},
	{name: "-1 is no uint", fn: func(uint) {}, args: []any{-1}, code: InvalidArgument, text: "-1 does not fit uint", executed: No},
	{name: "2^63 is no int64", fn: func(int64) {}, args: []any{uint64(1 << 63)}, code: InvalidArgument, text: "9223372036854775808 does not fit int64", executed: No},
	{name: "int from 3.0", fn: func(x int) int { return x }, args: []any{3.0}, want: 3},
	{name: "uint from 3.0", fn: func(x uint16) uint16 { return x }, args: []any{float32(3)}, want: uint16(3)},
	{name: "int from 3.5", fn: func(x int) int { return x }, args: []any{3.5}, code: InvalidArgument, text: "argument 1 of f(int) int: 3.5 does not fit int", executed: No},
	{name: "int from NaN", fn: func(int) {}, args: []any{math.NaN()}, code: InvalidArgument, text: "NaN does not fit int", executed: No},
	{name: "int from 2^63 as a float", fn: func(int64) {}, args: []any{float64(1 << 63)}, code: InvalidArgument, text: "does not fit int64", executed: No},
	{name: "int from -2^63 as a float", fn: func(x int64) int64 { return x }, args: []any{float64(-1 << 63)}, want: int64(math.MinInt64)},
	{name: "uint from 2^64 as a float", fn: func(uint64) {}, args: []any{float64(1 << 64)}, code: InvalidArgument, text: "does not fit uint64", executed: No},
	{name: "float64 from an int", fn: func(x float64) float64 { return x }, args: []any{1 << 30}, want: float64(1 << 30)},
	{name: "float64 from 2^53+1", fn: func(float64) {}, args: []any{int64(1<<53 + 1)}, code: InvalidArgument, text: "9007199254740993 does not fit float64", executed: No},
	{name: "float64 from 2^63", fn: func(x float64) float64 { return x }, args: []any{uint64(1 << 63)}, want: float64(1 << 63)},
	{name: "float64 from 2^64-1", fn: func(float64) {}, args: []any{uint64(math.MaxUint64)}, code: InvalidArgument, text: "does not fit float64", executed: No},
	{name: "float64 from 2^63-1", fn: func(float64) {}, args: []any{int64(math.MaxInt64)}, code: InvalidArgument, text: "does not fit float64", executed: No},
	{name: "float32 from 0.5", fn: func(x float32) float32 { return x }, args: []any{0.5}, want: float32(0.5)},
	{name: "float32 from 0.1", fn: func(float32) {}, args: []any{0.1}, code: InvalidArgument, text: "0.1 does not fit float32", executed: No},
	{name: "float32 from 1e300", fn: func(float32) {}, args: []any{1e300}, code: InvalidArgument, text: "does not fit float32", executed: No},
	{name: "float32 from 2^24+1", fn: func(float32) {}, args: []any{1<<24 + 1}, code: InvalidArgument, text: "does not fit float32", executed: No},
	{name: "float32 infinite", fn: func(x float32) float32 { return x }, args: []any{math.Inf(-1)}, want: float32(math.Inf(-1))},
	{name: "in a slice", fn: func([]int8) {}, args: []any{[]any{1, 2.0, 128}}, code: InvalidArgument, text: "argument 1 of f([]int8): element 2: 128 does not fit int8", executed: No},
	{name: "in a map", fn: func(map[string][2]uint8) {}, args: []any{map[string][]int{"a": {1, 256}}}, code: InvalidArgument, text: "256 does not fit uint8", executed: No},
	{name: "as a map key", fn: func(map[int8]int) {}, args: []any{map[int]int{1000: 1}}, code: InvalidArgument, text: "map key: 1000 does not fit int8", executed: No},
	{name: "behind a pointer", fn: func(*uint8) {}, args: []any{256}, code: InvalidArgument, text: "256 does not fit uint8", executed: No},
	{name: "duration from a float", fn: func(d time.Duration) time.Duration { return d }, args: []any{1e9}, want: time.Second},
	{name: "string for an int", fn: func(int) {}, args: []any{"1"}, code: InvalidArgument, text: "argument 1 of f(int): got string, want int", executed: No},
	{name: "int for a string", fn: func(s string) string { return s }, args: []any{1}, code: InvalidArgument, text: "argument 1 of f(string) string: got integer, want string", executed: No},
	{name: "int for a bool", fn: func(bool) {}, args: []any{1}, code: InvalidArgument, text: "got integer, want bool", executed: No},
	{name: "bool for a float", fn: func(float64) {}, args: []any{true}, code: InvalidArgument, text: "got bool, want float64", executed: No},
	{name: "too long for an array", fn: func([2]int) {}, args: []any{[]int{1, 2, 3}}, code: InvalidArgument, text: "3 elements do not fit [2]int", executed: No},
	{name: "too short for an array", fn: func([2]byte) {}, args: []any{[]byte{1}}, code: InvalidArgument, text: "1 elements do not fit [2]uint8", executed: No},
	{name: "map for a slice", fn: func([]int) {}, args: []any{map[string]int{}}, code: InvalidArgument, text: "got map, want []int", executed: No},
	{name: "slice for a struct", fn: func(address) {}, args: []any{[]int{1}}, code: InvalidArgument, text: "got array, want broach.address", executed: No},
	{name: "int for a time", fn: func(time.Time) {}, args: []any{1}, code: InvalidArgument, text: "got integer, want time.Time", executed: No},
	{name: "nonsense for a time", fn: func(time.Time) {}, args: []any{"noon"}, code: InvalidArgument, text: "noon", executed: No},

	// Text and bytes stand in for each other as far as they can.
	{name: "bytes from a string", fn: func(b []byte) []byte { return b }, args: []any{"ab"}, want: []byte("ab")},
	{name: "bytes from numbers", fn: func(b []byte) []byte { return b }, args: []any{[]int{1, 255}}, want: []byte{1, 255}},
	{name: "bytes from numbers out of range", fn: func(b []byte) []byte { return b }, args: []any{[]int{256}}, code: InvalidArgument, text: "element 0: 256 does not fit uint8", executed: No},
	{name: "array of bytes from numbers", fn: func(b [2]byte) [2]byte { return b }, args: []any{[]int{1, 2}}, want: []byte{1, 2}},
	{name: "string from bytes", fn: func(s string) string { return s }, args: []any{[]byte("世")}, want: "世"},
	{name: "string from bytes that are no text", fn: func(s string) string { return s }, args: []any{[]byte{0xff}}, code: InvalidArgument, text: "not UTF-8", executed: No},

	// Pointers and nil.
	{name: "nil pointer stays nil", fn: func(p *int, q *person) bool { return p == nil && q == nil }, args: []any{nil, (*person)(nil)}, want: true},
	{name: "pointer is a fresh copy", fn: func(p *address) string { p.City = "changed"; return p.City }, args: []any{&address{City: "c"}}, want: "changed", after: []any{&address{City: "c"}}},
	{name: "slice is a fresh copy", fn: func(x []int) int { x[0] = 9; return x[0] }, args: []any{[]int{1}}, want: 9, after: []any{[]int{1}}},
	{name: "bytes are a fresh copy", fn: func(x []byte) int { x[0] = 9; return 0 }, args: []any{[]byte{1}}, want: 0, after: []any{[]byte{1}}},
	{name: "map is a fresh copy", fn: func(x map[string]int) int { x["b"] = 1; return len(x) }, args: []any{map[string]int{"a": 1}}, want: 2, after: []any{map[string]int{"a": 1}}},
	{name: "nil results", fn: func() (*int, []int, map[string]int, any, []byte, *person) { return nil, nil, nil, nil, nil, nil }, want: []any{nil, nil, nil, nil, nil, nil}},
	{name: "nil slice", fn: func(x []int, m map[string]int, b []byte, a any) bool {
		return x == nil && m == nil && b == nil && a == nil
	}, args: []any{nil, nil, nil, nil}, want: true},
	{name: "typed nils", fn: func(x []int, m map[string]int, b []byte) bool { return x == nil && m == nil && b == nil }, args: []any{[]int(nil), map[string]int(nil), []byte(nil)}, want: true},
	{name: "nil for an int", fn: func(int) {}, args: []any{nil}, code: InvalidArgument, text: "argument 1 of f(int): got nil, want int", executed: No},
	{name: "nil for the ints of add", fn: func(x, y int) int { return x }, args: []any{1, nil}, code: InvalidArgument, text: "argument 2 of f(int, int) int: got nil, want int", executed: No},
	{name: "nil for a bool", fn: func(bool) {}, args: []any{nil}, code: InvalidArgument, text: "got nil, want bool", executed: No},
	{name: "nil for a float", fn: func(float32) {}, args: []any{nil}, code: InvalidArgument, text: "got nil, want float32", executed: No},
	{name: "nil for a string", fn: func(string) {}, args: []any{nil}, code: InvalidArgument, text: "got nil, want string", executed: No},
	{name: "nil for a struct", fn: func(address) {}, args: []any{nil}, code: InvalidArgument, text: "got nil, want broach.address", executed: No},
	{name: "nil for an array", fn: func([1]int) {}, args: []any{nil}, code: InvalidArgument, text: "got nil, want [1]int", executed: No},
	{name: "nil for an array of bytes", fn: func([1]byte) {}, args: []any{nil}, code: InvalidArgument, text: "got nil, want [1]uint8", executed: No},
	{name: "nil for a time", fn: func(time.Time) {}, args: []any{nil}, code: InvalidArgument, text: "got nil, want time.Time", executed: No},
	{name: "nil within a slice of ints", fn: func([]int) {}, args: []any{[]any{1, nil}}, code: InvalidArgument, text: "element 1: got nil, want int", executed: No},

	// What an any parameter gets.
	{name: "any: bool", fn: func(x any) bool { return x.(bool) }, args: []any{true}, want: true},
	{name: "any: int64", fn: func(x any) int64 { return x.(int64) }, args: []any{uint8(200)}, want: int64(200)},
	{name: "any: the largest int64", fn: func(x any) int64 { return x.(int64) }, args: []any{uint64(math.MaxInt64)}, want: int64(math.MaxInt64)},
	{name: "any: uint64 above", fn: func(x any) uint64 { return x.(uint64) }, args: []any{uint64(1 << 63)}, want: uint64(1 << 63)},
	{name: "any: float64", fn: func(x any) float64 { return x.(float64) }, args: []any{float32(0.5)}, want: 0.5},
	{name: "any: a whole float stays one", fn: func(x any) float64 { return x.(float64) }, args: []any{3.0}, want: 3.0},
	{name: "any: string", fn: func(x any) string { return x.(string) }, args: []any{title("a")}, want: "a"},
	{name: "any: bytes", fn: func(x any) []byte { return x.([]byte) }, args: []any{[]byte{1}}, want: []byte{1}},
	{name: "any: time", fn: func(x any) time.Time { return x.(time.Time) }, args: []any{noon}, want: noon},
	{name: "any: duration", fn: func(x any) int64 { return x.(int64) }, args: []any{time.Second}, want: int64(1e9)},
	{name: "any: list of ints", fn: func(x any) []any { return x.([]any) }, args: []any{[]int{1, 2}}, want: []any{int64(1), int64(2)}},
	{name: "any: map", fn: func(x any) any { return x.(map[string]any)["a"] }, args: []any{map[string][]string{"a": {"b"}}}, want: []any{"b"}},
	{name: "any: struct", fn: echoAny, args: []any{address{City: "c"}}, want: map[string]any{"street": "", "town": "c"}},
	{name: "any: nil", fn: func(x any) bool { return x == nil }, args: []any{nil}, want: true},
	{name: "any: map without string keys", fn: echoAny, args: []any{map[int]int{1: 1}}, code: InvalidArgument, text: "string keys only", executed: No},
	{name: "any: unknown extension", fn: echoAny, args: []any{msgpack.RawMessage{0xd4, 5, 1}}, code: InvalidArgument, text: "not a timestamp", executed: No},
	{name: "any as a map key", fn: func(m map[any]int) int { return m["a"] + m[int64(1)] }, args: []any{map[any]int{"a": 1, 1: 2}}, want: 3},
	{name: "any as a map key, unhashable", fn: func(map[any]int) {}, args: []any{map[[1]int]int{{1}: 1}}, code: InvalidArgument, text: "a map key cannot hold", executed: No},
	{name: "pointer to any", fn: func(x *any) any { return *x }, args: []any{"a"}, want: "a"},

	// Types with methods of their own.
	{name: "EncodeMsgpack and DecodeMsgpack", fn: func(p point, q *point, r []point) point { return point{p.x + q.x + r[1].x, p.y} },
		args: []any{point{1, 2}, &point{3, 4}, []point{{}, {5, 0}}}, want: "9:2"},
	{name: "MarshalMsgpack on the pointer", fn: func(p packed, m map[string]packed) packed { return packed{p.n + m["a"].n} },
		args: []any{packed{1}, map[string]packed{"a": {2}}}, want: int64(3)},
	{name: "binary pair", fn: func(a netip.Addr) bool { return a == loopback }, args: []any{loopback}, want: true},
	{name: "text pair", fn: func(l level, n *big.Int) (level, *big.Int) { return l + 1, n.Add(n, n) }, args: []any{level(2), big.NewInt(1 << 40)}, want: []any{"!!!", "2199023255552"}},
	{name: "text pair from a string", fn: func(l level) int { return int(l) }, args: []any{"!!!!"}, want: 4},
	{name: "text pair as a map key", fn: func(m map[level]int) int { return m[2] }, args: []any{map[level]int{2: 5}}, want: 5},
	{name: "text half is not used", fn: func(l label) label { return l }, args: []any{label("x")}, want: "x"},
	{name: "raw message", fn: func(r msgpack.RawMessage) int { return len(r) }, args: []any{[]int{1, 2}}, want: 3},
	{name: "nil raw message", fn: func(r msgpack.RawMessage) bool { return r == nil }, args: []any{nil}, want: true},
	{name: "a method's error", fn: func(point) {}, args: []any{"nowhere"}, code: InvalidArgument, text: "argument 1 of f(broach.point): broach.point: not a point", executed: No},
	{name: "nil for a text pair", fn: func(level) {}, args: []any{nil}, code: InvalidArgument, text: "got nil, want broach.level", executed: No},
	{name: "nil for a pointer to a text pair", fn: func(n *big.Int) bool { return n == nil }, args: []any{nil}, want: true},
	{name: "a method that reads less", fn: func(h half, after string) string { return fmt.Sprint(h.First, after) }, args: []any{[]int{7, 8, 9}, "intact"}, want: "7intact"},
	{name: "a method that panics at the caller", fn: echoAny, args: []any{[]any{panicky{}}}, code: InvalidArgument, text: "argument 1: element 0: broach.panicky panicked", executed: No},
	{name: "a method that panics at the provider", fn: func(panickyReader) {}, args: []any{1}, code: InvalidArgument, text: "argument 1 of f(broach.panickyReader): broach.panickyReader panicked", executed: No},
	{name: "a method that panics on the result", fn: func() panicky { return panicky{} }, code: Internal, text: "result 1 of f() broach.panicky: broach.panicky panicked", executed: Yes},
	{name: "a method that writes two values", fn: echoAny, args: []any{garbler{}}, code: InvalidArgument, text: "argument 1: broach.garbler: not one msgpack value", executed: No},

	// What cannot be sent.
	{name: "chan", fn: echoAny, args: []any{make(chan int)}, code: InvalidArgument, text: "argument 1: chan int cannot be sent", executed: No},
	{name: "func within", fn: echoAny, args: []any{1, []any{func() {}}}, code: InvalidArgument, text: "argument 2: element 0: func() cannot be sent", executed: No},
	{name: "complex within", fn: echoAny, args: []any{map[string]any{"a": 1i}}, code: InvalidArgument, text: "argument 1: map value: complex128 cannot be sent", executed: No},
	{name: "uintptr", fn: echoAny, args: []any{uintptr(1)}, code: InvalidArgument, text: "uintptr cannot be sent", executed: No},
	{name: "field of a kind that cannot", fn: echoAny, args: []any{struct{ C chan int }{}}, code: InvalidArgument, text: "field C: chan int cannot be sent", executed: No},
	{name: "interface in a struct", fn: echoAny, args: []any{struct{ R fmt.Stringer }{loopback}}, want: map[string]any{"R": []byte{127, 0, 0, 1}}},
	{name: "chan in an any result", fn: func() any { return make(chan int) }, code: Internal, text: "result 1 of f() any: chan int cannot be sent", executed: Yes},
	{name: "cycle of pointers", fn: echoAny, args: []any{cyclicNode()}, code: InvalidArgument, text: "nested deeper than 64 levels", executed: No},
	{name: "cycle of slices", fn: echoAny, args: []any{cyclicSlice()}, code: InvalidArgument, text: "nested deeper than 64 levels", executed: No},
	{name: "cycle of maps", fn: echoAny, args: []any{cyclicMap()}, code: InvalidArgument, text: "nested deeper than 64 levels", executed: No},
	{name: "cycle of interfaces", fn: echoAny, args: []any{cyclicAny()}, code: InvalidArgument, text: "nested deeper than 64 levels", executed: No},
	{name: "cycle in a result", fn: cyclicNode, code: Internal, text: "nested deeper than 64 levels", executed: Yes},

	// Any function value will do.
	{name: "method value", fn: calculator{10}.Add, args: []any{1}, want: 11},
	{name: "method value of a pointer", fn: (&calculator{20}).AddTo, args: []any{1}, want: 21},
	{name: "generic instance", fn: largest[float64], args: []any{1, 2.5}, want: 2.5},
	{name: "closure", fn: func(prefix string) func(string) string { return func(s string) string { return prefix + s } }("a"), args: []any{"b"}, want: "ab"},
	{name: "unnamed struct", fn: func(p struct{ X, Y int }) int { return p.X * p.Y }, args: []any{map[string]int{"X": 2, "Y": 3}}, want: 6},
	{name: "error of io", fn: func(b []byte) ([]byte, error) { return nil, io.ErrUnexpectedEOF }, args: []any{[]byte{}}, code: Application, text: "unexpected EOF", executed: Yes},
}
