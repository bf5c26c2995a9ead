package function

import (
	"bytes"
	"testing"

	"broach/internal/codec"
	"broach/internal/functiontest"

	"github.com/stretchr/testify/require"
)

// Arguments are taken or refused; nothing else happens.
func FuzzDecodeArgs(f *testing.F) {
	for _, c := range functiontest.Cases {
		if args, err := (codec.Arguments{List: c.Args}).Append(nil, mostBytes); err == nil {
			f.Add(args)
		}
	}
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0x91}, 100))
	f.Add([]byte{0x91, 0xdd, 0x80, 0, 0, 0})
	f.Add(append([]byte{0xdc, 1, 0}, bytes.Repeat([]byte{0x80}, 256)...))
	var functions []*Func
	for _, fn := range functiontest.OfEveryKind {
		fun, err := New("f", fn)
		require.NoError(f, err)
		functions = append(functions, fun)
	}
	f.Fuzz(func(t *testing.T, args []byte) {
		for _, fun := range functions {
			result, refusal := fun.Invoke(t.Context(), args, nil, nil)
			if refusal != nil {
				requireRefusal(t, refusal, "")
				continue
			}
			_, err := codec.DecodeAs[any](result)
			require.NoError(t, err, fun.Signature())
		}
	})
}
