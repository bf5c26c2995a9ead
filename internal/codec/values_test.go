package codec

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

// The types of the rows of docs/values.md that the standard library does not have.
type (
	celsius float32
	uuid    [16]byte
	tick    struct{ n int }

	order struct {
		ID    int    `json:"id"`
		Notes string `json:"notes,omitempty"`
		Items []string
	}
	tally struct {
		mu   sync.Mutex
		seen int
		Sum  int
	}
	stamp   struct{ time.Time }
	booking struct {
		time.Time
		Room int
	}
	named struct {
		time.Time `json:"at"`
		Room      int
	}
	line struct {
		order
		Row int
	}
)

func (u uuid) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(u[:])), nil }
func (u *uuid) UnmarshalText(b []byte) error {
	_, err := hex.Decode(u[:], b)
	return err
}

func (t tick) EncodeMsgpack(e *msgpack.Encoder) error { return e.EncodeInt(int64(t.n)) }
func (t *tick) DecodeMsgpack(d *msgpack.Decoder) (err error) {
	t.n, err = d.DecodeInt()
	return err
}

// A sample is the value of a row. If it does not come back equal, back is what does.
type sample struct{ value, back any }

func of(value any) sample { return sample{value: value} }

func noonIn(zone string) time.Time {
	return time.Date(2024, 2, 29, 12, 0, 0, 5, time.UTC).In(time.FixedZone(zone, 3600))
}

func parsed[T any](x T, err error) T {
	if err != nil {
		panic(err)
	}
	return x
}

// samples are the rows of docs/values.md, by their first cell.
var samples = map[string]sample{
	"bool": of(true), "int": of(-5), "int8": of(int8(-5)), "int16": of(int16(300)), "int32": of(int32(1)),
	"int64": of(int64(1) << 40), "uint": of(uint(5)), "uint8, byte": of(uint8(200)), "uint16": of(uint16(5)),
	"uint32": of(uint32(5)), "uint64": of(uint64(5)), "uint64 above the range of int64": of(uint64(1) << 63),
	"float32": of(float32(0.1)), "float64": of(0.1), "string": of("Grüße"), "string that is not UTF-8": of("\xff"),
	"[]byte": of([]byte{1, 2}), "[]byte(nil)": of([]byte(nil)), "[4]byte": of([4]byte{1, 2, 3, 4}),
	"type Celsius float32": of(celsius(0.5)),

	"time.Duration": of(time.Second), "time.Time in UTC": of(noonIn("CET").UTC()), "time.Time{}": of(time.Time{}),
	"time.Time in another zone": {noonIn("CET"), noonIn("CET").UTC()},
	"time.Now()":                {time.Unix(1, 2), time.Unix(1, 2).UTC()},
	"map[time.Time]int": {
		map[time.Time]int{noonIn("CET"): 1}, map[time.Time]int{noonIn("CET").UTC(): 1},
	},
	"struct{ time.Time }":                                  of(stamp{noonIn("").UTC()}),
	"struct{ time.Time; Room int }":                        of(booking{}),
	"struct{ time.Time; Room int } with a tag at the time": of(named{noonIn("").UTC(), 1}),

	"[]int": of([]int{1, 2}), "[]int(nil)": of([]int(nil)), "[]int{}": of([]int{}), "[3]int": of([3]int{1}),
	"[][]int8": of([][]int8{{1}, nil}), "[]any": of([]any{"a", nil, true}), "[]*int": of([]*int{new(int), nil}),
	"[]Order": of([]order{{ID: 1}}),

	"map[string]int": of(map[string]int{"a": 1}), "map[int]string": of(map[int]string{1: "a"}),
	"map[string]Order": of(map[string]order{"a": {}}), "map[string]any": of(map[string]any{"a": "b"}),
	"map[any]any": of(map[any]any{"a": 1.5, true: "b"}), "map[[2]int]string": of(map[[2]int]string{{1, 2}: "a"}),
	"map[Order key]string": of(map[struct{ A int }]string{{1}: "a"}), "map[UUID]int": of(map[uuid]int{{1}: 1}),

	"*int": of(new(int)), "(*int)(nil)": of((*int)(nil)), "*Order": of(&order{ID: 1}),
	"any(int8(5))": {[]any{int8(5)}, []any{int64(5)}},

	"type Order struct": of(order{ID: 1}), "struct{}": of(struct{}{}),
	"struct with unexported fields beside others": {&tally{mu: sync.Mutex{}, seen: 1, Sum: 2},
		&tally{Sum: 2}},
	"struct that embeds an Order":                               of(line{order{ID: 1}, 2}),
	"struct of unexported fields only":                          of(sealed{1}),
	"struct of unexported fields beside an embedded sync.Mutex": of(&locked{n: 1}),
	"struct with a tag that names an unexported field": of(struct {
		A int
		b int `msgpack:"b"`
	}{}),
	"struct with such a struct in a field": of(struct{ A, B sealed }{}),
	"struct with two fields of a name": of(struct {
		A int `msgpack:"a"`
		B int `msgpack:"a"`
	}{}),
	"struct that embeds a pointer to an unexported one": of(struct {
		*order
		Row int
	}{}),

	"json.RawMessage": of(json.RawMessage("{}")), "json.Number": of(json.Number("1.50")),
	"big.Int": of(big.NewInt(1 << 40)), "big.Rat": of(big.NewRat(1, 3)),
	"big.Float":      of(new(big.Float).SetPrec(200).Quo(big.NewFloat(1), big.NewFloat(3))),
	"url.URL":        of(parsed(url.Parse("https://a.example/b?c=d"))),
	"netip.Addr":     of(netip.MustParseAddr("fe80::1%eth0")),
	"netip.AddrPort": of(netip.MustParseAddrPort("[::1]:7")), "net.IP": of(net.ParseIP("::1")),
	"slog.Level": of(slog.LevelWarn), "sql.NullString": of(sql.NullString{String: "a", Valid: true}),
	"a [16]byte with MarshalText and UnmarshalText": of(uuid{1}),
	"a type with EncodeMsgpack and DecodeMsgpack":   of(tick{5}),
	"msgpack.RawMessage":                            of(msgpack.RawMessage{1}),
	"msgpack.RawMessage of an extension":            of(msgpack.RawMessage{0xd4, 5, 1}),

	"bytes.Buffer": of(&bytes.Buffer{}), "strings.Builder": of(&strings.Builder{}), "sync.Mutex": of(&sync.Mutex{}),
	"atomic.Int64": of(&atomic.Int64{}), "sync.Map": of(&sync.Map{}), "time.Location": of(time.UTC),
	"the error of errors.New, in an any": of(errors.New("a")), "chan": of(make(chan int)), "func": of(func() {}),
	"complex128": of(1i), "uintptr": of(uintptr(1)), "unsafe.Pointer": of(unsafe.Pointer(nil)),
	"io.Reader, and any other interface": of([]io.Reader{}), "error, but as the last result": of([]error{}),
	"context.Context, but as the first parameter": of([]context.Context{}),
}

// A row of a table in docs/values.md is its cells.
func rowsOf(t *testing.T, section string) (rows [][]string) {
	text, err := os.ReadFile("../../docs/values.md")
	require.NoError(t, err)
	_, text, ok := bytes.Cut(text, []byte("\n## "+section+"\n"))
	require.True(t, ok, section)
	text, _, _ = bytes.Cut(text, []byte("\n## "))
	for l := range strings.Lines(string(text)) {
		if l, isRow := strings.CutPrefix(strings.TrimSpace(l), "| "); isRow {
			rows = append(rows, strings.Split(strings.TrimSuffix(strings.ReplaceAll(l, "`", ""), " |"), " | "))
		}
	}
	require.NotEmpty(t, rows)
	return rows[1:]
}

// Each row of the table of types is what becomes of a value of it.
func TestTypesAreAsDocumented(t *testing.T) {
	rows := append(rowsOf(t, "Types"), rowsOf(t, "Types that are refused")...)
	require.Len(t, rows, len(samples), "a sample has no row")
	for _, row := range rowsOf(t, "Types") {
		s, ok := samples[row[0]]
		require.True(t, ok, "no sample of %q", row[0])
		require.NoError(t, CheckParameter(reflect.TypeOf(s.value)), row[0])
		require.Equal(t, row[1:], s.row(t, row[2]), row[0])
	}
}

// row is what becomes of a sample: on the wire, as its type, as the any that a function returns, within an any. What it
// is as its type, if it is not equal, is said in words.
func (s sample) row(t *testing.T, words string) []string {
	typ := reflect.TypeOf(s.value)
	b, err := AppendValue(AppendKind([]byte{1}, typ), most, reflect.ValueOf(s.value))
	require.NoError(t, err)
	asAny, err := decodeAny(b)
	require.NoError(t, err)
	back, err := DecodeResults(b, []reflect.Type{typ}, false)
	require.NoError(t, err)
	if s.back == nil {
		s.back, words = s.value, "equal"
	} else {
		require.NotEqual(t, "equal", words)
	}
	require.Equal(t, s.back, back[0].Interface())
	_, value, err := cutKind(b[1:])
	require.NoError(t, err)
	form := leads[value[0]].form.String()
	if form == "extension" && (&Decoder{b: value}).isTimestamp() {
		form = "timestamp"
	}
	return []string{form, words, typeNameOf(asAny), typeNameOf(carried[[]any](t, []any{s.value})[0])}
}

// Each row of the table of refused types is refused, both ways and within an any, with these words.
func TestRefusedTypesAreAsDocumented(t *testing.T) {
	for _, row := range rowsOf(t, "Types that are refused") {
		s, ok := samples[row[0]]
		require.True(t, ok, "no sample of %q", row[0])
		typ := reflect.TypeOf(s.value)
		require.ErrorContains(t, CheckParameter(typ), row[1], row[0])
		require.ErrorContains(t, CheckResult(typ), row[1], row[0])
		if elem := typ.Kind() == reflect.Slice; !elem { // of those a value of another type may be in there
			_, err := appendArguments(nil, most, []any{[]any{s.value}})
			require.ErrorContains(t, err, "argument 1: element 0: ", row[0])
		}
	}
}

// Each row of the table of limits has the numbers of the code.
func TestLimitsAreAsDocumented(t *testing.T) {
	numbers := map[string]string{
		"arguments or results of a call": "Config.MaxMessage, 64 MiB",
		"values within each other":       thousands(maxDepth) + " levels",
		"memory that is made of a message": fmt.Sprintf("%d MiB and %d bytes for each of its bytes", memoryFloor>>20,
			memoryPerByte),
		"the same, of large messages": fmt.Sprintf("%d GiB, or %d bytes for each of its bytes if that is more",
			memoryMost>>30, memoryMostPerByte),
		"results of a function": thousands(MaxResults),
		"kinds of slices and maps that results are described by, of all peers": thousands(maxKinds),
	}
	rows := rowsOf(t, "Limits")
	require.Len(t, rows, len(numbers))
	for _, row := range rows {
		require.Equal(t, numbers[row[0]], row[1], row[0])
	}
}

// thousands writes a number as documents do.
func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

func typeNameOf(x any) string {
	if x == nil {
		return "nil"
	}
	return strings.ReplaceAll(TypeName(reflect.TypeOf(x)), "[]uint8", "[]byte")
}
