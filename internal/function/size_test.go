package function

import (
	"testing"

	"broach/internal/codec"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

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

// huge is far above the limit of these tests. Its zeros are as many values.
var huge = make([]byte, 32<<20)

// hugeValues are values of every form that are too large.
func hugeValues(most int) map[string]any {
	many := make([][]byte, 1<<10)
	pairs := make(map[int]string, len(many))
	for i := range many {
		many[i], pairs[i] = huge[:most-100], string(huge[:most-100])
	}
	return map[string]any{
		"bytes": huge, "string": string(huge), "array": [32 << 20]byte{}, "slice": many, "map": pairs,
		"any": []any{1, many}, "struct": struct{ Few, Many []byte }{huge[:10], huge},
		"numbers": make([]uint64, 8<<20-2), "MarshalBinary": asBinary(len(huge)), "MarshalText": asText(len(huge)),
		"MarshalMsgpack": asValue(len(huge)), "EncodeMsgpack": asStream(len(huge)),
	}
}

// What is too large is found out before much memory was filled with it, whatever it is made of, and never goes as
// something else.
func TestWhatIsTooLargeIsNotEncoded(t *testing.T) {
	const most = 64 << 10
	for name, value := range hugeValues(most) {
		t.Run(name, func(t *testing.T) {
			f, err := New("give", func() any { return value })
			require.NoError(t, err)
			f.Most = most
			encoded, err := codec.Arguments{}.Append(nil, most)
			require.NoError(t, err)
			var failed, failure error
			used := spent(func() { _, failed = f.Invoke(t.Context(), encoded, nil, nil) })
			used += spent(func() { _, failure = codec.Arguments{List: []any{value}}.Append(nil, most) })
			requireTooLarge(t, failed)
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
	f, err := New("give", func([]byte) []byte { return huge })
	require.NoError(t, err)
	f.Most = most
	var failed error
	require.Less(t, spent(func() { _, failed = f.Invoke(t.Context(), encoded, nil, nil) }), uint64(most))
	requireTooLarge(t, failed)
}

// requireTooLarge holds err to one that says that the results are, and that the function ran.
func requireTooLarge(t *testing.T, err error) {
	t.Helper()
	var e *codec.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, wire.TooLarge, e.Code, e.Text)
	require.Equal(t, wire.ExecutedYes, e.Executed)
}
