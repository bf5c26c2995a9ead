package function

import (
	"context"
	"errors"
	"testing"
	"time"

	"broach/internal/codec"
	"broach/internal/functiontest"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [VAL-2] A number MUST be refused, at any depth, where it does not fit its parameter exactly.
func TestSemanticsOfTheCodec(t *testing.T) {
	functiontest.Run(t, functiontest.Cases, callCodec)
}

// callCodec is a call without a network. It catches panics as the pool does.
func callCodec(t *testing.T, name string, fn any, args []any) (result any, failed *functiontest.Failure) {
	f, err := New(name, fn)
	require.NoError(t, err)
	sent, err := codec.Arguments{List: args}.Append(nil, mostBytes)
	if err != nil {
		return nil, failureOf(t, err)
	}
	defer func() {
		if recover() != nil {
			panicked := codec.Failed(wire.Internal, wire.ExecutedYes, "the function panicked")
			failed = failureOf(t, panicked)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	reply, err := f.Invoke(ctx, sent, nil, nil)
	if err != nil {
		return nil, failureOf(t, err)
	}
	result, err = codec.DecodeAs[any](reply)
	return result, failureOf(t, err)
}

// failureOf is what the codec says of a call that failed.
func failureOf(t *testing.T, err error) *functiontest.Failure {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*codec.Error](err)
	require.True(t, ok, "%T: %v", err, err)
	return &functiontest.Failure{Code: e.Code, Executed: e.Executed, Text: e.Text}
}
