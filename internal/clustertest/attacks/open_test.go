package attacks

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"broach/internal/intruder"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// [LNK-6] Links of a pair are ordered by rank, then by the greater public key of who began, then the later stamp [...]
// A side prefers the highest
//
// "Simultaneous open, 1,000 pairs, random loss and delay: one link each after 10 s": what one says goes to one token,
// what the other says to another.
func TestTwoThatOpenToEachOtherShareOneLink(t *testing.T) {
	for batch := range 10 {
		t.Run(fmt.Sprint(batch), func(t *testing.T) {
			key := [][]byte{nil, clusterKey(0)}[batch%2]
			inField(t, uint64(batch+1), key, func(t *testing.T, f *field) {
				pairs := fewer(100)
				f.net.SetDefault(simnet.Link{Loss: 0.02 * float64(batch), Delay: time.Millisecond,
					Jitter: time.Duration(batch) * 10 * time.Millisecond})
				for i := range pairs {
					f.start(2*i, 2*i+1)
					f.start(2*i+1, 2*i)
				}
				time.Sleep(10 * time.Second)
				f.net.SetDefault(simnet.Link{}) // or they doubt again, and make another
				time.Sleep(6 * time.Second)     // what drains is closed
				f.tape.Cut()
				time.Sleep(5 * time.Second)
				tokens := map[[2]netip.AddrPort]map[uint64]bool{}
				for _, d := range intruder.OfForm(f.tape.Cut(), intruder.FormLink) {
					way := [2]netip.AddrPort{d.From, d.To}
					if tokens[way] == nil {
						tokens[way] = map[uint64]bool{}
					}
					tokens[way][tokenIn(d.Bytes)] = true
				}
				for i := range pairs {
					a, b := nodeAddr(2*i), nodeAddr(2*i+1)
					require.Len(t, tokens[[2]netip.AddrPort{a, b}], 1, "%v to %v", a, b)
					require.Len(t, tokens[[2]netip.AddrPort{b, a}], 1, "%v to %v", b, a)
				}
			})
		})
	}
}
