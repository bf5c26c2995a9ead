package rules

import (
	"go/ast"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Examples are copied. What they print may say how many keys there are, and nothing more of them.
func TestExamplesPrintNoKeys(t *testing.T) {
	dirs, err := filepath.Glob("examples/*")
	require.NoError(t, err)
	for _, dir := range dirs {
		forEachFile(t, dir, func(path string, f *ast.File) {
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if ok && prints(call) {
					require.Empty(t, keysIn(call), filepath.Join(dir, path))
				}
				return true
			})
		})
	}
}

// prints reports whether a call is one of a function of fmt, log or slog.
func prints(call *ast.CallExpr) bool {
	s, _ := call.Fun.(*ast.SelectorExpr)
	if s == nil {
		return false
	}
	x, _ := s.X.(*ast.Ident)
	return x != nil && (x.Name == "fmt" || x.Name == "log" || x.Name == "slog")
}

// keysIn returns the names of a call that speak of keys, except where only their number is taken.
func keysIn(call *ast.CallExpr) (names []string) {
	ast.Inspect(call, func(n ast.Node) bool {
		if inner, ok := n.(*ast.CallExpr); ok {
			f, _ := inner.Fun.(*ast.Ident)
			return f == nil || f.Name != "len"
		}
		if id, ok := n.(*ast.Ident); ok && strings.Contains(strings.ToLower(id.Name), "key") {
			names = append(names, id.Name)
		}
		return true
	})
	return names
}
