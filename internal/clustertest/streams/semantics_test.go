package streams

import (
	"errors"
	"slices"
	"testing"
	"time"

	"broach"
	"broach/internal/functiontest"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// A stream means the same wherever the function runs.
func TestSemanticsOfStreams(t *testing.T) {
	anywhere(t, func(p place) {
		functiontest.RunStreams(p.T, functiontest.Streams, p.stream)
		functiontest.Run(p.T, functiontest.Uploads, p.call)
	})
}

// stream offers a function for one range over its stream.
func (p place) stream(t *testing.T, name string, fn any, args []any, most int) (
	items []any, _ *functiontest.Failure,
) {
	defer p.withdraw(name)
	p.offer(name, fn)
	for v, err := range broach.Stream[any](t.Context(), p.caller.Caller(name, broach.NoBreaker()), args...) {
		if err != nil {
			require.Nil(t, v)
			return items, failureOf(t, err)
		}
		if items = append(items, v); len(items) == most {
			break
		}
	}
	return items, nil
}

// call offers a function for one call.
func (p place) call(t *testing.T, name string, fn any, args []any) (any, *functiontest.Failure) {
	defer p.withdraw(name)
	p.offer(name, fn)
	v, err := p.caller.Caller(name, broach.NoBreaker()).Call(t.Context(), args...)
	return v, failureOf(t, err)
}

// withdraw takes a function back, for another of the name.
func (p place) withdraw(name string) {
	require.NoError(p.T, p.provider.Unregister(name))
	isIt := func(s broach.Service) bool { return s.Name == name }
	p.Until(time.Second, "the caller has heard of it",
		func() bool { return !slices.ContainsFunc(p.caller.Services(), isIt) })
}

// failureOf is what a call failed with; nil: it did not.
func failureOf(t *testing.T, err error) *functiontest.Failure {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*broach.Error](err)
	require.True(t, ok, "%T: %v", err, err)
	return &functiontest.Failure{Code: wire.Code(e.Code), Executed: wire.Executed(e.Executed), Text: e.Message}
}
