package ws

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What comes at once is taken apart in time that grows with it, not with its square.
func TestManyEventsAtOnce(t *testing.T) {
	const events = 256
	a, got := newAnswer(), 0
	a.header.Set("Content-Type", "text/event-stream")
	a.passes = func(_, data string) error { got += len(data); return nil }
	event := "data: " + strings.Repeat("x", 1<<10) + "\n\n"
	all := []byte(strings.Repeat(event, events))
	r := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			_, _ = a.Write(all)
		}
	})
	require.NotZero(t, got)
	require.Less(t, r.AllocedBytesPerOp(), int64(8*len(all)))
}
