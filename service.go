package broach

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"broach/internal/codec"
	"broach/internal/wire"
)

// maxName is the length of the name of a service or an error, in bytes.
const maxName = 200

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
)

// A function is one that a user has registered, with all that is needed to run it worked out.
// It is not written to afterwards, but for what is measured of it, and may run any number of times at once.
type function struct {
	name       string
	sig        string
	params     []*codec.Plan // without the context; the last is a slice if isVariadic
	results    []*codec.Plan // without the error
	head       []byte        // what results begin with: their count and descriptions
	most       int           // bytes of results
	hasContext bool
	hasError   bool
	isVariadic bool
	run        funcBody
	take       func(*request) // has one-way calls in the place of the pool, and answers them at once; nil for functions of users
	cost       runCost
	registered
}

// A funcBody decodes n arguments, calls the function, and appends its results to dst.
type funcBody func(ctx context.Context, f *function, d *codec.Decoder, n int, dst []byte) ([]byte, *Error)

// newFunction checks fn and its types, down to the fields of their structs, and plans how it is called.
func newFunction(name string, fn any) (*function, error) {
	if err := checkName("service", name); err != nil {
		return nil, err
	}
	f, err := planFunction(name, fn)
	if err != nil {
		return nil, fmt.Errorf("register %s: %w", name, err)
	}
	return f, nil
}

// planFunction is newFunction for a name that is known to be fine.
func planFunction(name string, fn any) (*function, error) {
	v := reflect.ValueOf(fn)
	if v.Kind() != reflect.Func {
		return nil, fmt.Errorf("%T is not a function", fn)
	}
	if v.IsNil() {
		return nil, errors.New("the function is nil")
	}
	f := &function{name: name, most: maxMessageMost, isVariadic: v.Type().IsVariadic()}
	if err := errors.Join(f.readParams(v.Type()), f.readResults(v.Type())); err != nil {
		return nil, err
	}
	f.sig = f.writeSignature()
	if f.run = typedBody(fn); f.run == nil {
		f.run = reflectedBody(v)
	}
	return f, nil
}

func (f *function) readParams(t reflect.Type) error {
	for i := range t.NumIn() {
		if i == 0 && t.In(i) == contextType {
			f.hasContext = true
			continue
		}
		if err := codec.CheckParameter(t.In(i)); err != nil {
			return fmt.Errorf("parameter %d: %w", i+1, err)
		}
		f.params = append(f.params, codec.PlanOf(t.In(i)))
	}
	return nil
}

func (f *function) readResults(t reflect.Type) error {
	var descs []byte
	for i := range t.NumOut() {
		if i == t.NumOut()-1 && t.Out(i) == errorType {
			f.hasError = true
			break
		}
		if err := codec.CheckResult(t.Out(i)); err != nil {
			return fmt.Errorf("result %d: %w", i+1, err)
		}
		f.results = append(f.results, codec.PlanOf(t.Out(i)))
		descs = codec.AppendKind(descs, t.Out(i))
	}
	if len(f.results) > codec.MaxResults {
		return fmt.Errorf("%d results, at most %d can travel", len(f.results), codec.MaxResults)
	}
	f.head = append([]byte{byte(len(f.results))}, descs...)
	return nil
}

// signature is the function as a caller sees it: `work01(int, int) int`.
func (f *function) signature() string { return f.sig }

// row is what peers are told of the function.
func (f *function) row() wire.Function {
	return wire.Function{
		Name: f.name, Signature: strings.TrimPrefix(f.sig, f.name), Doc: f.doc, Weight: uint16(f.weight), Idempotent: f.idempotent,
		Paused: f.paused.Load(),
	}
}

func (f *function) writeSignature() string {
	params, results := typeNames(f.params), typeNames(f.results)
	if f.isVariadic {
		last := len(params) - 1
		params[last] = "..." + strings.TrimPrefix(params[last], "[]")
	}
	sig := f.name + "(" + strings.Join(params, ", ") + ")"
	switch len(results) {
	case 0:
		return sig
	case 1:
		return sig + " " + results[0]
	}
	return sig + " (" + strings.Join(results, ", ") + ")"
}

func typeNames(plans []*codec.Plan) []string {
	names := make([]string, len(plans))
	for i, p := range plans {
		names[i] = codec.TypeName(p.Type)
	}
	return names
}

// checkName reports what is wrong with the name of a service or an error: it is 1 to 200 bytes of UTF-8 without control characters.
func checkName(of, name string) error { return checkWord(of+" name", name, maxName) }

// checkWord does so for what is said to be something, with its own limit.
func checkWord(what, word string, most int) error {
	switch {
	case word == "":
		return fmt.Errorf("the %s is empty", what)
	case len(word) > most:
		return fmt.Errorf("the %s %.20q… has %d bytes, at most %d are allowed", what, word, len(word), most)
	case !utf8.ValidString(word):
		return fmt.Errorf("the %s %q is not UTF-8", what, word)
	case strings.ContainsFunc(word, unicode.IsControl):
		return fmt.Errorf("the %s %q contains a control character", what, word)
	}
	return nil
}

// isPrivate reports whether a service is the node's own: never announced, not callable from outside.
func isPrivate(name string) bool { return strings.HasPrefix(name, "__") }
