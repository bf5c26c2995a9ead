package gateway

import (
	"context"
	"fmt"
	"net/http"

	"broach"
)

// arguments are those of a call, as values of JSON and words. They are made anew each time, for what becomes of them
// is put in their place.
type arguments func(f *function) ([]any, *problem)

// call calls a function and answers with what comes back. If the arguments do not fit what is known of the function,
// and it has changed since, that is tried once more with what it is now.
func (x *exchange) call(name, mode string, args arguments) *problem {
	timeout, p := x.timeout()
	if p != nil {
		return p
	}
	f, err := x.g.functions.find(x.r.Context(), name, x.began)
	if err != nil {
		return x.problemOf(err)
	}
	if !f.StreamsOut && !f.StreamsIn { // a feed has no length
		timeout = min(timeout, x.g.set.maxTimeout)
	}
	ctx, cancel := x.context(timeout)
	defer cancel()
	defer func() { x.input.close() }()
	p = x.attempt(ctx, f, mode, args)
	if p != nil && p.code == broach.InvalidArgument.String() && p.executed == broach.No.String() {
		if other := x.g.functions.news(ctx, f); other != nil {
			return x.attempt(ctx, other, mode, args)
		}
	}
	return p
}

func (x *exchange) attempt(ctx context.Context, f *function, mode string, args arguments) *problem {
	if p := x.suits(f); p != nil {
		return p
	}
	raw, p := args(f)
	if p != nil {
		return p
	}
	list, err := f.fit(raw, x.typed)
	if err != nil {
		return invalid(f.name, err.Error())
	}
	caller := f.caller
	if key := x.r.Header["Broach-Key"]; len(key) > 0 {
		caller = caller.With(broach.Key(key[0]))
	}
	switch mode {
	case modeAll:
		return x.callAll(ctx, f, caller, list)
	case modeSend:
		return x.send(ctx, caller, list)
	}
	do := x.callOne
	if f.StreamsOut {
		do = x.callStream
	}
	if !f.StreamsOut && !f.StreamsIn {
		return do(ctx, f, caller, list)
	}
	return x.asStream(ctx, func(ctx context.Context) *problem { return do(ctx, f, caller, list) })
}

func (x *exchange) callOne(ctx context.Context, f *function, caller *broach.Caller, args []any) *problem {
	v, err := caller.Call(ctx, args...)
	if err != nil {
		return x.streamProblem(f, err)
	}
	if x.takes.packed {
		return x.answerPacked(f, v)
	}
	b, err := f.appendResult(make([]byte, 0, 128), v, x.texts)
	if err != nil {
		return unsayable(f.name, err)
	}
	x.answer(http.StatusOK, append(b, '\n'))
	return nil
}

func (x *exchange) answerPacked(f *function, v any) *problem {
	b, err := appendMsgpack(make([]byte, 0, 128), v)
	if err != nil {
		return unsayable(f.name, err)
	}
	x.answerAs(msgpackType, http.StatusOK, b)
	return nil
}

// unsayable is a result that JSON has no form for. The function ran.
func unsayable(service string, err error) *problem {
	return &problem{status: http.StatusInternalServerError, kind: "not-representable", detail: err.Error(),
		code: broach.Internal.String(), executed: broach.Yes.String(), service: service}
}

func (x *exchange) send(ctx context.Context, caller *broach.Caller, args []any) *problem {
	if err := caller.Send(ctx, args...); err != nil {
		return x.problemOf(err)
	}
	x.w.Header()["Cache-Control"] = noStore
	x.write(http.StatusAccepted, nil)
	return nil
}

// callAll answers with what each provider says. If none of them has a result, the first error is the answer.
func (x *exchange) callAll(ctx context.Context, f *function, caller *broach.Caller, args []any) *problem {
	if x.takes.packed {
		return notAcceptable("what all providers say is application/json")
	}
	var first *problem
	hasValue := false
	b := []byte{'['}
	for reply := range caller.All(ctx, args...) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		var p *problem
		if b, p = x.appendReply(b, f, reply); p == nil {
			hasValue = true
		} else if first == nil {
			first = p
		}
	}
	if !hasValue && first != nil {
		return first
	}
	x.answer(http.StatusOK, append(b, ']', '\n'))
	return nil
}

// appendReply writes what one provider has answered.
func (x *exchange) appendReply(b []byte, f *function, r broach.Reply[any]) ([]byte, *problem) {
	b = append(b, '{')
	if node := x.nodeText(r.Node); node != "" {
		b = fmt.Appendf(b, `"node":%q,`, node)
	}
	if r.Err == nil {
		made, err := f.appendResult(append(b, `"value":`...), r.Value, x.texts)
		if err == nil {
			return append(made, '}'), nil
		}
		p := unsayable(f.name, err)
		return append(append(append(b, `"error":`...), marshal(p.document(x))...), '}'), p
	}
	p := x.problemOf(r.Err)
	return append(append(append(b, `"error":`...), marshal(p.document(x))...), '}'), p
}

// fit turns arguments into what the parameters want, unless they have types of their own.
func (f *function) fit(args []any, areTyped bool) ([]any, error) {
	if areTyped {
		return f.listLast(args), nil
	}
	if !f.isKnown {
		_, err := natural(args)
		return args, err
	}
	n := len(f.Params)
	if len(args) != n && !(f.Variadic && len(args) >= n-1) {
		return nil, f.miscount(len(args))
	}
	for i := range args {
		if f.StreamsIn && i == n-1 {
			v, err := f.stream(args[i])
			if err != nil {
				return nil, fmt.Errorf("argument %d%s: %w", i+1, f.paramName(i), err)
			}
			args[i] = v
			continue
		}
		v, err := f.read(args[i], f.param(i))
		if err != nil {
			return nil, fmt.Errorf("argument %d%s: %w", i+1, f.paramName(i), err)
		}
		args[i] = v
	}
	return args, nil
}

// listLast makes a stream of a last argument that is a list.
func (f *function) listLast(args []any) []any {
	if last := len(args) - 1; f.StreamsIn && last == len(f.Params)-1 {
		if list, ok := args[last].([]any); ok {
			args[last] = listed(list)
		}
	}
	return args
}

// param is the type of an argument.
func (f *function) param(i int) *broach.Type {
	last := len(f.Params) - 1
	if !f.Variadic || i < last {
		return &f.Params[i].Type
	}
	return f.Params[last].Type.Elem
}

func (f *function) paramName(i int) string {
	if i = min(i, len(f.Params)-1); f.Params[i].Name == "" {
		return ""
	}
	return " (" + f.Params[i].Name + ")"
}

func (f *function) miscount(n int) error {
	hint := ""
	if len(f.Params) == 1 && f.follow(&f.Params[0].Type) != nil && f.follow(&f.Params[0].Type).Kind == "slice" {
		hint = "; a list that is one argument is written in another array"
	}
	return fmt.Errorf("%s takes %d arguments, there are %d%s", f.Signature, len(f.Params), n, hint)
}

// appendResult writes what a call returned.
func (f *function) appendResult(b []byte, v any, texts bool) (_ []byte, err error) {
	w := writer{types: f.types, texts: texts}
	list, isList := v.([]any)
	switch {
	case len(f.Results) == 1:
		return w.append(b, v, &f.Results[0])
	case len(f.Results) == 0 || !isList || len(list) != len(f.Results):
		return w.append(b, v, nil)
	}
	b = append(b, '[')
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = w.append(b, list[i], &f.Results[i]); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}
