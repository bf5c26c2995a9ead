package main

import (
	"fmt"
	"go/token"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"broach"
)

func (a *app) genCommand() *cobra.Command {
	c := &cobra.Command{Use: "gen", Short: "Write code that calls functions", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	name := ""
	inGo := &cobra.Command{
		Use: "go NAME...", Short: "Write a Go file with a typed func for each function, from what its provider says",
		Example: "  broach gen go work01 resize --package shop > shop/calls.go",
		Args:    cobra.MinimumNArgs(1), ValidArgsFunction: a.completeNames,
		RunE: func(c *cobra.Command, args []string) error { return a.genGo(c, name, args) },
	}
	inGo.Flags().StringVar(&name, "package", "calls", "`name` of the package")
	c.AddCommand(inGo)
	return c
}

func (a *app) genGo(c *cobra.Command, pkg string, names []string) error {
	if !token.IsIdentifier(pkg) {
		return usagef("--package %s: it is no name of a package", quoted(pkg))
	}
	s, err := a.open(c.Context())
	if err != nil {
		return err
	}
	defer s.Close()
	g := newGenerator()
	for _, name := range names {
		d, err := s.describe(c.Context(), a, name)
		if err != nil {
			return err
		}
		g.function(d)
	}
	_, err = io.WriteString(a.out, g.file(pkg))
	return err
}

// generator collects functions and the types that they need.
type generator struct {
	funcs   []string
	types   map[string]string // the text of each, by its name here
	named   map[string]string // the name here of a type, by its name there and what it looks like
	current namedTypes        // of the description that is under way
	imports map[string]bool
	used    map[string]bool // names of the file's own
}

func newGenerator() *generator {
	return &generator{types: map[string]string{}, named: map[string]string{}, used: map[string]bool{},
		imports: map[string]bool{"broach": true, "context": true}}
}

// function adds what makes a func variable that calls a function.
func (g *generator) function(d broach.Description) {
	g.current = typesOf(&d)
	params, used := []string{"ctx context.Context"}, map[string]bool{}
	for i, p := range d.Params {
		t := g.typeName(p.Type)
		if d.Variadic && i == len(d.Params)-1 && p.Type.Elem != nil {
			t = "..." + g.typeName(*p.Type.Elem)
		}
		if d.StreamsIn && i == len(d.Params)-1 {
			t = g.sequence(t)
		}
		params = append(params, unusedName(used, paramName(p.Name, i))+" "+t)
	}
	var results []string
	for _, t := range d.Results {
		results = append(results, g.typeName(t))
	}
	if d.StreamsOut && len(results) == 1 {
		results = []string{g.sequence(results[0])}
	} else {
		results = append(results, "error")
	}
	signature := "func(" + strings.Join(params, ", ") + ") " + resultList(results)
	name := g.free(goName(d.Name))
	g.funcs = append(g.funcs, fmt.Sprintf(funcText, name, g.free(name+"Func"), oneLine(d.Name), docLines(d.Doc),
		signature, d.Name))
}

// funcText is a function of the file and its type: their names, what it calls, what that says, its signature.
const funcText = "// %[2]s calls %[3]s.%[4]s\n" +
	"type %[2]s %[5]s\n\n" +
	"// %[1]s returns a func that calls it, by many goroutines at once.\n" +
	"func %[1]s(n *broach.Node, opts ...broach.CallOption) %[2]s {\n" +
	"\treturn broach.Bind[%[2]s](n, %[6]q, opts...)\n" +
	"}\n"

func resultList(results []string) string {
	if len(results) == 1 {
		return results[0]
	}
	return "(" + strings.Join(results, ", ") + ")"
}

// sequence is a stream of items.
func (g *generator) sequence(item string) string {
	g.imports["iter"] = true
	return "iter.Seq2[" + item + ", error]"
}

// docLines are the text of a provider, as a comment. It cannot end the comment, for it has no line feed.
func docLines(doc string) string {
	if doc == "" {
		return ""
	}
	return " It says of itself:\n//\n//\t" + oneLine(doc)
}

func oneLine(s string) string { return strings.Join(strings.Fields(clean(s)), " ") }

// typeName is a type in Go.
func (g *generator) typeName(t broach.Type) string {
	switch t.Kind {
	case "bytes":
		return "[]byte"
	case "time", "duration":
		g.imports["time"] = true
		return map[string]string{"time": "time.Time", "duration": "time.Duration"}[t.Kind]
	case "slice":
		return "[]" + g.typeName(*t.Elem)
	case "array":
		return fmt.Sprintf("[%d]%s", t.Len, g.typeName(*t.Elem))
	case "map":
		return "map[" + g.typeName(*t.Key) + "]" + g.typeName(*t.Elem)
	case "pointer":
		return "*" + g.typeName(*t.Elem)
	case "struct", "ref":
		return g.namedType(g.current.resolve(t))
	}
	if slices.Contains(plainKinds, t.Kind) {
		return t.Kind
	}
	return "any"
}

// plainKinds are kinds that are types of Go.
var plainKinds = []string{"bool", "int", "int8", "int16", "int32", "int64", "uint", "uint8", "uint16", "uint32",
	"uint64", "float32", "float64", "string", "any"}

// namedType is the name of a struct, or of another type that leads to itself. It is written down once.
func (g *generator) namedType(t broach.Type) string {
	text := g.structText
	if t.Kind != "struct" {
		text = g.typeName
	}
	if t.Name == "" {
		return text(t)
	}
	known := t.Name + "\x00" + shownWhole(itemOfType(&t))
	if name, ok := g.named[known]; ok {
		return name
	}
	_, short, ok := strings.Cut(t.Name, ".")
	if !ok {
		short = t.Name
	}
	name := g.free(goName(short))
	g.named[known] = name // before its fields: one of them may lead to it
	g.types[name] = text(t)
	return name
}

// structText has the fields as they travel.
func (g *generator) structText(t broach.Type) string {
	used, fields := map[string]bool{}, [][3]string{}
	for _, f := range t.Fields {
		name := unusedName(used, goName(f.Name))
		tag := f.Name
		if f.Optional {
			tag += ",omitempty"
		}
		if tag == name {
			tag = ""
		} else {
			tag = rawTag(tag)
		}
		fields = append(fields, [3]string{name, g.typeName(f.Type), tag})
	}
	if len(fields) == 0 {
		return "struct{}"
	}
	return "struct {\n" + aligned(fields) + "}"
}

// aligned has names, types and tags in columns, as gofmt has them: that of the types is as wide as those that stand one
// below the other and have a tag.
func aligned(fields [][3]string) string {
	names, types := 0, make([]int, len(fields))
	for i, f := range fields {
		names = max(names, utf8.RuneCountInString(f[0]))
		for j := i; f[2] != "" && j < len(fields) && fields[j][2] != ""; j++ {
			types[i] = max(types[i], utf8.RuneCountInString(fields[j][1]))
		}
		if i > 0 && f[2] != "" {
			types[i] = max(types[i], types[i-1])
		}
	}
	var b strings.Builder
	for i, f := range fields {
		line := fmt.Sprintf("%-*s %-*s %s", names, f[0], types[i], f[1], f[2])
		b.WriteString("\t" + strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// rawTag is a tag of a field, in whichever quotes can hold it.
func rawTag(tag string) string {
	text := fmt.Sprintf("msgpack:%q", tag)
	if strings.Contains(text, "`") {
		return fmt.Sprintf("%q", text)
	}
	return "`" + text + "`"
}

// free is a name that the file does not have yet.
func (g *generator) free(name string) string { return unusedName(g.used, name) }

func unusedName(used map[string]bool, name string) string {
	unused := name
	for n := 2; used[unused]; n++ {
		unused = fmt.Sprintf("%s%d", name, n)
	}
	used[unused] = true
	return unused
}

// goName is an exported name that resembles one which may be anything.
func goName(name string) string {
	var b strings.Builder
	isUpper := true
	for _, r := range name {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			isUpper = true
		case isUpper:
			b.WriteRune(unicode.ToUpper(r))
			isUpper = false
		default:
			b.WriteRune(r)
		}
	}
	if !token.IsExported(b.String()) || !token.IsIdentifier(b.String()) {
		return "X" + b.String()
	}
	return b.String()
}

// paramName is the name of a parameter, or a number where it is not known.
func paramName(name string, i int) string {
	if !token.IsIdentifier(name) || name == "ctx" || name == "broach" || name == "time" || name == "context" {
		return fmt.Sprintf("arg%d", i+1)
	}
	return name
}

// file is all of it, as gofmt would have it.
func (g *generator) file(pkg string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "// Code generated by broach gen go; DO NOT EDIT.\n\npackage %s\n\nimport (\n", pkg)
	for _, path := range slices.Sorted(maps.Keys(g.imports)) {
		if path != "broach" {
			fmt.Fprintf(&b, "\t%q\n", path)
		}
	}
	b.WriteString("\n\t\"broach\"\n)\n")
	for _, text := range g.funcs {
		b.WriteString("\n" + text)
	}
	for _, name := range slices.Sorted(maps.Keys(g.types)) {
		fmt.Fprintf(&b, "\n// %s is a value that travels.\ntype %s %s\n", name, name, g.types[name])
	}
	return b.String()
}
