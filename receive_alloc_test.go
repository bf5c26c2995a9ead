//go:build !race

package broach

import (
	"testing"
	"time"

	"broach/internal/udp"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// linkFeed is a side and datagrams of a link to it, ready to be read.
type linkFeed struct {
	*linkSide
	datagrams [][]byte
	next      int
	now       time.Time
}

// newLinkFeed makes a link that was busy before, and n datagrams on it.
func newLinkFeed(t testing.TB, keys [][]byte, n int) *linkFeed {
	s := side(t, 2, Config{Keys: keys})
	t.Cleanup(func() { s.serving.pool.Close(time.Hour) })
	a := newAsker(t, 3, keys)
	l := a.take(s, a.askAnyway(s))
	f := &linkFeed{linkSide: s, now: time.Now(), datagrams: [][]byte{l.confirm(nil)}}
	for range n + 2*256 {
		f.datagrams = append(f.datagrams, l.say(wire.Progress{Slot: 1, Seq: 1}.Append(nil)))
	}
	for range 2 * 256 { // so many numbers make a link remember more of them
		f.read()
	}
	return f
}

// read has the reader handle the next datagram, in a batch of its own.
func (f *linkFeed) read() {
	f.reader.strangers.begin(time.Now())
	f.reader.datagram(f.now, udp.Datagram{Addr: addrOf(3), B: f.datagrams[f.next]})
	f.reader.finish()
	f.next++
}

// Of a link's datagram the reader finds the link, judges the number, opens what is sealed and steps the link, and
// allocates nothing for it.
func TestReadingADatagramOfALinkAllocatesNothing(t *testing.T) {
	for name, keys := range map[string][][]byte{"without keys": nil, "with keys": {keyOf(1)}} {
		f := newLinkFeed(t, keys, 1100)
		link := f.linking.tokens.all()[0]
		before := link.record.Traffic.Arrived.Load()
		require.Zero(t, testing.AllocsPerRun(1000, f.read), name)
		require.EqualValues(t, 1001, link.record.Traffic.Arrived.Load()-before, name)
	}
}

// What a stranger sends that is none of a link costs no memory either, but for the Offer that answers an Open.
func TestDroppingADatagramAllocatesNothing(t *testing.T) {
	for name, keys := range map[string][][]byte{"without keys": nil, "with keys": {keyOf(1)}} {
		f := newLinkFeed(t, keys, 1)
		a := newAsker(t, 4, keys)
		l := a.take(f.linkSide, a.askAnyway(f.linkSide))
		l.token++
		for what, b := range map[string][]byte{
			"a replay": f.datagrams[1], "no token of ours": l.say(), "junk": make([]byte, 100),
			"no Offer of ours": a.prove(wire.AppendOffer(nil, wire.Offer{KeyID: a.keyID(), Echo: 5, Addr: a.addr, Observed: a.addr})),
			"another key":      flippedAt(l.say(), 2*8),
		} {
			require.Zero(t, testing.AllocsPerRun(200, func() { f.reader.datagram(f.now, udp.Datagram{Addr: addrOf(3), B: b}) }), "%s, %s", what, name)
		}
	}
}

func BenchmarkReadDatagramOfALink(b *testing.B) {
	for name, keys := range map[string][][]byte{"open": nil, "sealed": {keyOf(1)}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			const round = 1 << 14
			f := newLinkFeed(b, keys, 0)
			for i := range b.N {
				if i%round == 0 {
					b.StopTimer()
					f = newLinkFeed(b, keys, round)
					b.StartTimer()
				}
				f.read()
			}
		})
	}
}
