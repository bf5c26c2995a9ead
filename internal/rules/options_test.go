package rules

import (
	"bytes"
	"go/ast"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A kind of options is a type that ends in Option. It stands in one file with all its options, and a paragraph of the
// package documentation names these and whatever takes them, as does the kind's own comment.
type kindOfOptions struct {
	file, doc string   // where its type is declared
	takers    []string // "Node.Register"
}

func TestOptionsStandWithWhatTakesThem(t *testing.T) {
	kinds, paragraphs := kindsOfOptions(t), optionParagraphs(t)
	options := 0
	forEachFunc(t, func(path string, f *ast.FuncDecl) {
		if name := optionOf(f); name != "" {
			options++
			require.Equal(t, kinds[name].file, path, "where %s is", f.Name)
			require.Contains(t, paragraphs[name], "["+f.Name.Name+"]", "the package documentation of %s", name)
		}
	})
	require.Greater(t, options, 20, "the options have been found")
	for name, k := range kinds {
		require.NotEmpty(t, k.takers, "of %s", name)
		for _, taker := range k.takers {
			require.Contains(t, k.doc, taker, "the comment of %s", name)
			require.Contains(t, paragraphs[name], "["+taker+"]", "the package documentation of %s", name)
		}
	}
}

// The documentation of the whole is one that can be read: 1,500 lines are three dozens of screens of 40 lines. What
// comes to it makes room for itself: a comment says what a user needs, once, and the documents in docs say the rest.
func TestTheDocumentationIsShort(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "doc", "-all", ".").Output()
	require.NoError(t, err)
	lines := bytes.Count(out, []byte("\n"))
	t.Logf("%d lines", lines)
	require.LessOrEqual(t, lines, 1500)
}

// kindsOfOptions finds them by name.
func kindsOfOptions(t *testing.T) map[string]*kindOfOptions {
	kinds := map[string]*kindOfOptions{}
	forEachFile(t, ".", func(path string, f *ast.File) {
		for _, d := range f.Decls {
			g, _ := d.(*ast.GenDecl)
			if g == nil {
				continue
			}
			if s, ok := g.Specs[0].(*ast.TypeSpec); ok && isKindOfOptions(s.Name) {
				kinds[s.Name.Name] = &kindOfOptions{file: path, doc: g.Doc.Text()}
			}
		}
	})
	require.Len(t, kinds, 4)
	forEachFunc(t, func(_ string, f *ast.FuncDecl) {
		if name := takenBy(f); name != "" {
			kinds[name].takers = append(kinds[name].takers, fullName(f))
		}
	})
	return kinds
}

// optionParagraphs are those of the package documentation, by the kind that each begins with.
func optionParagraphs(t *testing.T) map[string]string {
	paragraphs := map[string]string{}
	forEachFile(t, ".", func(_ string, f *ast.File) {
		for _, p := range strings.Split(f.Doc.Text(), "\n  - ") {
			if m := regexp.MustCompile(`^(?:  - )?\[(\w+Option)\], for `).FindStringSubmatch(p); m != nil {
				paragraphs[m[1]] = p
			}
		}
	})
	return paragraphs
}

func isKindOfOptions(name *ast.Ident) bool {
	return name != nil && name.IsExported() && strings.HasSuffix(name.Name, "Option")
}

// optionOf is the kind of option that a function makes, "" if it makes none.
func optionOf(f *ast.FuncDecl) string {
	if f.Recv != nil || f.Type.Results == nil || len(f.Type.Results.List) != 1 {
		return ""
	}
	kind, _ := f.Type.Results.List[0].Type.(*ast.Ident)
	if !isKindOfOptions(kind) {
		return ""
	}
	return kind.Name
}

// takenBy is the kind of options that a function takes any number of, "" if it takes none.
func takenBy(f *ast.FuncDecl) string {
	for _, p := range f.Type.Params.List {
		if more, ok := p.Type.(*ast.Ellipsis); ok {
			if kind, _ := more.Elt.(*ast.Ident); isKindOfOptions(kind) {
				return kind.Name
			}
		}
	}
	return ""
}

// fullName is the name of a function with that of its receiver.
func fullName(f *ast.FuncDecl) string {
	if r := receiverOf(f); r != "" {
		return r + "." + f.Name.Name
	}
	return f.Name.Name
}

// receiverOf is the type that a function is a method of, "" if it is none.
func receiverOf(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	t := f.Recv.List[0].Type
	if p, ok := t.(*ast.StarExpr); ok {
		t = p.X
	}
	name, _ := t.(*ast.Ident)
	if name == nil {
		return ""
	}
	return name.Name
}
