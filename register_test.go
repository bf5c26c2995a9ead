package broach

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

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
	_, failed := f.invoke(ctx, []byte{0x90}, nil)
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

// An error made by Errorf keeps its code; one that came from another node is this function's failure.
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
		require.Equal(t, Application, e.Code)
		require.Equal(t, Yes, e.Executed)
		require.Equal(t, "calling: "+nested.brief(), e.Message)
		require.Empty(t, e.Service+e.Node)
	}
}

// panicky and panickyReader have methods that panic, at the sender and at the receiver.
type panicky struct{}

func (panicky) MarshalMsgpack() ([]byte, error) { panic("boom") }

type panickyReader struct{}

func (*panickyReader) UnmarshalMsgpack([]byte) error { panic("boom") }
