package attacks

import (
	"slices"
	"testing"
	"time"

	"broach/internal/intruder"

	"github.com/stretchr/testify/require"
)

// [SEC-4] So token A MUST be drawn anew for each contact
// [LNK-1] its number is another one in each Open of the process.
func TestEachContactHasItsOwnToken(t *testing.T) {
	besiege(t, 1, func(t *testing.T, f *field) {
		provider, _ := f.pair()
		m := f.member(0, provider)
		p := intruder.NewProcess(badAddr(100), "default", f.key, 100)
		offer := intruder.Offer{Key: f.key, Rank: 1, Token: 7, Public: p.Public, Addr: p.Addr}
		offer.Observed = provider.Addr()
		tokens, numbers, opens := map[uint64]int{}, map[uint64]bool{}, 0
		for range 5 {
			f.tape.Cut()
			for range 3 { // the same contact, each time
				offer.Asker = f.asked(provider, m, p).Token
			}
			list := slices.DeleteFunc(intruder.OfForm(f.tape.All(), intruder.FormOpen),
				func(d intruder.Datagram) bool { return d.To != p.Addr })
			require.GreaterOrEqual(t, len(list), 3, "naming it again pays for more")
			for _, d := range list {
				o, _ := intruder.ParseOpen(d.Bytes)
				require.Equal(t, offer.Asker, o.Token)
				tokens[o.Token]++
				numbers[o.Number] = true
			}
			opens += len(list)
			time.Sleep(5*time.Second + 100*time.Millisecond) // [AMP-3] its opening stays for 5 s
			before := provider.Stats().Strangers
			f.throw(p.Addr, provider, offer.Bytes())
			time.Sleep(100 * time.Millisecond)
			require.Equal(t, before+1, provider.Stats().Strangers, "the contact is over, and its opening with it")
			require.Empty(t, f.confirmsTo(p.Addr))
		}
		t.Log(opens, "Opens")
		require.Len(t, tokens, 5)
		require.Len(t, numbers, opens)
	})
}
