package broach

import (
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"broach/internal/codec"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

// sizedText is an error that every program of these tests knows, with details of any length.
type sizedText struct{ Details []byte }

func (e sizedText) Error() string { return strings.Repeat("x", wire.MaxText) }

func init() { RegisterError("broach.sizedText", sizedText{}) }

// Metadata take nothing away from what arguments may have, nor do causes and text from the reply that has them.
func TestWhatGoesAlongNeedsNoRoomOfTheMessage(t *testing.T) {
	const most = 1 << 10
	value := strings.Repeat("v", wire.MaxPairs-3-len("k"))
	functions := map[string]any{
		strings.Repeat("f", maxName): func(b []byte) []byte { return b },
		"fail":                       func(n int) error { return sizedText{make([]byte, n)} },
	}
	inPair(t, functions, func(c *cluster, provider, caller *Node) {
		for _, n := range []*Node{provider, caller} {
			body := make([]byte, most-8)
			back, err := Call[[]byte](c.t.Context(), n.Caller(strings.Repeat("f", maxName), Meta("k", value)), body)
			require.NoError(c.t, err)
			require.Equal(c.t, body, back)

			const details = wire.MaxPairs - 64
			_, err = n.Caller("fail").Call(c.t.Context(), details)
			e := requireError(c.t, err, Application, Yes)
			require.Equal(c.t, strings.Repeat("x", wire.MaxText), e.Message)
			cause, ok := errors.AsType[sizedText](err)
			require.True(c.t, ok)
			require.Len(c.t, cause.Details, details)
		}
	}, func(cfg *Config) { cfg.MaxMessage = most })
}

// [CALL-17] A Request with more arguments, in bytes, than the provider takes is answered TooLarge, executed no.
func TestTheProviderTakesNoMoreThanItSays(t *testing.T) {
	const most = 4 << 10
	inCluster(t, 1, func(c *cluster) {
		c.edit = func(cfg *Config) { cfg.MaxMessage = most }
		provider := c.start(0)
		c.edit = func(*Config) {}
		caller := c.start(1, 0)
		var ran atomic.Int32
		offer(c, provider, caller, "take", func([]byte) { ran.Add(1) })
		take := caller.Caller("take")
		for size, isTaken := range map[int]bool{most - 4: true, most - 3: false, 2 * most: false, 1 << 20: false} {
			for what, call := range map[string]func(any) error{
				"Call": func(b any) error { _, err := take.Call(c.t.Context(), b); return err },
				"Send": func(b any) error { return take.Send(c.t.Context(), b) },
			} {
				before := ran.Load()
				err := call(make([]byte, size))
				c.settle(0)
				if isTaken {
					require.NoError(c.t, err, "%s of %d", what, size)
					require.Equal(c.t, before+1, ran.Load())
					continue
				}
				requireError(c.t, err, TooLarge, No)
				require.Equal(c.t, before, ran.Load())
			}
		}
	})
}

// The types of which a value encodes itself, to as many bytes as it says.
type (
	asBinary int
	asText   int
	asValue  int
	asStream int
)

func (n asBinary) MarshalBinary() ([]byte, error)          { return huge[:n], nil }
func (n *asBinary) UnmarshalBinary([]byte) error           { return nil }
func (n asText) MarshalText() ([]byte, error)              { return huge[:n], nil }
func (n *asText) UnmarshalText([]byte) error               { return nil }
func (n asValue) MarshalMsgpack() ([]byte, error)          { return huge[:n], nil }
func (n *asValue) UnmarshalMsgpack([]byte) error           { return nil }
func (n asStream) EncodeMsgpack(e *msgpack.Encoder) error  { return e.EncodeBytes(huge[:n]) }
func (n *asStream) DecodeMsgpack(d *msgpack.Decoder) error { return d.Skip() }

// huge is far above the limit of the test below. Its zeros are as many values.
var huge = make([]byte, 32<<20)

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// What is too large is found out before much memory was filled with it, whatever it is made of, and never goes as
// something else.
func TestWhatIsTooLargeIsNotEncoded(t *testing.T) {
	const most = 64 << 10
	many := make([][]byte, 1<<10)
	pairs := make(map[int]string, len(many))
	for i := range many {
		many[i], pairs[i] = huge[:most-100], string(huge[:most-100])
	}
	for name, value := range map[string]any{
		"bytes": huge, "string": string(huge), "array": [32 << 20]byte{}, "slice": many, "map": pairs, "any": []any{1, many},
		"struct": struct{ Few, Many []byte }{huge[:10], huge}, "numbers": make([]uint64, 8<<20-2),
		"MarshalBinary": asBinary(len(huge)), "MarshalText": asText(len(huge)), "MarshalMsgpack": asValue(len(huge)), "EncodeMsgpack": asStream(len(huge)),
	} {
		t.Run(name, func(t *testing.T) {
			f, err := newService("give", func() any { return value })
			require.NoError(t, err)
			f.Most = most
			encoded, err := codec.Arguments{}.Append(nil, most)
			require.NoError(t, err)
			var failed *Error
			var failure error
			used := allocated(func() { _, failed = f.invoke(t.Context(), encoded, nil) })
			used += allocated(func() { _, failure = codec.Arguments{List: []any{value}}.Append(nil, most) })
			requireError(t, failed, TooLarge, Yes)
			require.ErrorIs(t, failure, codec.ErrSize)
			require.Less(t, used, uint64(12*most), "bytes that were allocated")
		})
	}
}

// The types that are encoded without reflection obey the limit, too.
func TestTypedValuesThatAreTooLargeAreNotEncoded(t *testing.T) {
	const most = 64 << 10
	encoded, err := codec.Arguments{List: []any{[]byte{}}}.Append(nil, most)
	require.NoError(t, err)
	f, err := newService("give", func([]byte) []byte { return huge })
	require.NoError(t, err)
	f.Most = most
	var failed *Error
	require.Less(t, allocated(func() { _, failed = f.invoke(t.Context(), encoded, nil) }), uint64(most))
	requireError(t, failed, TooLarge, Yes)
}
