package broach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"

	"broach/internal/codec"
	"broach/internal/function"
)

// Bind returns a func variable of type F that calls the function of that name. The last result of F must be error, or
// its only one a sequence, as of [Stream]; its first parameter may be a context.Context, without which the deadline is
// Config.CallTimeout. Bind panics if F is no such function type, or if one of its types cannot be sent, by the rules of
// Register; whether F suits the function is found out by each call, which returns InvalidArgument if it does not. The
// func variable may be called by many goroutines at once.
func Bind[F any](n *Node, name string, opts ...CallOption) (f F) {
	if err := checkBound(reflect.TypeFor[F]()); err != nil {
		panic(fmt.Sprintf("broach: Bind(%q): %v", name, err))
	}
	bindTo(&f, n.Caller(name, opts...))
	return f
}

// BindAll sets each exported field of a struct that is a func variable to one that Bind makes, for the function with
// client's name, a dot and the field's: what RegisterAll offers. A tag `broach:"add"` says another name than the
// field's, `broach:"-"` leaves the field as it is. The fields of an embedded struct are filled, too; fields that are no
// func variables are left as they are. BindAll panics if client is no pointer to a struct with such a field, and says
// all fields that Bind would panic for.
func BindAll(n *Node, name string, client any, opts ...CallOption) {
	v := reflect.ValueOf(client)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("broach: BindAll(%q): %T is not a pointer to a struct, or is nil", name, client))
	}
	funcs, wrong := boundFields(v.Elem())
	if len(funcs)+len(wrong) == 0 {
		wrong = append(wrong, fmt.Errorf("%v has no exported func fields", v.Type().Elem()))
	}
	if err := errors.Join(wrong...); err != nil {
		panic(fmt.Sprintf("broach: BindAll(%q): %v", name, err))
	}
	for _, f := range funcs {
		bindTo(f.variable.Interface(), n.Caller(name+"."+f.name, opts...))
	}
}

// boundField is one that BindAll sets.
type boundField struct {
	name     string
	variable reflect.Value // a pointer to it
}

// boundFields lists those of a struct, and what is wrong with others.
func boundFields(v reflect.Value) (list []boundField, wrong []error) {
	for field, value := range v.Fields() {
		tag, isTagged := field.Tag.Lookup("broach")
		switch {
		case tag == "-":
		case field.Anonymous && value.Kind() == reflect.Struct:
			inner, innerWrong := boundFields(value)
			list, wrong = append(list, inner...), append(wrong, innerWrong...)
		case isTagged && (!field.IsExported() || value.Kind() != reflect.Func):
			wrong = append(wrong, fmt.Errorf("field %s has a name and is no exported func field", field.Name))
		case !field.IsExported() || value.Kind() != reflect.Func:
		default:
			if err := checkBound(field.Type); err != nil {
				wrong = append(wrong, fmt.Errorf("field %s: %w", field.Name, err))
				continue
			}
			list = append(list, boundField{cmp.Or(tag, field.Name), value.Addr()})
		}
	}
	return list, wrong
}

// checkBound reports why a variable of a type cannot be bound.
func checkBound(t reflect.Type) error {
	if t.Kind() != reflect.Func || t.NumOut() == 0 ||
		t.Out(t.NumOut()-1) != reflect.TypeFor[error]() && function.StreamedResult(t) == nil {
		return fmt.Errorf("%v is not a function type whose last result is error, or whose only one streams", t)
	}
	return function.CheckBound(t)
}

// bindTo sets a func variable, which variable points to, to one that calls.
func bindTo(variable any, c *Caller) {
	if bindTyped(variable, c) {
		return
	}
	v := reflect.ValueOf(variable).Elem()
	t := v.Type()
	b := &binding{caller: c, typ: t, streamed: function.StreamedResult(t)}
	for i := range t.NumOut() - 1 {
		b.results = append(b.results, t.Out(i))
	}
	b.withContext = t.NumIn() > 0 && t.In(0) == reflect.TypeFor[context.Context]()
	v.Set(reflect.MakeFunc(t, b.call))
}

// binding is what stands behind a func variable made by Bind.
type binding struct {
	caller      *Caller
	typ         reflect.Type
	results     []reflect.Type
	streamed    *function.Sequence // the result, if it streams
	withContext bool
}

// call is the body of the func variable.
func (b *binding) call(in []reflect.Value) []reflect.Value {
	ctx, args := b.arguments(in)
	if b.streamed != nil {
		return b.stream(ctx, args)
	}
	out, err := b.caller.callFor(ctx, args, b.results)
	if err != nil {
		return b.failed(err)
	}
	return append(out, reflect.Zero(reflect.TypeFor[error]()))
}

// stream returns the sequence of a call, which begins when it is ranged over, and no error beside it.
func (b *binding) stream(ctx context.Context, args []any) []reflect.Value {
	each := func(take function.Take) error { return b.caller.stream(ctx, args, b.streamed.Item, take) }
	out := []reflect.Value{b.streamed.Make(each)}
	if b.typ.NumOut() == 2 {
		out = append(out, reflect.Zero(reflect.TypeFor[error]()))
	}
	return out
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

// Functions of the commonest shapes, those of internal/function, are bound without reflection, and a call of them
// allocates nothing. Another shape is two more lines.
func bindTyped(variable any, c *Caller) bool {
	switch p := variable.(type) {
	case *func(context.Context, int, int) (int, error):
		*p = boundBinary(c, codec.WriteInt, codec.WriteInt, codec.ReadInt)
	case *func(int, int) (int, error):
		*p = withoutContext2(boundBinary(c, codec.WriteInt, codec.WriteInt, codec.ReadInt))
	case *func(context.Context, string) (string, error):
		*p = boundUnary(c, codec.WriteString, codec.ReadString)
	case *func(string) (string, error):
		*p = withoutContext1(boundUnary(c, codec.WriteString, codec.ReadString))
	case *func(context.Context, []byte) ([]byte, error):
		*p = boundUnary(c, codec.WriteBytes, codec.ReadBytes)
	case *func([]byte) ([]byte, error):
		*p = withoutContext1(boundUnary(c, codec.WriteBytes, codec.ReadBytes))
	case *func(context.Context, []byte) (Lent, error):
		*p = boundUnary(c, codec.WriteBytes, readLent)
	case *func([]byte) (Lent, error):
		*p = withoutContext1(boundUnary(c, codec.WriteBytes, readLent))
	case *func(context.Context, Lent) (Lent, error):
		*p = boundUnary(c, writeLent, readLent)
	case *func(Lent) (Lent, error):
		*p = withoutContext1(boundUnary(c, writeLent, readLent))
	default:
		return false
	}
	return true
}

func withoutContext1[A, R any](f func(context.Context, A) (R, error)) func(A) (R, error) {
	return func(a A) (R, error) { return f(context.Background(), a) }
}

func withoutContext2[A, B, R any](f func(context.Context, A, B) (R, error)) func(A, B) (R, error) {
	return func(a A, b B) (R, error) { return f(context.Background(), a, b) }
}

func boundUnary[A, R any](
	c *Caller, write func(*codec.Encoder, A) error, read func(*codec.Decoder) (R, error),
) func(context.Context, A) (R, error) {
	args := codec.NewOnes(write)
	return func(ctx context.Context, a A) (R, error) { return callTyped(ctx, c, args.Of(a), read) }
}

func boundBinary[A, B, R any](
	c *Caller, writeA func(*codec.Encoder, A) error, writeB func(*codec.Encoder, B) error,
	read func(*codec.Decoder) (R, error),
) func(context.Context, A, B) (R, error) {
	args := codec.NewTwos(writeA, writeB)
	return func(ctx context.Context, a A, b B) (R, error) { return callTyped(ctx, c, args.Of(a, b), read) }
}

// callTyped is Call for arguments and a result that need no reflection.
func callTyped[R any](
	ctx context.Context, c *Caller, args codec.TypedArguments, read func(*codec.Decoder) (R, error),
) (R, error) {
	if len(c.opts.interceptors) > 0 {
		return callIntercepted[R](ctx, c, codec.Arguments{Typed: args},
			func(body []byte) (any, error) { return codec.DecodeOne(body, read) })
	}
	p, failed := c.doTyped(ctx, args, false, nil)
	if failed != nil {
		var none R
		return none, failed
	}
	return receive(c, p, read)
}
