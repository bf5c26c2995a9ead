package rules

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
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

// Whoever looks an option up finds it used: each has an Example of its own that is run, by its name.
func TestEveryOptionHasAnExample(t *testing.T) {
	examples, options := map[string]bool{}, 0
	for _, e := range doc.Examples(exampleFiles(t)...) {
		examples[e.Name] = e.Output != "" || e.EmptyOutput
	}
	forEachFunc(t, func(_ string, f *ast.FuncDecl) {
		if optionOf(f) != "" {
			options++
			require.True(t, examples[f.Name.Name], "func Example%s, with its Output, is missing", f.Name)
		}
	})
	require.Greater(t, options, 20, "the options have been found")
}

// Each function of the package, and each form of a call, is used by an Example.
func TestEveryFormIsUsedByAnExample(t *testing.T) {
	used := map[string]bool{}
	for _, f := range exampleFiles(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				used[s.Sel.Name] = true
			}
			return true
		})
	}
	forms := 0
	forEachFunc(t, func(_ string, f *ast.FuncDecl) {
		isShown := slices.Contains([]string{"Format", "LogValue", "String"}, f.Name.Name)
		if f.Recv == nil || receiverOf(f) == "Caller" && !isShown {
			forms++
			require.True(t, used[f.Name.Name], "no Example uses %s", f.Name)
		}
	})
	require.Greater(t, forms, 40, "the forms have been found")
}

// The test of README.md and of the package comment of broachtest is one that is run.
func TestTheTestThatDocumentsShowIsRun(t *testing.T) {
	text := func(path string) string {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(b)
	}
	_, test, found := strings.Cut(text("broachtest/example_test.go"), "\nfunc TestTheShopOutlivesAProvider(")
	require.True(t, found)
	test, _, _ = strings.Cut(test, "\n}\n")
	test = "func TestTheShopOutlivesAProvider(" + test + "\n}\n"
	require.Contains(t, text("README.md"), "```go\n"+test+"```")
	comment := "//\t" + strings.ReplaceAll(strings.TrimSpace(test), "\n", "\n//\t")
	require.Contains(t, text("broachtest/doc.go"), comment+"\n//\n")
}

// forEachFunc visits the functions and methods of the package that users can name.
func forEachFunc(t *testing.T, visit func(path string, f *ast.FuncDecl)) {
	forEachFile(t, ".", func(path string, f *ast.File) {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && isExported(fn) {
				visit(path, fn)
			}
		}
	})
}

// exampleFiles are those with Examples of the package.
func exampleFiles(t *testing.T) (files []*ast.File) {
	paths, err := filepath.Glob("example*_test.go")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		require.NoError(t, err)
		files = append(files, f)
	}
	return files
}
