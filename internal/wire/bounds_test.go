package wire

import (
	"bytes"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// patched is a body with other bytes at an offset.
func patched(m appender, at int, with ...byte) []byte {
	body := m.Append(nil)[FrameSize:]
	copy(body[at:], with)
	return body
}

func pairsInSend(pairs []byte) []byte {
	return Request{Service: []byte("s"), Meta: pairs}.AppendBody(nil)
}

// [CALL-14] Metadata are in byte order of their keys, none twice. What is not MUST be treated as in [MSG-3].
// [MSG-3] A message ... has a field outside its bounds
func TestFieldsOutsideTheirBoundsAreRejected(t *testing.T) {
	long := Request{Service: bytes.Repeat([]byte("s"), MaxName+1)}
	request := Request{Service: []byte("work01")}
	hello := Announce{Hello{Inc: 1, Addr: addr4, Name: "shop", Version: "1.0", Tags: []Tag{{"zone", "a"}}}}
	join := Join{Wanted: []netip.AddrPort{addr4, addr6}}
	list := List{Count: 1, Entries: []Process{{addr4, 1}}}
	help := Help{someTarget}
	zero8 := make([]byte, 8)

	for _, c := range []struct {
		what string
		kind Kind
		body []byte
		want error
	}{
		{"service of 0 bytes", KindRequest, Request{}.AppendBody(nil), ErrField},
		{"service of 201 bytes", KindRequest, long.AppendBody(nil), ErrField},
		{"service that is not UTF-8", KindRequest, patched(request, 11, 0xff), ErrField},
		{"service longer than the body", KindRequest, patched(request, 10, 9), ErrShort},
		{"metadata longer than the body", KindRequest, patched(request, 17, 0, 1), ErrShort},
		{"metadata that never end", KindRequest,
			Request{Service: []byte("s"), Meta: []byte{1, 'k', 0, 9}}.AppendBody(nil), ErrShort},
		{"metadata without a key", KindSend, pairsInSend(AppendPair(nil, "", nil)), ErrField},
		{"key that is not UTF-8", KindSend, pairsInSend(AppendPair(nil, "\xff", nil)), ErrField},
		{"keys that fall", KindSend, pairsInSend(AppendPair(AppendPair(nil, "b", nil), "a", nil)), ErrOrder},
		{"a key twice", KindSend, pairsInSend(AppendPair(AppendPair(nil, "b", nil), "b", nil)), ErrOrder},
		{"metadata of 8,193 bytes", KindSend, patched(request, 17, 0x20, 1), ErrLimit},
		{"causes longer than the body", KindReply, patched(Reply{Code: 1}, 11, 0, 1), ErrShort},
		{"causes that fall", KindReply, Reply{Code: 1,
			Causes: AppendPair(AppendPair(nil, "b", nil), "a", nil)}.AppendBody(nil), ErrOrder},
		{"executed 3", KindReply, patched(Reply{}, 10, 3), ErrField},
		{"executed 3 with an unknown bit", KindReply, patched(Reply{Code: 1}, 10, 11), ErrField},
		{"executed 3, forwarded", KindReply, patched(Reply{Code: 1}, 10, 7), ErrField},
		{"done, forwarded", KindReply, patched(Reply{}, 10, 4), ErrField},
		{"bitmap of 129 bytes", KindFragmentAck, patched(FragmentAck{Bitmap: make([]byte, MaxBitmap+1)}, 0), ErrLimit},
		{"bits 8", KindChunk, patched(Chunk{Transfer: 1}, 14, 8), ErrField},
		{"a chunk of no transfer", KindChunk, patched(Chunk{}, 14, 1), ErrField},
		{"a chunk that goes on from nowhere", KindChunk, patched(Chunk{Transfer: 1}, 14, 4), ErrShort},
		{"stopped by 2", KindStop, patched(Stop{}, 4, 2), ErrField},
		{"61 addresses", KindJoin, patched(Join{}, 8, MaxWanted+1), ErrLimit},
		{"more addresses than there are", KindJoin, patched(join, 8, 3), ErrShort},
		{"port 0 at first", KindJoin, patched(join, 25, 0, 0), ErrField},
		{"port 0 at last", KindJoin, patched(join, 43, 0, 0), ErrField},
		{"index equal to count", KindList, patched(list, 8, 0, 1), ErrField},
		{"count 0", KindList, patched(List{}, 8), ErrField},
		{"entry with port 0", KindList, patched(list, 28, 0, 0), ErrField},
		{"entry with boot id 0", KindList, patched(list, 30, zero8...), ErrField},
		{"target of family 5", KindHelp, patched(help, 0, 5), ErrField},
		{"target with boot id 0", KindHelp, patched(help, 7, zero8...), ErrField},
		{"hello of incarnation 0", KindAnnounce, patched(hello, 0, 0, 0, 0, 0), ErrField},
		{"Beat of incarnation 0", KindBeat, patched(Beat{Inc: 1}, 6, 0, 0, 0, 0), ErrField},
		{"hello of family 5", KindAnnounce, patched(hello, 8, 5), ErrField},
		{"hello with port 0", KindAnnounce, patched(hello, 13, 0, 0), ErrField},
		{"name that is not UTF-8", KindAnnounce, patched(hello, 16, 0xff), ErrField},
		{"version that is not UTF-8", KindAnnounce, patched(hello, 21, 0xff), ErrField},
		{"key that is not UTF-8", KindAnnounce, patched(hello, 27, 0xff), ErrField},
		{"value that is not UTF-8", KindAnnounce, patched(hello, 32, 0xff), ErrField},
		{"key longer than the tags", KindAnnounce, patched(hello, 26, 7), ErrShort},
		{"tags longer than the body", KindAnnounce, patched(hello, 24, 0, 99), ErrShort},
		{"has table 2", KindAnnounce, patched(hello, 33, 2), ErrField},
	} {
		_, err := consume(c.kind, c.body)
		require.ErrorIs(t, err, c.want, c.what)
	}
}

func TestFieldsAtTheirBoundsAreTaken(t *testing.T) {
	for _, m := range []appender{
		Request{Service: bytes.Repeat([]byte("s"), MaxName), Args: []byte{}},
		Request{Remaining: math.MaxUint32, Service: []byte("\x00table"), Args: []byte{0x90}},
		Request{Service: []byte("s"), Meta: AppendPair(nil, "k", make([]byte, MaxPairs-4)), Args: []byte{0x90}},
		Reply{Seq: math.MaxUint32, Code: math.MaxUint32, Body: []byte("\xff, a text that is not UTF-8")},
		FragmentAck{Base: math.MaxUint32, Limit: math.MaxUint32, Bitmap: bytes.Repeat([]byte{0xff}, MaxBitmap)},
		Fragment{Total: 1, Size: MinFragment, Data: []byte{1}},
		List{Index: math.MaxUint16 - 1, Count: math.MaxUint16, Entries: []Process{}},
		Help{Target{Addr: netip.MustParseAddrPort("255.255.255.255:65535"), Boot: math.MaxUint64}},
		Announce{Hello{Inc: 1, Addr: addr4, Tags: []Tag{{"", ""}, {"a", ""}}}},
		Welcome{Answers: math.MaxUint32, Hello: Hello{Inc: 1, Addr: addr4, Name: strings.Repeat("n", 255),
			Tags: tags(MaxTags)}},
		Join{Nonce: math.MaxUint64, Wanted: slices.Repeat([]netip.AddrPort{addr6}, MaxWanted)},
	} {
		kind, body, _, err := ConsumeMessage(m.Append(nil))
		require.NoError(t, err)
		got, err := consume(kind, body)
		require.NoError(t, err, "%+v", m)
		require.Equal(t, m, got)
	}
}

// tags are n tags in order.
func tags(n int) (all []Tag) {
	for i := range n {
		all = append(all, Tag{Key: string(rune('A' + i)), Value: "v"})
	}
	return all
}

// tags: at most 32 pairs of strings, key and value; the keys rise
func TestTagsMustRiseAndBeFew(t *testing.T) {
	for _, c := range []struct {
		what string
		tags []Tag
		want error
	}{
		{"twice", []Tag{{"a", "1"}, {"a", "2"}}, ErrOrder},
		{"falling", []Tag{{"b", "1"}, {"a", "2"}}, ErrOrder},
		{"33 of 32", tags(MaxTags + 1), ErrLimit},
		{"late fall", append(tags(MaxTags-1), Tag{"A", ""}), ErrOrder},
	} {
		_, err := ConsumeWelcome(Welcome{Hello: Hello{Inc: 1, Addr: addr4, Tags: c.tags}}.Append(nil)[FrameSize:])
		require.ErrorIs(t, err, c.want, c.what)
	}
}

// in a hello or target ... what IPv6 maps to IPv4 (`::ffff:0:0/96`) is IPv4
func TestAnAddressHasOneEncoding(t *testing.T) {
	mapped := netip.AddrPortFrom(netip.AddrFrom16(addr4.Addr().As16()), addr4.Port())
	zoned := netip.AddrPortFrom(addr6.Addr().WithZone("eth0"), addr6.Port())
	require.Equal(t, helpAt(addr4), helpAt(mapped), "it is unmapped on its way out")
	require.Equal(t, helpAt(addr6), helpAt(zoned), "a zone stays at home")
	ip := mapped.Addr().As16()
	_, err := ConsumeHelp(slices.Concat([]byte{6}, ip[:], []byte{1, 1}, bytes.Repeat([]byte{1}, 12)))
	require.ErrorIs(t, err, ErrField, "and refused on its way in")

	require.Equal(t, Digest(Process{addr4, 1}), Digest(Process{mapped, 1}))
	require.Equal(t, Digest(Process{addr6, 1}), Digest(Process{zoned, 1}))
}

func helpAt(addr netip.AddrPort) []byte { return Help{Target{Addr: addr, Boot: 1}}.Append(nil) }

// [MSG-4] A datagram's payload MUST NOT exceed ... 1,200 bytes when it carries messages of section 4.
func TestTheLargestJoinFitsAConfirm(t *testing.T) {
	datagram := Join{Wanted: slices.Repeat([]netip.AddrPort{addr4}, MaxWanted)}.Append(AppendConfirm(nil,
		goldenConfirm))
	const tag = 16 // of a sealed one
	require.LessOrEqual(t, len(datagram)+tag, MaxMember)
}

// What a field cannot hold is a bug of ours, which must not leave the house as another message.
func TestAppendingWhatDoesNotFitPanics(t *testing.T) {
	big := make([]byte, math.MaxUint16+1)
	for _, c := range []struct {
		what string
		f    func()
	}{
		{"frame", func() { Reply{Body: big}.Append(nil) }},
		{"service", func() { Request{Service: big[:256]}.AppendBody(nil) }},
		{"metadata", func() { Request{Service: big[:9], Meta: big[:MaxPairs+1]}.AppendBody(nil) }},
		{"value", func() { AppendPair(nil, "k", big) }},
		{"address", func() { Help{}.Append(nil) }},
		{"addresses", func() { Join{Wanted: make([]netip.AddrPort, MaxWanted+1)}.Append(nil) }},
		{"tags", func() {
			Announce{Hello{Inc: 1, Addr: addr4,
				Tags: slices.Repeat([]Tag{{Value: string(big[:255])}}, 300)}}.Append(nil)
		}},
		{"functions", func() { AppendTable(nil, make([]Function, MaxFunctions+1)) }},
		{"name", func() { AppendTable(nil, []Function{{Name: string(big[:MaxName+1])}}) }},
		{"signature", func() { AppendTable(nil, []Function{{Name: "n", Signature: string(big)}}) }},
	} {
		require.Panics(t, c.f, c.what)
	}
	require.NotPanics(t, func() { Reply{Body: big}.AppendBody(nil) }, "a transfer has no frame")
	require.NotPanics(t, func() { Reply{Body: big[:math.MaxUint16-replyHead]}.Append(nil) }, "the longest body of all")
	require.NotPanics(t, func() { Request{Service: big[:255]}.AppendBody(nil) }, "the longest string of all")
}
