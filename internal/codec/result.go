package codec

import (
	"reflect"

	"broach/internal/wire"
)

// Results at the caller. The handler has run when they arrive, so every error here says Executed: Yes. One that the
// caller's own types bring about is an InvalidArgument; a payload that contradicts itself is Internal.

// A resultReader reads the results of one call in turn.
type resultReader struct {
	d     *Decoder
	descs []byte // the descriptions of the results not yet read
	n     int    // how many results there are
}

func openResults(b []byte) (resultReader, error) {
	if len(b) == 0 {
		return resultReader{}, undecodable(errTruncated)
	}
	n, rest := int(b[0]), b[1:]
	for range n {
		var err error
		if _, rest, err = cutKind(rest); err != nil {
			return resultReader{}, undecodable(err)
		}
	}
	if err := checkMsgpack(rest, n); err != nil {
		return resultReader{}, undecodable(err)
	}
	return resultReader{d: newDecoder(rest), descs: b[1 : len(b)-len(rest)], n: n}, nil
}

func (r *resultReader) close() { r.d.Close() }

// any reads the next result in the kind that the function declared.
func (r *resultReader) any() (any, error) {
	desc, rest, err := cutKind(r.descs)
	if err == nil {
		r.descs = rest
		var x any
		if x, err = r.d.described(desc); err == nil {
			return x, nil
		}
	}
	return nil, undecodable(err)
}

// into reads the i-th result, which is the next, into v.
func (r *resultReader) into(v reflect.Value, i int) error {
	if v.Kind() == reflect.Interface && v.NumMethod() == 0 {
		x, err := r.any()
		if err == nil && x != nil {
			v.Set(reflect.ValueOf(x))
		}
		return err
	}
	_, r.descs, _ = cutKind(r.descs)
	if err := PlanOf(v.Type()).Decode(r.d, v); err != nil {
		return Failed(wire.InvalidArgument, wire.ExecutedYes, "result %d: %v", i+1, err)
	}
	return nil
}

// described reads a value that desc describes. A nil is untyped: a pointer, slice or map that the function left nil.
func (d *Decoder) described(desc []byte) (any, error) {
	if d.isNil() {
		return nil, nil
	}
	switch kind(desc[0]) {
	case kindAny:
		return d.any()
	case kindBool:
		return readBool(d)
	case kindInt:
		return ReadInt(d)
	case kindFloat64:
		return readFloat64(d)
	case kindString:
		return ReadString(d)
	case kindBytes:
		return ReadBytes(d)
	}
	p, err := planOfKind(desc)
	if err != nil {
		return nil, err
	}
	v := reflect.New(p.Type).Elem()
	err = p.Decode(d, v)
	return v.Interface(), err
}

// decodeAny returns the result of a call: nil if there is none, a []any if there are several.
func decodeAny(result []byte) (any, error) {
	r, err := openResults(result)
	if err != nil {
		return nil, err
	}
	defer r.close()
	switch r.n {
	case 0:
		return nil, nil
	case 1:
		return r.any()
	}
	all := make([]any, r.n)
	for i := range all {
		if all[i], err = r.any(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// DecodeResults returns the results of a call as values of these types, one for each. Lent bytes are a part of it if
// lend says so.
func DecodeResults(result []byte, types []reflect.Type, lend bool) ([]reflect.Value, error) {
	r, err := openResults(result)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if r.n != len(types) {
		return nil, wrongCount(r.n, len(types))
	}
	r.d.lends = lend
	all := make([]reflect.Value, len(types))
	for i, t := range types {
		all[i] = reflect.New(t).Elem()
		if err := r.into(all[i], i); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// DecodeAs returns the one result of a call as an R. If R is any it does as decodeAny; if R is struct{} the function
// may have no result.
func DecodeAs[R any](result []byte) (R, error) {
	var r R
	var err error
	switch p := any(&r).(type) {
	case *any:
		*p, err = decodeAny(result)
	case *int:
		*p, err = DecodeOne(result, ReadInt)
	case *float64:
		*p, err = DecodeOne(result, readFloat64)
	case *bool:
		*p, err = DecodeOne(result, readBool)
	case *string:
		*p, err = DecodeOne(result, ReadString)
	case *[]byte:
		*p, err = DecodeOne(result, ReadBytes)
	default:
		// with a variable of its own: that one escapes, r does not
		return DecodeWithin[R](result, memoryFor(len(result)))
	}
	return r, err
}

// DecodeOne returns the one result of a call as that reads it.
func DecodeOne[R any](result []byte, read func(*Decoder) (R, error)) (r R, _ error) {
	in, err := openResults(result)
	if err != nil {
		return r, err
	}
	defer in.close()
	if in.n != 1 {
		return r, wrongCount(in.n, 1)
	}
	x, err := read(in.d)
	if err != nil {
		return r, Failed(wire.InvalidArgument, wire.ExecutedYes, "result 1: %v", err)
	}
	return x, nil
}

// DecodeWithin is DecodeAs for a type that is reflected, and for an R of which no more than so many bytes of memory are
// made, those of texts aside.
func DecodeWithin[R any](result []byte, memory int64) (r R, _ error) {
	in, err := openResults(result)
	if err != nil {
		return r, err
	}
	defer in.close()
	in.d.memory = min(in.d.memory, memory)
	if _, isEmpty := any(r).(struct{}); isEmpty && in.n == 0 {
		return r, nil
	}
	if in.n != 1 {
		return r, wrongCount(in.n, 1)
	}
	v := reflect.New(reflect.TypeFor[R]()).Elem()
	if err := in.into(v, 0); err != nil {
		return r, err
	}
	return *v.Addr().Interface().(*R), nil
}

func wrongCount(got, want int) *Error {
	results := "results"
	if got == 1 {
		results = "result"
	}
	hint := ""
	switch {
	case want == 1 && got > 1:
		hint = ": Call2 and Bind take several"
	case got > want && want > 0:
		hint = ": Bind takes them all"
	}
	return Failed(wire.InvalidArgument, wire.ExecutedYes, "the function returns %d %s, want %d%s", got, results, want,
		hint)
}

func undecodable(err error) *Error {
	return Failed(wire.Internal, wire.ExecutedYes, "undecodable result: %v", err)
}
