package rules

import (
	"bytes"
	"flag"
	"go/ast"
	"go/format"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var updateAPI = flag.Bool("update-api", false, "rewrite testdata/api.golden")

// Each exported name is a promise. An intended change is made visible by: go test ./internal/rules -run TestAPI
// -update-api
func TestAPIIsWhatTheGoldenFileSays(t *testing.T) {
	got := publicFace(t)
	if *updateAPI {
		require.NoError(t, os.WriteFile("testdata/api.golden", []byte(got), 0o644))
	}
	want, err := os.ReadFile("testdata/api.golden")
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// The public face is small enough to be read at once: three screens of 40 lines.
func TestAPIFitsThreeScreens(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "doc", "-short", ".").Output()
	require.NoError(t, err)
	require.LessOrEqual(t, bytes.Count(out, []byte("\n")), 120, "%s", out)
}

// Whoever uses a name finds a sentence about it.
func TestEveryExportedNameIsDocumented(t *testing.T) {
	for _, dir := range []string{".", "broachtest"} {
		forEachFile(t, dir, func(path string, f *ast.File) {
			for _, d := range f.Decls {
				requireDoc(t, filepath.Join(dir, path), d)
			}
		})
	}
}

// requireDoc requires that what a declaration exports has a sentence that begins with its name.
func requireDoc(t *testing.T, path string, d ast.Decl) {
	if fn, ok := d.(*ast.FuncDecl); ok && isExported(fn) {
		require.True(t, strings.HasPrefix(fn.Doc.Text(), fn.Name.Name+" "), "%s: %s", path, fn.Name)
	}
	if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
		s := g.Specs[0].(*ast.TypeSpec)
		require.True(t, !s.Name.IsExported() || strings.HasPrefix(g.Doc.Text(), s.Name.Name+" "), "%s: %s", path,
			s.Name)
	}
}

// publicFace prints the exported declarations of the package, sorted, without comments and bodies.
func publicFace(t *testing.T) string {
	var decls []string
	forEachFile(t, ".", func(_ string, f *ast.File) {
		ast.FileExports(f)
		for _, d := range f.Decls {
			if text := exportedPart(t, d); text != "" {
				decls = append(decls, text)
			}
		}
	})
	slices.Sort(decls)
	return strings.Join(decls, "\n\n") + "\n"
}

// exportedPart prints what is exported of a declaration.
func exportedPart(t *testing.T, d ast.Decl) string {
	fn, isFunc := d.(*ast.FuncDecl)
	if g, ok := d.(*ast.GenDecl); isFunc && !isExported(fn) || ok && g.Tok == token.IMPORT {
		return ""
	}
	if isFunc {
		fn.Body = nil
	}
	ast.Inspect(d, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			n.Doc = nil
		case *ast.GenDecl:
			n.Doc = nil
		case *ast.TypeSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.ValueSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.Field:
			n.Doc, n.Comment = nil, nil
		}
		return true
	})
	var b strings.Builder
	require.NoError(t, format.Node(&b, token.NewFileSet(), d))
	return b.String()
}

// isExported reports whether users can name a function: both it and its receiver are exported.
func isExported(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return f.Name.IsExported()
	}
	receiver := f.Recv.List[0].Type
	if p, ok := receiver.(*ast.StarExpr); ok {
		receiver = p.X
	}
	name, ok := receiver.(*ast.Ident)
	return ok && name.IsExported() && f.Name.IsExported()
}
