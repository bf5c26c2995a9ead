package calls

import (
	"encoding/binary"
	"encoding/hex"
	"iter"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"
	"broach/internal/intruder"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// talk is what a stranger and a node say to each other: the stranger by its own code, the node as it is.
type talk struct {
	c    *clustertest.Cluster
	node *broach.Node
	a    *intruder.Process
	conn intruder.Conn
	said []string // "A to B " or "B to A " and the hex of the datagram
}

// newTalk starts a node, and a stranger whose public key is easily known again.
func newTalk(c *clustertest.Cluster) *talk {
	c.Edit = func(cfg *broach.Config) { cfg.Name, cfg.Version = "shop", "1.0" }
	k := &talk{c: c, node: c.Start(0), a: intruder.NewProcess(clustertest.AddrOf(1), "default", nil, 1)}
	require.NoError(c.T, k.node.Register("work01", func(x, y int) int { return x + y }))
	for i := range k.a.Public {
		k.a.Public[i] = byte(i)
	}
	conn, err := c.Net.Listen(k.a.Addr)
	require.NoError(c.T, err)
	k.conn = conn
	time.Sleep(500 * time.Millisecond) // its first Beat is due half a second later
	return k
}

// tell sends a datagram.
func (k *talk) tell(datagram []byte) {
	k.said = append(k.said, "A to B "+hex.EncodeToString(datagram))
	_, err := k.conn.WriteToUDPAddrPort(datagram, k.node.Addr())
	require.NoError(k.c.T, err)
}

// hear waits for the next datagram.
func (k *talk) hear() []byte {
	b := make([]byte, wire.MaxMember)
	n, _, err := k.conn.ReadFromUDPAddrPort(b)
	require.NoError(k.c.T, err)
	k.said = append(k.said, "B to A "+hex.EncodeToString(b[:n]))
	return b[:n]
}

// lose waits for the next datagram, and takes nothing of it.
func (k *talk) lose() { k.hear() }

// open makes a link, by table version.
func (k *talk) open(table uint32) *intruder.Link {
	open := intruder.Open{Number: 1, Token: 0x0102030405060708, Process: *k.a}
	k.tell(open.Bytes())
	offer, ok := intruder.ParseOffer(k.hear())
	require.True(k.c.T, ok)
	l := k.a.Began(open, offer)
	l.Table = table
	return l
}

// ask sends messages, and holds that the answer has messages of such kinds.
func (k *talk) ask(l *intruder.Link, messages []intruder.Message, kinds ...byte) {
	k.tell(l.Next(messages...))
	k.expect(l, kinds...)
}

// expect waits for messages of such kinds, in one datagram, and returns the first.
func (k *talk) expect(l *intruder.Link, kinds ...byte) intruder.Message {
	list, ok := l.Read(k.hear())
	require.True(k.c.T, ok)
	var got []byte
	for _, m := range list {
		got = append(got, m.Kind)
	}
	require.Equal(k.c.T, kinds, got)
	return list[0]
}

// What PROTOCOL.md shows of a first call, datagram by datagram, is what a node says, and takes.
func TestTheFirstCallOfTheProtocol(t *testing.T) {
	for heading, talks := range map[string]func(*talk){
		"A guest calls": talkAsGuest, "Replies are lost": talkWithLoss, "A member joins and calls": talkAsMember,
		"Items stream": talkInStreams,
	} {
		clustertest.Run(t, 1, func(c *clustertest.Cluster) {
			k := newTalk(c)
			talks(k)
			k.conn.Close()
			require.Equal(t, examplesOf(t, heading), k.said)
		})
	}
}

// several are messages of one datagram.
func several(m ...intruder.Message) []intruder.Message { return m }

var (
	workRequest = intruder.Request(0, 1, 5000, "work01", []byte{0x92, 1, 2})
	farewell    = intruder.Of(intruder.KindLeave)
)

func talkAsGuest(k *talk) {
	l := k.open(0)
	k.ask(l, several(workRequest), intruder.KindReply)
	k.ask(l, several(intruder.Ping(0x1112131415161718)), intruder.KindPong)
	k.ask(l, several(farewell), intruder.KindLeave)
}

func talkAsMember(k *talk) {
	l := k.open(1)
	hello := intruder.Announce(intruder.Hello{Inc: 1, Addr: k.a.Addr, Name: "py", Table: intruder.Table()})
	k.ask(l, several(hello), intruder.KindWelcome, intruder.KindAck)
	k.ask(l, several(intruder.Ack(2, 1080), intruder.Join(0x1112131415161718)), intruder.KindList)
	k.ask(l, several(workRequest), intruder.KindReply)
	require.Equal(k.c.T, 1, clustertest.Count(k.node, broach.Alive))

	beat := k.expect(l, intruder.KindBeat)
	k.tell(l.Next(intruder.Beat(1, 1080, 1, binary.BigEndian.Uint64(beat.Body[10:]), 1)))
	k.ask(l, several(farewell), intruder.KindLeave)
}

// talkWithLoss loses two Replies: one before anything was heard of its call, one after a Progress.
func talkWithLoss(k *talk) {
	require.NoError(k.c.T, k.node.Register("work02", func(x, y int) int {
		time.Sleep(20 * time.Millisecond)
		return x * y
	}))
	l := k.open(0)
	k.said = nil // both are those of the guest
	k.tell(l.Next(workRequest))
	k.lose()
	time.Sleep(50 * time.Millisecond)
	again := several(intruder.Request(0, 1, 4950, "work01", []byte{0x92, 1, 2}),
		intruder.Of(intruder.KindProbe, 0x21, 0x22, 0x23, 0x24))
	k.ask(l, again, intruder.KindReply, intruder.KindProbeAck)

	slow := intruder.Request(0, 2, 5000, "work02", []byte{0x92, 3, 4})
	k.ask(l, several(slow), intruder.KindProgress)
	k.lose()
	time.Sleep(85 * time.Millisecond)
	k.ask(l, several(intruder.OfSlot(intruder.KindPoll, 0, 2)), intruder.KindReply)
}

// talkInStreams has two numbers come back as a stream of their doubles.
func talkInStreams(k *talk) {
	require.NoError(k.c.T, k.node.Register("double", double))
	l := k.open(0)
	k.said = nil // both are those of the guest
	k.ask(l, several(intruder.Streaming(0, 1, 1, 256, "double")), intruder.KindFragmentAck)
	items := []byte{1, 7, 3, 0xcd, 2, 0}
	input := intruder.Chunk(1, 0, 1, 0, intruder.ChunkFromCaller|intruder.ChunkLast, items)
	k.ask(l, several(input), intruder.KindFragmentAck)
	k.expect(l, intruder.KindChunk)
	k.expect(l, intruder.KindChunk)
	k.expect(l, intruder.KindReply)
	ack := intruder.FragmentAck(1, 2, 256)
	ack.Body[15] = 4 // the datagram with the second of them
	k.tell(l.Next(ack))
}

func double(in iter.Seq2[int, error]) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		var all []int
		for n, err := range in {
			all = append(all, n)
			if err != nil {
				panic(err)
			}
		}
		for _, n := range all {
			time.Sleep(time.Millisecond)
			yield(2*n, nil)
		}
	}
}

// examplesOf are the datagrams under a heading in section 1.6 of PROTOCOL.md: the bytes of a table each, under a line
// with who says it.
func examplesOf(t *testing.T, heading string) (said []string) {
	text, err := os.ReadFile("../../../PROTOCOL.md")
	require.NoError(t, err)
	_, part, _ := strings.Cut(string(text), "\n**"+heading)
	part, _, _ = strings.Cut(part, "\n**")
	part, _, _ = strings.Cut(part, "\n## ")
	who := regexp.MustCompile(`^([AB] to [AB]):`)
	row := regexp.MustCompile("^\\| `([0-9a-f ]+)` \\|")
	for line := range strings.Lines(part) {
		if m := who.FindStringSubmatch(line); m != nil {
			said = append(said, m[1]+" ")
		} else if m := row.FindStringSubmatch(line); m != nil {
			said[len(said)-1] += strings.ReplaceAll(m[1], " ", "")
		}
	}
	return said
}
