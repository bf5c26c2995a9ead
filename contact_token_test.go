package broach

import (
	"net/netip"
	"testing"
	"time"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// [SEC-4] So token A MUST be drawn anew for each contact
// [LNK-1] its number is another one in each Open of the process.
func TestEachContactHasItsOwnToken(t *testing.T) {
	onSide(t, func(t *testing.T, s *linkSide, _ [][]byte) {
		tokens, numbers := map[uint64]int{}, map[uint64]bool{}
		for range 5 {
			for range 3 { // the same contact, each time
				s.loop.members.SetSeeds(time.Now(), []netip.AddrPort{addrOf(3)}, false)
				s.turn()
				s.loop.members.SetSeeds(time.Now(), nil, false)
			}
			for _, b := range s.script.take() {
				m, err := wire.ConsumeOpen(b)
				require.NoError(t, err)
				tokens[m.Token]++
				numbers[m.Number] = true
			}
			time.Sleep(5 * time.Second) // [AMP-3] its opening stays for 5 s
			s.turn()
			s.script.take()
		}
		require.Len(t, numbers, 15)
		require.Len(t, tokens, 5)
		for token, opens := range tokens {
			require.Equal(t, 3, opens)
			require.Nil(t, s.linking.tokens.Get(token), "the contact is over, and its opening with it")
		}
	})
}
