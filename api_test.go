package broach

import (
	"flag"
	"go/ast"
	"go/printer"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var updateAPI = flag.Bool("update-api", false, "rewrite testdata/api.golden")

// Each exported name is a promise. An intended change is made visible by: go test -run TestAPI . -update-api
func TestAPIIsWhatTheGoldenFileSays(t *testing.T) {
	got := publicFace(t)
	if *updateAPI {
		require.NoError(t, os.WriteFile("testdata/api.golden", []byte(got), 0o644))
	}
	want, err := os.ReadFile("testdata/api.golden")
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// publicFace prints the exported declarations of the package, sorted, without comments and bodies.
func publicFace(t *testing.T) string {
	var decls []string
	forEachFile(t, ".", func(_ string, f *ast.File) {
		ast.FileExports(f)
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT {
				continue
			}
			if fn, ok := d.(*ast.FuncDecl); ok {
				fn.Body = nil
			}
			var b strings.Builder
			require.NoError(t, printer.Fprint(&b, token.NewFileSet(), d))
			decls = append(decls, b.String())
		}
	})
	slices.Sort(decls)
	return strings.Join(decls, "\n\n") + "\n"
}
