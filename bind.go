package broach

import (
	"context"
	"fmt"
	"reflect"

	"broach/internal/codec"
)

// Bind returns a func variable of type F that calls the function of that name. The last result of F must be error; its
// first parameter may be a context.Context, without which the deadline is Config.CallTimeout. Bind panics if F is no such
// function type; whether F suits the function is found out by each call, which returns InvalidArgument if it does not. The
// func variable may be called by many goroutines at once.
func Bind[F any](n *Node, name string, opts ...CallOption) F {
	t := reflect.TypeFor[F]()
	if t.Kind() != reflect.Func || t.NumOut() == 0 || t.Out(t.NumOut()-1) != reflect.TypeFor[error]() {
		panic(fmt.Sprintf("broach: Bind(%q): %v is not a function type whose last result is error", name, t))
	}
	c := n.Caller(name, opts...)
	if f, ok := bindTyped[F](c); ok {
		return f
	}
	b := &binding{caller: c, typ: t}
	for i := range t.NumOut() - 1 {
		b.results = append(b.results, t.Out(i))
	}
	b.withContext = t.NumIn() > 0 && t.In(0) == reflect.TypeFor[context.Context]()
	return reflect.MakeFunc(t, b.call).Interface().(F)
}

// binding is what stands behind a func variable made by Bind.
type binding struct {
	caller      *Caller
	typ         reflect.Type
	results     []reflect.Type
	withContext bool
}

// call is the body of the func variable.
func (b *binding) call(in []reflect.Value) []reflect.Value {
	ctx, args := b.arguments(in)
	if len(b.caller.opts.interceptors) > 0 {
		return b.callIntercepted(ctx, args)
	}
	p, failed := b.caller.do(ctx, outCall{Arguments: codec.Arguments{List: args}})
	if failed != nil {
		return b.failed(failed)
	}
	out, err := codec.DecodeResults(p.body, b.results)
	b.caller.node.freePending(p)
	if err != nil {
		return b.failed(b.caller.own(err))
	}
	return append(out, reflect.Zero(reflect.TypeFor[error]()))
}

// arguments unpacks what the func variable was called with.
func (b *binding) arguments(in []reflect.Value) (context.Context, []any) {
	ctx := context.Background()
	if b.withContext {
		if given, ok := in[0].Interface().(context.Context); ok {
			ctx = given
		}
		in = in[1:]
	}
	var args []any
	for i, v := range in {
		if b.typ.IsVariadic() && i == len(in)-1 {
			for j := range v.Len() {
				args = append(args, v.Index(j).Interface())
			}
			break
		}
		args = append(args, v.Interface())
	}
	return ctx, args
}

// failed gives zero results and the error.
func (b *binding) failed(err error) []reflect.Value {
	out := make([]reflect.Value, 0, len(b.results)+1)
	for _, t := range b.results {
		out = append(out, reflect.Zero(t))
	}
	return append(out, reflect.ValueOf(&err).Elem())
}
