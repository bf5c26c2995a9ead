package wire

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// appender is what every message can do.
type appender interface{ Append(b []byte) []byte }

// sample is one message of each kind, with what the tests need to know of its layout.
type sample struct {
	kind    Kind
	message appender
	fixed   int  // bytes of the body that cannot be missing
	rest    bool // the last field takes all the rest
}

var (
	addr4 = netip.MustParseAddrPort("127.0.0.1:18081")
	addr6 = netip.MustParseAddrPort("[2001:db8::1]:18081")

	someTarget = Target{Addr: addr4, Boot: 0x3333333333333333, Inc: 1}
	someHello  = Hello{
		Inc: 3, Seen: 4, Addr: addr6, Name: "shop", Version: "1.0",
		Tags: []Tag{{"rack", "7"}, {"zone", "北京"}}, HasTable: true, Table: AppendTable(nil, nil),
	}
)

// helloFixed is the length of someHello up to its table: fields, address, strings, tags, flag.
const helloFixed = 8 + 19 + (1 + 4) + (1 + 3) + (2 + 5 + 2 + 5 + 7) + 1

var samples = []sample{
	{KindRequest, Request{Slot: 5, Seq: 9, Remaining: 6000, Service: []byte("work01"), Args: []byte{0x92, 1, 2}}, 19,
		true},
	{KindSend, Send{Slot: 5, Seq: 9, Service: []byte("s"), Meta: AppendPair(nil, "k", []byte("v")), Args: []byte{0x90}},
		19, true},
	{KindReply, Reply{Slot: 5, Seq: 9, Code: 1, Causes: AppendPair(AppendPair(nil, "a", nil), "b", []byte{1}),
		Body: []byte("no")}, 22, true},
	{KindReply, Reply{Slot: 5, Seq: 9, Code: 4, Executed: ExecutedNo, Forwarded: true, Body: []byte("no")}, 13, true},
	{KindReply, Reply{Slot: 5, Seq: 9, Executed: ExecutedYes, Body: []byte{1, 2, 3}}, 11, true},
	{KindProgress, Progress{Slot: 5, Seq: 9}, 6, false},
	{KindPoll, Poll{Slot: 5, Seq: 9}, 6, false},
	{KindCancel, Cancel{Slot: 5, Seq: 9}, 6, false},
	{KindFragment, Fragment{Transfer: 1, Total: 515, Size: 256, Index: 2, Data: []byte("abc")}, 17, true},
	{KindFragmentAck, FragmentAck{Transfer: 1, Base: 16, Limit: 1040, Newest: 77, Bitmap: []byte{5}}, 16, true},
	{KindStop, Stop{Transfer: 1, ByReceiver: true, Code: 11}, 9, false},
	{KindReply, Reply{Slot: 5, Seq: 9, Executed: ExecutedYes, AfterChunks: true, Body: []byte{0}}, 11, true},
	{KindChunk, Chunk{Transfer: 1, Slot: 5, Seq: 9, Index: 3, FromCaller: true, Last: true,
		Data: []byte("abc")}, 15, true},
	{KindChunk, Chunk{Transfer: 1, Slot: 5, Seq: 9, Index: 3, GoesOn: true, From: 1 << 40,
		Data: []byte("abc")}, 23, true},
	{KindProbe, Probe{ID: 1, Padding: 3}, 4, true},
	{KindProbeAck, ProbeAck{ID: 1}, 4, true},
	{KindJoin, Join{Nonce: 1, Wanted: []netip.AddrPort{addr4, addr6}}, 45, false},
	{KindJoin, Join{Nonce: 1}, 9, false},
	{KindList, List{Index: 0, Count: 1, Entries: []Process{{addr6, 1}}}, 38, true},
	{KindAnnounce, Announce{someHello}, helloFixed, true},
	{KindWelcome, Welcome{Answers: 2, Hello: someHello}, 4 + helloFixed, true},
	{KindAck, Ack{Seen: 2, Promise: 3}, 6, false},
	{KindBeat, Beat{Seq: 1, Promise: 1500, Inc: 1, Digest: 2, Echo: 3, Held: 4}, 26, false},
	{KindPing, Ping{Nonce: 1}, 8, false},
	{KindPong, Pong{Nonce: 1}, 8, false},
	{KindHelp, Help{someTarget}, 19, false},
	{KindVouch, Vouch{someTarget}, 19, false},
	{KindNack, Nack{someTarget}, 19, false},
	{KindSuspect, Suspect{someTarget}, 19, false},
	{KindOffline, Offline{someTarget}, 19, false},
	{KindLeave, Leave{}, 0, false},
	{KindDelta, Delta{Base: 1, Version: 2, Gone: AppendTable(nil, []Function{{Name: "f"}}),
		Added: AppendTable(nil, nil)}, 26, true},
	{KindDrain, Drain{Answer: true}, 1, false},
}

// body is the message without its frame.
func (s sample) body() []byte {
	return s.message.Append(nil)[FrameSize:]
}

// consume decodes the body of any kind.
func consume(kind Kind, body []byte) (appender, error) {
	switch kind {
	case KindSend:
		return asAppender(ConsumeSend(body))
	case KindRequest:
		return asAppender(ConsumeRequest(body))
	case KindReply:
		return asAppender(ConsumeReply(body))
	case KindProgress:
		return asAppender(ConsumeProgress(body))
	case KindPoll:
		return asAppender(ConsumePoll(body))
	case KindCancel:
		return asAppender(ConsumeCancel(body))
	case KindFragment:
		return asAppender(ConsumeFragment(body))
	case KindFragmentAck:
		return asAppender(ConsumeFragmentAck(body))
	case KindStop:
		return asAppender(ConsumeStop(body))
	case KindChunk:
		return asAppender(ConsumeChunk(body))
	case KindProbe:
		return asAppender(ConsumeProbe(body))
	case KindProbeAck:
		return asAppender(ConsumeProbeAck(body))
	}
	return ConsumeMembership(kind, body)
}

func asAppender[M appender](m M, err error) (appender, error) {
	return m, err
}

func TestEveryMessageComesBackAsItWas(t *testing.T) {
	for _, s := range samples {
		b := s.message.Append([]byte("before"))
		require.Equal(t, "before", string(b[:6]), "%T overwrote what it was appended to", s.message)

		kind, body, rest, err := ConsumeMessage(append(b[6:], "after"...))
		require.NoError(t, err, "%T", s.message)
		require.Equal(t, s.kind, kind, "%T", s.message)
		require.Equal(t, "after", string(rest), "%T", s.message)

		got, err := consume(kind, body)
		require.NoError(t, err, "%T", s.message)
		require.Equal(t, s.message, got)
	}
}

func TestMembershipMessagesKnowTheirKind(t *testing.T) {
	for _, s := range samples {
		if m, ok := s.message.(Message); ok {
			require.Equal(t, s.kind, m.Kind(), "%T", m)
		} else {
			require.Less(t, s.kind, KindJoin, "%T is of the membership and has no kind", s.message)
		}
	}
}

func TestMembershipMessagesMayBeKept(t *testing.T) {
	for _, s := range samples {
		if s.kind < KindJoin {
			continue
		}
		body := s.body()
		m, err := ConsumeMembership(s.kind, body)
		require.NoError(t, err)
		clear(body) // the reader takes its buffer back
		require.Equal(t, s.message, m)
	}
}
