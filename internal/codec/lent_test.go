package codec

import (
	"reflect"
	"testing"
	"unsafe"

	"broach/internal/buffer"

	"github.com/stretchr/testify/require"
)

// lentBytes are made as those of the user's face are.
type lentBytes struct {
	Bytes []byte
	Loan  buffer.Loan
}

// Lent bytes are a part of the message only where that was asked for, and have no room behind them to append to.
func TestBytesAreLentToWhoeverAsks(t *testing.T) {
	for _, sent := range []any{[]byte("abc"), "abc", lentBytes{Bytes: []byte("abc")}} {
		b, err := Arguments{List: []any{sent}}.Append(nil, 100)
		require.NoError(t, err)
		for _, lends := range []bool{false, true} {
			d, _, err := OpenArguments(b)
			require.NoError(t, err)
			if lends {
				d.Lend()
			}
			var l lentBytes
			require.NoError(t, PlanOf(reflect.TypeFor[lentBytes]()).Decode(d, reflect.ValueOf(&l).Elem()))
			d.Close()
			require.Equal(t, "abc", string(l.Bytes))
			require.Equal(t, lends, unsafe.SliceData(l.Bytes) == &b[len(b)-3], "%T", sent)
			require.False(t, lends && cap(l.Bytes) > 3)
		}
	}
	d, _, err := OpenArguments([]byte{0x91, 0xc0})
	require.NoError(t, err)
	require.False(t, d.lends, "who uses a decoder next has not asked")
	d.Close()
}

// A nil and a list of numbers, which a []byte takes too, are nothing that could be lent.
func TestWhatIsNotBytesIsCopied(t *testing.T) {
	for _, sent := range []any{nil, []byte(nil), []int{1, 2}} {
		b, err := Arguments{List: []any{sent}}.Append(nil, 100)
		require.NoError(t, err)
		d, _, err := OpenArguments(b)
		require.NoError(t, err)
		d.Lend()
		got, err := ReadLent(d)
		d.Close()
		require.NoError(t, err)
		if list, ok := sent.([]int); ok {
			require.Equal(t, []byte{1, 2}, got, list)
			continue
		}
		require.Nil(t, got)
	}
}
