package broach

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"broach/internal/codec"
	"broach/internal/function"
	"broach/internal/wire"
)

// maxName is the length of the name of a service or an error, in bytes.
const maxName = 200

// A service is a function under a name, and what is measured of it.
type service struct {
	*function.Func
	name string
	take func(*request) // has one-way calls in the place of the pool, and answers them at once; nil for functions of users
	cost runCost
	registered
}

// newService is a function of a user.
func newService(name string, fn any) (*service, error) {
	if err := checkName("service", name); err != nil {
		return nil, err
	}
	f, err := planService(name, fn)
	if err != nil {
		return nil, fmt.Errorf("register %s: %w", name, err)
	}
	return f, nil
}

// planService is newService for a name that is known to be fine.
func planService(name string, fn any) (*service, error) {
	f, err := function.New(name, fn)
	if err != nil {
		return nil, err
	}
	f.Most, f.Explain = maxMessageMost, explained
	return &service{Func: f, name: name}, nil
}

// invoke runs the function on the arguments that args holds and appends its results to dst. Errors from before the function ran are
// InvalidArgument with Executed: No; all others say Yes. A panic of the function is the pool's.
func (f *service) invoke(ctx context.Context, args, dst []byte) ([]byte, *Error) {
	b, err := f.Invoke(ctx, args, dst)
	return b, ownError(err)
}

// ownError is what the codec or explained says, as an Error of this package.
func ownError(err error) *Error {
	switch e := err.(type) {
	case nil:
		return nil
	case *Error:
		return e
	case *codec.Error:
		return &Error{Code: Code(e.Code), Executed: Executed(e.Executed), Message: e.Text, cause: e.Cause}
	}
	panic("broach: internal error: " + err.Error())
}

// row is what peers are told of the function.
func (f *service) row() wire.Function {
	return wire.Function{
		Name: f.name, Signature: strings.TrimPrefix(f.Signature(), f.name), Doc: f.doc, Weight: uint16(f.weight), Idempotent: f.idempotent,
		Paused: f.paused.Load(),
	}
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
