package broach

import (
	"reflect"
	"slices"

	"broach/internal/buffer"
	"broach/internal/codec"
	"broach/internal/function"
	"broach/internal/link"
)

// Lent is a []byte that arrives without a copy of its own: large ones come twice as fast. As a parameter it may be read
// until the function returns, which may return it; as the result of a call until its Release. Whoever keeps it longer,
// or changes it, uses a []byte: to the other end they are the same, and in what is sent Lent means the bytes. It does
// not stand within other types. Interceptors may keep what they see: a call with any has copies. Programs built with
// -race overwrite memory that is given back.
type Lent struct {
	Bytes []byte
	loan  buffer.Loan
}

// Release gives the memory of a result back, once: again, or of a copy, or of a parameter, it does nothing. Without it
// the memory is garbage, as that of a []byte. Any goroutine may call it.
func (l Lent) Release() { l.loan.GiveBack() }

// Functions of the commonest shapes with lent bytes are called without reflection.
var lentShapes = []function.Shape{
	function.Unary(readLent, writeLent),
	function.Unary(readLent, codec.WriteBytes),
}

// readLent reads what a function has until it returns.
func readLent(d *codec.Decoder) (Lent, error) {
	b, err := codec.ReadLent(d)
	return Lent{Bytes: b}, err
}

func writeLent(e *codec.Encoder, l Lent) error { return codec.WriteBytes(e, l.Bytes) }

// receive takes the one result of a call, by read unless that is nil. It frees the call, or has the result do so.
func receive[R any](c *Caller, p *link.Call, read func(*codec.Decoder) (R, error)) (v R, err error) {
	l, isLent := any(&v).(*Lent)
	switch {
	case isLent:
		if l.Bytes, err = codec.DecodeLent(p.Body); err == nil {
			l.loan = p.Lend()
			return v, nil
		}
	case read == nil:
		v, err = codec.DecodeAs[R](p.Body)
	default:
		v, err = codec.DecodeOne(p.Body, read)
	}
	c.node.linking.wires.FreeCall(p)
	if err != nil {
		return v, c.unusable(c.own(err))
	}
	return v, nil
}

// receiveFor is receive for results of these types. They share the memory of the call, so it is lent to one of them
// only: if several are Lent they are copies.
func (c *Caller) receiveFor(p *link.Call, want []reflect.Type) ([]reflect.Value, error) {
	borrower := soleLent(want)
	out, err := codec.DecodeResults(p.Body, want, borrower >= 0)
	if err == nil && borrower >= 0 {
		out[borrower].Addr().Interface().(*Lent).loan = p.Lend()
		return out, nil
	}
	c.node.linking.wires.FreeCall(p)
	if err != nil {
		return nil, c.unusable(c.own(err))
	}
	return out, nil
}

// soleLent is which one of the types is Lent; -1: none, or one besides has lent bytes, be it another by name.
func soleLent(types []reflect.Type) int {
	first := slices.IndexFunc(types, codec.IsLent)
	if first < 0 || types[first] != reflect.TypeFor[Lent]() || slices.ContainsFunc(types[first+1:], codec.IsLent) {
		return -1
	}
	return first
}

// mayLeaveArgs reports whether the reply may end with a part of the arguments.
func (r *request) mayLeaveArgs() bool {
	return r.function.Borrows() && r.CameAsTransfer() && r.stage == awaited && r.Streams == nil
}
