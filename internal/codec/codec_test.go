package codec

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"sync"
	"testing"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// The arguments of a call are one msgpack array, every integer in its shortest form.
func TestArgumentsOnTheWire(t *testing.T) {
	for want, args := range map[string][]any{
		"90":                                 {},
		"920102":                             {1, uint64(2)},
		"92ffd1ff7f":                         {int8(-1), int64(-129)},
		"91cd0100":                           {int64(256)},
		"91cfffffffffffffffff":               {uint64(math.MaxUint64)},
		"93c0c2a3e4b896":                     {nil, false, "世"},
		"91c4020001":                         {[]byte{0, 1}},
		"91cb3ff8000000000000":               {1.5},
		"91ca3fc00000":                       {float32(1.5)},
		"9181a161920102":                     {map[string][]int8{"a": {1, 2}}},
		"9182a6737472656574a0a4746f776ea163": {&place{City: "c"}},
		"91ce3b9aca00":                       {1_000_000_000},
	} {
		b, err := appendArguments([]byte{0xaa}, most, args)
		require.NoError(t, err)
		require.Equal(t, "aa"+want, hex.EncodeToString(b))
	}
}

// What was in dst stays as it is when an argument cannot be encoded.
func TestArgumentsThatFailLeaveDst(t *testing.T) {
	b, err := appendArguments([]byte("kept"), most, []any{1, make(chan int)})
	require.Error(t, err)
	require.Equal(t, "kept", string(b))
}

// nest returns a value of that many levels.
func nest(levels int) any {
	var x any
	for range levels {
		x = []any{x}
	}
	return x
}

// What the sender lets through is what the receiver lets through, for arguments and for results.
func TestSenderAndReceiverAgreeOnDepth(t *testing.T) {
	for _, args := range [][]any{{nest(maxDepth)}, {1, nest(maxDepth)}} {
		_, err := appendArguments(nil, most, args)
		require.NoError(t, err)
	}
	require.Equal(t, nest(maxDepth), carried[any](t, nest(maxDepth)))
	got, err := decodeAny(resultOf(t, func() any { return nest(maxDepth) }))
	require.NoError(t, err)
	require.Equal(t, nest(maxDepth), got)

	_, err = appendArguments(nil, most, []any{nest(maxDepth + 1)})
	require.EqualError(t, err, "argument 1: "+errDepth.Error(), "without the way down to there")
	tooDeep := append(bytes.Repeat([]byte{0x91}, maxDepth+2), 0xc0)
	_, err = received[any](tooDeep)
	require.ErrorIs(t, err, errDepth)
}

// A struct that many goroutines use for the first time at once is planned by each of them, to the same effect.
func TestPlansAreMadeConcurrently(t *testing.T) {
	type leaf struct{ N int }
	type branch struct {
		Left, Right *branch
		Leaves      map[string]leaf
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			sent := branch{Left: &branch{Leaves: map[string]leaf{"a": {1}}}}
			require.Equal(t, sent, carried[branch](t, sent))
		})
	}
	wg.Wait()
}

// Error texts quote what was sent, however long; they are cut to what a reply has room for.
func TestErrorTextIsBounded(t *testing.T) {
	long := Failed(wire.Internal, wire.ExecutedYes, "%s", strings.Repeat("世", wire.MaxText))
	require.Equal(t, wire.MaxText/3*3+len("…"), len(long.Text), "cut between characters")
}

// An error says where in a value it was found, of a place far down the last steps to it.
func TestErrorsNameTheirPlace(t *testing.T) {
	type link struct {
		Next *link
		Do   any
	}
	deep := &link{Do: func() {}}
	_, err := appendArguments(nil, most, []any{[]any{deep}})
	require.EqualError(t, err, "argument 1: element 0: field Do: func() cannot be sent")
	for range 500 {
		deep = &link{Next: deep}
	}
	_, err = appendArguments(nil, most, []any{deep})
	require.EqualError(t, err, "argument 1: …: "+strings.Repeat("field Next: ", maxPlaces-1)+
		"field Do: func() cannot be sent")
}
