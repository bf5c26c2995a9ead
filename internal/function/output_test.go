package function

import (
	"io"
	"reflect"
	"testing"
	"testing/synctest"

	"broach/internal/stream"

	"github.com/stretchr/testify/require"
)

// A yield that runs while another does, or goes on when the sequence has returned, ends the stream: no item runs into
// another, and the Encoder that it still writes with is given to nobody.
func TestYieldIsForOneGoroutineAtATime(t *testing.T) {
	large := make([]byte, 2*stream.Room)
	for name, second := range map[string]func(yield func([]byte, error) bool){
		"another yield":   func(yield func([]byte, error) bool) { require.False(t, yield([]byte("a"), nil)) },
		"the return":      func(func([]byte, error) bool) {},
		"an error beside": func(yield func([]byte, error) bool) { require.False(t, yield(nil, io.ErrNoProgress)) },
	} {
		synctest.Test(t, func(t *testing.T) {
			var p stream.Pipe
			o := NewOutput(&p, nil, 4*stream.Room)
			typedSequences[reflect.TypeFor[[]byte]()].write(func(yield func([]byte, error) bool) {
				go yield(large, nil)
				synctest.Wait() // until it waits for its reader
				second(yield)
			}, o)
			end := o.Close()
			if name == "an error beside" {
				require.Equal(t, OutputEnd{Yielded: io.ErrNoProgress}, end)
			} else {
				require.Equal(t, OutputEnd{Unsent: errAtOnce}, end, name)
			}
			require.NotNil(t, o.e.Written(), "it was not given back")
			p.CloseWrite(nil)
			p.Stop(nil)
		})
	}
}
