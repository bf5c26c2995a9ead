package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"broach"
)

type line struct {
	Name  string
	Price float64
	Photo []byte
	Took  time.Duration
	At    time.Time
}

type order struct {
	ID    int64             `msgpack:"id"`
	Lines []line            `msgpack:"lines"`
	Notes map[string]string `msgpack:"notes,omitempty"`
	By    *order            `msgpack:"by,omitempty"`
}

// A function is what the tests call.
var functions = map[string]any{
	"add":     func(x, y int) int { return x + y },
	"int8":    func(x int8) int8 { return x },
	"uint64":  func(x uint64) uint64 { return x },
	"float":   func(x float64) float64 { return x },
	"float32": func(x float32) float32 { return x },
	"bool":    func(x bool) bool { return x },
	"text":    func(x string) string { return x },
	"bytes":   func(x []byte) []byte { return x },
	"four":    func(x [4]byte) [4]byte { return x },
	"time":    func(x time.Time) time.Time { return x },
	"took":    func(x time.Duration) time.Duration { return x },
	"any":     func(x any) any { return x },
	"list":    func(x []int) []int { return x },
	"pair":    func(x [2]string) [2]string { return x },
	"grid":    func(x [][]int8) [][]int8 { return x },
	"order":   func(x order) order { return x },
	"orders":  func(x []*order) []*order { return x },
	"pointer": func(x *int) *int { return x },
	"byInt":   func(x map[int]string) map[int]string { return x },
	"byBool":  func(x map[bool]int) map[bool]int { return x },
	"byTime":  func(x map[time.Time]int) map[time.Time]int { return x },
	"byPair":  func(x map[[2]int]string) map[[2]int]string { return x },
	"pairs":   func() map[[2]int]string { return map[[2]int]string{{1, 2}: "a"} },
	"mixed":   func() map[any]any { return map[any]any{1: "number", "1": "text"} },
	"none":    func() {},
	"two":     func(x int) (int, time.Duration) { return x, time.Second },
	"sum": func(first int, more ...int) int {
		for _, x := range more {
			first += x
		}
		return first
	},
	"nan":       func() []float64 { return []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e21, 1e-7, 0.1} },
	"latin1":    func() string { return "caf\xe9" },
	"year10000": func() time.Time { return time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
	"fail":      func() error { return errors.New("no luck today on 10.0.0.2:7000 or [fe80::1]:7000") },
	"panic":     func() { panic("secret") },
	"code":      func(c int, text string) error { return broach.Errorf(broach.Code(c), "%s", text) },
	"meta":      metaOf,
	"wait": func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	},
	"deadline": func(ctx context.Context) time.Duration {
		d, _ := ctx.Deadline()
		return time.Until(d)
	},
	"large": func(n int) string { return strings.Repeat("x", n) },
	// not exposed
	"hidden":     func() int { return 1 },
	"__private":  func() int { return 1 },
	"a/b":        func() int { return 1 },
	"shop.stock": func(name string) string { return "stock of " + name },
}

// metaOf says what came along, but for what every call has.
func metaOf(ctx context.Context) string {
	call, _ := broach.InvocationFrom(ctx)
	m := call.Meta()
	delete(m, "x-request-id")
	var list []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		list = append(list, fmt.Sprintf("%s=%q", key, m[key]))
	}
	return strings.Join(list, " ")
}

// idempotent are those that a GET may call.
var idempotent = []string{"add", "text", "order", "sum", "list", "took", "bool", "any", "shop.stock", "byInt"}

func register(t *testing.T, n *broach.Node) {
	t.Helper()
	for name, fn := range functions {
		var opts []broach.RegisterOption
		if slices.Contains(idempotent, name) {
			opts = append(opts, broach.Idempotent())
		}
		if name == "add" {
			opts = append(opts, broach.Doc("add(augend, addend) says their sum"))
		}
		must(t, n.Register(name, fn, opts...))
	}
}

// exposed are those of them that the tests expose.
var exposed = func() (list []string) {
	for name := range functions {
		if name != "hidden" && name != "__private" {
			list = append(list, name)
		}
	}
	return append(list, "__*", "there is no such function")
}()
