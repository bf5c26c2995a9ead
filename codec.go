package broach

import (
	"fmt"
	"reflect"
	"strings"
)

// The codec turns arguments and results into bytes and back. Values are msgpack:
//
//	arguments: array of values
//	results:   count (1 byte)  description of each (kinds.go)  value of each
//
// It runs in the goroutine of the caller or of the worker. Whatever comes from the network passes the guard first.

const (
	// maxResults is what the count of results, one byte, can say.
	maxResults = 255
	// maxText bounds the text of an error, so that its reply has always room.
	maxText = 8 << 10
)

// appendArgs appends the arguments of a call to dst. An error is an InvalidArgument that names the argument, or errSize where dst
// would have to grow by more than most bytes.
func appendArgs(dst []byte, most int, args []any) ([]byte, error) {
	e := newEncoder(dst, 1+len(args), most)
	err := e.m.EncodeArrayLen(len(args))
	for i := 0; i < len(args) && err == nil; i++ {
		err = argumentError(i+1, e.value(args[i]))
	}
	b := e.finish()
	if err != nil {
		return dst, err
	}
	return b, nil
}

// openArgs returns a decoder of the arguments in b and their number. The caller closes it.
func openArgs(b []byte) (*decoder, int, error) {
	g := guard{b: b, left: maxElements}
	if err := g.all(1, maxDepth+1); err != nil { // the array of arguments is not one of the levels
		return nil, 0, err
	}
	d := newDecoder(b)
	n, err := d.arrayLen(reflect.TypeFor[[]any]())
	if err != nil {
		d.close()
		return nil, 0, err
	}
	return d, n, nil
}

// The readers of the plainest types, for everything that knows them without reflection.

func readInt(d *decoder) (int, error) {
	n, err := d.signed(intType)
	if err == nil && int64(int(n)) != n {
		err = misfit(n, intType)
	}
	return int(n), err
}

func readFloat64(d *decoder) (float64, error) { return d.float(float64Type) }
func readBool(d *decoder) (bool, error)       { return d.bool(boolType) }
func readString(d *decoder) (string, error)   { return d.text(stringType) }

func readBytes(d *decoder) ([]byte, error) {
	if d.isNil() {
		return nil, nil
	}
	if d.form() != formArray {
		return d.bytes(bytesType)
	}
	var b []byte
	err := planOf(bytesType).decode(d, reflect.ValueOf(&b).Elem())
	return b, err
}

// tooLarge is the error of arguments or results that have more bytes than they may.
func tooLarge(executed Executed, what string, most int) *Error {
	return failure(TooLarge, executed, "the %s have more than the %d bytes that are allowed", what, most)
}

// failure is an error with a text of at most maxText bytes: what it quotes may be as long as the message was.
func failure(code Code, executed Executed, format string, a ...any) *Error {
	return &Error{Code: code, Message: shortened(fmt.Sprintf(format, a...)), Executed: executed}
}

func shortened(text string) string {
	if len(text) > maxText {
		return strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}

// typeName is the name of t as people write it.
func typeName(t reflect.Type) string {
	return strings.ReplaceAll(t.String(), "interface {}", "any")
}
