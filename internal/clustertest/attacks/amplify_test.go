package attacks

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/intruder"
	"broach/internal/race"

	"github.com/stretchr/testify/require"
)

// saying is a message that an attacker would send for a long answer; of a kind with an address, it names the victim.
type saying struct {
	name    string
	message func(victim netip.AddrPort) intruder.Message
}

// sayings are messages of every kind.
func sayings() []saying {
	fixed := func(name string, m intruder.Message) saying {
		return saying{name, func(netip.AddrPort) intruder.Message { return m }}
	}
	about := func(name string, kind byte) saying {
		return saying{name, func(v netip.AddrPort) intruder.Message {
			return intruder.About(kind, intruder.Target{Entry: intruder.Entry{Addr: v, Boot: 5}, Inc: 1})
		}}
	}
	hello := func(v netip.AddrPort) intruder.Hello {
		return intruder.Hello{Inc: 1, Addr: v, Name: "x", Table: intruder.Table()}
	}
	return []saying{
		fixed("Request", intruder.Request(0, 1, 5000, "long0", noArgs)),
		fixed("Request for the table", intruder.Request(1, 1, 5000, "\x00table", noArgs)),
		fixed("Send", intruder.Send(2, 1, 5000, "long0", noArgs)),
		fixed("Reply", intruder.Reply(0, 1, 0, 2, []byte{0})),
		fixed("Progress", intruder.OfSlot(intruder.KindProgress, 0, 1)),
		fixed("Poll", intruder.OfSlot(intruder.KindPoll, 3, 1)),
		fixed("Cancel", intruder.OfSlot(intruder.KindCancel, 3, 1)),
		fixed("Fragment", intruder.Fragment(1, 1<<20, 256, 0, make([]byte, 256))),
		fixed("FragmentAck", intruder.FragmentAck(1, 0, 1<<20)),
		fixed("Stop", intruder.Of(intruder.KindStop, 0, 0, 0, 1, 1, 0, 0, 0, 11)),
		fixed("Probe", intruder.Of(intruder.KindProbe, make([]byte, 500)...)),
		fixed("ProbeAck", intruder.Of(intruder.KindProbeAck, 0, 0, 0, 1)),
		{"Join", func(netip.AddrPort) intruder.Message { return intruder.Join(1) }},
		{"Join of addresses", func(v netip.AddrPort) intruder.Message { return intruder.Join(1, v, v, v) }},
		{"List", func(v netip.AddrPort) intruder.Message {
			return intruder.List(0, 0, 1, intruder.Entry{Addr: v, Boot: 9})
		}},
		{"Announce", func(v netip.AddrPort) intruder.Message { return intruder.Announce(hello(v)) }},
		{"Welcome", func(v netip.AddrPort) intruder.Message { return intruder.Welcome(1, hello(v)) }},
		fixed("Ack", intruder.Ack(0, 60_000)), fixed("Beat", intruder.Beat(1, 60_000, 1, 7, 0)),
		fixed("Ping", intruder.Ping(1)),
		fixed("Pong", intruder.Pong(1)),
		about("Help", intruder.KindHelp), about("Vouch", intruder.KindVouch), about("Nack", intruder.KindNack),
		about("Suspect", intruder.KindSuspect), about("Offline", intruder.KindOffline),
		fixed("Delta", intruder.Of(intruder.KindDelta, bytes.Repeat([]byte{1}, 60)...)),
		fixed("Drain", intruder.Of(intruder.KindDrain, 0)),
		fixed("unknown", intruder.Of(200, 1, 2, 3)), fixed("Leave", intruder.Of(intruder.KindLeave)),
	}
}

// victimOf is an address where nobody is, one for each case.
func victimOf(kind, way int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 7, byte(kind), byte(way + 1)}), 9)
}

// talkative starts nodes of which the first has much to say.
func (f *field) talkative(k int) *broach.Node {
	f.startAll(k)
	for i := range 20 {
		err := f.nodes[0].Register(fmt.Sprint("long", i, strings.Repeat("x", 100)),
			func() []byte { return make([]byte, 1000) })
		require.NoError(f.t, err)
	}
	require.NoError(f.t, f.nodes[0].Register("long0", func() []byte { return make([]byte, 1000) }))
	time.Sleep(20 * time.Second)
	f.tape.Cut()
	return f.nodes[0]
}

// bytesTo is how much went to addresses that fit.
func (f *field) bytesTo(fits func(netip.AddrPort) bool) (sum int) {
	for _, d := range f.tape.All() {
		if fits(d.To) {
			sum += len(d.Bytes)
		}
	}
	return sum
}

// factorOf is how many bytes went to an address for each that came in its name.
func (f *field) factorOf(victim netip.AddrPort, came int) float64 {
	return float64(f.bytesTo(func(a netip.AddrPort) bool { return a == victim })) / float64(came)
}

// [LNK-1] B answers with one Offer, to the address that the Open names.
//
// [AMP-1] An address that has proven nothing gets in answer to an Open that names it one datagram of its size, and to
// all else nothing.
//
// "anybody gets no more bytes to an unproven address than it sends itself": every form, and every message in each form,
// alone and as many as a datagram holds. The attacker has the cluster's key if there is one.
func TestWhatAStrangerGetsForEachByte(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		target := f.talkative(10)
		came := map[netip.AddrPort]int{}
		throw := func(victim netip.AddrPort, b []byte) {
			came[victim] += len(b)
			f.throw(victim, target, b)
		}
		for kind, s := range sayings() {
			for way, many := range []int{1, 1, 400, 400} {
				victim := victimOf(kind, way)
				p := intruder.NewProcess(victim, "default", f.key, uint64(kind))
				h := handshake{intruder.Open{Process: *p, Token: p.Token()},
					intruder.Offer{Token: p.Token(), Public: p.Public}}
				l := intruder.Forged(h.open, h.offer, "ab"[way%2], f.key, make([]byte, 32))
				throw(victim, l.Next(packed(s.message(victim), many)...))
			}
		}
		names := map[netip.AddrPort]string{}
		for k, c := range f.opens() {
			victim := victimOf(100+k, 0)
			names[victim] = c.name
			for _, b := range c.datagrams(victim) {
				throw(victim, b)
			}
		}
		time.Sleep(30 * time.Second) // so that what is repeated counts
		for kind, s := range sayings() {
			for way := range 4 {
				require.Zero(t, f.factorOf(victimOf(kind, way), 1), s.name)
			}
		}
		for victim, name := range names {
			factor := f.factorOf(victim, came[victim])
			t.Logf("| %s | %.2f |", name, factor)
			require.LessOrEqual(t, factor, 1.0, name)
			require.False(t, factor > 0 && strings.HasSuffix(name, "behind it"), "an Open has one size")
		}
	})
}

// packed is a message as often as a datagram of 8,000 bytes holds it, and at most so many times.
func packed(m intruder.Message, many int) (list []intruder.Message) {
	size := 3 + len(m.Body)
	for range max(1, min(many, 8000/size)) {
		list = append(list, m)
	}
	return list
}

// openCase is a way to ask in a victim's name.
type openCase struct {
	name      string
	datagrams func(victim netip.AddrPort) [][]byte
}

// opens are ways to make a node send Offers.
func (f *field) opens() []openCase {
	process := func(v netip.AddrPort, seed uint64) intruder.Open {
		p := intruder.NewProcess(v, "default", f.key, seed)
		return intruder.Open{Key: f.key, Process: *p, Number: seed, Token: p.Token()}
	}
	return []openCase{
		{"an Open", func(v netip.AddrPort) [][]byte { return [][]byte{process(v, 1).Bytes()} }},
		{"100 Opens of one process", func(v netip.AddrPort) (list [][]byte) {
			for n := range uint64(100) {
				o := process(v, 1)
				o.Number = n
				list = append(list, o.Bytes())
			}
			return list
		}},
		{"100 Opens of many", func(v netip.AddrPort) (list [][]byte) {
			for n := range uint64(100) {
				list = append(list, process(v, n).Bytes())
			}
			return list
		}},
		{"an Open without an address", func(v netip.AddrPort) [][]byte {
			o := process(v, 1)
			o.Addr = netip.AddrPortFrom(netip.IPv6Unspecified(), 9)
			return [][]byte{o.Bytes()}
		}},
		{"an Open with more behind it", func(v netip.AddrPort) [][]byte {
			return [][]byte{append(process(v, 1).Bytes(), process(v, 2).Bytes()...)}
		}},
		{"an Offer", func(v netip.AddrPort) [][]byte {
			return [][]byte{intruder.Offer{Key: f.key, Rank: 1, Asker: 5, Token: 6, Addr: v, Observed: v}.Bytes()}
		}},
	}
}

// "what this process has answered once is answered 0", with keys; and by who has no key nothing is.
func TestWhoHasNoKeyGetsNothing(t *testing.T) {
	inField(t, 1, clusterKey(0), func(t *testing.T, f *field) {
		target := f.talkative(5)
		p := intruder.NewProcess(victimOf(1, 1), "default", f.key, 1)
		o := intruder.Open{Key: f.key, Process: *p, Number: 1, Token: p.Token()}
		f.throw(p.Addr, target, o.Bytes())
		time.Sleep(time.Second)
		require.LessOrEqual(t, f.factorOf(p.Addr, intruder.HandshakeSize), 1.0)
		f.tape.Cut()
		for range 1000 {
			f.throw(p.Addr, target, o.Bytes())
			time.Sleep(time.Millisecond)
		}
		f.key = nil
		for k, c := range f.opens() {
			for _, b := range c.datagrams(victimOf(k, 2)) {
				f.throw(victimOf(k, 2), target, b)
			}
		}
		time.Sleep(10 * time.Second)
		require.Zero(t, f.bytesTo(func(a netip.AddrPort) bool { return a.Addr().As4()[1] == 7 }))
	})
}

// An Open is not answered to an address that is nobody's or many's.
func TestOpensThatNameAddressesOfManyAreNotAnswered(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		target := f.talkative(3)
		for k, text := range []string{
			"255.255.255.255:9", "224.0.0.1:9", "[ff02::1]:9", "127.0.0.1:9", "0.0.0.0:9", "10.9.9.9:0",
			"[::ffff:255.255.255.255]:9",
		} {
			p := intruder.NewProcess(netip.MustParseAddrPort(text), "default", f.key, uint64(k))
			f.throw(strangerAt, target, intruder.Open{Key: f.key, Process: *p, Number: 1, Token: p.Token()}.Bytes())
		}
		own := intruder.NewProcess(target.Addr(), "default", f.key, 50)
		f.throw(strangerAt, target, intruder.Open{Key: f.key, Process: *own, Number: 1, Token: own.Token()}.Bytes())
		time.Sleep(5 * time.Second)
		offers := intruder.OfForm(f.tape.All(), intruder.FormOffer)
		for _, d := range offers {
			require.Equal(t, strangerAt, d.To, "0.0.0.0 is who learns its address: it is told at the source")
		}
		require.LessOrEqual(t, len(offers), 1)
	})
}

// From the address of a seed, where nobody is, an attacker gets no more than it sends.
func TestASeedThatIsNobodyIsNoWeapon(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		seed := netip.MustParseAddrPort("10.7.99.99:9")
		f.edit = func(cfg *broach.Config) { cfg.Join = append(cfg.Join, seed.String()) }
		target := f.talkative(5)
		measure := func() int {
			f.tape.Cut()
			time.Sleep(30 * time.Second)
			sum := 0
			for _, d := range f.tape.All() {
				if d.To == seed && d.From == target.Addr() {
					sum += len(d.Bytes)
				}
			}
			return sum
		}
		before, came := measure(), 0
		for kind, s := range sayings() {
			p := intruder.NewProcess(seed, "default", f.key, uint64(kind))
			o := intruder.Open{Key: f.key, Process: *p, Number: 1, Token: p.Token()}
			l := intruder.Forged(o, intruder.Offer{Token: p.Token(), Public: p.Public}, 'a', f.key, make([]byte, 32))
			for _, b := range [][]byte{o.Bytes(), l.Next(packed(s.message(seed), 400)...), l.Next(s.message(seed)),
				intruder.Offer{Key: f.key, Asker: 5, Addr: seed}.Bytes()} {
				came += len(b)
				f.throw(seed, target, b)
			}
		}
		after := measure()
		t.Logf("%d bytes without, %d with %d that came", before, after, came)
		require.LessOrEqual(t, after-before, came)
	})
}

// [AMP-2] A datagram with List on the link of a peer pays for floor(3 x its UDP payload / 116) Opens.
//
// After introducing itself an attacker gets three times what its Lists have, and for nothing else anything.
func TestWhatAMemberGetsForEachByte(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		target := f.talkative(10)
		m := f.member(0, target)
		time.Sleep(6 * time.Second) // whatever it was owed for what it had said
		f.tape.Cut()
		for kind, s := range sayings() {
			if s.name == "Leave" {
				continue
			}
			for way, many := range []int{1, 400} {
				before := m.Sent()
				m.Say(target.Addr(), packed(s.message(victimOf(kind, way)), many)...)
				came := int(m.Sent() - before)
				time.Sleep(6 * time.Second)
				factor := f.factorOf(victimOf(kind, way), came)
				most := 0.0
				if s.name == "List" {
					most = 3
				}
				require.LessOrEqual(t, factor, most, "%s, %d times", s.name, many)
				if factor > 0 {
					t.Logf("| %s | %.2f |", s.name, factor)
				}
			}
		}
	})
}

// [LNK-11] beyond 1 MiB unanswered nothing but Probes, Pings, Beats and Opens goes there: the address may be another's
// by now.
//
// Who has proven an address, gives it up and goes on from elsewhere, gets no more bytes there for long: what it asks
// for is not sent blindly.
func TestAnAddressThatWasGivenUp(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		target := f.talkative(10)
		require.NoError(t, target.Register("huge", func() []byte { return make([]byte, 1<<20) }))
		m := f.member(0, target)
		time.Sleep(time.Second)
		m.Close()
		f.tape.Cut()
		came, last, pause := 0, time.Now(), 10*time.Millisecond
		if race.Enabled {
			pause *= 3
		}
		until := func(d time.Duration) (sent int) {
			for i := uint32(0); time.Since(last) < d; i++ {
				var b []byte
				m.Write(target.Addr(), func(l *intruder.Link) []byte { // its socket is closed: this goes nowhere
					b = l.Next(intruder.Join(uint64(i)), intruder.Request(uint16(i%64), i/64+1, 0, "huge", noArgs),
						intruder.FragmentAck(i/8, i*16, i*16+1024),
						intruder.Beat(i+2, 60_000, 1, 0, i))
					return b
				})
				came += len(b)
				f.throw(netip.MustParseAddrPort("10.7.1.1:1"), target, b)
				time.Sleep(pause)
			}
			return f.bytesTo(func(a netip.AddrPort) bool { return a == m.Addr })
		}
		first := until(40 * time.Second)
		cameFirst := came
		then := until(60*time.Second) - first
		t.Logf("in 40 s %d bytes for %d, in 20 s more %d for %d", first, cameFirst, then, came-cameFirst)
		require.LessOrEqual(t, first, 5<<18, "1 MiB, and what was under way")
		require.LessOrEqual(t, then, came-cameFirst)
	})
}
