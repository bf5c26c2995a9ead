package calls

import (
	"bytes"
	"context"
	"io"
	"iter"
	"testing"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// What no result can be received as is found before the function runs, here and at a peer, whatever the form of the
// call, and the second time as well as the first.
func TestWhatCannotBeReceivedIsRefusedBeforeTheFunctionRuns(t *testing.T) {
	type job struct{ Done chan int }
	type hidden struct{ n int }
	_ = hidden{n: 1}
	for what, call := range map[string]func(ctx context.Context, c *broach.Caller) error{
		"result 1: chan int cannot be sent":                              wanting[chan int],
		"result 1: func() cannot be sent":                                wanting[func()],
		"result 1: io.Reader cannot be sent: of interfaces, only any":    wanting[io.Reader],
		"result 1: error can only be the last result":                    wanting[error],
		"result 1: complex128 cannot be sent":                            wanting[complex128],
		"result 1: uintptr cannot be sent":                               wanting[uintptr],
		"result 1: bytes.Buffer has no exported fields":                  wanting[bytes.Buffer],
		"result 1: calls.hidden has no exported fields":                  wanting[map[string][]*hidden],
		"result 1: field Done of calls.job: chan int cannot be sent":     wanting[job],
		"result 1: context.Context can only be the first parameter":      wanting[context.Context],
		"result 1: iter.Seq2[int,error] is a stream: use Stream or Bind": wanting[iter.Seq2[int, error]],
		"result 2: chan int cannot be sent":                              wantingSecond[chan int],
		"result 2: io.Writer cannot be sent: of interfaces, only any ca": wantingSecond[io.Writer],
	} {
		ran := 0
		f := map[string]any{"f": func() (int, int) { ran++; return 1, 2 }}
		clustertest.InPair(t, f, func(_ *clustertest.Cluster, provider, caller *broach.Node) {
			for _, n := range []*broach.Node{provider, caller, caller} {
				e := clustertest.RequireError(t, call(context.Background(), n.Caller("f")),
					broach.InvalidArgument, broach.No)
				require.Contains(t, e.Error(), what)
			}
			require.Zero(t, ran)
		})
	}
}

// wanting calls in each form that has one result.
func wanting[R any](ctx context.Context, c *broach.Caller) error {
	_, err := broach.Call[R](ctx, c)
	for _, c := range []*broach.Caller{c, c.With(broach.CallInterceptors(passOn))} {
		if _, other := broach.Call[R](ctx, c); other == nil || other.Error() != err.Error() {
			return other
		}
		if _, other := broach.Go[R](ctx, c).Wait(); other == nil || other.Error() != err.Error() {
			return other
		}
		for r := range broach.All[R](ctx, c) {
			if r.Err == nil || r.Err.Error() != err.Error() || r.Node.IsValid() {
				return r.Err
			}
		}
		if _, _, other := broach.Call2[R, int](ctx, c); other == nil || other.Error() != err.Error() {
			return other
		}
	}
	return err
}

func wantingSecond[R any](ctx context.Context, c *broach.Caller) error {
	_, _, err := broach.Call2[int, R](ctx, c)
	return err
}

func passOn(ctx context.Context, call *broach.Invocation, next broach.Handler) (any, error) {
	return next(ctx, call)
}
