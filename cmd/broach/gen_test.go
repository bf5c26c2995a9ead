package main

import (
	"go/format"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broach"
	stubs "broach/cmd/broach/testdata/gen"
)

// What a script has found to be what broach gen go writes is code that fits this library.
func TestGeneratedCode(t *testing.T) {
	out, err := exec.Command("go", "vet", "./"+generatedCode).CombinedOutput()
	require.NoError(t, err, string(out))
}

// requireFormatted is for what is Go, and as gofmt would have it.
func requireFormatted(t *testing.T, text string) {
	formatted, err := format.Source([]byte(text))
	require.NoError(t, err, text)
	require.Equal(t, string(formatted), text)
}

func TestFieldsAreAligned(t *testing.T) {
	g, kinds := newGenerator(), []string{"int", "string", "float64", "any", "time"}
	for n := range 40 { // tags here and there
		var fields []broach.Field
		for i := range n % 7 {
			name := strings.Repeat("A", 1+(n*i)%5)
			if n>>i&1 == 1 {
				name = "a" + name
			}
			fields = append(fields, broach.Field{Name: name, Type: broach.Type{Kind: kinds[(n+i)%5]}})
		}
		t := broach.Type{Kind: "struct", Name: "x.T", Fields: fields}
		g.function(broach.Description{Name: "f", Results: []broach.Type{t}})
	}
	requireFormatted(t, g.file("stubs"))
}

// It also runs: Bind takes the types that are written down.
func TestGeneratedCodeRuns(t *testing.T) {
	one, end := startProvider(t)
	defer end()
	node := startGuest(t, one)
	defer node.Close()
	sum, err := stubs.Work01(node)(t.Context(), 1, 2)
	require.NoError(t, err)
	require.Equal(t, 3, sum)
	all, err := stubs.Sum(node)(t.Context(), 1, 2, 3.5)
	require.NoError(t, err)
	require.Equal(t, 6.5, all)
	p := stubs.Picture{Name: "a", Shown: time.Second, Tags: map[int]string{1: "x"}, Parent: &stubs.Picture{Name: "b"}}
	same, err := stubs.Copy(node)(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, p.Parent.Name, same.Parent.Name)
	var names []string
	for item, err := range stubs.Count(node)(t.Context(), 2) {
		require.NoError(t, err)
		names = append(names, item.Name)
	}
	require.Equal(t, []string{"0", "1"}, names)
	total, err := stubs.Total(node)(t.Context(), 10, func(yield func(int, error) bool) { yield(5, nil) })
	require.NoError(t, err)
	require.Equal(t, 15, total)
}

// Names are strangers' words, also in code.
func TestGeneratedCodeOfHostileNames(t *testing.T) {
	g := newGenerator()
	inner := broach.Type{Kind: "struct", Name: "x.a\"`b", Fields: []broach.Field{
		{Name: "\"`\n}", Type: broach.Type{Kind: "int"}}, {Name: "a-b", Type: broach.Type{Kind: "no kind"}},
		{Name: "A_b", Type: broach.Type{Kind: "ref", Name: "nothing"}, Optional: true},
	}}
	for range 2 { // the same again is another func of the same types
		g.function(broach.Description{Name: "*/\n\x1b func", Doc: "x\n*/ package y", Params: []broach.Field{
			{Name: "ctx", Type: inner}, {Name: "type", Type: broach.Type{Kind: "slice", Elem: &inner}},
		}})
	}
	text := g.file("stubs")
	requireFormatted(t, text)
	require.Equal(t, 1, len(g.types))
	require.NotContains(t, text, "\x1b")
}

// type L []L, and a Doc that calls two parameters the same.
func TestGeneratedCodeOfTypesThatLeadToThemselves(t *testing.T) {
	list := broach.Type{Kind: "slice", Name: "x.L", Elem: &broach.Type{Kind: "ref", Name: "x.L"}}
	g, number := newGenerator(), broach.Type{Kind: "int"}
	g.function(broach.Description{Name: "f", Params: []broach.Field{{Name: "a", Type: list}, {Name: "a", Type: number},
		{Name: "arg4", Type: number}, {Name: "func", Type: number}}})
	text := g.file("stubs")
	requireFormatted(t, text)
	require.Contains(t, text, "func(ctx context.Context, a []L, a2 int, arg4 int, arg42 int) error")
	require.Contains(t, text, "type L []L\n")
}
