package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Metadata are texts that go along with a call: what is walked is what was appended.
func TestPairsAreWalkedInTheirOrder(t *testing.T) {
	pairs := AppendPair(AppendPair(nil, "a", []byte("1")), "b", nil)
	got, err := ConsumeRequest(Request{Service: []byte("s"), Meta: pairs}.AppendBody(nil))
	require.NoError(t, err)
	var walked []string
	for name, value := range EachPair(got.Meta) {
		walked = append(walked, string(name)+"="+string(value))
	}
	require.Equal(t, []string{"a=1", "b="}, walked)
	for name := range EachPair(pairs) {
		require.Equal(t, "a", string(name), "a walk can be left")
		break
	}
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

// Bits of executed that are not named here are ignored.
func TestUnknownBitsOfExecutedAreIgnored(t *testing.T) {
	want := Reply{Slot: 5, Seq: 10, Code: 4, Executed: ExecutedNo, Forwarded: true, Body: []byte("no")}
	b := want.Append(nil)[FrameSize:]
	b[executedOffset] |= 16 | 32 | 64 | 128
	got, err := ConsumeReply(b)
	require.NoError(t, err)
	require.Equal(t, want, got)
}
