package wire

import (
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// golden has the meaning of each hex example of PROTOCOL.md, by section and place in it.
var golden = []struct {
	at   string
	want any
}{
	{"1.1 #1", Header{
		TableVersion: 3, Cluster: ClusterID("default"), Sender: 0x1111111111111111, Receiver: 0x2222222222222222, Number: 7,
	}},
	{"1.3 #1", Probe{ID: 1, Padding: 4}},
	{"1.3 #2", ProbeAck{ID: 1}},
	{"2.1 #1", Request{Slot: 5, Seq: 9, Remaining: 6000, Service: []byte("work01"), Args: []byte{0x92, 1, 2}}},
	{"2.1 #2", Send{
		Slot: 5, Seq: 9, Remaining: 6000, Service: []byte("work01"), Meta: AppendPair(nil, "k", []byte("v")), Args: []byte{0x92, 1, 2},
	}},
	{"2.2 #1", Reply{Slot: 5, Seq: 9, Code: 0, Executed: ExecutedYes, Body: []byte{1, 2, 3}}},
	{"2.2 #2", Reply{Slot: 5, Seq: 10, Code: 3, Executed: ExecutedNo, Body: []byte("none")}},
	{"2.2 #3", Reply{Slot: 5, Seq: 11, Code: 1, Executed: ExecutedYes, Causes: AppendPair(nil, "sold", []byte{7}), Body: []byte("no")}},
	{"2.3 #1", Progress{Slot: 5, Seq: 9}},
	{"2.3 #2", Poll{Slot: 5, Seq: 9}},
	{"2.3 #3", Cancel{Slot: 5, Seq: 9}},
	{"2.6 #1", Stale{Boot: 0x2222222222222222, Number: 7}},
	{"3.1 #1", Fragment{Transfer: 1, Total: 515, Size: 256, Index: 2, Data: []byte("abc")}},
	{"3.2 #1", FragmentAck{Transfer: 1, Base: 16, Limit: 1040, Bitmap: []byte{0b101}}},
	{"3.3 #1", Stop{Transfer: 1, ByReceiver: true, Code: 11}},
	{"4.1 #1", List{Echo: 0x0102030405060708, Index: 0, Count: 1, Entries: []Entry{{Addr: addr4, Boot: 0x3333333333333333}}}},
	{"4.1 #2", Announce{Hello{
		Nonce: 0x0102030405060708, Inc: 1, Addr: addr4, Name: "shop", Version: "1.0",
		Tags: []Tag{{"zone", "a"}}, HasTable: true, Table: AppendTable(nil, nil),
	}}},
	{"4.1 #3", Ack{Echo: 0x0102030405060708, Seen: 3, Promise: 1500}},
	{"4.1 #4", Beat{Seq: 1, Promise: 1500, Inc: 1}},
	{"4.1 #5", Ping{Nonce: 0x0102030405060708}},
	{"4.1 #6", Pong{Nonce: 0x0102030405060708}},
	{"4.1 #7", Help{Target{Addr: addr4, Boot: 0x3333333333333333, Inc: 1}}},
	{"4.1 #8", Suspect{Target{Addr: addr6, Boot: 0x3333333333333333, Inc: 2}}},
	{"4.1 #9", Leave{}},
	{"4.1 #10", Observed{Nonce: 0x0102030405060708, Addr: addr4}},
	{"4.1 #11", Delta{Base: 3, Version: 4, Gone: AppendTable(nil, []Function{{Name: "work02"}}), Added: AppendTable(nil, nil)}},
	{"4.1 #12", Drain{Answer: true}},
	{"5 #1", []Function{{Name: "work01", Signature: "(int) bool"}, {Name: "work02", Signature: "()", Doc: "b", Weight: 7, Idempotent: true, Paused: true}}},
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

// appendAny encodes what an example can be.
func appendAny(v any) []byte {
	switch v := v.(type) {
	case Header:
		return AppendHeader(nil, v)
	case []Function:
		return AppendTable(nil, v)
	case appender:
		return v.Append(nil)
	}
	panic(fmt.Sprintf("no example is a %T", v))
}

// consumeAny decodes an example, which is a header or table if like is one.
func consumeAny(b []byte, like any) (any, error) {
	switch like.(type) {
	case Header:
		h, _, err := ConsumeHeader(b)
		return h, err
	case []Function:
		return ConsumeTable(b)
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

// readExamples finds the indented lines of hex in sections 1 to 5, keyed like golden. A line that is indented further goes on
// with the example above it. Section 6 is about values, which package broach encodes.
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
