package broach

import (
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/buffer"
	"broach/internal/link"
	"broach/internal/member"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// A call that begins by the view of before to a peer that has been found to be away is ended as soon as there is
// another view, not after the AckTimeout; one to a peer that is back by then goes on.
func TestLateCallsToWhoIsAwayAreEnded(t *testing.T) {
	h := newHall(t, 2, 1)
	h.loop.viewTook = time.Minute // so that the next view is due later
	h.fail(h.peers[0])
	h.fail(h.peers[1])
	lost, kept := h.begin(h.peers[0]), h.begin(h.peers[1])
	h.says(h.now, h.peers[0], 1, wire.Leave{})
	h.publish(h.now)
	require.Len(t, lost.Done, 1)
	require.Equal(t, wire.Unreachable, lost.Code)
	require.True(t, lost.Gone)
	require.Equal(t, textOffline, string(lost.Body))
	require.Empty(t, kept.Done)

	kept = h.begin(h.peers[0])
	h.publish(h.now)
	require.Empty(t, kept.Done, "it is done once")
}

// Calls are ended when the view shows that their peer is away, if it can: who makes them again does not go there again.
func TestCallsAreEndedWhenTheViewShowsWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, 1, 1)
		p := h.begin(h.peers[0])
		p.Done = make(chan struct{}) // whoever ends the call has to wait until it is taken notice of
		h.says(h.now, h.peers[0], 1, wire.Leave{})
		h.now = h.now.Add(time.Minute)
		go h.fail(h.peers[0])
		synctest.Wait()
		require.Equal(t, member.Left, h.calling.view.Load().peers[0].State)
		<-p.Done
	})
}

func (h *hall) fail(l *conn) { h.endCallsToAway(h.now, member.Effects{Offline: []uint64{l.Token}}) }

// begin makes a call on a link.
func (h *hall) begin(l *conn) *link.Call {
	frame := buffer.New()
	frame.B = wire.SetLength(wire.Request{Service: []byte("f")}.Append(frame.B))
	p := h.linking.wires.NewCall()
	if _, _, err := l.Send(h.now, h.now.Add(time.Minute), frame, p); err != nil {
		panic(err)
	}
	return p
}
