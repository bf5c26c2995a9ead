package broach

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"broach/internal/balance"
	"broach/internal/codec"
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
	describedMost = 1024     // descriptions that are kept
	describedSize = 64 << 10 // bytes of one
	// providers that are asked for one at most: each further one because the one before could not say
	describersMost = 3
)

// describeFunction is what answers describeService.
func (n *Node) describeFunction() *service {
	f, err := newService("describe", func(name string) (Description, error) {
		f := n.serving.offered.forPeers([]byte(name))
		if f == nil || wire.IsOwn(name) {
			return Description{}, Errorf(NotFound, "the node does not offer this function")
		}
		return f.describe(), nil
	})
	if err != nil {
		panic("broach: internal error: " + err.Error())
	}
	f.Most = describedSize
	return f
}

// askDescription asks one provider after the other, but for what one of them has said before.
func (c *Caller) askDescription(ctx context.Context, now time.Time, r *route, deadline time.Time) (
	d Description, failed *Error,
) {
	v, candidates := c.node.calling.view.Load(), r.candidates()
	for i := range candidates {
		if d, ok := c.node.calling.described.get(c.name, v.editionOf(candidates[i].Link.ID)); ok {
			return d, nil
		}
	}
	failed = c.unreached()
	for i := range candidates[:min(len(candidates), describersMost)] {
		l := candidates[i].Link
		visit := &balance.Visit{Link: l, Record: candidates[i].Record}
		if d, failed = c.describeAt(ctx, now, visit, deadline); failed == nil {
			c.node.calling.described.keep(c.name, v.editionOf(l.ID), d)
			return d, nil
		}
	}
	return d, failed
}

// describeAt asks one provider.
func (c *Caller) describeAt(ctx context.Context, now time.Time, v *balance.Visit, deadline time.Time) (
	d Description, failed *Error,
) {
	asker := c.node.Caller(describeService)
	p, failed := asker.attempt(ctx, now, v,
		outCall{Arguments: codec.Arguments{List: []any{c.name}}, deadline: deadline})
	if failed != nil {
		failed.Service = c.name
		return d, failed
	}
	defer c.node.linking.wires.FreeCall(p)
	d, err := codec.DecodeAs[Description](p.Body)
	if err != nil {
		return Description{}, c.own(err)
	}
	return d, nil
}

// An edition is what a process offers at a time: the version of its table.
type edition struct {
	wire.Process
	table uint32
}

// editionOf is what a process offers, as this view has it; zero: it is not in it.
func (v *view) editionOf(id wire.Process) edition {
	for _, p := range v.peers {
		if p.Process == id {
			return edition{id, p.Tver}
		}
	}
	return edition{}
}

// descriptions are those that came from peers. They may be used by many goroutines at once.
type descriptions struct {
	mu     sync.Mutex
	byName map[string]described
}

// A described function is so as long as its provider offers what it did.
type described struct {
	by edition
	Description
}

// get returns what a provider said of a function, if it offers now what it did then.
func (s *descriptions) get(name string, by edition) (Description, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.byName[name]
	return d.Description, ok && d.by == by && by != edition{}
}

// keep notes what a provider said. Where too many are kept all are forgotten: to ask again costs little.
func (s *descriptions) keep(name string, by edition, d Description) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName == nil || len(s.byName) >= describedMost {
		s.byName = make(map[string]described)
	}
	s.byName[name] = described{by, d}
}

// describe makes the description of a function of this node.
func (f *service) describe() Description {
	params, results := f.Types()
	d := Description{
		Name: f.name, Signature: f.Signature(), Doc: f.doc, Variadic: f.IsVariadic(), Idempotent: f.idempotent,
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
	d := Type{Kind: codec.KindOf(t)}
	if t.Name() != "" || t.Kind() == reflect.Interface {
		d.Name = codec.TypeName(t)
	}
	if t.Name() != "" && slices.Contains([]string{"slice", "array", "map", "struct"}, d.Kind) {
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
