package broach

import (
	"bytes"
	"context"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"broach/internal/balance"
	"broach/internal/codec"
	"broach/internal/link"
	"broach/internal/wire"
)

// Description is what a function takes and returns, as its provider says: enough to draw a form for a call, to turn
// JSON into arguments, or to write a client in another language.
type Description struct {
	Name       string  `msgpack:"n"`
	Signature  string  `msgpack:"s"`           // as Services shows it
	Doc        string  `msgpack:"d,omitempty"` // what Register was told of it
	Params     []Field `msgpack:"p,omitempty"` // without a context; named where the Doc begins with a call
	Results    []Type  `msgpack:"r,omitempty"` // without an error
	Variadic   bool    `msgpack:"v,omitempty"` // any number of arguments may stand for the last parameter, a slice
	Idempotent bool    `msgpack:"i,omitempty"`
	StreamsIn  bool    `msgpack:"si,omitempty"` // the last of Params is an item of the stream that it takes
	StreamsOut bool    `msgpack:"so,omitempty"` // Results are an item of the stream that it returns
}

// Type is a type of Go as its values travel. Kind is bool, int, int8 to int64, uint, uint8 to uint64, float32, float64,
// string, bytes, time, duration, any, slice, array, map, struct, pointer, or ref: the type of that Name stands
// elsewhere in the Description, in full. A type with methods of its own is what these make: string, bytes, or any.
type Type struct {
	Kind   string  `msgpack:"k"`
	Name   string  `msgpack:"n,omitempty"` // as Go writes it; "" for one without, such as a slice of something
	Elem   *Type   `msgpack:"e,omitempty"` // of a slice, array, map or pointer
	Key    *Type   `msgpack:"y,omitempty"` // of a map
	Fields []Field `msgpack:"f,omitempty"` // of a struct, in the order in which they travel
	Len    int     `msgpack:"l,omitempty"` // of an array
}

// Field is a field of a struct, or a parameter of a function.
type Field struct {
	Name     string `msgpack:"n,omitempty"` // of a field: as it travels; of a parameter: "" if not known
	Type     Type   `msgpack:"t"`
	Optional bool   `msgpack:"o,omitempty"` // it is left out where it is empty
}

// Describe asks a provider what the function of that name takes and returns; if this node offers it, it says so itself.
// What came is kept until the provider changes what it offers. A name that nobody offers is NotFound, as for a call;
// a description of more than 64 KiB is TooLarge. If ctx has no deadline, it has Config.CallTimeout.
func (n *Node) Describe(ctx context.Context, name string) (Description, error) {
	if f := n.serving.offered.get(name); f != nil && !wire.IsOwn(name) {
		return f.describe(), nil
	}
	ctx = orEndless(ctx)
	c := n.Caller(name)
	if failed := c.refusal(ctx); failed != nil {
		return Description{}, failed
	}
	now := time.Now()
	deadline := c.deadline(ctx, now)
	r, failed := c.route(ctx, now, deadline)
	if failed != nil {
		return Description{}, failed
	}
	d, failed := c.askDescription(ctx, now, r, deadline)
	if failed != nil {
		return Description{}, failed
	}
	return d, nil
}

// describeService is the protocol's own function that Describe calls, PROTOCOL.md [TAB-10].
const describeService = "\x00describe"

const (
	describedSize = 64 << 10 // bytes of a description
	describedHead = 16       // what comes before it in a result, at most
	// providers that are asked for one at most: each further one because the one before could not say
	describersMost = 3
)

// describeFunction is what answers describeService.
func (n *Node) describeFunction() *service {
	f := ownService(describeService, func(name string) (Description, error) {
		f := n.serving.offered.forPeers([]byte(name))
		if f == nil || wire.IsOwn(name) {
			return Description{}, Errorf(NotFound, "the node does not offer this function")
		}
		return f.describe(), nil
	})
	f.Most = describedSize
	return f
}

// askDescription asks one provider after the other, but for what one of them has said before.
func (c *Caller) askDescription(ctx context.Context, now time.Time, r *route, deadline time.Time) (
	d Description, failed *Error,
) {
	candidates := r.candidates()
	for i := range candidates {
		if body, ok := c.recall(candidates[i].Link); ok {
			return c.readDescription(body)
		}
	}
	failed = c.unreached()
	for i := range candidates[:min(len(candidates), describersMost)] {
		var body []byte
		v := balance.Visit{Link: candidates[i].Link, Record: candidates[i].Record}
		if body, failed = c.describeAt(ctx, now, &v, deadline); failed == nil {
			return c.readDescription(body)
		}
	}
	return d, failed
}

func (c *Caller) readDescription(body []byte) (d Description, _ *Error) {
	d, err := codec.DecodeAs[Description](body)
	if err != nil {
		return d, c.own(err)
	}
	d.complete()
	return d, nil
}

// complete puts any where another implementation does not say what a list, a map or a pointer is of, or where pointers
// lead to nothing but pointers. So whoever follows a Type comes to an end.
func (d *Description) complete() {
	d.walk((*Type).complete)
	pointers, endless, most := map[string]*Type{}, &Type{Kind: "pointer"}, 0
	endless.Elem = endless
	d.walk(func(t *Type) {
		if t.Kind == "pointer" {
			most++
		}
		switch {
		case t.Kind != "pointer" || t.Name == "":
		case pointers[t.Name] != nil: // two of one name: readers may differ about which counts
			pointers[t.Name] = endless
		default:
			pointers[t.Name] = t
		}
	})
	d.walk(func(t *Type) {
		if t.Kind == "ref" && t.isEndless(pointers, most) {
			*t = Type{Kind: "any"}
		}
	})
}

func (d *Type) complete() {
	if d.Elem == nil && slices.Contains([]string{"slice", "array", "map", "pointer"}, d.Kind) {
		d.Elem = &Type{Kind: "any"}
	}
	if d.Key == nil && d.Kind == "map" {
		d.Key = &Type{Kind: "any"}
	}
}

// isEndless reports whether a type is only pointers, of which there are most.
func (d *Type) isEndless(pointers map[string]*Type, most int) bool {
	for range most + 1 {
		if d.Kind == "ref" {
			d = pointers[d.Name]
		}
		if d == nil || d.Kind != "pointer" {
			return false
		}
		d = d.Elem
	}
	return true
}

// walk does something with each type of a description.
func (d *Description) walk(do func(*Type)) {
	for i := range d.Params {
		d.Params[i].Type.walk(do)
	}
	for i := range d.Results {
		d.Results[i].walk(do)
	}
}

func (d *Type) walk(do func(*Type)) {
	do(d)
	for _, inner := range []*Type{d.Elem, d.Key} {
		if inner != nil {
			inner.walk(do)
		}
	}
	for i := range d.Fields {
		d.Fields[i].Type.walk(do)
	}
}

// recall returns what a provider has said before.
func (c *Caller) recall(l *link.Link) (body []byte, ok bool) {
	return c.node.calling.described.Get(c.name, c.node.calling.view.Load().editionOf(l.ID))
}

// describeAt asks one provider, and keeps what it says.
func (c *Caller) describeAt(ctx context.Context, now time.Time, v *balance.Visit, deadline time.Time) ([]byte, *Error) {
	by := c.node.calling.view.Load().editionOf(v.Link.ID) // before it is asked: what it offers may change meanwhile
	asker := c.node.Caller(describeService)
	p, failed := asker.attempt(ctx, now, v,
		&outCall{Arguments: codec.Arguments{List: []any{c.name}}, deadline: deadline})
	if failed != nil {
		failed.Service = c.name
		return nil, failed
	}
	defer c.node.linking.wires.FreeCall(p)
	if len(p.Body) > describedSize+describedHead { // a provider that keeps to the protocol says so itself
		return nil, c.own(codec.TooLarge(wire.ExecutedYes, "results", describedSize))
	}
	body := bytes.Clone(p.Body)
	c.node.calling.described.Keep(c.name, by, body)
	return body, nil
}

// describe makes the description of a function of this node.
func (f *service) describe() Description {
	params, results := f.Types()
	if in := f.StreamsIn(); in != nil {
		params = append(params, in.Item)
	}
	if out := f.StreamsOut(); out != nil {
		results = append(results, out.Item)
	}
	d := Description{
		Name: f.name, Signature: f.Signature(), Doc: f.doc, Variadic: f.IsVariadic(), Idempotent: f.idempotent,
		StreamsIn: f.StreamsIn() != nil, StreamsOut: f.StreamsOut() != nil,
	}
	seen, names := describer{}, paramNames(f.doc, len(params))
	for i, t := range params {
		d.Params = append(d.Params, Field{Name: names[i], Type: seen.describe(t)})
	}
	for _, t := range results {
		d.Results = append(d.Results, seen.describe(t))
	}
	return d
}

// A describer describes the types of one Description. It has those with names that stand in it: each stands there once.
// So a type that leads to itself has an end, and many that lead to each other do not make it grow beyond measure.
type describer map[reflect.Type]bool

func (m describer) describe(t reflect.Type) Type {
	t = codec.AsSent(t)
	d := Type{Kind: codec.KindOf(t)}
	if t.Name() != "" || t.Kind() == reflect.Interface {
		d.Name = codec.TypeName(t)
	}
	if t.Name() != "" && slices.Contains([]string{"slice", "array", "map", "pointer", "struct"}, d.Kind) {
		if m[t] {
			return Type{Kind: "ref", Name: d.Name}
		}
		m[t] = true
	}
	switch d.Kind {
	case "array":
		d.Len = t.Len()
		d.Elem = m.describeInner(t.Elem())
	case "slice", "pointer":
		d.Elem = m.describeInner(t.Elem())
	case "map":
		d.Key, d.Elem = m.describeInner(t.Key()), m.describeInner(t.Elem())
	case "struct":
		for _, f := range codec.MembersOf(t) {
			d.Fields = append(d.Fields, Field{Name: f.Name, Type: m.describe(f.Type), Optional: f.IsOptional})
		}
	}
	return d
}

func (m describer) describeInner(t reflect.Type) *Type {
	d := m.describe(t)
	return &d
}

// paramNames takes the names of n parameters from a Doc that begins with a call, as in "resize(picture, width) makes it
// smaller", or with a declaration. Reflection does not know them. Where it does not say them all, all are "".
func paramNames(doc string, n int) []string {
	call, _, closes := strings.Cut(doc, ")")
	function, list, opens := strings.Cut(call, "(")
	names := strings.Split(list, ",")
	if !opens || !closes || len(names) != n || !isWord(function) {
		return make([]string, n)
	}
	for i := range names {
		name, _, _ := strings.Cut(strings.TrimSpace(names[i]), " ")
		if names[i] = strings.TrimSuffix(name, "..."); !isWord(names[i]) {
			return make([]string, n)
		}
	}
	return names
}

// isWord reports whether a text can be a name in a program, with dots between its parts.
func isWord(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && r != '.' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

// describeWanted is describe for what a caller sends, or wants. Whoever wants a struct{} wants nothing.
func (m describer) describeWanted(t reflect.Type) Type {
	if t == nil || t == reflect.TypeFor[struct{}]() {
		return Type{Kind: "any"}
	}
	return m.describe(t)
}

func (d *Type) hasFields() bool {
	return d != nil && (len(d.Fields) > 0 || d.Elem.hasFields() || d.Key.hasFields())
}

// A shape is what is known of a type, found out once.
type shape struct {
	hasFields bool           // structs with fields are in it
	alone     []reflect.Type // the type, as the only result of a call
}

var (
	shapes sync.Map // reflect.Type to *shape; it grows with the types of the program
	plain  = new(shape)
)

func shapeOf(t reflect.Type) *shape {
	if t == nil || t.Kind() <= reflect.Complex128 || t.Kind() == reflect.String {
		return plain
	}
	if known, ok := shapes.Load(t); ok {
		return known.(*shape)
	}
	s := new(shape)
	if codec.CheckResult(t) == nil || codec.CheckParameter(t) == nil { // else the call will say what is wrong
		d := describer{}.describeWanted(t)
		s.hasFields = d.hasFields()
	}
	if s.hasFields {
		s.alone = []reflect.Type{t}
	}
	known, _ := shapes.LoadOrStore(t, s)
	return known.(*shape)
}

// hasFields reports whether a call has anything to be compared.
func (out *outCall) hasFields() bool {
	for _, t := range out.results {
		if shapeOf(t).hasFields {
			return true
		}
	}
	for _, x := range out.args() {
		if shapeOf(reflect.TypeOf(x)).hasFields {
			return true
		}
	}
	return false
}
