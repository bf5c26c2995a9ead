package calls

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// sizedText is an error that every program of these tests knows, with details of any length.
type sizedText struct{ Details []byte }

func (e sizedText) Error() string { return strings.Repeat("x", wire.MaxText) }

func init() { broach.RegisterError("broach.sizedText", sizedText{}) }

// Metadata take nothing away from what arguments may have, nor do causes and text from the reply that has them.
func TestWhatGoesAlongNeedsNoRoomOfTheMessage(t *testing.T) {
	const most = 1 << 10
	long, value := strings.Repeat("f", 200), strings.Repeat("v", wire.MaxPairs-3-len("k"))
	functions := map[string]any{
		long:   func(b []byte) []byte { return b },
		"fail": func(n int) error { return sizedText{make([]byte, n)} },
	}
	clustertest.InPair(t, functions, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for _, n := range []*broach.Node{provider, caller} {
			body := make([]byte, most-8)
			back, err := broach.Call[[]byte](c.T.Context(), n.Caller(long, broach.Meta("k", value)), body)
			require.NoError(c.T, err)
			require.Equal(c.T, body, back)
			requireDetails(c, n.Caller("fail"), wire.MaxPairs-64)
		}
	}, func(cfg *broach.Config) { cfg.MaxMessage = most })
}

// requireDetails calls for an error with so many bytes of details, and holds it to its text and to them.
func requireDetails(c *clustertest.Cluster, fail *broach.Caller, details int) {
	_, err := fail.Call(c.T.Context(), details)
	e := clustertest.RequireError(c.T, err, broach.Application, broach.Yes)
	require.Equal(c.T, strings.Repeat("x", wire.MaxText), e.Message)
	cause, ok := errors.AsType[sizedText](err)
	require.True(c.T, ok)
	require.Len(c.T, cause.Details, details)
}

// [CALL-17] A Request with more arguments, in bytes, than the provider takes is answered TooLarge, executed no.
func TestTheProviderTakesNoMoreThanItSays(t *testing.T) {
	const most = 4 << 10
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		provider := c.StartWith(0, func(cfg *broach.Config) { cfg.MaxMessage = most })
		caller := c.Start(1, 0)
		var ran atomic.Int32
		clustertest.Offer(c, provider, caller, "take", func([]byte) { ran.Add(1) })
		take := caller.Caller("take")
		for size, isTaken := range map[int]bool{most - 4: true, most - 3: false, 2 * most: false, 1 << 20: false} {
			for what, call := range map[string]func(any) error{
				"Call": func(b any) error { _, err := take.Call(c.T.Context(), b); return err },
				"Send": func(b any) error { return take.Send(c.T.Context(), b) },
			} {
				before := ran.Load()
				err := call(make([]byte, size))
				synctest.Wait() // what was sent runs
				c.Settle(0)
				if isTaken {
					require.NoError(c.T, err, "%s of %d", what, size)
					require.Equal(c.T, before+1, ran.Load())
					continue
				}
				clustertest.RequireError(c.T, err, broach.TooLarge, broach.No)
				require.Equal(c.T, before, ran.Load())
			}
		}
	})
}
