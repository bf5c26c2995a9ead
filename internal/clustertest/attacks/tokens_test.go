package attacks

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"broach"
	"broach/internal/intruder"

	"github.com/stretchr/testify/require"
)

// noArgs are the arguments of count.
var noArgs = []byte{0x90}

// mischief is what would do harm if it were taken: a call, results of calls, a farewell, an introduction, a word about
// another.
func mischief(other *broach.Node) []intruder.Message {
	list := []intruder.Message{
		intruder.Request(0, 1000, 5000, "count", noArgs), intruder.Send(1, 1000, 5000, "count", noArgs),
		intruder.Of(intruder.KindLeave), intruder.Of(intruder.KindDrain, 0), intruder.Ping(1),
		intruder.Beat(1<<30, 60_000, 99, 0, 1<<30),
		intruder.Announce(intruder.Hello{Inc: 99, Addr: other.Addr(), Name: "x", Table: intruder.Table()}),
		intruder.Ack(99, 60_000),
	}
	for seq := range uint32(20) {
		list = append(list, intruder.Reply(0, seq, 0, 2, []byte{1, 6, 0xcd, 3, 0xe7}),
			intruder.OfSlot(intruder.KindProgress, 0, seq))
	}
	return list
}

// record is what a node shows of a peer that would change if anything were taken from somebody else.
type record struct {
	done, retransmits, replayed uint64
	since                       time.Time
	loss                        float64
}

func recordOf(n *broach.Node) record {
	s := n.Stats()
	p := s.Peers[0]
	return record{s.Done, p.Retransmits, s.Replayed, time.Now().Add(-p.Since).Truncate(time.Millisecond), p.Loss}
}

// guesses are tokens that are near to a true one, or that somebody might choose who knows all else.
func guesses(token uint64, h handshake, random *rand.Rand) []uint64 {
	list := []uint64{
		0, 1, math.MaxUint64, token + 1, token - 1, ^token, intruder.BootID(h.open.Public),
		intruder.BootID(h.offer.Public),
		h.open.Number,
	}
	for bit := range 64 {
		list = append(list, token^1<<bit)
	}
	for range 100 {
		list = append(list, random.Uint64())
	}
	return list
}

// "off the path, knows all boot ids, spoofs any source: nothing it sends is accepted on a link, ends one, or moves a
// window, with keys and without"; with keys it has the cluster's, as a member turned bad does.
func TestWhoHearsNothingSaysNothingOnALink(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		provider, caller := f.pair()
		before := []record{recordOf(provider), recordOf(caller)}
		random := rand.New(rand.NewPCG(1, 1))
		for _, h := range f.links(caller.Addr(), provider.Addr()) {
			for _, side := range []byte{'a', 'b'} {
				f.guess(h, side, random)
			}
		}
		time.Sleep(2 * time.Second)
		require.Equal(t, before, []record{recordOf(provider), recordOf(caller)})
		f.call(caller, provider)
	})
}

// guess throws mischief in the name of one side of a link, with any token but the true one, numbers from everywhere,
// from any source.
func (f *field) guess(h handshake, side byte, random *rand.Rand) {
	victim, author := h.offer.Addr, h.open.Addr
	if side == 'b' {
		victim, author = author, victim
	}
	messages := mischief(f.nodes[0])
	true64 := intruder.Forged(h.open, h.offer, side, nil, nil).Theirs
	for k, token := range guesses(true64, h, random) {
		open, offer := h.open, h.offer
		open.Token, offer.Token = token, token
		l := intruder.Forged(open, offer, side, f.key, make([]byte, 32))
		for _, number := range []uint64{1, f.highest(true64) + 1, 1 << 40, math.MaxUint64} {
			source := []netip.AddrPort{author, victim, strangerAt}[k%3]
			f.net.Inject(source, victim, l.At(number, messages...))
			f.net.Inject(source, victim, l.Seal(intruder.Confirm{Table: 1, Token: token, Number: number, Asker: token,
				Public: open.Public, Addr: open.Addr,
				Rank: offer.Rank, Stamp: offer.Stamp}.Bytes(), messages...))
		}
		time.Sleep(time.Millisecond)
	}
}

// Who opens in another's name gets no Offer to see: what it does get, for itself, makes no link for the other.
func TestAnOfferForOneMakesNoLinkForAnother(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		provider, caller := f.pair()
		h := f.links(caller.Addr(), provider.Addr())[0]
		p := intruder.NewProcess(badAddr(0), "default", f.key, 5)
		got, ok := f.ask(provider, intruder.Open{Key: f.key, Process: *p, Number: 1, Token: p.Token()})
		require.True(t, ok)
		before := []record{recordOf(provider), recordOf(caller)}
		for _, changed := range []intruder.Process{
			{Addr: caller.Addr(), Public: h.open.Public}, {Addr: caller.Addr(), Public: p.Public},
			{Addr: provider.Addr(), Public: h.offer.Public}, {Addr: strangerAt, Public: p.Public},
		} {
			o := got.open
			o.Addr, o.Public = changed.Addr, changed.Public
			l := intruder.Forged(o, got.offer, 'a', f.key, p.Agree(got.offer.Public))
			f.throw(p.Addr, provider, l.Next(mischief(caller)...))
			f.throw(changed.Addr, provider, l.Next(mischief(caller)...))
		}
		time.Sleep(2 * time.Second)
		require.Equal(t, before, []record{recordOf(provider), recordOf(caller)})
		require.Len(t, provider.Members(), 2)
		f.call(caller, provider)
	})
}

// [LNK-2] An Offer counts for who asked, by the token of its Open: none that is thrown at a node which is asking makes
// it believe in its sender.
func TestGuessedOffersMakeNoLink(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		f.pair()
		random := rand.New(rand.NewPCG(2, 2))
		p := intruder.NewProcess(nodeAddr(0), "default", f.key, 5)
		f.net.CutOneWay([]netip.AddrPort{nodeAddr(0)}, []netip.AddrPort{nodeAddr(2)}) // so that it goes on asking
		late := f.start(2, 0)
		for k := range 2000 {
			o := intruder.Offer{Key: f.key, Rank: 1, Asker: random.Uint64(), Token: random.Uint64(), Public: p.Public,
				Addr:     p.Addr,
				Observed: late.Addr()}
			if k%2 == 0 {
				o.Asker = uint64(k)
			}
			f.throw(p.Addr, late, o.Bytes())
			time.Sleep(time.Millisecond)
		}
		require.Empty(t, f.handshakes(late.Addr(), p.Addr))
		require.Len(t, late.Members(), 1)
		f.net.Heal()
		f.until(10*time.Second, "it joins", f.allMet)
		f.call(late, f.nodes[0])
	})
}

// [LNK-13] A number more than 2^24 above the highest accepted on the link MUST be dropped. So is 0, and what came
// before,
// [HDR-5]. None of these moves it, and junk with a true token moves nothing at all.
func TestNumbersFromTheFutureAreDropped(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		provider, caller := f.pair()
		pongs := map[uint64]int{}
		m := f.member(0, provider, func(i *intruder.Intruder) {
			i.Hear = func(_ *intruder.Link, m intruder.Message) ([]intruder.Message, bool) {
				if m.Kind == intruder.KindPong {
					pongs[uint64(m.Body[7])]++
				}
				return nil, false
			}
		})
		at := func(nonce uint64, number func(last uint64) uint64) {
			m.Write(provider.Addr(), func(l *intruder.Link) []byte {
				return l.At(number(l.Number),
					intruder.Ping(nonce))
			})
			time.Sleep(10 * time.Millisecond)
		}
		at(1, func(uint64) uint64 { return 0 })
		at(2, func(uint64) uint64 { return math.MaxUint64 })
		at(3, func(last uint64) uint64 { return last + 1<<24 + 1 })
		at(4, func(last uint64) uint64 { return last + 1<<40 })
		at(5, func(last uint64) uint64 { return last })
		for e := range uint64(1000) { // of keys that were never made
			if f.key == nil {
				break // who has the token then, has the link
			}
			m.Write(provider.Addr(), func(l *intruder.Link) []byte {
				b := l.At(e<<22, intruder.Ping(6))
				return b[:len(b)-1] // the tag, or without keys the message, is wrong
			})
		}
		time.Sleep(time.Second)
		m.Say(provider.Addr(), intruder.Ping(7))
		time.Sleep(100 * time.Millisecond)
		m.Write(provider.Addr(), func(l *intruder.Link) []byte {
			l.Number += 1 << 23
			return l.At(l.Number, intruder.Ping(8))
		})
		time.Sleep(100 * time.Millisecond)
		f.call(caller, provider)
		m.Close()
		want := map[uint64]int{7: 1, 8: 1}
		require.Equal(t, want, pongs)
	})
}

// A token that is known for one thing is good for nothing else: that of who asks in a datagram of a link, that of a
// link in an Offer, any in forms that do not exist. What a node asks is heard by somebody who throws all this at it
// before the answer comes.
func TestTokensAreGoodForOneForm(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		h := handshake{}
		h.open.Process = *intruder.NewProcess(badAddr(0), "default", f.key, 9)
		h.offer.Public = h.open.Public
		f.net.Tap(func(now time.Time, from, to netip.AddrPort, b []byte) {
			f.tape.Record(now, from, to, b)
			if o, ok := intruder.ParseOpen(b); ok {
				f.misuse(h, from, to, o.Token)
			}
			if o, ok := intruder.ParseOffer(b); ok {
				f.misuse(h, to, from, o.Asker)
				f.net.Inject(from, to, b) // a network may double it
			}
			if c, ok := intruder.ParseConfirm(b); ok {
				f.misuse(h, from, to, c.Asker)
				f.misuse(h, to, from, c.Token)
			}
		})
		provider, caller := f.pair()
		f.net.Tap(f.tape.Record)
		f.call(caller, provider)
		require.Len(t, provider.Members(), 2)
		require.Len(t, caller.Members(), 2)
	})
}

// misuse throws datagrams of all forms with a token at its owner; none of them is what the token is for.
func (f *field) misuse(h handshake, victim, source netip.AddrPort, token uint64) {
	for form := range 256 {
		h.open.Token, h.offer.Token = token, token
		b := intruder.Forged(h.open, h.offer, 'b', f.key, make([]byte, 32)).At(1)
		if f.key == nil && (form == int(intruder.FormLink) || form == int(intruder.FormConfirm)) {
			continue // who hears a token and there are no keys, is who it likes
		}
		b[3] = byte(form)
		f.net.Inject(source, victim, b)
		f.net.Inject(source, victim, append(b, make([]byte, intruder.HandshakeSize)...))
	}
}

// Messages that a stranger sends in the forms of a link are for nobody: no kind of message exists outside of links.
func TestNothingIsSaidOutsideOfLinks(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		provider, caller := f.pair()
		done := provider.Stats().Done
		p := intruder.NewProcess(strangerAt, "default", f.key, 3)
		sent := f.net.Stats().Unheard
		for kind := range 256 {
			for _, size := range []int{0, 1, 8, 40, 900} {
				m := intruder.Message{Kind: byte(kind), Body: make([]byte, size)}
				o := intruder.Open{Key: f.key, Process: *p, Token: p.Token()}
				l := intruder.Forged(o, intruder.Offer{Token: p.Token()}, 'a', f.key, make([]byte, 32))
				f.throw(strangerAt, provider, l.Next(m))
				l = intruder.Forged(o, intruder.Offer{Token: p.Token()}, 'b', f.key, make([]byte, 32))
				f.throw(caller.Addr(), provider, l.Next(m, m))
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		require.Equal(t, done, provider.Stats().Done)
		require.Equal(t, sent, f.net.Stats().Unheard, "nobody answers the stranger")
		require.Len(t, provider.Members(), 2, fmt.Sprint(provider.Members()))
		f.call(caller, provider)
	})
}
