package broach

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"broach/internal/causes"
	"broach/internal/wire"
)

// Code says what kind of failure an Error is. Codes from 1000 up are the application's own to define; those below are
// broach's. Zero is no code.
type Code uint32

// The codes of broach. Their numbers travel on the wire and never change; the numbers of the unexported ones are
// reserved.
const (
	Application      Code = 1  // the handler returned an ordinary error
	InvalidArgument  Code = 2  // number, kind or range of the arguments
	NotFound         Code = 3  // nobody announces the name
	Unavailable      Code = 4  // the name is known, but no provider serves it
	Unreachable      Code = 5  // the provider did not acknowledge, or restarted
	DeadlineExceeded Code = 6  // time over
	Canceled         Code = 7  // the caller gave up
	Overloaded       Code = 8  // the provider's queue is full
	CircuitOpen      Code = 9  // the function failed again and again at the provider: it is not called for a while
	Draining         Code = 10 // the provider is leaving
	TooLarge         Code = 11 // over MaxMessage, found before sending
	Internal         Code = 12 // the handler panicked, or its result cannot be decoded
	Unauthenticated  Code = 13 // the caller is not allowed to: an Interceptor says so
	Closed           Code = 14 // this node is closed
)

// firstUserCode begins the range in which applications choose the numbers; all below is kept for codes broach may need
// later.
const firstUserCode Code = 1000

var codeNames = [...]string{
	Application:      "Application",
	InvalidArgument:  "InvalidArgument",
	NotFound:         "NotFound",
	Unavailable:      "Unavailable",
	Unreachable:      "Unreachable",
	DeadlineExceeded: "DeadlineExceeded",
	Canceled:         "Canceled",
	Overloaded:       "Overloaded",
	CircuitOpen:      "CircuitOpen",
	Draining:         "Draining",
	TooLarge:         "TooLarge",
	Internal:         "Internal",
	Unauthenticated:  "Unauthenticated",
	Closed:           "Closed",
}

// String returns the name of a code of broach, else "Code(1000)" and the like.
func (c Code) String() string {
	if c.isNamed() {
		return codeNames[c]
	}
	return "Code(" + strconv.FormatUint(uint64(c), 10) + ")"
}

func (c Code) isNamed() bool {
	return c > 0 && c < Code(len(codeNames))
}

// ofHandler is the code that a handler's choice of c becomes.
func (c Code) ofHandler() Code {
	if !c.isNamed() && c < firstUserCode {
		return Application
	}
	return c
}

// Executed says whether the handler of a failed call ran. The zero value is Maybe: what nobody knows must not look
// certain.
type Executed uint8

const (
	Maybe Executed = 0 // unknown: the handler may have run, or may still be running
	No    Executed = 1 // the handler did not run and will not: calling again is safe
	Yes   Executed = 2 // the handler ran
)

// String returns "no", "yes", or "maybe" for everything else.
func (x Executed) String() string {
	switch x {
	case No:
		return "no"
	case Yes:
		return "yes"
	}
	return "maybe"
}

// Error is what a failed call returns; errors.As finds it. It is not changed once returned, so it may be shared.
//
// A function that returns the error of a call which it made itself, wrapped or not, fails with the Code of that, the
// first if there are several, while Service, Node and Executed tell of the function: it ran. So a code survives any
// number of nodes; see [Opaque]. Such a code says nothing of the provider: the call is not made again because of it,
// and no breaker opens.
//
// errors.Is compares it by Code with the sentinels below, with context.DeadlineExceeded and context.Canceled for the
// codes of those names, and with net.ErrClosed for Closed. A *Error that sets only its Code is such a sentinel, too,
// which an application uses for its own codes.
type Error struct {
	Code     Code
	Message  string   // what went wrong, in words; may be empty
	Service  string   // the name that was called; empty outside a call
	Node     string   // the address where it failed; empty if unknown
	Executed Executed // did the handler run?

	cause error // what Errorf formatted; of a call, the registered errors that came with it
	// the code is that of a call which the function made, and says nothing of who ran the function
	forwarded bool
	skewed    bool // Strict found that fields differ, before the provider was asked
	gone      bool // the membership found the provider to be away, which is no fault of the function there
	again     bool // a call that waits for a provider is made again, though it may have run
}

// The sentinels: errors.Is(err, ErrNotFound) asks for the code NotFound.
var (
	ErrApplication      error = &Error{Code: Application}
	ErrInvalidArgument  error = &Error{Code: InvalidArgument}
	ErrNotFound         error = &Error{Code: NotFound}
	ErrUnavailable      error = &Error{Code: Unavailable}
	ErrUnreachable      error = &Error{Code: Unreachable}
	ErrDeadlineExceeded error = &Error{Code: DeadlineExceeded}
	ErrCanceled         error = &Error{Code: Canceled}
	ErrOverloaded       error = &Error{Code: Overloaded}
	ErrCircuitOpen      error = &Error{Code: CircuitOpen}
	ErrDraining         error = &Error{Code: Draining}
	ErrTooLarge         error = &Error{Code: TooLarge}
	ErrInternal         error = &Error{Code: Internal}
	ErrUnauthenticated  error = &Error{Code: Unauthenticated}
	ErrClosed           error = &Error{Code: Closed}
)

// Errorf returns a *Error for a handler to return: its caller gets the code and the text. %w works as in fmt.Errorf
// until the handler has returned. Then only what RegisterError knows stays, also for a caller in the same process.
// Executed is left Maybe, for the node that ran the handler to settle.
// A code below 1000 that broach has not defined, 0 among them, becomes Application, so that it cannot turn into
// something else when a later version defines it.
func Errorf(code Code, format string, a ...any) error {
	cause := fmt.Errorf(format, a...)
	return &Error{Code: code.ofHandler(), Message: cause.Error(), cause: cause}
}

// Error returns one line, such as
//
//	broach: work01 on 127.0.0.1:18080: DeadlineExceeded: no reply within 6s (executed: maybe)
//
// What is unknown is left out. Outside a call there is no handler that could have run, and no word about it. An error
// that Errorf made reads as it was formatted, until it comes back from a call.
func (e *Error) Error() string {
	if e.cause != nil && e.isMade() {
		return e.Message
	}
	text := "broach: " + e.brief()
	if e.Service != "" {
		text += " (executed: " + e.Executed.String() + ")"
	}
	return text
}

// brief is the text within that of another call.
func (e *Error) brief() string {
	isEmpty := func(part string) bool { return part == "" }
	return strings.Join(slices.DeleteFunc([]string{e.where(), e.Code.String(), e.Message}, isEmpty), ": ")
}

// isMade reports that e was made for a handler to return, and is not yet the error of a call.
func (e *Error) isMade() bool { return e.Service == "" && e.Node == "" }

// failure is an error that this package makes itself.
func failure(code Code, executed Executed, format string, a ...any) *Error {
	return &Error{Code: code, Message: wire.Shortened(fmt.Sprintf(format, a...)), Executed: executed}
}

// refused is the error of a method of a Node that has found its arguments wanting. It reads as that of a call does.
func refused(code Code, format string, a ...any) *Error {
	return failure(code, Maybe, "%v", fmt.Errorf(format, a...))
}

// because gives a new error its cause.
func (e *Error) because(cause error) *Error {
	e.cause = cause
	return e
}

func (e *Error) where() string {
	if e.Service != "" && e.Node != "" {
		return e.Service + " on " + e.Node
	}
	return e.Service + e.Node
}

// Is reports whether target stands for e's code; see Error.
func (e *Error) Is(target error) bool {
	if t, ok := target.(*Error); ok {
		return t.Code == e.Code && *t == Error{Code: t.Code}
	}
	switch e.Code {
	case DeadlineExceeded:
		return target == context.DeadlineExceeded
	case Canceled:
		return target == context.Canceled
	case Closed:
		return target == net.ErrClosed
	}
	return false
}

// Unwrap returns the error that Errorf formatted, with its causes; for the error of a call, the errors known by
// RegisterError that the function failed with, joined as by errors.Join, or nil. Their texts are part of Message.
func (e *Error) Unwrap() error { return e.cause }

// Opaque is an error with the text of err and nothing else, nil for nil. A function that returns the error of a call it
// made, wrapped or not, fails with the code of that, and what RegisterError knows goes along: what a chain of calls
// came to, its first caller knows. What is no affair of the caller's is returned as Opaque(err): an Application error
// without causes.
func Opaque(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(textOf(err))
}

// knownErrors are those of this program. One *Error is told from another by its code, as errors.Is does.
var knownErrors = causes.Table{Sentinels: reflect.TypeFor[*Error]()}

// RegisterError makes an error known by name: when a function returns it, errors.Is and errors.As find it in the error
// of the call. Provider and caller both register it under the same name, best when they start:
//
//	var ErrSoldOut = errors.New("sold out")
//
//	func init() { broach.RegisterError("shop: sold out", ErrSoldOut) }
//
// An error whose type is a struct with exported fields, or a pointer to one, is known by its type, of which sentinel is
// any value, such as (*SoldOut)(nil): where errors.As finds the type in what the function returned, these fields travel
// as they would in an argument, and errors.As finds a copy at the caller. They are no secret from the caller. A field
// that must not travel, or cannot, as one that is itself an error, has the tag `msgpack:"-"`. All other errors, and
// every *Error, are known by errors.Is, and the caller finds the value that it has registered.
//
// All registered errors within the one that was returned travel, also those of a call that the function made itself.
// What is not registered at both ends is just part of the text. Names and fields together have at most 8,192 bytes,
// with 3 more for each error: what is above is left out, the largest first.
//
// RegisterError panics if the name is none, if sentinel is nil or cannot travel, if the name is that of another error
// or the error has another name, and when there are 1,000 already. The same again does nothing. It may be called by
// many goroutines at once.
func RegisterError(name string, sentinel error) {
	err := checkName("error", name)
	if err == nil {
		err = knownErrors.Add(name, sentinel)
	}
	if err != nil {
		panic(fmt.Sprintf("broach: RegisterError(%.200q): %v", name, err))
	}
}

// explained is the answer to a call whose function returned err. The methods of err are the user's: when one panics, as
// those of a nil pointer in an error do as a rule, the function has panicked.
func explained(ctx context.Context, err error) error {
	answer := failure(Application, Yes, "%s", textOf(err)).because(err)
	isOver := ctx.Err() != nil && errors.Is(err, ctx.Err())
	switch e, ok := errors.AsType[*Error](err); {
	case ok && e.isMade(): // by Errorf, not from a call of this function's own
		answer.Code = e.Code.ofHandler()
	case isOver && errors.Is(err, context.DeadlineExceeded):
		answer.Code = DeadlineExceeded
	case isOver:
		answer.Code = Canceled
	case ok:
		answer.Code, answer.forwarded = e.Code.ofHandler(), true
	}
	return answer
}

// textOf is the text of what a function returned. A *Error in it is told within the error of the call that it ends,
// which says broach, the code and whether the function ran: what a chain of calls came to reads once.
func textOf(err error) string {
	text := err.Error()
	e, ok := errors.AsType[*Error](err)
	for ok && e.isMade() && e.cause != nil { // by Errorf: reads as it was formatted
		e, ok = errors.AsType[*Error](e.cause)
	}
	switch {
	case !ok:
		return unmarked(text)
	case err == e && e.isMade():
		return e.Message
	}
	return unmarked(strings.Replace(text, e.Error(), e.brief(), 1))
}

// unmarked is a text without the mark with which errors of this package begin, such as those of WaitFor: what it is
// told within begins with it.
func unmarked(text string) string {
	return marks.Replace(strings.TrimPrefix(text, "broach: "))
}

var marks = strings.NewReplacer("\nbroach: ", "\n", ": broach: ", ": ")

// What calls are told that do not come to an end of their own, here or at a peer.
const (
	textRestart  = "the process ended or restarted while the call was in flight"
	textOffline  = "the provider was found offline while the call was in flight"
	textCut      = "the provider lives, but this node does not reach it"
	textDraining = "the provider is leaving"
	textClosed   = "this node was closed"
	textOpen     = "the function failed there again and again: it is not called for up to 5s"
	textMost     = "the function already runs as often as it may at once"
	textPaused   = "the function does not serve now"
	textDeadline = "no reply within the deadline"
	textOneWay   = "the function streams, which a one-way call cannot: nobody would hear how it ends"
)
