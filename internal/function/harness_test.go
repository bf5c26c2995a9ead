package function

import (
	"encoding/hex"
	"errors"
	"runtime"
	"testing"

	"broach/internal/codec"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

// mostBytes is more than any arguments of these tests take.
const mostBytes = 1 << 30

// Types that the tests pass around.
type (
	hour uint8

	staff struct {
		Name string
		Age  int8
		Boss *staff
	}

	branching struct {
		Name     string
		Branches map[string][]*branching
	}

	fussy struct{} // its own method panics
	spot  struct{} // it reads itself
)

func (fussy) MarshalMsgpack() ([]byte, error) { panic("boom") }

func (spot) EncodeMsgpack(e *msgpack.Encoder) error { return e.EncodeString("here") }
func (*spot) DecodeMsgpack(d *msgpack.Decoder) error {
	s, err := d.DecodeString()
	if err == nil && s != "here" {
		err = errors.New("not a spot")
	}
	return err
}

func plus(x, y int) int { return x + y }

func fromDigits(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// spent returns how many bytes f allocates.
func spent(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// requireRefusal holds err to one that says what is wrong with the arguments, and that the function did not run.
func requireRefusal(t *testing.T, err error, text string) {
	t.Helper()
	var e *codec.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, wire.InvalidArgument, e.Code, e.Text)
	require.Equal(t, wire.ExecutedNo, e.Executed)
	require.Contains(t, e.Text, text)
}
