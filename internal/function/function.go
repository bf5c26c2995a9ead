// Package function makes a Go function one that is called with bytes and answers with bytes, PROTOCOL.md section 6. The
// commonest shapes are called without reflection.
//
// It knows no node, no link and no error of the user's face. What an error of a function says to its caller is told by
// a function that the root gives it, Explain: only calls that fail pay for it. It starts no goroutine, and recovers
// from no panic: the pool that runs a function does, and so a panic ends one call.
//
// A Func is made once, when a function is registered, and all that is wrong with its type is an error then. After that
// nothing is written to it, and it runs as often at once as there are workers.
//
//	function.go   Func: how it is made, and what its type says
//	invoke.go     one call of it; shapes.go those without reflection; results.go several results as one value
//	within.go     what stands around a call, for Interceptors
//	sequence.go   functions that stream; streaming.go which way, input.go and output.go item by item
//	name.go       the name that a function has in its source
package function

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"

	"broach/internal/codec"
)

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
)

// A Func is a Go function that is called with bytes and answers with bytes. It is not written to once it may be called,
// and may run any number of times at once. The zero value cannot be called.
type Func struct {
	Most    int     // bytes of results
	Explain Explain // nil: an Application
	// Input makes of an error what a function is told of the stream that it takes, from within its loop; nil: it is as
	// it is
	Input func(error) error

	sig        string
	params     []*codec.Plan // without the context; the last is a slice if isVariadic
	results    []*codec.Plan // without the error
	head       []byte        // what results begin with: their count and descriptions
	hasContext bool
	hasError   bool
	isVariadic bool
	borrows    bool  // see Borrows
	shape      shape // nil: it is called by reflection
	run        body

	in, out *Sequence     // nil: it does not stream that way
	fn      reflect.Value // of one that streams
	around  Around        // likewise
}

// Explain makes of an error that the function returned what its caller is told.
type Explain func(ctx context.Context, err error) error

// A body decodes n arguments, calls the function, and appends its results to dst.
type body func(ctx context.Context, f *Func, d *codec.Decoder, n int, dst []byte) ([]byte, error)

// New checks fn and its types, down to the fields of their structs, and plans how it is called: without reflection if
// it has one of the commonest shapes, or one of those that are given.
func New(name string, fn any, given ...Shape) (*Func, error) {
	v := reflect.ValueOf(fn)
	if v.Kind() != reflect.Func {
		return nil, fmt.Errorf("%T is not a function", fn)
	}
	if v.IsNil() {
		return nil, errors.New("the function is nil")
	}
	if err := checkReceiver(v); err != nil {
		return nil, err
	}
	f := &Func{Most: math.MaxInt32, isVariadic: v.Type().IsVariadic()}
	if err := errors.Join(f.readParams(v.Type()), f.readResults(v.Type())); err != nil {
		return nil, err
	}
	f.sig = f.writeSignature(name)
	if f.Streams() {
		f.fn, f.around = v, unsurrounded
		return f, nil
	}
	if f.shape = shapeOf(fn, given); f.shape != nil {
		f.run = f.shape.run
	} else {
		f.run = reflectedBody(v)
	}
	return f, nil
}

// Raw is what answers without a look at its arguments, by what it appends to dst.
func Raw(name string, answer func(dst []byte) ([]byte, error)) *Func {
	run := func(_ context.Context, _ *Func, _ *codec.Decoder, _ int, dst []byte) ([]byte, error) {
		return answer(dst)
	}
	return &Func{sig: name + "(...any)", isVariadic: true, run: run}
}

// Signature is the function as a caller sees it: `work01(int, int) int`.
func (f *Func) Signature() string { return f.sig }

// HasContext reports that the function asks for a context.
func (f *Func) HasContext() bool { return f.hasContext }

// Borrows reports that what it is called with must not be changed before it has returned, and for ever if it does not
// return: it has arguments that are a part of that.
func (f *Func) Borrows() bool { return f.borrows }

// Parameters is how many there are, without a context.
func (f *Func) Parameters() int { return len(f.params) }

// Types are those of the parameters, without a context, and of the results, without an error.
func (f *Func) Types() (params, results []reflect.Type) {
	return typesOfPlans(f.params), typesOfPlans(f.results)
}

func typesOfPlans(plans []*codec.Plan) (types []reflect.Type) {
	for _, p := range plans {
		types = append(types, p.Type)
	}
	return types
}

// IsVariadic reports that the last parameter is any number of arguments.
func (f *Func) IsVariadic() bool { return f.isVariadic }

// Results is how many there are, without an error.
func (f *Func) Results() int { return len(f.results) }

func (f *Func) readParams(t reflect.Type) error {
	for i := range t.NumIn() {
		if i == 0 && t.In(i) == contextType {
			f.hasContext = true
			continue
		}
		if i == t.NumIn()-1 {
			if f.in = SequenceOf(t.In(i)); f.in != nil {
				return f.in.checkAt("parameter", i, codec.CheckParameter)
			}
		}
		if err := checkPlain(t.In(i), codec.CheckParameter, "the last parameter may"); err != nil {
			return fmt.Errorf("parameter %d: %w", i+1, err)
		}
		f.params = append(f.params, codec.PlanOf(t.In(i)))
		f.borrows = f.borrows || codec.IsLent(t.In(i))
	}
	return nil
}

func (f *Func) readResults(t reflect.Type) error {
	var descs []byte
	for i := range t.NumOut() {
		if i == t.NumOut()-1 && t.Out(i) == errorType {
			f.hasError = true
			break
		}
		if f.out = StreamedResult(t); f.out != nil {
			if err := f.out.checkAt("result", i, codec.CheckResult); err != nil {
				return err
			}
			continue
		}
		if err := checkPlain(t.Out(i), codec.CheckResult, "a result without others may"); err != nil {
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

// StreamedResult is the sequence that a function returns and nothing else, but perhaps an error; nil: it does not.
func StreamedResult(t reflect.Type) *Sequence {
	if t.NumOut() == 1 || t.NumOut() == 2 && t.Out(1) == errorType {
		return SequenceOf(t.Out(0))
	}
	return nil
}

// CheckBound reports why a function of type t cannot stand for one elsewhere, if it cannot: what it is called with is
// sent, what it returns, besides an error, is received.
func CheckBound(t reflect.Type) error {
	for i := range t.NumIn() {
		if i == 0 && t.In(i) == contextType {
			continue
		}
		if s := SequenceOf(t.In(i)); s != nil && i == t.NumIn()-1 {
			if err := s.checkAt("parameter", i, codec.CheckResult); err != nil {
				return err
			}
			continue
		}
		if err := checkPlain(t.In(i), codec.CheckResult, "the last parameter may"); err != nil {
			return fmt.Errorf("parameter %d: %w", i+1, err)
		}
	}
	if s := StreamedResult(t); s != nil {
		return s.checkAt("result", 0, codec.CheckParameter)
	}
	for i := range t.NumOut() - 1 {
		if err := checkPlain(t.Out(i), codec.CheckParameter, "a result without others may"); err != nil {
			return fmt.Errorf("result %d: %w", i+1, err)
		}
	}
	return nil
}

func (f *Func) writeSignature(name string) string {
	params, results := typeNames(f.params), typeNames(f.results)
	if f.isVariadic {
		last := len(params) - 1
		params[last] = "..." + strings.TrimPrefix(params[last], "[]")
	}
	if f.in != nil {
		params = append(params, f.in.streamed())
	}
	if f.out != nil {
		results = append(results, f.out.streamed())
	}
	sig := name + "(" + strings.Join(params, ", ") + ")"
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
		names[i] = codec.TypeName(codec.AsSent(p.Type))
	}
	return names
}
