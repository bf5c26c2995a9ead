package intruder_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/intruder"
	"broach/internal/simnet"

	"github.com/stretchr/testify/require"
)

// Two intruders take each other for members: what one says is heard by the other, once, and answered.
func TestIntrudersLinkToEachOther(t *testing.T) {
	for name, key := range map[string][]byte{"without keys": nil, "with keys": make([]byte, 32)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := simnet.New(1)
				defer network.Close()
				var tape intruder.Tape
				network.Tap(tape.Record)
				var pongs int
				a := start(t, network, 1, key, func(i *intruder.Intruder) {
					i.Hear = func(_ *intruder.Link, m intruder.Message) ([]intruder.Message, bool) {
						if m.Kind == intruder.KindPong {
							pongs++
						}
						return nil, false
					}
				})
				b := start(t, network, 2, key)
				_, ok := a.Link(b.Addr)
				require.True(t, ok)
				require.True(t, a.Say(b.Addr, intruder.Ping(1), intruder.Ping(2)))
				time.Sleep(time.Second)
				require.Nil(t, b.LinkTo(netip.MustParseAddrPort("10.0.0.9:1")))
				require.Len(t, intruder.OfForm(tape.All(), intruder.FormConfirm), 1)
				a.Close()
				b.Close()
				require.Equal(t, 2, pongs)
			})
		})
	}
}

func start(
	t *testing.T, network *simnet.Network, at byte, key []byte, edit ...func(*intruder.Intruder),
) *intruder.Intruder {
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, at}), 7)
	conn, err := network.Listen(addr)
	require.NoError(t, err)
	return intruder.Start(conn, intruder.NewProcess(addr, "default", key, uint64(at)), edit...)
}
