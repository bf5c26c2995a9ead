package broach

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/asker"
	"broach/internal/codec"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// linksAt are the tokens of the links that a side has with who is at an address.
func (s *linkSide) linksAt(a *asker.Asker) (tokens []uint64) {
	for _, l := range s.linking.tokens.At(a.Addr) {
		tokens = append(tokens, l.Token)
	}
	return tokens
}

// tokensOf are the tokens of links as their askers see them.
func tokensOf(links ...*asker.Link) (tokens []uint64) {
	for _, l := range links {
		tokens = append(tokens, l.Token)
	}
	return tokens
}

// arriveWith gives the Confirms of links to a side and lets its loop turn.
func (s *linkSide) arriveWith(links ...*asker.Link) {
	for _, l := range links {
		s.hearFrom(l.Addr, l.Confirm(nil))
		s.turn()
		time.Sleep(250 * time.Millisecond) // between two links at one address, [LNK-14]
	}
}

// [LNK-7] Two links stand at an address. When a third is confirmed [...] the lowest other goes [...]. A Confirm beside
// two [...] is dropped, unless one of them that has no calls is lower
func TestOfThreeLinksTheLowestGoes(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := s.asker(t, 3, keys)
		low, middle, high := s.askThrice(t, a)
		s.arriveWith(low, middle)
		require.ElementsMatch(t, tokensOf(low, middle), s.linksAt(a))
		s.arriveWith(high)
		require.ElementsMatch(t, tokensOf(middle, high), s.linksAt(a))
	})
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := s.asker(t, 3, keys)
		low, middle, high := s.askThrice(t, a)
		s.arriveWith(middle, high)
		before := s.Stats().Unanswered
		s.arriveWith(low)
		require.ElementsMatch(t, tokensOf(middle, high), s.linksAt(a))
		require.EqualValues(t, 1, s.Stats().Unanswered-before)
	})
}

// [LNK-7] the lowest other goes, but none with calls: in flight, own or served, or answered within 5 s, and heard
// within 5 s
func TestOfThreeLinksNoneGoesThatHasCalls(t *testing.T) {
	busy := func(t *testing.T, s *linkSide, l *asker.Link) {
		s.link = s.linking.tokens.Link(l.Token)
		s.call(t, time.Minute, "f")
		s.hear(l.Say())
	}
	answers := func(t *testing.T, s *linkSide, l *asker.Link) {
		s.hear(l.Say(callOfF(0, 1)))
		time.Sleep(time.Second)
		s.hear(l.Say())
		require.Zero(t, s.Stats().Running)
	}
	for _, test := range []struct {
		name      string
		low, high func(*testing.T, *linkSide, *asker.Link) // of the two that there are, what goes on on which
		silent    time.Duration
		left      func(low, middle, high *asker.Link) []uint64
	}{
		{"the lower", busy, nil, 0, func(low, _, high *asker.Link) []uint64 { return tokensOf(low, high) }},
		{"the higher", nil, busy, 0, func(_, middle, high *asker.Link) []uint64 { return tokensOf(middle, high) }},
		{"both", busy, busy, 0, func(low, middle, high *asker.Link) []uint64 { return tokensOf(low, middle, high) }},
		{"both, not heard", busy, busy, 5 * time.Second,
			func(_, _, high *asker.Link) []uint64 { return tokensOf(high) }},
		{"the lower has answered one", answers, nil, 0,
			func(low, _, high *asker.Link) []uint64 { return tokensOf(low, high) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
				a := s.asker(t, 3, keys)
				s.offer(t, "f", func() {})
				low, middle, high := s.askThrice(t, a)
				s.arriveWith(low, middle)
				if test.low != nil {
					test.low(t, s, low)
				}
				if test.high != nil {
					test.high(t, s, middle)
				}
				if test.silent > 0 {
					time.Sleep(test.silent)
					high = a.Take(s.askAnew(t, a))
				}
				s.arriveWith(high)
				if test.silent > 0 { // the loop did not run, and looks again at the calls of who was silent, [CALL-11]
					require.ElementsMatch(t, tokensOf(middle, high), s.linksAt(a))
					time.Sleep(test.silent)
					s.turn()
				}
				require.ElementsMatch(t, test.left(low, middle, high), s.linksAt(a))
			})
		})
	}
}

// [LNK-7] A Confirm beside two [...] is dropped, unless [...] it is the highest: who began it may hold none of them.
func TestAConfirmBesideTwoLinksWithCallsMakesTheHighestOrNone(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := s.asker(t, 3, keys)
		low, middle, high := s.askThrice(t, a)
		for _, l := range []*asker.Link{low, high} {
			s.arriveWith(l)
			s.link = s.linking.tokens.Link(l.Token)
			s.call(t, time.Minute, "f")
			s.hear(l.Say())
		}
		s.arriveWith(middle)
		require.ElementsMatch(t, tokensOf(low, high), s.linksAt(a))
		top := a.Take(s.askAnew(t, a))
		s.arriveWith(top)
		require.ElementsMatch(t, tokensOf(low, high, top), s.linksAt(a))
	})
}

// [LNK-6] What is new goes on the preferred link
//
// Also what is sent by a route that still leads to one which went for it, [LNK-7].
func TestALinkThatGoesForAnotherLeadsToIt(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		a := s.asker(t, 3, keys)
		low, middle, high := s.askThrice(t, a)
		s.arriveWith(low, middle)
		before := s.linking.tokens.Link(middle.Token)
		s.link = s.linking.tokens.Link(low.Token)
		s.call(t, time.Minute, "f")
		s.hear(low.Say())
		s.arriveWith(high)
		require.Nil(t, s.linking.tokens.Link(middle.Token))
		require.Same(t, &s.linking.tokens.Link(high.Token).Link, before.Best())
	})
}

// [LNK-10] Another public key at the address of a peer, proven by LNK-3 or LNK-5, replaces the process there in one
// step: all links of the old one are closed, confirmed or not, calls fail, Unreachable, executed maybe
func TestAnotherProcessReplacesTheOneAtAnAddress(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, keys [][]byte) {
		old, young := s.asker(t, 3, keys), s.asker(t, 4, keys)
		young.Addr = old.Addr
		low, middle, _ := s.askThrice(t, old)
		s.arriveWith(low, middle)
		s.link = s.linking.tokens.Link(low.Token)
		call := s.call(t, time.Minute, "f")
		next := young.Take(s.askAnew(t, young))
		s.arriveWith(next)
		require.Equal(t, tokensOf(next), s.linksAt(young))
		call.require(t, Unreachable, Maybe)
		s.hear(next.Say(wire.Announce{Hello: wire.Hello{Inc: 1, Addr: young.Addr}}.Append(nil)))
		s.turn()
		s.publish(time.Now())
		require.Len(t, s.calling.view.Load().peers, 1)
		require.Equal(t, young.Process.Boot, s.calling.view.Load().peers[0].Boot)
	})
}

// asker is the i-th process that asks the side for links.
func (s *linkSide) asker(t testing.TB, i int, keys [][]byte) *asker.Asker {
	return asker.New(t, asker.Node{Cluster: s.linking.wires.Cluster, Addr: s.script.addr}, addrOf(i), uint64(i), keys)
}

// ask gives the side an Open and returns the Offer.
func (s *linkSide) ask(t testing.TB, a *asker.Asker) wire.Offer {
	t.Helper()
	s.hearFrom(a.Addr, a.Open(nil))
	out := s.script.takeAddressed()
	require.Len(t, out, 1)
	require.Equal(t, a.Addr, out[0].Addr)
	return a.Read(t, out[0].B)
}

// askAnew is ask for a side that has more to say than the Offer.
func (s *linkSide) askAnew(t testing.TB, a *asker.Asker) wire.Offer {
	s.script.take()
	return s.ask(t, a)
}

// askAnyway is the Offer that an Open would get if there were no bound on those.
func (s *linkSide) askAnyway(a *asker.Asker) wire.Offer {
	m, err := wire.ConsumeOpen(a.Open(nil))
	if err != nil {
		panic(err)
	}
	w := &s.linking.wires
	return w.Process.Answer(time.Now(), m, s.script.addr, a.Addr, s.linking.tokens.Held(m.Key, m.Addr))
}

// askThrice gets three Offers of rank 1, the latest of which makes the highest link.
func (s *linkSide) askThrice(t testing.TB, a *asker.Asker) (low, middle, high *asker.Link) {
	var links [3]*asker.Link
	for i := range links {
		links[i] = a.Take(s.ask(t, a))
		time.Sleep(10 * time.Millisecond)
	}
	return links[0], links[1], links[2]
}

// made counts the links that the reader has told of since it was last asked.
func (s *linkSide) made() (links int) {
	for {
		select {
		case a := <-s.loop.arrivals:
			if a.made != nil {
				links++
			}
		default:
			return links
		}
	}
}

// turn does what the loop does when it wakes.
func (s *linkSide) turn() {
	s.drain(time.Now())
	s.Node.step(time.Now())
	synctest.Wait()
}

// onSide runs a test on a node that does not run, once without keys and once with. It has been there for some seconds.
func onSide(t *testing.T, test func(t *testing.T, s *linkSide, keys [][]byte)) {
	for name, keys := range map[string][][]byte{"without keys": nil, "with keys": {keyOf(1)}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := side(t, 2, Config{Keys: keys})
				defer s.serving.pool.Close(time.Hour)
				s.background.SetLimit(0) // a pull of a table would be a call on a link
				time.Sleep(20 * time.Second)
				test(t, s, keys)
			})
		})
	}
}

// Also who gives a call up has his argument back only when nothing of it is being sent.
func TestACallThatIsGivenUpWaitsForWhatIsSentOfItsArgument(t *testing.T) {
	onLinkPair(t, Config{MaxPacket: 8972}, func(t *testing.T, a, b *linkSide) {
		a.linking.wires.Gathers = true
		b.offer(t, "f", func([]byte) {})
		for range 20 { // datagrams grow
			a.call(t, time.Minute, "f", make([]byte, 1<<18))
			shuttle(a, b)
			a.step(20 * time.Millisecond)
			shuttle(a, b)
		}
		require.Greater(t, a.link.Snapshot().PacketSize, 8000)
		goOn := make(chan struct{})
		a.script.sending = func() { <-goOn }
		now := time.Now()
		go a.call(t, time.Minute, "f", make([]byte, 1<<18)) // its goroutine sends for the other one too
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		isOver := false
		go func() {
			_, _ = a.Caller("f").attempt(ctx, now, a.link.visit(), &outCall{
				Arguments: codec.Arguments{List: []any{make([]byte, 1<<18)}}, deadline: now.Add(time.Minute)})
			isOver = true
		}()
		synctest.Wait()
		goOn <- struct{}{} // the next batch has a part of both
		synctest.Wait()
		cancel()
		synctest.Wait()
		wasOver := isOver
		close(goOn)
		require.False(t, wasOver, "it was still being sent")
		synctest.Wait()
		require.True(t, isOver)
	})
}
