package function

import (
	"context"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"broach/internal/codec"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// A change is a type, and a value of it, in the old and the new version of a program. A value of the one is to arrive
// as that of the other, unless it says as what.
type change struct {
	old, new           any
	oldAsNew, newAsOld any
}

// a struct of two fields, of which the second changes.
type with[T any] struct {
	Same    int
	Changed T
}

func field[T any](x T) with[T] { return with[T]{1, x} }

func to[T any](x T) *T { return &x }

type (
	alone struct{ Same int }
	short struct {
		Same    int
		Changed string `json:",omitempty"`
	}
	tagged struct {
		Same    int
		Changed string `msgpack:"changed"`
	}
	renamed struct {
		Same int
		Now  string
	}
	point struct{ X, Y int }
	grade int
)

func (g grade) MarshalText() ([]byte, error) { return []byte("grade"), nil }
func (g *grade) UnmarshalText(b []byte) error {
	*g = grade(len(b))
	return nil
}

// changes are the rows of the table of docs/values.md, by their first cell.
var changes = map[string]change{
	"a field is added":         {old: alone{1}, new: field("a")},
	"a field is removed":       {old: field("a"), new: alone{1}},
	"a field is renamed":       {old: field("a"), new: renamed{1, "a"}},
	"a field has another tag":  {old: field("a"), new: tagged{1, "a"}},
	"a field gets omitempty":   {old: field(""), new: short{1, ""}},
	"int8 to int64, it fits":   {old: field(int8(5)), new: field(int64(5))},
	"int8 to int64, it is 300": {old: field(int8(5)), new: field(int64(300)), oldAsNew: field(int64(5))},
	"int to uint, it is -1":    {old: field(-1), new: field(uint(5)), newAsOld: field(5)},
	"int to float64, it is whole": {
		old: field(5), new: field(5.0)},
	"int to float64, it is 1.5": {old: field(5), new: field(1.5), oldAsNew: field(5.0)},
	"T to *T":                   {old: field(5), new: field(to(5))},
	"T to *T, it is nil":        {old: field(5), new: field[*int](nil), oldAsNew: field(to(5))},
	"[]T to [2]T, it has two":   {old: field([]int{1, 2}), new: field([2]int{1, 2})},
	"[]T to [2]T, it has three": {
		old: field([]int{1, 2, 3}), new: field([2]int{1}), newAsOld: field([]int{1, 0})},
	"string to []byte, it is UTF-8":   {old: field("a"), new: field([]byte("a"))},
	"string to []byte, it is not":     {old: field("a"), new: field([]byte{0xff}), oldAsNew: field([]byte("a"))},
	"int to time.Duration":            {old: field(5), new: field(time.Duration(5))},
	"int to string":                   {old: field(5), new: field("5")},
	"T to []T":                        {old: field(5), new: field([]int{5})},
	"any to T":                        {old: field[any](int64(5)), new: field(5)},
	"a struct to map[string]T":        {old: field(point{1, 2}), new: field(map[string]int{"X": 1, "Y": 2})},
	"time.Time to a string, RFC 3339": {old: field(time.Unix(1, 0).UTC()), new: field("1970-01-01T00:00:01Z")},
	"a type gets MarshalText":         {old: field(5), new: field(grade(5))},
}

// Each row of the table of types is what comes of a change: of an argument and of a result, for the four pairs of
// versions. Where both ends are of one version, nothing does.
func TestVersionsOfTypesAreAsDocumented(t *testing.T) {
	rows := versionRows(t, "Versions of a type")
	require.Len(t, rows, len(changes))
	for _, row := range rows {
		c, ok := changes[row[0]]
		require.True(t, ok, row[0])
		oldAsNew, newAsOld := c.new, c.old
		if c.oldAsNew != nil {
			oldAsNew = c.oldAsNew
		}
		if c.newAsOld != nil {
			newAsOld = c.newAsOld
		}
		require.Equal(t, row[1:], []string{
			asArgument(t, c.old, oldAsNew), asArgument(t, c.new, newAsOld),
			asResult(t, c.new, newAsOld), asResult(t, c.old, oldAsNew),
		}, row[0])
		for _, same := range []any{c.old, c.new} {
			require.Equal(t, []string{"fine", "fine"}, []string{asArgument(t, same, same), asResult(t, same, same)})
		}
	}
}

// asArgument is what comes of a value that is to arrive as want at a function that takes the type of that.
func asArgument(t *testing.T, sent, want any) string {
	var got reflect.Value
	typ := reflect.FuncOf([]reflect.Type{reflect.TypeOf(want)}, nil, false)
	fn := reflect.MakeFunc(typ, func(in []reflect.Value) []reflect.Value { got = in[0]; return nil })
	f, err := New("f", fn.Interface())
	require.NoError(t, err)
	b, err := codec.Arguments{List: []any{sent}}.Append(nil, mostBytes)
	require.NoError(t, err)
	if _, err := f.Invoke(t.Context(), b, nil, nil); err != nil {
		return word(t, err)
	}
	return arrived(sent, got.Interface(), want)
}

// asResult is what comes of a value that a function returns, at a caller that asks for the type of want.
func asResult(t *testing.T, sent, want any) string {
	typ := reflect.FuncOf(nil, []reflect.Type{reflect.TypeOf(sent)}, false)
	fn := reflect.MakeFunc(typ, func([]reflect.Value) []reflect.Value { return []reflect.Value{reflect.ValueOf(sent)} })
	got, err := called(t, fn.Interface(), nil, reflect.TypeOf(want))
	if err != nil {
		return word(t, err)
	}
	return arrived(sent, got[0].Interface(), want)
}

// arrived says what has become of a value that was to arrive as want: of the second field, if not of all.
func arrived(sent, got, want any) string {
	if reflect.DeepEqual(got, want) {
		if reflect.TypeOf(want).NumField() < reflect.TypeOf(sent).NumField() {
			return "ignored"
		}
		return "fine"
	}
	empty := reflect.New(reflect.TypeOf(want)).Elem()
	empty.Set(reflect.ValueOf(want))
	empty.Field(empty.NumField() - 1).SetZero()
	if reflect.DeepEqual(got, empty.Interface()) {
		return "zero"
	}
	return "changed"
}

// word is what an error says of a call.
func word(t *testing.T, err error) string {
	e, ok := errors.AsType[*codec.Error](err)
	require.True(t, ok)
	require.Equal(t, wire.InvalidArgument, e.Code, e.Text)
	if e.Executed == wire.ExecutedNo {
		return "refused"
	}
	return "failed"
}

// called calls a function as one that returns these types.
func called(t *testing.T, fn any, args []any, results ...reflect.Type) ([]reflect.Value, error) {
	f, err := New("f", fn)
	require.NoError(t, err)
	b, err := codec.Arguments{List: args}.Append(nil, mostBytes)
	require.NoError(t, err)
	if b, err = f.Invoke(t.Context(), b, nil, nil); err != nil {
		return nil, err
	}
	return codec.DecodeResults(b, results, false)
}

// signatures are the rows of the table of signatures: a function as it was and as it is.
var signatures = map[string][2]any{
	"a parameter is added":                  {func(int) int { return 1 }, func(int, int) int { return 1 }},
	"a parameter is removed":                {func(int, int) int { return 1 }, func(int) int { return 1 }},
	"a variadic parameter is added":         {func(int) int { return 1 }, func(int, ...int) int { return 1 }},
	"the last parameter becomes variadic":   {func(int) int { return 1 }, func(...int) int { return 1 }},
	"parameters become one struct":          {func(x, y int) int { return 1 }, func(point) int { return 1 }},
	"a struct gets a field":                 {func(alone) int { return 1 }, func(with[int]) int { return 1 }},
	"a first context.Context is added":      {func(int) int { return 1 }, func(context.Context, int) int { return 1 }},
	"a result is added":                     {func(int) int { return 1 }, func(int) (int, int) { return 1, 1 }},
	"a result is removed":                   {func(int) int { return 1 }, func(int) {}},
	"a last error is added":                 {func(int) int { return 1 }, func(int) (int, error) { return 1, nil }},
	"a last error is added, and returned":   {func(int) int { return 1 }, func(int) (int, error) { return 1, errSome }},
	"a parameter and a result become wider": {func(int8) int8 { return 1 }, func(int) int { return 1 }},
}

var errSome = errors.New("some")

// Each row of the table of signatures is what comes of a call of a caller that was bound to the other version.
func TestVersionsOfSignaturesAreAsDocumented(t *testing.T) {
	rows := versionRows(t, "Versions of a signature")
	require.Len(t, rows, len(signatures))
	for _, row := range rows {
		fns, ok := signatures[row[0]]
		require.True(t, ok, row[0])
		require.Equal(t, row[1:], []string{bound(t, fns[0], fns[1]), bound(t, fns[1], fns[0])}, row[0])
	}
}

// bound is what comes of a call of fn by a caller that takes it for a function of the type of as.
func bound(t *testing.T, as, fn any) string {
	typ := reflect.TypeOf(as)
	var args []any
	for p := range typ.Ins() {
		if p != contextType && !(typ.IsVariadic() && len(args) == typ.NumIn()-1) {
			args = append(args, reflect.Zero(p).Interface())
		}
	}
	if typ.IsVariadic() {
		args = append(args, 1)
	}
	var results []reflect.Type
	for r := range typ.Outs() {
		if r != errorType {
			results = append(results, r)
		}
	}
	_, err := called(t, fn, args, results...)
	e, ok := errors.AsType[*codec.Error](err)
	switch {
	case err == nil:
		return "fine"
	case ok && e.Code == wire.Application:
		return "its error"
	}
	return word(t, err)
}

// versionRows are the rows of a table in docs/values.md.
func versionRows(t *testing.T, section string) (rows [][]string) {
	text, err := os.ReadFile("../../docs/values.md")
	require.NoError(t, err)
	_, after, ok := strings.Cut(string(text), "\n## "+section+"\n")
	require.True(t, ok, section)
	after, _, _ = strings.Cut(after, "\n## ")
	for l := range strings.Lines(after) {
		if l, isRow := strings.CutPrefix(strings.TrimSpace(l), "| "); isRow {
			rows = append(rows, strings.Split(strings.TrimSuffix(strings.ReplaceAll(l, "`", ""), " |"), " | "))
		}
	}
	require.NotEmpty(t, rows)
	return rows[1:]
}
