package broach

import (
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [CALL-16] From then on neither its remaining time, nor Cancel, nor a newer seq in its slot, nor the loss of the link ends it. It is the workers' from
// then on, but still in its slot until the reader has answered it: who finds it there meanwhile does not end it, and its place among those that run at
// once is free again afterwards.
func TestASendIsNotGivenUpWhileItIsAccepted(t *testing.T) {
	onLinkPair(t, Config{}, func(t *testing.T, _, b *linkSide) {
		var runs atomic.Int64
		b.offer(t, "f", func() { runs.Add(1) })
		f := b.offered.get("f")
		f.most = 1
		b.link.mu.Lock()
		send := wire.Send{Seq: 1, Service: []byte("f"), Args: noArguments}.Append(nil)
		require.NoError(t, b.reader.step(time.Now(), b.link, wire.KindSend, wire.Unframe(send)[1:]))
		b.link.mu.Unlock()

		b.link.fail(outcome{code: wire.Unreachable, gone: true, body: textOffline}) // the loop
		b.hear()
		b.reader.offer()
		b.hear()
		require.EqualValues(t, 1, runs.Load())
		require.Zero(t, f.running.Load())
	})
}

// A request is what a call costs its provider in memory: one field more may take the next size that the allocator has.
func TestARequestIsSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(request{}), uintptr(160))
}
