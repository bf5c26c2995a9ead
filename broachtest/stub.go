package broachtest

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"sync"

	"broach"
)

// Recorder remembers the calls of a Stub. It may be used by many goroutines at once. Stub makes one; the zero
// Recorder remembers none.
type Recorder struct {
	mu    sync.Mutex // protects calls
	calls []Call
}

// Call is one call that a Stub has answered.
type Call struct {
	Args []any             // in the kinds that a parameter of type any receives; empty: there were none
	From netip.AddrPort    // the node that called, by the address it advertises
	Meta map[string]string // what went along, see broach.Meta; empty: nothing
}

// Calls returns the calls until now, in the order in which they came. The slice is the caller's own, what is in it
// must not be changed.
func (r *Recorder) Calls() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

func (r *Recorder) add(c Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, c)
}

// Stub registers a function that takes any arguments, answers with results, and remembers who called it with what. The
// kinds of the results are those that the function declares, so that Call of an untyped Caller returns 7 for 7. If the
// last result, and no other, is an error, calls fail with it, as those of any function that returns one: broach.Errorf
// chooses the code. Without results it answers with none. What results point to must not be changed afterwards.
//
// It is known at once at n, and elsewhere after Settle or Node.WaitFor. Unregister ends it. Results that cannot
// travel, a name that is taken or no name at all, and a node that has ended are bad use, and fail the test of the
// node's cluster. A node that no Cluster has started may have stubs, too; there bad use panics.
func Stub(n *broach.Node, name string, results ...any) *Recorder {
	if n == nil {
		panic("broachtest: Stub: the node is nil")
	}
	r := &Recorder{}
	err := misplaced(results)
	if err == nil {
		err = n.Register(name, r.function(results))
	}
	if err == nil {
		return r
	}
	text := fmt.Sprintf("broachtest: Stub %q at %v: %v", name, n.Addr(), err)
	c, ok := clusters.Load(n)
	if !ok {
		panic(text)
	}
	t := c.(*Cluster).t
	t.Helper()
	t.Fatal(text)
	return nil
}

// misplaced finds an error among results that is not the last, and would travel as a value without anything in it.
func misplaced(results []any) error {
	for i, v := range results {
		if _, isError := v.(error); isError && i < len(results)-1 {
			return fmt.Errorf("result %d is an error: only the last can be one", i+1)
		}
	}
	return nil
}

var (
	anyType     = reflect.TypeFor[any]()
	errorType   = reflect.TypeFor[error]()
	contextType = reflect.TypeFor[context.Context]()
	anysType    = reflect.TypeFor[[]any]()
)

// function is a func(context.Context, ...any) with results of the types of some values, which it returns.
func (r *Recorder) function(results []any) any {
	types, values := make([]reflect.Type, len(results)), make([]reflect.Value, len(results))
	for i, v := range results {
		types[i] = typeOf(v, i == len(results)-1)
		values[i] = reflect.New(types[i]).Elem()
		if v != nil {
			values[i].Set(reflect.ValueOf(v))
		}
	}
	t := reflect.FuncOf([]reflect.Type{contextType, anysType}, types, true)
	return reflect.MakeFunc(t, func(in []reflect.Value) []reflect.Value {
		r.record(in[0].Interface().(context.Context), in[1].Interface().([]any))
		return values
	}).Interface()
}

// typeOf is the type that a function declares for a result.
func typeOf(v any, isLast bool) reflect.Type {
	if _, isError := v.(error); isError && isLast {
		return errorType
	}
	if v == nil {
		return anyType
	}
	return reflect.TypeOf(v)
}

// record remembers a call.
func (r *Recorder) record(ctx context.Context, args []any) {
	in, _ := broach.InvocationFrom(ctx)
	r.add(Call{Args: args, From: in.From, Meta: maps.Clone(in.Meta())})
}
