package broach

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/link"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// requireError holds the error of a call to its code and to what it says of the function.
func requireError(t *testing.T, err error, code Code, executed Executed) *Error {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, e.Message)
	require.Equal(t, executed, e.Executed, e.Message)
	require.ErrorIs(t, err, &Error{Code: code})
	return e
}

func TestCodeNumbersAreThoseOfTheWire(t *testing.T) {
	names := []string{
		"Code(0)", "Application", "InvalidArgument", "NotFound", "Unavailable", "Unreachable", "DeadlineExceeded",
		"Canceled",
		"Overloaded", "CircuitOpen", "Draining", "TooLarge", "Internal", "Unauthenticated", "Closed", "Code(15)",
	}
	for number, name := range names {
		require.Equal(t, name, Code(number).String())
	}
	exported := map[Code]int{
		Application: 1, InvalidArgument: 2, NotFound: 3, Unavailable: 4, Unreachable: 5, DeadlineExceeded: 6,
		Canceled: 7, Overloaded: 8, TooLarge: 11, Internal: 12, Closed: 14,
	}
	for code, number := range exported {
		require.EqualValues(t, number, code, code.String())
	}
	require.Equal(t, "Code(1000)", Code(1000).String())
	require.Equal(t, "Code(4294967295)", Code(1<<32-1).String())
}

func TestExecutedIsMaybeUnlessSomebodyKnows(t *testing.T) {
	require.Equal(t, "maybe", Error{}.Executed.String())
	require.Equal(t, "no", No.String())
	require.Equal(t, "yes", Yes.String())
	require.Equal(t, "maybe", Executed(200).String())
}

func TestErrorTextSaysWhatIsKnown(t *testing.T) {
	tests := []struct {
		err  Error
		want string
	}{
		{Error{Code: DeadlineExceeded, Message: "no reply within 6s", Service: "work01", Node: "127.0.0.1:18080"},
			"broach: work01 on 127.0.0.1:18080: DeadlineExceeded: no reply within 6s (executed: maybe)"},
		{Error{Code: NotFound, Message: "nobody announces it", Service: "工作", Executed: No},
			"broach: 工作: NotFound: nobody announces it (executed: no)"},
		{Error{Code: 1001, Message: "out of stock", Service: "buy", Node: "[::1]:9", Executed: Yes},
			"broach: buy on [::1]:9: Code(1001): out of stock (executed: yes)"},
		{Error{Code: Unreachable, Node: "127.0.0.1:18080"}, "broach: 127.0.0.1:18080: Unreachable"},
		{Error{Code: Closed}, "broach: Closed"},
		{Error{}, "broach: Code(0)"},
	}
	for _, tt := range tests {
		require.EqualError(t, &tt.err, tt.want)
	}
}

func TestErrorIsItsSentinelAndNoOther(t *testing.T) {
	sentinels := map[Code]error{
		Application: ErrApplication, InvalidArgument: ErrInvalidArgument, NotFound: ErrNotFound,
		Unavailable: ErrUnavailable,
		Unreachable: ErrUnreachable, DeadlineExceeded: ErrDeadlineExceeded, Canceled: ErrCanceled,
		Overloaded: ErrOverloaded,
		TooLarge:   ErrTooLarge, Internal: ErrInternal, Closed: ErrClosed,
	}
	for code := range Code(len(codeNames)) {
		err := fmt.Errorf("calling: %w", &Error{Code: code, Message: "m", Service: "s", Node: "n", Executed: Yes})
		for other, sentinel := range sentinels {
			require.Equal(t, code == other, errors.Is(err, sentinel), "%v is the sentinel of %v", code, other)
		}
	}
}

func TestErrorIsTheStandardOneOfItsCode(t *testing.T) {
	standard := map[Code]error{
		DeadlineExceeded: context.DeadlineExceeded, Canceled: context.Canceled, Closed: net.ErrClosed,
	}
	for code := range Code(len(codeNames)) {
		for other, target := range standard {
			require.Equal(t, code == other, errors.Is(&Error{Code: code}, target), "%v is %v", code, target)
		}
	}
}

func TestErrorIsNotAnotherFullError(t *testing.T) {
	err := &Error{Code: NotFound, Message: "nobody announces it", Service: "work01"}
	require.NotErrorIs(t, err, &Error{Code: NotFound, Service: "work02"})
	require.NotErrorIs(t, err, Errorf(NotFound, "no such row"))
	require.NotErrorIs(t, err, &Error{Code: NotFound, Executed: No})
}

func TestApplicationHasSentinelsOfItsOwn(t *testing.T) {
	outOfStock := &Error{Code: 1001}
	require.ErrorIs(t, Errorf(1001, "no %s left", "tea"), outOfStock)
	require.NotErrorIs(t, Errorf(1002, "no %s left", "tea"), outOfStock)
}

func TestErrorfKeepsCodeTextAndCauses(t *testing.T) {
	err := Errorf(InvalidArgument, "row %d: %w (%w)", 7, fs.ErrNotExist, net.ErrClosed)
	require.EqualError(t, err, "row 7: file does not exist (use of closed network connection)")
	require.ErrorIs(t, err, ErrInvalidArgument)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, err, net.ErrClosed)

	var e *Error
	require.ErrorAs(t, fmt.Errorf("handler: %w", err), &e)
	require.Equal(t, "row 7: file does not exist (use of closed network connection)", e.Message)
	require.Equal(t, Maybe, e.Executed)
}

// "A code below 1000 that broach has not defined, 0 among them, becomes Application."
func TestErrorfTakesOnlyDefinedCodesAndTheApplications(t *testing.T) {
	tests := map[Code]Code{
		0: Application, 15: Application, 999: Application,
		Application: Application, NotFound: NotFound, Closed: Closed, Draining: Draining,
		1000: 1000, 1<<32 - 1: 1<<32 - 1,
	}
	for given, want := range tests {
		var e *Error
		require.ErrorAs(t, Errorf(given, "x"), &e)
		require.Equal(t, want, e.Code, "given %d", given)
	}
}

// The numbers of PROTOCOL.md 2.6 are those of internal/wire, and users read them here.
func TestCodesAreThoseOfTheWire(t *testing.T) {
	for code, number := range map[Code]wire.Code{
		Application: wire.Application, InvalidArgument: wire.InvalidArgument, NotFound: wire.NotFound,
		Unavailable: wire.Unavailable,
		Unreachable: wire.Unreachable, DeadlineExceeded: wire.DeadlineExceeded, Canceled: wire.Canceled,
		Overloaded:  wire.Overloaded,
		CircuitOpen: wire.CircuitOpen, Draining: wire.Draining, TooLarge: wire.TooLarge, Internal: wire.Internal,
		Unauthenticated: wire.Unauthenticated, Closed: wire.Closed,
	} {
		require.EqualValues(t, number, code)
	}
	require.Len(t, codeNames, int(wire.Closed)+1)
	require.EqualValues(t, []wire.Executed{wire.ExecutedMaybe, wire.ExecutedNo, wire.ExecutedYes},
		[]wire.Executed{wire.Executed(Maybe), wire.Executed(No), wire.Executed(Yes)})
}

// "1 to 200 bytes of UTF-8, no control characters; names beginning __ are private to the node."
func TestNames(t *testing.T) {
	for _, name := range []string{"a", "加法", "work 01", "a/b.c", "__stats", strings.Repeat("x", 200)} {
		require.NoError(t, checkName("service", name), name)
	}
	for name, text := range map[string]string{
		"":                       "empty",
		strings.Repeat("x", 201): "201 bytes",
		strings.Repeat("世", 67):  "201 bytes",
		"a\xff":                  "UTF-8",
		"a\nb":                   "control character",
		"a\x00":                  "control character",
		"a\u0085":                "control character",
		"\x7f":                   "control character",
	} {
		require.ErrorContains(t, checkName("service", name), text)
		_, err := newService(name, func() {})
		require.ErrorContains(t, err, text)
	}
	require.True(t, isPrivate("__stats"))
	require.False(t, isPrivate("_stats"))
	require.False(t, isPrivate("stats__"))
}

// invokeBare invokes fn without arguments.
func invokeBare(t *testing.T, ctx context.Context, fn any) *Error {
	f, err := newService("f", fn)
	require.NoError(t, err)
	_, failed := f.invoke(ctx, []byte{0x90}, nil, nil)
	return failed
}

// A handler that gives up because its context is over answers with the code of that, whatever it wraps.
func TestErrorsOfAContextThatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wait := func(ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("waiting: %w", ctx.Err())
		}
		e := invokeBare(t, ctx, wait)
		require.Equal(t, DeadlineExceeded, e.Code)
		require.Equal(t, Yes, e.Executed)
		require.Equal(t, "waiting: context deadline exceeded", e.Message)

		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		e = invokeBare(t, ctx, wait)
		require.Equal(t, Canceled, e.Code)
		require.Equal(t, "waiting: context canceled", e.Message)

		e = invokeBare(t, ctx, func() error { return context.DeadlineExceeded })
		require.Equal(t, Application, e.Code, "another context's end is an ordinary error")
		e = invokeBare(t, ctx, func() error { return io.EOF })
		require.Equal(t, Application, e.Code)
		e = invokeBare(t, ctx, func(ctx context.Context) error { return Errorf(1001, "stopped: %w", ctx.Err()) })
		require.Equal(t, Code(1001), e.Code, "a code that the handler chose stays")
	})
}

// An error made by Errorf keeps its code, and so does one of a call that the function made.
func TestErrorsOfHandlers(t *testing.T) {
	cause := errors.New("disk full")
	e := invokeBare(t, t.Context(), func() error { return Errorf(1002, "saving: %w", cause) })
	require.Equal(t, Code(1002), e.Code)
	require.Equal(t, "saving: disk full", e.Message)
	for _, nested := range []*Error{
		{Code: 1003, Message: "m", Service: "other", Executed: No},
		{Code: Overloaded, Message: "m", Node: "10.0.0.1:1", Executed: Maybe},
	} {
		e = invokeBare(t, t.Context(), func() error { return fmt.Errorf("calling: %w", nested) })
		require.Equal(t, nested.Code, e.Code)
		require.True(t, e.forwarded)
		require.Equal(t, Yes, e.Executed)
		require.Equal(t, "calling: "+nested.brief(), e.Message)
		require.Empty(t, e.Service+e.Node)
	}
}

// A function that the closing of its node has stopped, or whose own calls it has ended, was neither canceled by its
// caller, nor is the caller's node closed: another provider may run it.
func TestWhatAClosingNodeStopsIsNotForwarded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := &request{provider: &provider{ctx: ctx}, origin: fromPeer{}}
	closed := &Error{Code: Closed, forwarded: true}
	for _, isClosing := range []bool{false, true} {
		for _, err := range []*Error{closed, {Code: Canceled}, {Code: Canceled, forwarded: true}} {
			code, forwarded := r.codeOf(err)
			if isClosing {
				require.Equal(t, Unreachable, code)
			} else {
				require.Equal(t, err.Code, code)
			}
			require.Equal(t, err.forwarded && !isClosing, forwarded)
		}
		cancel()
	}
	code, _ := r.codeOf(&Error{Code: Closed})
	require.Equal(t, Closed, code, "this node says so itself: the call never began")
}

// That an earlier attempt may have run is not forgotten when the last one surely did not.
func TestTheOutcomeOfSeveralAttempts(t *testing.T) {
	before, last := &Error{Code: Unreachable, Executed: Maybe}, &Error{Code: Overloaded, Executed: No}
	require.Equal(t, Maybe, last.after(before).Executed)
	require.Equal(t, No, last.Executed, "errors are not changed")
	require.Same(t, last, last.after(nil))
	require.Same(t, last, last.after(&Error{Executed: No}))
	ran := &Error{Code: Internal, Executed: Yes}
	require.Same(t, ran, ran.after(before))
}

// A call that has ended is told as it ended, whatever else has ended by the time that its caller looks.
func TestWhatHasEndedIsToldAsItEnded(t *testing.T) {
	inPair(t, nil, func(c *cluster, provider, _ *Node) {
		ctx, cancel := context.WithCancel(c.t.Context())
		cancel()
		p := provider.linking.wires.NewCall()
		p.EndOwned(link.Outcome{Executed: wire.ExecutedYes})
		_, failed := provider.Caller("here").unawaited(ctx, &request{}, p)
		require.Nil(c.t, failed)

		_, failed = provider.Caller("here").unawaited(ctx, &request{}, provider.linking.wires.NewCall())
		requireError(c.t, failed, Canceled, Maybe)
	})
}

// What this program's tests make known stays known.
var (
	errSold  = errors.New("sold out")
	errCoded = &Error{Code: 1001}
)

// "RegisterError panics if the name is none, if sentinel is nil or cannot travel, if the name is that of another error"
func TestErrorsThatCannotBeRegistered(t *testing.T) {
	RegisterError("errors_test: sold out", errSold)
	RegisterError("errors_test: sold out", errSold) // the same again does nothing
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"":                       {io.EOF, `(""): the error name is empty`},
		strings.Repeat("x", 201): {io.EOF, "has 201 bytes, at most 200 are allowed"},
		"a\xff":                  {io.EOF, "is not UTF-8"},
		"a\nb":                   {io.EOF, "contains a control character"},
		"nil":                    {nil, `("nil"): the error is nil`},
		"errors_test: sold out":  {io.EOF, `("errors_test: sold out"): the name is that of another error`},
		"gone":                   {errSold, `("gone"): the error is registered as "errors_test: sold out"`},
		"path":                   {&fs.PathError{}, `("path"): field Err of fs.PathError: error`},
	} {
		text := fmt.Sprint(panicOf(func() { RegisterError(name, tt.err) }))
		require.Contains(t, text, tt.want)
		require.True(t, strings.HasPrefix(text, "broach: RegisterError("), text)
	}
}

// "and every *Error, are known by errors.Is, and the caller finds the value that it has registered"
func TestAnErrorOfOursIsKnownByItsCode(t *testing.T) {
	RegisterError("errors_test: code", errCoded)
	causes := knownErrors.Of(fmt.Errorf("shop: %w", Errorf(1001, "no more milk")))
	require.Equal(t, errors.Join(errCoded), knownErrors.Read(causes))
	require.Empty(t, knownErrors.Of(Errorf(1002, "no more milk")))
}

// panicOf is what f panics with.
func panicOf(f func()) (reason any) {
	defer func() { reason = recover() }()
	f()
	return nil
}
