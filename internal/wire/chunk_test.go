package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What of a call streams is written into its Request when that is sent, in the place that was left for it.
func TestStreamsAreWrittenInPlace(t *testing.T) {
	for _, want := range []Streams{
		{HasIn: true, In: 7}, {HasOut: true, Out: 256}, {HasIn: true, In: 1<<32 - 1, HasOut: true},
	} {
		blank := want
		blank.In, blank.Out = 0, 0
		meta := AppendPair(blank.AppendPairs(nil), "k", []byte("v"))
		frame := Request{Slot: 5, Seq: 9, Service: []byte("work01"), Meta: meta, Args: []byte{0x90}}.Append(nil)
		SetStreams(frame, want)
		m, err := ConsumeRequest(frame[FrameSize:])
		require.NoError(t, err)
		got, err := StreamsIn(m.Meta)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, []byte{0x90}, m.Args)
		require.Equal(t, AppendPair(nil, "k", []byte("v")), m.Meta[len(m.Meta)-5:])
	}
}

// The metadata of a call that does not stream say so, and those that are none are found.
func TestStreamsThatAreNone(t *testing.T) {
	for name, c := range map[string]struct {
		meta []byte
		want error
	}{
		"no metadata":       {nil, nil},
		"a user's":          {AppendPair(nil, "in", []byte("v")), nil},
		"another own one":   {AppendPair(nil, "\x00of", []byte("v")), nil},
		"a short transfer":  {AppendPair(nil, "\x00in", []byte("v")), ErrField},
		"no transfer":       {AppendPair(nil, "\x00in", make([]byte, 4)), ErrField},
		"a long credit":     {AppendPair(nil, "\x00out", make([]byte, 5)), ErrField},
		"no credit's bytes": {AppendPair(nil, "\x00out", nil), ErrField},
	} {
		got, err := StreamsIn(c.meta)
		require.ErrorIs(t, err, c.want, name)
		if err == nil {
			require.Zero(t, got, name)
		}
	}
}
