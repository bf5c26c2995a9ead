package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// metadata length, metadata: skipped by this version
func TestMetadataIsSkipped(t *testing.T) {
	body := Request{Slot: 5, Seq: 9, Service: []byte("s")}.AppendBody(nil)
	body = append(body[:len(body)-2], 0, 3, 'k', '=', 'v', 0x91, 1)

	got, err := ConsumeRequest(body)
	require.NoError(t, err)
	require.Equal(t, Request{Slot: 5, Seq: 9, Service: []byte("s"), Args: []byte{0x91, 1}}, got)
}

// A Request is sent again "with its remaining time recomputed": that part of CALL-9 which is layout.
func TestSetRemainingChangesTheRemainingTimeOnly(t *testing.T) {
	before := Request{Slot: 1, Seq: 2, Remaining: 6000, Service: []byte("work01"), Args: []byte{0x92, 1, 2}}
	after := before
	after.Remaining = 0x01020304

	frame := before.Append(nil)
	SetRemaining(frame, 0x01020304)
	require.Equal(t, after.Append(nil), frame)

	body := before.AppendBody(nil)
	SetBodyRemaining(body, 0x01020304)
	require.Equal(t, after.AppendBody(nil), body)
}

// the bytes `kind, body` are cut into fragments
func TestBodyIsTheMessageWithoutItsFrame(t *testing.T) {
	req := Request{Slot: 1, Service: []byte("work01"), Args: []byte{0x90}}
	require.Equal(t, req.Append(nil)[FrameSize:], req.AppendBody(nil))
	reply := Reply{Slot: 1, Code: 3, Body: []byte("none")}
	require.Equal(t, reply.Append(nil)[FrameSize:], reply.AppendBody(nil))
}
