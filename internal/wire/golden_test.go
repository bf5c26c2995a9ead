package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	goldenOpen = Open{
		KeyID: 0x52, Cluster: ClusterID("default"), Number: 1, Token: 0x0102030405060708, Addr: addr4,
		Key:   PublicKey(unhex("358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254")),
		Proof: Proof(unhex("00cd77f6d5e6bffbfec86f33d42ec91b")),
	}
	goldenOffer = Offer{
		KeyID: 0x52, Rank: 1, Echo: goldenOpen.Token, Stamp: 1_000_000, Token: 0xa4d80b42c4729c71,
		Key:  PublicKey(unhex("79a631eede1bf9c98f12032cdeadd0e7a079398fc786b88cc846ec89af85a51a")),
		Addr: netip.MustParseAddrPort("127.0.0.1:18082"), Observed: addr4,
		Proof: Proof(unhex("5e6befd756c8beacb5a97390556ece9e")),
	}
	goldenConfirm = Confirm{
		Header: Header{KeyID: 0x52, Form: FormConfirm, TableVersion: 3, Token: goldenOffer.Token, Number: 1},
		Echo:   goldenOpen.Token, Key: goldenOpen.Key, Addr: addr4, Rank: goldenOffer.Rank, Stamp: goldenOffer.Stamp,
	}
	goldenEntry = Process{Addr: addr4, Boot: 0x3333333333333333}
	goldenHello = Hello{
		Inc: 1, Addr: addr4, Name: "shop", Version: "1.0", Tags: []Tag{{"zone", "a"}}, HasTable: true,
		Table: AppendTable(nil, nil),
	}
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// golden has the meaning of each hex example of PROTOCOL.md, by section and place in it.
var golden = []struct {
	at   string
	want any
}{
	{"1.1 #1", goldenOpen},
	{"1.1 #2", goldenOffer},
	{"1.1 #3", goldenConfirm},
	{"1.1 #4", Header{KeyID: 0x52, TableVersion: 3, Token: goldenOffer.Token, Number: 2}},
	{"3.5 #1", Probe{ID: 1, Padding: 4}},
	{"3.5 #2", ProbeAck{ID: 1, Room: 159744}},
	{"2.1 #1", Request{Slot: 5, Seq: 9, Remaining: 6000, Service: []byte("work01"), Args: []byte{0x92, 1, 2}}},
	{"2.1 #2", Send{
		Slot: 5, Seq: 9, Remaining: 6000, Service: []byte("work01"), Meta: AppendPair(nil, "k",
			[]byte("v")), Args: []byte{0x92, 1, 2},
	}},
	{"2.2 #1", Reply{Slot: 5, Seq: 9, Code: 0, Executed: ExecutedYes, Body: []byte{1, 3, 3}}},
	{"2.2 #2", Reply{Slot: 5, Seq: 10, Code: 3, Executed: ExecutedNo, Body: []byte("none")}},
	{"2.2 #3", Reply{Slot: 5, Seq: 11, Code: 1, Executed: ExecutedYes, Causes: AppendPair(nil, "sold", []byte{7}),
		Body: []byte("no")}},
	{"2.2 #4", Reply{Slot: 5, Seq: 12, Code: 4, Executed: ExecutedYes, Forwarded: true, Body: []byte("no")}},
	{"2.3 #1", Progress{Slot: 5, Seq: 9}},
	{"2.3 #2", Poll{Slot: 5, Seq: 9}},
	{"2.3 #3", Cancel{Slot: 5, Seq: 9}},
	{"3.1 #1", Fragment{Transfer: 1, Total: 515, Size: 256, Index: 2, Data: []byte("abc")}},
	{"3.2 #1", FragmentAck{Transfer: 1, Base: 16, Limit: 1040, Newest: 77, Bitmap: []byte{0b101}}},
	{"3.3 #1", Stop{Transfer: 1, ByReceiver: true, Code: 11}},
	{"3.6 #1", Chunk{Transfer: 7, Slot: 5, Seq: 9, FromCaller: true, Last: true,
		Data: []byte{4, 0x92, 1, 0xa1, 'a', 3, 0xcd, 4, 0}}},
	{"3.6 #2", Chunk{Transfer: 8, Slot: 5, Seq: 9, GoesOn: true, From: 64 << 10, Data: []byte{0xc0, 1}}},
	{"4.1 #1", Join{Nonce: 0x0102030405060708, Wanted: []netip.AddrPort{addr4}}},
	{"4.1 #2", List{Echo: 0x0102030405060708, Index: 0, Count: 1, Entries: []Process{goldenEntry}}},
	{"4.1 #3", Announce{goldenHello}},
	{"4.1 #4", Welcome{Answers: 1, Hello: goldenHello}},
	{"4.1 #5", Ack{Seen: 3, Promise: 1500}},
	{"4.1 #6", Beat{Seq: 1, Promise: 1500, Inc: 1}},
	{"4.1 #7", Ping{Nonce: 0x0102030405060708}},
	{"4.1 #8", Pong{Nonce: 0x0102030405060708}},
	{"4.1 #9", Help{Target{Addr: addr4, Boot: 0x3333333333333333, Inc: 1}}},
	{"4.1 #10", Suspect{Target{Addr: addr6, Boot: 0x3333333333333333, Inc: 2}}},
	{"4.1 #11", Leave{}},
	{"4.1 #12", Delta{Base: 3, Version: 4, Gone: AppendTable(nil, []Function{{Name: "work02"}}),
		Added: AppendTable(nil, nil)}},
	{"4.1 #13", Drain{Answer: true}},
	{"4.4 #1", Found{More: 1, Providers: []Provider{
		{Process: goldenEntry, Table: 3, Signature: "(int) bool", Weight: 7, Idempotent: true},
	}}},
	{"5.3 #1", []Belief{{Addr: addr4, State: 1, Unsteady: true, RTT: 90 * time.Microsecond, Loss: 1}}},
	{"5 #1", []Function{{Name: "work01", Signature: "(int) bool"},
		{Name: "work02", Signature: "()", Doc: "b", Weight: 7, Idempotent: true, Paused: true}}},
}

func TestExamplesOfTheProtocolAreWhatWeSpeak(t *testing.T) {
	examples := readExamples(t, "../../PROTOCOL.md")
	for _, g := range golden {
		require.Contains(t, examples, g.at, "PROTOCOL.md has lost an example")
		text := examples[g.at]
		delete(examples, g.at)

		require.Equal(t, text, hex.EncodeToString(appendAny(g.want)), "%s appended: %+v", g.at, g.want)
		b, err := hex.DecodeString(text)
		require.NoError(t, err, g.at)
		got, err := consumeAny(b, g.want)
		require.NoError(t, err, g.at)
		require.Equal(t, g.want, got, g.at)
	}
	require.Empty(t, examples, "PROTOCOL.md has examples that no test holds")
}

// The table of kinds in 1.2 has each kind by its number and name, and no other.
func TestKindsOfTheProtocol(t *testing.T) {
	spec, err := os.ReadFile("../../PROTOCOL.md")
	require.NoError(t, err)
	_, table, _ := strings.Cut(string(spec), "| kind | name |")
	table, _, _ = strings.Cut(table, "\n\n")
	listed := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([0-9]+) \| (\w+) \|`).FindAllStringSubmatch(table, -1) {
		listed[m[1]] = m[2]
	}
	known := map[string]string{}
	for _, s := range samples {
		known[fmt.Sprint(s.kind)] = strings.TrimPrefix(fmt.Sprintf("%T", s.message), "wire.")
	}
	require.Equal(t, known, listed)
}

// It is `2568a196d874e54e` for a node without peers whose entry above
func TestTheDigestsAndBootIDsOfTheExamples(t *testing.T) {
	require.Equal(t, uint64(0x2568a196d874e54e), Digest(goldenEntry))
	spec, err := os.ReadFile("../../PROTOCOL.md")
	require.NoError(t, err)
	require.Contains(t, string(spec), fmt.Sprintf("`%x` for a node without peers whose entry", Digest(goldenEntry)))

	for _, key := range []PublicKey{goldenOpen.Key, goldenOffer.Key} {
		require.Contains(t, string(spec), fmt.Sprintf("`%016x`", bootOf(hex.EncodeToString(key[:]))))
	}

	// those of the first call in 1.6
	a := Process{netip.MustParseAddrPort("10.0.0.2:7000"), 0x1bf1c6056b1e8c84}
	b := Process{
		netip.MustParseAddrPort("10.0.0.1:7000"),
		bootOf("1a5d036ac91b179ab2a34ca3896e733e74364969fb426a4c591b1793a3c2e088"),
	}
	require.Equal(t, uint64(0x11a329713cc20478), Digest(a)^Digest(b))
}

// bootOf is the boot id of a public key.
func bootOf(key string) uint64 {
	hash := sha256.Sum256(append([]byte("broach 2 boot"), unhex(key)...))
	return binary.BigEndian.Uint64(hash[:])
}

// appendAny encodes what an example can be.
func appendAny(v any) []byte {
	switch v := v.(type) {
	case Header:
		return AppendHeader(nil, v)
	case Open:
		return AppendOpen(nil, v)
	case Offer:
		return AppendOffer(nil, v)
	case Confirm:
		return AppendConfirm(nil, v)
	case []Function:
		return AppendTable(nil, v)
	case Found:
		return v.Append(nil)
	case []Belief:
		return appendBeliefs(v)
	case appender:
		return v.Append(nil)
	}
	panic(fmt.Sprintf("no example is a %T", v))
}

// consumeAny decodes an example, which is a message unless like is something else.
func consumeAny(b []byte, like any) (any, error) {
	switch like.(type) {
	case Header:
		h, _, err := ConsumeHeader(b)
		return h, err
	case Open:
		return ConsumeOpen(b)
	case Offer:
		return ConsumeOffer(b)
	case Confirm:
		m, _, err := ConsumeConfirm(b)
		return m, err
	case []Function:
		return ConsumeTable(b)
	case Found:
		return ConsumeFound(b)
	case []Belief:
		return ConsumeBeliefs(b)
	}
	kind, body, _, err := ConsumeMessage(b)
	if err != nil {
		return nil, err
	}
	return consume(kind, body)
}

var (
	heading = regexp.MustCompile(`^##+ ([0-9.]*[0-9])`)
	hexLine = regexp.MustCompile(`^ {4}( *)([0-9a-f ]+)$`)
)

// readExamples finds the indented lines of hex in sections 1 to 5, keyed like golden. A line that is indented further
// goes on with the example above it. Section 6 is about values, which package broach encodes.
func readExamples(t *testing.T, path string) map[string]string {
	doc, err := os.ReadFile(path)
	require.NoError(t, err)
	examples := make(map[string]string)
	section, n, at := "", 0, ""
	for line := range strings.Lines(string(doc)) {
		line = strings.TrimRight(line, "\r\n")
		if m := heading.FindStringSubmatch(line); m != nil {
			section, n = m[1], 0
		}
		if strings.HasPrefix(section, "6") {
			break
		}
		m := hexLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if m[1] == "" {
			n++
			at = fmt.Sprintf("%s #%d", section, n)
		}
		examples[at] += strings.ReplaceAll(m[2], " ", "")
	}
	return examples
}
