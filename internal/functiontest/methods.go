package functiontest

import (
	"fmt"
	"math/big"
	"net/netip"

	"broach/internal/wire"

	"github.com/vmihailenco/msgpack/v5"
)

// Types with methods of their own.
var methods = []Case{
	gives("EncodeMsgpack and DecodeMsgpack", "9:2",
		func(p point, q *point, r []point) point { return point{p.x + q.x + r[1].x, p.y} },
		point{1, 2}, &point{3, 4}, []point{{}, {5, 0}}),
	gives("MarshalMsgpack on the pointer", int64(3),
		func(p packed, m map[string]packed) packed { return packed{p.n + m["a"].n} },
		packed{1}, map[string]packed{"a": {2}}),
	gives("binary pair", true, func(a netip.Addr) bool { return a == loopback }, loopback),
	gives("text pair", []any{"!!!", "2199023255552"},
		func(l level, n *big.Int) (level, *big.Int) { return l + 1, n.Add(n, n) }, level(2), big.NewInt(1<<40)),
	gives("text pair from a string", 4, func(l level) int { return int(l) }, "!!!!"),
	gives("text pair as a map key", 5, func(m map[level]int) int { return m[2] }, map[level]int{2: 5}),
	gives("text half is not used", "x", func(l label) label { return l }, label("x")),
	gives("raw message", 3, func(r msgpack.RawMessage) int { return len(r) }, []int{1, 2}),
	gives("nil raw message", true, func(r msgpack.RawMessage) bool { return r == nil }, nil),
	refused("a method's error", "argument 1 of f(functiontest.point): functiontest.point: not a point",
		func(point) {}, "nowhere"),
	refused("nil for a text pair", "nil does not fit functiontest.level", func(level) {}, nil),
	gives("nil for a pointer to a text pair", true, func(n *big.Int) bool { return n == nil }, nil),
	gives("a method that reads less", "7intact",
		func(h half, after string) string { return fmt.Sprint(h.First, after) }, []int{7, 8, 9}, "intact"),
	refused("a method that panics at the caller", "argument 1: element 0: functiontest.panicky panicked",
		echoAny, []any{panicky{}}),
	refused("a method that panics at the provider",
		"argument 1 of f(functiontest.panickyReader): functiontest.panickyReader panicked",
		func(panickyReader) {}, 1),
	fails("a method that panics on the result", wire.Internal,
		"result 1 of f() functiontest.panicky: functiontest.panicky panicked",
		func() panicky { return panicky{} }),
	refused("a method that writes two values", "argument 1: functiontest.garbler: not one msgpack value",
		echoAny, garbler{}),
}

// What cannot be sent.
var unsendable = []Case{
	refused("chan", "argument 1: chan int cannot be sent", echoAny, make(chan int)),
	refused("func within", "argument 2: element 0: func() cannot be sent", echoAny, 1, []any{func() {}}),
	refused("complex within", "argument 1: map value: complex128 cannot be sent", echoAny, map[string]any{"a": 1i}),
	refused("uintptr", "uintptr cannot be sent", echoAny, uintptr(1)),
	refused("field of a kind that cannot", "field C: chan int cannot be sent", echoAny, struct{ C chan int }{}),
	gives("interface in a struct", map[string]any{"R": []byte{127, 0, 0, 1}},
		echoAny, struct{ R fmt.Stringer }{loopback}),
	fails("chan in an any result", wire.Internal, "result 1 of f() any: chan int cannot be sent",
		func() any { return make(chan int) }),
	refused("cycle of pointers", "nested deeper than 1000 levels", echoAny, cyclicNode()),
	refused("cycle of slices", "nested deeper than 1000 levels", echoAny, cyclicSlice()),
	refused("cycle of maps", "nested deeper than 1000 levels", echoAny, cyclicMap()),
	refused("cycle of interfaces", "nested deeper than 1000 levels", echoAny, cyclicAny()),
	fails("cycle in a result", wire.Internal, "nested deeper than 1000 levels", cyclicNode),
}
