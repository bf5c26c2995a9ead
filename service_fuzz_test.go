package broach

import (
	"bytes"
	"math/big"
	"testing"
	"time"

	"broach/internal/codec"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

// fuzzed are functions of every kind of parameter.
var fuzzed = []any{
	func(int, int) int { return 0 },
	func(int8, uint16, float32, float64) {},
	func(bool, string, []byte, [4]byte, time.Time, time.Duration) {},
	func(person) {},
	func(*listNode, tree) {},
	func(any) any { return nil },
	func(map[any]any) {},
	func(map[string][]map[int8]*float32, [2][]any) {},
	func(...[]string) {},
	func(point, packed, level, *big.Int, msgpack.RawMessage, half) {},
	func(x any) any { return x },
	func(s string) string { return s },
	func(b []byte) []byte { return b },
}

// Arguments are taken or refused; nothing else happens.
func FuzzDecodeArgs(f *testing.F) {
	for _, c := range semanticCases {
		if args, err := (codec.Arguments{List: c.args}).Append(nil, maxMessageMost); err == nil {
			f.Add(args)
		}
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0x91}, 100))
	f.Add([]byte{0x91, 0xdd, 0x80, 0, 0, 0})
	f.Add(append([]byte{0xdc, 1, 0}, bytes.Repeat([]byte{0x80}, 256)...))
	var functions []*service
	for _, fn := range fuzzed {
		fun, err := newService("f", fn)
		require.NoError(f, err)
		functions = append(functions, fun)
	}
	f.Fuzz(func(t *testing.T, args []byte) {
		for _, fun := range functions {
			result, refusal := fun.invoke(t.Context(), args, nil)
			if refusal != nil {
				require.Equal(t, InvalidArgument, refusal.Code, "%s: %s", fun.Signature(), refusal.Message)
				require.Equal(t, No, refusal.Executed)
				continue
			}
			_, err := codec.DecodeAs[any](result)
			require.NoError(t, err, fun.Signature())
		}
	})
}
