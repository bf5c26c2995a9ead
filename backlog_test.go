package broach

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"broach/internal/buffer"

	"github.com/stretchr/testify/require"
)

// A worker that finds its backlog empty has given it away: the next event may be in the hands of another one before it
// has returned, and panic there. Under the race detector this shows what the first does to it too late, whichever comes
// first.
func TestAnEmptyBacklogIsNotTouched(t *testing.T) {
	s := side(t, 1, Config{})
	f, err := subscriber("sold", func(panics bool) { panicIf(panics) })
	require.NoError(t, err)
	b := s.newBacklog(f, 1)
	const events = 100
	for range events {
		b.mu.Lock()
		b.inPool = true // in the hands of the worker below, which finds nothing
		b.mu.Unlock()
		var first sync.WaitGroup
		first.Go(b.Run)
		for !b.isFree() {
			runtime.Gosched()
		}
		event := &request{provider: &s.serving.provider}
		event.Args = &buffer.Buffer{B: []byte{0x91, 0xc3}}
		require.True(t, b.add(event))
		first.Wait()
		for !b.isFree() { // the second
			runtime.Gosched()
		}
	}
	require.Zero(t, s.serving.pool.Close(10*time.Second))
	require.EqualValues(t, events, s.serving.pool.Stats().Panics)
}

// isFree reports that no worker has the backlog.
func (b *backlog) isFree() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.inPool
}
