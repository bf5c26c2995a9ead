package wire

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// [MSG-3] A message that is cut off, or whose body is too short for its fields or has a field outside its bounds, MUST
// be dropped and counted, with the rest of its datagram; the messages before it stand.
func TestCutOffMessagesAreRejected(t *testing.T) {
	for _, s := range samples {
		whole := s.message.Append(nil)
		for n := range whole {
			_, _, _, err := ConsumeMessage(whole[:n])
			require.ErrorIs(t, err, ErrShort, "%d of %d bytes of %T", n, len(whole), s.message)
		}
	}
}

// [MSG-3] A message ... whose body is too short for its fields
func TestShortBodiesAreRejected(t *testing.T) {
	for _, s := range samples {
		body := s.body()
		for n := range s.fixed {
			if s.kind == KindList && n == 12 {
				continue // a List without entries, which is whole
			}
			want := ErrShort
			if s.kind == KindFragment && n >= FragmentHead {
				want = ErrField // all fields are there, with too few data for this transfer
			}
			_, err := consume(s.kind, body[:n])
			require.ErrorIs(t, err, want, "%d of %d bytes of %T", n, s.fixed, s.message)
		}
		_, err := consume(s.kind, body[:s.fixed])
		require.NoError(t, err, "all fields of %T", s.message)
	}
}

// [MSG-3] the messages before it stand.
func TestMessagesBeforeACutStand(t *testing.T) {
	datagram := Progress{Slot: 1, Seq: 2}.Append(nil)
	datagram = Poll{Slot: 3, Seq: 4}.Append(datagram)

	kind, body, rest, err := ConsumeMessage(datagram[:len(datagram)-1])
	require.NoError(t, err)
	require.Equal(t, KindProgress, kind)
	m, err := ConsumeProgress(body)
	require.NoError(t, err)
	require.Equal(t, Progress{Slot: 1, Seq: 2}, m)

	_, _, _, err = ConsumeMessage(rest)
	require.ErrorIs(t, err, ErrShort, "the second message lacks a byte")
}

// [MSG-1] A message of unknown kind MUST be skipped and counted.
func TestUnknownKindsCanBeSkipped(t *testing.T) {
	datagram := append([]byte{200, 0, 5}, "hello"...)
	datagram = Leave{}.Append(datagram)

	kind, body, rest, err := ConsumeMessage(datagram)
	require.NoError(t, err)
	require.Equal(t, Kind(200), kind)
	require.Equal(t, "hello", string(body))
	_, err = ConsumeMembership(kind, body)
	require.ErrorIs(t, err, ErrKind)

	kind, _, rest, err = ConsumeMessage(rest)
	require.NoError(t, err)
	require.Equal(t, KindLeave, kind, "the message after the unknown one")
	require.Empty(t, rest)
}

// 9 and 46 are not used: version 1 had them.
func TestEachKindIsOfCallsOrOfTheMembershipOrUnknown(t *testing.T) {
	known := make(map[Kind]bool)
	for _, s := range samples {
		known[s.kind] = true
	}
	for i := range 256 {
		kind := Kind(i)
		_, err := ConsumeMembership(kind, nil)
		require.Equal(t, known[kind] && kind >= KindJoin, err != ErrKind, "kind %d: %v", kind, err)
		require.Equal(t, known[kind] && kind < KindJoin, kind.IsOfCalls(), "kind %d", kind)
	}
	require.False(t, known[9] || known[46])
}

// [MSG-2] Bytes after the fields of a known kind MUST be ignored, unless the kind says that its last field takes all
// the rest.
func TestBytesAfterTheFieldsAreIgnored(t *testing.T) {
	for _, s := range samples {
		if s.rest {
			continue
		}
		got, err := consume(s.kind, append(s.body(), "of a later version"...))
		require.NoError(t, err, "%T", s.message)
		require.Equal(t, s.message, got)
	}
}

// [MSG-2] ... unless the kind says that its last field takes all the rest.
func TestLastFieldsThatTakeTheRest(t *testing.T) {
	longer := func(m appender) []byte { return append(m.Append(nil)[FrameSize:], "xyz"...) }

	req, err := ConsumeRequest(longer(Request{Service: []byte("s"), Args: []byte("args")}))
	require.NoError(t, err)
	require.Equal(t, "argsxyz", string(req.Args))

	reply, err := ConsumeReply(longer(Reply{Body: []byte("body")}))
	require.NoError(t, err)
	require.Equal(t, "bodyxyz", string(reply.Body))

	ack, err := ConsumeFragmentAck(longer(FragmentAck{Bitmap: []byte("b")}))
	require.NoError(t, err)
	require.Equal(t, "bxyz", string(ack.Bitmap))

	hello, err := ConsumeAnnounce(longer(Announce{Hello{Inc: 1, Addr: addr4, HasTable: true, Table: []byte("table")}}))
	require.NoError(t, err)
	require.Equal(t, "tablexyz", string(hello.Table))

	_, err = ConsumeFragment(longer(Fragment{Total: 3, Size: 256, Data: []byte("abc")}))
	require.ErrorIs(t, err, ErrField, "three bytes too many for the transfer")

	_, err = ConsumeList(longer(List{Count: 1, Entries: []Process{{addr4, 1}}}))
	require.Error(t, err, "three bytes are no entry")
}

// [MSG-2] Bytes after the fields of a known kind MUST be ignored
func TestHelloWithoutTableIgnoresTheRest(t *testing.T) {
	want := Welcome{Answers: 1, Hello: Hello{Inc: 1, Addr: addr4, Name: "shop"}}
	body := append(want.Append(nil)[FrameSize:], "of a later version"...)
	got, err := ConsumeWelcome(body)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestAppendingToABodyLeavesTheNextMessageAlone(t *testing.T) {
	datagram := Ping{Nonce: 2}.Append(Ping{Nonce: 1}.Append(nil))
	before := bytes.Clone(datagram)
	_, body, _, err := ConsumeMessage(datagram)
	require.NoError(t, err)
	_ = append(body, 0xff)
	require.Equal(t, before, datagram)
}
