package broach

import (
	"net"
	"testing"
	"time"

	"broach/internal/buffer"
	"broach/internal/pool"
	"broach/internal/udp"

	"github.com/stretchr/testify/require"
)

// heldSocket is a transport whose reader waits until the test is over.
type heldSocket struct {
	*script
	readingc chan struct{} // closed when somebody reads
	endc     chan struct{} // closed to end that
}

func (s heldSocket) Receive([]udp.Datagram, bool) (int, error) {
	close(s.readingc)
	<-s.endc
	return 0, net.ErrClosed
}

// A heldJob has expired. Who asks that, under the lock of the pool, waits.
type heldJob struct {
	askedc chan struct{} // closed when it is asked; nil: it does not wait
	goOnc  chan struct{} // closed to end that
}

func (j *heldJob) Expired(time.Time) bool {
	if j.askedc != nil {
		close(j.askedc)
		<-j.goOnc
	}
	return true
}

func (*heldJob) Run()               {}
func (*heldJob) Shed()              {}
func (*heldJob) Failed(any, []byte) {}
func (*heldJob) Reject()            {}

// A reader that is stopped before it finds that there is no worker in whose place the call could run has lost the
// reader by then. It gives the call to the workers, and wakes them itself: the new reader knows nothing of it.
func TestACallWaitsForAWorkerThoughTheReaderIsTakenOver(t *testing.T) {
	s := side(t, 1, Config{Pool: Pool{Core: 1, Max: 1, Queue: 2}})
	socket := heldSocket{s.script, make(chan struct{}), make(chan struct{})}
	s.linking.transport = socket
	s.running.Add(1)
	f, err := newService("f", func() {})
	require.NoError(t, err)
	call := &request{provider: &s.serving.provider, function: f, pending: s.linking.wires.NewCall()}
	call.Args = buffer.Copy(noArguments)
	s.reader.quick = []*request{call}

	first := &heldJob{askedc: make(chan struct{}), goOnc: make(chan struct{})}
	require.Equal(t, pool.Accepted, s.serving.pool.Offer(first))
	require.Equal(t, pool.Accepted, s.serving.pool.Offer(&heldJob{}))
	go s.serving.pool.Offer(&heldJob{}) // there is room if one has expired
	<-first.askedc
	oursc := make(chan bool)
	go func() { oursc <- s.reader.runQuick() }()
	<-socket.readingc // another goroutine has it
	close(first.goOnc)
	require.False(t, <-oursc)
	select {
	case <-call.pending.Done:
		require.Zero(t, call.pending.Code)
	case <-time.After(10 * time.Second):
		t.Error("nobody runs the call")
	}
	s.stop()
	close(socket.endc)
	s.running.Wait()
	s.serving.pool.Close(time.Second)
}
