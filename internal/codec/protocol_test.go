package codec

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"broach/internal/stream"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// The tables of PROTOCOL.md section 6 are held to what this package makes of their bytes, and what it writes.

// Order is the struct of these tables.
type Order struct {
	ID   int
	Name string
}

// protocolTable returns the cells of the rows of a table in PROTOCOL.md that begins with such a line.
func protocolTable(t *testing.T, head string) (rows [][]string) {
	text, err := os.ReadFile("../../PROTOCOL.md")
	require.NoError(t, err)
	_, text, ok := bytes.Cut(text, []byte("\n"+head+"\n"))
	require.True(t, ok, head)
	for line := range strings.Lines(string(text)) {
		line, isRow := strings.CutPrefix(strings.TrimSpace(line), "| ")
		switch {
		case isRow:
			rows = append(rows, strings.Split(strings.TrimSuffix(line, " |"), " | "))
		case len(rows) > 0:
			return rows
		}
	}
	return rows
}

// quoted is what stands first between backticks in a cell, if it begins with it.
func quoted(cell string) (text string, ok bool) {
	text, ok = strings.CutPrefix(cell, "`")
	text, _, _ = strings.Cut(text, "`")
	return text, ok
}

func quotedHex(t *testing.T, cell string) []byte {
	text, ok := quoted(cell)
	require.True(t, ok, cell)
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	require.NoError(t, err, cell)
	return b
}

// at is a time of the tables.
func at(seconds, nanoseconds int64) time.Time { return time.Unix(seconds, nanoseconds).UTC() }

// written has the values of the first table, by the words before their bytes.
var written = map[string][]any{
	"nil pointer, slice, map or any":       {(*int)(nil), []int(nil), map[string]int(nil), nil},
	"`true`":                               {true},
	"`int8`, `int` or `uint64`: 5":         {int8(5), 5, uint64(5)},
	"`int`: -129":                          {-129},
	"`float32`: 0.5":                       {float32(0.5)},
	"`float64`: 0.1":                       {0.1},
	"`string`: tea":                        {"tea"},
	"bytes, or an array of bytes: 0, 1":    {[]byte{0, 1}, [2]byte{0, 1}},
	"`duration`: 1.5 s":                    {1500 * time.Millisecond},
	"`time`: 2009-02-13 23:31:30 UTC":      {at(1234567890, 0)},
	"`time`: the same, and 1 ns":           {at(1234567890, 1)},
	"`time`: 1969-12-31 23:59:59 UTC":      {at(-1, 0)},
	"slice, or an array of three: 1, 2, 3": {[]int{1, 2, 3}, [3]int{1, 2, 3}},
	"map: a to 1":                          {map[string]int{"a": 1}},
	"struct `Order{ID: 7, Name: \"tea\"}`": {Order{7, "tea"}},
	"pointer to 5":                         {new(5)},
}

// What Go writes is what the table says, and comes back as what it was.
func TestArgumentsAreWrittenAsTheProtocolSays(t *testing.T) {
	rows := protocolTable(t, "| value of the type | argument | how it is written |")
	require.Len(t, rows, len(written))
	for _, row := range rows {
		require.Contains(t, written, row[0])
		for _, v := range written[row[0]] {
			b, err := appendArguments(nil, most, []any{v})
			require.NoError(t, err)
			require.Equal(t, append([]byte{0x91}, quotedHex(t, row[1])...), b, "%s: %T", row[0], v)
			if v != nil {
				back, err := becomes(reflect.TypeOf(v), b[1:])
				require.NoError(t, err, row[0])
				require.Equal(t, v, back.Interface(), row[0])
			}
		}
	}
}

// parameters are the types of the second table.
var parameters = map[string]reflect.Type{
	"int8": reflect.TypeFor[int8](), "uint8": reflect.TypeFor[uint8](), "int": intType, "bool": boolType,
	"float64": float64Type, "float32": reflect.TypeFor[float32](), "string": stringType, "bytes": bytesType,
	"[2]byte": reflect.TypeFor[[2]byte](), "duration": durationType, "time": timeType,
	"slice of int": reflect.TypeFor[[]int](), "[3]int": reflect.TypeFor[[3]int](),
	"map of string to int": reflect.TypeFor[map[string]int](), "map of int to bool": reflect.TypeFor[map[int]bool](),
	"Order": reflect.TypeFor[Order](), "pointer to int": reflect.TypeFor[*int](), "any": anyType,
}

// [VAL-5] Of a struct's map a key that the receiver does not know MUST be passed over with its value. A field that does
// not come is zero: 0, false, empty, nil. Of a key that comes twice the later one counts.
// [VAL-6] Nil MUST be refused, at any depth, for what has no nil: a bool, a number, a text, a duration, a time, a
// struct, an array of a fixed length. For a pointer, bytes, a slice, a map and `any` it is taken.
func TestArgumentsBecomeWhatTheProtocolSays(t *testing.T) {
	rows := protocolTable(t, "| parameter | argument | what it becomes |")
	seen := map[string]bool{}
	for _, row := range rows {
		require.Contains(t, parameters, row[0])
		seen[row[0]] = true
		v, err := becomes(parameters[row[0]], quotedHex(t, row[1]))
		want, isTaken := quoted(row[2])
		if !isTaken {
			require.Equal(t, "refused", row[2])
			require.Error(t, err, "%s %s became %v", row[0], row[1], v)
			continue
		}
		require.NoError(t, err, "%s %s", row[0], row[1])
		require.Equal(t, want, printed(v), "%s %s", row[0], row[1])
	}
	require.Len(t, seen, len(parameters))

	for name, typ := range parameters {
		_, err := becomes(typ, []byte{0xc0})
		isNilable := strings.HasPrefix(name, "slice") || strings.HasPrefix(name, "map") ||
			strings.HasPrefix(name, "pointer") || name == "bytes" || name == "any"
		require.Equal(t, isNilable, err == nil, "nil for %s", name)
	}
}

// becomes reads an argument as a parameter of that type.
func becomes(typ reflect.Type, argument []byte) (reflect.Value, error) {
	v := reflect.New(typ).Elem()
	d, n, err := OpenArguments(append([]byte{0x91}, argument...))
	if err == nil {
		defer d.Close()
		err = PlanOf(typ).Decode(d, v)
	}
	if err == nil && n != 1 {
		err = fmt.Errorf("%d arguments", n)
	}
	return v, err
}

// printed is a value in the words of the table.
func printed(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		if v.IsNil() {
			return "nil"
		}
	case reflect.String:
		return strings.Trim(fmt.Sprintf("%q", v), `"`)
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	return fmt.Sprintf("%+v", v.Interface())
}

// returned has functions with the results of the third table, by the words before their bytes.
var returned = map[string]struct {
	fn   any
	want any // what a caller gets who asks for nothing particular
}{
	"none":     {func() {}, nil},
	"`int`: 3": {func() int { return 3 }, 3},
	"`string`: tea, and `bool`: true": {
		func() (string, bool) { return "tea", true }, []any{"tea", true},
	},
	"`duration`: 1.5 s":               {func() time.Duration { return 15e8 }, time.Duration(15e8)},
	"`time`: 2009-02-13 23:31:30 UTC": {func() time.Time { return at(1234567890, 0) }, at(1234567890, 0)},
	"bytes: 0, 1":                     {func() []byte { return []byte{0, 1} }, []byte{0, 1}},
	"slice of `string`: a, b":         {func() []string { return []string{"a", "b"} }, []string{"a", "b"}},
	"map of `string` to slice of `int`: a to 1, 2": {
		func() map[string][]int { return map[string][]int{"a": {1, 2}} }, map[string][]int{"a": {1, 2}},
	},
	"struct `Order{ID: 7, Name: \"tea\"}`": {
		func() Order { return Order{7, "tea"} }, map[string]any{"ID": int64(7), "Name": "tea"},
	},
	"nil pointer to `int`": {func() *int { return nil }, nil},
}

// Results are written as the table says, and a caller reads what they mean.
func TestResultsAreWrittenAsTheProtocolSays(t *testing.T) {
	rows := protocolTable(t, "| results | bytes |")
	require.Len(t, rows, len(returned))
	for _, row := range rows {
		require.Contains(t, returned, row[0])
		b := quotedHex(t, row[1])
		require.Equal(t, hex.EncodeToString(b), hex.EncodeToString(resultOf(t, returned[row[0]].fn)), row[0])
		got, err := decodeAny(b)
		require.NoError(t, err, row[0])
		require.Equal(t, returned[row[0]].want, got, row[0])
	}
}

// exampleOf is the first message of a kind among the examples of PROTOCOL.md.
func exampleOf(t *testing.T, kind wire.Kind) []byte {
	text, err := os.ReadFile("../../PROTOCOL.md")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(line), " ", ""))
		if err != nil || !strings.HasPrefix(line, "    ") || len(b) == 0 || wire.Kind(b[0]) != kind {
			continue
		}
		_, body, rest, err := wire.ConsumeMessage(b)
		require.NoError(t, err, line)
		require.Empty(t, rest)
		return body
	}
	require.Fail(t, "no example", "of kind %d", kind)
	return nil
}

// The call of the examples is work01(1, 2), and its result an int of 3: what they carry means that, too.
func TestTheCallOfTheExamplesMeansWhatItSays(t *testing.T) {
	request, err := wire.ConsumeRequest(exampleOf(t, wire.KindRequest))
	require.NoError(t, err)
	d, n, err := OpenArguments(request.Args)
	require.NoError(t, err)
	defer d.Close()
	require.Equal(t, 2, n)
	for _, want := range []int{1, 2} {
		got, err := ReadInt(d)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}

	reply, err := wire.ConsumeReply(exampleOf(t, wire.KindReply))
	require.NoError(t, err)
	require.Equal(t, []any{request.Slot, request.Seq}, []any{reply.Slot, reply.Seq}, "it answers that request")
	got, err := decodeAny(reply.Body)
	require.NoError(t, err)
	require.Equal(t, 3, got)
}

// The first example of a Chunk is all of an input, the items `[1, "a"]` and 1024.
func TestTheItemsOfTheExampleMeanWhatTheySay(t *testing.T) {
	chunk, err := wire.ConsumeChunk(exampleOf(t, wire.KindChunk))
	require.NoError(t, err)
	require.True(t, chunk.Last)
	var p stream.Pipe
	p.Put(chunk.Data)
	p.CloseWrite(nil)
	items, d, read := stream.Items{Pipe: &p, Most: 1000}, OpenItems(), ItemReader[any]()
	defer d.Close()
	for _, want := range []any{[]any{int64(1), "a"}, int64(1024)} {
		b, err := items.Next(nil)
		require.NoError(t, err)
		require.NoError(t, d.Begin(b))
		got, err := read(d)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err = items.Next(nil)
	require.Equal(t, io.EOF, err)
}
