package main

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"broach"
)

// What a script has found to be what broach gen go writes is code that fits this library.
func TestGeneratedCode(t *testing.T) {
	out, err := exec.Command("go", "vet", "./"+generatedCode).CombinedOutput()
	require.NoError(t, err, string(out))
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
	text, err := g.file("stubs")
	require.NoError(t, err)
	require.Equal(t, 1, len(g.types))
	require.NotContains(t, string(text), "\x1b")
}
