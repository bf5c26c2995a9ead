package wire

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var someBeliefs = []Belief{
	{Addr: addr4, Self: true},
	{Addr: addr4, State: 1, Unsteady: true, RTT: 90 * time.Microsecond, Loss: 1},
	{Addr: addr6, State: 3, Unreachable: true, Draining: true, RTT: time.Hour},
}

func appendBeliefs(list []Belief) (b []byte) {
	for _, m := range list {
		b = m.Append(b)
	}
	return b
}

// [VIEW-5] its bits (1), its address as in a hello, the round trip in µs (4), the loss in 65,535ths (2)
func TestBeliefsComeBack(t *testing.T) {
	got, err := ConsumeBeliefs(appendBeliefs(someBeliefs))
	require.NoError(t, err)
	require.Equal(t, someBeliefs, got)

	extreme := Belief{Addr: addr4, State: 7, RTT: 1000 * time.Hour, Loss: 7}
	got, err = ConsumeBeliefs(extreme.Append(nil))
	require.NoError(t, err)
	require.Equal(t, []Belief{{Addr: addr4, State: 3, RTT: (1<<32 - 1) * time.Microsecond, Loss: 1}}, got)
	got, err = ConsumeBeliefs(Belief{Addr: addr4, RTT: 1, Loss: -1}.Append(nil))
	require.NoError(t, err)
	require.Equal(t, []Belief{{Addr: addr4, RTT: time.Microsecond}}, got, "one that was measured is not 0")
}

// [VIEW-5] others are ignored
func TestBeliefsAreCheckedToTheirEnd(t *testing.T) {
	one := Belief{Addr: addr4, RTT: time.Second}.Append(nil)
	for i := 1; i < len(one); i++ {
		_, err := ConsumeBeliefs(append(slices.Clone(one), one[:i]...))
		require.ErrorIs(t, err, ErrShort, "%d bytes", i)
	}
	with := func(at int, v byte) []byte { b := slices.Clone(one); b[at] = v; return b }
	_, err := ConsumeBeliefs(with(1, 5))
	require.ErrorIs(t, err, ErrField, "an address of no family")
	got, err := ConsumeBeliefs(with(0, 0xc0))
	require.NoError(t, err)
	require.Equal(t, []Belief{{Addr: addr4, RTT: time.Second}}, got)

	got, err = ConsumeBeliefs(slices.Repeat(one, BeliefsMost))
	require.NoError(t, err)
	require.Len(t, got, BeliefsMost)
	_, err = ConsumeBeliefs(slices.Repeat(one, BeliefsMost+1))
	require.ErrorIs(t, err, ErrLimit)
}

func FuzzBeliefs(f *testing.F) {
	f.Add(appendBeliefs(someBeliefs))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := ConsumeBeliefs(b)
		if err != nil {
			return
		}
		require.Len(t, appendBeliefs(list), len(b))
		again, err := ConsumeBeliefs(appendBeliefs(list))
		require.NoError(t, err)
		require.Equal(t, list, again)
	})
}
