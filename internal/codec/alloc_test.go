//go:build !race

package codec

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// Not under the race detector, which makes sync.Pool forget.

// No allocation is made for plain arguments and results, at either end.
func TestPlainValuesDoNotAllocate(t *testing.T) {
	args, result := []any{1, 2}, resultOf(t, func() int { return 1000 })
	var sent []byte
	require.Zero(t, testing.AllocsPerRun(100, func() { sent, _ = appendArguments(sent[:0], most, args) }),
		"encoding arguments")
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = DecodeAs[int](result) }), "decoding the result as int")
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = decodeAny(result) }), 1.0,
		"decoding the result as any")
}

// Arguments are used again when they are freed, and what they were is not kept.
func TestArgumentsAreUsedAgain(t *testing.T) {
	ones, twos := NewOnes(WriteString), NewTwos(WriteInt, WriteInt)
	var sent []byte
	send := func(args TypedArguments) {
		var err error
		sent, err = Arguments{Typed: args}.Append(sent[:0], most)
		require.NoError(t, err)
		args.Free()
	}
	require.Zero(t, testing.AllocsPerRun(100, func() { send(ones.Of("text")) }), "one")
	require.Zero(t, testing.AllocsPerRun(100, func() { send(twos.Of(1000, 2000)) }), "two")
	require.Zero(t, testing.AllocsPerRun(100, func() { send(Listed([]any{1, "text"})) }), "a list")
	for _, args := range []TypedArguments{ones.Of("text"), twos.Of(1, 2), Listed([]any{1, "text"})} {
		before := args.List()
		args.Free()
		require.NotEqual(t, before, args.List())
	}
}

// A type is looked through once, for each of the two ways, and what is wrong with it stays wrong.
func TestATypeIsCheckedOnce(t *testing.T) {
	type order struct {
		Lines []struct{ Item string }
	}
	type unsendable struct{ Callback func() }
	for _, check := range []func(reflect.Type) error{CheckParameter, CheckResult} {
		first := check(reflect.TypeFor[unsendable]())
		require.ErrorContains(t, first, "func() cannot be sent")
		require.NoError(t, check(reflect.TypeFor[order]()))
		require.Zero(t, testing.AllocsPerRun(100, func() {
			_, _ = check(reflect.TypeFor[order]()), check(reflect.TypeFor[unsendable]())
		}))
		require.Equal(t, first, check(reflect.TypeFor[unsendable]()))
	}
	read := reflect.TypeFor[onlyRead]()
	require.NoError(t, CheckParameter(read))
	require.Error(t, CheckResult(read), "the two ways have a verdict each")
}

// onlyRead can be received, by a method of its own, and not be sent.
type onlyRead struct{ C chan int }

func (*onlyRead) UnmarshalMsgpack([]byte) error { return nil }
