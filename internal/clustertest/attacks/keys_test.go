package attacks

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"broach"
	"broach/internal/intruder"

	"github.com/stretchr/testify/require"
)

// lowOrder are the points of X25519 with which every private key gives zeros.
func lowOrder(t *testing.T) (list [][32]byte) {
	for _, text := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		b, err := hex.DecodeString(text)
		require.NoError(t, err)
		for _, top := range []byte{0, 0x80} { // X25519 does not look at the highest bit
			point := [32]byte(b)
			point[31] |= top
			list = append(list, point)
		}
	}
	return list
}

// ask opens to a node as a process, and returns the handshake if it was answered. Who answers is heard by tap.
func (f *field) ask(n *broach.Node, open intruder.Open) (handshake, bool) {
	f.throw(open.Addr, n, open.Bytes())
	time.Sleep(20 * time.Millisecond)
	for _, d := range intruder.OfForm(f.tape.All(), intruder.FormOffer) {
		if o, ok := intruder.ParseOffer(d.Bytes); ok && o.Asker == open.Token && d.To == open.Addr {
			return handshake{open, o}, true
		}
	}
	return handshake{}, false
}

// [SEC-1] An output of zeros drops the Offer or Confirm.
func TestPublicKeysOfLowOrderMakeNoLink(t *testing.T) {
	inField(t, 1, clusterKey(0), func(t *testing.T, f *field) {
		provider, caller := f.pair()
		done := provider.Stats().Done
		for k, point := range lowOrder(t) {
			p := intruder.NewProcess(badAddr(k), "default", f.key, uint64(k))
			p.Public = point
			h, ok := f.ask(provider, intruder.Open{Key: f.key, Process: *p, Number: 1, Token: p.Token()})
			if !ok {
				continue // as good
			}
			l := intruder.Forged(h.open, h.offer, 'a', f.key, make([]byte, 32))
			f.throw(p.Addr, provider, l.Next(intruder.Request(0, 1, 5000, "count", noArgs)))
			time.Sleep(300 * time.Millisecond)
		}
		require.Equal(t, done, provider.Stats().Done)
		require.Len(t, provider.Members(), 2)
		f.call(caller, provider)
	})
}

// [SEAL-1] A process that has keys MUST drop a datagram whose key id is 0 or none of theirs [...]; one without keys
// MUST drop a datagram with a key id.
func TestKeysAreNotTalkedAway(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		provider, caller := f.pair()
		other := clusterKey(100)
		for k, wrong := range []struct {
			key []byte
			id  byte
		}{
			{nil, 0}, {other, 0}, {f.key, 77}, {other, intruder.KeyID(clusterKey(0))},
			{nil, intruder.KeyID(clusterKey(0))},
		} {
			if f.key == nil && wrong.key == nil && wrong.id == 0 {
				continue // that is right here
			}
			p := intruder.NewProcess(badAddr(k), "default", wrong.key, uint64(k))
			_, answered := f.ask(provider, intruder.Open{Key: wrong.key, KeyID: wrong.id, Process: *p, Number: 1,
				Token: p.Token()})
			require.False(t, answered, "case %d", k)
		}
		f.confirmsOfOtherKeys(provider)
		f.call(caller, provider)
	})
}

// confirmsOfOtherKeys answers honest Offers with Confirms that are not sealed, or sealed with a key that the node does
// not have.
func (f *field) confirmsOfOtherKeys(n *broach.Node) {
	done := n.Stats().Done
	for k, key := range [][]byte{nil, clusterKey(100)} {
		if f.key == nil && key == nil {
			continue
		}
		p := intruder.NewProcess(badAddr(20+k), "default", clusterKey(0), uint64(k))
		h, ok := f.ask(n, intruder.Open{Key: f.key, Process: *p, Number: 1, Token: p.Token()})
		require.True(f.t, ok)
		l := intruder.Forged(h.open, h.offer, 'a', key, p.Agree(h.offer.Public))
		f.throw(p.Addr, n, l.Next(intruder.Request(0, 1, 5000, "count", noArgs)))
	}
	time.Sleep(time.Second)
	require.Equal(f.t, done, n.Stats().Done)
	require.Len(f.t, n.Members(), 2)
}

// [SEAL-4] All keys open, so that keys can be changed without a cut: an Open by one and a Confirm by another make one
// link. When the first is taken away, it is heard no more.
func TestOpenByOneKeyAndConfirmByAnother(t *testing.T) {
	inField(t, 1, clusterKey(0), func(t *testing.T, f *field) {
		second := clusterKey(50)
		f.edit = func(cfg *broach.Config) { cfg.Keys = [][]byte{f.key, second} }
		provider, caller := f.pair()
		p := intruder.NewProcess(badAddr(0), "default", f.key, 1)
		h, ok := f.ask(provider, intruder.Open{Key: f.key, Process: *p, Number: 1, Token: p.Token()})
		require.True(t, ok)
		shared, before := p.Agree(h.offer.Public), f.ran.Load()
		byFirst, bySecond := intruder.Forged(h.open, h.offer, 'a', f.key, shared),
			intruder.Forged(h.open, h.offer, 'a', second, shared)
		f.throw(p.Addr, provider, bySecond.At(1, intruder.Request(0, 1, 5000, "count", noArgs)))
		f.throw(p.Addr, provider, byFirst.At(2, intruder.Request(1, 1, 5000, "count", noArgs)))
		f.throw(p.Addr, provider, byFirst.At(1, intruder.Request(2, 1, 5000, "count", noArgs))) // the number was used
		time.Sleep(time.Second)
		require.Equal(t, before+2, f.ran.Load(), "one link, sealed with either")
		for _, n := range f.nodes {
			require.NoError(t, n.SetKeys([][]byte{second}))
		}
		f.throw(p.Addr, provider, byFirst.At(3, intruder.Request(3, 1, 5000, "count", noArgs)))
		time.Sleep(time.Second)
		require.Equal(t, before+2, f.ran.Load())
		f.call(caller, provider)
	})
}

// "Member that hears everything and holds the cluster key: decrypts nothing, forges no message, on links old and new."
func TestAMemberThatHearsALinkCannotReadIt(t *testing.T) {
	inField(t, 1, clusterKey(0), func(t *testing.T, f *field) {
		provider, caller := f.pair()
		m := f.member(0, provider)
		time.Sleep(time.Second)
		for round := range 2 {
			if round == 1 { // a new link of other processes, heard from its birth
				f.kill(0)
				f.drop(0)
				provider = f.start(0, 1)
				f.until(10*time.Second, "they meet again", f.allMet)
			}
			f.call(caller, provider)
			before := []int64{f.ran.Load(), int64(provider.Stats().Done)}
			for _, h := range f.links(caller.Addr(), provider.Addr()) {
				f.decipher(m, h)
			}
			time.Sleep(time.Second)
			require.Equal(t, before, []int64{f.ran.Load(), int64(provider.Stats().Done)})
			require.True(t, f.allMet())
		}
	})
}

// decipher tries every secret that a member can have on a link of others.
func (f *field) decipher(m *intruder.Intruder, h handshake) {
	list := intruder.Between(f.tape.All(), h.open.Addr, h.offer.Addr)
	messages := mischief(f.nodes[0])
	for _, shared := range [][]byte{
		make([]byte, 32), m.Agree(h.open.Public), m.Agree(h.offer.Public), h.open.Public[:], h.offer.Public[:], f.key,
		{},
	} {
		for _, side := range []byte{'a', 'b'} {
			l := intruder.Forged(h.open, h.offer, side, f.key, shared)
			for _, d := range list {
				_, ok := l.Read(d.Bytes)
				require.False(f.t, ok)
			}
			to, from := h.offer.Addr, h.open.Addr
			if side == 'b' {
				to, from = from, to
			}
			f.net.Inject(from, to, l.At(f.highest(l.Theirs)+1, messages...))
			f.net.Inject(strangerAt, to, l.At(f.highest(l.Theirs)+2, messages...))
		}
	}
}

// Offers go in clear: who hears one throws Confirms for it, with another's name and a false tag, before the true one
// can come. Honest calls go on, and the true one is taken when it comes.
func TestFalseConfirmsForAnOverheardOffer(t *testing.T) {
	inField(t, 1, clusterKey(0), func(t *testing.T, f *field) {
		provider, caller := f.pair()
		calls := f.callOn(caller, provider)
		f.net.Tap(func(now time.Time, from, to netip.AddrPort, b []byte) {
			f.tape.Record(now, from, to, b)
			if offer, ok := intruder.ParseOffer(b); ok {
				open := f.openOf(offer.Asker)
				l := intruder.Forged(open, offer, 'a', f.key, make([]byte, 32))
				for n := range uint64(2000) {
					f.net.Inject(to, from, l.At(n+1, intruder.Request(0, 1, 5000, "count", noArgs)))
				}
			}
		})
		late := f.start(2, 0)
		f.until(5*time.Second, "who is forged joins nevertheless", f.allMet)
		calls.stop(t)
		f.net.Tap(f.tape.Record)
		time.Sleep(time.Second)
		f.call(late, provider)
		f.call(caller, late)
	})
}

// openOf is the recorded Open with a token.
func (f *field) openOf(token uint64) intruder.Open {
	for _, d := range f.tape.All() {
		if o, ok := intruder.ParseOpen(d.Bytes); ok && o.Token == token {
			return o
		}
	}
	return intruder.Open{}
}

// [LNK-8] A closes it when the new one is confirmed: a member that hears an Open and answers sooner than its addressee,
// with the addressee's public key and a held of 0, has not shown that it is the addressee: calls in flight on the link
// that stands are not given up.
func TestAFalseOfferEndsNoLink(t *testing.T) {
	inField(t, 1, clusterKey(0), func(t *testing.T, f *field) {
		provider, caller := f.pair()
		require.NoError(t,
			provider.Register("slow", func(ctx context.Context) int { return after(ctx, 8*time.Second, 7) }))
		f.until(time.Second, "it is known", func() bool {
			return slices.ContainsFunc(caller.Services(), func(s broach.Service) bool { return s.Name == "slow" })
		})
		public := f.publicOf(provider.Addr())
		var answered atomic.Int64
		f.net.Tap(func(now time.Time, from, to netip.AddrPort, b []byte) {
			f.tape.Record(now, from, to, b)
			if o, ok := intruder.ParseOpen(b); ok && from == caller.Addr() && to == provider.Addr() {
				answered.Add(1)
				f.net.Inject(to, from, intruder.Offer{Key: f.key, Rank: o.Rank + 1, Asker: o.Token,
					Token:  uint64(answered.Load()),
					Public: public, Addr: to, Observed: from}.Bytes())
			}
		})
		slow := broach.Go[int](context.Background(),
			caller.Caller("slow", broach.Timeout(20*time.Second), broach.NoRetry()))
		time.Sleep(100 * time.Millisecond)
		// Pongs are lost for a moment: the caller doubts.
		f.gates[0].guard(func(_ netip.AddrPort, b []byte) bool { return intruder.Form(b) == intruder.FormOffer })
		f.until(10*time.Second, "it doubts", func() bool { return answered.Load() > 0 })
		f.gates[0].guard(nil)
		v, err := slow.Wait()
		require.NoError(t, err)
		require.Equal(t, 7, v)
		f.net.Tap(f.tape.Record)
		f.until(10*time.Second, "all is well", f.allMet)
		f.call(caller, provider)
	})
}

// publicOf is the public key of the process that last made itself known at an address.
func (f *field) publicOf(addr netip.AddrPort) (public [32]byte) { return publicIn(f.tape.All(), addr) }

// publicIn is the same, of a tape.
func publicIn(tape []intruder.Datagram, addr netip.AddrPort) (public [32]byte) {
	for _, d := range tape {
		if o, ok := intruder.ParseOpen(d.Bytes); ok && o.Addr == addr {
			public = o.Public
		}
		if o, ok := intruder.ParseOffer(d.Bytes); ok && o.Addr == addr {
			public = o.Public
		}
	}
	return public
}

// A member on the path raises the rank in each Open as far as it goes. When it is gone the two can make a link, and
// make it anew.
func TestRanksOfOthersAreNotSpent(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		f.edit = func(cfg *broach.Config) { cfg.Heartbeat.Forget = 2 * time.Second }
		f.start(0)
		caller := f.start(1, 0)
		raise := func(to netip.AddrPort, b []byte) bool {
			o, ok := intruder.ParseOpen(b)
			if ok {
				o.Key, o.KeyID, o.Rank = f.key, 0, 1<<31-2
				f.net.Inject(caller.Addr(), to, o.Bytes())
			}
			return !ok
		}
		f.gates[0].guard(raise)
		f.gates[1].guard(raise)
		time.Sleep(3 * time.Second)
		f.gates[0].guard(nil)
		f.gates[1].guard(nil)
		f.until(10*time.Second, "they meet", f.allMet)
		f.call(caller, f.nodes[0])
		f.net.Cut([]netip.AddrPort{nodeAddr(0)}, []netip.AddrPort{nodeAddr(1)})
		time.Sleep(10 * time.Second)
		f.net.Heal()
		f.until(20*time.Second, "they meet again", f.allMet)
		f.call(caller, f.nodes[0])
	})
}

// "Another's public key claimed at an own address, before and after that one is known": with keys it is no link;
// without, it is a link of the claimant, at its address, which takes nothing from the other.
func TestAPublicKeyIsNoName(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		provider := f.start(0)
		f.net.Cut([]netip.AddrPort{nodeAddr(0)}, []netip.AddrPort{nodeAddr(1)})
		caller := f.start(1, 0) // asks, and is heard on its way, but not by the provider
		f.until(5*time.Second, "it asks",
			func() bool { return len(intruder.OfForm(f.tape.All(), intruder.FormOpen)) > 0 })
		f.claim(provider, 0, f.publicOf(caller.Addr()))
		f.net.Heal()
		f.until(10*time.Second, "they meet", f.allMet)
		f.call(caller, provider)
		f.claim(provider, 1, f.publicOf(caller.Addr()))
		f.claim(caller, 2, f.publicOf(provider.Addr()))
		f.claim(provider, 3, f.publicOf(provider.Addr()))
		time.Sleep(10 * time.Second)
		require.True(t, f.allMet())
		f.call(caller, provider)
	})
}

// claim tries to be a process with another's public key, to a node which has a function that looks at who calls.
func (f *field) claim(n *broach.Node, k int, public [32]byte) {
	callers := make(chan netip.AddrPort, 9)
	require.NoError(f.t, n.Register("who", func(ctx context.Context) {
		call, _ := broach.InvocationFrom(ctx)
		callers <- call.From
	}))
	defer n.Unregister("who")
	p := intruder.NewProcess(badAddr(k), "default", f.key, uint64(k))
	p.Public = public
	if h, ok := f.ask(n, intruder.Open{Key: f.key, Process: *p, Number: 1, Token: p.Token()}); ok {
		l := intruder.Forged(h.open, h.offer, 'a', f.key, p.Agree(h.offer.Public))
		f.throw(p.Addr, n, l.Next(intruder.Request(0, 1, 5000, "who", noArgs)))
	}
	time.Sleep(time.Second)
	for len(callers) > 0 {
		require.Nil(f.t, f.key)
		require.Equal(f.t, p.Addr, <-callers, "a caller is where it was asked")
	}
}

// tokenIn is the token of a datagram of a link.
func tokenIn(b []byte) uint64 { return binary.BigEndian.Uint64(b[8:]) }
