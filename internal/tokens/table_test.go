package tokens

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"broach/internal/handshake"
	"broach/internal/link"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// holding is a link as a node holds it.
type holding struct {
	link.Link
	beside *holding
}

func (h *holding) Base() *link.Link  { return &h.Link }
func (h *holding) Beside() **holding { return &h.beside }

// newTokens is an empty table that draws from a seed.
func newTokens(seed uint64) *Table[*holding] {
	t := new(Table[*holding])
	t.Init(rand.New(rand.NewPCG(seed, seed)).Uint64)
	return t
}

// at is the address of the i-th peer.
func at(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 7000)
}

// tokenLink is a link that the table can hold, with a process of that number.
func tokenLink(token uint64, addr netip.AddrPort, began bool, born time.Time) *holding {
	return linkOf(token, addr, began, born, wire.PublicKey{1}, 1)
}

// linkOf is one with who has a public key.
func linkOf(token uint64, addr netip.AddrPort, began bool, born time.Time, key wire.PublicKey, rank uint32) *holding {
	c := &link.Carrier{Process: handshake.NewProcess(make([]byte, handshake.RandomSize), false, time.Unix(0, 0))}
	c.Init(time.Unix(0, 0).Add(-time.Hour))
	terms := &handshake.Terms{Rank: rank, TokenA: ^token, KeyA: key, AddrA: addr, TokenB: token, KeyB: c.Process.Key}
	if began {
		terms = &handshake.Terms{Rank: rank, TokenA: token, KeyA: c.Process.Key, TokenB: ^token, KeyB: key, AddrB: addr}
	}
	h := new(holding)
	if err := h.Init(born, c, terms, began, new(link.Traffic), 1); err != nil {
		panic(err)
	}
	return h
}

// A token that is known is found at every moment, whatever else the two writers add, close and double meanwhile.
func TestKnownTokensAreFoundAtEveryMoment(t *testing.T) {
	table, now := newTokens(1), time.Unix(0, 0)
	var kept []*holding
	for i := range 50 {
		l := tokenLink(rand.Uint64()|1, at(i), true, now)
		require.True(t, table.Add(l))
		kept = append(kept, l)
	}
	var over atomic.Bool
	var looks sync.WaitGroup
	for range 2 {
		looks.Go(func() {
			for !over.Load() {
				for _, l := range kept {
					if table.Link(l.Token) != l {
						t.Errorf("the link with token %x is not found", l.Token)
						return
					}
				}
			}
		})
	}
	var writes sync.WaitGroup
	for w := range 2 {
		writes.Go(func() {
			rng := rand.New(rand.NewPCG(7, uint64(w)))
			for round := range 20 {
				var mine []*holding
				for i := range 100 << (round % 6) {
					l := tokenLink(rng.Uint64()|1, at(i), i%2 == 0, now)
					table.Add(l)
					mine = append(mine, l)
				}
				for _, l := range mine {
					table.Close(now, l)
				}
				table.Sweep(now.Add(time.Hour))
				table.Forget(table.Open(1))
			}
		})
	}
	writes.Wait()
	over.Store(true)
	looks.Wait()
	table.Sweep(now.Add(time.Hour))
	require.Equal(t, len(kept), table.Len(), "nothing else is left")
	require.Len(t, table.All(), len(kept))
}

// The table does what a map does that knows all: whatever comes in whatever order.
func TestTokensAreThoseOfAMap(t *testing.T) {
	const seed = 3
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, seed))
	table, now := newTokens(seed), time.Unix(0, 0)
	links, openings, spent := map[uint64]*holding{}, map[uint64]bool{}, map[uint64]time.Time{}
	for step := range 20_000 {
		now = now.Add(time.Duration(rng.IntN(10)) * time.Millisecond)
		switch rng.IntN(5) {
		case 0:
			openings[table.Open(1)] = true
		case 1:
			l := tokenLink(1+rng.Uint64N(3000), at(rng.IntN(9)), rng.IntN(2) == 0, now)
			if _, isSpent := spent[l.Token]; links[l.Token] != nil || isSpent {
				require.False(t, table.Add(l), "step %d", step)
				break
			}
			require.True(t, table.Add(l), "step %d", step)
			links[l.Token] = l
		case 2:
			for token, l := range links {
				table.Close(now, l)
				delete(links, token)
				if !l.Began && now.Sub(l.BornAt()) <= SpentFor {
					spent[token] = now.Add(SpentFor)
				}
				break
			}
		case 3:
			for token := range openings {
				table.Forget(token)
				delete(openings, token)
				break
			}
		case 4:
			table.Sweep(now)
			for token, at := range spent {
				if !now.Before(at) {
					delete(spent, token)
				}
			}
		}
		require.Equal(t, len(links)+len(openings)+len(spent), table.Len(), "step %d", step)
		addr := at(rng.IntN(9))
		var there []*holding
		for token, l := range links {
			require.Same(t, l, table.Link(token))
			if l.ID.Addr == addr {
				there = append(there, l)
			}
		}
		require.ElementsMatch(t, there, table.At(addr), "step %d", step)
		require.Equal(t, len(there) > 0, table.IsKnown(addr))
	}
}

// A link takes the place of the opening with its token, and of nothing else.
func TestALinkTakesThePlaceOfItsOpening(t *testing.T) {
	table, now := newTokens(1), time.Unix(0, 0)
	token := table.Open(3)
	require.EqualValues(t, 3, table.Get(token).opening.left.Load())
	require.Nil(t, table.Link(token))
	l := tokenLink(token, at(1), true, now)
	require.True(t, table.Add(l))
	require.Nil(t, table.Get(token).opening)
	require.Same(t, l, table.Link(token))
	require.False(t, table.Add(tokenLink(token, at(2), true, now)), "it is another link's")
	require.Empty(t, table.At(at(2)))
	table.Forget(token)
	require.Same(t, l, table.Link(token), "no opening is there to be forgotten")
	table.Close(now, tokenLink(token, at(1), true, now))
	require.Same(t, l, table.Link(token), "another link is closed")
}

// Openings get tokens that are not 0 and not known.
func TestOpeningsDrawUntilATokenIsFree(t *testing.T) {
	drawn := []uint64{9 /* to scatter */, 0, 7, 7, 0, 8}
	table := new(Table[*holding])
	table.Init(func() (next uint64) { next, drawn = drawn[0], drawn[1:]; return next })
	require.EqualValues(t, 7, table.Open(1))
	require.EqualValues(t, 8, table.Open(1))
}

// [LNK-3] The token of a link that A began and that B closes is *spent* from that moment until its stamp is more than
// 6,000 ms old.
func TestTokensAreSpentForSixSeconds(t *testing.T) {
	require.Equal(t, handshake.Fresh+time.Second, SpentFor)
	born := time.Unix(0, 0)
	for _, test := range []struct {
		closed time.Duration
		began  bool
		spent  bool
	}{
		{0, false, true}, {SpentFor, false, true}, {SpentFor + 1, false, false}, {time.Second, true, false},
	} {
		table := newTokens(1)
		l := tokenLink(5, at(1), test.began, born)
		require.True(t, table.Add(l))
		closed := born.Add(test.closed)
		table.Close(closed, l)
		require.Nil(t, table.Link(5))
		require.Equal(t, test.spent, table.Get(5) != nil, "%+v", test)
		if test.spent {
			require.False(t, table.Add(tokenLink(5, at(1), false, closed)))
			require.Equal(t, closed.Add(SpentFor), table.Sweep(closed.Add(SpentFor-1)), "when to sweep again")
			require.NotNil(t, table.Get(5))
			require.Zero(t, table.Sweep(closed.Add(SpentFor)))
		}
		require.Zero(t, table.Len())
		require.True(t, table.Add(tokenLink(5, at(1), false, closed)), "it is as any other again")
	}
}

// Who asks for links chooses by what tokens he receives, and can try for tokens of ours that have the same low or high
// bits: a secret number scatters them over the chains all the same.
func TestChainsAreScatteredByASecret(t *testing.T) {
	longest := func(seed uint64, token func(i uint64) uint64) (most int) {
		table := newTokens(seed)
		for i := range uint64(4096) {
			table.Add(tokenLink(token(i+1), at(1), true, time.Time{}))
		}
		c := table.chains.Load()
		for i := range c.heads {
			length := 0
			for e := c.heads[i].Load(); e != nil; e = e.next {
				length++
			}
			most = max(most, length)
		}
		return most
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for seed := range uint64(5) {
		require.Less(t, longest(seed, func(uint64) uint64 { return rng.Uint64() }), 12)
		require.Less(t, longest(seed, func(i uint64) uint64 { return i }), 40, "the same high bits")
		require.Less(t, longest(seed, func(i uint64) uint64 { return i<<32 | 1 }), 40, "the same low bits")
	}
	require.NotEqual(t, newTokens(1).chains.Load().mix, newTokens(2).chains.Load().mix)
}

// Held finds the highest rank of the links with a process at an address.
func TestHeldIsTheHighestRankWithAProcess(t *testing.T) {
	table := newTokens(1)
	for i, l := range []struct {
		key  byte
		addr int
		rank uint32
	}{{1, 1, 3}, {1, 1, 7}, {1, 1, 5}, {2, 1, 9}, {1, 2, 11}} {
		require.True(t, table.Add(linkOf(uint64(i+1), at(l.addr), i%2 == 0, time.Unix(0, 0), wire.PublicKey{l.key},
			l.rank)))
	}
	require.EqualValues(t, 7, table.Held(wire.PublicKey{1}, at(1)))
	require.EqualValues(t, 9, table.Held(wire.PublicKey{2}, at(1)))
	require.Zero(t, table.Held(wire.PublicKey{3}, at(1)))
	require.Zero(t, table.Held(wire.PublicKey{1}, at(3)))
}

func TestLookingUpATokenAllocatesNothing(t *testing.T) {
	table := newTokens(1)
	for i := range uint64(1000) {
		table.Add(tokenLink(i+1, at(1), true, time.Time{}))
	}
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		if table.Link(500) == nil || table.Get(5000) != nil {
			t.Error("it is not found")
		}
	}))
}

func BenchmarkToken(b *testing.B) {
	table := newTokens(1)
	rng := rand.New(rand.NewPCG(2, 2))
	var tokens [1024]uint64
	for i := range tokens {
		tokens[i] = rng.Uint64()
		table.Add(tokenLink(tokens[i], at(1), true, time.Time{}))
	}
	i := 0
	for b.Loop() {
		i++
		table.Link(tokens[i%1024])
	}
}
