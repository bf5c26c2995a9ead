package functiontest

import (
	"context"
	"math/big"
	"net/netip"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// OfEveryKind are functions of every kind of parameter.
var OfEveryKind = []any{
	func(int, int) int { return 0 },
	func(int8, uint16, float32, float64) {},
	func(bool, string, []byte, [4]byte, time.Time, time.Duration) {},
	func(person) {},
	func(*listNode, tree) {},
	func(any) any { return nil },
	func(map[any]any) {},
	func(map[string][]map[int8]*float32, [2][]any) {},
	func(...[]string) {},
	func(point, packed, level, *big.Int, msgpack.RawMessage, half) {},
	func(x any) any { return x },
	func(s string) string { return s },
	func(b []byte) []byte { return b },
}

// What the cases pass around, and functions that they call.

var (
	noon     = time.Date(2024, 2, 29, 12, 0, 0, 123456789, time.UTC)
	zone     = time.FixedZone("here", 7200)
	loopback = netip.MustParseAddr("127.0.0.1")
)

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

type calculator struct{ base int }

func (c calculator) Add(x int) int    { return c.base + x }
func (c *calculator) AddTo(x int) int { return c.base + x }

func largest[T int | float64](first T, rest ...T) T {
	for _, x := range rest {
		first = max(first, x)
	}
	return first
}

func deadlineOf(ctx context.Context) (bool, error) {
	_, ok := ctx.Deadline()
	return ok, ctx.Err()
}

// flat is an error that panics when it is nil, as most of those that are pointers do.
type flat struct{ text string }

func (f *flat) Error() string { return f.text }

func echoAny(x any) any { return x }

func pointerTo[T any](x T) *T { return &x }
