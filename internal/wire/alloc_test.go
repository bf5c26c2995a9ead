package wire

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// hotPath is one thing that happens for each datagram or call: tests count its allocations and benchmarks time it.
type hotPath struct {
	name string
	run  func()
}

// hot are all of them. Messages are appended to a buffer that has room.
func hot() []hotPath {
	room := make([]byte, 0, 2048)
	datagram := Request{Slot: 5, Seq: 9, Remaining: 6000, Service: []byte("work01"), Args: []byte{0x92, 1, 2}}.
		Append(AppendHeader(nil, someHeader))
	request := Request{Slot: 5, Seq: 9, Remaining: 6000, Service: []byte("work01"), Args: []byte{0x92, 1, 2}}
	reply := Reply{Slot: 5, Seq: 9, Executed: ExecutedYes, Body: []byte{1, 2, 3}}
	fragment := Fragment{Transfer: 1, Total: 1 << 20, Size: 1300, Index: 7, Data: make([]byte, 1300)}
	ack := FragmentAck{Transfer: 1, Base: 16, Limit: 1040, Bitmap: make([]byte, MaxBitmap)}
	progress := Progress{Slot: 5, Seq: 9}
	requestBody, replyBody := request.AppendBody(nil), reply.AppendBody(nil)
	fragmentBody, ackBody := fragment.Append(nil)[FrameSize:], ack.Append(nil)[FrameSize:]
	open, offer, confirm := AppendOpen(nil, goldenOpen), AppendOffer(nil, goldenOffer),
		AppendConfirm(nil, goldenConfirm)
	progressBody := progress.Append(nil)[FrameSize:]

	return []hotPath{
		{"AppendHeader", func() { AppendHeader(room, someHeader) }},
		{"ConsumeHeader", func() { _, _, sinkErr = ConsumeHeader(datagram) }},
		{"ConsumeMessage", func() { _, _, _, sinkErr = ConsumeMessage(datagram[HeaderSize:]) }},
		{"AppendRequest", func() { request.Append(room) }},
		{"ConsumeRequest", func() { _, sinkErr = ConsumeRequest(requestBody) }},
		{"AppendReply", func() { reply.Append(room) }},
		{"ConsumeReply", func() { _, sinkErr = ConsumeReply(replyBody) }},
		{"AppendProgress", func() { progress.Append(room) }},
		{"ConsumeProgress", func() { _, sinkErr = ConsumeProgress(progressBody) }},
		{"AppendFragment", func() { fragment.Append(room) }},
		{"ConsumeFragment", func() { _, sinkErr = ConsumeFragment(fragmentBody) }},
		{"AppendFragmentAck", func() { ack.Append(room) }},
		{"ConsumeFragmentAck", func() { _, sinkErr = ConsumeFragmentAck(ackBody) }},
		{"SetRemaining", func() { SetRemaining(datagram[HeaderSize:], 5) }},
		{"AppendOpen", func() { AppendOpen(room, goldenOpen) }},
		{"ConsumeOpen", func() { _, sinkErr = ConsumeOpen(open) }},
		{"AppendOffer", func() { AppendOffer(room, goldenOffer) }},
		{"ConsumeOffer", func() { _, sinkErr = ConsumeOffer(offer) }},
		{"AppendConfirm", func() { AppendConfirm(room, goldenConfirm) }},
		{"ConsumeConfirm", func() { _, _, sinkErr = ConsumeConfirm(confirm) }},
		{"Digest", func() { sinkHash = Digest(Process{addr6, 1}) }},
	}
}

// What is stored here is not optimised away.
var (
	sinkErr  error
	sinkHash uint64
)

func TestHotPathsDoNotAllocate(t *testing.T) {
	for _, p := range hot() {
		require.Zero(t, testing.AllocsPerRun(100, p.run), p.name)
	}
}

// A bad input is an answer and costs no allocation, whatever the message: cut anywhere, or with any byte wrong.
func TestBadInputsDoNotAllocate(t *testing.T) {
	for _, s := range samples {
		body := s.body()
		for n := range s.fixed {
			requireNoAllocationIfBad(t, s.kind, body[:n])
			body[n] ^= 0xff
			requireNoAllocationIfBad(t, s.kind, body)
			body[n] ^= 0xff
		}
	}
}

// What is wrong in the last of many addresses is found before room is made for the first.
func TestALateFaultCostsNoMoreThanAnEarlyOne(t *testing.T) {
	wanted := slices.Repeat([]netip.AddrPort{addr4}, MaxWanted)
	wanted[MaxWanted-1] = netip.AddrPortFrom(addr4.Addr(), 0)
	requireNoAllocationIfBad(t, KindJoin, Join{Wanted: wanted}.Append(nil)[FrameSize:])
	entries := slices.Repeat([]Process{{addr4, 1}}, 40)
	entries[39].Boot = 0
	requireNoAllocationIfBad(t, KindList, List{Count: 1, Entries: entries}.Append(nil)[FrameSize:])
}

// [HDR-1] What is dropped costs as little when it is an Open, an Offer or a Confirm: anybody can send these.
func TestBadHandshakesDoNotAllocate(t *testing.T) {
	for _, h := range handshakes {
		for n := range h.bytes {
			cost := testing.AllocsPerRun(1, func() { sinkErr = h.consume(h.bytes[:n]) })
			require.ErrorIs(t, sinkErr, ErrShort, "%s", h.name)
			require.Zero(t, cost, "%s, %d bytes", h.name, n)
		}
	}
}

func requireNoAllocationIfBad(t *testing.T, kind Kind, body []byte) {
	t.Helper()
	if _, err := consume(kind, body); err == nil || kind < KindJoin {
		return // calls are held by TestHotPathsDoNotAllocate; here asAppender boxes them
	}
	cost := testing.AllocsPerRun(1, func() { _, sinkErr = ConsumeMembership(kind, body) })
	require.Zero(t, cost, "kind %d: %x: %v", kind, body, sinkErr)
}

// An entry of 26 bytes becomes one of 40, a List of a datagram no more than a few KiB.
func TestListsCostWhatTheyBring(t *testing.T) {
	var full List
	full.Count = 1
	for i := range 2500 {
		full.Entries = append(full.Entries, Process{addr4, uint64(i + 1)})
	}
	body := full.Append(nil)[FrameSize:]
	cost := allocated(func() { _, sinkErr = ConsumeList(body) })
	require.NoError(t, sinkErr)
	require.Less(t, cost, uint64(3*len(body)))
}

func BenchmarkHot(b *testing.B) {
	for _, p := range hot() {
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.run()
			}
		})
	}
}

func BenchmarkTable(b *testing.B) {
	var rows []Function
	for i := range 1000 {
		rows = append(rows, Function{Name: fmt.Sprintf("peer0000.function%05d", i), Signature: "(int, int) int"})
	}
	for name, table := range map[string][]byte{"bomb": bomb(), "rows=1000": AppendTable(nil, rows)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(table)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ConsumeTable(table); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
